"""The loop with its gate: entries that are certain to pass go through here, and the others are handed out to be judged.

Written like the loop: scalar, for lists and for numba, to the same bits. A size is what decimals would make of it to
the last digit, or none: what lies so near to the next step that floats cannot tell is handed out as well.
"""

from __future__ import annotations

import math

from ffe_lab.loop import (
    CASH,
    NOTHING,
    PENDING,
    PENDING_STOP,
    PENDING_UNITS,
    SMALLEST_STOP,
    TRADES,
    Floats,
    Numbers,
    Row,
    Table,
    run,
)
from ffe_lab.past import BARRED_UNTIL, NOTED, ORDER, PEAK, day_start, remember

#: places of ``terms``: how a size comes about (``FACTOR`` of equity is lost at the stop where ``BY_RISK``, held
#: elsewhere, and never more than ``LARGEST`` is held), the steps ``MANTISSA`` / ``SCALE`` that it goes in, the least
#: that is traded, and what the account may have lost of its peak, and on this day
FACTOR, BY_RISK, LARGEST, MANTISSA, SCALE, LEAST_UNITS, LEAST_WORTH, FALL, DAY_FALL, TERMS = range(10)

#: what is certain of an entry beforehand: nothing, that it passes, that it passes and is given up as too unsure
ASK, SURE, UNSURE = 0, 1, 2

#: rows of ``noted``, a column for every entry that went through here
ORDER_THEN, CASH_THEN, STOP_THEN, PEAK_THEN, DAY_START_THEN, TRADES_THEN, UNITS_THEN, NOTES = range(8)

#: no size, because it has to be judged
UNKNOWN = -1.0
#: what a size in decimals may differ by from one in floats: a working step, twice, and ten times what nine roundings do
WORKING, ROUNDING = 2e-12, 1e-14
#: the margin that is kept from the limits of rules
HAIR = 1e-12
#: whole numbers up to here are exact
WHOLE = 9007199254740992.0
#: a share of a size that a rule leaves is so many of these, so that it is exact, too
SHARES = 1024.0


def run_gated(
    first: int,
    end: int,
    time: Numbers,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    action: Numbers,
    stop: Floats,
    hour: Floats,
    delay: Numbers,
    config: Floats,
    state: Row,
    equity: Row,
    trades: Table,
    closes: Numbers,
    orders: Numbers,
    began: Floats,
    certain: Numbers,
    kept: Floats,
    exposure: Floats,
    most: float,
    terms: Floats,
    past: Row,
    marked: Row,
    worth: Row,
    queue: Row,
    noted: Table,
) -> int:
    """Like ``loop.run`` with ``asks``, but stops only where an entry is not certain; ``remember`` is done there.

    ``orders`` are the bars at which something may be opened, ``past[ORDER]`` the place of the one at hand. For each
    ``certain`` has ``ASK``, ``SURE`` or ``UNSURE``, ``kept`` the share of the size that a rule will leave,
    ``exposure`` the most that the position may be worth over equity before that, ``began`` when its day did. ``most``
    is the drawdown that bars entries.
    """
    bar = run(
        first, end, True, time, open_, high, low, close, volume, action, stop, hour, delay, config, state, equity,
        trades,
    )  # fmt: skip
    while bar < end:
        remember(bar, closes, equity, most, past, marked, worth, queue)
        order = int(past[ORDER])
        while orders[order] < bar:
            order += 1
        past[ORDER] = order
        units, start = UNKNOWN, 0.0
        if certain[order] != ASK and past[BARRED_UNTIL] == 0.0 and state[CASH] > 0.0:
            start = day_start(bar, began[order], state[CASH], closes, past, marked, worth)
            if _has_kept(state[CASH], past[PEAK], terms[FALL]) and _has_kept(state[CASH], start, terms[DAY_FALL]):
                units = _units(state[CASH], close[bar], state[PENDING_STOP], kept[order], exposure[order], terms)
        if units == UNKNOWN:
            return bar
        if certain[order] == UNSURE:
            units = 0.0
            state[PENDING] = NOTHING
        state[PENDING_UNITS] = units
        _note(start, units, past, state, noted)
        bar = run(
            bar + 1, end, True, time, open_, high, low, close, volume, action, stop, hour, delay, config, state, equity,
            trades,
        )  # fmt: skip
    return end


def _has_kept(now: float, before: float, most: float) -> bool:
    """Whether the account has certainly lost no more than a share ``most`` of what it was."""
    return before > 0.0 and 1.0 - now / before <= most - HAIR


def _units(cash: float, price: float, stop: float, kept: float, exposure: float, terms: Floats) -> float:
    """The size that decimals would give a flat account, to the last digit; ``UNKNOWN`` where that is not certain."""
    factor = terms[FACTOR]
    if terms[BY_RISK] > 0.0:
        factor /= stop if stop > SMALLEST_STOP else SMALLEST_STOP
    quantity = cash * (factor if factor < terms[LARGEST] else terms[LARGEST]) / price
    steps = quantity * terms[SCALE] / terms[MANTISSA]
    # Also false for what is no number.
    if not (steps >= 1.0 and steps * SHARES < WHOLE and steps * terms[MANTISSA] < WHOLE):
        return UNKNOWN
    whole = math.floor(steps)
    doubt = (WORKING + quantity * ROUNDING) * terms[SCALE] / terms[MANTISSA]
    if steps - whole <= doubt or whole + 1 - steps <= doubt:
        return UNKNOWN
    if not whole * terms[MANTISSA] / terms[SCALE] * price / cash <= exposure * (1.0 - HAIR):
        return UNKNOWN
    # Whole numbers below 2^53 on both sides: the quotient is the float next to the decimal.
    units = math.floor(whole * kept) * terms[MANTISSA] / terms[SCALE]
    enough = units >= terms[LEAST_UNITS] * (1.0 + HAIR) and units * price >= terms[LEAST_WORTH] * (1.0 + HAIR)
    return units if units > 0.0 and enough else UNKNOWN


def _note(start: float, units: float, past: Row, state: Row, noted: Table) -> None:
    row = int(past[NOTED])
    noted[ORDER_THEN][row] = past[ORDER]
    noted[CASH_THEN][row] = state[CASH]
    noted[STOP_THEN][row] = state[PENDING_STOP]
    noted[PEAK_THEN][row] = past[PEAK]
    noted[DAY_START_THEN][row] = start
    noted[TRADES_THEN][row] = state[TRADES]
    noted[UNITS_THEN][row] = units
    past[NOTED] = row + 1
