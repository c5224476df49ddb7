"""``ffe keys``: secrets of plugins, kept in a file that only their owner can read, and never on a command line."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, group
from ffe_core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.console import Console

    from ffe_core.settings.reference import Entry

#: longer than any key, shorter than a file given by mistake
MOST = 16_384


@group()
def keys(session: Session) -> None:
    """Keep the keys of services: set, list and remove them.

    They live in the `.env` file beside the settings, readable by you alone. A key is typed, or read from standard
    input; it never stands on a command line, where other programs could read it.
    """


@keys.command(name="list")
def list_(session: Session) -> None:
    """Every secret that a plugin takes, whether it is set, and where; never its value."""
    rows = [
        {"key": entry.key, "set": value is not None, "origin": origin, "description": entry.description}
        for entry, value, origin in _secrets(session)
    ]
    session.emit({"keys": rows, "file": session.paths.dotenv_file}, lambda console: _print(console, rows))


@keys.command(name="set")
@click.argument("key", metavar="KEY")
def set_(session: Session, key: str) -> None:
    """Take a key from the terminal, unseen, or from standard input, and keep it.

    KEY is the settings key, such as plugins.coinbase.api_secret. A key of several lines is read from standard input.
    """
    name = _variable(session, key)
    value = _read(key)
    _rewrite(session.paths.dotenv_file, name, value)
    _tell(session, key, f"{key} is kept in {session.paths.dotenv_file}")


@keys.command()
@click.argument("key", metavar="KEY")
def rm(session: Session, key: str) -> None:
    """Forget a key that is kept in the `.env` file."""
    name = _variable(session, key)
    if not _rewrite(session.paths.dotenv_file, name, None):
        raise UsageError(
            f"{key} is not kept in {session.paths.dotenv_file}", hint="`ffe keys list` says where it is set"
        )
    _tell(session, key, f"{key} is forgotten")


def _tell(session: Session, key: str, line: str) -> None:
    data = {"key": key, "file": session.paths.dotenv_file}
    session.emit(data, lambda console: console.print(line, soft_wrap=True, highlight=False, markup=False))


def _secrets(session: Session) -> Iterator[tuple[Entry, Any, str]]:
    from ffe_core.settings.reference import entries
    from ffe_core.settings.view import plugin_entries, rows

    settings = session.engine.settings
    shown = {row.key: row for row in rows(settings)}
    for entry in (*entries(), *plugin_entries(settings)):
        if entry.key in shown and entry.secret:
            row = shown[entry.key]
            yield entry, row.value, row.origin


def _variable(session: Session, key: str) -> str:
    """The variable that holds ``key``. Raises ``UnknownName`` for one that is no secret of a plugin."""
    from ffe_core.settings.problems import variable_of

    known = {entry.key: entry for entry, _, _ in _secrets(session)}
    if key not in known:
        raise UnknownName("key", key, known)
    return variable_of(known[key].path)


def _read(key: str) -> str:
    if sys.stdin is not None and sys.stdin.isatty():
        value: str = click.prompt(key, hide_input=True, err=True)
    else:
        value = sys.stdin.read(MOST + 1) if sys.stdin is not None else ""
    value = value.strip()
    if not value:
        raise UsageError("no key was given", hint="type it, or pass it on standard input")
    if len(value) > MOST:
        raise UsageError(f"a key of more than {MOST:,} characters is no key")
    if "\0" in value:
        raise UsageError("a key holds no zero bytes")
    return value


def _rewrite(file: Path, name: str, value: str | None) -> bool:
    """Puts ``name`` at ``value``, or takes it away; every other line stays. Whether anything changed."""
    from ffe_core.settings.editing import write_private

    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    line = re.compile(
        rf"^(?:export[ \t]+)?{re.escape(name)}[ \t]*=(?:[ \t]*(?:\"(?:\\.|[^\"\\])*\"|'[^']*')|[^\n]*)[^\n]*\n?", re.M
    )
    left, found = line.subn("", text)
    if value is not None:
        if left and not left.endswith("\n"):
            left += "\n"
        left += f"{name}={_quoted(value)}\n"
    elif not found:
        return False
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(file, left)
    file.chmod(0o600)
    return True


def _quoted(value: str) -> str:
    """As the file's reader takes it back: double quotes, with what ends or continues a line escaped."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r").replace("\n", "\\n")
    return f'"{escaped}"'


def _print(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table
    from rich.text import Text

    from ffe_core.cli.output import clean

    table = Table("key", "set", "where", "for")
    for row in rows:
        mark = Text("yes", style="green") if row["set"] else Text("no", style="dim")
        table.add_row(row["key"], mark, clean(row["origin"]), Text(clean(row["description"])))
    console.print(table if rows else "no plugin takes a secret")
