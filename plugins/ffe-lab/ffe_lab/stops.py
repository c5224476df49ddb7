"""How far away stops lie and how wild the market is, at every bar, from longer bars that were complete by then."""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np

from ffe_core import Candles, CandleSeries
from ffe_core.risk.sizing import Exits
from ffe_lab.market import Market
from ffe_lab.trades import Floats

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
    distance: Floats = np.full(len(market.candles), np.nan)
    for frame in (market.four_hours, market.days):
        if frame is not None:
            reach = _last_known(market, frame, _atr(market, frame))
            distance = np.where(np.isnan(reach), distance, reach)
    least, most = float(exits.min), float(exits.max)
    # To the nearest millionth as decimals have it: the float product is within a hair of it, and ties are not met.
    fraction = np.round(distance * float(exits.atr_multiple) / market.close, _DECIMALS)
    return np.where(np.isnan(fraction), float(exits.fallback), np.clip(fraction, least, most))


def volatility(market: Market) -> Floats:
    """ATR(14) over the close of the last complete day; else of four hours x sqrt(6), else of an hour x sqrt(24).

    A fraction per bar, NaN where nothing can tell.
    """
    found: Floats = np.full(len(market.candles), np.nan)
    own = market.candles if market.candles.timeframe.value == "1h" else None
    for frame, per_day in ((own, 24), (market.four_hours, 6), (market.days, 1)):
        if frame is not None:
            reach = _atr(market, frame) / np.frombuffer(frame.close) * math.sqrt(per_day)
            known = _last_known(market, frame, reach)
            found = np.where(np.isnan(known), found, known)
    return found


def exact(value: float) -> Decimal:
    """The decimal that a number reads as."""
    return Decimal(repr(float(value)))


def _atr(market: Market, frame: Candles) -> Floats:
    return CandleSeries(frame, compiled=market.compiled).indicator("atr", period=_PERIOD)


def _last_known(market: Market, frame: Candles, column: Floats) -> Floats:
    place = market.known(frame)
    return np.where(place >= 0, column[place], np.nan)
