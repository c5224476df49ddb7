"""Trades out of fills: what was opened, what was closed, what it earned. Average cost, exact, costs included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from ffe_core.domain.assets import Asset
from ffe_core.domain.trading import ZERO, ClosedTrade, Fill, Order, OrderType, Side
from ffe_core.store.orders import JournalEntry

#: digits enough that no product or sum of real amounts is ever rounded before the result is
_EXACT = 80
_STEP = Decimal("0.00000001")


@dataclass
class _Open:
    asset: Asset
    quantity: Decimal
    cost: Decimal
    fees: Decimal
    opened_at: datetime


def closed_trades(fills: Iterable[Fill], reasons: Mapping[str, str] | None = None) -> list[ClosedTrade]:
    """Every reduction of a position as a trade, in the order of the fills; what crosses zero closes and opens anew.

    ``pnl`` is in the quote currency, net of the fees of this fill and of the share of the opening fees that it closes;
    fees in another currency are left out. ``reasons``: client order id to why it was sent ("stop", "close", ...).
    """
    told = reasons or {}
    held: dict[tuple[str, str], _Open] = {}
    made: list[ClosedTrade] = []
    with localcontext(prec=_EXACT):
        for fill in sorted(fills, key=_as_told):
            key = (fill.venue, fill.asset.symbol)
            change = fill.side.sign * fill.quantity
            fee = fill.fee if fill.fee_currency in ("", fill.asset.quote) else ZERO
            now = held.get(key)
            if now is not None and now.quantity * change < 0:
                closing = min(abs(change), abs(now.quantity))
                made.append(_closed(now, fill, closing, fee * closing / fill.quantity, told))
                share = closing / abs(now.quantity)
                now.cost, now.fees = now.cost * (1 - share), now.fees * (1 - share)
                now.quantity += closing if change > 0 else -closing
                change -= closing if change > 0 else -closing
                fee = fee * abs(change) / fill.quantity
                if not now.quantity:
                    del held[key]
            if change:
                opened = held.setdefault(key, _Open(fill.asset, ZERO, ZERO, ZERO, fill.at))
                opened.quantity += change
                opened.cost += abs(change) * fill.price
                opened.fees += fee
    return made


def _as_told(fill: Fill) -> tuple[datetime, str, int, str]:
    """By time, and at one instant in the order of a venue's numbers, of which the longer is the later."""
    return fill.at, fill.venue, len(fill.venue_fill_id), fill.venue_fill_id


def _closed(held: _Open, fill: Fill, quantity: Decimal, fee: Decimal, reasons: Mapping[str, str]) -> ClosedTrade:
    sign = 1 if held.quantity > 0 else -1
    entry = held.cost / abs(held.quantity)
    fees = fee + held.fees * quantity / abs(held.quantity)
    return ClosedTrade(
        asset=held.asset,
        side=Side.BUY if sign > 0 else Side.SELL,
        opened_at=held.opened_at,
        closed_at=fill.at,
        quantity=quantity,
        entry_price=entry.quantize(_STEP),
        exit_price=fill.price,
        pnl=(sign * quantity * (fill.price - entry) - fees).quantize(_STEP),
        exit_reason=reasons.get(fill.client_order_id, ""),
    )


def exit_reasons(entries: Iterable[JournalEntry], fills: Iterable[Fill]) -> dict[str, str]:
    """Client order id to why it was sent: ``stop`` or ``target`` for a protection, else its leg."""
    orders = {entry.order.client_order_id: entry.order for entry in entries}
    return {
        fill.client_order_id: _reason(orders[fill.client_order_id], fill)
        for fill in fills
        if fill.client_order_id in orders
    }


def _reason(order: Order, fill: Fill) -> str:
    stop, target = order.stop_price, order.target_price
    if order.type not in (OrderType.STOP, OrderType.BRACKET) or stop is None:
        return order.leg
    if target is None:
        return "stop"
    return "target" if abs(fill.price - target) < abs(fill.price - stop) else "stop"


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position from flat to flat: the decision that opened it, and what it earned in quote currency.

    ``cost`` is what was paid for what was opened, fees apart; ``pnl`` is net of all fees.
    """

    decision_id: str
    asset: Asset
    side: Side
    closed_at: datetime
    cost: Decimal
    fees: Decimal
    pnl: Decimal
    exit_reason: str


def round_trips(entries: Iterable[JournalEntry], fills: Iterable[Fill]) -> list[RoundTrip]:
    """Positions of one account that came and went, oldest first; what no decision opened is left out."""
    held = list(entries)
    told = list(fills)
    opened_by = {entry.order.client_order_id: entry.order.decision_id for entry in held}
    reasons = exit_reasons(held, told)
    made: list[RoundTrip] = []
    running: dict[str, list[Fill]] = {}
    quantities: dict[str, Decimal] = {}
    for fill in sorted(told, key=_as_told):
        symbol = fill.asset.symbol
        running.setdefault(symbol, []).append(fill)
        quantities[symbol] = quantities.get(symbol, ZERO) + fill.side.sign * fill.quantity
        if quantities[symbol] == 0:
            some = running.pop(symbol)
            decision_id = opened_by.get(some[0].client_order_id)
            if decision_id is not None:
                made.append(_round_trip(decision_id, some, reasons.get(fill.client_order_id, "")))
    return made


def _round_trip(decision_id: str, fills: list[Fill], reason: str) -> RoundTrip:
    first, last = fills[0], fills[-1]
    with localcontext(prec=_EXACT):
        fees = sum((one.fee for one in fills if one.fee_currency in ("", one.asset.quote)), ZERO)
        flow = sum((-one.side.sign * one.quantity * one.price for one in fills), ZERO)
        cost = sum((one.quantity * one.price for one in fills if one.side is first.side), ZERO)
        pnl = (flow - fees).quantize(_STEP)
    return RoundTrip(decision_id, first.asset, first.side, last.at, cost, fees, pnl, reason)
