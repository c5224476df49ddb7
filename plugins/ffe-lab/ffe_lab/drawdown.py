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
    """``walk``, as machine code in a process that has the compiler loaded; the same bits either way."""
    from ffe_lab import walk

    if "numba" in sys.modules:
        from ffe_lab.machine import compiled

        return compiled(walk)["walk"]
    return lambda equity, peak: walk.walk(equity.tolist(), peak)


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
