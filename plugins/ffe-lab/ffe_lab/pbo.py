"""The probability that picking the best of several backtests picks an overfitted one.

Combinatorially symmetric cross-validation: Bailey, Borwein, Lopez de Prado and Zhu, "The Probability of Backtest
Overfitting", Journal of Computational Finance 20(4), 2017. The history is cut into blocks; each half of the blocks in
turn chooses the best candidate, and the other half says how good that choice was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import AssetKind, BadData
from ffe_lab.returns import daily_equity, periods_per_year

type Floats = NDArray[np.float64]
type Indices = NDArray[np.int64]

BLOCKS = 16
FEWEST_ROWS = 5
#: blocks at most: 20 make 184,756 halves
MOST_BLOCKS = 20
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Overfitting:
    """``pbo``: the share of splits whose chosen candidate was no better than the median of all out of sample.

    ``loss_probability`` is the share in which it lost money there, ``slope`` that of its Sharpe ratio out of sample on
    the one in sample (per day; ``None`` where the latter never differs): negative where a better past made a worse
    future. ``splits`` of ``candidates``, ``rows`` days used in ``blocks`` blocks.
    """

    pbo: float
    loss_probability: float
    slope: float | None
    splits: int
    candidates: int
    rows: int
    blocks: int


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Daily returns of several runs on the days that all of them have: ``days`` int64[T], ``returns`` float64[T, M]."""

    days: Indices
    returns: Floats


