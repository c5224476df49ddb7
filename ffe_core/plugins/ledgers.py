"""The store of a run, and the ledgers in it that plugins are lent."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

from ffe_core.domain.clock import Clock
from ffe_core.domain.ledger import LedgerEntry, LedgerKey
from ffe_core.domain.trading import Mode
from ffe_core.errors import SafetyRefusal, StoreError
from ffe_core.hookspecs import AccountLedger, LedgerBook, Ledgers, no_ledgers

if TYPE_CHECKING:
    from ffe_core.settings import Settings
    from ffe_core.store import Store


class SharedStore:
    """One store for the engine's decisions and the plugins' ledgers, opened by whoever needs it first."""

    def __init__(self, settings: Settings | None = None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock
        self._lock = Lock()
        self._store: Store | None = None

    def use(self, store: Store) -> None:
        """Takes this one instead of the one that settings name."""
        self._store = store

    def open(self) -> Store:
        """Raises ``StoreError``, ``UsageError``."""
        from ffe_core.store import Store

        with self._lock:
            if self._store is None:
                if self._settings is None:
                    raise StoreError("there are no settings that name a store")
                self._store = Store.open(self._settings, self._clock)
            return self._store

    def if_there(self) -> Store | None:
        """As ``open``; ``None`` where that would have to make an embedded store."""
        return self.open() if self._store is not None or self._exists() else None

    def _exists(self) -> bool:
        from ffe_core.store.database import Database, has_content

        if self._settings is None:
            return False
        path = Database.of(self._settings).path
        return path is None or has_content(path)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def ledgers_of(self, plugin: str) -> Ledgers:
        """What ``plugin`` is lent as ``context.ledger``: its own accounts, of the run's kind of money."""
        if self._settings is None:
            return no_ledgers
        run = self._settings.mode

        def ledger(account: str, *, synthetic: bool, mode: Mode | None = None) -> AccountLedger:
            if mode is Mode.LIVE and run is Mode.PAPER:
                raise SafetyRefusal(f"plugin {plugin} asks for a ledger of real money in paper mode")
            return StoredLedger(self, LedgerKey(mode or run, plugin, account, synthetic))

        return ledger


@dataclass(frozen=True, slots=True)
class StoredLedger:
    """One account's ledger in the store of the run."""

    shared: SharedStore
    key: LedgerKey

    def read(self, *, after: int = 0) -> list[LedgerEntry]:
        store = self.shared.if_there()
        return [] if store is None else store.ledger.read(self.key, after=after)

    def append(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        return self.shared.open().ledger.append(self.key, entries)

    def locked(self) -> AbstractContextManager[LedgerBook]:
        return self.shared.open().ledger.locked(self.key)
