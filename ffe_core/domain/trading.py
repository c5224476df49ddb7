"""Orders, fills, positions and portfolios. Decimals: these numbers are owed to someone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import require_utc

ZERO = Decimal(0)


class Mode(StrEnum):
    PAPER = "paper"
    LIVE = "live"


class Action(StrEnum):
    BUY = "BUY"
    SELL = "SELL"
    HOLD = "HOLD"


class Effect(StrEnum):
    """What an action does to the position that there is."""

    NONE = "none"
    OPEN_LONG = "open_long"
    ADD_LONG = "add_long"
    REDUCE = "reduce"
    CLOSE = "close"
    OPEN_SHORT = "open_short"

    @property
    def is_entry(self) -> bool:
        return self in (Effect.OPEN_LONG, Effect.ADD_LONG, Effect.OPEN_SHORT)

    @property
    def is_exit(self) -> bool:
        return self in (Effect.REDUCE, Effect.CLOSE)


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"
    STOP = "stop"
    BRACKET = "bracket"


class OrderState(StrEnum):
    """UNKNOWN is left only by an answer of the venue."""

    INTENT = "INTENT"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    ACCEPTED = "ACCEPTED"
    PARTIAL = "PARTIAL"
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELLED = "CANCELLED"
    NOT_PLACED = "NOT_PLACED"


class TradingState(StrEnum):
    ACTIVE = "ACTIVE"
    REDUCING = "REDUCING"
    HALTED = "HALTED"


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill costs by the user's settings: fractions of notional, and a commission in quote currency per fill."""

    fee: Decimal = Decimal("0.001")
    slippage: Decimal = Decimal("0.0001")
    commission: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Fees:
    """Fractions of notional, and a fixed commission in quote currency per fill."""

    taker: Decimal = ZERO
    maker: Decimal = ZERO
    commission: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a venue lets one do with an asset. Sizes in base units, prices in quote currency."""

    asset: Asset
    quantity_increment: Decimal
    price_increment: Decimal
    minimum_quantity: Decimal
    minimum_notional: Decimal
    quote_currency: str
    can_short: bool = False
    tradeable: bool = True
    contract_size: Decimal = Decimal(1)
    #: share of notional that must be held as margin; 1 is unleveraged
    margin_rate: Decimal = Decimal(1)
    fees: Fees = field(default_factory=Fees)
    #: which of several venues trades it, where one account stands for several; empty for the account's own
    venue: str = ""

    def __post_init__(self) -> None:
        if self.quantity_increment <= 0 or self.price_increment <= 0:
            raise ValueError(f"{self.asset}: increments must be above zero")
        if not 0 < self.margin_rate <= 1:
            raise ValueError(f"{self.asset}: margin rate {self.margin_rate} is not in (0, 1]")

    def round_quantity(self, quantity: Decimal) -> Decimal:
        """Down to the increment: never more than was meant."""
        return (quantity // self.quantity_increment) * self.quantity_increment

    def round_price(self, price: Decimal) -> Decimal:
        return (price / self.price_increment).to_integral_value() * self.price_increment


@dataclass(frozen=True, slots=True)
class Order:
    """One instruction to a venue. ``quantity`` is positive base units; ``client_order_id`` is derived, never random."""

    client_order_id: str
    decision_id: str
    leg: str
    asset: Asset
    side: Side
    quantity: Decimal
    effect: Effect
    type: OrderType = OrderType.MARKET
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    reduce_only: bool = False
    state: OrderState = OrderState.INTENT
    created_at: datetime | None = None
    sent_at: datetime | None = None
    venue_order_id: str | None = None
    #: what ``Platform.prepare`` returned, kept for recovery
    prepared: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.quantity.is_finite() or self.quantity <= 0:
            raise ValueError(f"order for {self.asset}: quantity {self.quantity} is not above zero")


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution; unique by ``(venue, venue_fill_id)``. ``fee`` in ``fee_currency``, positive when paid."""

    venue: str
    venue_fill_id: str
    client_order_id: str
    asset: Asset
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_currency: str
    at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_utc(self.at))


@dataclass(frozen=True, slots=True)
class OrderReport:
    """A venue's word on an order."""

    client_order_id: str
    venue_order_id: str | None
    state: OrderState
    filled_quantity: Decimal = ZERO
    average_price: Decimal | None = None
    fills: tuple[Fill, ...] = ()
    reason: str = ""
    at: datetime | None = None


def quote_to_account(asset: Asset, price: Decimal, currency: str) -> Decimal | None:
    """What one unit of quote currency is worth in account currency; ``None`` where this pair alone cannot tell."""
    if asset.quote in (currency, "") or not currency:
        return Decimal(1)
    if asset.base == currency and price > 0:
        return 1 / price
    return None


@dataclass(frozen=True, slots=True)
class Position:
    """``quantity`` is signed: above zero long, below zero short. ``entry_price`` is the average fill price."""

    asset: Asset
    quantity: Decimal
    entry_price: Decimal
    price: Decimal
    opened_at: datetime | None = None
    stop_price: Decimal | None = None
    target_price: Decimal | None = None
    #: which of several venues holds it, where one portfolio stands for several; empty for the portfolio's own
    venue: str = ""
    #: what a unit of quote currency is worth in the account's, by the venue's own word; unset: by the pair's price
    rate: Decimal | None = None

    @property
    def is_long(self) -> bool:
        return self.quantity > 0

    @property
    def market_value(self) -> Decimal:
        return self.quantity * self.price

    @property
    def unrealised(self) -> Decimal:
        return self.quantity * (self.price - self.entry_price)

    def value_in(self, currency: str) -> Decimal | None:
        """Signed worth in ``currency``, the account's; ``None`` where neither its rate nor its own price can tell."""
        rate = quote_to_account(self.asset, self.price, currency) if self.rate is None else self.rate
        return None if rate is None else self.market_value * rate


@dataclass(frozen=True, slots=True)
class Portfolio:
    """One account: cash and positions in ``currency``. ``equity`` is their sum; unknown balances are ``None``."""

    platform: str
    account: str
    currency: str
    cash: Decimal | None
    positions: tuple[Position, ...] = ()
    #: what further entries may spend; ``None`` means cash
    buying_power: Decimal | None = None
    at: datetime | None = None
    #: whether the positions are known; a failed query is never read as flat
    positions_known: bool = True
    #: remembered rather than just fetched: for display, never for sizing
    stale: bool = False
    synthetic: bool = False

    @property
    def equity(self) -> Decimal | None:
        if self.cash is None or not self.positions_known:
            return None
        values = [position.value_in(self.currency) for position in self.positions]
        known = [value for value in values if value is not None]
        return self.cash + sum(known, ZERO) if len(known) == len(values) else None

    def position(self, asset: Asset) -> Position | None:
        return next((held for held in self.positions if held.asset.symbol == asset.symbol and held.quantity), None)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A position that came and went; ``pnl`` net of costs in account currency."""

    asset: Asset
    side: Side
    opened_at: datetime
    closed_at: datetime
    quantity: Decimal
    entry_price: Decimal
    exit_price: Decimal
    pnl: Decimal
    exit_reason: str


@dataclass(frozen=True, slots=True)
class Reservation:
    """Exposure promised to a decision that is approved and not yet filled, in account currency."""

    decision_id: str
    asset: Asset
    notional: Decimal
    expires_at: datetime
