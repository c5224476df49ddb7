"""The standard indicators, for plugins and for ffe itself: one call per indicator, whole columns in and out.

    from ffe_core.analysis.indicators import rsi, sma
    rsi(candles.close)[-1]

Input is any column of floats, oldest first: a column of ``Candles``, a list, an ``array``, a NumPy array, a Series.
Output has the same length, NaN until the indicator has seen enough bars; leading NaN in the input is skipped, so that
indicators chain. Prices, bands, means, MACD and ATR are in the input's own unit, RSI, ADX and DI in 0-100.

``compiled=True`` runs the same source as machine code and returns NumPy arrays for long-lived processes and series.
Without it nothing beyond the standard library is imported, which is what a single cold command wants. The choice is
always the caller's, and the numbers are the same to the last bit. Values agree with TA-Lib within 1e-9, on the same
first bar; whether TA-Lib is installed makes no difference.

Compiled, a column may also be a table of rows, one column each and complete from the first bar: so are the results.

Every function raises ``ValueError`` for a period that makes no sense and for columns of different length.
"""

from __future__ import annotations

import hashlib
import math
import sys
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ffe_core.analysis import batches, kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: closes that one step of the standard set looks back on
_LOOKBACK = 50
_CAPACITY = 1024
#: values from which a loop takes longer than looking at whole columns
_WORTH_COLUMNS = 2_000


