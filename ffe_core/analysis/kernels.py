"""The arithmetic of the standard indicators: for each, one step that takes one bar and an explicit state.

Nothing here knows whether it runs in the interpreter or in machine code: ``indicators`` calls these very functions for
a single cold command and compiles the same source for long-lived processes. So a batch (the step in a loop), a live
update (the step once), a back-test and a paper run give the same bits. That is also why there is no NumPy, no
``sum``, no ``max`` and no clever vector form here: only scalar IEEE operations in a written order.

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
type Columns = Sequence[MutableSequence[float]]
type Triple = tuple[float, float, float]

#: the sum of the values while warming up, their mean from then on
type Average = float
#: sum of the window, what rounding took from that sum
type Sma = tuple[float, float]
#: the mean, squared deviations of the window, their largest value and bars since they were last taken afresh, last mean
type Bollinger = tuple[Sma, float, float, int, float]
#: last close, mean gain, mean loss
type Rsi = tuple[float, Average, Average]
#: fast mean, slow mean, signal
type Macd = tuple[Average, Average, Average]
#: last close, mean of true ranges
type Atr = tuple[float, Average]
#: last high, low and close, smoothed +DM, -DM and true range, mean of DX
type Adx = tuple[float, float, float, float, float, float, Average]
type StandardStates = tuple[Rsi, Macd, Bollinger, Sma, Average, Atr, Adx]

NAN = math.nan
FRESH_FOR = 512
FAR_BELOW = 2.0**-20

AVERAGE_START: Average = 0.0
SMA_START: Sma = (0.0, 0.0)
BOLLINGER_START: Bollinger = (SMA_START, 0.0, 0.0, 0, 0.0)
RSI_START: Rsi = (0.0, AVERAGE_START, AVERAGE_START)
MACD_START: Macd = (AVERAGE_START, AVERAGE_START, AVERAGE_START)
ATR_START: Atr = (0.0, AVERAGE_START)
ADX_START: Adx = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, AVERAGE_START)
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


def sma_step(state: Sma, seen: int, values: Floats, i: int, period: int) -> tuple[Sma, float]:
    """Plain mean of ``values[i - period + 1 .. i]``; ``values[i - period]`` must still be there once it is full.

    A rolling sum drifts: each subtraction leaves its rounding behind, for ever. Here the rounding of every update is
    kept in ``rest``, so that the sum is right to the last bit however long the series is and whatever has passed
    through the window, at a cost that does not depend on ``period``.
    """
    total, rest = state
    value = values[i]
    if seen > period:
        value, lost = exact_sum(value, -values[i - period])
        rest += lost
    total, lost = exact_sum(total, value)
    rest += lost
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


def bollinger_step(
    state: Bollinger, seen: int, values: Floats, i: int, period: int, deviations: float
) -> tuple[Bollinger, Triple]:
    """``(upper, middle, lower)``: the plain mean, and ``deviations`` population deviations to either side.

    The mean of squares less the square of the mean cancels away on prices far from zero, and leaves a market that has
    gone flat with the noise of its past as a band. So the squared deviations themselves are carried from window to
    window (Welford 1962, with one value leaving for each that comes). Their rounding is small against the largest
    value they have had, so they are taken afresh when they have fallen far below it, and now and then anyway.
    """
    sma, spread, peak, age, last_mean = state
    sma, mean = sma_step(sma, seen, values, i, period)
    if seen < period:
        return (sma, spread, peak, age, last_mean), (NAN, NAN, NAN)
    if seen > period:
        value = values[i]
        gone = values[i - period]
        spread += (value - gone) * ((value - mean) + (gone - last_mean))
        age += 1
    if seen == period or age == FRESH_FOR or spread < peak * FAR_BELOW:
        spread = squared_deviations(values, i, period)
        peak = spread
        age = 0
    if spread > peak:
        peak = spread
    width = math.sqrt(spread / period) * deviations
    return (sma, spread, peak, age, mean), (mean + width, mean, mean - width)


def rsi_step(state: Rsi, seen: int, close: float, period: int) -> tuple[Rsi, float]:
    """Wilder's relative strength index, 0-100. With no change at all so far it is 0, as in TA-Lib."""
    previous, gains, losses = state
    if seen == 1:
        return (close, gains, losses), NAN
    change = close - previous
    gains, gain = wilder_step(gains, seen - 1, change if change > 0.0 else 0.0, period)
    losses, loss = wilder_step(losses, seen - 1, -change if change < 0.0 else 0.0, period)
    if seen <= period:
        return (close, gains, losses), NAN
    moved = gain + loss
    return (close, gains, losses), (100.0 * (gain / moved) if moved > 0.0 else 0.0)


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


