"""A venue in memory that keeps every promise of the ``Platform`` port, and breaks one where a test asks it to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import Clock, FixedClock
from ffe_core.domain.market import Quote
from ffe_core.domain.trading import (
    ZERO,
    Effect,
    Fees,
    Fill,
    Instrument,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    Portfolio,
    Position,
    Side,
)
from ffe_core.errors import NoData, Refused, Unknown

FEES = Fees(taker=Decimal("0.001"), maker=Decimal("0.001"))
RESTING = (OrderState.ACCEPTED, OrderState.PARTIAL)


class FakePlatform:
    """A spot account: market orders fill at once at the mark, limit and protective orders rest until a mark meets them.

    Cash and fees in ``currency``; no shorts. ``lose_answers`` orders are taken while their answer is lost (``submit``
    raises ``Unknown``, and ``find`` still tells); ``down`` makes every question raise ``Unknown``.
    """

    def __init__(
        self,
        name: str = "fake",
        *,
        cash: Decimal = Decimal(10_000),
        currency: str = "USD",
        prices: Mapping[str, Decimal] | None = None,
        fees: Fees = FEES,
        clock: Clock | None = None,
        lose_answers: int = 0,
        down: bool = False,
    ) -> None:
        self.name = name
        self.down = down
        self.lose_answers = lose_answers
        self._cash = cash
        self._currency = currency
        self._fees = fees
        self._clock = clock or FixedClock(datetime(2024, 3, 6, 12, 0, tzinfo=UTC))
        self._prices = dict(prices or {})
        self._positions: dict[str, Position] = {}
        self._orders: dict[str, Order] = {}
        self._reports: dict[str, OrderReport] = {}
        self._fills: list[Fill] = []

    # what there is

    def portfolio(self) -> Portfolio:
        self._answer()
        marked = tuple(replace(held, price=self._mark(held.asset)) for held in self._positions.values())
        return Portfolio(self.name, "test", self._currency, self._cash, marked, at=self._clock.now(), synthetic=True)

    def instrument(self, asset: Asset) -> Instrument:
        self._mark(asset)
        return Instrument(
            asset=asset,
            quantity_increment=Decimal("0.0001"),
            price_increment=Decimal("0.01"),
            minimum_quantity=Decimal("0.001"),
            minimum_notional=Decimal(1),
            quote_currency=self._currency,
            fees=self._fees,
        )

    def quote(self, asset: Asset) -> Quote:
        self._answer()
        price = self._mark(asset)
        return Quote(asset, price, price, self._clock.now(), self.name, synthetic=True)

    def check(self) -> Mapping[str, bool]:
        up = not self.down
        keys = ("api_auth", "account_active", "trading_enabled", "balance_available", "market_data")
        return dict.fromkeys(keys, up)

    def update_prices(self, prices: Mapping[str, Decimal]) -> None:
        """New marks; resting orders that they meet are filled at the mark."""
        self._prices.update(prices)
        for order in list(self._orders.values()):
            if self._reports[order.client_order_id].state in RESTING and order.asset.symbol in prices:
                self._meet(order)

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        return {"product": order.asset.symbol}

    def submit(self, order: Order) -> OrderReport:
        self._answer()
        known = self._reports.get(order.client_order_id)
        if known is not None:
            return known
        order = self._admit(order)
        self._orders[order.client_order_id] = order
        self._report(order, OrderState.ACCEPTED)
        if order.type is OrderType.MARKET:
            self._fill(order)
        else:
            self._meet(order)
        if self.lose_answers:
            self.lose_answers -= 1
            raise Unknown(f"{self.name} did not answer in time; the order may exist")
        return self._reports[order.client_order_id]

    def find(self, order: Order) -> OrderReport | None:
        self._answer()
        return self._reports.get(order.client_order_id)

    def cancel(self, order: Order) -> OrderReport:
        self._answer()
        known = self._reports.get(order.client_order_id)
        if known is None:
            raise Refused(f"{self.name} knows no order {order.client_order_id}")
        if known.state not in RESTING:
            return known
        return self._report(self._orders[order.client_order_id], OrderState.CANCELLED)

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        side = Side.SELL if position.quantity > 0 else Side.BUY
        return self.submit(
            Order(
                client_order_id=client_order_id,
                decision_id="",
                leg="close",
                asset=position.asset,
                side=side,
                quantity=abs(position.quantity),
                effect=Effect.CLOSE,
                reduce_only=True,
                sent_at=self._clock.now(),
            )
        )

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        return self.submit(
            Order(
                client_order_id=client_order_id,
                decision_id="",
                leg="protection",
                asset=position.asset,
                side=Side.SELL,
                quantity=position.quantity,
                effect=Effect.CLOSE,
                type=OrderType.BRACKET,
                stop_price=stop,
                target_price=target,
                reduce_only=True,
                sent_at=self._clock.now(),
            )
        )

    def open_orders(self) -> Sequence[OrderReport]:
        self._answer()
        return [report for report in self._reports.values() if report.state in RESTING]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        self._answer()
        first = 0 if since is None else int(since)
        return self._fills[first:], str(len(self._fills))

    # the rules of the house

    def _answer(self) -> None:
        if self.down:
            raise Unknown(f"{self.name} does not answer")

    def _mark(self, asset: Asset) -> Decimal:
        if asset.symbol not in self._prices:
            raise NoData(f"{self.name} has no price of {asset}")
        return self._prices[asset.symbol]

    def _held(self, asset: Asset) -> Decimal:
        held = self._positions.get(asset.symbol)
        return ZERO if held is None else held.quantity

    def _admit(self, order: Order) -> Order:
        """The order as it will be worked. Raises ``Refused`` for one that may not be."""
        rules = self.instrument(order.asset)
        quantity = rules.round_quantity(order.quantity)
        if order.side is Side.SELL:
            quantity = min(quantity, self._held(order.asset))
        elif order.reduce_only:
            raise Refused(f"{self.name}: nothing to reduce in {order.asset}")
        price = self._mark(order.asset)
        if quantity < rules.minimum_quantity or quantity * price < rules.minimum_notional:
            raise Refused(f"{self.name}: {order.side} {order.quantity} {order.asset} is below the minimum")
        if order.side is Side.BUY and quantity * price * (1 + self._fees.taker) > self._cash:
            raise Refused(f"{self.name}: {quantity} {order.asset} costs more than the cash there is")
        return replace(order, quantity=quantity)

    def _meet(self, order: Order) -> None:
        price = self._mark(order.asset)
        below = order.limit_price if order.side is Side.BUY else order.stop_price
        above = order.target_price if order.type is OrderType.BRACKET else None
        if order.side is Side.SELL and order.type is OrderType.LIMIT:
            above = order.limit_price
        if (below is not None and price <= below) or (above is not None and price >= above):
            self._fill(order)

    def _fill(self, order: Order) -> None:
        price = self._mark(order.asset)
        quantity = order.quantity if order.side is Side.BUY else min(order.quantity, self._held(order.asset))
        if not quantity:
            self._report(order, OrderState.CANCELLED)
            return
        fee = quantity * price * self._fees.taker
        at = self._clock.now() + timedelta(milliseconds=len(self._fills))
        fill = Fill(
            self.name,
            f"fill-{len(self._fills) + 1}",
            order.client_order_id,
            order.asset,
            order.side,
            quantity,
            price,
            fee,
            self._currency,
            at,
        )
        self._fills.append(fill)
        self._cash -= order.side.sign * quantity * price + fee
        self._book(fill)
        self._report(order, OrderState.FILLED, fill)

    def _book(self, fill: Fill) -> None:
        held = self._positions.get(fill.asset.symbol)
        quantity = (held.quantity if held else ZERO) + fill.side.sign * fill.quantity
        if not quantity:
            del self._positions[fill.asset.symbol]
        elif held is None:
            self._positions[fill.asset.symbol] = Position(fill.asset, quantity, fill.price, fill.price, fill.at)
        else:
            cost = held.quantity * held.entry_price + fill.quantity * fill.price
            entry = cost / quantity if fill.side is Side.BUY else held.entry_price
            self._positions[fill.asset.symbol] = replace(held, quantity=quantity, entry_price=entry, price=fill.price)

    def _report(self, order: Order, state: OrderState, *fills: Fill) -> OrderReport:
        report = OrderReport(
            order.client_order_id,
            f"venue-{order.client_order_id}",
            state,
            sum((fill.quantity for fill in fills), ZERO),
            fills[0].price if fills else None,
            fills,
            at=self._clock.now(),
        )
        self._reports[order.client_order_id] = report
        return report
