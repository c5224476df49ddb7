"""One run of several assets on shared cash: their columns on common dates, and the loop with the court at its side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import Instrument, NoData, UsageError
from ffe_lab import past
from ffe_lab import shared_cash as pool
from ffe_lab.gate import Calls, Judged
from ffe_lab.lab import Lab
from ffe_lab.machine import compiled, interpreted
from ffe_lab.market import Market
from ffe_lab.shared_court import Seat, SharedCourt
from ffe_lab.simulate import DRIFT, Setup
from ffe_lab.stops import stop_fractions
from ffe_lab.trades import Floats, Indices, Trades

JOINS = ("intersection", "union")
#: dates that all assets have in common, at least
FEWEST_DATES = 5
COLUMNS = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Sharing:
    """How assets share an account. Shares are fractions of equity, but ``cash``, which is one of the cash.

    ``threshold``: the correlation of the last ``window`` returns with anything held from which on positions become
    smaller, down to half at a correlation of 1. ``stop``: the drawdown of the account that closes everything and ends
    the run, 0 for none. ``join`` says on which dates: those that all assets have, or all that any of them has.
    """

    share: float = 0.01
    cash: float = 0.9
    threshold: float = 0.7
    window: int = 30
    stop: float = 0.05
    short_limit: float = 2.0
    most_positions: int | None = None
    join: str = "intersection"

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise UsageError(f"dates are joined by {' or '.join(JOINS)}, not by {self.join!r}")
        if not (0 < self.share <= 1 and 0 < self.cash <= 1 and 0 <= self.threshold <= 1 and 0 <= self.stop < 1):
            raise UsageError("share, cash, threshold and stop of a portfolio are fractions")
        if self.window < 2 or self.short_limit < 0 or (self.most_positions is not None and self.most_positions < 1):
            raise UsageError("window, short limit and positions of a portfolio are numbers above nothing")


@dataclass(frozen=True)
class Dates:
    """The dates on which several assets are traded: when their bars open, epoch milliseconds, increasing.

    ``bars`` are, of each asset, the numbers of its bars that lie on them, and ``place`` on which dates those lie.
    """

    time: Indices
    bars: Sequence[Indices] = field(repr=False)
    place: Sequence[Indices] = field(repr=False)

    @classmethod
    def of(cls, markets: Sequence[Market], join: str) -> Dates:
        """Raises ``NoData`` for fewer than ``FEWEST_DATES`` in common."""
        spans = [market.time[market.first :] for market in markets]
        shared = reduce(np.intersect1d if join == "intersection" else np.union1d, spans)
        if len(shared) < FEWEST_DATES:
            raise NoData(f"the assets have {len(shared)} dates in common; {FEWEST_DATES} are needed")
        bars, places = [], []
        for market, span in zip(markets, spans, strict=True):
            to = np.searchsorted(shared, span)
            known = (to < len(shared)) & (shared[np.minimum(to, len(shared) - 1)] == span)
            bars.append(market.first + np.flatnonzero(known))
            places.append(to[known])
        return cls(shared, bars, places)


@dataclass(frozen=True)
class Table:
    """The columns of all assets on common dates: [asset][date]."""

    dates: Dates
    closes: Indices
    prices: Mapping[str, Floats]
    present: NDArray[np.int8]
    action: NDArray[np.int8]
    confidence: NDArray[np.int8]

    @property
    def time(self) -> Indices:
        return self.dates.time

    @property
    def cells(self) -> int:
        return int(self.present.size)

    @classmethod
    def of(cls, dates: Dates, markets: Sequence[Market], calls: Sequence[Calls]) -> Table:
        shape = (len(markets), len(dates.time))
        prices = {name: np.zeros(shape) for name in COLUMNS}
        present, action, confidence = (np.zeros(shape, np.int8) for _ in range(3))
        closes = np.zeros(len(dates.time), np.int64)
        each = zip(markets, calls, dates.bars, dates.place, strict=True)
        for row, (market, called, bars, to) in enumerate(each):
            for name in COLUMNS:
                prices[name][row, to] = getattr(market, name)[bars]
            closes[to] = np.maximum(closes[to], market.closes[bars])
            present[row, to] = 1
            action[row, to] = called.action[bars]
            confidence[row, to] = called.confidence[bars]
            _carry_forward(prices["close"][row], present[row])
        return cls(dates, closes, prices, present, action, confidence)

    def spread(self, asset: int, column: Floats) -> Floats:
        """A column of one value for each bar of an asset, or of one for all of them, on the dates; elsewhere 0."""
        made = np.zeros(len(self.time))
        made[self.dates.place[asset]] = column[0] if len(column) == 1 else column[self.dates.bars[asset]]
        return made


def _carry_forward(close: Floats, present: NDArray[np.int8]) -> None:
    last = np.maximum.accumulate(np.where(present > 0, np.arange(len(close)), -1))
    close[:] = np.where(last >= 0, close[last], 0.0)


@dataclass(frozen=True)
class Done:
    """What came of a run; ``judged`` are its entries with the asset that each was of."""

    equity: Floats
    trades: Trades
    of_asset: Indices
    exposure: float
    refused: dict[str, int]
    judged: Sequence[tuple[int, Judged]]


@dataclass(frozen=True)
class Run:
    """Several assets, what is called of them, and how they share an account."""

    lab: Lab
    markets: tuple[Market, ...]
    calls: tuple[Calls, ...]
    sharing: Sharing
    table: Table
    machine: bool

    def through(self, setup: Setup) -> Done:
        """The whole of it with this account: with its gate on every entry is sized and judged by the court."""
        form: Callable[[Any], Any] = _arrays if self.machine else _lists
        own: Callable[[Any], Any] = _kept if self.machine else _lists
        table, kernels = self.table, (compiled if self.machine else interpreted)(pool, past)
        assets, dates = table.present.shape
        most = int(np.count_nonzero(table.action)) + assets
        account, equity = own(_opened(setup)), own(np.zeros(dates))
        book, trades = own(np.zeros((pool.BOOK_ROWS, assets))), own(np.zeros((pool.TRADE_COLUMNS, most)))
        columns = [
            form(one)
            for one in (
                table.time,
                *(table.prices[name] for name in COLUMNS),
                *(table.present, table.action, table.confidence),
                self._stops(setup),
                _rates(setup, self.sharing, assets),
                self._own(setup),
            )
        ]
        court = self._court(setup, columns[4], kernels["remember"], form, own) if setup.gate else None
        rows = (account, book, equity, trades)
        asked = kernels["run_together"](court is not None, *columns, *rows)
        while court is not None and asked != pool.DONE:
            units = court.units(int(asked), account, book, equity, trades)
            book[pool.WANTED_UNITS][asked] = units
            if units <= 0.0:
                book[pool.WANTED][asked] = pool.NONE_WANTED
            asked = kernels["run_together"](True, *columns, *rows)
        count = int(account[pool.DATE])
        kernels["mark_together"](count - 1, columns[4], book, trades)
        judged = [] if court is None else court.judged
        return _done(np.asarray(equity)[:count], np.asarray(account), np.asarray(trades), judged)

    def _stops(self, setup: Setup) -> Floats:
        exits = setup.exits
        return np.stack([self.table.spread(at, stop_fractions(each, exits)) for at, each in enumerate(self.markets)])

    def _court(self, setup: Setup, close: Any, remember: Any, form: Any, own: Any) -> SharedCourt:
        rulebook, instruments = self.lab.rulebook, self._instruments(setup)
        seats = [
            Seat(
                bars=market, calls=calls, rules=rulebook.rules, sizing=setup.sizing, risk=rulebook.risk,
                instrument=instrument, threshold=setup.threshold, currency=instrument.quote_currency, trades=(),
            )
            for market, calls, instrument in zip(self.markets, self.calls, instruments, strict=True)
        ]  # fmt: skip
        table = self.table
        return SharedCourt(seats, table.time, table.closes, close, remember, form, lambda count: own(np.zeros(count)))

    def _instruments(self, setup: Setup) -> list[Instrument]:
        return [self.lab.instrument(market.asset, float(market.close[market.first]), setup) for market in self.markets]

    def _own(self, setup: Setup) -> Floats:
        """By asset: slippage, the longest gap between bars, steps of sizes and prices, and the smallest order."""
        made = np.zeros((pool.OWN_ROWS, len(self.markets)))
        for place, (market, instrument) in enumerate(zip(self.markets, self._instruments(setup), strict=True)):
            made[:, place] = (
                setup.costs.base(market.asset),
                market.longest_gap,
                float(instrument.quantity_increment),
                float(instrument.minimum_notional),
                float(instrument.price_increment),
            )
        return made


def _done(equity: Floats, account: Floats, table: Floats, judged: Sequence[tuple[int, Judged]]) -> Done:
    rows = table[:, : int(account[pool.ROWS])]
    trades = Trades(
        side=rows[pool.LONG_SHORT].astype(np.int8),
        entry=rows[pool.ENTERED].astype(np.int64),
        exit=rows[pool.LEFT].astype(np.int64),
        entry_price=rows[pool.GOT_IN],
        exit_price=rows[pool.GOT_OUT],
        quantity=rows[pool.SIZE],
        fees=rows[pool.COSTS_PAID],
        pnl=rows[pool.RESULT],
        reason=rows[pool.WHY].astype(np.int8),
    )
    counted = {
        "market_closed": int(account[pool.SHUT]),
        "price_moved": int(account[pool.RAN_AWAY]),
        "too_small": int(account[pool.TOO_LITTLE]),
    }
    refused = {name: count for name, count in counted.items() if count}
    exposure = float(account[pool.DATES_HELD]) / len(equity)
    return Done(equity, trades, rows[pool.OF_ASSET].astype(np.int64), exposure, refused, judged)


def _rates(setup: Setup, sharing: Sharing, assets: int) -> Floats:
    costs, exits = setup.costs, setup.exits
    made = np.zeros(pool.RATES_SIZE)
    made[pool.FEE_RATE], made[pool.MAKER_RATE], made[pool.COMMISSION_PAID] = (
        costs.fee,
        costs.maker_fee,
        costs.commission,
    )
    made[pool.TARGET_SHARE] = float(exits.target)
    made[pool.RISK_SHARE], made[pool.CASH_SHARE] = sharing.share, sharing.cash
    made[pool.CORRELATED_FROM], made[pool.WINDOW] = sharing.threshold, sharing.window
    made[pool.MOST_POSITIONS] = sharing.most_positions or assets
    made[pool.SHORTS], made[pool.SHORT_LIMIT] = float(setup.sizing.allow_short), sharing.short_limit
    made[pool.MOST_DRAWDOWN] = sharing.stop
    # With the gate a short position is paid for like a long one, and nobody runs after a price.
    made[pool.SHORT_MARGIN], made[pool.MOST_DRIFT] = float(setup.gate), DRIFT if setup.gate else 0.0
    return made


def _arrays(column: Any) -> Any:
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _opened(setup: Setup) -> Floats:
    made = np.zeros(pool.ACCOUNT_SIZE)
    made[pool.MONEY] = made[pool.PEAK_WORTH] = setup.initial_balance
    return made


def _kept(column: Any) -> Any:
    return column


def _lists(column: Any) -> Any:
    return column.tolist()
