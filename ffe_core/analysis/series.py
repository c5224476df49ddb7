"""A ``Series`` over candles: indicator columns that are computed once and shared by everyone who asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ffe_core.domain.assets import DayBoundary, Timeframe
from ffe_core.domain.market import Candles
from ffe_core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ffe_core.ports import Columns, Series

#: column -> function of ``ffe_core.analysis.indicators``, what it reads, which of its results is meant
COLUMNS: dict[str, tuple[str, tuple[str, ...], int | None]] = {
    "sma": ("sma", ("close",), None),
    "ema": ("ema", ("close",), None),
    "rsi": ("rsi", ("close",), None),
    "macd": ("macd", ("close",), 0),
    "macd_signal": ("macd", ("close",), 1),
    "macd_histogram": ("macd", ("close",), 2),
    "bb_upper": ("bollinger", ("close",), 0),
    "bb_middle": ("bollinger", ("close",), 1),
    "bb_lower": ("bollinger", ("close",), 2),
    "atr": ("atr", ("high", "low", "close"), None),
    "adx": ("adx", ("high", "low", "close"), 0),
    "plus_di": ("adx", ("high", "low", "close"), 1),
    "minus_di": ("adx", ("high", "low", "close"), 2),
}

#: function -> the columns that it gives, and which of its results each one is
_SIBLINGS = {
    function: [(name, part) for name, (same, _, part) in COLUMNS.items() if same == function]
    for function, _, _ in COLUMNS.values()
}

type _Key = tuple[Any, ...]


@dataclass(slots=True)
class CandleSeries:
    """Columns by name and parameters, such as ``indicator("sma", period=50)``; the same array for the same question.

    ``compiled`` computes them as machine code, for long series and many questions; the numbers are the same bits.
    """

    candles: Candles
    compiled: bool = False
    _known: dict[_Key, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)

    @property
    def time(self) -> NDArray[np.int64]:
        """Read-only, epoch milliseconds of the opens."""
        import numpy as np

        return np.frombuffer(self.candles.time, np.int64)

    def price(self, name: str) -> NDArray[np.float64]:
        """Read-only: ``open``, ``high``, ``low``, ``close`` or ``volume``."""
        import numpy as np

        return np.frombuffer(getattr(self.candles, name), np.float64)

    def indicator(self, name: str, **params: float) -> NDArray[np.float64]:
        """Read-only, as long as the candles, NaN in the warm-up.

        Raises ``UnknownName`` for an indicator, ``UsageError`` for a parameter that does not exist or makes no sense.
        """
        key = (name, *sorted(params.items()))
        if key not in self._known:
            self._compute(name, params)
        return self._known[key]

    def _compute(self, name: str, params: dict[str, float]) -> None:
        import numpy as np

        for other, column in indicators_of(name, params, self.price, compiled=self.compiled).items():
            values = np.asarray(column, dtype=np.float64)
            values.flags.writeable = False
            self._known[(other, *sorted(params.items()))] = values


def indicators_of(
    name: str, params: dict[str, float], price: Callable[[str], Any], *, compiled: bool
) -> dict[str, Any]:
    """Indicator ``name`` of the columns that ``price`` gives, and whatever else the same function found.

    One function often gives several columns, and whoever asks for one will ask for the next. Raises like
    ``CandleSeries.indicator``.
    """
    from ffe_core.analysis import indicators

    if name not in COLUMNS:
        raise UnknownName("indicator", name, COLUMNS)
    function, inputs, part = COLUMNS[name]
    try:
        made: Any = getattr(indicators, function)(*map(price, inputs), compiled=compiled, **params)
    except (TypeError, ValueError) as error:
        raise UsageError(f"indicator {name}: {error}") from error
    return {name: made} if part is None else {other: made[index] for other, index in _SIBLINGS[function]}


@dataclass(slots=True)
class _SeriesColumns:
    """Any ``Series`` as ``Columns``."""

    series: Series

    compiled: ClassVar[bool] = False

    @property
    def time(self) -> NDArray[np.int64]:
        return CandleSeries(self.series.candles).time

    def price(self, name: str) -> NDArray[np.float64]:
        return CandleSeries(self.series.candles).price(name)

    def indicator(self, name: str, **params: float) -> NDArray[np.float64]:
        return self.series.indicator(name, **params)


def columns_of(series: Series) -> Columns:
    """The columns of a series, for rules that are asked for either."""
    return series if isinstance(series, CandleSeries) else _SeriesColumns(series)


def close_times(candles: Candles) -> NDArray[np.int64]:
    """When each bar is complete, epoch milliseconds."""
    import numpy as np

    kind, frame = candles.asset.kind, candles.timeframe
    if frame is not Timeframe.D1 or DayBoundary.of(kind) is DayBoundary.UTC:
        return np.frombuffer(candles.time, np.int64) + frame.milliseconds
    return np.array([frame.close_of(opened, kind) for opened in candles.time], np.int64)
