"""What a record is in the store: its canonical bytes, its columns, and the hash that links it to the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Any
from uuid import UUID

from ffe_core.domain.clock import require_utc
from ffe_core.store.tables import decisions
from ffe_core.store.types import time_text

_HASHES = ("hash", "previous_hash")


def link(rows: Sequence[dict[str, Any]], seq: int, head: str) -> None:
    """Numbers the rows and hashes each onto the one before, beginning behind ``head``."""
    for row in rows:
        seq += 1
        row["seq"], row["previous_hash"] = seq, head
        head = row["hash"] = record_hash(head, row["record"])


def record_hash(previous_hash: str, record: str) -> str:
    """SHA-256 over the hash before and the record's canonical JSON, in hexadecimal."""
    return hashlib.sha256(previous_hash.encode() + record.encode()).hexdigest()


def without_hashes(record: Mapping[str, Any]) -> dict[str, Any]:
    decision = {name: value for name, value in record["decision"].items() if name not in _HASHES}
    return {**{name: value for name, value in record.items() if name not in _HASHES}, "decision": decision}


def spelled(value: Any) -> bytes:
    """``canonical_json`` of what is plain already, without walking it once more in Python."""
    # Imported late: the codec brings every domain class with it, which a list of decisions does without.
    from ffe_core.domain.codec import plain

    return json.dumps(
        value, default=plain, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")
    ).encode()


def columns_of(decision: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that repeat what the record says. Raises ``KeyError``, ``TypeError``, ``ValueError``."""
    return {
        "id": decision["id"],
        "created_at": require_utc(datetime.fromisoformat(decision["created_at"])),
        "as_of": require_utc(datetime.fromisoformat(decision["as_of"])),
        "asset_pair": decision["asset_pair"],
        "action": decision["action"],
        "confidence": decision["confidence"],
        "mode": decision["mode"],
        "effect": decision["effect"],
        "signal_only": decision["signal_only"],
        "vetoed": decision["vetoed"],
        "synthetic": decision["market"]["synthetic"],
    }


def row_of(record: Mapping[str, Any]) -> dict[str, Any]:
    try:
        stripped = without_hashes(record)
        columns = columns_of(stripped["decision"])
        if UUID(columns["id"]).version != 4 or str(UUID(columns["id"])) != columns["id"]:
            raise ValueError(f"id {columns['id']!r} is no UUID of version 4 in lower case")
        text = spelled(stripped)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a decision record: {type(error).__name__} {error}") from error
    return {**columns, "bytes": len(text), "record": text.decode()}


def driver_values(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A row in the order of the table's columns, as the sqlite3 module takes it."""
    values: tuple[Any, ...] = _in_order(
        {**row, "created_at": time_text(row["created_at"]), "as_of": time_text(row["as_of"])}
    )
    return values


_in_order = itemgetter(*decisions.columns.keys())
