"""``ffe demo``: a first decision without keys or a network, and where to go from there."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

type Ffe = Callable[..., Any]


def test_three_votes_a_marked_decision_and_the_next_steps(ffe: Ffe, home: Path) -> None:
    ran = ffe("demo")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("SYNTHETIC")
    for word in ("local", "trend_adx", "rsi_reversion", "What happened", "What next", str(home / "data" / "ffe.db")):
        assert word in ran.out
    for step in ("show", "replay", "history verify", "data import", "plugins.files.path", "doctor", "plugins new"):
        assert f"ffe {step}" in ran.out or step in ran.out


def test_what_it_says_comes_next_works(ffe: Ffe) -> None:
    data = ffe("demo", "--json").data
    commands = [each["command"].split()[1:] for each in data["next"]]

    assert commands[0][0] == "show"
    for command in commands[:3]:
        assert ffe(*command).code == 0, command
    assert ffe("replay", data["decision"]["id"], "--json").data["same"] is True


def test_the_object_holds_the_decision_and_what_was_looked_at(ffe: Ffe) -> None:
    data = ffe("demo", "--json").data

    assert data["synthetic"] is True
    decision = data["decision"]
    assert decision["market"]["source"] == "demo"
    assert [opinion["provider"] for opinion in decision["opinions"]] == ["local", "trend_adx", "rsi_reversion"]
    assert data["looked_at"][-1]["id"] == decision["id"] or decision["action"] == "HOLD"
    assert len(ffe("history", "--json").data) == len(data["looked_at"])


def test_it_stays_on_paper_and_on_the_invented_market_whatever_is_set(
    ffe: Ffe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_MODE", "live")
    monkeypatch.setenv("FFE_DATA__SOURCES", "files")
    monkeypatch.setenv("FFE_AI__PROVIDERS", "gemini")
    monkeypatch.setenv("FFE_EXECUTION__PLATFORM", "coinbase")
    monkeypatch.setenv("FFE_PLUGINS__DISABLED", "demo,rules")

    decision = ffe("demo", "--json").data["decision"]

    assert (decision["mode"], decision["market"]["source"]) == ("paper", "demo")
    assert len(decision["opinions"]) == 3


def test_a_pair_of_ones_own_and_no_pair_at_all(ffe: Ffe) -> None:
    assert ffe("demo", "--asset", "eth/usd", "--json").data["decision"]["asset_pair"] == "ETHUSD"
    ran = ffe("demo", "--asset", "///")
    assert (ran.code, ran.out) == (2, "")
    assert ran.line


def test_no_connection_is_made_and_nothing_is_written_outside_the_home(
    ffe: Ffe, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)

    assert ffe("demo").code == 0

    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in home.iterdir()} <= {"data", "state", "cache"}


@pytest.mark.slow
def test_the_script_runs_it(home: Path) -> None:
    if not (ROOT / ".venv" / "ffe-installed").is_file():
        pytest.skip("the checkout was not set up by its script")
    ran = subprocess.run(
        [ROOT / "scripts" / "demo", "--json"], capture_output=True, text=True, timeout=100, check=False, env=os.environ
    )
    assert ran.returncode == 0, ran.stderr
    assert '"synthetic": true' in ran.stdout
