"""Stored decisions beside what the market did afterwards, and the outcomes that follow from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import batched
from typing import TYPE_CHECKING

from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.decisions import Decision, Outcome, OutcomeKind
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Action, Costs
from ffe_core.errors import DataError, StoreError, UsageError
from ffe_core.learning.outcomes import ForwardReturn, forward_return

if TYPE_CHECKING:
    from ffe_core.execution.trades import RoundTrip
    from ffe_core.store import Store, StoredRecord

#: Calendar time may be this many times trading time: an hourly stock trades 7 of 24 hours on 5 of 7 days.
_CALENDAR = 6
#: decisions that are held in memory at once
_BATCH = 500

#: complete bars of a source between two instants; raises ``DataError``, ``UsageError``
type Span = Callable[[str, Asset, Timeframe, datetime, datetime], Candles]


@dataclass(frozen=True, slots=True)
class Question:
    """A stored decision and what its record says about how it is to be scored."""

    decision: Decision
    horizon: int
    timeframe: Timeframe

    @property
    def asset(self) -> Asset:
        return Asset.parse(self.decision.asset_pair, kind=AssetKind(self.decision.asset_type))

    @property
    def latest_end(self) -> timedelta:
        return self.timeframe.timedelta * (self.horizon * _CALENDAR) + timedelta(days=7)

    @property
    def earliest_end(self) -> datetime:
        """No sooner can the horizon have passed; the bar that was running then counts whole."""
        return self.decision.as_of + self.timeframe.timedelta * (self.horizon - 1)


@dataclass(frozen=True, slots=True)
class Row:
    """``forward`` is None with the reason in ``why``."""

    question: Question
    forward: ForwardReturn | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """``resolved``: the outcomes that are new; ``waiting``: why others are not there yet, and how many of them."""

    resolved: tuple[Outcome, ...]
    waiting: Mapping[str, int]


def update(store: Store, span: Span, *, now: datetime, costs: Costs) -> Update:
    """Scores and keeps every decision of a panel whose horizon has passed and that has no such outcome yet.

    HOLDs too: each provider's own call is judged by the price's return and the cost. Raises ``StoreError``.
    """
    resolved: list[Outcome] = []
    waiting: Counter[str] = Counter()
    for some in batched(store.unresolved(OutcomeKind.HORIZON), _BATCH):
        questions = []
        for stored in some:
            question = question_of(stored)
            if not any(opinion.is_vote for opinion in question.decision.opinions):
                waiting["nobody voted"] += 1
            elif question.earliest_end > now:
                waiting["the horizon has not passed"] += 1
            else:
                questions.append(question)
        rows = score(questions, span, now=now, costs=costs)
        waiting.update(row.why for row in rows if row.forward is None)
        made = [outcome_of(row.question, row.forward) for row in rows if row.forward is not None]
        # Another process may have kept the same decisions meanwhile, with costs of its own.
        resolved += store.record_outcomes(made, on_conflict=lambda told: waiting.update(told.values()))
    return Update(tuple(resolved), waiting)


def outcome_of(question: Question, forward: ForwardReturn) -> Outcome:
    """What came of a decision at its horizon, with what everybody had said."""
    votes = [opinion for opinion in question.decision.opinions if opinion.is_vote]
    return replace(
        _of(question.decision, OutcomeKind.HORIZON, forward.resolved_at, question.asset),
        gross_return=forward.gross,
        net_return=forward.net,
        exit_reason="horizon",
        price_return=forward.long_gross,
        cost=forward.cost,
        calibratable=tuple(
            vote.provider for vote in votes if vote.calibratable and vote.horizon in (None, question.horizon)
        ),
    )


def trade_outcome(decision: Decision, trip: RoundTrip) -> Outcome:
    """What came of a decision whose position has come and gone; fractions of what was paid for it."""
    # The venue's clock may be behind ours, by more than the position lived.
    resolved_at = max(trip.closed_at, decision.as_of)
    return replace(
        _of(decision, OutcomeKind.TRADE, resolved_at, trip.asset),
        gross_return=float((trip.pnl + trip.fees) / trip.cost),
        net_return=float(trip.pnl / trip.cost),
        pnl=trip.pnl,
        exit_reason=trip.exit_reason,
    )


def _of(decision: Decision, kind: OutcomeKind, resolved_at: datetime, asset: Asset) -> Outcome:
    """What an outcome knows of its decision; nothing yet of what came of it."""
    votes = {opinion.provider: opinion for opinion in decision.opinions if opinion.is_vote}
    wanted = decision.ensemble_metadata.get("verdict_action")
    return Outcome(
        decision_id=decision.id,
        asset=asset,
        resolved_at=resolved_at,
        action=decision.action,
        gross_return=None,
        net_return=None,
        provider_actions={name: vote.action for name, vote in votes.items() if vote.action is not None},
        provider_confidences={name: vote.confidence for name, vote in votes.items() if vote.action is not None},
        kind=kind,
        synthetic=decision.market.synthetic,
        as_of=decision.as_of,
        verdict_action=None if wanted is None else Action(wanted),
        raw_confidence=decision.raw_confidence,
    )


def question_of(stored: StoredRecord) -> Question:
    """Raises ``StoreError`` where the record does not say how it is scored."""
    try:
        briefing = stored.inputs["briefing"]
        return Question(stored.decision, int(briefing["horizon"]), Timeframe(briefing["timeframe"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the record of {stored.id} does not say how it is scored: {error}") from error


def score(questions: Sequence[Question], span: Span, *, now: datetime, costs: Costs) -> list[Row]:
    """Each question with its return over the horizon, in their order, or why there is none."""
    prices = {market: _prices(span, market, group, now) for market, group in _by_market(questions).items()}
    return [_row(question, prices[_market(question)], costs) for question in questions]


type _Market = tuple[str, Asset, Timeframe]


def _market(question: Question) -> _Market:
    return question.decision.market.source, question.asset, question.timeframe


def _by_market(questions: Sequence[Question]) -> Mapping[_Market, list[Question]]:
    groups: dict[_Market, list[Question]] = {}
    for question in questions:
        groups.setdefault(_market(question), []).append(question)
    return groups


def _prices(span: Span, market: _Market, questions: Sequence[Question], now: datetime) -> Candles | str:
    """The bars around all of these decisions, or why there are none."""
    source, asset, timeframe = market
    start = min(question.decision.as_of for question in questions) - 2 * timeframe.timedelta
    end = max(question.decision.as_of + question.latest_end for question in questions)
    try:
        return span(source, asset, timeframe, start, min(end, now))
    except (DataError, UsageError) as error:
        return error.message


def _row(question: Question, prices: Candles | str, costs: Costs) -> Row:
    if isinstance(prices, str):
        return Row(question, None, prices)
    decision = question.decision
    forward = forward_return(
        decision.action,
        decision.as_of,
        decision.market.price,
        horizon=question.horizon,
        timeframe=question.timeframe,
        candles=prices,
        costs=costs,
    )
    return Row(question, forward, "" if forward else f"the {question.horizon} bars after it are not all there")
