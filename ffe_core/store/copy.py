"""A whole store into another, empty one: SQLite to PostgreSQL and back, row for row, with checksums on both sides."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, Text, func, insert, select, update

from ffe_core.errors import StoreError, UsageError, VerificationFailed
from ffe_core.store.database import Database
from ffe_core.store.rows import spelled
from ffe_core.store.tables import COPIED, chain_head

_PAGE = 1000


@dataclass(frozen=True, slots=True)
class TableCopy:
    """One table on both sides: rows, and the SHA-256 of their canonical JSON in the order of their keys."""

    table: str
    rows: int
    checksum: str
    copied_checksum: str

    @property
    def equal(self) -> bool:
        return self.checksum == self.copied_checksum


def copy_store(
    source: Database, target: Database, *, progress: Callable[[int], object] | None = None
) -> list[TableCopy]:
    """Copies every row of one snapshot of ``source``; ``progress`` hears of each page's rows.

    Raises ``UsageError`` where the target holds anything, ``VerificationFailed`` where it reads back otherwise; the
    target is then left as it was.
    """
    if source.location == target.location:
        raise UsageError("the source and the target are the same store")
    with source.reading() as reader, target.writing() as writer:
        _require_empty(writer, target.location)
        copied = [_copy_table(reader, writer, table, progress) for table in (*COPIED, chain_head)]
        torn = [one.table for one in copied if not one.equal]
        if torn:
            raise VerificationFailed(f"{', '.join(torn)} read back otherwise than written; nothing was copied")
    return copied


def row_count(database: Database) -> int:
    """How many rows there are to copy."""
    with database.reading() as connection:
        return sum(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in COPIED)


def _require_empty(connection: Connection, location: str) -> None:
    if connection.execute(select(chain_head.c.seq)).scalar_one_or_none() != 0:
        raise UsageError(f"{location} already holds a chain", hint="copy into a new database")
    for table in COPIED:
        if connection.execute(select(table).limit(1)).first() is not None:
            raise UsageError(f"{location} already holds {table.name}", hint="copy into a new database")


def _copy_table(
    reader: Connection, writer: Connection, table: Table, progress: Callable[[int], object] | None
) -> TableCopy:
    digest, rows = hashlib.sha256(), 0
    for page in _pages(reader, table):
        digest.update(_spelling(page))
        values = [dict(row._mapping) for row in page]
        if table is chain_head:
            writer.execute(update(table).where(table.c.id == 1).values(values[0]))
        else:
            writer.execute(insert(table), values)
        rows += len(page)
        if progress is not None and table is not chain_head:
            progress(len(page))
    return TableCopy(table.name, rows, digest.hexdigest(), checksum(writer, table))


def checksum(connection: Connection, table: Table) -> str:
    """The SHA-256 of a table's rows, the same on either database for the same rows."""
    digest = hashlib.sha256()
    for page in _pages(connection, table):
        digest.update(_spelling(page))
    return digest.hexdigest()


def _pages(connection: Connection, table: Table) -> Iterator[list[Row[Any]]]:
    query = select(table).order_by(*(_bytewise(column, connection) for column in table.primary_key))
    with connection.execute(query, execution_options={"yield_per": _PAGE}) as result:
        for page in result.partitions():
            yield list(page)


def _bytewise(column: ColumnElement[Any], connection: Connection) -> ColumnElement[Any]:
    # SQLite compares bytes; a PostgreSQL server sorts by its own language unless told otherwise.
    textual = isinstance(column.type, Text) and connection.dialect.name == "postgresql"
    return column.collate("C") if textual else column


def _spelling(page: list[Row[Any]]) -> bytes:
    return b"".join(spelled(tuple(row)) + b"\n" for row in page)


def ready_target(database: Database) -> None:
    """Makes an empty target usable: its schema is made where there is none. Raises ``StoreError`` for an older one."""
    if database.is_sqlite or database.version() is not None:
        database.make_ready()
        return
    upgrade = database.upgrade()
    if not upgrade.changed:
        raise StoreError(f"no schema could be made at {database.location}")
