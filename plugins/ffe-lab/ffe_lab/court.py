"""What judges an entry: the sizing and the risk rules of the core, shown the account and the market of that moment.

All that a rule may look at is made here, of a few numbers that tell what the account had been through. So an entry can
be judged when it is wanted, or again, later, by whoever asks what the rules had to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core import (
    AssetKind,
    ClosedTrade,
    Confluence,
    Freshness,
    Instrument,
    Market,
    MarketStatus,
    Mode,
    Portfolio,
    Proposal,
    Prospect,
    Pulse,
    RiskContext,
    RiskRule,
    Side,
    Timeframe,
    TradingState,
    close_times,
    from_ms,
    market_status,
    next_session,
    to_ms,
)
from ffe_core.risk.gate import Judgement, after_trade, is_tradable, judge
from ffe_core.risk.returns import LOOK_BACK
from ffe_core.risk.sizing import SizingRules, propose
from ffe_lab import loop
from ffe_lab.market import Market as Bars
from ffe_lab.past import CLOSE_BY
from ffe_lab.stops import exact
from ffe_lab.trades import EXIT_REASONS, STOP, Floats, Indices

if TYPE_CHECKING:
    from ffe_lab.gate import Calls

FRESH = Freshness(True, "fresh", 0.0, "0.0 seconds", "")
BELOW_THRESHOLD = "below_threshold"


def are_sparse(closes: Indices) -> bool:
    """Whether bars close so far apart that a live run would mark the account at each of them."""
    return bool((np.diff(closes) >= CLOSE_BY).all())


@dataclass(frozen=True, slots=True)
class Moment:
    """What an entry at the close of ``bar`` is judged by besides the market: the account then, in its currency.

    ``stop`` is the fraction to the stop, ``peak`` the highest equity of 30 days, ``barred_until`` epoch milliseconds or
    0, ``trades`` how many trades were over.
    """

    bar: int
    cash: float
    stop: float
    peak: float
    day_start: float
    barred_until: float
    trades: int


@dataclass
class Court:
    """The rules and all they are shown. ``trades`` is the loop's table, to which rows are only ever added."""

    bars: Bars
    calls: Calls
    rules: Sequence[RiskRule]
    sizing: SizingRules
    risk: dict[str, Any]
    instrument: Instrument
    threshold: Decimal
    currency: str
    trades: Any
    _closed: list[ClosedTrade] = field(default_factory=list, init=False, repr=False)

    def judge(self, moment: Moment) -> Judgement:
        before = Portfolio("paper", "lab", self.currency, exact(moment.cash), synthetic=self.bars.candles.synthetic)
        proposal = self._proposed(moment, before)
        return judge(proposal, self._context(moment, before, proposal), self.rules)

    def _proposed(self, moment: Moment, before: Portfolio) -> Proposal:
        return propose(
            self.bars.asset,
            self.calls.verdict(moment.bar),
            entry=exact(self.bars.close[moment.bar]),
            pulse=self._pulse,
            portfolio=before,
            instrument=self.instrument,
            rules=self._rules_at(exact(moment.stop)),
        )

    def refusal(self, judgement: Judgement, bar: int) -> str:
        """Why nothing is ordered; empty where something is."""
        proposal = judgement.proposal
        if judgement.veto_reasons:
            return "; ".join(judgement.veto_reasons)
        if Decimal(int(self.calls.confidence[bar])) / 100 < self.threshold:
            return BELOW_THRESHOLD
        if not is_tradable(proposal.quantity, proposal.entry_price, self.instrument):
            return proposal.sizing.unavailable or "nothing tradable is left"
        return ""

    def _rules_at(self, stop: Decimal) -> SizingRules:
        """The sizing with the stop of this bar, which was found for all bars at once."""
        return replace(self.sizing, exits=replace(self.sizing.exits, stop="fixed", fallback=stop))

    @cached_property
    def _pulse(self) -> Pulse:
        return Pulse(self.bars.asset, from_ms(0), {}, Confluence("unknown", 0), (), "")

    def _context(self, moment: Moment, before: Portfolio, proposal: Proposal) -> RiskContext:
        bar = moment.bar
        now = from_ms(int(self.bars.closes[bar]))
        return RiskContext(
            now=now,
            mode=Mode.PAPER,
            state=TradingState.ACTIVE,
            before=before,
            after=after_trade(before, proposal, self.instrument),
            instrument=self.instrument,
            market=self._market(bar, now),
            freshness=FRESH,
            status=market_status(self.bars.asset, self._sent(now)),
            daily_returns=self._returns(bar),
            peak_equity=exact(moment.peak),
            day_start_equity=exact(moment.day_start),
            closed_trades=self._closed_before(moment.trades),
            settings=self.risk,
            drawdown_until=from_ms(int(moment.barred_until)) if moment.barred_until > 0 else None,
        )

    def _sent(self, now: datetime) -> datetime:
        """When an order is sent: on a daily bar of a stock market, which has closed by then, with the next session."""
        waits = self.bars.timeframe is Timeframe.D1 and self.bars.asset.kind is AssetKind.STOCK
        return next_session(self.bars.asset.kind, now) if waits else now

    def _market(self, bar: int, now: datetime) -> Market:
        reach = float(self.bars.volatility[bar])
        return Market(
            source=self.bars.candles.source,
            synthetic=self.bars.candles.synthetic,
            fingerprint="",
            freshness=FRESH,
            status=_OPEN,
            price=float(self.bars.close[bar]),
            change=None,
            volatility=reach if reach == reach else None,  # noqa: PLR0124 - the one float that differs from itself
            bar_open=float(self.bars.open[bar]),
            bar_high=float(self.bars.high[bar]),
            bar_low=float(self.bars.low[bar]),
            bar_volume=float(self.bars.volume[bar]),
            bar_closed_at=now,
        )

    def _returns(self, bar: int) -> dict[str, Sequence[tuple[str, float]]]:
        if self.bars.days is None:
            return {}
        since, until = self.known(np.array([bar]))
        return {self.bars.asset.symbol: tuple(self._daily[int(since[0]) : int(until[0])])}

    def known(self, at: Indices) -> tuple[Indices, Indices]:
        """At each of these bars' closes the first of ``returns`` that counts, and the first that is not known yet."""
        if self.bars.days is None:
            return np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
        until = np.maximum(self.bars.known(self.bars.days)[at], 0)
        earliest = self.bars.closes[at] // _DAY - LOOK_BACK.days
        since = np.maximum(np.searchsorted(self._day_numbers, earliest), until - LOOK_BACK.days - 1)
        return np.clip(since, 0, until), until

    @cached_property
    def returns(self) -> Floats:
        """The return of every day there is, the one of day i at place i - 1."""
        if self.bars.days is None:
            return np.empty(0)
        prices = np.frombuffer(self.bars.days.close)
        made: Floats = prices[1:] / prices[:-1] - 1
        return made

    @cached_property
    def _day_numbers(self) -> Indices:
        """The UTC day of each return: a bar that ends at midnight belongs to the day that ends there."""
        assert self.bars.days is not None  # noqa: S101 - asked only where there are days
        made: Indices = (close_times(self.bars.days)[1:] - 1) // _DAY
        return made

    @cached_property
    def _daily(self) -> list[tuple[str, float]]:
        labels = np.datetime_as_string(self._day_numbers.view("M8[D]")).tolist()
        return list(zip(labels, self.returns.tolist(), strict=True))

    # all entries at once

    @cached_property
    def orders(self) -> Indices:
        """The bars at which something may be opened, if nothing is held."""
        action = self.calls.action
        opens = action != 0 if self.sizing.allow_short else action > 0
        return np.flatnonzero(opens[self.bars.first :]) + self.bars.first

    @cached_property
    def prospect(self) -> Prospect:
        at, bars, calls = self.orders, self.bars, self.calls
        closes = bars.closes[at]
        waits = bars.timeframe is Timeframe.D1 and bars.asset.kind is AssetKind.STOCK
        since, until = self.known(at)
        return Prospect(
            asset=bars.asset,
            instrument=self.instrument,
            settings=self.risk,
            sent=np.array([to_ms(self._sent(from_ms(each))) for each in closes.tolist()]) if waits else closes,
            side=np.sign(calls.action[at]),
            confidence=calls.confidence[at],
            agreement=np.ones(len(at)) if calls.agreement is None else calls.agreement[at],
            price=bars.close[at],
            low=bars.low[at],
            high=bars.high[at],
            volatility=self.bars.volatility[at],
            returns=self.returns,
            since=since,
            until=until,
        )

    def days_began(self) -> Floats:
        """When the day of ``risk.max_daily_loss`` began for each of ``orders``, epoch milliseconds."""
        closes = self.bars.closes[self.orders]
        if self.risk["timezone"] == "UTC":
            return np.asarray(closes - closes % _DAY, np.float64)
        zone = ZoneInfo(self.risk["timezone"])
        local = (from_ms(at).astimezone(zone) for at in closes.tolist())
        return np.array(
            [each.replace(hour=0, minute=0, second=0, microsecond=0, fold=0).timestamp() * 1000.0 for each in local]
        )

    # what the account has been through

    def _closed_before(self, count: int) -> tuple[ClosedTrade, ...]:
        """The first ``count`` trades, where a rule that is on reads them."""
        on = self.risk["rules"]
        if not (on["stoploss_guard"] or on["cooldown"] or on["low_profit"]):
            return ()
        self._closed += [self._trade(row) for row in range(len(self._closed), count)]
        return tuple(self._closed[:count])

    def _trade(self, row: int) -> ClosedTrade:
        def cell(column: int) -> Any:
            return self.trades[column][row]

        reason = int(cell(loop.REASON))
        left = int(cell(loop.EXIT_BAR))
        # A stop is hit somewhere inside its bar, an order is filled at the open.
        closed = int(self.bars.closes[left]) if reason == STOP else int(self.bars.time[left])
        return ClosedTrade(
            asset=self.bars.asset,
            side=Side.BUY if cell(loop.SIDE) > 0 else Side.SELL,
            opened_at=from_ms(int(self.bars.time[int(cell(loop.ENTRY))])),
            closed_at=from_ms(closed),
            quantity=exact(cell(loop.QUANTITY)),
            entry_price=exact(cell(loop.ENTRY_AT)),
            exit_price=exact(cell(loop.EXIT_AT)),
            pnl=exact(cell(loop.PNL)),
            exit_reason=EXIT_REASONS[reason],
        )


_DAY = timedelta(days=1) // timedelta(milliseconds=1)
_OPEN = MarketStatus(True, "Open", None, None)
