"""What an order looks like on the way to the venue. No network in here.

Sizes are cut to the step below, so that what was approved is never exceeded, and a market order names its size, never
a sum of money. Prices go to the tick on the side of whoever waits: a buyer's down, a seller's up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from ffe_coinbase.parse import ONE, Product, VenueOrder, maybe
from ffe_coinbase.settings import CoinbaseSettings
from ffe_core import Effect, Order, OrderType, Refused, Side

ORDERS = "/orders"
#: closes contracts, and never opens any
CLOSE = "/orders/close_position"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an order goes and what is sent; the same text every time."""

    path: str
    body: Mapping[str, Any]

    @property
    def stored(self) -> dict[str, str]:
        return {"path": self.path, "body": json.dumps(self.body, separators=(",", ":"))}

    @property
    def terms(self) -> tuple[str, Mapping[str, Any]]:
        """Kind and terms as the venue will tell of them."""
        configuration = self.body.get("order_configuration")
        if configuration is None:
            return "market_market_ioc", {"base_size": self.body["size"]}
        ((kind, terms),) = configuration.items()
        return kind, terms


def stored_placement(order: Order) -> Placement | None:
    """What ``prepare`` kept. Raises ``Refused`` where it is not this order's any more."""
    path, body = order.prepared.get("path"), order.prepared.get("body")
    if path not in (ORDERS, CLOSE) or body is None:
        return None
    placement = Placement(path, json.loads(body))
    side = placement.body.get("side", order.side)
    if placement.body.get("client_order_id") != order.client_order_id or side != order.side:
        raise Refused("what was prepared is another order; nothing was sent")
    return placement


def place(order: Order, product: Product, settings: CoinbaseSettings) -> Placement:
    """Raises ``Refused`` for an order that the venue's rules exclude; nothing is made to fit by growing."""
    if not order.client_order_id:
        raise Refused("an order needs a client order id")
    if order.effect is Effect.OPEN_SHORT and not product.future:
        raise Refused(f"{product.id}: a spot account cannot sell what it does not hold")
    if product.closed:
        raise Refused(f"{product.id} is not open to orders: {product.closed}")
    if product.limit_only and order.type is not OrderType.LIMIT:
        raise Refused(f"{product.id} takes limit orders only at the moment")
    size = size_of(order.quantity, product)
    configuration = _configuration(order, product, settings, format(size, "f"))
    _require_worth(size, product, configuration)
    exits = order.reduce_only or order.effect.is_exit
    if product.future and exits and order.type is OrderType.MARKET:
        return Placement(
            CLOSE, {"client_order_id": order.client_order_id, "product_id": product.id, "size": format(size, "f")}
        )
    body: dict[str, Any] = {
        "client_order_id": order.client_order_id,
        "product_id": product.id,
        "side": order.side.value,
        "order_configuration": configuration,
    }
    if settings.portfolio:
        body["retail_portfolio_id"] = settings.portfolio
    return Placement(ORDERS, body)


def size_of(quantity: Decimal, product: Product) -> Decimal:
    """``quantity`` base units in the venue's, rounded down. Raises ``Refused`` outside of what it takes."""
    size = quantity // (product.contract_size * product.size_step) * product.size_step
    if size <= 0 or size < product.least:
        unit = f"contracts of {product.contract_size:f}" if product.future else "units"
        least = max(product.least, product.size_step)
        raise Refused(f"{product.id}: {quantity:f} is below the smallest order of {least:f} {unit}")
    if product.most is not None and size > product.most:
        raise Refused(f"{product.id}: {size:f} is above the largest order of {product.most:f}")
    return size


def _require_worth(size: Decimal, product: Product, configuration: Mapping[str, Mapping[str, Any]]) -> None:
    ((_, terms),) = configuration.items()
    price = Decimal(terms["limit_price"]) if "limit_price" in terms else product.price
    if price is not None and size * price < product.least_notional:
        raise Refused(f"{product.id}: {size:f} is worth less than the smallest order of {product.least_notional:f}")


def _configuration(order: Order, product: Product, settings: CoinbaseSettings, size: str) -> dict[str, dict[str, Any]]:
    stop, target = order.stop_price, order.target_price
    if order.type is OrderType.MARKET:
        return {"market_market_ioc": {"base_size": size}}
    if order.type is OrderType.LIMIT:
        return _limit(order, product, order.limit_price, size)
    if order.type is OrderType.STOP or target is None:
        return _stop(order, product, stop, settings.stop_slack, size)
    if stop is None:
        return _limit(order, product, target, size)
    return {
        "trigger_bracket_gtc": {
            "base_size": size,
            "limit_price": _price(target, product, order.side),
            "stop_trigger_price": _price(stop, product, order.side),
        }
    }


def _limit(order: Order, product: Product, price: Decimal | None, size: str) -> dict[str, dict[str, Any]]:
    if price is None:
        raise Refused("a limit order needs a limit price")
    terms = {"base_size": size, "limit_price": _price(price, product, order.side), "post_only": False}
    return {"limit_limit_gtc": terms}


def _stop(order: Order, product: Product, stop: Decimal | None, slack: Decimal, size: str) -> dict[str, dict[str, Any]]:
    """A limit well through the stop: there is no stop that turns into a market order."""
    if stop is None:
        raise Refused("a stop order needs a stop price")
    limit = order.limit_price or stop * (ONE + order.side.sign * slack)
    return {
        "stop_limit_stop_limit_gtc": {
            "base_size": size,
            "limit_price": _price(limit, product, order.side),
            "stop_price": _price(stop, product, order.side),
            "stop_direction": f"STOP_DIRECTION_STOP_{'UP' if order.side is Side.BUY else 'DOWN'}",
        }
    }


def _price(price: Decimal, product: Product, side: Side) -> str:
    if not price.is_finite() or price <= 0:
        raise Refused(f"{product.id}: {price} is no price")
    rounding = ROUND_FLOOR if side is Side.BUY else ROUND_CEILING
    rounded = (price / product.price_step).to_integral_value(rounding) * product.price_step
    if rounded <= 0:
        raise Refused(f"{product.id}: {price:f} is below the smallest price step")
    return format(rounded, "f")


def differs(order: Order, product_id: str, found: VenueOrder) -> str:
    """In what the venue's order is another than ours, in words; empty where it is ours."""
    if found.product_id != product_id:
        return f"it is for {found.product_id}"
    if found.side is not order.side:
        return f"it is a {found.side}"
    placement = stored_placement(order)
    if placement is None or placement.path == CLOSE or not found.kind:
        return ""
    kind, terms = placement.terms
    return terms_differ(kind, terms, found.kind, found.terms)


def terms_differ(kind: str, terms: Mapping[str, Any], other_kind: str, other: Mapping[str, Any]) -> str:
    """Amounts are compared as numbers; what the venue leaves out is no difference."""
    if kind != other_kind:
        return f"it is of the kind {other_kind}"
    for name in ("base_size", "limit_price", "stop_price", "stop_trigger_price"):
        told = maybe(other, name)
        if name in terms and told is not None and told != Decimal(terms[name]):
            return f"its {name} is {told:f}"
    return ""
