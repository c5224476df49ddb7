"""Whether a row is a bar at all: numbers where numbers belong, prices above zero, high and low around the rest."""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Mapping, Sequence

from ffe_core.domain.market import COLUMNS
from ffe_core.market.report import Place

_MISSING = frozenset(["", "nan", "null", "none", "n/a", "na", "-"])


def numbers(values: Sequence[str] | Sequence[float]) -> array[float]:
    """Floats; what is no number becomes NaN and is named by ``unsound_rows``."""
    if isinstance(values, array):
        return values
    try:
        return array("d", map(float, values))
    except ValueError:
        return array("d", map(_number, values))


def _number(value: str | float) -> float:
    try:
        return float(value)
    except ValueError:
        return math.nan


def unsound_rows(
    columns: Mapping[str, Sequence[float]], raw: Mapping[str, Sequence[str] | Sequence[float]] | None = None
) -> list[tuple[int, str, Place]]:
    """(index, kind, place) of every row that is no bar, by the first thing that is wrong with it."""
    # Python reads 1_000 as a number; nobody who writes a candle file means that.
    underscored = raw is not None and any(
        "_" in value for values in raw.values() if not isinstance(values, array) for value in map(str, values)
    )
    if not underscored and _all_sound(columns):
        return []
    unsound = []
    for index, bar in enumerate(zip(*(columns[name] for name in COLUMNS), strict=True)):
        written = None if raw is None else [raw[name][index] for name in COLUMNS]
        problem = _problem(bar, written)
        if problem:
            unsound.append((index, *problem))
    return unsound


def _all_sound(columns: Mapping[str, Sequence[float]]) -> bool:
    """The same judgement as ``_problem`` over whole columns, for the many files without a fault."""
    opens, highs, lows, closes, volumes = (columns[name] for name in COLUMNS)
    return (
        all(all(map(math.isfinite, values)) for values in columns.values())
        and min(lows) > 0
        and min(volumes) >= 0
        and all(map(operator.le, lows, map(min, opens, closes)))
        and all(map(operator.ge, highs, map(max, opens, closes)))
    )


def _problem(bar: Sequence[float], written: Sequence[str | float] | None) -> tuple[str, Place] | None:
    for at, (name, value) in enumerate(zip(COLUMNS, bar, strict=True)):
        text = str(value if written is None else written[at]).strip()
        if math.isnan(value):
            missing = text.lower() in _MISSING
            said = f"{text!r} is missing" if missing and text else "nothing stands there"
            return ("missing_values", Place(column=name, detail=said)) if missing else _text(name, text)
        if "_" in text:
            return _text(name, text)
        if math.isinf(value):
            return "not_finite", Place(column=name, detail=f"{text} is not finite")
    open_, high, low, close, _ = bar
    for name, value in zip(COLUMNS, bar, strict=True):
        if value < 0 or (value == 0 and name != "volume"):
            allowed = "below zero" if name == "volume" else "not positive"
            return "not_positive", Place(column=name, detail=f"{value:.15g} is {allowed}")
    if high < low:
        return "inconsistent", Place(column="high", detail=f"high {high:.15g} is under low {low:.15g}")
    for name, value in (("open", open_), ("close", close)):
        if not low <= value <= high:
            detail = f"{name} {value:.15g} is outside low {low:.15g} and high {high:.15g}"
            return "inconsistent", Place(column=name, detail=detail)
    return None


def _text(name: str, text: str) -> tuple[str, Place]:
    return "text", Place(column=name, detail=f"{text[:40]!r} is no number")
