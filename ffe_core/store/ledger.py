"""The ledger of an account: entries are appended, never changed, and a fill that is reported twice counts once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import batched
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select

from ffe_core.domain.ledger import LedgerEntry, LedgerKey, numbered
from ffe_core.store.database import Database
from ffe_core.store.tables import ledger_entries

#: fills that one query asks for: databases limit the values of a statement
_FILLS_AT_ONCE = 1000


class Book:
    """One ledger while its writer holds it: what is read here is still true when it is written."""

    def __init__(self, connection: Connection, key: LedgerKey) -> None:
        self._connection = connection
        self._key = key

    def entries(self) -> list[LedgerEntry]:
        return _read(self._connection, self._key)

    def append(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Writes the entries and returns those that were new, numbered.

        Raises ``StoreError`` where a known fill comes again with another content.
        """
        wanted = list(entries)
        added = numbered(wanted, self._known(wanted), self._last())
        if added:
            self._connection.execute(insert(ledger_entries), [_row(self._key, entry) for entry in added])
        return added

    def _known(self, wanted: Iterable[LedgerEntry]) -> dict[tuple[str, str], LedgerEntry]:
        fills = dict.fromkeys(entry.fill_id for entry in wanted if entry.fill_id is not None)
        found: dict[tuple[str, str], LedgerEntry] = {}
        for some in batched(fills, _FILLS_AT_ONCE):
            for entry in _read(self._connection, self._key, ledger_entries.c.fill_id.in_(some)):
                found[str(entry.fill_id), entry.kind] = entry
        return found

    def _last(self) -> int:
        newest = select(func.max(ledger_entries.c.seq)).where(_of(self._key))
        return self._connection.execute(newest).scalar_one() or 0


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, key: LedgerKey, *, after: int = 0) -> list[LedgerEntry]:
        """The entries of one ledger with a number above ``after``, oldest first."""
        with self._database.reading() as connection:
            return _read(connection, key, ledger_entries.c.seq > after)

    def append(self, key: LedgerKey, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Writes entries, all or none, durably; those whose fill is known already are left out."""
        with self.locked(key) as book:
            return book.append(entries)

    @contextmanager
    def locked(self, key: LedgerKey) -> Iterator[Book]:
        """The ledger for reading and writing with every other writer waiting; undone where the block raises."""
        with self._database.writing() as connection:
            yield Book(connection, key)


# In the order of the entry's fields.
_COLUMNS = ("at", "kind", "amount", "currency", "asset", "quantity", "price", "fill_id", "order_id", "detail", "seq")
_ENTRIES = select(*(ledger_entries.c[name] for name in _COLUMNS)).order_by(ledger_entries.c.seq)


def _of(key: LedgerKey) -> ColumnElement[bool]:
    columns = ledger_entries.c
    return and_(
        columns.mode == key.mode.value,
        columns.platform == key.platform,
        columns.account == key.account,
        columns.synthetic == key.synthetic,
    )


def _read(connection: Connection, key: LedgerKey, *which: ColumnElement[bool]) -> list[LedgerEntry]:
    rows = connection.execute(_ENTRIES.where(_of(key), *which))
    return [_entry(tuple(row)) for row in rows]


def _entry(row: tuple[Any, ...]) -> LedgerEntry:
    *most, detail, seq = row
    return LedgerEntry(*[*most, json.loads(detail) if detail != "{}" else {}, seq])


def _row(key: LedgerKey, entry: LedgerEntry) -> dict[str, Any]:
    columns = {name: getattr(entry, name) for name in _COLUMNS}
    from ffe_core.domain.codec import canonical_json

    columns["detail"] = canonical_json(entry.detail).decode()
    return {
        **columns,
        "mode": key.mode.value,
        "platform": key.platform,
        "account": key.account,
        "synthetic": key.synthetic,
    }
