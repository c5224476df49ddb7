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
    """The first bar that no market makes, or that does not come after the one before it; -1 where there is none.

    First they are counted: a loop without a way out the compiler does for several bars at a time.
    """
    bars = len(time)
    if _sound_bars(open_, high, low, close, volume) == bars and _later_bars(time[1:], time) == bars - 1:
        return -1
    for i in range(bars):
        if not _is_sound(open_[i], high[i], low[i], close[i], volume[i]) or (i > 0 and not time[i] > time[i - 1]):
            return i
    return -1


def _sound_bars(open_: Floats, high: Floats, low: Floats, close: Floats, volume: Floats) -> int:
    sound = 0
    for i in range(len(open_)):
        sound += 1 if _is_sound(open_[i], high[i], low[i], close[i], volume[i]) else 0
    return sound


def _later_bars(time: Floats, before: Floats) -> int:
    later = 0
    for i in range(len(time)):
        later += time[i] > before[i]
    return later


def pauses(time: Floats, before: Floats, longest: float) -> int:
    """How many steps from a time to the next one are longer; ``before`` has one more value, which is not read."""
    found = 0
    for i in range(len(time)):
        found += time[i] - before[i] > longest
    return found


def _is_sound(open_: float, high: float, low: float, close: float, volume: float) -> bool:
    # Written so that what is no number is never found sound. Each on its own first: that has no way out either.
    positive, finite, traded, counted = low > 0.0, high < _ENDLESS, volume >= 0.0, volume < _ENDLESS
    opened, opened_too, closed, closed_too = low <= open_, open_ <= high, low <= close, close <= high
    return positive and finite and traded and counted and opened and opened_too and closed and closed_too


_ENDLESS = float("inf")
