"""The event loop of a simulation: one asset, bar by bar, under the one written fill rule.

Inside a bar: what was pending fills at the open; then the stop or the liquidation, whichever is nearer, on the bar of
the entry too; then the target; then the account is marked at the close; then the bar's signal is acted on, which leaves
an order pending for the next open. Prices come from ``ffe_core.execution.fills``.

The source is scalar and knows nothing of NumPy: it runs in the interpreter over lists for a single cold command, and
compiled over arrays for everything else, to the same bits (``ffe_lab.machine``). It can stop at every entry that it
wants to make, so that someone else may size and judge it, and go on from there: its whole state is in ``state``.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence

from ffe_core.execution.fills import (
    all_in_units,
    bracket,
    fee_of,
    liquidation_price,
    maintenance_margin,
    market_fill,
    stop_price_at,
    stop_touched,
    target_price_at,
    target_touched,
)
from ffe_lab.costs import LIQUIDATION_FACTOR, realistic_slippage
from ffe_lab.spans import ENDLESS, mark, next_outside, next_signal

type Floats = Sequence[float]
type Numbers = Sequence[int]
type Row = MutableSequence[float]
type Table = Sequence[MutableSequence[float]]

#: places of ``state``: the account, the position, the order that is pending, and counters
CASH, UNITS, ENTRY_PRICE, ENTRY_FEE, STOP_AT, TARGET_AT, LIQUIDATION_AT = range(7)
PENDING, PENDING_UNITS, PENDING_STOP, PENDING_PRICE, DECIDED, DUE = range(7, 13)
TRADES, CLOSED_MARKET, PRICE_MOVED, TOO_SMALL, RUINED, BARS_HELD = range(13, 19)
STATE_SIZE = 19

#: what is pending: nothing, an entry of either side, the way out
NOTHING, LONG, SHORT, EXIT = 0.0, 1.0, -1.0, 2.0

#: places of ``config``
(
    FEE,
    MAKER,
    SLIPPAGE,
    COMMISSION,
    TARGET,
    METHOD,
    SHARE,
    CONCENTRATION,
    LEVERAGE_LIMIT,
    BUYING_POWER,
    LEVERAGE,
    MAINTENANCE,
    ALLOW_SHORT,
    STEP,
    SMALLEST,
    PRICE_STEP,
    LONGEST_GAP,
    IMPACT,
    DRIFT,
    CONFIG_SIZE,
) = range(20)

#: sizing methods; the last three know no limit but the cash
RISK, KELLY, FIXED_FRACTION, FIXED_AMOUNT, ALL_IN = range(5)
SMALLEST_STOP = 0.005
LARGEST_RISK, USUAL_RISK = 0.1, 0.01

#: rows of the table of trades
SIDE, ENTRY, EXIT_BAR, ENTRY_AT, EXIT_AT, QUANTITY, FEES, PNL, REASON = range(9)
TRADE_ROWS = 9
BY_SIGNAL, BY_STOP, BY_TARGET, BY_LIQUIDATION, AT_END = 0.0, 1.0, 2.0, 3.0, 4.0


def run(
    first: int,
    end: int,
    asks: bool,
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
) -> int:
    """Simulates bars ``first`` up to ``end``; returns ``end``, or the bar at whose close an entry is to be judged.

    ``stop`` has one fraction per bar, or a single one for all; 0 is off. ``hour`` and ``delay`` are empty but in the
    realistic model. ``equity`` is filled at each bar's place. Where ``asks``, an entry is left in ``state[PENDING]``
    with ``PENDING_UNITS`` 0, which is no order: whoever judged it puts the size there and calls again from
    the next bar.
    """
    if first < 0:
        # Never so; but to know it spares the compiler the question whether a place counts from the end.
        return first
    many_stops, late = len(stop) > 1, len(delay) > 0
    # Between events these stand still: as local names they stay in registers, which the state's places would not.
    cash, units, floor, ceiling, pending, due = _standing(state)
    held, signalled, i = 0, first - 1, first
    while i < end:
        # Before the next order, signal, stop or target nothing can change anything, but ruin.
        signalled = next_signal(i, end, action) if pending == NOTHING and signalled < i else signalled
        quiet = signalled if pending == NOTHING else (due if due < end else end)
        if i < quiet:
            quiet = _passed_over(i, quiet, cash, units, floor, ceiling, high, low, close, equity)
            held += quiet - i if units != 0.0 else 0
            i = quiet
            if i >= end:
                break
        if pending != NOTHING and i >= due:
            _at_open(i, time, open_, close, volume, hour, config, state, trades)
            cash, units, floor, ceiling, pending, due = _standing(state)
        held += 1 if units != 0.0 else 0
        # High and low are read only where something could happen there: a column that is not read costs nothing.
        if units != 0.0 and ((floor > 0.0 and low[i] <= floor) or (ceiling < ENDLESS and high[i] >= ceiling)):
            _inside(i, open_, high, low, close, volume, hour, config, state, trades)
            cash, units, floor, ceiling, pending, due = _standing(state)
        worth = cash + units * close[i]
        if worth <= 0.0:
            worth = _ruin(i, close, config, state, trades)
            cash, units, floor, ceiling, pending, due = _standing(state)
        equity[i] = worth
        signal = action[i]
        if signal != 0 and pending == NOTHING and i + 1 < end:
            pending = _wanted(signal, units, config, state)
            if pending != NOTHING:
                due = i + 1 + (delay[i] if late else 0)
                state[PENDING], state[DECIDED], state[DUE] = pending, i, due
                if pending != EXIT:
                    state[PENDING_STOP] = stop[i if many_stops else 0]
                    state[PENDING_PRICE] = close[i]
                    if asks:
                        state[PENDING_UNITS] = 0.0
                        state[BARS_HELD] += held
                        return i
                    state[PENDING_UNITS] = size_of(worth, close[i], state[PENDING_STOP], config, state)
                    if state[PENDING_UNITS] <= 0.0:
                        state[PENDING] = pending = NOTHING
                        state[TOO_SMALL] += 1.0
        i += 1
    state[BARS_HELD] += held
    return end


def _passed_over(
    begin: int,
    end: int,
    cash: float,
    units: float,
    floor: float,
    ceiling: float,
    high: Floats,
    low: Floats,
    close: Floats,
    equity: Row,
) -> int:
    """Marks bars up to the first at which a position leaves or nothing is left of it, else ``end``: that bar."""
    if units != 0.0:
        end = next_outside(begin, end, floor, ceiling, high, low)
    return mark(begin, end, cash, units, close, equity) if begin < end else end


def _standing(state: Row) -> tuple[float, float, float, float, float, int]:
    """Cash and units, the prices between which a position stays, what is pending and since when it may fill."""
    floor, ceiling = _levels(state[UNITS], state[STOP_AT], state[TARGET_AT], state[LIQUIDATION_AT])
    return state[CASH], state[UNITS], floor, ceiling, state[PENDING], int(state[DUE])


def _levels(units: float, stop_at: float, target_at: float, forced_at: float) -> tuple[float, float]:
    """Below and above which ``stop_touched`` or ``target_touched`` is true for a bar; a level of 0 is off."""
    if units > 0.0:
        return (stop_at if stop_at > forced_at else forced_at), (target_at if target_at > 0.0 else ENDLESS)
    stop = stop_at if stop_at > 0.0 else ENDLESS
    forced = forced_at if forced_at > 0.0 else ENDLESS
    return target_at, (stop if stop < forced else forced)


def _wanted(signal: int, units: float, config: Floats, state: Row) -> float:
    """What a signal means for what is held: an entry, the way out, or nothing. Nothing is ever added or flipped."""
    if state[RUINED] > 0.0:
        return NOTHING
    if units == 0.0:
        if signal > 0:
            return LONG
        return SHORT if config[ALLOW_SHORT] > 0.0 else NOTHING
    return EXIT if (signal < 0 if units > 0.0 else signal > 0) else NOTHING


def size_of(equity: float, price: float, stop: float, config: Floats, state: Row) -> float:
    """Units by the method, within the limits, rounded down; 0 where nothing is left that can be traded."""
    method = int(config[METHOD])
    share = config[SHARE]
    if method == RISK:
        if share <= 0.0 or share > LARGEST_RISK:
            share = USUAL_RISK
        units = equity * share / (price * (stop if stop > SMALLEST_STOP else SMALLEST_STOP))
    elif method == ALL_IN:
        return all_in_units(equity, price, config[FEE])
    elif method == FIXED_AMOUNT:
        amount = equity * 0.1
        units = (share if share < amount else amount) / price
    else:
        units = equity * share / price
    if method != FIXED_AMOUNT:
        units = _limited(units, equity, price, config, state)
    units = math.floor(units / config[STEP]) * config[STEP] if config[STEP] > 0.0 else units
    return units if units > 0.0 and units * price >= config[SMALLEST] else 0.0


def _limited(units: float, equity: float, price: float, config: Floats, state: Row) -> float:
    spendable = state[CASH] * config[BUYING_POWER] / (1.0 / config[LEVERAGE] + config[FEE])
    for most in (equity * config[CONCENTRATION], equity * config[LEVERAGE_LIMIT], spendable):
        if units * price > most:
            units = (most if most > 0.0 else 0.0) / price
    return units


def _at_open(
    i: int,
    time: Numbers,
    open_: Floats,
    close: Floats,
    volume: Floats,
    hour: Floats,
    config: Floats,
    state: Row,
    trades: Table,
) -> None:
    kind = state[PENDING]
    state[PENDING] = NOTHING
    if kind == EXIT:
        if state[UNITS] != 0.0:
            side = 1 if state[UNITS] > 0.0 else -1
            slip = _slippage(i, abs(state[UNITS]) * open_[i], close, volume, hour, config)
            _leave(i, market_fill(open_[i], -side, slip), config[FEE], BY_SIGNAL, config, state, trades)
        return
    if state[PENDING_UNITS] <= 0.0:
        return
    decided = int(state[DECIDED])
    if config[LONGEST_GAP] < ENDLESS and time[i] - time[decided] > config[LONGEST_GAP] * (i - decided):
        state[CLOSED_MARKET] += 1.0
        return
    if _has_run_away(open_[i], kind, config, state):
        state[PRICE_MOVED] += 1.0
        return
    side = 1 if kind == LONG else -1
    slip = _slippage(i, state[PENDING_UNITS] * open_[i], close, volume, hour, config)
    _enter(i, side, market_fill(open_[i], side, slip), config, state, trades)


def _has_run_away(price: float, kind: float, config: Floats, state: Row) -> bool:
    """Whether the price went a share ``DRIFT`` of the way to the stop, either way, or beyond it; 0 asks nothing."""
    if config[DRIFT] <= 0.0 or state[PENDING_STOP] <= 0.0:
        return False
    moved = (price - state[PENDING_PRICE]) / state[PENDING_PRICE]
    against = -moved if kind == LONG else moved
    return against >= state[PENDING_STOP] or abs(moved) > state[PENDING_STOP] * config[DRIFT]


def _enter(i: int, side: int, price: float, config: Floats, state: Row, trades: Table) -> None:
    """At the size that was decided, or what the cash still allows at this price; stop and target around the fill."""
    units, cash, fee = state[PENDING_UNITS], state[CASH] - config[COMMISSION], config[FEE]
    if config[METHOD] == ALL_IN:
        units = all_in_units(cash * config[LEVERAGE], price, fee)
    elif units * price * (1.0 / config[LEVERAGE] + fee) > cash:
        units = cash / (price * (1.0 / config[LEVERAGE] + fee))
    if units <= 0.0:
        state[TOO_SMALL] += 1.0
        return
    paid = fee_of(units, price, fee, config[COMMISSION])
    margin = maintenance_margin(units, price, config[LEVERAGE], config[MAINTENANCE])
    state[LIQUIDATION_AT] = liquidation_price(side, price, units, state[CASH] - paid, margin)
    state[CASH] -= side * units * price + paid
    state[UNITS] = side * units
    state[ENTRY_PRICE] = price
    state[ENTRY_FEE] = paid
    stop_at, target_at = bracket(side, price, state[PENDING_STOP], config[TARGET])
    state[STOP_AT] = _on_grid(stop_at, config)
    state[TARGET_AT] = _on_grid(target_at, config)
    row = int(state[TRADES])
    trades[SIDE][row] = side
    trades[ENTRY][row] = i
    trades[ENTRY_AT][row] = price
    trades[QUANTITY][row] = units
    state[TRADES] = row + 1


def _on_grid(price: float, config: Floats) -> float:
    """To the nearest price that the venue takes, ties to the even one."""
    step = config[PRICE_STEP]
    return round(price / step) * step if step > 0.0 and price > 0.0 else price


def _inside(
    i: int,
    open_: Floats,
    high: Floats,
    low: Floats,
    close: Floats,
    volume: Floats,
    hour: Floats,
    config: Floats,
    state: Row,
    trades: Table,
) -> None:
    side = 1 if state[UNITS] > 0.0 else -1
    stop, target, forced = state[STOP_AT], state[TARGET_AT], state[LIQUIDATION_AT]
    # A price that fell through both met the nearer one first.
    stops = stop > 0.0 and (forced <= 0.0 or side * (stop - forced) >= 0.0)
    if stops and stop_touched(side, stop, low[i], high[i]):
        slip = _slippage(i, abs(state[UNITS]) * stop, close, volume, hour, config)
        price = market_fill(stop_price_at(side, stop, open_[i]), -side, slip)
        _leave(i, price, config[FEE], BY_STOP, config, state, trades)
    elif forced > 0.0 and stop_touched(side, forced, low[i], high[i]):
        slip = _slippage(i, abs(state[UNITS]) * forced, close, volume, hour, config) * LIQUIDATION_FACTOR
        price = market_fill(stop_price_at(side, forced, open_[i]), -side, slip)
        _leave(i, price, config[FEE], BY_LIQUIDATION, config, state, trades)
    elif target > 0.0 and target_touched(side, target, low[i], high[i]):
        _leave(i, target_price_at(side, target, open_[i]), config[MAKER], BY_TARGET, config, state, trades)


def _leave(i: int, price: float, rate: float, reason: float, config: Floats, state: Row, trades: Table) -> None:
    """The whole position; an order that was still to come for it is called off."""
    units = abs(state[UNITS])
    side = 1 if state[UNITS] > 0.0 else -1
    paid = fee_of(units, price, rate, config[COMMISSION])
    state[CASH] += side * units * price - paid
    _book(i, price, paid, reason, side, units, state, trades)
    state[UNITS] = 0.0
    state[STOP_AT] = 0.0
    state[TARGET_AT] = 0.0
    state[LIQUIDATION_AT] = 0.0
    state[PENDING] = NOTHING


def _book(i: int, price: float, paid: float, reason: float, side: int, units: float, state: Row, trades: Table) -> None:
    row = int(state[TRADES]) - 1
    fees = state[ENTRY_FEE] + paid
    trades[EXIT_BAR][row] = i
    trades[EXIT_AT][row] = price
    trades[FEES][row] = fees
    trades[PNL][row] = side * units * (price - state[ENTRY_PRICE]) - fees
    trades[REASON][row] = reason


def _ruin(i: int, close: Floats, config: Floats, state: Row, trades: Table) -> float:
    """Nothing is left: the position is taken away at the close, and nothing is traded any more."""
    if state[UNITS] != 0.0:
        _leave(i, close[i], config[FEE], BY_LIQUIDATION, config, state, trades)
    state[RUINED] = 1.0
    return state[CASH]


def _slippage(i: int, notional: float, close: Floats, volume: Floats, hour: Floats, config: Floats) -> float:
    if len(hour) == 0:
        return config[SLIPPAGE]
    return realistic_slippage(config[SLIPPAGE], notional, hour[i], volume[i] * close[i], config[IMPACT])


def finish(last: int, close: Floats, state: Row, trades: Table) -> None:
    """A position that is still open is marked at the last close: no fill, no fee, and labelled so."""
    if state[UNITS] != 0.0:
        side = 1 if state[UNITS] > 0.0 else -1
        _book(last, close[last], 0.0, AT_END, side, abs(state[UNITS]), state, trades)
