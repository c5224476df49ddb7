"""What kind of market it is, and how much it moves in a day."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from ffe_core.analysis.indicators import Floats, adx, atr, last, sma
from ffe_core.domain.assets import Timeframe
from ffe_core.domain.market import Candles, Regime
from ffe_core.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

TRENDING_ADX = 25.0
HIGH_VOLATILITY = 0.02
#: longest frame first, with how many of its bars make the square of one day's range
_DAY = ((Timeframe.D1, 1), (Timeframe.H4, 6), (Timeframe.H1, 24))


def detect_regime(bars: Candles | Mapping[str, Floats] | pd.DataFrame, *, compiled: bool = False) -> Regime:
    """The regime at the last bar: Wilder's ADX(14) and ATR(14), means of 5 and 20 closes.

    ADX above 25 is a trend, up where the short mean is above the long one. Without a trend an ATR above 2 % of the
    price is chop, else a quiet range. Fewer than 28 bars, which ADX needs, are ``UNKNOWN``. ``bars`` may also be a
    mapping or a DataFrame with the columns; raises ``BadData`` where one is missing.
    """
    high, low, close = (_column(bars, name) for name in ("high", "low", "close"))
    strength = last(adx(high, low, close, 14, compiled=compiled)[0])
    volatility = relative_range(high, low, close, compiled=compiled)
    if strength is None or volatility is None:
        return Regime.UNKNOWN
    if strength > TRENDING_ADX:
        short, long = last(sma(close, 5, compiled=compiled)), last(sma(close, 20, compiled=compiled))
        rising = short is not None and long is not None and short > long
        return Regime.TRENDING_BULL if rising else Regime.TRENDING_BEAR
    return Regime.HIGH_VOLATILITY_CHOP if volatility > HIGH_VOLATILITY else Regime.LOW_VOLATILITY_RANGING


def regime_of(series: Mapping[Timeframe, Candles | None], timeframe: Timeframe) -> Regime:
    """By daily bars where there are enough of them, else by those of ``timeframe``."""
    daily = series.get(Timeframe.D1)
    regime = detect_regime(daily) if daily is not None else Regime.UNKNOWN
    if regime is not Regime.UNKNOWN:
        return regime
    own = series.get(timeframe)
    return detect_regime(own) if own is not None else Regime.UNKNOWN


def daily_volatility(
    series: Mapping[Timeframe, Candles | None], as_of: datetime | None = None, *, compiled: bool = False
) -> float | None:
    """ATR(14) of daily bars over the close, a fraction (0.03 is 3 % a day), from bars complete at ``as_of``.

    Where the daily frame has too few bars the 4-hour one is scaled by the square root of 6, then the hourly one by that
    of 24; ``None`` where none can tell. Without ``as_of`` the series are taken to be cut already.
    """
    for timeframe, per_day in _DAY:
        candles = series.get(timeframe)
        if candles is None:
            continue
        seen = candles if as_of is None else candles.as_of(as_of)
        value = relative_range(seen.high, seen.low, seen.close, compiled=compiled)
        if value is not None:
            return value * math.sqrt(per_day)
    return None


def relative_range(high: Floats, low: Floats, close: Floats, *, compiled: bool = False) -> float | None:
    """ATR(14) over the close at the last bar; ``None`` during warm-up."""
    reach, price = last(atr(high, low, close, 14, compiled=compiled)), last(close)
    return reach / price if reach is not None and price else None


def _column(bars: Candles | Mapping[str, Floats] | pd.DataFrame, name: str) -> Floats:
    try:
        values: Floats = getattr(bars, name) if isinstance(bars, Candles) else bars[name]
    except KeyError as error:
        raise BadData(f"a regime is read from high, low and close; {name} is missing") from error
    return values
