"""The arithmetic of the standard indicators: for each, one step that takes one bar and an explicit state.

Nothing here knows whether it runs in the interpreter or in machine code: ``indicators`` calls these very functions for
a single cold command and compiles the same source for long-lived processes. So whole columns (``batches``), a live
update (the step once), a back-test and a paper run give the same bits. That is also why there is no NumPy, no ``sum``,
no ``max`` and no clever vector form here: only scalar IEEE operations in a written order.

Conventions of every step: ``state`` starts as the matching ``*_START``; ``seen`` counts the values so far, this one
included, so that no state needs a counter of its own; the result is the next state and the value, NaN during warm-up.
Seeds, warm-up and smoothing are TA-Lib's, which are those of the authors: Wilder, "New Concepts in Technical Trading
Systems" (1978) for RSI, ATR and ADX, Appel for MACD, Bollinger with the population deviation. The order of operations
follows TA-Lib where a difference of nearly equal numbers is taken later (the MACD histogram), because there the last
bit decides whether two implementations agree.
"""

# ruff: noqa: PLR1730 - in the interpreter a comparison costs a third of a call to max
from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence

type Floats = Sequence[float]
#: the output: one row for each column of values, a list of lists or an array of two dimensions
type Column = MutableSequence[float]
type Columns = Sequence[Column]
type Triple = tuple[float, float, float]

#: the sum of the values while warming up, their mean from then on
type Average = float
#: sum of the window, what rounding took from that sum
type Sma = tuple[float, float]
#: squared deviations of the window, their largest value and bars since they were last taken afresh
type Spread = tuple[float, float, int]
#: the mean, the squared deviations, last mean
type Bollinger = tuple[Sma, Spread, float]
#: last close, mean gain, mean loss
type Rsi = tuple[float, Average, Average]
#: fast mean, slow mean, signal
type Macd = tuple[Average, Average, Average]
#: last close, mean of true ranges
type Atr = tuple[float, Average]
#: last high, low and close, smoothed +DM, -DM and true range, mean of DX
type Adx = tuple[float, float, float, Triple, Average]
type StandardStates = tuple[Rsi, Macd, Bollinger, Sma, Average, Atr, Adx]

NAN = math.nan
FRESH_FOR = 512
FAR_BELOW = 2.0**-20

AVERAGE_START: Average = 0.0
SMA_START: Sma = (0.0, 0.0)
BOLLINGER_START: Bollinger = (SMA_START, (0.0, 0.0, 0), 0.0)
RSI_START: Rsi = (0.0, AVERAGE_START, AVERAGE_START)
MACD_START: Macd = (AVERAGE_START, AVERAGE_START, AVERAGE_START)
ATR_START: Atr = (0.0, AVERAGE_START)
ADX_START: Adx = (0.0, 0.0, 0.0, (0.0, 0.0, 0.0), AVERAGE_START)
STANDARD_START: StandardStates = (
    RSI_START,
    MACD_START,
    BOLLINGER_START,
    SMA_START,
    AVERAGE_START,
    ATR_START,
    ADX_START,
)


def ema_step(mean: Average, seen: int, value: float, period: int) -> tuple[Average, float]:
    """Exponential mean with weight 2/(period+1), seeded by the plain mean of the first ``period`` values."""
    if seen < period:
        return mean + value, NAN
    mean = (mean + value) / period if seen == period else (value - mean) * (2.0 / (period + 1)) + mean
    return mean, mean


def wilder_step(mean: Average, seen: int, value: float, period: int) -> tuple[Average, float]:
    """Wilder's smoothing (weight 1/period), seeded by the plain mean of the first ``period`` values."""
    if seen < period:
        return mean + value, NAN
    mean = (mean + value) / period if seen == period else mean + (value - mean) * (1.0 / period)
    return mean, mean


