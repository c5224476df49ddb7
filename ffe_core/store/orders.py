"""Orders in the store: what was meant before it was sent, what was heard of it, and every fill once.

Rows are only ever added. The present state of an order is its newest event.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, func, insert, select

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.codec import canonical_json, plain, restore
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Fill, Mode, Order, OrderState, Side
from ffe_core.errors import StoreError
from ffe_core.store.tables import fills, order_events, orders, venue_cursors


@dataclass(frozen=True, slots=True)
class OrderEvent:
    """A change of an order's state. ``filled`` and ``price`` are what was known to be filled then."""

    state: OrderState
    at: datetime
    filled: Decimal = Decimal(0)
    price: Decimal | None = None
    venue_order_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An order with where it went and all that was heard of it, oldest first."""

    order: Order
    key: LedgerKey
    events: tuple[OrderEvent, ...]

    @property
    def state(self) -> OrderState:
        return self.events[-1].state

    @property
    def filled(self) -> Decimal:
        return self.events[-1].filled

    @property
    def sent_at(self) -> datetime | None:
        return next((event.at for event in self.events if event.state is OrderState.SENT), None)


class OrderBook:
    """The orders of a store within one transaction: what is read here is still true when it is written."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, order: Order, key: LedgerKey, at: datetime) -> None:
        """The order with its first event. Raises ``StoreError`` where its client id is known already."""
        if self.get(order.client_order_id) is not None:
            raise StoreError(f"order {order.client_order_id} is in the journal already")
        self._connection.execute(
            insert(orders),
            {
                "client_order_id": order.client_order_id,
                **_key_columns(key),
                "decision_id": order.decision_id,
                "leg": order.leg,
                "asset": order.asset.symbol,
                "created_at": at,
                "body": canonical_json(plain(order)).decode(),
            },
        )
        self.note(order.client_order_id, OrderEvent(OrderState.INTENT, at))

    def note(self, client_order_id: str, event: OrderEvent) -> None:
        number = select(func.coalesce(func.max(order_events.c.number), 0) + 1).where(
            order_events.c.client_order_id == client_order_id
        )
        self._connection.execute(
            insert(order_events),
            {
                "client_order_id": client_order_id,
                "number": self._connection.execute(number).scalar_one(),
                "state": event.state.value,
                "at": event.at,
                "filled": event.filled,
                "price": event.price,
                "venue_order_id": event.venue_order_id,
                "reason": event.reason,
            },
        )

    def add_fills(self, found: Iterable[Fill]) -> list[Fill]:
        """Those that were new. Raises ``StoreError`` where a known fill comes again with another content."""
        added = []
        for fill in found:
            known = self._fill(fill.venue, fill.venue_fill_id)
            if known is None:
                self._connection.execute(insert(fills), _fill_row(fill))
                added.append(fill)
            elif known != fill:
                raise StoreError(f"fill {fill.venue_fill_id} of {fill.venue} is known with another content")
        return added

    def get(self, client_order_id: str) -> JournalEntry | None:
        return next(iter(self.entries(orders.c.client_order_id == client_order_id)), None)

    def of_decision(self, decision_id: str) -> list[JournalEntry]:
        return self.entries(orders.c.decision_id == decision_id)

    def open(self, key: LedgerKey | None = None) -> list[JournalEntry]:
        """Orders that may still change, oldest first; ``key`` for one account's only."""
        newest = (
            select(order_events.c.client_order_id, func.max(order_events.c.number).label("number"))
            .group_by(order_events.c.client_order_id)
            .subquery()
        )
        finished = (
            select(order_events.c.client_order_id)
            .join(
                newest,
                and_(
                    newest.c.client_order_id == order_events.c.client_order_id,
                    newest.c.number == order_events.c.number,
                ),
            )
            .where(order_events.c.state.in_([state.value for state in FINAL]))
        )
        which: list[ColumnElement[bool]] = [orders.c.client_order_id.not_in(finished)]
        if key is not None:
            which.append(of_account(key))
        return self.entries(*which)

    def entries(self, *which: ColumnElement[bool], limit: int | None = None) -> list[JournalEntry]:
        """Oldest first; with ``limit`` the newest so many."""
        query = select(orders).where(*which)
        if limit is None:
            rows = self._connection.execute(query.order_by(orders.c.created_at, orders.c.client_order_id)).all()
        else:
            newest = query.order_by(orders.c.created_at.desc(), orders.c.client_order_id.desc()).limit(limit)
            rows = list(reversed(self._connection.execute(newest).all()))
        return [_entry(row, self._events(row.client_order_id)) for row in rows]

    def fills(self, *which: ColumnElement[bool]) -> list[Fill]:
        # At one instant in the order of a venue's numbers, of which the longer is the later.
        told = (fills.c.at, func.length(fills.c.venue_fill_id), fills.c.venue_fill_id)
        rows = self._connection.execute(select(fills).where(*which).order_by(*told))
        return [_restored_fill(row) for row in rows]

    def cursor(self, key: LedgerKey) -> str | None:
        """How far the fills of an account have been read."""
        found = select(venue_cursors.c.cursor).where(_of(venue_cursors, key))
        return self._connection.execute(found).scalar_one_or_none()

    def set_cursor(self, key: LedgerKey, cursor: str) -> None:
        self._connection.execute(delete(venue_cursors).where(_of(venue_cursors, key)))
        self._connection.execute(insert(venue_cursors), {**_key_columns(key), "cursor": cursor})

    def _events(self, client_order_id: str) -> tuple[OrderEvent, ...]:
        heard = select(order_events).where(order_events.c.client_order_id == client_order_id)
        rows = self._connection.execute(heard.order_by(order_events.c.number))
        return tuple(
            OrderEvent(OrderState(row.state), row.at, row.filled, row.price, row.venue_order_id, row.reason)
            for row in rows
        )

    def _fill(self, venue: str, fill_id: str) -> Fill | None:
        return next(iter(self.fills(fills.c.venue == venue, fills.c.venue_fill_id == fill_id)), None)


