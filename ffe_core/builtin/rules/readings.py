"""Rules that read a level: the day's change, a trend and its strength, an oscillator at its ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ffe_core import (
    Action,
    AssetKind,
    Briefing,
    Candles,
    Columns,
    FramePulse,
    Opinion,
    ProviderFailed,
    Series,
    Signals,
    Timeframe,
    close_times,
    columns_of,
)
from ffe_core.analysis.indicators import adx, last, rsi, sma
from ffe_core.builtin.rules.parameters import opinion, series_of, signals_of, varied, within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DAY = 86_400_000
#: a Monday looks back over the week-end; beyond this a "day's change" would be a story about something else
_LONGEST_LOOK_BACK = 7 * _DAY
#: periods that the pulse has read already
_PULSE_SMA, _PULSE_ADX, _PULSE_RSI = 20, 14, 14


@dataclass(frozen=True, slots=True)
class DayChange:
    """Against the day's move: sell after a rise of more than 2 % over 24 hours, buy after a fall of more than 2 %."""

    name: str = "local"
    model: str = "rule:day-change"
    local: bool = True
    move: float = within(0.02, 0.0, 1.0)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        change = briefing.market.change
        if change is None:
            raise ProviderFailed("no close 24 hours before the last one")
        told = f"{change:+.2%} over 24 hours"
        if change > self.move:
            return opinion(self, briefing, Action.SELL, 65, f"{told}: take profit")
        if change < -self.move:
            return opinion(self, briefing, Action.BUY, 70, f"{told}: buy the dip")
        return opinion(self, briefing, Action.HOLD, 60, f"{told}: within {self.move * 100:g} %, nothing to do")

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        import numpy as np

        close = np.frombuffer(series.candles.close)
        before = _a_day_before(series.candles)
        known = (before >= 0) & (close[before] > 0)
        change = np.where(known, close / np.where(known, close[before], 1.0) - 1, 0.0)
        rose, fell = change > self.move, change < -self.move
        confidence = np.where(rose, np.int8(65), np.where(fell, np.int8(70), np.int8(60)))
        return signals_of(fell.view(np.int8) - rose.view(np.int8), confidence, known)


def _a_day_before(candles: Candles) -> NDArray[np.int64]:
    """The bar that each bar is compared with: the last one that closed 24 hours earlier, -1 where there is none.

    For a stock it is the last bar of the session before.
    """
    import numpy as np

    closes = close_times(candles)
    if candles.asset.kind is AssetKind.STOCK:
        # Just before the close is inside the session, whichever way the label was written.
        days = np.array([Timeframe.D1.open_of(at - 1, AssetKind.STOCK) for at in closes.tolist()], np.int64)
        before = np.searchsorted(days, days, "left") - 1
    else:
        before = np.searchsorted(closes, closes - _DAY, "right") - 1
    too_old = closes - closes[before] > _LONGEST_LOOK_BACK
    return np.where((before < 0) | too_old, -1, before)


@dataclass(frozen=True, slots=True)
class TrendAdx:
    """With a strong trend: the side of the 20-bar average that the close is on, where ADX(14) is above 25."""

    name: str = "trend_adx"
    model: str = "rule:sma20-adx14"
    local: bool = True
    period: int = within(_PULSE_SMA, 2, 5000)
    adx_period: int = within(_PULSE_ADX, 2, 1000)
    strong: float = within(25.0, 0.0, 100.0)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        frame = _frame(briefing)
        mean, strength = self._readings(frame, briefing)
        if mean is None or strength is None:
            raise ProviderFailed(f"too few bars for SMA({self.period}) and ADX({self.adx_period}) of {frame.timeframe}")
        confidence = min(100, int(strength * 2))
        told = f"close {frame.price:g}, SMA{self.period} {mean:g}, ADX {strength:.1f}"
        if strength <= self.strong or frame.price == mean:
            return opinion(self, briefing, Action.HOLD, confidence, f"{told}: no strong trend")
        if frame.price > mean:
            return opinion(self, briefing, Action.BUY, confidence, f"{told}: strong and above its average")
        return opinion(self, briefing, Action.SELL, confidence, f"{told}: strong and below its average")

    def _readings(self, frame: FramePulse, briefing: Briefing) -> tuple[float | None, float | None]:
        mean, strength = frame.sma_20, frame.adx
        if self.period != _PULSE_SMA:
            mean = last(sma(series_of(briefing).candles.close, self.period))
        if self.adx_period != _PULSE_ADX:
            bars = series_of(briefing).candles
            strength = last(adx(bars.high, bars.low, bars.close, self.adx_period)[0])
        return mean, strength

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        import numpy as np

        mean, strength = series.indicator("sma", period=self.period), series.indicator("adx", period=self.adx_period)
        known = ~(np.isnan(mean) | np.isnan(strength))
        confidence = np.minimum(100, np.where(known, strength, 0.0) * 2)
        return signals_of(self.actions(columns_of(series)), confidence, known)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        # What is not known yet is neither strong nor on any side.
        close, mean = columns.price("close"), columns.indicator("sma", period=self.period)
        strong = columns.indicator("adx", period=self.adx_period) > self.strong
        return (strong & (close > mean)).view(np.int8) - (strong & (close < mean)).view(np.int8)


@dataclass(frozen=True, slots=True)
class RsiReversion:
    """Against extremes: buy under RSI(14) 30, sell over 70. Confidence grows with the distance from 50."""

    name: str = "rsi_reversion"
    model: str = "rule:rsi14"
    local: bool = True
    period: int = within(_PULSE_RSI, 2, 1000)
    low: float = within(30.0, 0.0, 50.0)
    high: float = within(70.0, 50.0, 100.0)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        frame = _frame(briefing)
        reading = frame.rsi if self.period == _PULSE_RSI else last(rsi(series_of(briefing).candles.close, self.period))
        if reading is None:
            raise ProviderFailed(f"too few bars for RSI({self.period}) of {frame.timeframe}")
        distance = abs(reading - 50)
        told = f"RSI {reading:.1f}"
        if reading < self.low:
            return opinion(self, briefing, Action.BUY, int(50 + distance), f"{told}: oversold")
        if reading > self.high:
            return opinion(self, briefing, Action.SELL, int(50 + distance), f"{told}: overbought")
        between = f"between {self.low:g} and {self.high:g}"
        return opinion(self, briefing, Action.HOLD, int(70 - distance), f"{told}: {between}")

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        import numpy as np

        columns = columns_of(series)
        level, known = self._level(columns)
        action, distance = self._sides(level), np.abs(level - 50)
        confidence = np.where(action != 0, 50 + distance, 70 - distance)
        return signals_of(action, confidence, known)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        level, known = self._level(columns)
        return np.where(known, self._sides(level), np.int8(0))

    def _sides(self, level: NDArray[np.float64]) -> NDArray[np.int8]:
        import numpy as np

        return (level < self.low).view(np.int8) - (level > self.high).view(np.int8)

    def _level(self, columns: Columns) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The reading, 50 where there is none, and where there is one."""
        import numpy as np

        reading, close = columns.indicator("rsi", period=self.period), columns.price("close")
        # RSI of a market that has not moved is 0 by definition and means nothing.
        moved = np.maximum.accumulate(close != close[..., :1], axis=-1)
        known = moved & ~np.isnan(reading)
        return np.where(known, reading, 50.0), known


def _frame(briefing: Briefing) -> FramePulse:
    frame = briefing.pulse.frames.get(briefing.timeframe)
    if frame is None:
        raise ProviderFailed(f"no {briefing.timeframe} bars of {briefing.asset}")
    return frame
