"""The event loop of several assets on shared cash, in the two forms of ``ffe_lab.loop`` and by the same fill rule.

On each date, for every asset that has a bar: what was pending fills at the open, then the stop, then the target. Then
the account is marked at the closes, and looked at as a whole: a drawdown beyond its limit calls everything in. Then the
signals are acted on, in the order of the assets, which leaves orders pending for each asset's next open. Like the loop
of one asset it can stop at every entry that it wants to make, so that someone else may size and judge it.
"""

from __future__ import annotations

import math
from collections.abc import MutableSequence, Sequence

from ffe_core.execution.fills import (
    bracket,
    fee_of,
    market_fill,
    stop_price_at,
    stop_touched,
    target_price_at,
    target_touched,
)
from ffe_lab.loop import AT_END, BY_SIGNAL, BY_STOP, BY_TARGET

type Cells = MutableSequence[float]
type Grid = Sequence[Sequence[float]]
type Whole = Sequence[Sequence[int]]
type Book = Sequence[MutableSequence[float]]

#: what is wanted of an asset: nothing, an entry of either side, the way out
NONE_WANTED, BUY_WANTED, SHORT_WANTED, OUT_WANTED = 0.0, 1.0, -1.0, 2.0
BY_PORTFOLIO_STOP = 5.0

#: places of ``account``; ``DATE`` and ``ASSET`` say where to go on, ``FACTOR`` is the one for what is asked about
(
    MONEY,
    PEAK_WORTH,
    CALLED_IN,
    ROWS,
    SHUT,
    RAN_AWAY,
    TOO_LITTLE,
    DATES_HELD,
    DATE,
    ASSET,
    FACTOR,
    ACCOUNT_SIZE,
) = range(12)
#: rows of ``book``, one column for each asset
(
    HELD,
    PAID,
    PAID_FEE,
    STOP_LEVEL,
    TARGET_LEVEL,
    WANTED,
    WANTED_UNITS,
    WANTED_STOP,
    WANTED_ON,
    ROW,
    BOOK_ROWS,
) = range(11)
#: places of ``rates``: what holds for all assets
(
    FEE_RATE,
    MAKER_RATE,
    COMMISSION_PAID,
    TARGET_SHARE,
    RISK_SHARE,
    CASH_SHARE,
    CORRELATED_FROM,
    WINDOW,
    MOST_POSITIONS,
    SHORTS,
    SHORT_LIMIT,
    SHORT_MARGIN,
    MOST_DRAWDOWN,
    MOST_DRIFT,
    RATES_SIZE,
) = range(15)
#: rows of ``own``, one column for each asset
SLIP, GAP, UNIT_STEP, LEAST, PRICE_UNIT, OWN_ROWS = range(6)
#: rows of the table of trades
OF_ASSET, LONG_SHORT, ENTERED, LEFT, GOT_IN, GOT_OUT, SIZE, COSTS_PAID, RESULT, WHY, TRADE_COLUMNS = range(11)
#: the answer of a loop that has nothing left to ask
DONE = -1


def run_together(
    asks: bool,
    time: Sequence[int],
    open_: Grid,
    high: Grid,
    low: Grid,
    close: Grid,
    present: Whole,
    action: Whole,
    confidence: Whole,
    stop: Grid,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    equity: Cells,
    trades: Book,
) -> int:
    """Simulates all dates, or those until everything was called in; ``account[DATE]`` says how many there were.

    Columns are [asset][date]; ``close`` is carried forward over dates without a bar and 0 before the first one.
    ``stop`` are fractions, 0 is off. Returns ``DONE``; but where ``asks``, the asset of an entry that is left in
    ``book[WANTED]`` with ``WANTED_UNITS`` 0, which is no order: whoever judged it puts the size there, or takes the
    wish away, and calls again.
    """
    assets, dates = len(open_), len(time)
    i, a = int(account[DATE]), int(account[ASSET])
    while i < dates:
        if a == 0:
            _pass(i, time, open_, high, low, close, present, rates, own, account, book, equity, trades)
        if account[CALLED_IN] > 0.0:
            a = assets
            if not _is_invested(book):
                dates = i + 1
        while i + 1 < dates and a < assets:
            if action[a][i] != 0 and present[a][i] != 0 and book[WANTED][a] == NONE_WANTED:
                _decide(a, i, action[a][i], close, rates, account, book)
                if book[WANTED][a] == BUY_WANTED or book[WANTED][a] == SHORT_WANTED:
                    book[WANTED_UNITS][a], book[WANTED_ON][a], book[WANTED_STOP][a] = 0.0, i, stop[a][i]
                    if asks:
                        account[DATE], account[ASSET] = i, a + 1
                        return a
                    _size(a, i, equity[i], confidence[a][i], close, rates, own, account, book)
            a += 1
        i, a = i + 1, 0
    account[DATE] = i
    return DONE