def exact_sum(a: float, b: float) -> tuple[float, float]:
    """``(sum, rest)`` with sum + rest == a + b exactly (Knuth, TAOCP 2, 4.2.2, theorem B)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def add_to(state: Sma, value: float, more: float) -> Sma:
    """``value + more`` added to a sum that never drifts; ``more`` is tiny beside ``value``.

    The two roundings are added to each other first: whoever goes on from ``rest`` waits for one addition, not for two.
    """
    total, rest = state
    total, lost = exact_sum(total, value)
    return total, rest + (more + lost)


def sma_step(state: Sma, seen: int, values: Floats, i: int, period: int) -> tuple[Sma, float]:
    """Plain mean of ``values[i - period + 1 .. i]``; ``values[i - period]`` must still be there once it is full.

    A rolling sum drifts: each subtraction leaves its rounding behind, for ever. Here the rounding of every update is
    kept in ``rest``, so that the sum is right to the last bit however long the series is and whatever has passed
    through the window, at a cost that does not depend on ``period``.
    """
    value, lost = values[i], 0.0
    if seen > period:
        value, lost = exact_sum(value, -values[i - period])
    total, rest = add_to(state, value, lost)
    return (total, rest), ((total + rest) / period if seen >= period else NAN)


def squared_deviations(values: Floats, i: int, period: int) -> float:
    """Sum of the squared deviations from their mean of ``values[i - period + 1 .. i]``, from nothing but those.

    Measured from the window's own first value no more than a factor of ``period`` can cancel, and equal values give
    exactly zero.
    """
    origin = values[i - period + 1]
    total = 0.0
    squares = 0.0
    for j in range(i - period + 2, i + 1):
        distance = values[j] - origin
        total += distance
        squares += distance * distance
    spread = squares - total * total / period
    return spread if spread > 0.0 else 0.0


def spread_change(value: float, gone: float, mean: float, last_mean: float) -> float:
    """What the sum of squared deviations gains when ``value`` comes and ``gone`` leaves."""
    return (value - gone) * ((value - mean) + (gone - last_mean))


def spread_step(state: Spread, seen: int, change: float, values: Floats, i: int, period: int) -> Spread:
    """The squared deviations of the window that ends at ``i``: carried on by ``change``, or taken afresh.

    The rounding of what is carried is small against the largest value it has had, so it is taken afresh when it has
    fallen far below that, and now and then anyway.
    """
    spread, peak, age = state
    spread += change
    age += 1
    if seen == period or age == FRESH_FOR or spread < peak * FAR_BELOW:
        spread = squared_deviations(values, i, period)
        peak = spread
        age = 0
    return spread, spread if spread > peak else peak, age


def band_width(spread: float, period: int, deviations: float) -> float:
    """``deviations`` population deviations."""
    return math.sqrt(spread / period) * deviations


def bollinger_step(
    state: Bollinger, seen: int, values: Floats, i: int, period: int, deviations: float
) -> tuple[Bollinger, Triple]:
    """``(upper, middle, lower)``: the plain mean, and ``deviations`` population deviations to either side.

    The mean of squares less the square of the mean cancels away on prices far from zero, and leaves a market that has
    gone flat with the noise of its past as a band. So the squared deviations themselves are carried from window to
    window (Welford 1962, with one value leaving for each that comes).
    """
    sma, spread, last_mean = state
    sma, mean = sma_step(sma, seen, values, i, period)
    if seen < period:
        return (sma, spread, last_mean), (NAN, NAN, NAN)
    change = spread_change(values[i], values[i - period], mean, last_mean) if seen > period else 0.0
    spread = spread_step(spread, seen, change, values, i, period)
    width = band_width(spread[0], period, deviations)
    return (sma, spread, mean), (mean + width, mean, mean - width)


def gain_and_loss(change: float) -> tuple[float, float]:
    if change > 0.0:
        return change, 0.0
    return 0.0, -change if change < 0.0 else 0.0


def percent_of(part: float, whole: float) -> float:
    return 100.0 * (part / whole) if whole > 0.0 else 0.0


def rsi_step(state: Rsi, seen: int, close: float, period: int) -> tuple[Rsi, float]:
    """Wilder's relative strength index, 0-100. With no change at all so far it is 0, as in TA-Lib."""
    previous, gains, losses = state
    if seen == 1:
        return (close, gains, losses), NAN
    gain, loss = gain_and_loss(close - previous)
    gains, gain = wilder_step(gains, seen - 1, gain, period)
    losses, loss = wilder_step(losses, seen - 1, loss, period)
    return (close, gains, losses), (percent_of(gain, gain + loss) if seen > period else NAN)


def macd_step(state: Macd, seen: int, close: float, fast: int, slow: int, signal: int) -> tuple[Macd, Triple]:
    """``(macd, signal, histogram)``, all three from the first bar that has a signal on.

    The fast mean is seeded late, so that both means speak for the first time on the same bar.
    """
    fast_mean, slow_mean, signal_mean = state
    fast_value = NAN
    if seen > slow - fast:
        fast_mean, fast_value = ema_step(fast_mean, seen - slow + fast, close, fast)
    slow_mean, slow_value = ema_step(slow_mean, seen, close, slow)
    if seen < slow:
        return (fast_mean, slow_mean, signal_mean), (NAN, NAN, NAN)
    line = fast_value - slow_value
    signal_mean, signal_value = ema_step(signal_mean, seen - slow + 1, line, signal)
    if seen < slow + signal - 1:
        return (fast_mean, slow_mean, signal_mean), (NAN, NAN, NAN)
    return (fast_mean, slow_mean, signal_mean), (line, signal_value, line - signal_value)


