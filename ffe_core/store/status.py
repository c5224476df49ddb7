"""What is to be known about a store without reading its records: where, which schema, how much, how safe."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from ffe_core.store.database import Database, has_content, network_filesystem
from ffe_core.store.tables import HEAD, checkpoints, decision_events, decisions, ledger_entries, outcomes


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """``schema`` is None where there is no store yet; counts are zero then. Sizes in bytes."""

    backend: str
    location: str
    schema: str | None
    newest_schema: str
    decisions: int = 0
    removed: int = 0
    events: int = 0
    ledger_entries: int = 0
    outcomes: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    bytes: int = 0
    journal_mode: str | None = None
    concerns: tuple[str, ...] = ()

    @property
    def current(self) -> bool:
        return self.schema == self.newest_schema


def status(database: Database) -> StoreStatus:
    """Looks and changes nothing. Raises ``StoreError`` where the store cannot be read."""
    backend = "sqlite" if database.is_sqlite else "postgresql"
    concerns = tuple(file_concerns(database))
    if database.path is not None and not has_content(database.path):
        return StoreStatus(backend, database.location, None, HEAD, concerns=concerns)
    schema = database.version()
    if schema != HEAD:
        return StoreStatus(backend, database.location, schema, HEAD, concerns=concerns)
    with database.reading() as connection:
        count, oldest, newest = connection.execute(
            select(func.count(), func.min(decisions.c.created_at), func.max(decisions.c.created_at))
        ).one()
        removed = connection.execute(select(func.max(checkpoints.c.seq))).scalar_one()
        events, entries, resolved = (
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (decision_events, ledger_entries, outcomes)
        )
        return StoreStatus(
            backend,
            database.location,
            schema,
            HEAD,
            int(count),
            int(removed or 0),
            int(events),
            int(entries),
            int(resolved),
            oldest,
            newest,
            _size(connection, database),
            connection.execute(text("PRAGMA journal_mode")).scalar_one() if database.is_sqlite else None,
            concerns,
        )


def _size(connection: Connection, database: Database) -> int:
    if database.path is not None:
        parts = (database.path.with_name(database.path.name + suffix) for suffix in ("", "-wal"))
        return sum(part.stat().st_size for part in parts if part.exists())
    sizes = select(func.sum(func.pg_total_relation_size(text("oid")))).select_from(text("pg_class"))
    ours = text("relkind = 'r' AND relnamespace = to_regnamespace(current_schema())")
    return int(connection.execute(sizes.where(ours)).scalar_one() or 0)


def file_concerns(database: Database) -> list[str]:
    """What ``ffe doctor`` warns of: a network file system, or a file or folder that others may read."""
    path = database.path
    if path is None:
        return []
    concerns = []
    kind = network_filesystem(path.parent)
    if kind is not None:
        concerns.append(f"{path.parent} is a {kind} network file system, where locks cannot be relied on; set FFE_HOME")
    for place, allowed in ((path, 0o600), (path.parent, 0o700)):
        if place.exists() and stat.S_IMODE(place.stat().st_mode) & ~allowed:
            concerns.append(f"{place} is open to other users; chmod {allowed:o} it")
    return concerns
