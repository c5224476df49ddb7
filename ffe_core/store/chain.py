"""Whether the chain of decisions is whole: every record as it was written, in its place, none missing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from ffe_core.store.repository import Store
from ffe_core.store.rows import columns_of, record_hash
from ffe_core.store.tables import GENESIS, chain_head, checkpoints, decisions

_PAGE = 500
_START = '"decision":{'
_COLUMNS = select(*(column for column in decisions.c if column.name != "bytes")).order_by(decisions.c.seq)
_decode = json.JSONDecoder().raw_decode


@dataclass(frozen=True, slots=True)
class Break:
    """The first place where the chain does not hold: number in the chain, decision id where there is one, why."""

    seq: int
    id: str | None
    why: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """``checked`` records hold, behind ``removed`` older ones a checkpoint stands for; ``head`` is the last hash."""

    checked: int
    removed: int
    head: str
    broken: Break | None = None

    @property
    def ok(self) -> bool:
        return self.broken is None


@dataclass(frozen=True, slots=True)
class _Anchor:
    seq: int
    hash: str
    at: datetime | None


def verify(store: Store) -> ChainReport:
    """Reads the whole chain once, in one snapshot, and stops at the first record that does not hold."""
    with store.database.reading() as connection:
        return verify_on(connection)


def verify_on(connection: Connection) -> ChainReport:
    anchor = _anchor(connection)
    seq, head, checked = anchor.seq, anchor.hash, 0
    with connection.execution_options(yield_per=_PAGE).execute(_COLUMNS) as rows:
        for row in rows:
            why = _why_broken(row, seq, head, anchor)
            if why is not None:
                return ChainReport(checked, anchor.seq, head, Break(*why))
            seq, head, checked = row.seq, row.hash, checked + 1
    return ChainReport(checked, anchor.seq, head, _head_break(connection, seq, head, anchor))


def _anchor(connection: Connection) -> _Anchor:
    """Where the records that are left begin: behind the newest checkpoint, or at the very start."""
    row = connection.execute(select(checkpoints).order_by(checkpoints.c.seq.desc()).limit(1)).one_or_none()
    return _Anchor(0, GENESIS, None) if row is None else _Anchor(row.seq, row.hash, row.at)


def _why_broken(row: Row[Any], seq: int, head: str, anchor: _Anchor) -> tuple[int, str | None, str] | None:
    if row.seq <= seq:
        return row.seq, row.id, "it lies before the checkpoint that stands for the removed records"
    if row.seq != seq + 1:
        missing = "record is" if row.seq == seq + 2 else f"{row.seq - seq - 1} records are"
        return seq + 1, None, f"{missing} missing before {row.id}"
    if row.previous_hash != head:
        before = "the checkpoint" if anchor.at is not None and seq == anchor.seq else "the record before it"
        return row.seq, row.id, f"it does not follow {before}"
    if record_hash(row.previous_hash, row.record) != row.hash:
        return row.seq, row.id, "its content is not what its hash was made of"
    differing = _differing_column(row)
    return None if differing is None else (row.seq, row.id, f"its column {differing} contradicts its record")


def _differing_column(row: Row[Any]) -> str | None:
    """The column that was changed beside an intact record. The record's inputs, its bulk, are not parsed for that."""
    try:
        decision, _end = _decode(row.record, row.record.index(_START) + len(_START) - 1)
        if _matches(row, decision):
            return None
    except (KeyError, TypeError, ValueError):
        pass
    # What was found first need not be the record's own decision: now at leisure, from the whole of it.
    try:
        said = columns_of(json.loads(row.record)["decision"])
    except (KeyError, TypeError, ValueError):
        return "record"
    return next((name for name, value in said.items() if getattr(row, name) != value), None)


def _matches(row: Row[Any], decision: dict[str, Any]) -> bool:
    return all(getattr(row, name) == value for name, value in columns_of(decision).items())


def _head_break(connection: Connection, seq: int, head: str, anchor: _Anchor) -> Break | None:
    row = connection.execute(select(chain_head.c.seq, chain_head.c.hash)).one_or_none()
    if row is None:
        return Break(seq, None, "the row that names the chain's head is missing")
    if row.seq > seq:
        lost = row.seq - seq
        return Break(seq + 1, None, f"the newest {lost} of {row.seq} records {'is' if lost == 1 else 'are'} missing")
    if row.seq < seq:
        return Break(row.seq + 1, None, f"the chain's head counts {row.seq} records, there are {seq}")
    if row.hash != head:
        what = "the checkpoint" if seq == anchor.seq and seq else "the newest record"
        return Break(seq, None, f"the chain's head and {what} name different hashes")
    return None
