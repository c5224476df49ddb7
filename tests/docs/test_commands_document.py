"""docs/commands.md says what the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from ffe_core.cli.commands import BUILT_IN, Root
from ffe_core.cli.commands_document import DOCUMENT, EXITS, SHAPES, document
from ffe_core.learning.exchange import spelled
from ffe_core.testing.shapes import hold
from tests.cli.conftest import Run, ffe  # noqa: F401 - the fixture
from tests.docs.readme import README
from tests.store.records import outcome

type Ffe = Callable[..., Run]

AT = "2025-03-28T23:00:00Z"


def test_the_document_is_current() -> None:
    written = (README.parent / DOCUMENT).read_text(encoding="utf-8")
    assert written == document(), "write it again: python -m ffe_core.cli.commands_document"


def names_of_commands() -> Iterator[str]:
    """Every command that does something of its own."""
    root = Root("ffe")

    def below(path: list[str], command: click.Command) -> Iterator[str]:
        if not isinstance(command, click.Group):
            yield " ".join(path)
            return
        if command.invoke_without_command:
            yield " ".join(path)
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            inner = command.get_command(ctx, name)
            assert inner is not None
            yield from below([*path, name], inner)

    for name in BUILT_IN:
        command = root.get_command(click.Context(root), name)
        assert command is not None
        yield from below([name], command)


def test_every_command_tells_what_its_object_holds() -> None:
    names = set(names_of_commands())
    assert names - set(SHAPES) == set()
    assert {name for name in SHAPES if name.replace("-", "").islower() and "--" not in name} <= names
    assert set(EXITS) <= names


@pytest.mark.parametrize("wrong", [{"a": 1}, {"a": 1, "b": [1], "c": 2}, {"a": {}, "b": []}, [], {"a": 1, "b": [{}]}])
def test_a_shape_notices_what_does_not_fit(wrong: object) -> None:
    hold({"a": None, "b": ["x"]}, "a b[]")
    if wrong != {"a": 1, "b": [{}]}:
        with pytest.raises(AssertionError):
            hold(wrong, "a b[]")


@pytest.mark.slow
def test_every_command_prints_the_object_that_the_document_describes(ffe: Ffe, tmp_path: Path) -> None:  # noqa: F811
    """In an order in which each finds what it needs. ``plugins check`` needs an installed package and is left out."""
    bars = tmp_path / "BTCUSD_1h.csv"
    backup, copied = tmp_path / "backup.db", tmp_path / "copy.db"
    outcomes = tmp_path / "outcomes.jsonl"
    outcomes.write_text(spelled(outcome(number, synthetic=True) for number in range(90)), encoding="utf-8")
    first = ffe("analyze", "BTCUSD", "--at", AT, "--json").data
    rows = ffe("data", "candles", "BTCUSD", "--end", AT, "--limit", "100", "--json").data["candles"]
    columns = ("time", "open", "high", "low", "close", "volume")
    lines = ["timestamp,open,high,low,close,volume", *(",".join(str(row[name]) for name in columns) for row in rows)]
    bars.write_text("\n".join([*lines, lines[-1]]) + "\n", encoding="utf-8")
    dip = ffe("analyze", "DIPUSD", "--json").data
    tried = {
        "execute --dry-run": ["execute", dip["id"], "--dry-run"],
        "execute": ["execute", dip["id"]],
        "positions": ["positions", "--save"],
        "orders": ["orders"],
        "dashboard": ["dashboard"],
        "close": ["close", "--all"],
        "orders cancel": ["orders", "cancel", "--all"],
        "balance": ["balance"],
        "pnl": ["pnl"],
        "halt": ["halt", "BTCUSD", "--reason", "a try"],
        "arm": ["arm", "BTCUSD", "--reason", "tried"],
        "keys list": ["keys", "list"],
        "approve": ["approve", first["id"], "no"],
        "analyze": ["analyze", "BTCUSD", "--at", AT, "--indicator", "willr"],
        "analyze ASSET ASSET": ["analyze", "BTCUSD", "ETHUSD", "--at", AT],
        "completion": ["completion", "zsh"],
        "config check": ["config", "check"],
        "config explain": ["config", "explain", "mode"],
        "config explain SECTION": ["config", "explain", "sizing"],
        "config init": ["config", "init"],
        "config path": ["config", "path"],
        "config schema": ["config", "schema"],
        "config set": ["config", "set", "sizing.risk", "0.005"],
        "config show": ["config", "show"],
        "data candles": ["data", "candles", "BTCUSD", "--limit", "3"],
        "data check": ["data", "check", str(bars)],
        "data import": ["data", "import", str(bars)],
        "data fetch": ["data", "fetch", "BTCUSD", "--source", "files", "--start", "2025-03-01", "--replace"],
        "data list": ["data", "list"],
        "db status": ["db", "status"],
        "db upgrade": ["db", "upgrade"],
        "db backup": ["db", "backup", str(backup)],
        "db restore": ["db", "restore", str(backup), "--yes"],
        "db copy": ["db", "copy", "--to", str(copied)],
        "demo": ["demo"],
        "doctor": ["doctor"],
        "history": ["history"],
        "history --scored": ["history", "--scored"],
        "history verify": ["history", "verify"],
        "learning import": ["learning", "import", str(outcomes)],
        "learning update": ["learning", "update"],
        "learning status": ["learning", "status", "--synthetic"],
        "learning calibration": ["learning", "calibration", "--synthetic"],
        "learning export": ["learning", "export"],
        "paths": ["paths"],
        "plugins": ["plugins"],
        "plugins doctor": ["plugins", "doctor", "rules"],
        "plugins list": ["plugins", "list"],
        "plugins new": ["plugins", "new", "acme", "--path", str(tmp_path)],
        "probe": ["probe", "BTCUSD", "--at", AT],
        "providers": ["providers"],
        "providers check": ["providers", "check"],
        "providers costs": ["providers", "costs", "--synthetic"],
        "providers list": ["providers", "list"],
        "replay": ["replay", first["id"]],
        "show": ["show", first["id"]],
        "status": ["status"],
        "history prune": ["history", "prune", "--keep", "1", "--yes"],
        "history wipe": ["history", "wipe", "--yes"],
    }
    assert set(SHAPES) - set(tried) == {"plugins check", "keys set", "keys rm"}
    for invocation, arguments in tried.items():
        hold(ffe(*arguments, "--json").data, SHAPES[invocation], invocation)
