"""What an entry of a portfolio meets: the sizing and the risk rules of the core, shown the whole account.

Each asset has its own bars, calls and instrument; what rules look at besides is shared: the cash, what is held and
wanted of every asset, the days of all of them, and what the account has been through. So the correlation, the leverage,
the concentration and the value at risk that are judged are those of the portfolio after the trade. Exits never come
here.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from ffe_core import Clamp, ClosedTrade, Portfolio, Position, Proposal, Side, Sizing, from_ms
from ffe_core.risk.gate import Judgement, after_trade, judge, shrink
from ffe_lab import past
from ffe_lab import shared_cash as pool
from ffe_lab.court import Court, Moment, are_sparse
from ffe_lab.gate import Judged
from ffe_lab.loop import BY_STOP
from ffe_lab.stops import exact
from ffe_lab.trades import EXIT_REASONS, Floats, Indices

type Returns = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The account at the moment of an entry: ``before`` it, the daily returns by symbol, and the trades that closed."""

    before: Portfolio
    returns: Mapping[str, Returns]
    closed: tuple[ClosedTrade, ...]
    #: how much of its size an entry keeps beside what it moves with
    factor: float


class Seat(Court):
    """The court of one asset, which is told of the others."""

    #: the daily returns that were asked for last, and their places: they stay the same for a day
    _recent: tuple[tuple[int, int], Returns] = ((0, 0), ())

    def hear(self, moment: Moment, around: Circumstances) -> Judgement:
        proposal = self._proposed(moment, around.before)
        context = replace(
            self._context(moment, around.before, proposal), daily_returns=around.returns, closed_trades=around.closed
        )
        if around.factor < 1 and proposal.quantity:
            smaller = shrink(proposal, proposal.quantity * exact(around.factor), context)
            proposal = replace(smaller, sizing=_noted(proposal, smaller))
            context = replace(context, after=after_trade(around.before, proposal, self.instrument))
        return judge(proposal, context, self.rules)

    def returns_from(self, since: int, until: int) -> Returns:
        """Simple daily returns with their days, in those places of ``returns``."""
        if (since, until) != self._recent[0]:
            self._recent = (since, until), tuple(self._daily[since:until])
        return self._recent[1]

    @cached_property
    def began(self) -> Floats:
        """When the day of ``risk.max_daily_loss`` began, for each of ``orders``."""
        return self.days_began()


def _noted(before: Proposal, after: Proposal) -> Sizing:
    assert before.quantity is not None and after.quantity is not None  # noqa: S101 - only what has a size is shrunk
    why = "moves together with what is held"
    clamp = Clamp("correlation_factor", why, before.quantity, after.quantity)
    return replace(before.sizing, clamps=(*before.sizing.clamps, clamp))


