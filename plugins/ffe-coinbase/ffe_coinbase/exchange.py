"""An exchange in memory, for tests: wallets, contracts, orders and fills by the rules that Advanced Trade states.

Spot orders are paid from wallets, and what is promised to an open order is on hold. Contracts are margined in dollars.
Nothing is made or lost: a fill moves exactly what it says, and the fee goes to ``earned``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe_coinbase.listings import plain, stamp

ZERO = Decimal(0)
TAKER, MAKER = Decimal("0.006"), Decimal("0.004")
LIVE = ("PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED")
MARGIN = Decimal("0.25")

#: which terms each kind of order takes, and which it must have
KINDS: dict[str, tuple[set[str], set[str]]] = {
    "market_market_ioc": (set(), {"quote_size", "base_size"}),
    "sor_limit_ioc": ({"base_size", "limit_price"}, set()),
    "limit_limit_fok": ({"base_size", "limit_price"}, set()),
    "limit_limit_gtc": ({"base_size", "limit_price"}, {"post_only"}),
    "limit_limit_gtd": ({"base_size", "limit_price", "end_time"}, {"post_only"}),
    "stop_limit_stop_limit_gtc": ({"base_size", "limit_price", "stop_price", "stop_direction"}, set()),
    "stop_limit_stop_limit_gtd": ({"base_size", "limit_price", "stop_price", "stop_direction", "end_time"}, set()),
    "trigger_bracket_gtc": ({"base_size", "limit_price", "stop_trigger_price"}, set()),
    "trigger_bracket_gtd": ({"base_size", "limit_price", "stop_trigger_price", "end_time"}, set()),
}
TOP = {
    *("client_order_id", "product_id", "side", "order_configuration", "attached_order_configuration", "leverage"),
    *("margin_type", "retail_portfolio_id", "self_trade_prevention_id"),
}
_AMOUNT = re.compile(r"\d{1,30}(\.\d{1,30})?")


class Invalid(Exception):
    """A request that the API answers with 400."""


class Rejected(Exception):
    """An order that is refused in an answer of 200: ``code``, then what is said."""

    def __init__(self, code: str, said: str = "", *, preview: str = "") -> None:
        super().__init__(code)
        self.code, self.said, self.preview = code, said, preview


@dataclass
class Market:
    """One product: ``raw`` is what the API tells of it. ``depth``: base units that a market order finds, at most."""

    raw: dict[str, Any]
    bid: Decimal
    ask: Decimal
    depth: Decimal | None = None

    @property
    def future(self) -> bool:
        return bool(self.raw["product_type"] == "FUTURE")

    @property
    def unit(self) -> Decimal:
        return Decimal(self.raw["future_product_details"]["contract_size"]) if self.future else Decimal(1)

    @property
    def halves(self) -> tuple[str, str]:
        base, quote = self.raw["product_id"].split("-")[:2]
        return base, quote


@dataclass
class Held:
    """A futures position: contracts, signed, and their average price."""

    count: Decimal = ZERO
    entry: Decimal = ZERO


@dataclass
class Row:
    """An order. ``held`` is what its wallet still has on hold for it."""

    id: str
    client_id: str
    product_id: str
    side: str
    kind: str
    terms: dict[str, Any]
    size: Decimal
    created: datetime
    status: str = "OPEN"
    filled: Decimal = ZERO
    value: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0
    held: Decimal = ZERO
    touched: datetime | None = None
    reject: str = ""
    hidden: int = 0

    @property
    def buys(self) -> bool:
        return self.side == "BUY"

    def price(self, name: str) -> Decimal:
        return Decimal(self.terms[name])


@dataclass
class Exchange:
    """``wallets`` are ``{currency: [available, on hold]}``; ``margin_cash`` is what contracts are margined with."""

    clock: Callable[[], datetime]
    wallets: dict[str, list[Decimal]] = field(default_factory=dict)
    markets: dict[str, Market] = field(default_factory=dict)
    margin_cash: Decimal = ZERO
    positions: dict[str, Held] = field(default_factory=dict)
    orders: list[Row] = field(default_factory=list)
    fills: list[dict[str, Any]] = field(default_factory=list)
    earned: Decimal = ZERO
    #: whether an id that is known gets its order again, or a refusal
    tells_duplicates: bool = False
    #: reads that a new order is left out of
    shy: int = 0

    def order(self, order_id: str) -> Row | None:
        return next((row for row in self.orders if row.id == order_id), None)

    def live(self) -> Iterable[Row]:
        return [row for row in self.orders if row.status in LIVE]

    # requests

    def create(self, body: Mapping[str, Any]) -> Row:
        """Raises ``Invalid`` and ``Rejected``."""
        if unknown := set(body) - TOP:
            raise Invalid(f"unknown field {sorted(unknown)[0]}")
        client_id = body.get("client_order_id")
        if not isinstance(client_id, str) or not client_id:
            raise Invalid("client_order_id is missing")
        known = next((row for row in self.orders if row.client_id == client_id), None)
        if known is not None:
            if self.tells_duplicates:
                raise Rejected("DUPLICATE_CLIENT_ORDER_ID", "the id was used before")
            return known
        market = self.markets.get(str(body.get("product_id")))
        if market is None:
            raise Rejected("UNKNOWN_FAILURE_REASON", "", preview="PREVIEW_INVALID_PRODUCT_ID")
        kind, terms = _configuration(body, market)
        row = self._row(body, market, kind, terms)
        self._judge(row, market)
        self._reserve(row, market)
        self.orders.append(row)
        self._work(row, market)
        return row

    def close_position(self, body: Mapping[str, Any]) -> Row:
        if set(body) - {"client_order_id", "product_id", "size"}:
            raise Invalid("unknown field")
        known = next((row for row in self.orders if row.client_id == body["client_order_id"]), None)
        if known is not None:
            return known
        held = self.positions.get(str(body.get("product_id")), Held())
        if not held.count:
            raise Rejected("UNKNOWN_FAILURE_REASON", "there is no position", preview="PREVIEW_INVALID_ORDER_CONFIG")
        size = Decimal(body.get("size") or abs(held.count))
        if size > abs(held.count):
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_BASE_SIZE_TOO_LARGE")
        return self.create(
            {
                "client_order_id": body["client_order_id"],
                "product_id": body["product_id"],
                "side": "SELL" if held.count > 0 else "BUY",
                "order_configuration": {"market_market_ioc": {"base_size": format(size, "f")}},
            }
        )

    def cancel(self, order_id: str) -> tuple[bool, str]:
        row = self.order(order_id)
        if row is None:
            return False, "UNKNOWN_CANCEL_ORDER"
        if row.status not in LIVE:
            return False, "INVALID_CANCEL_REQUEST"
        self._end(row, "CANCELLED")
        # The filler comes with success as well.
        return True, "UNKNOWN_CANCEL_FAILURE_REASON"

    def move(self, product_id: str, price: Decimal | int | str) -> None:
        """A new price; open orders that it meets are filled."""
        market = self.markets[product_id]
        market.bid = market.ask = Decimal(price)
        for row in list(self.live()):
            if row.product_id == product_id:
                self._work(row, market)

    def fill(self, row: Row, share: Decimal) -> None:
        """A part of an open order, at its limit."""
        self._fill(row, self.markets[row.product_id], row.size * share, row.price("limit_price"), MAKER)

    # rules

    def _row(self, body: Mapping[str, Any], market: Market, kind: str, terms: dict[str, Any]) -> Row:
        if "base_size" in terms:
            size = Decimal(terms["base_size"])
        else:
            # A sum buys what is left of it after the fee.
            step = Decimal(market.raw["base_increment"])
            size = Decimal(terms["quote_size"]) / (1 + TAKER) / market.ask // step * step
        return Row(
            id=f"{len(self.orders) + 1:08d}-0000-4000-8000-000000000000",
            client_id=body["client_order_id"],
            product_id=body["product_id"],
            side=body["side"],
            kind=kind,
            terms=terms,
            size=size,
            created=self.clock() + timedelta(microseconds=len(self.orders)),
            hidden=self.shy,
        )

    def _judge(self, row: Row, market: Market) -> None:
        raw = market.raw
        if raw["trading_disabled"] or raw["is_disabled"] or raw["view_only"] or raw["cancel_only"]:
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_TRADING_DISABLED")
        if raw["limit_only"] and not row.kind.startswith("limit"):
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_NOT_ALLOWED_BY_MARKET_STATE")
        if row.size % Decimal(raw["base_increment"]):
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_SIZE_PRECISION")
        if row.size < Decimal(raw["base_min_size"]) or row.size * market.bid < Decimal(raw["quote_min_size"] or 0):
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_BASE_SIZE_TOO_SMALL")
        if row.size > Decimal(raw["base_max_size"]):
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_BASE_SIZE_TOO_LARGE")
        for name, code in (
            ("limit_price", "PREVIEW_INVALID_LIMIT_PRICE_PRECISION"),
            ("stop_price", "PREVIEW_INVALID_STOP_PRICE_PRECISION"),
            ("stop_trigger_price", "PREVIEW_INVALID_STOP_PRICE_PRECISION"),
        ):
            if name in row.terms and row.price(name) % Decimal(raw["price_increment"]):
                raise Rejected("UNKNOWN_FAILURE_REASON", preview=code)
        if row.kind.startswith("stop_limit"):
            self._judge_stop(row, market)
        if row.kind.startswith("trigger_bracket"):
            low, high = sorted((row.price("limit_price"), row.price("stop_trigger_price")))
            sells = row.price("limit_price") > row.price("stop_trigger_price")
            if not low < market.bid < high or sells == row.buys:
                raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_BRACKET_PRICES")

    @staticmethod
    def _judge_stop(row: Row, market: Market) -> None:
        up = row.terms["stop_direction"] == "STOP_DIRECTION_STOP_UP"
        if up != row.buys:
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INVALID_ORDER_CONFIG")
        if not up and row.price("stop_price") > market.bid:
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_STOP_PRICE_ABOVE_LAST_TRADE_PRICE")
        if up and row.price("stop_price") < market.ask:
            raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_STOP_PRICE_BELOW_LAST_TRADE_PRICE")

    def _reserve(self, row: Row, market: Market) -> None:
        """Puts on hold what the order may need. Raises ``Rejected`` where it is not there."""
        if market.future:
            after = self.positions.get(row.product_id, Held()).count + (row.size if row.buys else -row.size)
            if abs(after) * market.unit * market.ask * MARGIN > self.margin_cash:
                raise Rejected("UNKNOWN_FAILURE_REASON", preview="PREVIEW_INSUFFICIENT_FUNDS_FOR_FUTURES")
            return
        base, quote = market.halves
        currency = quote if row.buys else base
        if currency not in self.wallets:
            raise Rejected("UNKNOWN_FAILURE_REASON", "account is not available", preview="PREVIEW_INVALID_ACCOUNT")
        price = row.price("limit_price") if "limit_price" in row.terms else market.ask
        wanted = row.size * price * (1 + TAKER) if row.buys else row.size
        wallet = self.wallets[currency]
        if wanted > wallet[0]:
            raise Rejected(
                "INSUFFICIENT_FUND", "Insufficient balance in source account", preview="PREVIEW_INSUFFICIENT_FUND"
            )
        wallet[0] -= wanted
        wallet[1] += wanted
        row.held = wanted

    # matching

    def _work(self, row: Row, market: Market) -> None:
        price = market.ask if row.buys else market.bid
        rest = row.size - row.filled
        if row.kind == "market_market_ioc":
            self._fill(row, market, rest if market.depth is None else min(rest, market.depth), price, TAKER)
            if row.status == "OPEN":
                self._end(row, "CANCELLED")
        elif row.kind in ("sor_limit_ioc", "limit_limit_fok"):
            if _crosses(row, price):
                self._fill(row, market, rest, price, TAKER)
            else:
                self._end(row, "CANCELLED")
        elif self._met(row, price):
            self._fill(row, market, rest, price, MAKER)

    @staticmethod
    def _met(row: Row, price: Decimal) -> bool:
        if row.kind.startswith("limit"):
            return _crosses(row, price)
        if row.kind.startswith("stop_limit"):
            stop = row.price("stop_price")
            return (price >= stop if row.buys else price <= stop) and _crosses(row, price)
        target, stop = row.price("limit_price"), row.price("stop_trigger_price")
        return price >= stop or price <= target if row.buys else price <= stop or price >= target

    def _fill(self, row: Row, market: Market, size: Decimal, price: Decimal, rate: Decimal) -> None:
        if size <= 0:
            return
        value = size * market.unit * price
        fee = value * rate
        if market.future:
            self._book_contracts(row, market, size, price, fee)
        else:
            self._book_wallets(row, market, size, value, fee)
        self.earned += fee
        row.filled, row.value, row.fees, row.fills = row.filled + size, row.value + value, row.fees + fee, row.fills + 1
        row.touched = self.clock() + timedelta(milliseconds=len(self.fills))
        self.fills.append(
            {
                "entry_id": f"entry-{len(self.fills) + 1}",
                "trade_id": f"trade-{len(self.fills) + 1}",
                "order_id": row.id,
                "trade_time": stamp(row.touched),
                "trade_type": "FILL",
                "price": plain(price),
                "size": plain(size),
                "commission": plain(fee),
                "product_id": row.product_id,
                "sequence_timestamp": stamp(row.touched),
                "liquidity_indicator": "TAKER" if rate == TAKER else "MAKER",
                "size_in_quote": False,
                "side": row.side,
            }
        )
        if row.filled == row.size:
            self._end(row, "FILLED")

    def _book_wallets(self, row: Row, market: Market, size: Decimal, value: Decimal, fee: Decimal) -> None:
        base, quote = market.halves
        paid, got = (value + fee, size) if row.buys else (size, value - fee)
        source, target = (quote, base) if row.buys else (base, quote)
        wallet = self.wallets[source]
        from_hold = min(row.held, paid)
        wallet[1] -= from_hold
        wallet[0] -= paid - from_hold
        row.held -= from_hold
        self.wallets.setdefault(target, [ZERO, ZERO])[0] += got

    def _book_contracts(self, row: Row, market: Market, size: Decimal, price: Decimal, fee: Decimal) -> None:
        held = self.positions.setdefault(row.product_id, Held())
        change = size if row.buys else -size
        self.margin_cash -= fee
        after = held.count + change
        if held.count * change < 0:
            closed = min(abs(change), abs(held.count)) * (1 if held.count > 0 else -1)
            self.margin_cash += closed * market.unit * (price - held.entry)
            held.entry = price if after * held.count < 0 else held.entry
        else:
            held.entry = (held.entry * abs(held.count) + price * size) / abs(after)
        held.count = after

    def _end(self, row: Row, status: str) -> None:
        """The order is over; what was still on hold for it is free again."""
        row.status = status
        market = self.markets[row.product_id]
        if not market.future:
            wallet = self.wallets[market.halves[1] if row.buys else market.halves[0]]
            wallet[0] += row.held
            wallet[1] -= row.held
            row.held = ZERO


def _crosses(row: Row, price: Decimal) -> bool:
    limit = row.price("limit_price")
    return price <= limit if row.buys else price >= limit


def _configuration(body: Mapping[str, Any], market: Market) -> tuple[str, dict[str, Any]]:
    """Kind and terms. Raises ``Invalid`` for another shape, ``Rejected`` for a kind that is not taken here."""
    if body.get("side") not in ("BUY", "SELL"):
        raise Invalid("side is missing")
    configuration = body.get("order_configuration")
    if not isinstance(configuration, dict) or len(configuration) != 1:
        raise Invalid("exactly one order_configuration is needed")
    ((kind, terms),) = configuration.items()
    if kind not in KINDS or not isinstance(terms, dict):
        raise Rejected("UNSUPPORTED_ORDER_CONFIGURATION")
    must, may = KINDS[kind]
    if must - set(terms) or set(terms) - must - may:
        raise Invalid(f"{kind} takes other fields")
    for name, value in terms.items():
        amount = name.endswith(("_size", "_price"))
        if amount and not (isinstance(value, str) and _AMOUNT.fullmatch(value)):
            raise Invalid(f"{name} is no plain decimal text")
        if name == "post_only" and not isinstance(value, bool):
            raise Invalid("post_only is no boolean")
    if kind == "market_market_ioc":
        if len(terms) != 1:
            raise Invalid("one of quote_size and base_size")
        if "quote_size" in terms and (body["side"] == "SELL" or market.future):
            raise Rejected("UNSUPPORTED_ORDER_CONFIGURATION")
    return kind, dict(terms)
