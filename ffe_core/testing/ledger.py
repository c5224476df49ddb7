"""Ledgers in memory that keep the promises of the stored ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock

from ffe_core.domain.ledger import LedgerEntry, LedgerKey, numbered
from ffe_core.domain.trading import Mode
from ffe_core.errors import SafetyRefusal


class MemoryLedger:
    """One account's entries; writers wait for each other, and what a failed block wrote is undone."""

    def __init__(self) -> None:
        self._entries: list[LedgerEntry] = []
        self._lock = RLock()

    def read(self, *, after: int = 0) -> list[LedgerEntry]:
        return self._entries[after:]

    def append(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        with self.locked() as book:
            return book.append(entries)

    @contextmanager
    def locked(self) -> Iterator[MemoryBook]:
        with self._lock:
            book = MemoryBook(self._entries)
            yield book
            self._entries = book.entries()


class MemoryBook:
    """A ledger's entries while they are held; read by others only once the block has ended well."""

    def __init__(self, entries: Iterable[LedgerEntry]) -> None:
        self._entries = list(entries)

    def entries(self) -> list[LedgerEntry]:
        return list(self._entries)

    def append(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        known = {(entry.fill_id, entry.kind): entry for entry in self._entries if entry.fill_id is not None}
        added = numbered(entries, known, len(self._entries))
        self._entries += added
        return added


class MemoryLedgers:
    """What ``context.ledger`` is in a test: asked twice for the same account, it hands out the same ledger."""

    def __init__(self, plugin: str = "test", mode: Mode = Mode.PAPER) -> None:
        self._plugin = plugin
        self._mode = mode
        self._ledgers: dict[LedgerKey, MemoryLedger] = {}

    def __call__(self, account: str, *, synthetic: bool, mode: Mode | None = None) -> MemoryLedger:
        if mode is Mode.LIVE and self._mode is Mode.PAPER:
            raise SafetyRefusal(f"plugin {self._plugin} asks for a ledger of real money in paper mode")
        key = LedgerKey(mode or self._mode, self._plugin, account, synthetic)
        return self._ledgers.setdefault(key, MemoryLedger())
