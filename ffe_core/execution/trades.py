"""Trades out of fills: what was opened, what was closed, what it earned. Average cost, exact, costs included."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext

from ffe_core.domain.assets import Asset
from ffe_core.domain.trading import ZERO, ClosedTrade, Fill, Side

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
        for fill in sorted(fills, key=lambda fill: (fill.at, fill.venue, fill.venue_fill_id)):
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