def true_range(high: float, low: float, previous_close: float) -> float:
    """The widest of: the bar's range, and the reach from the previous close to either end."""
    widest = high - low
    up = abs(previous_close - high)
    down = abs(previous_close - low)
    if up > widest:
        widest = up
    return down if down > widest else widest


def atr_step(state: Atr, seen: int, high: float, low: float, close: float, period: int) -> tuple[Atr, float]:
    """Wilder's average true range, in price units; the first bar has no true range."""
    previous_close, ranges = state
    if seen == 1:
        return (close, ranges), NAN
    ranges, value = wilder_step(ranges, seen - 1, true_range(high, low, previous_close), period)
    return (close, ranges), value


def directional_moves(up: float, down: float) -> tuple[float, float]:
    """``(+DM, -DM)``: how far the bar reaches past the last one, on the side where it does so by more."""
    if (up > down) & (up > 0.0):
        return up, 0.0
    return 0.0, down if (down > up) & (down > 0.0) else 0.0


def movement_step(sums: Triple, seen: int, plus: float, minus: float, width: float, period: int) -> Triple:
    """Wilder's smoothed +DM, -DM and true range: sums that later lose their own share for each value that comes."""
    rising, falling, ranges = sums
    if seen > period:
        weight = 1.0 / period
        rising -= rising * weight
        falling -= falling * weight
        ranges -= ranges * weight
    return rising + plus, falling + minus, ranges + width


def adx_step(state: Adx, seen: int, high: float, low: float, close: float, period: int) -> tuple[Adx, Triple]:
    """``(adx, plus_di, minus_di)``, each 0-100 and each with its own first bar.

    A bar without any range leaves the directional indicators at 0 and the ADX where it was.
    """
    last_high, last_low, last_close, sums, strengths = state
    if seen == 1:
        return (high, low, close, sums, strengths), (NAN, NAN, NAN)
    plus, minus = directional_moves(high - last_high, last_low - low)
    sums = movement_step(sums, seen, plus, minus, true_range(high, low, last_close), period)
    if seen <= period:
        return (high, low, close, sums, strengths), (NAN, NAN, NAN)
    plus_di = percent_of(sums[0], sums[2])
    minus_di = percent_of(sums[1], sums[2])
    both = plus_di + minus_di
    adx = strengths
    if both > 0.0:
        strengths, adx = wilder_step(strengths, seen - period, percent_of(abs(plus_di - minus_di), both), period)
    elif seen <= 2 * period:
        # During warm-up a bar without direction still takes its place in the first mean.
        strengths, adx = wilder_step(strengths, seen - period, 0.0, period)
    return (high, low, close, sums, strengths), (adx, plus_di, minus_di)


def standard_step(
    state: StandardStates, seen: int, closes: Floats, i: int, high: float, low: float
) -> tuple[StandardStates, tuple[float, ...]]:
    """One bar of the standard set; ``closes`` holds at least the 50 closes before index ``i`` once they exist.

    The values in the order of ``indicators.STANDARD``.
    """
    rsi, macd, band, sma, ema, atr, adx = state
    close = closes[i]
    rsi, rsi_value = rsi_step(rsi, seen, close, 14)
    macd, (line, signal, histogram) = macd_step(macd, seen, close, 12, 26, 9)
    band, (upper, middle, lower) = bollinger_step(band, seen, closes, i, 20, 2.0)
    sma, sma_50 = sma_step(sma, seen, closes, i, 50)
    ema, ema_20 = ema_step(ema, seen, close, 20)
    atr, atr_value = atr_step(atr, seen, high, low, close, 14)
    adx, (adx_value, plus_di, minus_di) = adx_step(adx, seen, high, low, close, 14)
    return (
        (rsi, macd, band, sma, ema, atr, adx),
        (
            *(rsi_value, line, signal, histogram, upper, middle, lower),
            *(adx_value, plus_di, minus_di, atr_value, sma_50, ema_20),
        ),
    )


#: every function above, callees before callers: the order in which they are compiled
STEPS = (
    ema_step,
    wilder_step,
    exact_sum,
    add_to,
    sma_step,
    squared_deviations,
    spread_change,
    spread_step,
    band_width,
    bollinger_step,
    gain_and_loss,
    percent_of,
    rsi_step,
    macd_step,
    true_range,
    atr_step,
    directional_moves,
    movement_step,
    adx_step,
    standard_step,
)
