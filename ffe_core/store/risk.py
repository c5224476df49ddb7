"""What risk remembers between commands and shares between processes: trading states, equity marks, reservations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, func, insert, or_, select, update

from ffe_core.domain.ledger import LedgerKey
from ffe_core.errors import SafetyRefusal
from ffe_core.store.database import Database
from ffe_core.store.tables import equity_marks, reservations, trading_states

#: what a mark stands for: a plain value, the one that passed the drawdown limit, the one from which peaks begin anew
MARK, BREACH, RESTART = "mark", "breach", "restart"
#: how long a reservation that is over is kept for whoever wonders
KEPT = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class StateEntry:
    """One change of what may be traded. ``asset`` is a canonical symbol, empty for everything."""

    at: datetime
    asset: str
    state: str
    reason: str
    seq: int = 0


class StateLog:
    """Changes of the trading state, appended and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, asset: str, state: str, reason: str) -> StateEntry:
        with self._database.writing() as connection:
            seq = (connection.execute(select(func.max(trading_states.c.seq))).scalar_one() or 0) + 1
            entry = StateEntry(self._database.clock.now(), asset, state, reason, seq)
            row = {"seq": seq, "at": entry.at, "asset": asset, "state": state, "reason": reason}
            connection.execute(insert(trading_states), row)
        return entry

    def standing(self) -> list[StateEntry]:
        """The newest entry of everything and of each asset that has one."""
        newest = select(func.max(trading_states.c.seq)).group_by(trading_states.c.asset)
        return self._read(trading_states.c.seq.in_(newest))

    def history(self) -> list[StateEntry]:
        """All of them, oldest first."""
        return self._read(trading_states.c.seq > 0)

    def _read(self, which: ColumnElement[bool]) -> list[StateEntry]:
        columns = trading_states.c
        query = select(columns.at, columns.asset, columns.state, columns.reason, columns.seq).where(which)
        with self._database.reading() as connection:
            return [StateEntry(*row) for row in connection.execute(query.order_by(columns.seq))]


@dataclass(frozen=True, slots=True)
class Mark:
    """What an account was worth, in its currency. ``paid_in``: cash ever paid in less what was taken out, if known."""

    at: datetime
    equity: Decimal
    paid_in: Decimal | None = None
    kind: str = MARK


class EquityMarks:
    """What accounts were worth, appended and never changed."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, key: LedgerKey, mark: Mark) -> None:
        with self._database.writing() as connection:
            newest = select(func.max(equity_marks.c.seq)).where(_of(equity_marks, key))
            seq = (connection.execute(newest).scalar_one() or 0) + 1
            row = {"at": mark.at, "kind": mark.kind, "equity": mark.equity, "paid_in": mark.paid_in, "seq": seq}
            connection.execute(insert(equity_marks), {**_columns(key), **row})

    def since(self, key: LedgerKey, at: datetime) -> list[Mark]:
        """Those from ``at`` on, oldest first."""
        return self._read(key, equity_marks.c.at >= at)

    def last(self, key: LedgerKey, kind: str) -> Mark | None:
        """The newest of one kind, however old."""
        newest = select(func.max(equity_marks.c.seq)).where(_of(equity_marks, key), equity_marks.c.kind == kind)
        found = self._read(key, equity_marks.c.seq == newest.scalar_subquery())
        return found[0] if found else None

    def _read(self, key: LedgerKey, which: ColumnElement[bool]) -> list[Mark]:
        columns = equity_marks.c
        query = select(columns.at, columns.equity, columns.paid_in, columns.kind).where(_of(equity_marks, key), which)
        with self._database.reading() as connection:
            return [Mark(*row) for row in connection.execute(query.order_by(columns.seq))]


@dataclass(frozen=True, slots=True)
class Promise:
    """Exposure promised to a decision; ``asset`` is spelled out so that it can be read back as an ``Asset``."""

    decision_id: str
    asset: str
    base: str
    quote: str
    kind: str
    notional: Decimal
    at: datetime
    expires_at: datetime
    released_at: datetime | None = None


class Reservations:
    """Exposure promised between approval and fill, counted by every process that approves."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def open(self, key: LedgerKey, now: datetime, *, released_since: datetime | None = None) -> list[Promise]:
        """Those that hold at ``now``; with ``released_since`` also those that were released after it."""
        with self._database.reading() as connection:
            return _promises(connection, key, now, released_since)

    def add(
        self,
        key: LedgerKey,
        promise: Promise,
        check: Callable[[Sequence[Promise]], object],
        *,
        released_since: datetime | None = None,
    ) -> None:
        """Writes ``promise`` if ``check`` does not raise, which sees the others while every other writer waits.

        Raises ``SafetyRefusal`` where the decision already holds a promise.
        """
        with self._database.writing() as connection:
            now = promise.at
            same = reservations.c.decision_id == promise.decision_id
            holds = and_(reservations.c.released_at.is_(None), reservations.c.expires_at > now)
            if connection.execute(select(reservations.c.decision_id).where(same, holds)).first() is not None:
                raise SafetyRefusal(f"decision {promise.decision_id} holds a reservation already")
            check(_promises(connection, key, now, released_since))
            over = or_(reservations.c.expires_at < now - KEPT, same)
            connection.execute(delete(reservations).where(over))
            connection.execute(insert(reservations), {**_columns(key), **_facts(promise)})

    def release(self, decision_id: str, at: datetime) -> bool:
        """Whether there was one to release."""
        columns = reservations.c
        mine = and_(columns.decision_id == decision_id, columns.released_at.is_(None))
        with self._database.writing() as connection:
            return bool(connection.execute(update(reservations).where(mine).values(released_at=at)).rowcount)


def _promises(connection: Connection, key: LedgerKey, now: datetime, released_since: datetime | None) -> list[Promise]:
    columns = reservations.c
    released: ColumnElement[bool] = columns.released_at.is_(None)
    if released_since is not None:
        released = or_(released, columns.released_at > released_since)
    query = select(*(columns[name] for name in _PROMISE)).where(
        _of(reservations, key), columns.expires_at > now, released
    )
    return [Promise(*row) for row in connection.execute(query.order_by(columns.at, columns.decision_id))]


_PROMISE = ("decision_id", "asset", "base", "quote", "kind", "notional", "at", "expires_at", "released_at")


def _facts(promise: Promise) -> dict[str, Any]:
    return {name: getattr(promise, name) for name in _PROMISE}


def _columns(key: LedgerKey) -> dict[str, Any]:
    return {
        "mode": key.mode.value,
        "platform": key.platform,
        "account": key.account,
        "synthetic": key.synthetic,
    }


def _of(table: Table, key: LedgerKey) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in _columns(key).items()))
