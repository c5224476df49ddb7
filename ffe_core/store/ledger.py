"""The ledger of an account: entries are appended, never changed, and a fill that is reported twice counts once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, insert, select

from ffe_core.domain.clock import require_utc
from ffe_core.errors import StoreError
from ffe_core.store.database import Database
from ffe_core.store.tables import ledger_entries

if TYPE_CHECKING:
    from ffe_core.domain.trading import Mode


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """Whose ledger: what was opened on synthetic prices never meets what was opened on real ones."""

    mode: Mode
    platform: str
    account: str
    synthetic: bool


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement: ``quantity`` of ``asset`` came (or went, below zero) and ``amount`` of ``currency`` with it.

    Both sides are signed from the account's view: a purchase has a quantity above and an amount below zero, a deposit
    an amount alone. ``(fill_id, kind)`` is unique within a ledger. ``seq`` is given by the store, from one up.
    """

    at: datetime
    kind: str
    amount: Decimal
    currency: str
    asset: str | None = None
    quantity: Decimal = Decimal(0)
    price: Decimal | None = None
    fill_id: str | None = None
    order_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_utc(self.at))


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
        held = self.entries()
        known: dict[tuple[str | None, str], LedgerEntry] = {
            (entry.fill_id, entry.kind): entry for entry in held if entry.fill_id is not None
        }
        added: list[LedgerEntry] = []
        for entry in entries:
            twin = known.get((entry.fill_id, entry.kind))
            if twin is not None:
                if replace(entry, seq=twin.seq) != twin:
                    raise StoreError(f"fill {entry.fill_id} is in the ledger with another content")
                continue
            numbered = replace(entry, seq=len(held) + len(added) + 1)
            if numbered.fill_id is not None:
                known[numbered.fill_id, numbered.kind] = numbered
            added.append(numbered)
        if added:
            self._connection.execute(insert(ledger_entries), [_row(self._key, entry) for entry in added])
        return added


class Ledger:
    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, key: LedgerKey) -> list[LedgerEntry]:
        """Every entry of one ledger, oldest first."""
        with self._database.reading() as connection:
            return _read(connection, key)

    def append(self, key: LedgerKey, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Writes entries, all or none, durably; those whose fill is known already are left out."""
        with self.locked(key) as book:
            return book.append(entries)

    @contextmanager
    def locked(self, key: LedgerKey) -> Iterator[Book]:
        """The ledger for reading and writing with every other writer waiting; undone where the block raises."""
        with self._database.writing() as connection:
            yield Book(connection, key)


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


def _read(connection: Connection, key: LedgerKey) -> list[LedgerEntry]:
    rows = connection.execute(_ENTRIES.where(_of(key))).mappings()
    return [LedgerEntry(**{**row, "detail": json.loads(row["detail"])}) for row in rows]


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
