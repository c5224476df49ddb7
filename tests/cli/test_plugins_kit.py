"""``ffe plugins new``, ``check`` and ``doctor`` as an author runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.testing.scaffold import KINDS
from tests.testing.sites import install


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed plugins that this process and its children see."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    return folder


@pytest.mark.slow
def test_a_new_plugin_passes_its_check_and_shows_up_in_the_list(
    real_ffe: Callable[..., Any], site: Path, tmp_path: Path
) -> None:
    made = real_ffe("plugins", "new", "acme", "--path", str(tmp_path), "--json").data
    assert made["path"] == str(tmp_path / "ffe-acme")
    install(Path(made["path"]), site)

    checked = real_ffe("plugins", "check", "acme", "--json").data
    assert checked["ok"] is True
    assert checked["failed"] == 0
    assert checked["passed"] >= 15

    (row,) = [row for row in real_ffe("plugins", "--json").data if row["name"] == "acme"]
    assert (row["state"], row["hooks"]) == ("active", ["ffe_ai_providers", "ffe_settings"])

    (told,) = real_ffe("plugins", "doctor", "acme", "--json").data
    assert told["offers"] == {"provider": {"acme": []}}
    assert told["problems"] == []
    assert 0 <= told["import_ms"] < 500


def test_new_says_what_to_do_next(ffe: Callable[..., Any], tmp_path: Path) -> None:
    run = ffe("plugins", "new", "acme", "--kind", "rule", "--path", str(tmp_path))
    assert run.code == 0
    assert "ffe plugins check acme" in run.out
    assert "pip install -e" in run.out
    assert (tmp_path / "ffe-acme" / "ffe_acme" / "rule.py").is_file()


@pytest.mark.parametrize("name", ["Acme", "a b", "../up", "", "voting", "analyze", "enabled"])
def test_a_name_that_cannot_be_used_is_one_line_and_exit_2(ffe: Callable[..., Any], name: str, tmp_path: Path) -> None:
    run = ffe("plugins", "new", name, "--path", str(tmp_path))
    assert run.code == 2
    assert run.line.startswith("error: ")
    assert list(tmp_path.glob("ffe-*")) == []


def test_what_is_there_already_is_left_alone(ffe: Callable[..., Any], tmp_path: Path) -> None:
    precious = tmp_path / "ffe-acme" / "pyproject.toml"
    precious.parent.mkdir()
    precious.write_text("mine", encoding="utf-8")
    run = ffe("plugins", "new", "acme", "--path", str(tmp_path), "--json")
    assert run.code == 2
    assert "exists already" in run.error["message"]
    assert precious.read_text("utf-8") == "mine"


def test_the_kinds_of_the_command_are_those_of_the_scaffold() -> None:
    from ffe_core.cli import plugins_kit

    assert set(plugins_kit.KINDS) == set(KINDS)


def test_checking_an_unknown_plugin_is_one_line_and_exit_2(ffe: Callable[..., Any]) -> None:
    run = ffe("plugins", "check", "no-such-plugin")
    assert run.code == 2
    assert "unknown plugin" in run.line


@pytest.mark.slow
def test_a_failing_check_is_exit_1_with_the_reason_in_the_table(
    real_ffe: Callable[..., Any], site: Path, tmp_path: Path
) -> None:
    made = real_ffe("plugins", "new", "acme", "--path", str(tmp_path), "--json").data
    module = Path(made["path"]) / "ffe_acme" / "__init__.py"
    module.write_text(
        module.read_text("utf-8") + "\n\n@hookimpl\ndef ffe_ai_provider() -> None: ...\n", encoding="utf-8"
    )
    install(Path(made["path"]), site)
    run = real_ffe("plugins", "check", "acme", COLUMNS="200")
    assert run.code == 1
    assert "did you mean ffe_ai_providers?" in run.out
    assert "FAILED" in run.out
    assert "Traceback" not in run.err
    as_json = real_ffe("plugins", "check", "acme", "--json")
    assert as_json.code == 1
    assert json.loads(as_json.out)["data"]["ok"] is False


@pytest.mark.slow
def test_the_doctor_names_broken_plugins_and_missing_tools(
    real_ffe: Callable[..., Any], site: Path, tmp_path: Path
) -> None:
    for name, line in (
        ("sound", 'TOOLS = {"no-such-tool-here": "npm install -g no-such-tool-here"}'),
        ("sick", "1 / 0"),
    ):
        made = real_ffe("plugins", "new", name, "--path", str(tmp_path), "--json").data
        module = Path(made["path"]) / f"ffe_{name}" / "__init__.py"
        module.write_text(f"{module.read_text('utf-8')}\n{line}\n", encoding="utf-8")
        install(Path(made["path"]), site)
    run = real_ffe("plugins", "doctor", "sound", "sick", "rules", "--json")
    assert run.code == 1
    told = {row["name"]: row for row in json.loads(run.out)["data"]}
    assert told["sound"]["missing_tools"] == {"no-such-tool-here": "npm install -g no-such-tool-here"}
    assert told["sick"]["state"] == "broken"
    assert "division by zero" in told["sick"]["reason"]
    assert told["rules"]["offers"]["provider"].keys() >= {"local", "trend_adx", "rsi_reversion"}
    assert told["rules"]["problems"] == []


def test_the_doctor_finds_the_built_in_plugins_well(ffe: Callable[..., Any]) -> None:
    run = ffe("plugins", "doctor", "rules", "paper")
    assert run.code == 0
    assert "trend_adx" in run.out
    assert ffe("plugins", "doctor", "nobody").code == 2


@pytest.mark.slow
def test_a_new_command_runs_as_a_command_of_ffe(real_ffe: Callable[..., Any], site: Path, tmp_path: Path) -> None:
    made = real_ffe("plugins", "new", "bars", "--kind", "command", "--path", str(tmp_path), "--json").data
    install(Path(made["path"]), site)
    data = real_ffe("bars", "btc-usd", "--json").data
    assert data["asset_pair"] == "BTCUSD"
    assert set(data["closes"]) == {"1m", "5m", "15m", "30m", "1h", "4h", "1d"}
    assert real_ffe("bars", "--", "--").code == 2
    assert "1d" in real_ffe("bars", "BTCUSD").out


@pytest.mark.slow
def test_a_tool_that_is_not_there_is_missed_by_who_named_its_plugin(
    real_ffe: Callable[..., Any], site: Path, tmp_path: Path
) -> None:
    made = real_ffe("plugins", "new", "sound", "--path", str(tmp_path), "--json").data
    module = Path(made["path"]) / "ffe_sound" / "__init__.py"
    module.write_text(f'{module.read_text("utf-8")}\nTOOLS = {{"no-such-tool-here": "get it"}}\n', encoding="utf-8")
    install(Path(made["path"]), site)

    everything = real_ffe("plugins", "doctor", "--json", FFE_PLUGINS="sound")

    assert everything.code == 0, everything.err
    assert {row["name"]: row for row in everything.data}["sound"]["missing_tools"] == {"no-such-tool-here": "get it"}
    assert real_ffe("plugins", "doctor", "sound", FFE_PLUGINS="sound").code == 1


def test_a_built_in_plugin_is_not_called_unknown(ffe):
    run = ffe("plugins", "check", "rules")
    assert run.code == 2
    assert "rules is built in" in run.line
