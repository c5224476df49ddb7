"""The README holds: its session is what is printed, and its commands run."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run, ffe  # noqa: F401 - the fixture
from tests.docs.readme import README, WIDTH, blocks, commands, masked, pasted, play

type Ffe = Callable[..., Run]


def test_the_pasted_session_is_what_the_commands_print(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    monkeypatch.setenv("COLUMNS", WIDTH)

    def run(command: str) -> str:
        done = ffe(*command.split())
        assert (done.code, done.err) == (0, "")
        return done.out

    now = play(run)
    assert masked(pasted()) == masked(now), "paste it again: python -m tests.docs.readme"
    assert any("SYNTHETIC" in shown for _, shown in now)


@pytest.mark.slow
def test_every_command_runs(ffe: Ffe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """In their order, in a folder with the one file that they speak of."""
    until = "2023-06-01T00:00:00Z"
    rows = ffe("data", "candles", "BTCUSD", "--end", until, "--limit", "800", "--json").data["candles"]
    columns = ("time", "open", "high", "low", "close", "volume")
    lines = ["timestamp,open,high,low,close,volume", *(",".join(str(row[name]) for name in columns) for row in rows)]
    folder = tmp_path / "somewhere"
    folder.mkdir()
    (folder / "BTCUSD_1h.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(folder)

    found = commands()
    assert len(found) >= 15
    for command in found:
        words = command.split()
        if words[0] == "execute":
            # The id on the page is that of somebody else's decision.
            words[1] = ffe("history", "--json").data[0]["id"]
        done = ffe(*words)
        assert done.code == 0, f"ffe {command}: {done.err}"
    assert "SYNTHETIC" not in ffe("analyze", "BTCUSD", "--at", until).out


def test_the_python_example_runs_and_decides_as_the_session(ffe: Ffe) -> None:  # noqa: F811
    (example,) = blocks("python")
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        exec(compile(example, str(README), "exec"), names)
    action, confidence, size = printed.getvalue().split()
    session = pasted()[0][1]
    assert f"{action}  confidence {confidence}" in session
    assert f"LONG {size}," in session
    assert list(names["decisions"]["asset_pair"]) == ["BTCUSD"]  # type: ignore[index]