def _pass(
    i: int,
    time: Sequence[int],
    open_: Grid,
    high: Grid,
    low: Grid,
    close: Grid,
    present: Whole,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    equity: Cells,
    trades: Book,
) -> None:
    """Everything that a date does to the account before its signals are looked at."""
    assets = len(open_)
    for a in range(assets):
        if present[a][i] != 0:
            if book[WANTED][a] != NONE_WANTED:
                _fill(a, i, time, open_[a][i], close, rates, own, account, book, trades)
            if book[HELD][a] != 0.0:
                _guard(a, i, open_[a][i], high[a][i], low[a][i], rates, own, account, book, trades)
    worth = equity[i] = _mark(i, close, account, book)
    if account[CALLED_IN] <= 0.0 and (worth <= 0.0 or _has_fallen(worth, rates, account)):
        _call_in(assets, account, book)


def _mark(i: int, close: Grid, account: Cells, book: Book) -> float:
    worth = account[MONEY]
    for a in range(len(close)):
        if book[HELD][a] != 0.0:
            worth += book[HELD][a] * close[a][i]
    if _is_invested(book):
        account[DATES_HELD] += 1.0
    return worth


def _is_invested(book: Book) -> bool:
    held = 0
    for a in range(len(book[HELD])):
        held += 1 if book[HELD][a] != 0.0 else 0
    return held > 0


def _has_fallen(worth: float, rates: Sequence[float], account: Cells) -> bool:
    account[PEAK_WORTH] = max(account[PEAK_WORTH], worth)
    limit = rates[MOST_DRAWDOWN]
    return limit > 0.0 and 1.0 - worth / account[PEAK_WORTH] > limit


def _call_in(assets: int, account: Cells, book: Book) -> None:
    account[CALLED_IN] = 1.0
    for a in range(assets):
        book[WANTED][a] = OUT_WANTED if book[HELD][a] != 0.0 else NONE_WANTED


def _decide(a: int, i: int, action: int, close: Grid, rates: Sequence[float], account: Cells, book: Book) -> None:
    """What a signal means for what is held: an entry, with its factor, the way out, or nothing."""
    held = book[HELD][a]
    if held != 0.0:
        if action < 0 if held > 0.0 else action > 0:
            book[WANTED][a] = OUT_WANTED
        return
    side = 1 if action > 0 else -1
    if (side < 0 and rates[SHORTS] <= 0.0) or _positions(book) >= rates[MOST_POSITIONS]:
        return
    account[FACTOR] = correlation_factor(_correlation(a, i, side, close, rates, book), rates[CORRELATED_FROM])
    book[WANTED][a] = BUY_WANTED if side > 0 else SHORT_WANTED


def _size(
    a: int,
    i: int,
    worth: float,
    confidence: int,
    close: Grid,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
) -> None:
    """Units of the entry that is wanted; nothing is wanted where they are too few to be traded."""
    side = 1 if book[WANTED][a] == BUY_WANTED else -1
    amount = position_value(worth, rates[RISK_SHARE], account[FACTOR], confidence / 100.0)
    free = account[MONEY] if account[MONEY] < worth else worth
    most = (free - _promised(close, i, book)) * rates[CASH_SHARE]
    if side < 0:
        room = rates[SHORT_LIMIT] * worth - _sold_short(close, i, book)
        most = min(most, room)
    amount = min(amount, most)
    step = own[UNIT_STEP][a]
    units = math.floor(amount / close[a][i] / step) * step
    if units <= 0.0 or units * close[a][i] < own[LEAST][a]:
        account[TOO_LITTLE] += 1.0
        book[WANTED][a] = NONE_WANTED
        return
    book[WANTED_UNITS][a] = units


