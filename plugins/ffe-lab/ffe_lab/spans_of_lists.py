"""``spans`` for the interpreter: over lists, a stretch at a time, by what is built in."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
from numpy.typing import NDArray

from ffe_lab.spans import ENDLESS

#: bars that are looked at together
_BLOCK = 32


class Signals(list[int]):
    """The actions of all bars, and the bars at which there is one: looked for once, not once for every stretch."""

    def __init__(self, action: NDArray[np.int8]) -> None:
        super().__init__(action.tolist())
        self.bars: list[int] = np.flatnonzero(action).tolist()


def next_signal(begin: int, end: int, action: Signals) -> int:
    place = bisect_left(action.bars, begin)
    return min(action.bars[place], end) if place < len(action.bars) else end


def next_outside(begin: int, end: int, floor: float, ceiling: float, high: list[float], low: list[float]) -> int:
    if floor <= 0.0 and ceiling == ENDLESS:
        return end
    while begin < end:
        upto = min(begin + _BLOCK, end)
        if min(low[begin:upto]) <= floor or max(high[begin:upto]) >= ceiling:
            while low[begin] > floor and high[begin] < ceiling:
                begin += 1
            return begin
        begin = upto
    return end


def mark(begin: int, end: int, cash: float, units: float, close: list[float], equity: list[float]) -> int:
    if units == 0.0:
        equity[begin:end] = [cash] * (end - begin)
        return end
    worth = [cash + units * price for price in close[begin:end]]
    equity[begin:end] = worth
    if min(worth) > 0.0:
        return end
    return begin + next(place for place, value in enumerate(worth) if value <= 0.0)


def take_marks(
    begin: int, end: int, closes: list[int], equity: list[float], at: int, marked: list[float], worth: list[float]
) -> tuple[float, float]:
    taken = equity[begin:end]
    marked[at : at + end - begin], worth[at : at + end - begin] = closes[begin:end], taken
    return max(taken), min(taken)


def place_after(begin: int, end: int, limit: float, values: list[float]) -> int:
    return bisect_right(values, limit, begin, end)
