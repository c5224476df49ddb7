"""Rules that act where one line crosses another, or a band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ffe_core import Action, Briefing, CandleSeries, Columns, Opinion, Series, Signals, UsageError, columns_of
from ffe_core.analysis.indicators import crossings, mean_crossings
from ffe_core.builtin.rules.parameters import newest, signals_of, varied, within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: how sure a rule is of an event, above what settings act on by default, and of there being none
SURE, IDLE = 75, 60


@dataclass(frozen=True, slots=True)
class SmaCross:
    """BUY where the fast mean of closes comes to lie above the slow one, SELL where it falls below."""

    name: str = "sma_cross"
    model: str = "rule:sma-cross"
    local: bool = True
    fast: int = within(10, 1, 1000)
    slow: int = within(30, 2, 5000)

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise UsageError(f"{self.name}: fast {self.fast} is not below slow {self.slow}")

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return newest(self, briefing, self._told)

    def _told(self, series: CandleSeries, action: Action) -> str:
        fast, slow = (series.indicator("sma", period=period)[-1] for period in (self.fast, self.slow))
        return f"SMA{self.fast} {fast:g}, SMA{self.slow} {slow:g}: {_WORDS[action]}"

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        columns = columns_of(series)
        action = mean_crossings(columns.price("close"), self.fast, self.slow, compiled=columns.compiled)
        return _events(action, self.slow - 1)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        fast, slow = (columns.indicator("sma", period=period) for period in (self.fast, self.slow))
        return crossings(fast, slow, compiled=columns.compiled)


@dataclass(frozen=True, slots=True)
class Macd:
    """BUY where the MACD line comes to lie above its signal line, SELL where it falls below."""

    name: str = "macd"
    model: str = "rule:macd"
    local: bool = True
    fast: int = within(12, 1, 1000)
    slow: int = within(26, 2, 5000)
    signal: int = within(9, 1, 1000)

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise UsageError(f"{self.name}: fast {self.fast} is not below slow {self.slow}")

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return newest(self, briefing, self._told)

    def _told(self, series: CandleSeries, action: Action) -> str:
        return f"MACD histogram {self._histogram(series)[-1]:g}: {_WORDS[action]}"

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        return _events(self.actions(columns_of(series)), self.slow + self.signal - 2)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        return crossings(self._histogram(columns), 0.0, compiled=columns.compiled)

    def _histogram(self, series: Series | Columns) -> NDArray[np.float64]:
        return series.indicator("macd_histogram", fast=self.fast, slow=self.slow, signal=self.signal)


@dataclass(frozen=True, slots=True)
class Bollinger:
    """Back to the middle: BUY below the lower Bollinger band, SELL above the upper one."""

    name: str = "bollinger"
    model: str = "rule:bollinger"
    local: bool = True
    period: int = within(20, 2, 5000)
    deviations: float = within(2.0, 0.1, 10.0)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return newest(self, briefing, self._told)

    def _told(self, series: CandleSeries, action: Action) -> str:
        lower, upper = (self._band(series, name)[-1] for name in ("bb_lower", "bb_upper"))
        close = series.candles.close[-1]
        where = {Action.BUY: "below the band", Action.SELL: "above the band", Action.HOLD: "within the band"}[action]
        return f"close {close:g}, band {lower:g} to {upper:g}: {where}"

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        return _events(self.actions(columns_of(series)), self.period - 1)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        close = columns.price("close")
        below, above = close < self._band(columns, "bb_lower"), close > self._band(columns, "bb_upper")
        return below.view(np.int8) - above.view(np.int8)

    def _band(self, series: Series | Columns, name: str) -> NDArray[np.float64]:
        return series.indicator(name, period=self.period, deviations=self.deviations)


_WORDS = {Action.BUY: "crossed upwards", Action.SELL: "crossed downwards", Action.HOLD: "no crossing"}


def _events(action: NDArray[np.int8], warm_up: int) -> Signals:
    import numpy as np

    # Bytes all the way, which is quicker than a choice between two values.
    confidence = (action != 0).view(np.int8) * np.int8(SURE - IDLE)
    confidence += np.int8(IDLE)
    confidence[:warm_up] = 0
    return signals_of(action, confidence)