def adx_step(state: Adx, seen: int, high: float, low: float, close: float, period: int) -> tuple[Adx, Triple]:
    """``(adx, plus_di, minus_di)``, each 0-100 and each with its own first bar.

    A bar without any range leaves the directional indicators at 0 and the ADX where it was.
    """
    last_high, last_low, last_close, plus, minus, ranges, strengths = state
    if seen == 1:
        return (high, low, close, plus, minus, ranges, strengths), (NAN, NAN, NAN)
    up = high - last_high
    down = last_low - low
    if seen > period:
        weight = 1.0 / period
        plus -= plus * weight
        minus -= minus * weight
        ranges -= ranges * weight
    plus += up if (up > down) & (up > 0.0) else 0.0
    minus += down if (down > up) & (down > 0.0) else 0.0
    ranges += true_range(high, low, last_close)
    if seen <= period:
        return (high, low, close, plus, minus, ranges, strengths), (NAN, NAN, NAN)
    plus_di = 100.0 * (plus / ranges) if ranges > 0.0 else 0.0
    minus_di = 100.0 * (minus / ranges) if ranges > 0.0 else 0.0
    both = plus_di + minus_di
    adx = strengths
    if both > 0.0:
        strengths, adx = wilder_step(strengths, seen - period, 100.0 * (abs(plus_di - minus_di) / both), period)
    elif seen <= 2 * period:
        # During warm-up a bar without direction still takes its place in the first mean.
        strengths, adx = wilder_step(strengths, seen - period, 0.0, period)
    return (high, low, close, plus, minus, ranges, strengths), (adx, plus_di, minus_di)


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


def ema_batch(values: Floats, period: int, out: Columns) -> None:
    column = out[0]
    state = AVERAGE_START
    for i in range(len(values)):
        state, column[i] = ema_step(state, i + 1, values[i], period)


def sma_batch(values: Floats, period: int, out: Columns) -> None:
    column = out[0]
    state = SMA_START
    for i in range(len(values)):
        state, column[i] = sma_step(state, i + 1, values, i, period)


def rsi_batch(values: Floats, period: int, out: Columns) -> None:
    column = out[0]
    state = RSI_START
    for i in range(len(values)):
        state, column[i] = rsi_step(state, i + 1, values[i], period)


def macd_batch(values: Floats, fast: int, slow: int, signal: int, out: Columns) -> None:
    lines, signals, histograms = out[0], out[1], out[2]
    state = MACD_START
    for i in range(len(values)):
        state, (lines[i], signals[i], histograms[i]) = macd_step(state, i + 1, values[i], fast, slow, signal)


def bollinger_batch(values: Floats, period: int, deviations: float, out: Columns) -> None:
    upper, middle, lower = out[0], out[1], out[2]
    state = BOLLINGER_START
    for i in range(len(values)):
        state, (upper[i], middle[i], lower[i]) = bollinger_step(state, i + 1, values, i, period, deviations)


def atr_batch(high: Floats, low: Floats, close: Floats, period: int, out: Columns) -> None:
    column = out[0]
    state = ATR_START
    for i in range(len(close)):
        state, column[i] = atr_step(state, i + 1, high[i], low[i], close[i], period)


def adx_batch(high: Floats, low: Floats, close: Floats, period: int, out: Columns) -> None:
    strength, plus_di, minus_di = out[0], out[1], out[2]
    state = ADX_START
    for i in range(len(close)):
        state, (strength[i], plus_di[i], minus_di[i]) = adx_step(state, i + 1, high[i], low[i], close[i], period)


def standard_batch(high: Floats, low: Floats, close: Floats, out: Columns) -> None:
    """Fills ``out`` with the columns of the standard set.

    RSI, MACD, ATR and EMA do little but wait for their own last value, so they share a pass and wait together (a
    quarter less time in all). The others keep the processor busy alone: sharing would only cost them registers.
    """
    rsis, lines, signals, histograms, ranges, means = out[0], out[1], out[2], out[3], out[10], out[12]
    rsi, macd, atr, ema = RSI_START, MACD_START, ATR_START, AVERAGE_START
    for i in range(len(close)):
        rsi, rsis[i] = rsi_step(rsi, i + 1, close[i], 14)
        macd, (lines[i], signals[i], histograms[i]) = macd_step(macd, i + 1, close[i], 12, 26, 9)
        atr, ranges[i] = atr_step(atr, i + 1, high[i], low[i], close[i], 14)
        ema, means[i] = ema_step(ema, i + 1, close[i], 20)
    bollinger_batch(close, 20, 2.0, out[4:7])
    adx_batch(high, low, close, 14, out[7:10])
    sma_batch(close, 50, out[11:12])


#: what is called from outside
ENTRY_POINTS = (
    standard_step,
    ema_batch,
    sma_batch,
    rsi_batch,
    macd_batch,
    bollinger_batch,
    atr_batch,
    adx_batch,
    standard_batch,
)
#: every function above, callees before callers: the order in which they are compiled
KERNELS = (
    ema_step,
    wilder_step,
    exact_sum,
    sma_step,
    squared_deviations,
    bollinger_step,
    rsi_step,
    macd_step,
    true_range,
    atr_step,
    adx_step,
    *ENTRY_POINTS,
)
