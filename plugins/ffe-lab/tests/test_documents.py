"""The lab's documents say what the lab does: the list of assumptions, the rule of one's own, the pasted session.

``python plugins/ffe-lab/tests/test_documents.py`` runs the session of the package's README again and pastes it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from ffe_lab import assumptions
from ffe_lab.backtest import backtest, market_of
from ffe_lab.commands.backtest import backtest as backtest_command
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab

from ffe_core import Asset, AssetKind
from ffe_core.cli.session import GlobalOption, prepare

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "backtesting.md"
README = ROOT / "plugins" / "ffe-lab" / "README.md"
WIDTH = "100"

type Walk = Callable[..., pd.DataFrame]


def alike(text: str) -> str:
    """Without the numbers, the bar length and the line breaks that differ from run to run."""
    return re.sub(r"\d[\d.]*[mhd]?", "#", " ".join(text.split()))


def listed() -> list[set[str]]:
    """What each item of the document's list quotes."""
    text = DOCUMENT.read_text(encoding="utf-8")
    part = text[text.index("## What a simulation") : text.index("## How to read")]
    items = re.split(r"^\d+\. ", part, flags=re.MULTILINE)[1:]
    return [{alike(quoted) for quoted in re.findall(r'"([^"]+)"', item)} for item in items]


def setups(lab: Lab) -> list[dict[str, Any]]:
    both = Costs(maker=0.0025, commission=5.0)
    return [
        {},
        {"sizing": "all_in", "stop": 0.02, "leverage": 3.0, "allow_short": True, "costs": Costs(model="realistic")},
        {"sizing": "kelly", "stop": 0.0, "target": 0.0, "costs": Costs(commission=5.0)},
        {"sizing": "fixed_amount", "costs": replace(both, commission=0.0)},
        {"sizing": "fixed_fraction"},
    ]


@pytest.mark.parametrize("number", range(5))
def test_every_assumption_stands_at_its_place_in_the_list(lab: Lab, walk: Walk, number: int) -> None:
    quoted = listed()
    hourly = market_of(walk(100), asset="BTCUSD")
    daily = market_of(walk(100, freq="D"), asset=Asset.parse("GOOG", kind=AssetKind.STOCK))
    for market in (hourly, daily):
        lines = assumptions._lines(market, lab.setup(**setups(lab)[number]))
        assert len(lines) == len(quoted)
        for place, (line, known) in enumerate(zip(lines, quoted, strict=True), 1):
            assert not line or alike(line) in known, f"item {place}: {line}"


def rule_of_ones_own() -> str:
    (source,) = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(source)


def test_a_rule_of_ones_own_is_backtested_as_an_object(lab: Lab, walk: Walk) -> None:
    names: dict[str, Any] = {"__name__": "ffe_breakout"}
    exec(compile(rule_of_ones_own(), "ffe_breakout", "exec", dont_inherit=True), names)
    frame = walk(900)
    made = backtest(frame, names["Breakout"](), asset="BTCUSD", gate=False, lab=lab)
    assert len(made.trades) > 3
    place = int(made.trades.entry[0]) - 1
    close = frame["close"].to_numpy()
    assert close[place] > close[place - 48 : place].max()


@pytest.mark.slow
def test_a_rule_of_ones_own_is_a_plugin_that_the_command_knows(tmp_path: Path, ffe_home: Path) -> None:
    (tmp_path / "ffe_breakout.py").write_text(rule_of_ones_own(), encoding="utf-8")
    info = tmp_path / "ffe_breakout-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ffe-breakout\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[ffe.plugins]\nbreakout = ffe_breakout\n", encoding="utf-8")

    def asked(bars: str) -> dict[str, Any]:
        span = ("--start", "2024-01-01", "--end", "2024-02-10", "--no-gate", "--fast", "--json")
        line = [sys.executable, "-m", "ffe_core.cli", "backtest", "BTCUSD", "--provider", "breakout", *span]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
        done = subprocess.run(
            [*line, "--param", f"bars={bars}"],
            check=False,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        data: dict[str, Any] = json.loads(done.stdout)["data"]
        return data

    one, other = asked("24"), asked("96")
    assert one["params"] == {"bars": 24}
    assert one["trades"] != other["trades"]


def options() -> str:
    """The table of the options that are the command's own, as ``--help`` has them."""
    command = prepare(backtest_command)
    records = [
        param.get_help_record(click.Context(command))
        for param in command.params
        if isinstance(param, click.Option) and not isinstance(param, GlobalOption)
    ]
    cells = [(part.replace("|", "\\|") for part in record) for record in records if record is not None]
    rows = [f"| `{names}` | {text} |" for names, text in cells if names != "--help"]
    return "\n".join(("| option | meaning |", "|---|---|", *rows))


def test_the_table_of_options_is_that_of_the_command() -> None:
    told = "write it again: python plugins/ffe-lab/tests/test_documents.py"
    assert options() in DOCUMENT.read_text(encoding="utf-8"), told


def test_the_object_that_is_printed_is_the_one_described(lab: Lab, walk: Walk) -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    (shape,) = re.findall(r"^    (asset_pair timeframe .*?)\n\n", text, re.MULTILINE | re.DOTALL)
    names = [name for name in re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", shape).split() if name not in ("ai", "hindsight")]
    made = backtest(walk(900), "sma_cross", asset="BTCUSD", lab=lab)
    assert list(made.data()) == names


def session() -> tuple[str, str]:
    """The command that is pasted into the README, and what stands under it."""
    text = README.read_text(encoding="utf-8")
    (body,) = re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    command, _, shown = body.removeprefix("$ ffe ").partition("\n")
    return command, shown.strip()


def played(command: str, home: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
    done = subprocess.run(
        [sys.executable, "-m", "ffe_core.cli", *command.split()],
        env={**clean, "FFE_HOME": str(home), "COLUMNS": WIDTH, "PYTHONIOENCODING": "utf-8"},
        check=False,
        capture_output=True,
        encoding="utf-8",
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip()


@pytest.mark.slow
def test_the_pasted_session_is_what_the_command_prints(tmp_path: Path) -> None:
    command, shown = session()
    assert played(command, tmp_path) == shown, f"paste it again: python {Path(__file__).relative_to(ROOT)}"


def main() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    begins = document.index("| option | meaning |")
    ends = document.index("\n\n", begins)
    DOCUMENT.write_text(document[:begins] + options() + document[ends:], encoding="utf-8")
    command, _ = session()
    with tempfile.TemporaryDirectory() as home:
        shown = played(command, Path(home))
    text = README.read_text(encoding="utf-8")
    begins = text.index("```console\n") + len("```console\n")
    pasted = f"{text[:begins]}$ ffe {command}\n{shown}\n{text[text.index('```', begins) :]}"
    README.write_text(pasted, encoding="utf-8")


if __name__ == "__main__":
    main()
