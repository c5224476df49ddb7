"""An order in the words of the API: whole units with a sign, prices with as many digits as the instrument has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, Decimal
from typing import Any

from ffe_core import Order, OrderType, Quote, Refused, Side
from ffe_oanda.parse import amount, text

#: longest client id that the service takes
LONGEST_ID = 128
TAG = "ffe"


@dataclass(frozen=True, slots=True)
class Rules:
    """What the service says of an instrument; ``margin_rate`` is its own, the account may want more."""

    name: str
    digits: int
    unit_digits: int
    smallest: Decimal
    largest: Decimal
    margin_rate: Decimal

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Rules:
        return cls(
            name=text(told, "name"),
            digits=int(amount(told, "displayPrecision")),
            unit_digits=int(amount(told, "tradeUnitsPrecision")),
            smallest=amount(told, "minimumTradeSize"),
            largest=amount(told, "maximumOrderUnits"),
            margin_rate=amount(told, "marginRate"),
        )

    @property
    def unit_step(self) -> Decimal:
        return Decimal(1).scaleb(-self.unit_digits)

    @property
    def price_step(self) -> Decimal:
        return Decimal(1).scaleb(-self.digits)

    def units(self, quantity: Decimal, side: Side) -> str:
        """Rounded down, then signed. Raises ``Refused`` for what is too small or too large."""
        rounded = quantity.quantize(self.unit_step, ROUND_DOWN)
        if rounded < self.smallest or not rounded:
            raise Refused(f"oanda: {quantity:f} {self.name} is under the smallest order of {self.smallest:f}")
        if rounded > self.largest:
            raise Refused(f"oanda: {quantity:f} {self.name} is over the largest order of {self.largest:f}")
        return format(rounded * side.sign, "f")

    def down(self, price: Decimal) -> str:
        return format(price.quantize(self.price_step, ROUND_FLOOR), "f")

    def up(self, price: Decimal) -> str:
        return format(price.quantize(self.price_step, ROUND_CEILING), "f")

    def limit(self, price: Decimal, side: Side) -> str:
        """To the side of whoever pays: a purchase no dearer, a sale no cheaper."""
        return self.down(price) if side is Side.BUY else self.up(price)

    def stop(self, price: Decimal, long: bool) -> str:
        """Towards the market: a stop never loses more than was meant."""
        return self.up(price) if long else self.down(price)

    def target(self, price: Decimal, long: bool) -> str:
        """A target is a limit: it gains no less than was meant."""
        return self.up(price) if long else self.down(price)


def is_exit(order: Order) -> bool:
    return order.reduce_only or order.effect.is_exit


def order_body(order: Order, rules: Rules, quote: Quote | None, max_slippage: Decimal) -> dict[str, Any]:
    """The body of POST orders: the same for the same order, rules and quote. An exit has no quote to keep to.

    Raises ``Refused``.
    """
    kind = order.type
    if kind not in (OrderType.MARKET, OrderType.LIMIT, OrderType.STOP):
        raise Refused(f"oanda takes no {kind} order; a position is protected by its trades' own stops")
    made: dict[str, Any] = {
        "type": kind.name,
        "instrument": rules.name,
        "units": rules.units(order.quantity, order.side),
        "timeInForce": "FOK" if kind is OrderType.MARKET else "GTC",
        "positionFill": "REDUCE_ONLY" if is_exit(order) else "DEFAULT",
        "clientExtensions": extensions(order.client_order_id, order.decision_id),
    }
    if kind is OrderType.MARKET:
        bound = _bound(order, quote, max_slippage)
        made |= {} if bound is None else {"priceBound": rules.limit(bound, order.side)}
    else:
        price = order.limit_price if kind is OrderType.LIMIT else order.stop_price
        if price is None:
            raise Refused(f"oanda: a {kind} order needs a price")
        made["price"] = rules.limit(price, order.side)
    if not is_exit(order):
        made |= _on_fill(order, rules)
        made["tradeClientExtensions"] = extensions(f"{order.client_order_id}-trade")
    return made


def extensions(number: str, comment: str = "") -> dict[str, str]:
    """Raises ``Refused`` for an id that the service would not take."""
    if not re.fullmatch(rf"[!-~]{{1,{LONGEST_ID}}}", number):
        raise Refused(f"oanda takes no client id {number!r:.140}")
    return {"id": number, "tag": TAG} | ({"comment": comment[:LONGEST_ID]} if comment else {})


def _bound(order: Order, quote: Quote | None, max_slippage: Decimal) -> Decimal | None:
    """The worst price at which it may fill; none for an exit, which must not fail because the market runs away."""
    if order.limit_price is not None:
        return order.limit_price
    if quote is None:
        return None
    return quote.ask * (1 + max_slippage) if order.side is Side.BUY else quote.bid * (1 - max_slippage)


def _on_fill(order: Order, rules: Rules) -> dict[str, Any]:
    long, number = order.side is Side.BUY, order.client_order_id
    made: dict[str, Any] = {}
    # A stop order's own price is not its protection.
    if order.stop_price is not None and order.type is not OrderType.STOP:
        price = rules.stop(order.stop_price, long)
        made["stopLossOnFill"] = dependent(price, f"{number}-stop")
    if order.target_price is not None:
        made["takeProfitOnFill"] = dependent(rules.target(order.target_price, long), f"{number}-target")
    return made


def dependent(price: str, number: str) -> dict[str, Any]:
    """An order that hangs on a trade."""
    return {"price": price, "timeInForce": "GTC", "clientExtensions": extensions(number)}
