"""Any indicator of pandas-ta by name, at the last bar of a series: the one file that imports that library.

It costs over a second to import, so that happens on first use. The library answers differently where TA-Lib is
installed; here its own formulas are always used, so that a number never depends on what else lies in the environment.
"""

from __future__ import annotations

import importlib
import inspect
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ffe_core.analysis.indicators import last
from ffe_core.domain.market import Candles
from ffe_core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    import pandas as pd

type Parameter = float | int | str | bool

#: The field's usual parameters where the library's differ or leave the choice open. The lagging span of Ichimoku and a
#: centred price oscillator are later prices drawn at earlier bars, which nobody could have seen there.
DEFAULTS: Mapping[str, Mapping[str, Parameter]] = {
    "stoch": {"k": 14, "d": 3, "smooth_k": 1},
    "willr": {"length": 14},
    "ichimoku": {"tenkan": 9, "kijun": 26, "senkou": 52, "include_chikou": False},
    "dpo": {"centered": False},
}

_INPUTS = {"open": "open", "open_": "open", "high": "high", "low": "low", "close": "close", "volume": "volume"}
#: candle patterns exist only in TA-Lib; the zigzag writes past the end of its buffers in a market that does not move
_LEFT_OUT = frozenset({"cdl_pattern", "zigzag"})
#: parameters that would let later bars in, or another library's numbers
_NOT_YOURS = frozenset({"talib", "offset", "kwargs"})


def names() -> tuple[str, ...]:
    """Every indicator there is, sorted."""
    return tuple(sorted(_functions()))


def compute(name: str, candles: Candles, **params: Parameter) -> Mapping[str, float | None]:
    """The values of indicator ``name`` at the last bar of ``candles``, under the library's column names in lower case.

    ``None`` where a value is undefined there or too few bars exist; with far too few the name itself is the only key.
    Raises ``UnknownName`` for an indicator or parameter that does not exist, ``UsageError`` for a parameter's value
    that the formula cannot take.
    """
    function = _functions().get(name.lower())
    if function is None:
        raise UnknownName("indicator", name, names())
    name = name.lower()
    accepted = inspect.signature(function).parameters
    tunable = [key for key in accepted if key not in _INPUTS and key not in _NOT_YOURS]
    for key in params:
        if key not in tunable:
            raise UnknownName(f"parameter of {name}", key, tunable)
    if not len(candles):
        return {name: None}
    columns = _columns(candles)
    arguments: dict[str, Any] = {key: columns[column] for key, column in _INPUTS.items() if key in accepted}
    arguments |= {**DEFAULTS.get(name, {}), **params}
    if "talib" in accepted:
        arguments["talib"] = False
    try:
        with _library_warnings_off(), importlib.import_module("numpy").errstate(all="ignore"):
            result = function(**arguments)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        if not params:
            # Some formulas stumble where others answer NaN: over a market that does not move, or too few bars of it.
            return {name: None}
        raise UsageError(f"indicator {name} cannot be computed: {error}", hint="check its parameters") from error
    values = _last_values(name, result, len(candles))
    return _with_cloud(values, float(candles.close[-1])) if name == "ichimoku" else values


@cache
def _functions() -> dict[str, Callable[..., Any]]:
    """The library's indicators that can be computed from candles alone, by name."""
    with _library_warnings_off():
        library = importlib.import_module("pandas_ta")
        maps = importlib.import_module("pandas_ta.maps")
    # Some indicators call others without passing ``talib`` on; this switch reaches those too.
    maps.Imports["talib"] = False
    found = {}
    for members in library.Category.values():
        for name in members:
            function = getattr(library, name, None)
            if callable(function) and name not in _LEFT_OUT and _needs_only_candles(function):
                found[name] = function
    return found | {"cci": _cci, "wcp": _wcp}


def _cci(
    high: pd.Series[float], low: pd.Series[float], close: pd.Series[float], length: int = 20, c: float = 0.015
) -> pd.Series[float]:
    """Commodity channel index (Lambert 1980): distance of the typical price from its mean, in mean deviations.

    The library's own formula lacks a bracket and divides the mean instead of the distance.
    """
    import pandas as pd

    typical = [float(price) for price in (high + low + close) / 3]
    values = []
    for end in range(len(typical)):
        window = typical[max(0, end - length + 1) : end + 1]
        mean = math.fsum(window) / len(window)
        deviation = math.fsum(abs(price - mean) for price in window) / len(window)
        known = len(window) == length and deviation > 0.0
        values.append((typical[end] - mean) / (c * deviation) if known else math.nan)
    return pd.Series(values, index=close.index, name=f"CCI_{length}_{c}")


def _wcp(high: pd.Series[float], low: pd.Series[float], close: pd.Series[float]) -> pd.Series[float]:
    """Weighted close; the library's own formula forgets to divide by the weights."""
    return ((high + low + 2.0 * close) / 4.0).rename("WCP")


def _needs_only_candles(function: Callable[..., Any]) -> bool:
    return all(
        name in _INPUTS or parameter.default is not parameter.empty or parameter.kind is parameter.VAR_KEYWORD
        for name, parameter in inspect.signature(function).parameters.items()
    )


@contextmanager
def _library_warnings_off() -> Iterator[None]:
    # The library has not caught up with pandas 3: deprecations that its own lines cause say nothing to our users.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"pandas_ta(\.|$)")
        warnings.filterwarnings("ignore", category=FutureWarning, module=r"pandas_ta(\.|$)")
        yield


def _columns(candles: Candles) -> dict[str, pd.Series[float]]:
    import numpy as np
    import pandas as pd

    index = pd.DatetimeIndex(np.frombuffer(candles.time, dtype=np.int64).astype("datetime64[ms]"))
    return {
        name: pd.Series(np.frombuffer(getattr(candles, name), dtype=np.float64).copy(), index=index, name=name)
        for name in ("open", "high", "low", "close", "volume")
    }


def _last_values(name: str, result: Any, rows: int) -> dict[str, float | None]:
    if isinstance(result, tuple):
        # Ichimoku comes with a second frame: the cloud drawn ahead of the last bar.
        result = result[0]
    if result is None or len(result) != rows:
        return {name: None}
    columns = {result.name: result} if result.ndim == 1 else {key: result[key] for key in result.columns}
    return {_tidy(str(key)): last(column.to_numpy(dtype="float64", na_value=None)) for key, column in columns.items()}


def _tidy(column: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", column.lower()).strip("_")


def _with_cloud(values: dict[str, float | None], price: float) -> dict[str, float | None]:
    """Add whether the price stands above both edges of the cloud as it was drawn for this bar: 1 yes, 0 no."""
    edges = [value for key, value in values.items() if key.startswith(("isa", "isb"))]
    known = [edge for edge in edges if edge is not None]
    above = float(price > max(known)) if len(known) == 2 else None
    return {**values, "ichimoku_price_above_cloud": above}
