"""``ffe db``: the store as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, group, stderr_is_terminal

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.store import Database
    from ffe_core.store.copy import TableCopy
    from ffe_core.store.status import StoreStatus

FILE = click.Path(path_type=Path, dir_okay=False)


@group()
def db(_session: Session) -> None:
    """Upgrade, back up, restore, copy and inspect the store."""


@contextmanager
def database_of(session: Session) -> Iterator[Database]:
    """The store that the settings name, as it is: neither made nor upgraded."""
    from ffe_core.store import Database

    with Database.of(session.settings) as database:
        yield database


@db.command()
def status(session: Session) -> None:
    """Where the store is, its schema, and how much it holds. Changes nothing."""
    from ffe_core.store.status import status as look

    with database_of(session) as database:
        found = look(database)
    session.emit(
        {
            "backend": found.backend,
            "location": found.location,
            "schema": found.schema,
            "newest_schema": found.newest_schema,
            "current": found.current,
            "decisions": found.decisions,
            "removed": found.removed,
            "events": found.events,
            "ledger_entries": found.ledger_entries,
            "outcomes": found.outcomes,
            "oldest": found.oldest,
            "newest": found.newest,
            "bytes": found.bytes,
            "journal_mode": found.journal_mode,
            "concerns": found.concerns,
        },
        lambda console: _print_status(console, found),
    )


def _print_status(console: Console, found: StoreStatus) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    schema = "none yet: it is made on first use" if found.schema is None else found.schema
    if found.backend == "postgresql" and found.schema is None:
        schema = "none yet: `ffe db upgrade` makes it"
    elif found.schema is not None and not found.current:
        schema += f", `ffe db upgrade` brings it to {found.newest_schema}"
    rows = [("store", f"{found.location} ({found.backend})"), ("schema", schema)]
    if found.current:
        span = f", {found.oldest:%Y-%m-%d} to {found.newest:%Y-%m-%d}" if found.oldest and found.newest else ""
        rows += [
            ("decisions", f"{found.decisions:,}{span}"),
            ("removed", f"{found.removed:,} older ones"),
            ("events", f"{found.events:,}"),
            ("ledger", f"{found.ledger_entries:,} entries"),
            ("outcomes", f"{found.outcomes:,}"),
            ("size", f"{found.bytes / 1_000_000:,.2f} MB"),
        ]
    rows += [("concern", concern) for concern in found.concerns]
    for name, value in rows:
        table.add_row(name, Text(value))
    console.print(table)


@db.command()
def upgrade(session: Session) -> None:
    """Bring the schema to this version's.

    A SQLite file is copied aside first. A PostgreSQL store that has no schema yet gets one.
    """
    with database_of(session) as database:
        done = database.upgrade()
    said = f"schema {done.before or 'none'} -> {done.after}" if done.changed else f"schema {done.after} is the newest"
    session.emit(
        {"before": done.before, "after": done.after, "changed": done.changed, "backup": done.backup},
        lambda console: _say(console, said + (f"; the older store is kept as {done.backup}" if done.backup else "")),
    )


@db.command()
@click.argument("path", type=FILE)
def backup(session: Session, path: Path) -> None:
    """Write the store as it is now into the new file PATH, and prove it whole.

    A SQLite file whatever the store is. Others may go on writing meanwhile.
    """
    from ffe_core.store.backup import back_up

    with database_of(session) as database:
        database.make_ready()
        made = back_up(database, path)
    session.emit(
        {"path": made.path.absolute(), "bytes": made.bytes, "decisions": made.chain.checked, "head": made.chain.head},
        lambda console: _say(
            console, f"{made.path}: {made.chain.checked:,} decisions, {made.bytes / 1_000_000:,.2f} MB, chain verified"
        ),
    )


@db.command()
@click.argument("path", type=FILE)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def restore(session: Session, path: Path, yes: bool) -> None:
    """Put the backup PATH in the store's place once it has proved whole.

    The present store is kept beside it under another name. A PostgreSQL store must be empty.
    """
    from ffe_core.errors import UsageError
    from ffe_core.store.backup import restore as put_back

    with database_of(session) as database:
        if not path.is_file():
            raise UsageError(f"there is no file {path}")
        if not yes:
            click.confirm(f"Replace the store at {database.location} by {path}?", abort=True, err=True)
        done = put_back(database, path)
    kept = f"; the one before is kept as {done.kept}" if done.kept else ""
    session.emit(
        {"location": done.location, "kept": done.kept, "decisions": done.chain.checked, "head": done.chain.head},
        lambda console: _say(console, f"{done.location}: {done.chain.checked:,} decisions, chain verified{kept}"),
    )


@db.command()
@click.option("--from", "source", metavar="URL", help="Read this store; default: the one of the settings.")
@click.option("--to", "target", required=True, metavar="URL", help="Write this one, which must be empty.")
def copy(session: Session, source: str | None, target: str) -> None:
    """Copy a whole store into another, empty one, and compare checksums.

    URL is postgresql://USER:PASSWORD@HOST/DATABASE, sqlite:////FOLDER/ffe.db, or the path of a SQLite file.
    """
    from ffe_core.errors import UsageError
    from ffe_core.store import Database
    from ffe_core.store.copy import copy_store, ready_target, row_count

    origin = Database.of(session.settings) if source is None else Database.at(source)
    with origin, Database.at(target) as goal:
        if origin.path is not None and not origin.path.exists():
            raise UsageError(f"there is no store at {origin.location}")
        origin.make_ready()
        if goal.location == origin.location:
            raise UsageError("the source and the target are the same store")
        ready_target(goal)
        with _progress(session, row_count(origin)) as advance:
            copied = copy_store(origin, goal, progress=advance)
    rows = [
        {"table": one.table, "rows": one.rows, "checksum": one.checksum, "copied_checksum": one.copied_checksum}
        for one in copied
    ]
    session.emit(
        {"from": origin.location, "to": goal.location, "tables": rows}, lambda console: _print_copy(console, copied)
    )


@contextmanager
def _progress(session: Session, total: int) -> Iterator[Callable[[int], object] | None]:
    if session.quiet or not stderr_is_terminal():
        yield None
        return
    from rich.progress import Progress

    with Progress(console=session.error_console, transient=True) as bar:
        task: Any = bar.add_task("rows", total=total)
        yield lambda rows: bar.advance(task, rows)


def _print_copy(console: Console, copied: Sequence[TableCopy]) -> None:
    from rich.table import Table

    table = Table("table", "rows", "checksum", "copied")
    for one in copied:
        table.add_row(one.table, f"{one.rows:,}", one.checksum[:16], one.copied_checksum[:16])
    console.print(table)
    console.print("every row reads back as it was written")


def _say(console: Console, text: str) -> None:
    """One line, unbroken: a path that is wrapped cannot be copied."""
    from rich.text import Text

    console.print(Text(text), soft_wrap=True)
