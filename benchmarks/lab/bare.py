"""What a careful user writes by hand with numba: one pass for a rule's signals and fills, and nothing else.

No checks, no reasons, no statistics, no stops, one asset, one rule: the floor that a general simulator is held against.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

FEE, SLIPPAGE, CASH = 0.001, 0.0001, 10_000.0


def _crossing(opened: Floats, close: Floats, fast: int, slow: int) -> Any:
    """Entry and exit bars, their prices, quantities, and the equity at each close."""
    rows = close.size
    equity = np.empty(rows)
    entry, leave = np.empty(rows // 2 + 1, np.int64), np.empty(rows // 2 + 1, np.int64)
    paid, got, held = np.empty(rows // 2 + 1), np.empty(rows // 2 + 1), np.empty(rows // 2 + 1)
    count, cash, units, side, wanted = 0, CASH, 0.0, 0, 0
    fast_sum = slow_sum = 0.0
    for bar in range(rows):
        if wanted > 0 and units == 0.0:
            price = opened[bar] * (1.0 + SLIPPAGE)
            units = cash / (price * (1.0 + FEE))
            cash = 0.0
            entry[count], paid[count], held[count] = bar, price, units
        elif wanted < 0 and units > 0.0:
            price = opened[bar] * (1.0 - SLIPPAGE)
            cash = units * price * (1.0 - FEE)
            leave[count], got[count] = bar, price
            units = 0.0
            count += 1
        wanted = 0
        fast_sum += close[bar]
        slow_sum += close[bar]
        if bar >= fast:
            fast_sum -= close[bar - fast]
        if bar >= slow:
            slow_sum -= close[bar - slow]
        if bar >= slow - 1:
            gap = fast_sum / fast - slow_sum / slow
            now = 1 if gap > 0.0 else (-1 if gap < 0.0 else side)
            if side != 0 and now != side:
                wanted = now
            side = now
        equity[bar] = cash + units * close[bar]
    if units > 0.0:
        leave[count], got[count] = rows - 1, close[rows - 1]
        count += 1
    return entry[:count], leave[:count], paid[:count], got[:count], held[:count], equity


def _outcome(opened: Floats, close: Floats, fast: int, slow: int) -> float:
    """What ``_crossing`` ends with, without keeping trades or equity."""
    cash, units, side, wanted = CASH, 0.0, 0, 0
    fast_sum = slow_sum = 0.0
    for bar in range(close.size):
        if wanted > 0 and units == 0.0:
            units = cash / (opened[bar] * (1.0 + SLIPPAGE) * (1.0 + FEE))
            cash = 0.0
        elif wanted < 0 and units > 0.0:
            cash = units * opened[bar] * (1.0 - SLIPPAGE) * (1.0 - FEE)
            units = 0.0
        wanted = 0
        fast_sum += close[bar]
        slow_sum += close[bar]
        if bar >= fast:
            fast_sum -= close[bar - fast]
        if bar >= slow:
            slow_sum -= close[bar - slow]
        if bar >= slow - 1:
            gap = fast_sum / fast - slow_sum / slow
            now = 1 if gap > 0.0 else (-1 if gap < 0.0 else side)
            if side != 0 and now != side:
                wanted = now
            side = now
    return float(cash + units * close[-1])


crossing: Any = numba.njit(cache=True)(_crossing)
outcome: Any = numba.njit(cache=True)(_outcome)


def noisy(opened: Floats, close: Floats, paths: int, noise: float, seed: int) -> Floats:
    """Final values of SMA(10/30) on ``paths`` copies of the bars, each bar moved by a factor of its own."""
    chance = np.random.default_rng(seed)
    ends = np.empty(paths)
    factor, moved_open, moved_close = np.empty_like(close), np.empty_like(close), np.empty_like(close)
    for path in range(paths):
        chance.standard_normal(out=factor)
        factor *= noise
        factor += 1.0
        np.multiply(opened, factor, out=moved_open)
        np.multiply(close, factor, out=moved_close)
        ends[path] = outcome(moved_open, moved_close, 10, 30)
    return ends
