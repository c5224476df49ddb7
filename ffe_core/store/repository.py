"""Decisions in and out of the store: appended to the chain, found by id or by recency, never changed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, insert, select, update

from ffe_core.errors import SafetyRefusal, StoreError, UsageError
from ffe_core.store.database import Database
from ffe_core.store.ledger import Ledger
from ffe_core.store.outcomes import Outcomes
from ffe_core.store.risk import EquityMarks, Reservations, StateLog
from ffe_core.store.rows import driver_values, link, row_of, spelled
from ffe_core.store.tables import chain_head, checkpoints, decision_events, decisions, outcomes

if TYPE_CHECKING:
    from ffe_core.domain.clock import Clock
    from ffe_core.domain.decisions import Decision, Outcome
    from ffe_core.settings import Settings

EVENT_KINDS = ("executed", "approved", "modified")

# Rows per statement of a bulk insert: enough to hide the statement's cost, little enough to hold in memory.
_BATCH = 1000
# Whole records that are held at once where all of them are gone through.
_PAGE = 100


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """Where a decision stands in the chain; ``seq`` counts from one and never restarts."""

    id: str
    seq: int
    hash: str
    previous_hash: str


class DecisionSummary(NamedTuple):
    """What lists show of a decision, read from columns: no record is parsed."""

    seq: int
    id: str
    created_at: datetime
    as_of: datetime
    asset_pair: str
    action: str
    confidence: int
    mode: str
    effect: str
    signal_only: bool
    vetoed: bool
    synthetic: bool
    executed: bool


@dataclass(frozen=True, slots=True)
class DecisionEvent:
    kind: str
    at: datetime
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class StoredRecord:
    """A whole record as it was stored. ``text`` is the canonical JSON that ``hash`` is made of."""

    id: str
    seq: int
    hash: str
    previous_hash: str
    text: str
    events: tuple[DecisionEvent, ...] = ()

    @cached_property
    def record(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed

    @cached_property
    def decision(self) -> Decision:
        """The decision with its hashes. Raises ``StoreError`` where the record does not hold one."""
        from ffe_core.domain.codec import restore
        from ffe_core.domain.decisions import Decision

        try:
            return restore(
                Decision, {**self.record["decision"], "hash": self.hash, "previous_hash": self.previous_hash}
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the record of {self.id} holds no decision: {error}") from error

    @property
    def inputs(self) -> dict[str, Any]:
        inputs: dict[str, Any] = self.record.get("inputs", {})
        return inputs

    @property
    def executed(self) -> bool:
        return any(event.kind == "executed" for event in self.events)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records made ready for the chain as it stood: rows, and the head they build on."""

    rows: tuple[dict[str, Any], ...]
    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Removal:
    """What retention takes away: so many decisions, up to chain number ``upto``, holding ``bytes`` of records."""

    decisions: int
    bytes: int
    upto: int
    remaining: int
    done: bool


