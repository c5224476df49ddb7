"""What Advanced Trade answers, checked member by member; no network in here.

Whatever is not as it should be raises ``BadReply``, which names the member and never trusts the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from ffe_core import Asset, Fees, Fill, OrderReport, OrderState, Quote, Side
from ffe_core.http import BadReply

ZERO = Decimal(0)
ONE = Decimal(1)
#: digits behind the point of a quantity that was bought for a round sum
_PARTS = Decimal("1e-12")


@dataclass(frozen=True, slots=True)
class Product:
    """What may be ordered. Sizes in base units, of a future in contracts of ``contract_size`` base units each."""

    id: str
    future: bool
    quote: str
    size_step: Decimal
    price_step: Decimal
    least: Decimal
    most: Decimal | None
    least_notional: Decimal
    price: Decimal | None
    #: why it cannot be traded in the ordinary way; empty where it can
    closed: str
    limit_only: bool
    contract_size: Decimal = ONE
    margin_rate: Decimal = ONE


@dataclass(frozen=True, slots=True)
class Wallet:
    currency: str
    available: Decimal
    hold: Decimal
    portfolio: str
    active: bool

    @property
    def total(self) -> Decimal:
        return self.available + self.hold


@dataclass(frozen=True, slots=True)
class Contracts:
    """A futures position; ``count`` is signed."""

    product_id: str
    count: Decimal
    entry: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """The venue's account of an order; sizes as it has them, of a future in contracts."""

    id: str
    client_id: str
    product_id: str
    side: Side
    status: str
    kind: str
    terms: Mapping[str, Any]
    filled: Decimal
    average: Decimal | None
    reason: str
    at: datetime | None
    created: datetime | None

    @property
    def state(self) -> OrderState:
        if self.status == "FILLED":
            return OrderState.FILLED
        if self.status in ("CANCELLED", "EXPIRED"):
            return OrderState.CANCELLED
        if self.status == "FAILED":
            return OrderState.CANCELLED if self.filled else OrderState.REJECTED
        # A word that nobody knows yet is taken for a living order.
        return OrderState.PARTIAL if self.filled else OrderState.ACCEPTED

    @property
    def is_live(self) -> bool:
        return self.state in (OrderState.ACCEPTED, OrderState.PARTIAL)

    def report(self, client_order_id: str, unit: Decimal, fills: Sequence[Fill]) -> OrderReport:
        """``unit``: base units of one of the venue's."""
        return OrderReport(
            client_order_id=client_order_id,
            venue_order_id=self.id,
            state=self.state,
            filled_quantity=self.filled * unit,
            average_price=self.average if self.filled else None,
            fills=tuple(fills),
            reason=self.reason,
            at=self.at,
        )


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution; ``size`` as the venue has it, of a future in contracts."""

    id: str
    order_id: str
    product_id: str
    side: Side
    size: Decimal
    price: Decimal
    fee: Decimal
    at: datetime

    def fill(self, venue: str, client_order_id: str, asset: Asset, unit: Decimal, currency: str) -> Fill:
        return Fill(
            venue=venue,
            venue_fill_id=self.id,
            client_order_id=client_order_id,
            asset=asset,
            side=self.side,
            quantity=self.size * unit,
            price=self.price,
            fee=self.fee,
            fee_currency=currency,
            at=self.at,
        )


# members


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadReply(f"Coinbase sent {_kind(value)} where {what} should be an object")
    return value


def listed(holder: Mapping[str, Any], name: str) -> Sequence[Any]:
    """A list; empty where it is left out or null."""
    value = holder.get(name)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadReply(f"Coinbase sent {_kind(value)} where {name} should be a list")
    return value


def text(holder: Mapping[str, Any], name: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadReply(f"Coinbase sent {_kind(value)} where {name} should be text")
    return value


def needed(holder: Mapping[str, Any], name: str) -> str:
    value = text(holder, name)
    if not value:
        raise BadReply(f"Coinbase left out {name}")
    return value


def flag(holder: Mapping[str, Any], name: str) -> bool:
    return holder.get(name) is True


def maybe(holder: Mapping[str, Any], name: str) -> Decimal | None:
    """A number in text, or an amount ``{"value", "currency"}``; ``None`` where it is empty."""
    value = holder.get(name)
    if isinstance(value, Mapping):
        value = value.get("value")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise BadReply(f"Coinbase sent {_kind(value)} where {name} should be a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise BadReply(f"Coinbase sent {value!r:.40} where {name} should be a number")
    return number


def number(holder: Mapping[str, Any], name: str) -> Decimal:
    value = maybe(holder, name)
    if value is None:
        raise BadReply(f"Coinbase left out {name}")
    return value


def moment(holder: Mapping[str, Any], name: str) -> datetime | None:
    written = text(holder, name)
    if not written:
        return None
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - a time without a zone, refused as any other
    if found.tzinfo is None:
        raise BadReply(f"Coinbase sent {written!r:.40} where {name} should be a time")
    return found.astimezone(UTC)


def _at(holder: Mapping[str, Any], name: str) -> datetime:
    found = moment(holder, name)
    if found is None:
        raise BadReply(f"Coinbase left out {name}")
    return found


def _side(holder: Mapping[str, Any]) -> Side:
    word = needed(holder, "side")
    if word not in ("BUY", "SELL"):
        raise BadReply(f"Coinbase sent {word!r:.40} where side should be BUY or SELL")
    return Side(word)


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "text", type(None): "nothing"}.get(type(value), "something else")


# what there is


def parse_time(body: Mapping[str, Any]) -> datetime:
    """The venue's clock."""
    return _at(body, "iso")