def correlation_factor(highest: float, threshold: float) -> float:
    """1 up to the threshold, from there in a straight line down to 0.5 at a correlation of 1."""
    if highest <= threshold or threshold >= 1.0:
        return 1.0
    over = (highest - threshold) / (1.0 - threshold)
    return 1.0 - 0.5 * (over if over < 1.0 else 1.0)


def position_value(worth: float, share: float, factor: float, confidence: float) -> float:
    """What goes into a position, in account currency; ``confidence`` is a fraction, and counts for a half at least."""
    return worth * share * factor * (confidence if confidence > 0.5 else 0.5)


def _correlation(a: int, i: int, side: int, close: Grid, rates: Sequence[float], book: Book) -> float:
    """The highest correlation with anything that is held or wanted; a position the other way counts with its sign."""
    highest = 0.0
    for b in range(len(close)):
        other = book[HELD][b] if book[HELD][b] != 0.0 else book[WANTED][b]
        if b != a and other != 0.0:
            found = pearson(close[a], close[b], i, int(rates[WINDOW]))
            found = found * side if other > 0.0 else -found * side
            highest = max(highest, found)
    return highest


def pearson(one: Sequence[float], other: Sequence[float], last: int, window: int) -> float:
    """Of the ``window`` returns up to ``last``; 0 where there are fewer, and where one of them stood still."""
    first = last - window + 1
    if first < 1 or one[first - 1] <= 0.0 or other[first - 1] <= 0.0:
        return 0.0
    mean_one, mean_other = 0.0, 0.0
    for i in range(first, last + 1):
        mean_one += one[i] / one[i - 1] - 1.0
        mean_other += other[i] / other[i - 1] - 1.0
    mean_one /= window
    mean_other /= window
    both, square_one, square_other = 0.0, 0.0, 0.0
    for i in range(first, last + 1):
        x = one[i] / one[i - 1] - 1.0 - mean_one
        y = other[i] / other[i - 1] - 1.0 - mean_other
        both += x * y
        square_one += x * x
        square_other += y * y
    if square_one <= 0.0 or square_other <= 0.0:
        return 0.0
    return both / math.sqrt(square_one * square_other)


def _positions(book: Book) -> int:
    count = 0
    for a in range(len(book[HELD])):
        if book[HELD][a] != 0.0 or book[WANTED][a] != NONE_WANTED:
            count += 1
    return count


def _promised(close: Grid, i: int, book: Book) -> float:
    """What the purchases that are still to come will take of the cash."""
    total = 0.0
    for a in range(len(book[HELD])):
        if book[WANTED][a] == BUY_WANTED:
            total += book[WANTED_UNITS][a] * close[a][i]
    return total


def _sold_short(close: Grid, i: int, book: Book) -> float:
    total = 0.0
    for a in range(len(book[HELD])):
        if book[HELD][a] < 0.0:
            total -= book[HELD][a] * close[a][i]
        elif book[WANTED][a] == SHORT_WANTED:
            total += book[WANTED_UNITS][a] * close[a][i]
    return total


def _fill(
    a: int,
    i: int,
    time: Sequence[int],
    price: float,
    close: Grid,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    trades: Book,
) -> None:
    wanted = book[WANTED][a]
    book[WANTED][a] = NONE_WANTED
    if wanted == OUT_WANTED:
        side = 1 if book[HELD][a] > 0.0 else -1
        why = BY_PORTFOLIO_STOP if account[CALLED_IN] > 0.0 else BY_SIGNAL
        _out(a, i, market_fill(price, -side, own[SLIP][a]), rates[FEE_RATE], why, rates, account, book, trades)
        return
    decided = int(book[WANTED_ON][a])
    if time[i] - time[decided] > own[GAP][a]:
        account[SHUT] += 1.0
        return
    side = 1 if wanted == BUY_WANTED else -1
    if _is_out_of_reach(side, price, close[a][decided], book[WANTED_STOP][a], rates[MOST_DRIFT]):
        account[RAN_AWAY] += 1.0
        return
    _in(a, i, side, market_fill(price, side, own[SLIP][a]), rates, own, account, book, trades)


