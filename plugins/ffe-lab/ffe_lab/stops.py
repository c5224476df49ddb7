"""How far away stops lie and how wild the market is, at every bar, from longer bars that were complete by then."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from ffe_core import Candles, CandleSeries
from ffe_core.risk.sizing import Exits
from ffe_lab.trades import Floats

if TYPE_CHECKING:
    from ffe_lab.market import Market

#: distances are rounded to this many decimals, as sizing does
_DECIMALS = 6
_PERIOD = 14


def stop_fractions(market: Market, exits: Exits) -> Floats:
    """One fraction for all bars, or one for each: twice (say) the daily range over the price, within its limits.

    The range is ATR(14) of the last complete day, else of the last complete four hours, else the fallback stands.
    0 is off.
    """
    if exits.stop != "atr":
        return np.array([float(exits.fallback)])
    least, most = float(exits.min), float(exits.max)
    # To the nearest millionth as decimals have it: the float product is within a hair of it, and ties are not met.
    fraction = np.round(market.stop_distance * float(exits.atr_multiple) / market.close, _DECIMALS)
    return np.where(np.isnan(fraction), float(exits.fallback), np.clip(fraction, least, most))


def stop_distance(market: Market) -> Floats:
    """ATR(14) of the last complete day, else of the last complete four hours: a price per bar, NaN before the first."""
    return _first_known(market, ((market.days, 1.0), (market.four_hours, 1.0)), _atr)


def volatility(market: Market) -> Floats:
    """ATR(14) over the close of the last complete day; else of four hours x sqrt(6), else of an hour x sqrt(24).

    A fraction per bar, NaN where nothing can tell.
    """
    own = market.candles if market.candles.timeframe.value == "1h" else None
    frames = ((market.days, 1.0), (market.four_hours, math.sqrt(6)), (own, math.sqrt(24)))
    return _first_known(market, frames, lambda market, frame: _atr(market, frame) / np.frombuffer(frame.close))


def exact(value: float) -> Decimal:
    """The decimal that a number reads as."""
    return Decimal(repr(float(value)))


def _first_known(
    market: Market,
    frames: Sequence[tuple[Candles | None, float]],
    column: Callable[[Market, Candles], Floats],
) -> Floats:
    """For each bar ``column`` of the first frame that has one by then, times that frame's factor; else NaN.

    A later frame is read no further than to the last bar at which those before it are silent, which is often soon.
    """
    found: Floats = np.full(len(market.candles), np.nan)
    for frame, factor in frames:
        silent = np.flatnonzero(np.isnan(found))
        if frame is None or not len(silent):
            continue
        place = market.known(frame)[: silent[-1] + 1]
        read = column(market, frame.slice(0, int(place[-1]) + 1)) * factor
        head = found[: len(place)]
        head[:] = np.where(np.isnan(head) & (place >= 0), read[place] if len(read) else np.nan, head)
    return found


def _atr(market: Market, frame: Candles) -> Floats:
    return CandleSeries(frame, compiled=market.compiled).indicator("atr", period=_PERIOD)
