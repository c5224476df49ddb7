"""What people see before real money moves, and while they watch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from ffe_core.engine import Engine
from tests.cli.conftest import Run

type Ffe = Callable[..., Run]

VENUE = """
from ffe_core import hookimpl
from ffe_core.testing import FakePlatform

@hookimpl
def ffe_platforms():
    return [FakePlatform("bench")]
"""
BANNER = "LIVE: REAL MONEY"


@pytest.fixture
def live(ffe: Ffe, home: Path, install: Callable[[str, str], Path]) -> Ffe:
    """A user whose settings name a venue of real money."""
    install("bench", VENUE)
    (home / "config").mkdir(parents=True)
    (home / "config" / "config.yaml").write_text("mode: live\nexecution: {platform: bench}\n", encoding="utf-8")
    return ffe


@pytest.mark.parametrize(
    "command", ["positions", "balance", "dashboard", "status", "orders", "orders cancel --all --live"]
)
def test_real_money_is_announced_in_red_on_every_screen_about_it(
    live: Ffe, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    done = live(*command.split())
    assert done.code == 0, done.err
    first = done.out.splitlines()[0]
    assert BANNER in first
    assert "\x1b[1;37;41m" in first


@pytest.mark.parametrize("command", ["positions", "balance", "dashboard", "status", "orders"])
def test_paper_is_not_announced_as_real(ffe: Ffe, command: str) -> None:
    assert BANNER not in ffe(command).out


def test_a_watched_dashboard_shows_what_another_process_did_and_ends_with_ctrl_c(
    ffe: Ffe, monkeypatch: pytest.MonkeyPatch
) -> None:
    decision = ffe("analyze", "DIPUSD", "--json").data["id"]
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            raise KeyboardInterrupt
        with Engine.from_settings() as other:
            other.trading().execute(decision)

    monkeypatch.setattr("ffe_core.cli.dashboard.time", SimpleNamespace(sleep=sleep))
    watched = ffe("dashboard", "--watch", "7")
    assert waited == [7, 7]
    assert watched.code == 130
    before, after = watched.out.split("newest decisions", 1)
    assert "protect" not in before
    assert "protect" in after
    assert "Traceback" not in watched.err
