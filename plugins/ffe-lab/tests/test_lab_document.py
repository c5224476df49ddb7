"""docs/lab.md says what the lab's commands and settings do."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from ffe_lab.document import DOCUMENT, EXITS, NAMES, SHAPES, document
from ffe_lab.settings import LabSettings

from ffe_core.cli import main
from ffe_core.testing.shapes import hold

ROOT = Path(__file__).resolve().parents[3]
SPAN = ("--start", "2024-01-01", "--end", "2024-03-20", "--provider", "sma_cross")
FEW = ("--start", "2024-03-01", "--end", "2024-03-03", "--provider", "sma_cross")


def test_the_document_is_current() -> None:
    assert (ROOT / DOCUMENT).read_text(encoding="utf-8") == document(), "write it again: python -m ffe_lab.document"


def test_every_command_and_every_setting_of_the_package_is_told() -> None:
    ours = [one for one in entry_points(group="ffe.commands") if one.dist is not None and one.dist.name == "ffe-lab"]
    assert sorted(one.name for one in ours) == NAMES
    assert set(EXITS) == set(NAMES)
    assert all(f"| `plugins.lab.{name}` |" in document() for name in LabSettings.model_fields)


@pytest.mark.slow
def test_every_command_prints_the_object_that_the_document_describes(
    ffe_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``progress`` and models have tests of their own, on outcomes and a stand-in."""
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    tried = {
        "backtest": ["backtest", "BTCUSD", *SPAN, "--output-file", str(one)],
        "backtest ASSET ASSET": ["backtest", "BTCUSD", "ETHUSD", *SPAN],
        "compare": ["compare", "BTCUSD", *SPAN, "--provider", "macd"],
        "lookahead": ["lookahead", "BTCUSD", *FEW, "--samples", "2"],
        "monte-carlo": ["monte-carlo", "BTCUSD", *SPAN, "--simulations", "5"],
        "optimize": ["optimize", "BTCUSD", *SPAN, "--search", "random", "--n-trials", "3"],
        "pbo": ["pbo", str(one), str(other), "--blocks", "4"],
        "walk-forward": ["walk-forward", "BTCUSD", *SPAN, "--space", "fast=5,10"],
    }
    assert main(("backtest", "BTCUSD", *SPAN[:-1], "macd", "--output-file", str(other))) == 0
    for invocation, arguments in tried.items():
        capsys.readouterr()
        assert main((*arguments, "--json")) == 0, invocation
        hold(json.loads(capsys.readouterr().out)["data"], SHAPES[invocation], invocation)