def parse_product(body: Mapping[str, Any]) -> Product:
    future = text(body, "product_type") == "FUTURE"
    details = mapping(body.get("future_product_details") or {}, "future_product_details")
    quote_step = maybe(body, "quote_increment")
    price_step = maybe(body, "price_increment") or quote_step
    if price_step is None:
        raise BadReply("Coinbase left out price_increment")
    product = Product(
        id=needed(body, "product_id"),
        future=future,
        quote=text(body, "quote_currency_id") or "USD",
        size_step=number(body, "base_increment"),
        price_step=price_step,
        least=maybe(body, "base_min_size") or ZERO,
        most=maybe(body, "base_max_size") or None,
        least_notional=ZERO if future else maybe(body, "quote_min_size") or ZERO,
        price=maybe(body, "price") or None,
        closed=_closed(body),
        limit_only=flag(body, "limit_only"),
        contract_size=(number(details, "contract_size") if future else ONE),
        margin_rate=_margin(details) if future else ONE,
    )
    if product.size_step <= 0 or product.price_step <= 0 or product.contract_size <= 0:
        raise BadReply(f"Coinbase sent an increment of {product.id} that is not above zero")
    return product


def _closed(body: Mapping[str, Any]) -> str:
    for name in ("is_disabled", "trading_disabled", "view_only", "cancel_only", "auction_mode", "post_only"):
        if flag(body, name):
            return name
    session = body.get("fcm_trading_session_details")
    if isinstance(session, Mapping) and session.get("is_session_open") is False:
        return "session closed"
    status = text(body, "status")
    return "" if status in ("", "online") else f"status {status}"


def _margin(details: Mapping[str, Any]) -> Decimal:
    """The larger of both sides, overnight: what must be there however long a position is held. Whole if not told."""
    rates = mapping(details.get("overnight_margin_rate") or {}, "overnight_margin_rate")
    told = [rate for name in ("long_margin_rate", "short_margin_rate") if (rate := maybe(rates, name))]
    return min(max(told), ONE) if told and min(told) > 0 else ONE


def parse_fees(body: Mapping[str, Any]) -> Fees:
    tier = mapping(body.get("fee_tier"), "fee_tier")
    return Fees(taker=number(tier, "taker_fee_rate"), maker=number(tier, "maker_fee_rate"))


def parse_wallet(row: Mapping[str, Any]) -> Wallet:
    return Wallet(
        currency=needed(row, "currency"),
        available=number(row, "available_balance"),
        hold=maybe(row, "hold") or ZERO,
        portfolio=text(row, "retail_portfolio_id"),
        active=row.get("active") is not False and row.get("ready") is not False,
    )