class Store:
    """The decisions, their events and outcomes, the ledger, and what risk remembers, of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = Ledger(database)
        self._outcomes = Outcomes(database)
        self.states = StateLog(database)
        self.marks = EquityMarks(database)
        self.reservations = Reservations(database)

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Store:
        """The store that the settings name, ready for use. Raises ``StoreError``, ``UsageError``."""
        return cls(Database.of(settings, clock=clock).made_ready())

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Writing

    def append(self, record: Mapping[str, Any]) -> StoredDecision:
        """Adds one record to the chain, durably before this returns. Raises ``ValueError``, ``StoreError``."""
        return self.append_many([record])[0]

    def append_many(self, records: Iterable[Mapping[str, Any]]) -> list[StoredDecision]:
        """Adds records in their order, all or none. Raises as ``append`` does."""
        rows = [row_of(record) for record in records]
        return self._write(rows, None)

    def prepare(self, records: Iterable[Mapping[str, Any]]) -> Batch:
        """The records' JSON and hashes, computed before ``append_prepared`` makes other writers wait."""
        rows = [row_of(record) for record in records]
        with self.database.reading() as connection:
            seq, head = _head(connection)
        link(rows, seq, head)
        return Batch(tuple(rows), seq, head)

    def append_prepared(self, batch: Batch) -> list[StoredDecision]:
        """Adds a prepared batch; where others wrote meanwhile, its hashes are computed again."""
        return self._write(list(batch.rows), (batch.seq, batch.hash))

    def _write(self, rows: list[dict[str, Any]], linked_to: tuple[int, str] | None) -> list[StoredDecision]:
        if not rows:
            return []
        with self.database.writing() as connection:
            head = _head(connection)
            if head != linked_to:
                link(rows, *head)
            for start in range(0, len(rows), _BATCH):
                self._insert(connection, rows[start : start + _BATCH])
            connection.execute(_ADVANCE, {"new_seq": rows[-1]["seq"], "new_hash": rows[-1]["hash"]})
        return [StoredDecision(row["id"], row["seq"], row["hash"], row["previous_hash"]) for row in rows]

    @cached_property
    def _insert_text(self) -> str:
        return str(_INSERT.compile(dialect=self.database.engine.dialect))

    def _insert(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        if self.database.is_sqlite:
            # Core's statement with the driver's own values: half the time of having each of them converted.
            connection.exec_driver_sql(self._insert_text, [driver_values(row) for row in rows])
        else:
            connection.execute(_INSERT, rows)

    def add_event(self, decision_id: str, kind: str, detail: Mapping[str, Any] | None = None) -> DecisionEvent:
        """Notes what happened to a decision: ``executed`` (once), ``approved`` or ``modified``.

        Raises ``SafetyRefusal`` where it was executed already, ``UsageError`` for an unknown id.
        """
        if kind not in EVENT_KINDS:
            raise ValueError(f"{kind!r} is none of {', '.join(EVENT_KINDS)}")
        happened = DecisionEvent(kind, self.database.clock.now(), dict(detail or {}))
        with self.database.writing() as connection:
            seq = _find(connection, decision_id)
            events = _events(connection, seq)
            if kind == "executed" and any(event.kind == "executed" for event in events):
                raise SafetyRefusal(f"decision {decision_id} was already executed", hint=f"ffe show {decision_id}")
            connection.execute(
                insert(decision_events),
                {
                    "decision_seq": seq,
                    "number": len(events) + 1,
                    "kind": kind,
                    "at": happened.at,
                    "detail": spelled(happened.detail).decode(),
                },
            )
        return happened

    # Reading

    def count(self, asset: str | None = None) -> int:
        query = select(func.count()).select_from(decisions)
        if asset is not None:
            query = query.where(decisions.c.asset_pair == asset)
        with self.database.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def latest(self, limit: int = 10, asset: str | None = None) -> list[DecisionSummary]:
        """The newest decisions first, of one canonical symbol or of all. Raises ``UsageError`` below one."""
        if limit < 1:
            raise UsageError(f"a limit of {limit} shows nothing", hint="1 or more")
        query, given = (
            (_LATEST, {"limit": limit}) if asset is None else (_LATEST_OF_ASSET, {"limit": limit, "asset": asset})
        )
        with self.database.reading() as connection:
            rows = connection.execute(query, given).all()
        return [DecisionSummary._make(row) for row in rows]

    def get(self, id_or_prefix: str) -> StoredRecord:
        """The whole record by its id or the beginning of it. Raises ``UsageError`` unless exactly one fits."""
        with self.database.reading() as connection:
            seq = _find(connection, id_or_prefix)
            row = connection.execute(_WHOLE.where(decisions.c.seq == seq)).one()
            return replace(StoredRecord(*tuple(row)), events=_events(connection, seq))

    def newest(self, limit: int, asset: str | None = None) -> list[StoredRecord]:
        """Whole records, newest first, without their events."""
        query = _WHOLE if asset is None else _WHOLE.where(decisions.c.asset_pair == asset)
        with self.database.reading() as connection:
            rows = connection.execute(query.order_by(decisions.c.seq.desc()).limit(limit)).all()
        return [StoredRecord(*tuple(row)) for row in rows]

    def head(self) -> tuple[int, str]:
        """The chain's length, removed records included, and its newest hash."""
        with self.database.reading() as connection:
            return _head(connection)

    # Outcomes

    def record_outcome(self, outcome: Outcome) -> bool:
        """Keeps what came of a decision, once per kind; False where the same was known already.

        Raises ``StoreError`` where something else is known, or the decision is here and disagrees; ``ValueError``.
        """
        return bool(self.record_outcomes([outcome]))

    def record_outcomes(
        self, made: Iterable[Outcome], *, on_conflict: Callable[[Mapping[int, str]], object] | None = None
    ) -> list[Outcome]:
        """As ``record_outcome``, all or none, and returns the new ones; see ``Outcomes.record``."""
        return self._outcomes.record(made, on_conflict=on_conflict)

    def outcomes(
        self,
        *,
        until: datetime | None = None,
        limit: int | None = None,
        synthetic: bool | None = None,
        asset: str | None = None,
    ) -> list[Outcome]:
        """What came of decisions, newest first by ``resolved_at``, and none that was resolved after ``until``."""
        return self._outcomes.read(until=until, limit=limit, synthetic=synthetic, asset=asset)

    def unresolved(self, kind: str) -> Iterator[StoredRecord]:
        """The decisions without an outcome of ``kind``, whole and oldest first, read a page at a time."""
        resolved = exists().where(outcomes.c.decision_id == decisions.c.id, outcomes.c.kind == kind)
        query, after = _WHOLE.where(~resolved).order_by(decisions.c.seq).limit(_PAGE), 0
        while True:
            with self.database.reading() as connection:
                page = [StoredRecord(*tuple(row)) for row in connection.execute(query.where(decisions.c.seq > after))]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1].seq

    # Retention

    def retain(
        self,
        *,
        keep: int | None = None,
        older_than: float | None = None,
        max_bytes: int | None = None,
        dry_run: bool = False,
    ) -> Removal:
        """Removes the oldest decisions until every given limit holds, and leaves a checkpoint for the chain.

        ``keep`` counts decisions, ``older_than`` is days since they were made, ``max_bytes`` the size of their
        records. Always a whole prefix: the first decision young enough protects those behind it. Outcomes and
        money rows stay.
        """
        for name, value in (("keep", keep), ("older_than", older_than), ("max_bytes", max_bytes)):
            if value is not None and value < 0:
                raise UsageError(f"{name} {value} is below zero")
        cuts = []
        with self.database.writing() as connection:
            if keep is not None:
                cuts.append(_seq_behind(connection, keep))
            if older_than is not None:
                cuts.append(_seq_before(connection, self.database.clock.now() - timedelta(days=older_than)))
            if max_bytes is not None:
                cuts.append(_seq_over(connection, max_bytes))
            return self._remove(connection, max(cuts, default=0), dry_run=dry_run)

    def wipe(self, *, dry_run: bool = False) -> Removal:
        """Removes every decision; the checkpoint lets the chain go on."""
        return self.retain(keep=0, dry_run=dry_run)

    def remove_first(self, upto: int) -> Removal:
        """Removes every decision up to this number of the chain; one in the middle cannot go alone."""
        with self.database.writing() as connection:
            newest = connection.execute(select(func.max(decisions.c.seq))).scalar_one() or 0
            return self._remove(connection, min(upto, newest), dry_run=False)

    def _remove(self, connection: Connection, upto: int, *, dry_run: bool) -> Removal:
        gone = decisions.c.seq <= upto
        count, size = connection.execute(
            select(func.count(), func.coalesce(func.sum(decisions.c.bytes), 0)).where(gone)
        ).one()
        remaining = connection.execute(select(func.count()).select_from(decisions).where(~gone)).scalar_one()
        removal = Removal(int(count), int(size), upto, int(remaining), done=bool(count) and not dry_run)
        if removal.done:
            last = connection.execute(select(decisions.c.hash).where(decisions.c.seq == upto)).scalar_one()
            connection.execute(
                insert(checkpoints),
                {"seq": upto, "hash": last, "removed": count, "at": self.database.clock.now()},
            )
            connection.execute(delete(decision_events).where(decision_events.c.decision_seq <= upto))
            connection.execute(delete(decisions).where(gone))
        return removal


