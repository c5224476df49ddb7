"""An exchange behind HTTP that outlives the engine: it takes orders by the client's id, fills and answers a moment
later, and breaks the connection in the way that a test asks for.

Sales are cut to what is held, and what sells nothing is refused: such a refusal is kept, because with one engine it
can only come of an order that was sent twice.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Self

from ffe_core import Asset, Fees, Fill, Instrument, Order, OrderReport, OrderState, OrderType, Portfolio, Position, Side
from ffe_core.domain.clock import Clock, FixedClock
from ffe_core.domain.codec import plain, restore
from ffe_core.testing.loopback import Canned, Loopback, Request
from tests.store.records import START

NAME = "exchange"
BTC = Asset.parse("BTCUSD")
PRICE = Decimal(20_000)
#: seconds that a fill and an answer take at most
MOMENT = 0.009
#: seconds after which ``tests.execution.desk`` stops waiting for the answer to an order, and after which it comes
IMPATIENCE, TOO_LATE = 0.4, 0.8
LIVE = (OrderState.ACCEPTED, OrderState.PARTIAL)


class Fault(StrEnum):
    """What happens to one call; those before ``ACCEPTED`` never reach the exchange's books."""

    REFUSED = "the connection is refused"
    DNS = "the name is not resolved"
    RESET_BEFORE = "reset before it was accepted"
    TIME_OUT_BEFORE = "no answer and not accepted"
    TOO_MANY = "429"
    ERROR = "500, accepted or not"
    GATEWAY = "502, accepted or not"
    RESET_AFTER = "reset after it was accepted"
    TIME_OUT_AFTER = "no answer although it was accepted"
    TRUNCATED = "an answer that breaks off"
    GARBLED = "an answer that is no JSON"
    DUPLICATE = "the call arrives twice, and the second answer comes back"


#: faults that the engine's side of the line makes
AWAY = (Fault.REFUSED, Fault.DNS)
_EITHER = {Fault.ERROR: 500, Fault.GATEWAY: 502}


@dataclass
class Placed:
    """An order in the books. ``shown_at``: monotonic seconds before which the exchange denies it."""

    order: Order
    state: OrderState = OrderState.ACCEPTED
    fills: list[Fill] = field(default_factory=list)
    due: float | None = None
    came_at: float = field(default_factory=time.monotonic)
    shown_at: float = 0.0

    @property
    def filled(self) -> Decimal:
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def report(self) -> OrderReport:
        price = (
            sum((fill.quantity * fill.price for fill in self.fills), Decimal(0)) / self.filled if self.fills else None
        )
        order_id = self.order.client_order_id
        return OrderReport(order_id, f"x-{order_id[:8]}", self.state, self.filled, price, tuple(self.fills))


@dataclass
class _Deaf:
    method: str
    after: int
    done: threading.Event = field(default_factory=threading.Event)