@dataclass
class SharedCourt:
    """The seats of all assets over one account, whose dates open at ``time`` and close at ``closes``.

    ``close`` is that of each asset at each date. ``remember`` is ``past.remember``, plain or compiled, and ``own``
    makes a column of so many places that it writes.
    """

    seats: Sequence[Seat]
    time: Indices
    closes: Indices
    close: Any
    remember: Callable[..., None]
    form: Callable[[Any], Any]
    own: Callable[[int], Any]
    judged: list[tuple[int, Judged]] = field(default_factory=list)

    def __post_init__(self) -> None:
        dates = len(self.closes)
        self._past, self._closes = self.own(past.PAST_SIZE), self.form(self.closes)
        self._past[past.SPARSE] = are_sparse(self.closes)
        self._marked, self._worth, self._queue = (self.own(dates) for _ in range(3))
        risk = self.seats[0].risk
        self._assets = [seat.bars.asset for seat in self.seats]
        self._synthetic = any(seat.bars.candles.synthetic for seat in self.seats)
        self._sizes: dict[int, tuple[float, float, Decimal, Decimal]] = {}
        # Rows of the table of trades: how many were looked at, which are still held, and what became of the others.
        self._rows, self._open = 0, list[int]()
        self._left: list[tuple[datetime, int, ClosedTrade]] = []
        self._most = float(risk["max_drawdown"] if risk["rules"]["drawdown"] else 0.0)
        on = risk["rules"]
        self._reads_trades = on["stoploss_guard"] or on["cooldown"] or on["low_profit"]

    @cached_property
    def _bars(self) -> list[Indices]:
        """By asset, the last of its bars that was complete at each date; -1 before the first."""
        return [np.searchsorted(seat.bars.closes, self.closes, side="right") - 1 for seat in self.seats]

    @cached_property
    def _known(self) -> list[tuple[Indices, Indices]]:
        """By asset, the first and the last of its daily returns that count at each date."""
        return [seat.known(np.maximum(bars, 0)) for seat, bars in zip(self.seats, self._bars, strict=True)]

    def units(self, asset: int, account: Any, book: Any, equity: Any, trades: Any) -> float:
        """How much may be entered at the close of the date at which the loop stopped; 0 for nothing."""
        date, seat = int(account[pool.DATE]), self.seats[asset]
        bar = int(self._bars[asset][date])
        self.remember(date, self._closes, equity, self._most, self._past, self._marked, self._worth, self._queue)
        moment = Moment(
            bar,
            cash=float(account[pool.MONEY]),
            stop=float(book[pool.WANTED_STOP][asset]),
            peak=float(self._past[past.PEAK]),
            day_start=self._day_start(seat, date, bar, float(equity[date])),
            barred_until=float(self._past[past.BARRED_UNTIL]),
            trades=0,
        )
        judgement = seat.hear(moment, self._around(asset, date, account, book, trades))
        refused, quantity = seat.refusal(judgement, bar), judgement.proposal.quantity
        units = 0.0 if refused or quantity is None else float(quantity)
        self.judged.append((asset, Judged(bar, units, refused, lambda: judgement)))
        return units

    def _day_start(self, seat: Seat, date: int, bar: int, now: float) -> float:
        began = float(seat.began[int(np.searchsorted(seat.orders, bar))])
        return float(past.day_start(date, began, now, self._closes, self._past, self._marked, self._worth))

    def _around(self, asset: int, date: int, account: Any, book: Any, trades: Any) -> Circumstances:
        """What was ordered at this very close counts as filled there, so that the next entry knows of it."""
        held = {place: float(units) for place, units in enumerate(book[pool.HELD]) if units != 0.0}
        wanted = {
            place: float(side) * float(book[pool.WANTED_UNITS][place])
            for place, side in enumerate(book[pool.WANTED])
            if place != asset and side in (pool.BUY_WANTED, pool.SHORT_WANTED)
        }
        positions = [self._position(place, date, units, float(book[pool.PAID][place])) for place, units in held.items()]
        ordered = [
            self._position(place, date, units, float(self.close[place][date])) for place, units in wanted.items()
        ]
        cash = exact(account[pool.MONEY]) - sum((one.market_value for one in ordered), Decimal(0))
        before = Portfolio(
            "paper", "lab", self.seats[asset].currency, cash, (*positions, *ordered), synthetic=self._synthetic
        )
        returns = {}
        for place in sorted({*held, *wanted, asset}):
            since, until = self._known[place]
            returns[self._assets[place].symbol] = self.seats[place].returns_from(int(since[date]), int(until[date]))
        closed = self._closed(account, trades) if self._reads_trades else ()
        return Circumstances(before, returns, closed, float(account[pool.FACTOR]))

    def _position(self, place: int, date: int, units: float, paid: float) -> Position:
        """Marked at this date's close; all assets are quoted in the account's currency."""
        known = self._sizes.get(place)
        if known is None or known[:2] != (units, paid):
            # What is held keeps its size and its price for many questions.
            known = self._sizes[place] = units, paid, exact(units), exact(paid)
        return Position(self._assets[place], known[2], known[3], exact(self.close[place][date]), rate=Decimal(1))

    def _closed(self, account: Any, trades: Any) -> tuple[ClosedTrade, ...]:
        """Trades in the order of their closing; a row that has not left yet is still at 0."""
        self._open += range(self._rows, int(account[pool.ROWS]))
        self._rows = int(account[pool.ROWS])
        gone = [row for row in self._open if trades[pool.LEFT][row] > 0]
        for row in gone:
            self._open.remove(row)
            made = self._trade(row, trades)
            insort(self._left, (made.closed_at, row, made))
        return tuple([trade for _, _, trade in self._left])

    def _trade(self, row: int, trades: Any) -> ClosedTrade:
        def cell(column: int) -> float:
            return float(trades[column][row])

        left, reason = int(cell(pool.LEFT)), int(cell(pool.WHY))
        # A stop is hit somewhere inside its bar, an order is filled at the open.
        closed = self.closes[left] if cell(pool.WHY) == BY_STOP else self.time[left]
        return ClosedTrade(
            asset=self.seats[int(cell(pool.OF_ASSET))].bars.asset,
            side=Side.BUY if cell(pool.LONG_SHORT) > 0 else Side.SELL,
            opened_at=from_ms(int(self.time[int(cell(pool.ENTERED))])),
            closed_at=from_ms(int(closed)),
            quantity=exact(cell(pool.SIZE)),
            entry_price=exact(cell(pool.GOT_IN)),
            exit_price=exact(cell(pool.GOT_OUT)),
            pnl=exact(cell(pool.RESULT)),
            exit_reason=EXIT_REASONS[reason],
        )
