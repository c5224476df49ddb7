"""docs/commands.md says what the command line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from ffe_core.cli.commands import BUILT_IN, Root
from ffe_core.cli.commands_document import DOCUMENT, EXITS, SHAPES, document
from ffe_core.learning.exchange import spelled
from tests.cli.conftest import Run, ffe  # noqa: F401 - the fixture
from tests.docs.readme import README
from tests.store.records import outcome

type Ffe = Callable[..., Run]
type Shape = dict[str, tuple[str, Any]]

#: a setting's own value may be a list or a mapping
ANYTHING = ("value", "default")
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


def parse(text: str) -> tuple[str, Shape]:
    """The kind (``object`` or ``list``) and the fields of a shape as the document writes it."""
    kind = "object"
    if text[0] in "[{":
        kind, text = ("list" if text[0] == "[" else "object"), text[1:-1]
    fields, rest = _fields(text + "]")
    assert rest == "", text
    return kind, fields


def _fields(text: str) -> tuple[Shape, str]:
    found: Shape = {}
    while text[0] not in "]}":
        text = text.lstrip()
        name = text[: next(place for place, letter in enumerate(text) if letter in " []{}")]
        text = text[len(name) :]
        kind: tuple[str, Any] = ("value", None)
        if text[0] in "[{":
            opened = text[0]
            inner, text = _fields(text[1:])
            kind = ("list" if opened == "[" else "object", inner)
        found[name] = kind
        text = text.lstrip()
    return found, text[1:]


def hold(value: Any, kind: str, fields: Any, path: str = "data") -> None:
    """Fails where ``value`` is not of the shape; a missing value is null."""
    if value is None:
        return
    if kind == "value":
        assert not isinstance(value, dict | list) or path.rpartition(".")[2] in ANYTHING, path
    elif kind == "list":
        assert isinstance(value, list), path
        for item in value:
            hold(item, "object" if fields else "value", fields, f"{path}[]")
    else:
        assert isinstance(value, dict), path
        named = {name for name in fields if name != "…"}
        if len(fields) == 1 and next(iter(fields)).isupper():
            named = set()
            for name, inner in value.items():
                hold(inner, *next(iter(fields.values())), f"{path}.{name}")
        elif "…" in fields:
            assert named <= set(value), path
        else:
            assert set(value) == named, path
        for name in named:
            hold(value[name], *fields[name], f"{path}.{name}")


@pytest.mark.parametrize("wrong", [{"a": 1}, {"a": 1, "b": [1], "c": 2}, {"a": {}, "b": []}, [], {"a": 1, "b": [{}]}])
def test_a_shape_notices_what_does_not_fit(wrong: object) -> None:
    kind, fields = parse("a b[]")
    hold({"a": None, "b": ["x"]}, kind, fields)
    if wrong != {"a": 1, "b": [{}]}:
        with pytest.raises(AssertionError):
            hold(wrong, kind, fields)


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
        hold(ffe(*arguments, "--json").data, *parse(SHAPES[invocation]), path=invocation)