# Statements


_INSERT = insert(decisions)
_HEAD = select(chain_head.c.seq, chain_head.c.hash).where(chain_head.c.id == 1)
_EXECUTED = exists().where(decision_events.c.decision_seq == decisions.c.seq, decision_events.c.kind == "executed")
_LATEST = (
    select(
        *(decisions.c[name] for name in DecisionSummary._fields if name != "executed"),
        _EXECUTED.label("executed"),
    )
    .order_by(decisions.c.seq.desc())
    .limit(bindparam("limit"))
)
_LATEST_OF_ASSET = _LATEST.where(decisions.c.asset_pair == bindparam("asset"))
_WHOLE = select(decisions.c.id, decisions.c.seq, decisions.c.hash, decisions.c.previous_hash, decisions.c.record)


_ADVANCE = update(chain_head).where(chain_head.c.id == 1).values(seq=bindparam("new_seq"), hash=bindparam("new_hash"))


def _head(connection: Connection) -> tuple[int, str]:
    row = connection.execute(_HEAD).one_or_none()
    if row is None:
        raise StoreError("the chain has no head", hint="`ffe db restore` a backup")
    return row.seq, row.hash


def _find(connection: Connection, id_or_prefix: str) -> int:
    wanted = id_or_prefix.strip().lower()
    column: ColumnElement[str] = decisions.c.id
    if not re.fullmatch(r"[0-9a-f][0-9a-f-]{0,35}", wanted):
        raise UsageError(f"{id_or_prefix!r} is no decision id", hint="`ffe history` lists the ids")
    # "g" follows every digit of an id, so this range is exactly those that begin so.
    query = select(decisions.c.seq, decisions.c.id).where(column >= wanted, column < wanted + "g").limit(6)
    found = connection.execute(query.order_by(column)).all()
    if not found:
        raise UsageError(f"there is no decision {id_or_prefix}", hint="`ffe history` lists the ids")
    if len(found) > 1:
        listed = ", ".join(row.id for row in found[:5]) + (", …" if len(found) > 5 else "")
        raise UsageError(f"more than one decision begins with {id_or_prefix}", hint=f"one of {listed}")
    return int(found[0].seq)