class Exchange:
    """Listens at ``url``. ``orders`` in the order of their arrival, ``fills`` likewise; ``held`` in base units."""

    def __init__(self, seed: int = 0, moment: float = MOMENT) -> None:
        self._rng = random.Random(seed)
        self._moment = moment
        self._lock = threading.RLock()
        self._faults: dict[str, list[Fault | None]] = {}
        self._deaf: list[_Deaf] = []
        self.clock: Clock = FixedClock(START)
        self.price = PRICE
        self.cash = Decimal(10_000)
        self.held = Decimal(0)
        self.most_held = Decimal(0)
        self.entry_price = PRICE
        self.orders: dict[str, Placed] = {}
        self.fills: list[Fill] = []
        #: the client ids of orders that came again, and of those that sold what was not there
        self.repeated: list[str] = []
        self.empty: list[str] = []
        #: seconds that an order is denied after it was accepted, and fills that are no longer told
        self.hides = 0.0
        self.forgets = 0
        self.loopback = Loopback(self._answer)
        self.url = self.loopback.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.loopback.close()

    # what a test does to it

    def fault(self, method: str, *faults: Fault | None) -> None:
        """The next calls with ``method`` go wrong, one after the other; ``None`` lets one through."""
        with self._lock:
            self._faults.setdefault(method, []).extend(faults)

    def calm(self) -> None:
        """No more faults than there were."""
        with self._lock:
            self._faults.clear()

    def swallow(self, method: str, after: int = 0) -> threading.Event:
        """A call with ``method``, when ``after`` others have passed, is carried out and not answered.

        The event is set as soon as it was carried out.
        """
        deaf = _Deaf(method, after)
        with self._lock:
            self._deaf.append(deaf)
        return deaf.done

    def move(self, price: Decimal | int) -> None:
        """A new price; stops and targets that it meets are filled at it."""
        with self._settled():
            self.price = Decimal(price)
            for placed in list(self.orders.values()):
                if placed.state in LIVE and placed.order.type is not OrderType.MARKET and self._is_met(placed.order):
                    self._execute(placed, placed.order.quantity)

    def fill_part(self, client_order_id: str, quantity: Decimal) -> None:
        with self._lock:
            placed = self.orders[client_order_id]
            placed.due = None
            self._execute(placed, quantity, OrderState.PARTIAL)

    def fill_rest(self, client_order_id: str) -> None:
        with self._lock:
            placed = self.orders[client_order_id]
            self._execute(placed, placed.order.quantity - placed.filled)

    def trade_by_hand(self, quantity: Decimal) -> None:
        """The owner trades on the exchange's own site: above zero buys, below sells."""
        with self._settled():
            side = Side.BUY if quantity > 0 else Side.SELL
            self._book(
                Fill(NAME, self._fill_id(), "", BTC, side, abs(quantity), self.price, Decimal(0), "USD", self._now())
            )

    def settle(self) -> None:
        """Everything that is due is filled."""
        with self._settled(due_by=float("inf")):
            pass

    # answering

    def _answer(self, request: Request) -> Canned:
        with self._lock:
            waiting = self._faults.get(request.method, [])
            fault = waiting.pop(0) if waiting else None
            deaf = self._deaf_to(request.method)
            delay = self._rng.uniform(0, self._moment)
        if fault is not None:
            return self._faulty(fault, request)
        status, body = self._handle(request)
        if deaf is not None:
            deaf.done.set()
            delay = TOO_LATE
        return Canned(body, status, delay=delay)

    def _deaf_to(self, method: str) -> _Deaf | None:
        for deaf in [each for each in self._deaf if each.method == method]:
            deaf.after -= 1
            if deaf.after < 0:
                self._deaf.remove(deaf)
                return deaf
        return None

    def _faulty(self, fault: Fault, request: Request) -> Canned:
        match fault:
            case Fault.RESET_BEFORE:
                return Canned(reset=True)
            case Fault.TIME_OUT_BEFORE:
                return Canned(delay=TOO_LATE)
            case Fault.TOO_MANY:
                return Canned({"error": "slow down"}, 429, {"Retry-After": "1"})
            case Fault.ERROR | Fault.GATEWAY:
                if self._rng.random() < 0.5:
                    self._handle(request)
                return Canned({"error": "try again"}, _EITHER[fault])
        status, body = self._handle(request)
        match fault:
            case Fault.RESET_AFTER:
                return Canned(reset=True)
            case Fault.TIME_OUT_AFTER:
                return Canned(body, status, delay=TOO_LATE)
            case Fault.TRUNCATED:
                return Canned(body, status, cut=20)
            case Fault.GARBLED:
                return Canned(b'{"client_order_id": "', status)
            case Fault.DUPLICATE:
                answer = Canned(self._handle(request)[1], 409)
                # The line repeated it, not ffe.
                self.repeated.pop()
                return answer
        raise ValueError(f"{fault} is not made here")

    def _handle(self, request: Request) -> tuple[int, Any]:
        with self._settled():
            kind, _, name = request.path.strip("/").partition("/")
            match request.method, kind:
                case "POST", "orders":
                    return self._take(restore(Order, request.json()))
                case "GET", "orders":
                    return self._show(name)
                case "DELETE", "orders":
                    return self._cancel(name)
                case "GET", "open":
                    return 200, [plain(placed.report) for placed in self.orders.values() if placed.state in LIVE]
                case "GET", "fills":
                    since = max(int(request.query.partition("=")[2] or 0), self.forgets)
                    return 200, {"fills": plain(self.fills[since:]), "cursor": str(len(self.fills))}
                case "GET", "account":
                    return 200, plain(self._account())
            return 404, {"error": "no such page"}

    def _take(self, order: Order) -> tuple[int, Any]:
        if order.client_order_id in self.orders:
            self.repeated.append(order.client_order_id)
            return 409, {"error": "duplicate client order id"}
        if order.side is Side.SELL and self.held <= 0:
            self.empty.append(order.client_order_id)
            return 422, {"error": "nothing to sell"}
        if order.side is Side.BUY and order.quantity * self.price > self.cash:
            return 422, {"error": "insufficient funds"}
        placed = Placed(order, shown_at=time.monotonic() + self.hides)
        self.orders[order.client_order_id] = placed
        if order.type is OrderType.MARKET:
            placed.due = time.monotonic() + self._rng.uniform(0, self._moment)
        return 201, plain(placed.report)

    def _show(self, client_order_id: str) -> tuple[int, Any]:
        placed = self.orders.get(client_order_id)
        if placed is None or time.monotonic() < placed.shown_at:
            return 404, {"error": "no such order"}
        return 200, plain(placed.report)

    def _cancel(self, client_order_id: str) -> tuple[int, Any]:
        placed = self.orders.get(client_order_id)
        if placed is None:
            return 404, {"error": "no such order"}
        if placed.state in LIVE:
            placed.state, placed.due = OrderState.CANCELLED, None
        return 200, plain(placed.report)

    def _account(self) -> Portfolio:
        held = (Position(BTC, self.held, self.entry_price, self.price, START),) if self.held else ()
        return Portfolio(NAME, "main", "USD", self.cash, held)

    # the books

    @contextmanager
    def _settled(self, due_by: float | None = None) -> Iterator[None]:
        with self._lock:
            now = time.monotonic() if due_by is None else due_by
            for placed in list(self.orders.values()):
                if placed.due is not None and placed.due <= now and placed.state in LIVE:
                    placed.due = None
                    self._execute(placed, placed.order.quantity)
            yield

    def _execute(self, placed: Placed, quantity: Decimal, state: OrderState = OrderState.FILLED) -> None:
        order = placed.order
        if order.side is Side.SELL:
            quantity = min(quantity, self.held)
        if quantity <= 0:
            self.empty.append(order.client_order_id)
            placed.state = OrderState.CANCELLED
            return
        fee = (quantity * self.price * FEES.taker).quantize(Decimal("0.00000001"))
        fill = Fill(
            NAME, self._fill_id(), order.client_order_id, BTC, order.side, quantity, self.price, fee, "USD", self._now()
        )
        placed.fills.append(fill)
        placed.state = state
        self._book(fill)

    def _book(self, fill: Fill) -> None:
        self.fills.append(fill)
        self.held += fill.side.sign * fill.quantity
        self.most_held = max(self.most_held, self.held)
        self.cash -= fill.side.sign * fill.quantity * fill.price + fill.fee
        if fill.side is Side.BUY:
            self.entry_price = fill.price

    def _is_met(self, order: Order) -> bool:
        stopped = order.stop_price is not None and self.price <= order.stop_price
        reached = order.target_price is not None and self.price >= order.target_price
        return stopped or reached

    def _fill_id(self) -> str:
        return f"f{len(self.fills) + 1}"

    def _now(self) -> datetime:
        return self.clock.now() + timedelta(milliseconds=len(self.fills))


FEES = Fees(taker=Decimal("0.001"), maker=Decimal("0.001"))
RULES = Instrument(
    asset=BTC,
    quantity_increment=Decimal("0.0001"),
    price_increment=Decimal("0.01"),
    minimum_quantity=Decimal("0.001"),
    minimum_notional=Decimal(1),
    quote_currency="USD",
    fees=FEES,
)
