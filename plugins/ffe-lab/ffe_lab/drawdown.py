"""Drawdown of bar equity in one pass."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

#: bars of a block whose extremes are looked at together
_BLOCK = 512
#: bars of a piece: short enough for its buffers to be recycled memory, long enough for calls to cost little
_PIECE = 8192


@dataclass(frozen=True, slots=True)
class Drawdown:
    """How far and how long equity was under its peak; the initial balance is the first peak.

    ``fraction`` is the largest 1 - equity / peak (above 1 where an account ends in debt), ``amount`` the largest
    peak - equity in account currency, ``bars`` the longest way from a peak to the bar that reaches it again or to the
    end, ``ulcer`` the root of the mean squared drawdown over all bars (Martin and McCann 1989), a fraction.
    """

    fraction: float
    amount: float
    bars: int
    ulcer: float


def drawdown(equity: Floats, initial_balance: float) -> Drawdown:
    """The drawdown of float64[n] equity at bar closes; zeros for no bar.

    Takes time in proportion to n and memory that does not grow with it. Raises ``ValueError`` for an equity that is no
    number and a balance that is not positive.
    """
    if not initial_balance > 0:
        raise ValueError(f"an initial balance of {initial_balance} has no drawdown; it must be positive")
    fraction, amount, bars, squares = under_water()(equity, initial_balance)
    if not math.isfinite(squares):
        raise ValueError("the equity of a bar is no number")
    return Drawdown(fraction, amount, int(bars), math.sqrt(squares / len(equity)) if len(equity) else 0.0)


def under_water() -> Callable[[Floats, float], tuple[float, float, float, float]]:
    """``walk.walk``: as machine code where the compiler is loaded, else by columns; the same bits either way."""
    if "numba" in sys.modules:
        from ffe_lab import walk
        from ffe_lab.machine import compiled

        return compiled(walk)["walk"]
    return walk_columns


def deepest_drawdown(equity: Floats, initial_balance: float) -> float:
    """``drawdown(...).fraction``, to the last digit, for a fraction of the time: what a sweep ranks by.

    Looks at the highest and the lowest equity of each block of bars, and walks only those bar by bar whose extremes
    could make a deeper drawdown than the deepest so far. Raises like ``drawdown``.
    """
    if not initial_balance > 0:
        raise ValueError(f"an initial balance of {initial_balance} has no drawdown; it must be positive")
    whole = len(equity) - len(equity) % _BLOCK
    blocks = equity[:whole].reshape(-1, _BLOCK)
    tail = equity[whole:]
    high = np.concatenate(([initial_balance], blocks.max(axis=1), [tail.max()] if len(tail) else []))
    low = np.concatenate((blocks.min(axis=1), [tail.min()] if len(tail) else []))
    if not (np.isfinite(high).all() and np.isfinite(low).all()):
        raise ValueError("the equity of a bar is no number")
    peaks = np.maximum.accumulate(high)
    before, after = peaks[:-1], peaks[1:]
    # The highest peak makes the deepest drawdown, but of a debt the lowest one does.
    of = np.where(low < 0, before, after)
    bounds = (of - low) / of
    # Where a block reaches no new peak its bound is its drawdown.
    deepest = float(bounds[after == before].max(initial=0.0))
    for block in np.flatnonzero(bounds > deepest):
        if bounds[block] > deepest:
            deepest = max(deepest, _walk_block(equity[block * _BLOCK : (block + 1) * _BLOCK], float(before[block])))
    return deepest


def _walk_block(equity: Floats, peak: float) -> float:
    peaks = np.maximum(np.maximum.accumulate(equity), peak)
    return float(((peaks - equity) / peaks).max())


def walk_columns(equity: Floats, peak: float) -> tuple[float, float, float, float]:
    """``walk.walk`` of float64[n] without a loop over bars, to the same bits."""
    walk = _Walk(peak, min(len(equity), _PIECE))
    for begin in range(0, len(equity), _PIECE):
        walk.over(equity[begin : begin + _PIECE], begin)
    return walk.fraction, walk.amount, float(max(walk.bars, len(equity) - 1 - walk.at_peak)), walk.squares


class _Walk:
    __slots__ = ("_below", "_peaks", "amount", "at_peak", "bars", "fraction", "peak", "squares")

    def __init__(self, peak: float, room: int) -> None:
        self.peak, self.at_peak = peak, -1
        self.fraction = self.amount = self.squares = 0.0
        self.bars = 0
        self._peaks, self._below = np.empty(room), np.empty(room)

    def over(self, piece: Floats, begin: int) -> None:
        """``piece`` float64[k] of consecutive bars, of which the first has the number ``begin``."""
        highest = float(piece.max())
        if not math.isfinite(highest):
            self.squares = math.nan
        elif highest < self.peak:
            self._measure(piece, self.peak)
        else:
            peaks = np.maximum.accumulate(piece, out=self._peaks[: len(piece)])
            np.maximum(peaks, self.peak, out=peaks)
            self._reach(np.flatnonzero(piece == peaks) + begin)
            self._measure(piece, peaks)
            self.peak = highest

    def _measure(self, piece: Floats, peaks: Floats | float) -> None:
        below = np.subtract(peaks, piece, out=self._below[: len(piece)])
        self.amount = max(self.amount, float(below.max()))
        below /= peaks
        self.fraction = max(self.fraction, float(below.max()))
        np.square(below, out=below)
        below[0] += self.squares
        # One after the other, as a loop sums: pairs, threads and dot products all round at other places.
        self.squares = float(np.add.accumulate(below, out=below)[-1])

    def _reach(self, peaks: NDArray[np.intp]) -> None:
        gap = max(int(peaks[0]) - self.at_peak, int(np.diff(peaks).max(initial=0)))
        if gap > 1:
            self.bars = max(self.bars, gap)
        self.at_peak = int(peaks[-1])
