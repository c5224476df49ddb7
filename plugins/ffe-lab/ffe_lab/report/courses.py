"""What a report draws, derived from the bars of equity: drawdowns, months, the Sharpe ratio as it rolled on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffe_lab.report.wording import instant
from ffe_lab.returns import Daily, MetricsBasis, daily_rate, simple_returns

type Floats = NDArray[np.float64]
type Times = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """A quantity over time: ``time`` epoch milliseconds, rising; ``value`` of the same length."""

    time: Times
    value: Floats

    def __len__(self) -> int:
        return len(self.time)


@dataclass(frozen=True, slots=True)
class Month:
    """The return of a calendar month (UTC) as a fraction; the first and the last may be parts of one."""

    year: int
    month: int
    value: float


def instants(values: Sequence[Any] | Times) -> Times:
    """Epoch milliseconds of ISO 8601 texts, aware datetimes or milliseconds."""
    if isinstance(values, np.ndarray):
        return values.astype(np.int64)
    if len(values) and isinstance(values[0], str):
        texts = np.array(values)
        length = texts.dtype.itemsize // np.dtype("U1").itemsize
        if bool((texts.view("U1").reshape(-1, length)[:, -1] == "Z").all()):
            # numpy reads these ten times faster than Python does, but knows no time zone: the Z is cut off
            return texts.astype(f"U{length - 1}").astype("datetime64[ms]").astype(np.int64)
    return np.array([instant(value) for value in values], dtype=np.int64)


def course_of(rows: Sequence[Mapping[str, Any]]) -> Course:
    """The course of ``[{time, value}]``."""
    return Course(instants([row["time"] for row in rows]), np.array([row["value"] for row in rows], dtype=np.float64))


def drawdown(equity: Course, initial: float) -> Course:
    """How far below its highest value so far the equity was, as a fraction of that, zero or less."""
    peak = np.maximum(np.maximum.accumulate(equity.value), initial) if len(equity) else equity.value
    return Course(equity.time, equity.value / peak - 1)


def months(equity: Course, initial: float) -> list[Month]:
    """The return of each calendar month, the first against the initial balance. The instant at which a month ends is
    its own, because equity is that of a bar's close.
    """
    if not len(equity):
        return []
    month = (equity.time - 1).astype("datetime64[ms]").astype("datetime64[M]")
    last = np.append(np.flatnonzero(month[1:] != month[:-1]), len(month) - 1)
    returns = simple_returns(np.concatenate(([initial], equity.value[last])))
    dates = [value.item() for value in month[last]]
    return [Month(date.year, date.month, float(value)) for date, value in zip(dates, returns, strict=True)]


def rolling_sharpe(days: Daily, window: int, basis: MetricsBasis) -> Course:
    """The annual Sharpe ratio of the last ``window`` days at each day that has as many behind it; NaN where nothing
    moved in them.

    mean(r - f) / std(r) * sqrt(A) with simple daily returns r, the standard deviation of a sample, A periods a year
    and f the daily rate (Sharpe 1994, "The Sharpe Ratio").
    """
    excess = days.returns - daily_rate(basis.risk_free, basis.periods_per_year)
    if len(excess) < window:
        return Course(days.days[:0], days.returns[:0])
    views = np.lib.stride_tricks.sliding_window_view(excess, window)
    spread = views.std(axis=1, ddof=1)
    # a span without a trade has a spread of rounding errors, and no ratio
    moved = spread > 1e-12
    ratio = np.divide(views.mean(axis=1), spread, out=np.full(len(views), np.nan), where=moved)
    return Course(days.days[window - 1 :], ratio * np.sqrt(basis.periods_per_year))
