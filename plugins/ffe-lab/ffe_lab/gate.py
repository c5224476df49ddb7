"""What an entry meets in a simulation: the sizing and the risk rules of the core, the very objects that live runs ask.

The loop stops where it wants to enter and the rules have not said beforehand that they pass; there the account of that
moment is put before them in decimals. Exits never come here. What the live pipeline would know besides, such as the
account's peak of 30 days, is remembered on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ffe_core import Action, Proposal, Ruling, Series, Signals, VectorProvider, Verdict
from ffe_core.risk.gate import Judgement
from ffe_lab import entries, loop, past
from ffe_lab.beforehand import certainty_of
from ffe_lab.court import BELOW_THRESHOLD, Court, Moment, are_sparse
from ffe_lab.trades import Floats

if TYPE_CHECKING:
    from ffe_lab.heard import Votes


@dataclass(frozen=True, eq=False)
class Judged:
    """One entry that a signal wanted: at the close of ``bar``, and what sizing and rules made of it.

    ``units`` is what was ordered, ``refused`` why nothing was, else empty. Of an entry that was certain to pass the
    rules are asked when somebody wants to read what they say.
    """

    bar: int
    units: float
    refused: str
    judge: Callable[[], Judgement] = field(repr=False)

    @cached_property
    def _judgement(self) -> Judgement:
        return self.judge()

    @property
    def proposal(self) -> Proposal:
        """After every clamp."""
        return self._judgement.proposal

    @property
    def rulings(self) -> tuple[Ruling, ...]:
        return self._judgement.rulings


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

    @classmethod
    def of(cls, provider: VectorProvider, series: Series) -> Calls:
        """One provider's answers, as they are."""
        signals = provider.ask_all(series)
        return cls(signals.action, signals.confidence, votes={provider.name: signals})

    def verdict(self, bar: int) -> Verdict:
        action = Action.BUY if self.action[bar] > 0 else Action.SELL
        confidence = int(self.confidence[bar])
        agreement = 1.0 if self.agreement is None else float(self.agreement[bar])
        return Verdict(action, confidence, confidence, "simulated", None, {"agreement_score": agreement})


class Record(Sequence[Judged]):
    """Entries in order, made when somebody looks: most runs are read by their trades."""

    def __init__(self, make: Callable[[], Sequence[Judged]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Sequence[Judged]:
        return self._make()

    def __len__(self) -> int:
        return len(self._made)

    def __getitem__(self, place: Any) -> Any:
        return self._made[place]


@dataclass
class Gate:
    """The way to the court, as one simulation goes it.

    ``form`` gives a column as the loop reads it, ``own`` makes one of so many places that it writes.
    """

    court: Court
    form: Callable[[Any], Any]
    own: Callable[[int], Any]
    _asked: list[Judged] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        court, bars, orders = self.court, len(self.court.bars.candles), len(self.court.orders)
        on = court.risk["rules"]["drawdown"]
        self._certainty = certainty_of(court)
        self._began = court.days_began()
        self._closes = court.bars.kept("closes", None, lambda: self.form(court.bars.closes))
        self._past = self.own(past.PAST_SIZE)
        self._past[past.SEEN] = court.bars.first
        self._past[past.SPARSE] = are_sparse(court.bars.closes)
        self._marked, self._worth = self.own(bars), self.own(bars)
        self._noted = tuple(self.own(orders) for _ in range(entries.NOTES))
        #: what ``entries.run_gated`` takes besides the loop's columns and rows
        self.columns = (
            self._closes,
            self.form(court.orders),
            self.form(self._began),
            self.form(self._certainty.certain),
            self.form(self._certainty.kept),
            self.form(self._certainty.exposure),
            float(court.risk["max_drawdown"] if on else 0.0),
            self.form(self._certainty.terms),
            self._past,
            self._marked,
            self._worth,
            self.own(bars),
            self._noted,
        )

    def units(self, bar: int, state: Any) -> float:
        """How much may be entered at the close of ``bar``, the one at which the loop stopped; 0 for nothing."""
        moment = Moment(
            bar,
            cash=float(state[loop.CASH]),
            stop=float(state[loop.PENDING_STOP]),
            peak=float(self._past[past.PEAK]),
            day_start=self._day_start(bar, float(state[loop.CASH])),
            barred_until=float(self._past[past.BARRED_UNTIL]),
            trades=int(state[loop.TRADES]),
        )
        judgement = self.court.judge(moment)
        refused, quantity = self.court.refusal(judgement, bar), judgement.proposal.quantity
        units = 0.0 if refused or quantity is None else float(quantity)
        self._asked.append(Judged(bar, units, refused, lambda: judgement))
        return units

    def _day_start(self, bar: int, now: float) -> float:
        began = float(self._began[int(self._past[past.ORDER])])
        return float(past.day_start(bar, began, now, self._closes, self._past, self._marked, self._worth))

    def judged(self) -> Sequence[Judged]:
        """Every entry so far, in order."""
        count = int(self._past[past.NOTED])
        rows = [np.asarray(row[:count]).tolist() for row in self._noted]
        orders, certain = self.court.orders, self._certainty.certain
        asked, court = tuple(self._asked), self.court

        def passed(
            order: float, cash: float, stop: float, peak: float, start: float, trades: float, units: float
        ) -> Judged:
            bar = int(orders[int(order)])
            refused = BELOW_THRESHOLD if certain[int(order)] == entries.UNSURE else ""
            moment = Moment(bar, cash, stop, peak, start, 0.0, int(trades))
            return Judged(bar, units, refused, partial(court.judge, moment))

        return Record(lambda: tuple(sorted([*asked, *map(passed, *rows)], key=lambda one: one.bar)))
