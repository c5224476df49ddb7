"""Stops and targets held against bars: which is reached first, at what price, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from ffe_core import Candles
from ffe_core.builtin.paper.account import ZERO, Holding
from ffe_core.execution.fills import market_fill, stop_price_at, stop_touched, target_price_at, target_touched


@dataclass(frozen=True, slots=True)
class Trigger:
    """A level that was reached; ``price`` is what the position is left at."""

    price: Decimal
    at: datetime


def first_trigger(holding: Holding, bars: Candles, slippage: Decimal) -> Trigger | None:
    """The first bar that reaches a level of the holding's protection. Inside a bar the stop comes before the target.

    A level that the bar opens beyond is left at the open and then; any other at the level, and when the bar is over.
    """
    side = 1 if holding.quantity > 0 else -1
    stop, target = (level or ZERO for level in holding.levels)
    for index in range(len(bars)):
        open_, high, low = (Decimal(repr(column[index])) for column in (bars.open, bars.high, bars.low))
        if stop > 0 and stop_touched(side, stop, low, high):
            # A stop becomes a market order, and a target is a limit order.
            price, gapped = stop_price_at(side, stop, open_), stop_touched(side, stop, open_, open_)
            return Trigger(market_fill(price, -side, slippage), _when(bars, index, gapped=gapped))
        if target > 0 and target_touched(side, target, low, high):
            gapped = target_touched(side, target, open_, open_)
            return Trigger(target_price_at(side, target, open_), _when(bars, index, gapped=gapped))
    return None


def _when(bars: Candles, index: int, *, gapped: bool) -> datetime:
    stamp = bars.time[index] if gapped else bars.close_time(index)
    return datetime.fromtimestamp(stamp / 1000, UTC)
