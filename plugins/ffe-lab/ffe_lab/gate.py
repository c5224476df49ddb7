"""What an entry meets in a simulation: the sizing and the risk rules of the core, the very objects that live runs ask.

The loop stops where it wants to enter; here the account of that moment is put before them in decimals. Exits never
come here. What the live pipeline would know besides, such as the account's peak of 30 days, is remembered on the way.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ffe_core import (
    Action,
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
    Pulse,
    RiskContext,
    RiskRule,
    Ruling,
    Side,
    Signals,
    Timeframe,
    TradingState,
    Verdict,
    close_times,
    from_ms,
    market_status,
    next_session,
)
from ffe_core.risk.gate import after_trade, is_tradable, judge
from ffe_core.risk.returns import LOOK_BACK
from ffe_core.risk.sizing import SizingRules, propose
from ffe_lab import loop, past
from ffe_lab.market import Market as Bars
from ffe_lab.stops import exact, volatility
from ffe_lab.trades import EXIT_REASONS, STOP, Floats

if TYPE_CHECKING:
    from ffe_lab.heard import Votes

FRESH = Freshness(True, "fresh", 0.0, "0.0 seconds", "")
BELOW_THRESHOLD = "below_threshold"


@dataclass(frozen=True, slots=True)
class Judged:
    """One entry that a signal wanted: at the close of ``bar``, and what sizing and rules made of it."""

    bar: int
    proposal: Proposal
    rulings: tuple[Ruling, ...]
    units: float
    #: why nothing was ordered; empty where something was
    refused: str = ""


@dataclass(slots=True)
class Calls:
    """What is to be acted on at each bar: int8 ``action`` and ``confidence``, and the share of weight behind it."""

    action: Any
    confidence: Any
    agreement: Floats | None = None
    #: what each member of a panel said, for whoever wants to look behind a decision
    votes: Mapping[str, Signals] = field(default_factory=dict)
    #: the opinions behind ``votes``, where models were asked
    heard: Votes | None = None

    def verdict(self, bar: int) -> Verdict:
        action = Action.BUY if self.action[bar] > 0 else Action.SELL
        confidence = int(self.confidence[bar])
        agreement = 1.0 if self.agreement is None else float(self.agreement[bar])
        return Verdict(action, confidence, confidence, "simulated", None, {"agreement_score": agreement})


@dataclass
class Gate:
    """The rules, as one simulation asks them. ``remember`` is ``past.remember``, plain or compiled."""

    bars: Bars
    calls: Calls
    rules: Sequence[RiskRule]
    sizing: SizingRules
    risk: dict[str, Any]
    instrument: Instrument
    threshold: Decimal
    currency: str
    remember: Callable[..., None]
    judged: list[Judged] = field(default_factory=list)

    def __post_init__(self) -> None:
        count, kind = len(self.bars.candles), np.zeros if self.bars.compiled else _zeros
        self._past = kind(past.PAST_SIZE)
        self._marked, self._worth, self._queue = kind(count), kind(count), kind(count)
        most = self.risk["max_drawdown"] if self.risk["rules"]["drawdown"] else 0.0
        self._most = float(most)
        self._closes: Any = self.bars.closes if self.bars.compiled else self.bars.closes.tolist()
        self._past[past.SEEN] = self.bars.first

    def units(self, bar: int, state: Any, equity: Any, trades: Any) -> float:
        """How much may be entered at the close of ``bar``; 0 for nothing."""
        self.remember(bar, self._closes, equity, self._most, self._past, self._marked, self._worth, self._queue)
        verdict = self.calls.verdict(bar)
        before = Portfolio(
            "paper", "lab", self.currency, exact(state[loop.CASH]), synthetic=self.bars.candles.synthetic
        )
        proposal = propose(
            self.bars.asset,
            verdict,
            entry=exact(self.bars.close[bar]),
            pulse=self._pulse,
            portfolio=before,
            instrument=self.instrument,
            rules=self._rules_at(exact(state[loop.PENDING_STOP])),
        )
        context = self._context(bar, before, proposal, state, trades)
        judgement = judge(proposal, context, self.rules)
        refused = self._refused(judgement.proposal, judgement.veto_reasons, verdict.confidence)
        units = 0.0 if refused or judgement.proposal.quantity is None else float(judgement.proposal.quantity)
        self.judged.append(Judged(bar, judgement.proposal, judgement.rulings, units, refused))
        return units

    def _refused(self, proposal: Proposal, vetoes: Sequence[str], confidence: int) -> str:
        if vetoes:
            return "; ".join(vetoes)
        if Decimal(confidence) / 100 < self.threshold:
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

    def _context(self, bar: int, before: Portfolio, proposal: Proposal, state: Any, trades: Any) -> RiskContext:
        now = from_ms(int(self._closes[bar]))
        barred = self._past[past.BARRED_UNTIL]
        return RiskContext(
            now=now,
            mode=Mode.PAPER,
            state=TradingState.ACTIVE,
            before=before,
            after=after_trade(before, proposal, self.instrument),
            instrument=self.instrument,
            market=self._market(bar),
            freshness=FRESH,
            status=self._status(bar),
            daily_returns=self._returns(bar),
            peak_equity=exact(self._past[past.PEAK]),
            day_start_equity=exact(self._day_start(bar, float(before.cash or 0))),
            closed_trades=self._closed(state, trades),
            settings=self.risk,
            drawdown_until=from_ms(int(barred)) if barred > 0 else None,
        )

    def _status(self, bar: int) -> MarketStatus:
        """Of the moment at which an order would be sent: a daily bar of a market that has closed waits for the next."""
        at = from_ms(int(self._closes[bar]))
        if self.bars.timeframe is Timeframe.D1 and self.bars.asset.kind is AssetKind.STOCK:
            at = next_session(self.bars.asset.kind, at)
        return market_status(self.bars.asset, at)

    def _market(self, bar: int) -> Market:
        reach = float(self._volatility[bar])
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
            bar_closed_at=from_ms(int(self._closes[bar])),
        )

    @cached_property
    def _volatility(self) -> Floats:
        return volatility(self.bars)

    # what the rules know of the days before

    def _returns(self, bar: int) -> dict[str, Sequence[tuple[str, float]]]:
        days = self.bars.days
        if days is None:
            return {}
        known = int(self._days_known[bar])
        if known < 1:
            return {self.bars.asset.symbol: ()}
        earliest = (from_ms(int(self._closes[bar])) - LOOK_BACK).date().isoformat()
        recent = self._daily[max(0, known - LOOK_BACK.days - 1) : known]
        return {self.bars.asset.symbol: tuple(one for one in recent if one[0] >= earliest)}

    @cached_property
    def _days_known(self) -> Any:
        assert self.bars.days is not None  # noqa: S101 - asked only where there are days
        return self.bars.known(self.bars.days)

    @cached_property
    def _daily(self) -> list[tuple[str, float]]:
        """The return of every day there is, the one of day i at place i - 1."""
        days = self.bars.days
        assert days is not None  # noqa: S101 - as above
        closes, prices = close_times(days).tolist(), days.close.tolist()
        # A bar that ends at midnight belongs to the day that ends there.
        labels = [f"{from_ms(at - 1):%Y-%m-%d}" for at in closes]
        pairs = zip(labels[1:], prices[1:], prices, strict=False)
        return [(day, price / before - 1) for day, price, before in pairs]

    # what the account has been through

    def _day_start(self, bar: int, now: float) -> float:
        """Of the newest mark of the 24 hours before the day began, else of the first one since."""
        began = self._day_began(bar)
        count = int(self._past[past.MARKS])
        marked = self._marked
        place = bisect_right(marked, began, 0, count) - 1
        closes_now = float(self._closes[bar])
        if place >= 0 and marked[place] >= began - _DAY and marked[place] != closes_now:
            return float(self._worth[place])
        return float(self._worth[place + 1]) if place + 1 < count else now

    def _day_began(self, bar: int) -> float:
        at = from_ms(int(self._closes[bar]))
        zone = ZoneInfo(self.risk["timezone"])
        local = at.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        return local.timestamp() * 1000.0

    def _closed(self, state: Any, trades: Any) -> tuple[ClosedTrade, ...]:
        """The trades so far, where a rule that is on reads them."""
        on = self.risk["rules"]
        if not (on["stoploss_guard"] or on["cooldown"] or on["low_profit"]):
            return ()
        return tuple(self._trade(row, trades) for row in range(int(state[loop.TRADES])))

    def _trade(self, row: int, trades: Any) -> ClosedTrade:
        def cell(column: int) -> Any:
            return trades[column][row]

        reason = int(cell(loop.REASON))
        left = int(cell(loop.EXIT_BAR))
        # A stop is hit somewhere inside its bar, an order is filled at the open.
        closed = int(self._closes[left]) if reason == STOP else int(self.bars.time[left])
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


_DAY = timedelta(days=1) / timedelta(milliseconds=1)
_OPEN = MarketStatus(True, "Open", None, None)


def _zeros(count: int) -> list[float]:
    return [0.0] * count
