"""Whole stretches of bars at once: where the next thing happens, and what the account is worth until then.

Scalar, for numba. For lists ``spans_of_lists`` has the same functions, to the same bits, in the passes that an
interpreter is quick at; ``ffe_lab.machine`` gives each form its own.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

type Floats = Sequence[float]
type Numbers = Sequence[int]
type Row = MutableSequence[float]

ENDLESS = float("inf")


def next_signal(begin: int, end: int, action: Numbers) -> int:
    """The first bar from ``begin`` on with a signal, else ``end``."""
    # To know that a place does not count from the end spares the compiler a question per bar, here and below.
    for i in range(begin if begin > 0 else 0, end):
        if action[i] != 0:
            return i
    return end


def next_outside(begin: int, end: int, floor: float, ceiling: float, high: Floats, low: Floats) -> int:
    """The first bar from ``begin`` on that reaches down to ``floor`` or up to ``ceiling``, else ``end``.

    0 and ``ENDLESS`` are off; of a column that is off nothing is read.
    """
    first = begin if begin > 0 else 0
    if ceiling == ENDLESS:
        if floor > 0.0:
            for i in range(first, end):
                if low[i] <= floor:
                    return i
        return end
    for i in range(first, end):
        if low[i] <= floor or high[i] >= ceiling:
            return i
    return end


def mark(begin: int, end: int, cash: float, units: float, close: Floats, equity: Row) -> int:
    """Marks the account at the closes of one bar or more; the first at which nothing is left, else ``end``.

    What is flat stays what it is, and is never found to be nothing here.
    """
    sunk = 0
    for i in range(begin if begin > 0 else 0, end):
        worth = cash + units * close[i]
        equity[i] = worth
        sunk += worth <= 0.0
    if sunk > 0 and units != 0.0:
        for i in range(begin if begin > 0 else 0, end):
            if equity[i] <= 0.0:
                return i
    return end


def take_marks(
    begin: int, end: int, closes: Numbers, equity: Floats, at: int, marked: Row, worth: Row
) -> tuple[float, float]:
    """Copies times and equity of at least one bar to places from ``at`` on; the highest and the lowest equity."""
    top = bottom = equity[begin]
    for i in range(begin, end):
        value = equity[i]
        marked[at + i - begin], worth[at + i - begin] = closes[i], value
        top, bottom = max(top, value), min(bottom, value)
    return top, bottom


def place_after(begin: int, end: int, limit: float, values: Floats) -> int:
    """The first place of ascending values at which one is above ``limit``, else ``end``."""
    while begin < end:
        middle = (begin + end) // 2
        if limit < values[middle]:
            end = middle
        else:
            begin = middle + 1
    return begin