def parse_contracts(row: Mapping[str, Any]) -> Contracts:
    side = needed(row, "side").removeprefix("FUTURES_POSITION_SIDE_")
    if side not in ("LONG", "SHORT"):
        raise BadReply(f"Coinbase sent {side!r:.40} where a position should be LONG or SHORT")
    # The sign is in the word, the count has none.
    count = abs(number(row, "number_of_contracts"))
    return Contracts(
        product_id=needed(row, "product_id"),
        count=count if side == "LONG" else -count,
        entry=number(row, "avg_entry_price"),
        price=number(row, "current_price"),
    )


def parse_book(asset: Asset, product_id: str, body: Mapping[str, Any], source: str, now: datetime) -> Quote | None:
    """The best bid and ask, of ``best_bid_ask`` or ``product_book``; ``None`` where one of them is missing."""
    books = [body["pricebook"]] if "pricebook" in body else listed(body, "pricebooks")
    for each in books:
        book = mapping(each, "a price book")
        if text(book, "product_id") != product_id:
            continue
        bids, asks = listed(book, "bids"), listed(book, "asks")
        if not bids or not asks:
            return None
        bid, ask = (number(mapping(side[0], "a price level"), "price") for side in (bids, asks))
        try:
            return Quote(asset, bid, ask, moment(book, "time") or now, source)
        except ValueError as error:
            raise BadReply(str(error)) from None
    return None


type Bar = tuple[int, float, float, float, float, float]


def parse_candles(body: Mapping[str, Any]) -> list[Bar]:
    """``(open time in ms, open, high, low, close, volume)``, in the order in which they came."""
    bars: list[Bar] = []
    for row in listed(body, "candles"):
        one = mapping(row, "a candle")
        start = number(one, "start")
        if start != start.to_integral_value():
            raise BadReply(f"Coinbase sent {start} where start should be whole seconds")
        open_, high, low, close, volume = (
            float(number(one, name)) for name in ("open", "high", "low", "close", "volume")
        )
        bars.append((int(start) * 1000, open_, high, low, close, volume))
    return bars


# orders


def parse_order(row: Mapping[str, Any]) -> VenueOrder:
    terms = mapping(row.get("order_configuration") or {}, "order_configuration")
    kind = next((name for name, value in terms.items() if value), "")
    average = maybe(row, "average_filled_price")
    created = moment(row, "created_time")
    return VenueOrder(
        id=needed(row, "order_id"),
        client_id=text(row, "client_order_id"),
        product_id=needed(row, "product_id"),
        side=_side(row),
        status=needed(row, "status"),
        kind=kind,
        terms=mapping(terms.get(kind) or {}, "the order's terms"),
        filled=maybe(row, "filled_size") or ZERO,
        average=average or None,
        reason=_reason(row, ("reject_reason", "reject_message", "cancel_message")),
        at=moment(row, "last_fill_time") or created,
        created=created,
    )


def parse_fill(row: Mapping[str, Any]) -> VenueFill:
    size, price = number(row, "size"), number(row, "price")
    if size <= 0 or price <= 0:
        raise BadReply(f"Coinbase sent a fill of {size} at {price}")
    if flag(row, "size_in_quote"):
        size = (size / price).quantize(_PARTS)
    return VenueFill(
        id=text(row, "trade_id") or needed(row, "entry_id"),
        order_id=needed(row, "order_id"),
        product_id=needed(row, "product_id"),
        side=_side(row),
        size=size,
        price=price,
        fee=maybe(row, "commission") or ZERO,
        at=_at(row, "trade_time"),
    )


def refusal(answer: Mapping[str, Any]) -> str:
    """Why an order was not taken: the code, then what is said about it."""
    error = mapping(answer.get("error_response") or {}, "error_response")
    code = _reason(error, ("new_order_failure_reason", "preview_failure_reason", "error"))
    said = text(error, "message") or text(error, "error_details")
    return ": ".join(part for part in (code or "no reason given", said) if part)


def _reason(holder: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first that says something; what begins with UNKNOWN and ends on REASON fills a place."""
    for name in names:
        word = holder.get(name)
        if (
            isinstance(word, str)
            and word
            and not word.startswith("UNKNOWN_")
            and not word.endswith("REASON_UNSPECIFIED")
        ):
            return word
    return ""
