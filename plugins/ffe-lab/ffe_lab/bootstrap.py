"""How far a result could have been another one: the stationary bootstrap of daily returns.

Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89, 1994: blocks of
consecutive days begin anywhere, have geometrically distributed lengths and wrap around the end, so that the resampled
series is stationary and keeps what follows upon what within a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ffe_core import AssetKind
from ffe_lab.metrics import FEWEST_DAYS
from ffe_lab.returns import daily_rate, periods_per_year

type Floats = NDArray[np.float64]
type Indices = NDArray[np.int64]

RESAMPLES = 2000
CONFIDENCE = 0.95
#: values of a chunk of paths
_CHUNK = 1 << 15
#: days whose blocks are drawn together: another number draws others
_TOGETHER = 32
_FLAT, _ROUNDING = 1e-12, 1e-15


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Intervals:
    """Percentile intervals; ``None`` for fewer than ``metrics.FEWEST_DAYS`` days and where a measure does not exist.

    ``max_drawdown`` is on daily equity, so it may lie a little under the one on bars.
    """

    total_return: Interval | None
    sharpe: Interval | None
    max_drawdown: Interval | None


@dataclass(frozen=True, slots=True, eq=False)
class Resampled:
    """Measures of each path, float64[resamples]: fractions, Sharpe annualised and NaN where a path does not vary."""

    total_return: Floats
    sharpe: Floats
    max_drawdown: Floats


def mean_block(days: int) -> int:
    """ceil(days^(1/3)): how many days a block has on average."""
    length = max(1, round(math.cbrt(days)))
    return length if length**3 >= days else length + 1


def intervals(
    returns: Floats,
    kind: AssetKind,
    risk_free: float = 0.0,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Intervals:
    """Where total return, Sharpe ratio and largest drawdown lie in ``confidence`` of all resampled histories.

    ``returns`` float64[d] simple daily returns, fractions; the same ``seed`` gives the same interval. Percentiles are
    interpolated linearly. Sharpe as in ``metrics.sharpe_ratio``.
    """
    if len(returns) < FEWEST_DAYS:
        return Intervals(None, None, None)
    found = resample(returns, kind, risk_free, resamples=resamples, seed=seed)
    return Intervals(
        _interval(found.total_return, confidence),
        _interval(found.sharpe, confidence),
        _interval(found.max_drawdown, confidence),
    )


def resample(
    returns: Floats, kind: AssetKind, risk_free: float = 0.0, *, resamples: int = RESAMPLES, seed: int = 0
) -> Resampled:
    """The measures of ``resamples`` histories of the same length, drawn in blocks of ``mean_block`` days on average.

    All histories go forward together, day by day. Raises ``ValueError`` for no return or no resample.
    """
    if not len(returns) or resamples < 1:
        raise ValueError(f"{len(returns)} returns cannot be resampled {resamples} times")
    days, periods = len(returns), periods_per_year(kind)
    # Twice in a row, so that a block runs on from the last day to the first one.
    around = np.concatenate((returns, returns))
    # What is lost stays lost: two days that each lose more than everything do not make a gain.
    growth = np.maximum(around + 1.0, 0.0)
    drawn = _day_by_day(days, mean_block(days), resamples, seed)
    at = next(drawn)
    first, total = around.take(at), growth.take(at)
    # The account as a share of its peak; the peak itself is not needed.
    share = np.minimum(total, 1.0)
    lowest = share.copy()
    apart, squares = np.zeros((2, resamples))
    grown, beyond = np.empty((2, resamples))
    # Growth beyond what a float holds is infinite here and left out of the interval.
    with np.errstate(over="ignore", invalid="ignore"):
        for at in drawn:
            growth.take(at, out=grown, mode="clip")
            total *= grown
            share *= grown
            np.minimum(share, 1.0, out=share)
            np.minimum(lowest, share, out=lowest)
            # Sums of what is apart from the first day: exactly nothing where no day differs.
            around.take(at, out=beyond, mode="clip")
            beyond -= first
            apart += beyond
            beyond *= beyond
            squares += beyond
    sharpe = _sharpe(first, apart, squares, days, daily_rate(risk_free, periods))
    return Resampled(total - 1.0, sharpe * math.sqrt(periods), 1.0 - lowest)


def paths(days: int, *, block: int | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Indices]:
    """Which day stands where: int64[k, days] for k paths at a time, ``resamples`` in all.

    A day begins a new block with probability 1 / ``block`` (``mean_block`` if not given) at any day alike; else it is
    the one after, and after the last comes the first.
    """
    drawn = np.empty((days, resamples), np.min_scalar_type(days))
    for day, at in enumerate(_day_by_day(days, block or mean_block(days), resamples, seed)):
        drawn[day] = np.where(at < days, at, at - days)
    rows = max(1, _CHUNK // days)
    for first in range(0, resamples, rows):
        yield np.ascontiguousarray(drawn[:, first : first + rows].T, np.int64)


def _day_by_day(days: int, block: int, resamples: int, seed: int) -> Iterator[Indices]:
    """Which day each path is at: int64[resamples] for one day after the other, written over by the next.

    Blocks run on behind the last day, up to twice ``days``. Drawn are the first day of every path, and then for every
    ``_TOGETHER`` days the distances, geometric, from one beginning of a block to the next, through all paths of a day
    and on through those of the next, and the days at which these blocks begin.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    at = rng.integers(0, days, resamples)
    yield at
    for gone in range(1, days, _TOGETHER):
        count = min(_TOGETHER, days - gone)
        begins = _begins(rng, count * resamples, block)
        paths_of, starts = begins % resamples, rng.integers(0, days, len(begins))
        ends = np.searchsorted(begins, np.arange(count + 1) * resamples).tolist()
        for begin, end in pairwise(ends):
            at += 1
            at[paths_of[begin:end]] = starts[begin:end]
            yield at


def _begins(rng: np.random.Generator, places: int, block: int) -> Indices:
    """At which of so many places a block begins, each with probability 1 / ``block``: one draw for a block."""
    distances: Indices = np.empty(0, np.int64)
    while (left := places - int(distances.sum())) > 0:
        distances = np.concatenate((distances, rng.geometric(1 / block, left // block + 1)))
    begins = np.cumsum(distances) - 1
    return begins[: np.searchsorted(begins, places)]


def _sharpe(first: Floats, apart: Floats, squares: Floats, days: int, rate: float) -> Floats:
    """Not annualised, of each path; from its first return and the sums of how far the others are from that, plain and
    squared (Chan, Golub and LeVeque 1983: variance of shifted data)."""
    sharpe = np.full(len(first), np.nan)
    mean = first + apart / days
    deviation = np.sqrt(np.maximum(squares - apart * apart / days, 0.0) / max(days - 1, 1))
    varies = deviation > _FLAT * np.abs(first) + _ROUNDING
    np.divide(mean - rate, deviation, out=sharpe, where=varies)
    return sharpe


def _interval(values: Floats, confidence: float) -> Interval | None:
    present = values[np.isfinite(values)]
    if not len(present):
        return None
    low, high = np.quantile(present, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
