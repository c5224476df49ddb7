"""The walk below the peak, bar by bar: scalar, for lists and for numba."""

from __future__ import annotations

from ffe_lab.loop import Floats


def walk(equity: Floats, peak: float) -> tuple[float, float, float, float]:
    """``(fraction, amount, bars, squares)`` as ``drawdown.Drawdown`` has them; squares are the sum over all bars.

    ``peak`` is what there was before the first bar. Squares are no number where one of the equities is none.
    """
    fraction, amount, squares = 0.0, 0.0, 0.0
    longest, since = 0, 0
    for value in equity:
        since += 1
        if value >= peak:
            peak = value
            # From the peak to the bar that reaches it again; a bar right after its peak was never under it.
            if since > 1 and since > longest:
                longest = since
            since = 0
            squares += value - value
        else:
            below = peak - value
            share = below / peak
            squares += share * share
            if share > fraction:  # noqa: PLR1730 - in the interpreter a comparison costs a third of a call to max
                fraction = share
            if below > amount:  # noqa: PLR1730
                amount = below
    return fraction, amount, float(since if since > longest else longest), squares


def first_unsound(time: Floats, open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> int:
    """The first bar that no market makes, or that does not come after the one before it; -1 where there is none."""
    before = time[0] - 1
    for i in range(len(time)):
        # Written so that what is no number is never found sound.
        shape = low[i] > 0.0 and low[i] <= open_[i] <= high[i] and low[i] <= close[i] <= high[i]
        if not (shape and high[i] < _ENDLESS and 0.0 <= volume[i] < _ENDLESS and time[i] > before):
            return i
        before = time[i]
    return -1


_ENDLESS = float("inf")
