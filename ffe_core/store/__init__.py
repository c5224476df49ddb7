"""The record: decisions in a hash chain, what happened to them, and the ledger, on SQLite or PostgreSQL."""

from __future__ import annotations

from ffe_core.domain.ledger import LedgerEntry, LedgerKey
from ffe_core.store.database import Database
from ffe_core.store.ledger import Book, Ledger
from ffe_core.store.repository import (
    Batch,
    DecisionEvent,
    DecisionSummary,
    Removal,
    Store,
    StoredDecision,
    StoredRecord,
)

__all__ = [
    "Batch",
    "Book",
    "Database",
    "DecisionEvent",
    "DecisionSummary",
    "Ledger",
    "LedgerEntry",
    "LedgerKey",
    "Removal",
    "Store",
    "StoredDecision",
    "StoredRecord",
]