def _events(connection: Connection, seq: int) -> tuple[DecisionEvent, ...]:
    query = select(decision_events.c.kind, decision_events.c.at, decision_events.c.detail)
    rows = connection.execute(
        query.where(decision_events.c.decision_seq == seq).order_by(decision_events.c.number)
    ).all()
    return tuple(DecisionEvent(row.kind, row.at, json.loads(row.detail)) for row in rows)


def _seq_behind(connection: Connection, keep: int) -> int:
    """The newest decision that ``keep`` newer ones make superfluous."""
    found = connection.execute(select(decisions.c.seq).order_by(decisions.c.seq.desc()).offset(keep).limit(1))
    return int(found.scalar_one_or_none() or 0)


def _seq_before(connection: Connection, cutoff: datetime) -> int:
    """The last decision before the first one made at ``cutoff`` or later."""
    young = connection.execute(select(func.min(decisions.c.seq)).where(decisions.c.created_at >= cutoff)).scalar_one()
    last = connection.execute(
        select(func.max(decisions.c.seq))
        if young is None
        else select(func.max(decisions.c.seq)).where(decisions.c.seq < young)
    ).scalar_one()
    return int(last or 0)


def _seq_over(connection: Connection, max_bytes: int) -> int:
    """The newest decision with which the records, counted from the newest back, exceed ``max_bytes``."""
    total = func.sum(decisions.c.bytes).over(order_by=decisions.c.seq.desc()).label("total")
    sizes = select(decisions.c.seq, total).subquery()
    found = connection.execute(select(func.max(sizes.c.seq)).where(sizes.c.total > max_bytes)).scalar_one()
    return int(found or 0)