#: states that nothing but a venue's late word changes any more
FINAL = (OrderState.FILLED, OrderState.REJECTED, OrderState.CANCELLED, OrderState.NOT_PLACED)


def of_account(key: LedgerKey) -> ColumnElement[bool]:
    return _of(orders, key)


def _of(table: Table, key: LedgerKey) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in _key_columns(key).items()))


def _key_columns(key: LedgerKey) -> dict[str, Any]:
    return {"mode": key.mode.value, "platform": key.platform, "account": key.account, "synthetic": key.synthetic}


def _entry(row: Row[Any], events: Sequence[OrderEvent]) -> JournalEntry:
    try:
        order = restore(Order, json.loads(row.body))
    except (ValueError, TypeError) as error:
        raise StoreError(f"the journal's order {row.client_order_id} cannot be read: {error}") from error
    return JournalEntry(order, LedgerKey(Mode(row.mode), row.platform, row.account, row.synthetic), tuple(events))


def _fill_row(fill: Fill) -> dict[str, Any]:
    asset = fill.asset
    return {
        "venue": fill.venue,
        "venue_fill_id": fill.venue_fill_id,
        "client_order_id": fill.client_order_id,
        "asset": asset.symbol,
        "base": asset.base,
        "quote": asset.quote,
        "kind": asset.kind.value,
        "side": fill.side.value,
        "quantity": fill.quantity,
        "price": fill.price,
        "fee": fill.fee,
        "fee_currency": fill.fee_currency,
        "at": fill.at,
    }


def _restored_fill(row: Row[Any]) -> Fill:
    return Fill(
        venue=row.venue,
        venue_fill_id=row.venue_fill_id,
        client_order_id=row.client_order_id,
        asset=Asset(row.asset, row.base, row.quote, AssetKind(row.kind)),
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        fee=row.fee,
        fee_currency=row.fee_currency,
        at=row.at,
    )
