"""The loops around ``kernels``: each step over a whole column, and the standard set of a long one block by block.

What ``kernels`` says of itself holds here: scalar operations in a written order, run by the interpreter or as machine
code. ``standard_blocks`` alone is meant for machine code only.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence

from ffe_core.analysis.kernels import (
    ADX_START,
    ATR_START,
    AVERAGE_START,
    BOLLINGER_START,
    MACD_START,
    RSI_START,
    SMA_START,
    STANDARD_START,
    Column,
    Columns,
    Floats,
    StandardStates,
    add_to,
    adx_step,
    atr_step,
    band_width,
    bollinger_step,
    directional_moves,
    ema_step,
    exact_sum,
    gain_and_loss,
    macd_step,
    movement_step,
    percent_of,
    rsi_step,
    sma_step,
    spread_change,
    spread_step,
    standard_step,
    true_range,
    wilder_step,
)

type Table = Sequence[Floats]
type Tables = Sequence[Columns]
type Marks = MutableSequence[int]

#: bars in a block; its working columns fit into a processor's second cache
BLOCK = 1024
#: working columns of a block
SCRATCH = 10
#: bars after which every indicator of the standard set has its first value, and every window is full
WARM = 64
NO_DIRECTION = -1.0


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


def crossings_batch(first: Floats, second: Floats, out: Marks) -> None:
    """``indicators.crossings`` as machine code, whose slices are views; a ``second`` of one value is a level."""
    bars, level = len(first), len(second) == 1
    begun, at = 0, 0
    while begun < bars and not (first[begun] > second[at] or first[begun] < second[at]):
        out[begun] = 0
        at += 0 if level else 1
        begun += 1
    if begun == bars:
        return
    out[begun] = 0
    if level:
        neither = level_crossings(first[begun + 1 :], first[begun:], second[0], out[begun + 1 :])
    else:
        nexts = begun + 1
        neither = line_crossings(first[nexts:], first[begun:], second[nexts:], second[begun:], out[nexts:])
    if neither > 0:
        sided_crossings(first, second, begun, out)


def line_crossings(now: Floats, before: Floats, line: Floats, line_before: Floats, out: Marks) -> int:
    """Each bar by itself and the one before, so that the processor does many at once; how many lie on neither side."""
    neither = 0
    for i in range(len(now)):
        above, below = now[i] > line[i], now[i] < line[i]
        out[i] = (above & (before[i] < line_before[i])) - (below & (before[i] > line_before[i]))
        neither += 1 - (above | below)
    return neither


def level_crossings(now: Floats, before: Floats, level: float, out: Marks) -> int:
    neither = 0
    for i in range(len(now)):
        above, below = now[i] > level, now[i] < level
        out[i] = (above & (before[i] < level)) - (below & (before[i] > level))
        neither += 1 - (above | below)
    return neither


def sided_crossings(first: Floats, second: Floats, begun: int, out: Marks) -> None:
    """``crossings_batch`` from bar ``begun`` on, where there are bars that lie on neither side."""
    side, step = 0, 0 if len(second) == 1 else 1
    for i in range(begun, len(first)):
        side, out[i] = side_step(side, first[i], second[i * step])


def crossings_rows(first: Table, second: Table, out: Sequence[Marks]) -> None:
    for k in range(len(first)):
        crossings_batch(first[k], second[k if len(second) > 1 else 0], out[k])


def ema_rows(values: Table, period: int, out: Tables) -> None:
    for k in range(len(values)):
        ema_batch(values[k], period, out[k])


def sma_rows(values: Table, period: int, scratch: Columns, out: Tables) -> None:
    for k in range(len(values)):
        sma_blocks(values[k], period, scratch, out[k])


def rsi_rows(values: Table, period: int, out: Tables) -> None:
    for k in range(len(values)):
        rsi_batch(values[k], period, out[k])


def macd_rows(values: Table, fast: int, slow: int, signal: int, out: Tables) -> None:
    for k in range(len(values)):
        macd_batch(values[k], fast, slow, signal, out[k])


def bollinger_rows(values: Table, period: int, deviations: float, out: Tables) -> None:
    for k in range(len(values)):
        bollinger_batch(values[k], period, deviations, out[k])


def atr_rows(high: Table, low: Table, close: Table, period: int, out: Tables) -> None:
    for k in range(len(close)):
        atr_batch(high[k], low[k], close[k], period, out[k])


def adx_rows(high: Table, low: Table, close: Table, period: int, out: Tables) -> None:
    for k in range(len(close)):
        adx_batch(high[k], low[k], close[k], period, out[k])


def standard_batch(high: Floats, low: Floats, close: Floats, out: Columns) -> StandardStates:
    """Fills ``out`` with the columns of the standard set, step by step; the state after them."""
    rsis, lines, signals, histograms, upper, middle, lower = out[0], out[1], out[2], out[3], out[4], out[5], out[6]
    strengths, plus_di, minus_di, atrs, slow_means, means = out[7], out[8], out[9], out[10], out[11], out[12]
    state = STANDARD_START
    for i in range(len(close)):
        state, row = standard_step(state, i + 1, close, i, high[i], low[i])
        rsis[i], lines[i], signals[i], histograms[i], upper[i], middle[i], lower[i] = row[:7]
        strengths[i], plus_di[i], minus_di[i], atrs[i], slow_means[i], means[i] = row[7:]
    return state


def sma_blocks(values: Floats, period: int, scratch: Columns, out: Columns) -> None:
    """``sma_batch`` as machine code; what differs from bar to bar and the division are done for four bars at once."""
    column, changes, rests = out[0], scratch[0], scratch[1]
    state, warm = SMA_START, min(period, len(values))
    for i in range(warm):
        state, column[i] = sma_step(state, i + 1, values, i, period)
    total, rest = state
    for a in range(warm, len(values), len(changes)):
        b = min(a + len(changes), len(values))
        difference_block(values[a:b], values[a - period : b], changes, rests)
        sums = column[a:b]
        for i in range(b - a):
            total, rest = add_to((total, rest), changes[i], rests[i])
            sums[i] = total + rest
        mean_block(sums, period)


def mean_crossings(values: Floats, fast: int, slow: int, scratch: Columns, out: Marks) -> None:
    """``crossings_batch`` of two moving averages, of which no more than two blocks are kept; ``fast`` below ``slow``.

    In ``sma_step`` a sum and what rounding took from it go on from their own last values; everything else is done for
    four bars at once. The sums of a block are made beside the rests of the block before, so that all four wait
    together. The first place of means and of sums is the bar before the block. ``scratch`` has ten columns.
    """
    quick, late = scratch[0], scratch[1]
    short, long, side, warm, most = SMA_START, SMA_START, 0, min(slow, len(values)), len(quick) - 1
    for i in range(warm):
        short, quick[0] = sma_step(short, i + 1, values, i, fast)
        long, late[0] = sma_step(long, i + 1, values, i, slow)
        side, out[i] = side_step(side, quick[0], late[0])
    (quick_sum, quick_rest), (late_sum, late_rest) = short, long
    a, before = warm, 0
    turn = 0
    while a < len(values) or before > 0:
        size = min(most, len(values) - a)
        quick_sums, late_sums, quick_rests, late_rests = (
            scratch[2 + turn], scratch[4 + turn], scratch[6 + turn], scratch[8 + turn],
        )  # fmt: skip
        old_quick_rests, old_late_rests = scratch[7 - turn], scratch[9 - turn]
        now = values[a : a + size]
        difference_block(now, values[a - fast : a + size], quick[1:], quick_rests)
        difference_block(now, values[a - slow : a + size], late[1:], late_rests)
        quick_sums[0], late_sums[0] = quick_sum, late_sum
        for i in range(min(size, before)):
            quick_sum += quick[i + 1]
            late_sum += late[i + 1]
            quick_rest += old_quick_rests[i]
            late_rest += old_late_rests[i]
            quick_sums[i + 1], late_sums[i + 1] = quick_sum, late_sum
            old_quick_rests[i], old_late_rests[i] = quick_rest, late_rest
        for i in range(before, size):
            quick_sum += quick[i + 1]
            late_sum += late[i + 1]
            quick_sums[i + 1], late_sums[i + 1] = quick_sum, late_sum
        for i in range(size, before):
            quick_rest += old_quick_rests[i]
            late_rest += old_late_rests[i]
            old_quick_rests[i], old_late_rests[i] = quick_rest, late_rest
        lost_block(quick_sums[: size + 1], quick[1:], quick_rests)
        lost_block(late_sums[: size + 1], late[1:], late_rests)
        mean_of_sum_block(scratch[3 - turn][1 : before + 1], old_quick_rests, fast, quick[1:])
        mean_of_sum_block(scratch[5 - turn][1 : before + 1], old_late_rests, slow, late[1:])
        side = marked_block(side, quick[: before + 1], late[: before + 1], out[a - before : a])
        quick[0], late[0] = quick[before], late[before]
        a, before, turn = a + size, size, 1 - turn


def marked_block(side: int, first: Floats, second: Floats, out: Marks) -> int:
    """Marks a block of crossings, whose columns begin one bar before it; the side on which ``first`` lies at its end.

    ``side`` is where it lay at its beginning.
    """
    size = len(out)
    neither = line_crossings(first[1:], first[:size], second[1:], second[:size], out)
    if neither > 0 or not (first[0] > second[0] or first[0] < second[0]):
        for i in range(size):
            side, out[i] = side_step(side, first[i + 1], second[i + 1])
    elif size > 0:
        side = 1 if first[size] > second[size] else -1
    return side


def lost_block(sums: Floats, changes: Floats, rests: Column) -> None:
    """What rounding takes from each sum, added to ``rests``; ``sums`` begin one bar before the block."""
    for i in range(len(sums) - 1):
        part = sums[i + 1] - sums[i]
        rests[i] = rests[i] + ((sums[i] - (sums[i + 1] - part)) + (changes[i] - part))


def mean_of_sum_block(sums: Floats, rests: Floats, period: int, means: Column) -> None:
    for i in range(len(sums)):
        means[i] = (sums[i] + rests[i]) / period


def side_step(side: int, first: float, second: float) -> tuple[int, int]:
    """The side on which ``first`` lies now, which on neither is the one before, and whether it has crossed over."""
    now = side
    if first > second:
        now = 1
    elif first < second:
        now = -1
    return now, now if side not in (0, now) else 0


def standard_blocks(high: Floats, low: Floats, close: Floats, scratch: Columns, out: Columns) -> None:
    """``standard_batch`` as machine code: block by block, each kind of work in a loop of its own.

    What looks at a bar and an earlier one only, and what makes results of smoothed values (the divisions, the square
    root), the processor does for four bars at once. What goes on from its own last value cannot be done so; there
    several indicators share a loop and wait together. The order of operations is that of the steps, hence the bits
    are; the first bars, in which indicators warm up, go step by step. Columns are arrays, whose slices are views;
    those of ``scratch`` may be longer than a block is.
    """
    state = standard_batch(high[:WARM], low[:WARM], close[:WARM], out)
    one, two, three, four, five, six = scratch[0], scratch[1], scratch[2], scratch[3], scratch[4], scratch[5]
    for a in range(WARM, len(close), len(one)):
        b = min(a + len(one), len(close))
        now, lines, signals, middle = close[a:b], out[1][a:b], out[2][a:b], out[5][a:b]
        changes_block(high[a - 1 : b], low[a - 1 : b], close[a - 1 : b], one, two, three, four, five)
        state = smooth_block(state, now, one, two, three, four, five, lines, signals, out[10][a:b], out[12][a:b])
        momentum_block(one, two, lines, signals, out[0][a:b], out[3][a:b])
        direction_block(three, four, five, out[8][a:b], out[9][a:b], six)
        difference_block(now, close[a - 20 : b], one, two)
        difference_block(now, close[a - 50 : b], three, four)
        state = sum_block(state, one, two, three, four, six, middle, out[11][a:b], out[7][a:b])
        mean_block(middle, 20)
        mean_block(out[11][a:b], 50)
        change_block(now, close[a - 20 : b], out[5][a - 1 : b], one)
        state = spread_block(state, close, a, one[: b - a])
        band_block(one, middle, out[4][a:b], out[6][a:b])


def changes_block(
    high: Floats, low: Floats, close: Floats, gains: Column, losses: Column, plus: Column, minus: Column, ranges: Column
) -> None:
    """The prices begin one bar before the block."""
    for i in range(len(close) - 1):
        gains[i], losses[i] = gain_and_loss(close[i + 1] - close[i])
        plus[i], minus[i] = directional_moves(high[i + 1] - high[i], low[i] - low[i + 1])
        ranges[i] = true_range(high[i + 1], low[i + 1], close[i])


def smooth_block(
    state: StandardStates,
    close: Floats,
    gains: Column,
    losses: Column,
    plus: Column,
    minus: Column,
    ranges: Column,
    lines: Column,
    signals: Column,
    atrs: Column,
    means: Column,
) -> StandardStates:
    """Changes become their averages in place, the ranges and moves their sums."""
    (_, gain, loss), (fast, slow, signal), band, sma, ema, (_, atr), adx = state
    last_high, last_low, last_close, sums, strength = adx
    for i in range(len(close)):
        gain, gains[i] = wilder_step(gain, WARM, gains[i], 14)
        loss, losses[i] = wilder_step(loss, WARM, losses[i], 14)
        fast, _ = ema_step(fast, WARM, close[i], 12)
        slow, _ = ema_step(slow, WARM, close[i], 26)
        lines[i] = fast - slow
        signal, signals[i] = ema_step(signal, WARM, fast - slow, 9)
        ema, means[i] = ema_step(ema, WARM, close[i], 20)
        atr, atrs[i] = wilder_step(atr, WARM, ranges[i], 14)
        sums = movement_step(sums, WARM, plus[i], minus[i], ranges[i], 14)
        plus[i], minus[i], ranges[i] = sums
    adx = (last_high, last_low, last_close, sums, strength)
    return (0.0, gain, loss), (fast, slow, signal), band, sma, ema, (0.0, atr), adx


def momentum_block(
    gains: Floats, losses: Floats, lines: Floats, signals: Floats, rsis: Column, histograms: Column
) -> None:
    for i in range(len(rsis)):
        rsis[i] = percent_of(gains[i], gains[i] + losses[i])
    for i in range(len(lines)):
        histograms[i] = lines[i] - signals[i]


def direction_block(
    plus: Floats, minus: Floats, ranges: Floats, plus_di: Column, minus_di: Column, directions: Column
) -> None:
    """DX is 0 both where neither side leads and where there is no direction; the second is told by ``NO_DIRECTION``."""
    for i in range(len(plus_di)):
        rising = percent_of(plus[i], ranges[i])
        falling = percent_of(minus[i], ranges[i])
        both = rising + falling
        direction = percent_of(abs(rising - falling), both)
        plus_di[i] = rising
        minus_di[i] = falling
        directions[i] = direction if both > 0.0 else NO_DIRECTION


def difference_block(values: Floats, gone: Floats, changes: Column, rests: Column) -> None:
    for i in range(len(values)):
        changes[i], rests[i] = exact_sum(values[i], -gone[i])


def sum_block(
    state: StandardStates,
    changes_20: Floats,
    rests_20: Floats,
    changes_50: Floats,
    rests_50: Floats,
    directions: Floats,
    sums_20: Column,
    sums_50: Column,
    strengths: Column,
) -> StandardStates:
    rsi, macd, ((short, short_rest), spread, last_mean), (long, long_rest), ema, atr, adx = state
    high, low, close, movements, strength = adx
    for i in range(len(strengths)):
        short, short_rest = add_to((short, short_rest), changes_20[i], rests_20[i])
        long, long_rest = add_to((long, long_rest), changes_50[i], rests_50[i])
        sums_20[i] = short + short_rest
        sums_50[i] = long + long_rest
        if directions[i] != NO_DIRECTION:
            strength, _ = wilder_step(strength, WARM, directions[i], 14)
        strengths[i] = strength
    band = ((short, short_rest), spread, last_mean)
    return rsi, macd, band, (long, long_rest), ema, atr, (high, low, close, movements, strength)


def mean_block(sums: Column, period: int) -> None:
    for i in range(len(sums)):
        sums[i] = sums[i] / period


def change_block(values: Floats, gone: Floats, means: Floats, changes: Column) -> None:
    """The means begin one bar before the block."""
    for i in range(len(values)):
        changes[i] = spread_change(values[i], gone[i], means[i + 1], means[i])


def spread_block(state: StandardStates, close: Floats, begin: int, changes: Column) -> StandardStates:
    """What changes each bar's squared deviations becomes what they are."""
    rsi, macd, (mean, spread, last_mean), sma, ema, atr, adx = state
    for i in range(len(changes)):
        spread = spread_step(spread, WARM, changes[i], close, begin + i, 20)
        changes[i] = spread[0]
    return rsi, macd, (mean, spread, last_mean), sma, ema, atr, adx


def band_block(spreads: Floats, middle: Floats, upper: Column, lower: Column) -> None:
    for i in range(len(middle)):
        width = band_width(spreads[i], 20, 2.0)
        upper[i] = middle[i] + width
        lower[i] = middle[i] - width


BATCHES = (
    ema_batch,
    sma_batch,
    rsi_batch,
    macd_batch,
    bollinger_batch,
    atr_batch,
    adx_batch,
    standard_batch,
    side_step,
    line_crossings,
    level_crossings,
    sided_crossings,
    crossings_batch,
)
#: one after the other over rows of columns
ROWS = (
    crossings_rows,
    ema_rows,
    sma_rows,
    rsi_rows,
    macd_rows,
    bollinger_rows,
    atr_rows,
    adx_rows,
)
#: as in ``kernels.STEPS``
BLOCKS = (
    changes_block,
    smooth_block,
    momentum_block,
    direction_block,
    difference_block,
    sum_block,
    mean_block,
    change_block,
    spread_block,
    band_block,
    sma_blocks,
    lost_block,
    mean_of_sum_block,
    mean_crossings,
    marked_block,
    standard_blocks,
)
