"""How far a result could have been another one: the stationary bootstrap of daily returns.

Politis and Romano, "The Stationary Bootstrap", Journal of the American Statistical Association 89, 1994: blocks of
consecutive days begin anywhere, have geometrically distributed lengths and wrap around the end, so that the resampled
series is stationary and keeps what follows upon what within a block.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
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
#: values of a chunk of paths: what is drawn does not depend on it
_CHUNK = 1 << 15
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

    Takes memory for a few paths at a time. Raises ``ValueError`` for no return or no resample.
    """
    if not len(returns) or resamples < 1:
        raise ValueError(f"{len(returns)} returns cannot be resampled {resamples} times")
    periods = periods_per_year(kind)
    rate, root = daily_rate(risk_free, periods), math.sqrt(periods)
    # Twice in a row, so that a block runs on from the last day to the first one.
    around = np.concatenate((returns, returns))
    drawn = _drawn(len(returns), mean_block(len(returns)), resamples, seed)
    # Memory that is used again and again: what is fresh costs more than what is done with it.
    room = np.empty((2, _rows_of_chunk(len(returns), resamples), len(returns)))
    made = [
        _measures(around.take(index, out=room[0][: len(index)], mode="clip"), room[1][: len(index)], rate, root)
        for index in drawn
    ]
    total, sharpe, fallen = (np.concatenate(parts) for parts in zip(*made, strict=True))
    return Resampled(total, sharpe, fallen)


def paths(days: int, *, block: int | None = None, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[Indices]:
    """Which day stands where: int64[k, days] for k paths at a time, ``resamples`` in all.

    A day begins a new block with probability 1 / ``block`` (``mean_block`` if not given) at any day alike; else it is
    the one after, and after the last comes the first.
    """
    for index in _drawn(days, block or mean_block(days), resamples, seed):
        yield np.where(index < days, index, index - days)


def _drawn(days: int, block: int, resamples: int, seed: int) -> Iterator[Indices]:
    """``paths`` whose blocks run on behind the last day, up to twice ``days``. Each is overwritten by the next."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    rows = _rows_of_chunk(days, resamples)
    numbers, room = np.empty((rows, days)), np.empty((rows, days), np.int64)
    for first in range(0, resamples, rows):
        drawn = numbers[: resamples - first]
        rng.random(out=drawn)
        yield _blocks(drawn, 1.0 / block, room[: len(drawn)])


def _rows_of_chunk(days: int, resamples: int) -> int:
    return max(1, min(_CHUNK // days, resamples))


def _blocks(drawn: Floats, begins: float, index: Indices) -> Indices:
    """Fills ``index``, int64 of the shape of ``drawn``."""
    rows, days = drawn.shape
    new = drawn < begins
    new[:, 0] = True
    at = np.flatnonzero(new)
    # One number does both: whether a block begins, and, as what is below the threshold is uniform again, where.
    starts = np.minimum((drawn.take(at) * (days / begins)).astype(np.int64), days - 1)
    starts[np.searchsorted(at, np.arange(rows) * days)] = (drawn[:, 0] * days).astype(np.int64)
    # From day to day it goes on by one, and at a new block by as much as leads there.
    index.fill(1)
    steps = index.reshape(-1)
    steps[at] += np.diff(starts - at, prepend=1)
    np.add.accumulate(steps, out=steps)
    return index


def _measures(paths_of: Floats, spare: Floats, rate: float, root: float) -> tuple[Floats, Floats, Floats]:
    """Of float64[k, days], which are written over like ``spare`` of the same shape."""
    mean, deviation = _moments(paths_of, spare)
    varies = deviation > _FLAT * np.maximum(paths_of.max(axis=1), -paths_of.min(axis=1)) + _ROUNDING
    sharpe = np.full(len(paths_of), np.nan)
    np.divide(mean - rate, deviation, out=sharpe, where=varies)
    # Growth beyond what a float holds is infinite here and left out of the interval.
    with np.errstate(over="ignore", invalid="ignore"):
        # What is lost stays lost: two days that each lose more than everything do not make a gain.
        growth = np.add(paths_of, 1.0, out=paths_of)
        np.maximum(growth, 0.0, out=growth)
        np.multiply.accumulate(growth, axis=1, out=growth)
        total = growth[:, -1] - 1.0
        peaks = np.maximum.accumulate(growth, axis=1, out=spare)
        np.maximum(peaks, 1.0, out=peaks)
        return total, sharpe * root, 1.0 - np.divide(growth, peaks, out=growth).min(axis=1)


def _moments(paths_of: Floats, spare: Floats) -> tuple[Floats, Floats]:
    """Mean and sample deviation of each row; the bits of ``mean`` and ``std``, with one sum of the values, not two."""
    days = paths_of.shape[1]
    mean = paths_of.mean(axis=1)
    if days < 2:
        return mean, np.zeros(len(paths_of))
    apart = np.subtract(paths_of, mean[:, np.newaxis], out=spare)
    np.multiply(apart, apart, out=apart)
    deviation: Floats = np.sqrt(apart.sum(axis=1) / (days - 1))
    return mean, deviation


def _interval(values: Floats, confidence: float) -> Interval | None:
    present = values[np.isfinite(values)]
    if not len(present):
        return None
    low, high = np.quantile(present, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