def _is_out_of_reach(side: int, price: float, decided: float, stop: float, most: float) -> bool:
    """Whether the price went a share ``most`` of the way to the stop, either way, or beyond it; 0 asks nothing."""
    if most <= 0.0 or stop <= 0.0:
        return False
    moved = (price - decided) / decided
    return -side * moved >= stop or abs(moved) > stop * most


def _in(
    a: int,
    i: int,
    side: int,
    price: float,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    trades: Book,
) -> None:
    """At the size that was decided, or what the cash still allows at this price; stop and target around the fill."""
    units, cash = book[WANTED_UNITS][a], account[MONEY] - rates[COMMISSION_PAID]
    share = (1.0 if side > 0 else rates[SHORT_MARGIN]) + rates[FEE_RATE]
    if (side > 0 or rates[SHORT_MARGIN] > 0.0) and units * price * share > cash:
        units = cash / (price * share)
    if units <= 0.0:
        account[TOO_LITTLE] += 1.0
        return
    fee = fee_of(units, price, rates[FEE_RATE], rates[COMMISSION_PAID])
    account[MONEY] -= side * units * price + fee
    stop, target = bracket(side, price, book[WANTED_STOP][a], rates[TARGET_SHARE])
    stop, target = _on_step(stop, own[PRICE_UNIT][a]), _on_step(target, own[PRICE_UNIT][a])
    row = int(account[ROWS])
    account[ROWS] = row + 1
    book[HELD][a], book[PAID][a], book[PAID_FEE][a] = side * units, price, fee
    book[STOP_LEVEL][a], book[TARGET_LEVEL][a], book[ROW][a] = stop, target, row
    trades[OF_ASSET][row], trades[LONG_SHORT][row], trades[ENTERED][row] = a, side, i
    trades[GOT_IN][row], trades[SIZE][row] = price, units


def _on_step(price: float, step: float) -> float:
    """To the nearest price that the venue takes, ties to the even one."""
    return round(price / step) * step if step > 0.0 and price > 0.0 else price


def _guard(
    a: int,
    i: int,
    open_: float,
    high: float,
    low: float,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    trades: Book,
) -> None:
    side = 1 if book[HELD][a] > 0.0 else -1
    stop, target = book[STOP_LEVEL][a], book[TARGET_LEVEL][a]
    if stop > 0.0 and stop_touched(side, stop, low, high):
        price = market_fill(stop_price_at(side, stop, open_), -side, own[SLIP][a])
        _out(a, i, price, rates[FEE_RATE], BY_STOP, rates, account, book, trades)
    elif target > 0.0 and target_touched(side, target, low, high):
        _out(a, i, target_price_at(side, target, open_), rates[MAKER_RATE], BY_TARGET, rates, account, book, trades)


def _out(
    a: int,
    i: int,
    price: float,
    rate: float,
    why: float,
    rates: Sequence[float],
    account: Cells,
    book: Book,
    trades: Book,
) -> None:
    units = abs(book[HELD][a])
    side = 1 if book[HELD][a] > 0.0 else -1
    fee = fee_of(units, price, rate, rates[COMMISSION_PAID])
    account[MONEY] += side * units * price - fee
    _note(a, i, price, fee, why, side, units, book, trades)
    book[HELD][a] = 0.0
    book[WANTED][a] = NONE_WANTED


def _note(
    a: int, i: int, price: float, fee: float, why: float, side: int, units: float, book: Book, trades: Book
) -> None:
    row = int(book[ROW][a])
    fees = book[PAID_FEE][a] + fee
    trades[LEFT][row], trades[GOT_OUT][row], trades[COSTS_PAID][row] = i, price, fees
    trades[RESULT][row] = side * units * (price - book[PAID][a]) - fees
    trades[WHY][row] = why


def mark_together(last: int, close: Grid, book: Book, trades: Book) -> None:
    """What is still held is marked at the last closes: no fill, no fee, and labelled so."""
    for a in range(len(close)):
        if book[HELD][a] != 0.0:
            side = 1 if book[HELD][a] > 0.0 else -1
            _note(a, last, close[a][last], 0.0, AT_END, side, abs(book[HELD][a]), book, trades)
