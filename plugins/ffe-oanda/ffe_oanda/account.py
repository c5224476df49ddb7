"""The account as a portfolio: equity is the venue's own net asset value, whatever its positions are paid in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe_core import Portfolio, Position
from ffe_oanda.parse import amount, an_object, asset_of, instant, maybe_amount, objects, text

ZERO = Decimal(0)
NAME = "oanda"


@dataclass(frozen=True, slots=True)
class Trade:
    """An open trade with what hangs on it. ``units`` is signed."""

    id: str
    instrument: str
    units: Decimal
    opened_at: datetime
    stop: Mapping[str, Any] | None
    target: Mapping[str, Any] | None


def portfolio_of(
    account: Mapping[str, Any], number: str, pricing: Mapping[str, Any], prices: Mapping[str, Any], at: datetime
) -> Portfolio:
    """``prices`` by instrument, of every one that is held, and ``pricing`` with the rates to account currency.

    Cash is what is left of the net asset value without the positions at their prices, so that both add up to it. Where
    a rate is missing it is not known.
    """
    currency = text(account, "currency")
    trades = list(map(brief_trade(account), objects(account, "trades")))
    rates = _rates(pricing, currency)
    positions = [_position(held, trades, prices, rates) for held in objects(account, "positions")]
    positions = [position for position in positions if position.quantity]
    values = [position.value_in(currency) for position in positions]
    known = [value for value in values if value is not None]
    # Without a price there is no worth either, whatever the entry was.
    priced = all(f"{each.asset.base}_{each.asset.quote}" in prices for each in positions)
    return Portfolio(
        platform=NAME,
        account=number,
        currency=currency,
        cash=amount(account, "NAV") - sum(known, ZERO) if priced and len(known) == len(values) else None,
        positions=tuple(positions),
        buying_power=amount(account, "marginAvailable"),
        at=at,
    )


def held_instruments(account: Mapping[str, Any]) -> list[str]:
    return [text(held, "instrument") for held in objects(account, "positions") if any(_units(held))]


def side_units(position: Mapping[str, Any], long: bool) -> Decimal:
    """What is held on one side, without its sign."""
    return abs(_units(position)[0 if long else 1])


def brief_trade(account: Mapping[str, Any]) -> Any:
    """Reads trades that name the orders which hang on them by their ids."""
    orders = {text(order, "id"): order for order in objects(account, "orders")}

    def read(trade: Mapping[str, Any]) -> Trade:
        return _trade(trade, *(orders.get(str(trade.get(f"{name}OrderID"))) for name in ("stopLoss", "takeProfit")))

    return read


def open_trades(body: Mapping[str, Any]) -> list[Trade]:
    """Trades of GET openTrades, which carry those orders themselves; the oldest first."""
    found = [
        _trade(each, *(each.get(f"{name}Order") for name in ("stopLoss", "takeProfit")))
        for each in objects(body, "trades")
    ]
    return sorted(found, key=lambda trade: int(trade.id))


def _trade(trade: Mapping[str, Any], stop: object, target: object) -> Trade:
    return Trade(
        id=text(trade, "id"),
        instrument=text(trade, "instrument"),
        units=amount(trade, "currentUnits"),
        opened_at=instant(trade, "openTime"),
        stop=stop if isinstance(stop, Mapping) else None,
        target=target if isinstance(target, Mapping) else None,
    )


def _position(
    held: Mapping[str, Any], trades: Sequence[Trade], prices: Mapping[str, Any], rates: Mapping[str, Decimal]
) -> Position:
    """The position net of both sides, at its entry price where there is no other."""
    instrument = text(held, "instrument")
    asset = asset_of(instrument)
    quantity = sum(_units(held), ZERO)
    side = an_object(held, "long" if quantity > 0 else "short")
    mine = [each for each in trades if each.instrument == instrument and each.units * quantity > 0]
    price = _closing_price(prices.get(instrument), quantity)
    entry = maybe_amount(side, "averagePrice") or ZERO
    return Position(
        asset=asset,
        quantity=quantity,
        entry_price=entry,
        price=entry if price is None else price,
        opened_at=min((trade.opened_at for trade in mine), default=None),
        stop_price=_level([trade.stop for trade in mine], least=quantity > 0),
        target_price=_level([trade.target for trade in mine], least=quantity < 0),
        rate=rates.get(asset.quote),
    )


def _units(held: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    long, short = (amount(an_object(held, side), "units") for side in ("long", "short"))
    return long, short


def _closing_price(price: Mapping[str, Any] | None, quantity: Decimal) -> Decimal | None:
    """What it could be closed at now: what the venue values it by."""
    return None if price is None else maybe_amount(price, "closeoutBid" if quantity > 0 else "closeoutAsk")


def _level(orders: Sequence[Mapping[str, Any] | None], *, least: bool) -> Decimal | None:
    """The level that protects the whole position: the farthest one, and none as soon as a trade has none."""
    levels = [maybe_amount(order, "price") if order else None for order in orders]
    known = [level for level in levels if level is not None]
    if not known or len(known) < len(levels):
        return None
    return min(known) if least else max(known)


def _rates(pricing: Mapping[str, Any], currency: str) -> dict[str, Decimal]:
    """Account currency for a unit of each currency."""
    found = {currency: Decimal(1)}
    if "homeConversions" in pricing:
        for each in objects(pricing, "homeConversions"):
            rate = maybe_amount(each, "positionValue")
            if rate is not None:
                found.setdefault(text(each, "currency"), rate)
    return found