def probability_of_overfitting(returns: Floats, blocks: int = BLOCKS) -> Overfitting:
    """PBO by CSCV of float64[T, M]: T days (simple returns, fractions) of M candidates.

    The first T mod ``blocks`` days are dropped. In each of the C(S, S/2) halves the candidate with the highest Sharpe
    ratio is chosen, the first of equals; w = rank / (M + 1) of its Sharpe ratio in the other half (equals share their
    mean rank), lambda = ln(w / (1 - w)), PBO is the share of lambda <= 0. A candidate that does not move has a Sharpe
    ratio of 0. Raises ``ValueError`` for fewer than two candidates, blocks of fewer than five days, a number of blocks
    that is odd or above ``MOST_BLOCKS``, and returns that are no numbers.
    """
    rows, candidates = returns.shape
    _require(rows, candidates, blocks, returns)
    size = rows // blocks
    parts = returns[rows - size * blocks :].reshape(blocks, size, candidates)
    chosen = _Chosen(parts - parts.mean(axis=(0, 1)), parts.mean(axis=(0, 1)))
    halves = np.array([_half(blocks, members) for members in combinations(range(blocks), blocks // 2)])
    step = max(1, _CHUNK // candidates)
    found = [chosen.judge(halves[begin : begin + step]) for begin in range(0, len(halves), step)]
    inside, outside, means, ranks = (np.concatenate(column) for column in zip(*found, strict=True))
    # ln(w / (1 - w)) <= 0 says no more than w <= 1/2, and says it without rounding.
    overfitted = 2 * ranks <= candidates + 1
    return Overfitting(
        pbo=float(overfitted.mean()),
        loss_probability=float((means < 0).mean()),
        slope=_slope(inside, outside),
        splits=len(halves),
        candidates=candidates,
        rows=size * blocks,
        blocks=blocks,
    )


def aligned(results: Sequence[Mapping[str, Any]]) -> Aligned:
    """The daily returns of several ``ffe backtest --json`` results (with or without their ``data`` envelope).

    Reads ``equity[{time, value}]``, ``metrics.initial_balance`` and ``metrics_basis.periods_per_year``, which says
    where the market's days end. ``time`` is when the value held. Raises ``BadData`` for a result without them, for
    results of markets whose days differ, and for none that share a day.
    """
    series = [_daily(result.get("data", result), number) for number, result in enumerate(results, 1)]
    if len({periods for _, _, periods in series}) > 1:
        raise BadData("these backtests are of markets whose days end differently; compare runs on one market")
    shared = series[0][0] if series else np.empty(0, np.int64)
    for days, _, _ in series[1:]:
        shared = np.intersect1d(shared, days, assume_unique=True)
    if not len(shared):
        raise BadData("these backtests share no day; run them over one span")
    columns = [returns[np.searchsorted(days, shared)] for days, returns, _ in series]
    return Aligned(shared, np.stack(columns, axis=1))


class _Chosen:
    """Block sums, from which the Sharpe ratios of any half follow at once; centred returns keep the squares exact."""

    def __init__(self, centred: Floats, means: Floats) -> None:
        self._means, self._size = means, centred.shape[1]
        self._sums = centred.sum(axis=1)
        self._squares = np.square(centred).sum(axis=1)
        self._noise = 1e-12 * (np.abs(centred).max(axis=(0, 1)) + np.abs(means)) ** 2

    def judge(self, halves: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """For k rows, ones inside: the chosen one's Sharpe ratio inside and outside, its mean and rank outside."""
        inside, _ = self._sharpe(halves)
        outside, mean = self._sharpe(1.0 - halves)
        best, row = inside.argmax(axis=1), np.arange(len(halves))
        picked = outside[row, best]
        below = (outside < picked[:, None]).sum(axis=1)
        equal = (outside == picked[:, None]).sum(axis=1)
        return inside[row, best], picked, mean[row, best], below + (equal + 1) / 2

    def _sharpe(self, members: Floats) -> tuple[Floats, Floats]:
        count = self._size * members.shape[1] // 2
        # einsum sums in one order on every machine, whatever the threads of a matrix product do.
        sums = np.einsum("ks,sm->km", members, self._sums)
        squares = np.einsum("ks,sm->km", members, self._squares)
        mean = sums / count + self._means
        variance = (squares - sums * sums / count) / (count - 1)
        still = variance <= self._noise
        sharpe = np.divide(mean, np.sqrt(np.maximum(variance, self._noise)), out=np.zeros_like(mean), where=~still)
        return sharpe, mean


def _require(rows: int, candidates: int, blocks: int, returns: Floats) -> None:
    if candidates < 2:
        raise ValueError("one backtest alone is not chosen from any; give at least two")
    if blocks < 2 or blocks % 2 or blocks > MOST_BLOCKS:
        raise ValueError(f"{blocks} blocks cannot be halved; take an even number from 2 to {MOST_BLOCKS}")
    if rows // blocks < FEWEST_ROWS:
        raise ValueError(
            f"{rows} days in {blocks} blocks are fewer than {FEWEST_ROWS} each; take fewer blocks or a longer history"
        )
    if not np.isfinite(returns).all():
        raise ValueError("a daily return is no number")


def _half(blocks: int, members: tuple[int, ...]) -> Floats:
    half = np.zeros(blocks)
    half[list(members)] = 1.0
    return half


def _slope(inside: Floats, outside: Floats) -> float | None:
    centred = inside - inside.mean()
    spread = float(np.square(centred).sum())
    if not spread > 1e-18 * len(inside):
        return None
    slope = float((centred * outside).sum()) / spread
    return slope if math.isfinite(slope) else None


def _daily(result: Mapping[str, Any], number: int) -> tuple[Indices, Floats, int]:
    try:
        points = result["equity"]
        closes = np.array([_milliseconds(point["time"]) for point in points], dtype=np.int64)
        values = np.array([float(point["value"]) for point in points])
        initial = float(result["metrics"]["initial_balance"])
        periods = int(result["metrics_basis"]["periods_per_year"])
        kind = next(kind for kind in AssetKind if periods_per_year(kind) == periods)
        _require_order(closes, values)
        daily = daily_equity(closes, values, kind, initial)
    except (KeyError, TypeError, ValueError, StopIteration) as error:
        raise BadData(
            f"result {number} is no backtest of ffe: {error or type(error).__name__}",
            hint="write it by ffe backtest ... --json",
        ) from error
    return daily.days, daily.returns, periods


def _require_order(closes: Indices, values: Floats) -> None:
    if not np.isfinite(values).all() or (np.diff(closes) <= 0).any():
        raise ValueError("its equity is out of order or no number")


def _milliseconds(time: str) -> int:
    moment = datetime.fromisoformat(time)
    if moment.tzinfo is None:
        raise ValueError(f"the time {time} has no zone")
    return round(moment.timestamp() * 1000)
