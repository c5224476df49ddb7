"""The journal: an order is committed before it is sent, and only a venue's answer ends the doubt about it.

    INTENT -> SENT -> ACCEPTED -> PARTIAL -> FILLED
                 \\-> UNKNOWN -/-> REJECTED, CANCELLED, NOT_PLACED

An intent that was never marked as sent was never sent. What was sent and not answered is UNKNOWN, whatever went wrong:
a timeout, a crash, a reply that makes no sense. NOT_PLACED wants the venue's own word, twice, some time apart.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal

from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Fill, Order, OrderReport, OrderState
from ffe_core.errors import SafetyRefusal, StoreError
from ffe_core.store.database import Database
from ffe_core.store.orders import JournalEntry, OrderBook, OrderEvent, of_account
from ffe_core.store.tables import fills as fill_rows

#: the namespace of client order ids: the same decision and leg give the same id on every machine
NAMESPACE = uuid.UUID("5b0f6b8e-3d0c-5c53-9f0b-7d5a2f6e1c44")
#: states in which nobody knows what the venue did
DOUBTFUL = (OrderState.SENT, OrderState.UNKNOWN)
#: how far an order has come; a report never takes it back
_RANK = {
    OrderState.INTENT: 0,
    OrderState.SENT: 1,
    OrderState.UNKNOWN: 2,
    OrderState.NOT_PLACED: 2,
    OrderState.ACCEPTED: 3,
    OrderState.PARTIAL: 4,
    OrderState.REJECTED: 5,
    OrderState.CANCELLED: 5,
    OrderState.FILLED: 6,
}


def client_order_id(decision_id: str, leg: str) -> str:
    """The id that a venue knows the order by: a name-based UUID (RFC 9562, version 5) of decision and leg."""
    return str(uuid.uuid5(NAMESPACE, f"{decision_id}:{leg}"))


class Journal:
    """The orders of one store, shared by every process that uses it. Raises ``StoreError`` where that cannot be had."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # writing

    def intend(self, order: Order, key: LedgerKey) -> JournalEntry:
        """Commits ``order`` before anything is sent.

        Raises ``SafetyRefusal`` where the same order is known already, or where another order for the same asset in the
        same account is not over: what that one does decides what may be done now, and a cancel that got lost has ended
        nothing. Reduce-only orders are exempt: they end exposure and cannot start one.
        """
        with self._database.writing() as connection:
            book = OrderBook(connection)
            known = book.get(order.client_order_id)
            if known is not None:
                raise SafetyRefusal(
                    f"this order is in the journal already, {known.state}", hint="`ffe orders` shows what became of it"
                )
            if not order.reduce_only:
                self._refuse_beside_another(book, order, key)
            book.add(order, key, self._database.clock.now())
            return _there(book, order.client_order_id)

    def _refuse_beside_another(self, book: OrderBook, order: Order, key: LedgerKey) -> None:
        for entry in book.open(key):
            if entry.order.asset.symbol != order.asset.symbol:
                continue
            other = entry.order.client_order_id
            if entry.state in (*DOUBTFUL, OrderState.INTENT):
                raise SafetyRefusal(
                    f"nobody knows what became of order {other} for {order.asset}",
                    hint="`ffe orders` asks the venue again",
                )
            raise SafetyRefusal(
                f"order {other} for {order.asset} is still open ({entry.order.leg}, {entry.state})",
                hint=f"`ffe orders cancel {other[:8]}` takes it back",
            )

    def sent(self, client_order_id: str) -> None:
        """From here on the venue may have it. Raises ``StoreError`` where it was sent before."""
        with self._entry(client_order_id) as (book, entry):
            if entry.state is not OrderState.INTENT:
                raise StoreError(f"order {client_order_id} is {entry.state}: it is sent once")
            book.note(client_order_id, OrderEvent(OrderState.SENT, self._database.clock.now()))

    def heard(self, report: OrderReport) -> list[Fill]:
        """Books a venue's word on an order with its fills, in one transaction; returns the fills that were new.

        The same word twice changes nothing, and an older one takes nothing back.
        """
        with self._entry(report.client_order_id) as (book, entry):
            added = book.add_fills(report.fills)
            booked = sum((fill.quantity for fill in self._fills_of(book, report.client_order_id)), Decimal(0))
            last = entry.events[-1]
            event = OrderEvent(
                state=report.state if _RANK[report.state] >= _RANK[last.state] else last.state,
                at=self._database.clock.now(),
                filled=max(last.filled, report.filled_quantity, booked),
                price=report.average_price or last.price,
                venue_order_id=report.venue_order_id or last.venue_order_id,
                reason=report.reason or last.reason,
            )
            if replace(event, at=last.at) != last:
                book.note(report.client_order_id, event)
            return added

    def doubt(self, client_order_id: str, reason: str) -> None:
        """The answer was lost: the order may exist. Only what was just sent becomes UNKNOWN.

        Or what another process gave up while the answer was still waited for: that one asked too early.
        """
        self._note(client_order_id, OrderState.UNKNOWN, reason, after=(OrderState.SENT, OrderState.NOT_PLACED))

    def refused(self, client_order_id: str, reason: str) -> None:
        """The venue said no, definitely."""
        self._note(client_order_id, OrderState.REJECTED, reason, after=(OrderState.SENT, OrderState.UNKNOWN))

    def not_placed(self, client_order_id: str, reason: str) -> None:
        """It never reached the venue: it was not sent, or the venue says that there is no such order."""
        self._note(
            client_order_id,
            OrderState.NOT_PLACED,
            reason,
            after=(OrderState.INTENT, OrderState.SENT, OrderState.UNKNOWN),
        )

    def _note(self, client_order_id: str, state: OrderState, reason: str, *, after: Sequence[OrderState]) -> None:
        with self._entry(client_order_id) as (book, entry):
            if entry.state in after:
                last = entry.events[-1]
                now = self._database.clock.now()
                book.note(client_order_id, OrderEvent(state, now, last.filled, last.price, last.venue_order_id, reason))

    def read_fills(self, key: LedgerKey, ask: Callable[[str | None], tuple[Sequence[Fill], str]]) -> list[Fill]:
        """Asks a venue for fills from where it was last asked; books them together with how far they go."""
        with self._database.reading() as connection:
            since = OrderBook(connection).cursor(key)
        found, cursor = ask(since)
        with self._database.writing() as connection:
            book = OrderBook(connection)
            added = book.add_fills(found)
            for order_id in dict.fromkeys(fill.client_order_id for fill in added):
                self._catch_up(book, order_id)
            book.set_cursor(key, cursor)
        return added

    def _catch_up(self, book: OrderBook, client_order_id: str) -> None:
        """A fill counts for its order however it was heard of, also where that was thought not to exist."""
        entry = book.get(client_order_id)
        if entry is None:
            # Somebody traded past us.
            return
        fills, last = self._fills_of(book, client_order_id), entry.events[-1]
        filled = sum((fill.quantity for fill in fills), Decimal(0))
        if filled <= last.filled:
            return
        state = OrderState.CANCELLED if last.state is OrderState.CANCELLED else OrderState.PARTIAL
        if filled >= entry.order.quantity:
            state = OrderState.FILLED
        price = sum((fill.quantity * fill.price for fill in fills), Decimal(0)) / filled
        now = self._database.clock.now()
        book.note(client_order_id, OrderEvent(state, now, filled, price, last.venue_order_id, last.reason))

    # reading

    def get(self, client_order_id: str) -> JournalEntry | None:
        with self._database.reading() as connection:
            return OrderBook(connection).get(client_order_id)

    def of_decision(self, decision_id: str) -> list[JournalEntry]:
        with self._database.reading() as connection:
            return OrderBook(connection).of_decision(decision_id)

    def open(self, key: LedgerKey | None = None) -> list[JournalEntry]:
        """Orders whose end is not known yet, oldest first."""
        with self._database.reading() as connection:
            return OrderBook(connection).open(key)

    def latest(self, limit: int | None = 20) -> list[JournalEntry]:
        """The newest orders, or all of them, oldest first."""
        with self._database.reading() as connection:
            return OrderBook(connection).entries(limit=limit)

    def of_account(self, key: LedgerKey) -> list[JournalEntry]:
        """Everything that one account ever ordered, oldest first."""
        with self._database.reading() as connection:
            return OrderBook(connection).entries(of_account(key))

    def fills(self, client_order_id: str | None = None) -> list[Fill]:
        """Fills in the order of their time; of one order, or all."""
        with self._database.reading() as connection:
            if client_order_id is None:
                return OrderBook(connection).fills()
            return self._fills_of(OrderBook(connection), client_order_id)

    @staticmethod
    def _fills_of(book: OrderBook, client_order_id: str) -> list[Fill]:
        return book.fills(fill_rows.c.client_order_id == client_order_id)

    @contextmanager
    def _entry(self, client_order_id: str) -> Iterator[tuple[OrderBook, JournalEntry]]:
        with self._database.writing() as connection:
            book = OrderBook(connection)
            yield book, _there(book, client_order_id)


def _there(book: OrderBook, client_order_id: str) -> JournalEntry:
    entry = book.get(client_order_id)
    if entry is None:
        raise StoreError(f"order {client_order_id} is not in the journal")
    return entry
