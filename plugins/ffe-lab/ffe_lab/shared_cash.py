"""The event loop of several assets on shared cash, in the two forms of ``ffe_lab.loop`` and by the same fill rule.

On each date, for every asset that has a bar: what was pending fills at the open, then the stop, then the target. Then
the account is marked at the closes, and looked at as a whole: a drawdown beyond its limit calls everything in. Then the
signals are acted on, in the order of the assets, which leaves orders pending for each asset's next open.
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

#: places of ``account``
MONEY, PEAK_WORTH, CALLED_IN, ROWS, SHUT, TOO_LITTLE, DATES_HELD, ACCOUNT_SIZE = range(8)
#: rows of ``book``, one column for each asset
HELD, PAID, PAID_FEE, STOP_LEVEL, TARGET_LEVEL, WANTED, WANTED_UNITS, WANTED_ON, ROW, BOOK_ROWS = range(10)
#: places of ``rates``: what holds for all assets
(
    FEE_RATE,
    MAKER_RATE,
    COMMISSION_PAID,
    STOP_SHARE,
    TARGET_SHARE,
    RISK_SHARE,
    CASH_SHARE,
    CORRELATED_FROM,
    WINDOW,
    MOST_POSITIONS,
    SHORTS,
    SHORT_LIMIT,
    MOST_DRAWDOWN,
    RATES_SIZE,
) = range(14)
#: rows of ``own``, one column for each asset
SLIP, GAP, UNIT_STEP, LEAST, OWN_ROWS = range(5)
#: rows of the table of trades
OF_ASSET, LONG_SHORT, ENTERED, LEFT, GOT_IN, GOT_OUT, SIZE, COSTS_PAID, RESULT, WHY, TRADE_COLUMNS = range(11)


def run_together(
    time: Sequence[int],
    open_: Grid,
    high: Grid,
    low: Grid,
    close: Grid,
    present: Whole,
    action: Whole,
    confidence: Whole,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
    equity: Cells,
    trades: Book,
) -> int:
    """Simulates all dates, or those until everything was called in; returns how many there were.

    Columns are [asset][date]; ``close`` is carried forward over dates without a bar and 0 before the first one.
    """
    assets, dates = len(open_), len(time)
    account[PEAK_WORTH] = account[MONEY]
    for i in range(dates):
        for a in range(assets):
            if present[a][i] != 0:
                if book[WANTED][a] != NONE_WANTED:
                    _fill(a, i, time, open_[a][i], rates, own, account, book, trades)
                if book[HELD][a] != 0.0:
                    _guard(a, i, open_[a][i], high[a][i], low[a][i], rates, own, account, book, trades)
        worth = equity[i] = _mark(i, close, account, book)
        if account[CALLED_IN] <= 0.0 and (worth <= 0.0 or _has_fallen(worth, rates, account)):
            _call_in(assets, account, book)
        if account[CALLED_IN] > 0.0:
            if not _is_invested(book):
                return i + 1
        elif i + 1 < dates:
            for a in range(assets):
                if action[a][i] != 0 and present[a][i] != 0 and book[WANTED][a] == NONE_WANTED:
                    _decide(a, i, worth, action[a][i], confidence[a][i], close, rates, own, account, book)
    return dates


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


def _decide(
    a: int,
    i: int,
    worth: float,
    action: int,
    confidence: int,
    close: Grid,
    rates: Sequence[float],
    own: Grid,
    account: Cells,
    book: Book,
) -> None:
    held = book[HELD][a]
    if held != 0.0:
        if action < 0 if held > 0.0 else action > 0:
            book[WANTED][a] = OUT_WANTED
        return
    side = 1 if action > 0 else -1
    if (side < 0 and rates[SHORTS] <= 0.0) or _positions(book) >= rates[MOST_POSITIONS]:
        return
    factor = correlation_factor(_correlation(a, i, side, close, rates, book), rates[CORRELATED_FROM])
    amount = position_value(worth, rates[RISK_SHARE], factor, confidence / 100.0)
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
        return
    book[WANTED][a] = BUY_WANTED if side > 0 else SHORT_WANTED
    book[WANTED_UNITS][a] = units
    book[WANTED_ON][a] = i


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
    if time[i] - time[int(book[WANTED_ON][a])] > own[GAP][a]:
        account[SHUT] += 1.0
        return
    side = 1 if wanted == BUY_WANTED else -1
    _in(a, i, side, market_fill(price, side, own[SLIP][a]), rates, account, book, trades)


def _in(
    a: int, i: int, side: int, price: float, rates: Sequence[float], account: Cells, book: Book, trades: Book
) -> None:
    units, cash = book[WANTED_UNITS][a], account[MONEY] - rates[COMMISSION_PAID]
    if side > 0 and units * price * (1.0 + rates[FEE_RATE]) > cash:
        units = cash / (price * (1.0 + rates[FEE_RATE]))
    if units <= 0.0:
        account[TOO_LITTLE] += 1.0
        return
    fee = fee_of(units, price, rates[FEE_RATE], rates[COMMISSION_PAID])
    account[MONEY] -= side * units * price + fee
    stop, target = bracket(side, price, rates[STOP_SHARE], rates[TARGET_SHARE])
    row = int(account[ROWS])
    account[ROWS] = row + 1
    book[HELD][a], book[PAID][a], book[PAID_FEE][a] = side * units, price, fee
    book[STOP_LEVEL][a], book[TARGET_LEVEL][a], book[ROW][a] = stop, target, row
    trades[OF_ASSET][row], trades[LONG_SHORT][row], trades[ENTERED][row] = a, side, i
    trades[GOT_IN][row], trades[SIZE][row] = price, units


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