class Floats(Protocol):
    """A column of float64 values."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


class Bars(Protocol):
    """What the standard set reads; ``Candles`` has it."""

    @property
    def high(self) -> Floats: ...
    @property
    def low(self) -> Floats: ...
    @property
    def close(self) -> Floats: ...


class Standard(NamedTuple):
    """The standard set: RSI(14), MACD(12, 26, 9), Bollinger(20, 2), ADX(14), ATR(14), SMA(20, 50), EMA(20).

    ``standard_set`` fills it with columns, ``StandardState.update`` with the values of one bar.
    """

    rsi: Any
    macd: Any
    macd_signal: Any
    macd_histogram: Any
    bb_upper: Any
    bb_middle: Any
    bb_lower: Any
    adx: Any
    plus_di: Any
    minus_di: Any
    atr: Any
    sma_50: Any
    ema_20: Any

    @property
    def sma_20(self) -> Any:
        """The middle band is the 20-bar mean."""
        return self.bb_middle


def sma(values: Floats, period: int = 20, *, compiled: bool = False) -> Floats:
    """Simple moving average."""
    _at_least(1, period=period)
    if not compiled:
        return _sma_of_long(values, period) or _run("sma_batch", (values,), (period,), 1, compiled)[0]
    return _run("sma_blocks", (values,), (period, _scratch()), 1, compiled)[0]


def _sma_of_long(values: Floats, period: int) -> Floats | None:
    """Of a long series without a gap where NumPy is loaded anyway; to the same bits, at a twentieth of the cost."""
    if len(values) < _WORTH_COLUMNS or "numpy" not in sys.modules:
        return None
    import numpy as np

    from ffe_core.analysis.columns import sma_columns

    column = np.asarray(values, dtype=np.float64)
    return array("d", sma_columns(column, period).tobytes()) if np.isfinite(column).all() else None


def ema(values: Floats, period: int = 20, *, compiled: bool = False) -> Floats:
    """Exponential moving average, weight 2/(period+1), seeded by the simple mean of the first ``period`` values."""
    _at_least(1, period=period)
    return _run("ema_batch", (values,), (period,), 1, compiled)[0]


def rsi(close: Floats, period: int = 14, *, compiled: bool = False) -> Floats:
    """Relative strength index (Wilder 1978), 0-100; 0 while no close has ever differed from the one before."""
    _at_least(2, period=period)
    return _run("rsi_batch", (close,), (period,), 1, compiled)[0]


def macd(
    close: Floats, fast: int = 12, slow: int = 26, signal: int = 9, *, compiled: bool = False
) -> tuple[Floats, Floats, Floats]:
    """``(macd, signal, histogram)`` (Appel): the gap of two exponential means, its own mean, and their difference."""
    _at_least(1, fast=fast, signal=signal)
    _at_least(fast + 1, slow=slow)
    line, mean, histogram = _run("macd_batch", (close,), (fast, slow, signal), 3, compiled)
    return line, mean, histogram


def bollinger(
    close: Floats, period: int = 20, deviations: float = 2.0, *, compiled: bool = False
) -> tuple[Floats, Floats, Floats]:
    """``(upper, middle, lower)`` (Bollinger): the simple mean and ``deviations`` population deviations around it."""
    _at_least(2, period=period)
    upper, middle, lower = _run("bollinger_batch", (close,), (period, float(deviations)), 3, compiled)
    return upper, middle, lower


def atr(high: Floats, low: Floats, close: Floats, period: int = 14, *, compiled: bool = False) -> Floats:
    """Average true range (Wilder 1978), in price units."""
    _at_least(1, period=period)
    return _run("atr_batch", (high, low, close), (period,), 1, compiled)[0]


def adx(
    high: Floats, low: Floats, close: Floats, period: int = 14, *, compiled: bool = False
) -> tuple[Floats, Floats, Floats]:
    """``(adx, plus_di, minus_di)`` (Wilder 1978), each 0-100; the DI start ``period - 1`` bars before the ADX."""
    _at_least(2, period=period)
    strength, plus_di, minus_di = _run("adx_batch", (high, low, close), (period,), 3, compiled)
    return strength, plus_di, minus_di


def crossings(
    first: NDArray[np.float64], second: NDArray[np.float64] | float, *, compiled: bool = False
) -> NDArray[np.int8]:
    """1 where ``first`` comes to lie above ``second``, -1 where below, 0 elsewhere; NaN is before the beginning.

    Where both are equal the side stays what it was. The first side that there is was not crossed into. Both are
    float64[..., bars], or ``second`` is a level.
    """
    import numpy as np

    if not compiled:
        if first.ndim > 1:
            levels = second if isinstance(second, np.ndarray) else [second] * len(first)
            return np.stack([_crossings(row, other) for row, other in zip(first, levels, strict=True)])
        return _crossings(first, second)
    other = _frozen(second if isinstance(second, np.ndarray) else np.full((1,) * first.ndim, second))
    out = np.empty(first.shape, np.int8)
    _kernel("crossings_rows" if first.ndim > 1 else "crossings_batch", compiled=True)(_frozen(first), other, out)
    return out


def mean_crossings(values: NDArray[np.float64], fast: int, slow: int, *, compiled: bool) -> NDArray[np.int8]:
    """``crossings`` of ``sma(values, fast)`` and ``sma(values, slow)``, for whoever has no other use for the means."""
    _at_least(1, fast=fast)
    _at_least(fast + 1, slow=slow)
    import numpy as np

    if not compiled or values.ndim > 1 or not len(values) or math.isnan(values[0]):
        means = (np.asarray(sma(values, period, compiled=compiled)) for period in (fast, slow))
        return crossings(*means, compiled=compiled)
    out = np.empty(len(values), np.int8)
    _kernel("mean_crossings", compiled=True)(_frozen(values), fast, slow, _scratch(), out)
    return out


def _crossings(first: NDArray[np.float64], second: NDArray[np.float64] | float) -> NDArray[np.int8]:
    """In passes over the whole series, which is what an interpreter is quick at."""
    import numpy as np

    above, below = first > second, first < second
    action = np.zeros(len(first), np.int8)
    sides = above | below
    begun = int(np.argmax(sides)) if len(sides) else 0
    if not sides[begun:].all():
        side = np.where(above, np.int8(1), np.where(below, np.int8(-1), np.int8(0)))
        last = np.maximum.accumulate(np.where(side != 0, np.arange(len(side)), 0))
        side = side[last]
        above, below = side > 0, side < 0
    # Whole bytes at a time, because each of these passes is over a long series.
    np.subtract((above[1:] & below[:-1]).view(np.int8), (below[1:] & above[:-1]).view(np.int8), out=action[1:])
    return action


def standard_set(bars: Bars, *, compiled: bool = False) -> Standard:
    """Every column of the standard set at once; the same bits as the single functions give."""
    columns = (bars.high, bars.low, bars.close)
    if not compiled:
        return Standard(*_run("standard_batch", columns, (), len(Standard._fields), compiled))
    return Standard(*_run("standard_blocks", columns, (_scratch(),), len(Standard._fields), compiled))


class StandardState:
    """The standard set of a series that grows by one bar at a time.

    >>> state = StandardState()
    >>> state.update(100.0, 101.0, 99.0, 100.5).rsi
    nan

    The bits are those of ``standard_set`` over the same bars. One object belongs to one series and one thread.
    """

    __slots__ = ("_closes", "_filled", "_seen", "_state", "_step", "bars")

    def __init__(self, *, compiled: bool = False) -> None:
        #: bars taken in so far
        self.bars = 0
        self._state: Any = kernels.STANDARD_START
        self._filled = 0
        self._step = _kernel("standard_step", compiled=compiled)
        self._closes: Any = [0.0] * _CAPACITY
        if compiled:
            import numpy as np

            self._closes = np.zeros(_CAPACITY)
        self._seen = _frozen(self._closes) if compiled else self._closes

    def update(self, open: float, high: float, low: float, close: float) -> Standard:  # noqa: A002
        """Take in one complete bar; the values at its close, NaN during warm-up. Nothing in the set reads the open."""
        if self._filled == _CAPACITY:
            self._closes[:_LOOKBACK] = self._closes[_CAPACITY - _LOOKBACK :]
            self._filled = _LOOKBACK
        self._closes[self._filled] = close
        self.bars += 1
        self._state, row = self._step(self._state, self.bars, self._seen, self._filled, high, low)
        self._filled += 1
        return Standard(*row)


def last(column: Floats) -> float | None:
    """The newest value of a column; ``None`` where there is none or it is still warming up."""
    if not len(column):
        return None
    value = float(column[len(column) - 1])
    return value if math.isfinite(value) else None


def warm_up() -> None:
    """Compile every kernel now (or load it from the cache of an earlier run), so that no later call waits for it."""
    column = array("d", [1.0, 2.0, 1.5])
    for name, (inputs, parameters, width) in _SHAPES.items():
        _run(name, (column,) * inputs, parameters, width, compiled=True)
    sma(column, 2, compiled=True)
    standard_set(SimpleNamespace(high=column, low=column, close=column), compiled=True)
    StandardState(compiled=True).update(1.0, 1.0, 1.0, 1.0)


_SHAPES: dict[str, tuple[int, tuple[float, ...], int]] = {
    "ema_batch": (1, (2,), 1),
    "rsi_batch": (1, (2,), 1),
    "macd_batch": (1, (1, 2, 2), 3),
    "bollinger_batch": (1, (2, 2.0), 3),
    "atr_batch": (3, (2,), 1),
    "adx_batch": (3, (2,), 3),
}


def _at_least(smallest: int, **periods: int) -> None:
    for name, value in periods.items():
        if value != int(value) or value < smallest:
            raise ValueError(f"{name} is {value}; a whole number of at least {smallest} is needed")


def _run(
    name: str, columns: tuple[Floats, ...], parameters: tuple[Any, ...], width: int, compiled: bool
) -> list[Floats]:
    """The ``width`` output columns of the batch kernel ``name``."""
    rows = len(columns[0])
    if any(len(values) != rows for values in columns):
        raise ValueError("columns differ in length")
    if compiled:
        return _run_compiled(name, columns, parameters, width)
    inputs = [_listed(values) for values in columns]
    first = next((i for i, row in enumerate(zip(*inputs, strict=True)) if not any(map(math.isnan, row))), rows)
    out = [[math.nan] * (rows - first) for _ in range(width)]
    _kernel(name, compiled=False)(*(values[first:] for values in inputs), *parameters, out)
    return [array("d", [math.nan] * first + column) for column in out]


def _run_compiled(name: str, columns: tuple[Floats, ...], parameters: tuple[Any, ...], width: int) -> list[Floats]:
    import numpy as np

    inputs = [_frozen(values) for values in columns]
    rows = len(inputs[0])
    if inputs[0].ndim > 1:
        table = np.empty((rows, width, inputs[0].shape[1]))
        _kernel(f"{name.rpartition('_')[0]}_rows", compiled=True)(*inputs, *parameters, table)
        return [table[:, place] for place in range(width)]
    first = 0
    if rows and any(math.isnan(values[0]) for values in inputs):
        complete = ~np.isnan(inputs).any(axis=0)
        first = int(complete.argmax()) if complete.any() else rows
    out = np.empty((width, rows - first))
    _kernel(name, compiled=True)(*(values[first:] for values in inputs), *parameters, out)
    if first:
        out = np.concatenate((np.full((width, first), math.nan), out), axis=1)
    return list(out)


def _scratch() -> NDArray[np.float64]:
    import numpy as np

    return np.empty((batches.SCRATCH, batches.BLOCK))


def _listed(values: Floats) -> list[float]:
    # Lists are the fastest thing to index in the interpreter; every buffer makes one in a single call.
    tolist = getattr(values, "tolist", None)
    return tolist() if tolist is not None else list(map(float, values))


def _frozen(values: Floats) -> NDArray[np.float64]:
    """A contiguous read-only view: one type for the compiler, so that each kernel is compiled once."""
    import numpy as np

    view = np.ascontiguousarray(values, dtype=np.float64).view()
    view.flags.writeable = False
    return view


def _kernel(name: str, *, compiled: bool) -> Callable[..., Any]:
    # The loops' module has the steps, too, as it calls them.
    kernel: Callable[..., Any] = _machine_code()[name] if compiled else getattr(batches, name)
    return kernel


@cache
def _machine_code() -> dict[str, Any]:
    """The kernels, each a copy whose globals are the compiled others."""
    import numba

    # Without fast-math the compiler keeps every rounding where the source has it. Divisors are checked in the source.
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    names: dict[str, Any] = vars(kernels) | vars(batches)
    version = _version()
    for kernel in (*kernels.STEPS, *batches.BATCHES, *batches.BLOCKS, *batches.ROWS):
        copy = FunctionType(kernel.__code__, names, kernel.__name__)
        # The compiler's cache goes by the file of a function alone, and a loop holds the steps of another file.
        copy.__qualname__ = f"{kernel.__name__}_{version}"
        # Inside its loop a step keeps its state in registers: called, it would take half as long again.
        options["forceinline"] = kernel in kernels.STEPS and kernel is not kernels.standard_step
        try:
            names[kernel.__name__] = numba.njit(cache=True, **options)(copy)
        except RuntimeError:
            # Neither the package's folder nor the user's can be written to: compile in every process instead.
            names[kernel.__name__] = numba.njit(**options)(copy)
    return names


def _version() -> str:
    """Digest of the sources that are compiled together."""
    digest = hashlib.sha256()
    for module in (kernels, batches):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:12]
