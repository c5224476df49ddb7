"""From the panel's answers to a decision: a pure function of recorded inputs, so that any decision can be replayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe_core.ai.anonymise import Mask
from ffe_core.ai.hindsight import Training
from ffe_core.domain.assets import AssetKind
from ffe_core.domain.decisions import (
    Agenda,
    Briefing,
    Decision,
    Opinion,
    Outcome,
    Proposal,
    RiskContext,
    Round,
    Verdict,
)
from ffe_core.domain.trading import Action, ClosedTrade, Effect, Instrument, Portfolio, Reservation, TradingState
from ffe_core.ensemble.tiers import RULE_FALLBACK, EnsembleRules, ballot_of, combine
from ffe_core.ports import AggregationStrategy, RiskRule
from ffe_core.risk.effect import position_type
from ffe_core.risk.gate import Judgement, after_trade, is_tradable, judge
from ffe_core.risk.sizing import SizingRules, propose


@dataclass(frozen=True, slots=True)
class DecisionInputs:
    """All that a decision is computed from. Whatever is not in here cannot have mattered."""

    briefing: Briefing
    #: one answer per provider of the panel, failures included, in panel order
    opinions: tuple[Opinion, ...]
    #: what the rules said after the whole panel failed; empty where they were not asked
    fallback_opinions: tuple[Opinion, ...]
    ensemble: EnsembleRules
    sizing: SizingRules
    entry_price: Decimal
    instrument: Instrument
    portfolio: Portfolio | None
    state: TradingState | None = TradingState.ACTIVE
    reservations: tuple[Reservation, ...] = ()
    #: what risk rules read of the settings
    risk_settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    #: what had come of earlier decisions, for strategies that learn
    history: tuple[Outcome, ...] = ()
    #: what a strategy that asks in rounds started from, and what it asked; ``opinions`` are what came of it
    agenda: Agenda | None = None
    rounds: tuple[Round, ...] = ()
    #: further inputs of the risk rules, as ``RiskContext`` describes them
    state_reason: str = ""
    daily_returns: Mapping[str, Sequence[tuple[str, float]]] | None = None
    peak_equity: Decimal | None = None
    day_start_equity: Decimal | None = None
    drawdown_until: datetime | None = None
    closed_trades: tuple[ClosedTrade, ...] | None = None
    supposed: bool = False
    #: what was known of the models' training; ``None`` in records from before it was asked
    training: Training | None = None
    #: under which the panel saw ``briefing``, where it was not to know the asset
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    verdict: Verdict
    proposal: Proposal
    judgement: Judgement


def decide(inputs: DecisionInputs, strategies: Mapping[str, AggregationStrategy], rules: Iterable[RiskRule]) -> Decided:
    """Tiers, size, rulings. No clock, no network, no randomness but the recorded seed."""
    verdict, marked = _verdict(inputs, strategies)
    proposal = propose(
        inputs.briefing.asset,
        verdict,
        entry=inputs.entry_price,
        pulse=inputs.briefing.pulse,
        portfolio=inputs.portfolio,
        instrument=inputs.instrument,
        rules=inputs.sizing,
        reservations=inputs.reservations,
    )
    if marked and proposal.is_entry:
        proposal = _nothing(proposal, "fallback_opens_nothing")
    judgement = judge(proposal, risk_context(inputs, proposal), rules)
    if not judgement.vetoed and _clamped_away(judgement.proposal, inputs.instrument):
        judgement = replace(judgement, vetoed=True)
    return Decided(verdict, proposal, judgement)


def _verdict(inputs: DecisionInputs, strategies: Mapping[str, AggregationStrategy]) -> tuple[Verdict, bool]:
    """The verdict, and whether it is the rules' stand-in for a panel that failed as a whole."""
    asset, as_of = inputs.briefing.asset, inputs.briefing.as_of
    ballot = ballot_of(
        asset,
        as_of,
        inputs.opinions,
        inputs.ensemble,
        history=inputs.history,
        seed=inputs.seed,
        rounds=inputs.rounds,
        agenda=inputs.agenda,
    )
    verdict = combine(ballot, strategies, inputs.ensemble)
    if ballot.opinions or not any(opinion.is_vote for opinion in inputs.fallback_opinions):
        return verdict, False
    stand_in = combine(
        ballot_of(asset, as_of, inputs.fallback_opinions, inputs.ensemble, history=inputs.history, seed=inputs.seed),
        strategies,
        inputs.ensemble,
    )
    metadata = {
        **stand_in.metadata,
        "fallback_tier": RULE_FALLBACK,
        "providers_failed": verdict.metadata["providers_failed"],
    }
    reasoning = f"[the panel failed; rules answered] {stand_in.reasoning}"
    return replace(stand_in, reasoning=reasoning, metadata=metadata), True


def risk_context(inputs: DecisionInputs, proposal: Proposal) -> RiskContext:
    briefing = inputs.briefing
    return RiskContext(
        now=briefing.as_of,
        mode=briefing.mode,
        state=inputs.state,
        before=inputs.portfolio,
        after=after_trade(inputs.portfolio, proposal, inputs.instrument),
        instrument=inputs.instrument,
        market=briefing.market,
        freshness=briefing.market.freshness,
        status=briefing.market.status,
        daily_returns=inputs.daily_returns,
        peak_equity=inputs.peak_equity,
        day_start_equity=inputs.day_start_equity,
        closed_trades=inputs.closed_trades,
        reservations=inputs.reservations,
        settings=inputs.risk_settings,
        state_reason=inputs.state_reason,
        drawdown_until=inputs.drawdown_until,
        supposed=inputs.supposed,
    )


def _clamped_away(proposal: Proposal, instrument: Instrument) -> bool:
    """Whether rules shrank a sized entry to something that no venue would take."""
    sized = proposal.is_entry and not proposal.signal_only and proposal.quantity is not None
    return sized and not is_tradable(proposal.quantity, proposal.entry_price, instrument)


def _nothing(proposal: Proposal, why: str) -> Proposal:
    return replace(
        proposal,
        effect=Effect.NONE,
        effect_reason=why,
        quantity=None,
        stop_price=None,
        stop_fraction=None,
        target_price=None,
        risk_fraction=None,
    )


def decision_of(decision_id: str, created_at: datetime, inputs: DecisionInputs, decided: Decided) -> Decision:
    """The decision as people and programs read it.

    What a risk rule forbids is a HOLD, and so is anything but an exit on data too old to act on: nobody who reads only
    the action shall be told to do it. What the panel wanted stays in the reasoning and in the metadata.
    """
    briefing, verdict, judgement = inputs.briefing, decided.verdict, decided.judgement
    proposal = _nothing(judgement.proposal, "vetoed") if judgement.vetoed else judgement.proposal
    reasoning = verdict.reasoning
    stale = not briefing.market.freshness.is_fresh and not proposal.is_exit
    if judgement.vetoed:
        reasons = "; ".join(judgement.veto_reasons) or "nothing tradable is left"
        reasoning = f"[vetoed: {reasons}; the panel said {verdict.action} {verdict.confidence}] {reasoning}"
    elif stale:
        reasoning = f"[{briefing.market.freshness.message}] {reasoning}"
    held = briefing.position
    return Decision(
        id=decision_id,
        asset_pair=briefing.asset.symbol,
        asset_type=briefing.asset.kind.value,
        as_of=briefing.as_of,
        created_at=created_at,
        mode=briefing.mode,
        action=Action.HOLD if judgement.vetoed or stale else verdict.action,
        effect=proposal.effect,
        effect_reason=proposal.effect_reason,
        confidence=verdict.confidence,
        raw_confidence=verdict.raw_confidence,
        reasoning=reasoning,
        amount=suggested_amount(proposal),
        position_type=position_type(proposal.effect, held),
        entry_price=inputs.entry_price,
        position_size=proposal.quantity,
        sizing=decided.judgement.proposal.sizing,
        stop_loss_price=proposal.stop_price,
        stop_loss_fraction=proposal.stop_fraction,
        take_profit_price=proposal.target_price,
        risk_fraction=proposal.risk_fraction,
        signal_only=proposal.signal_only,
        market=briefing.market,
        pulse=briefing.pulse,
        regime=briefing.regime,
        opinions=inputs.opinions + inputs.fallback_opinions,
        ensemble_metadata={**verdict.metadata, "verdict_action": verdict.action.value, **_marks(inputs)},
        rulings=judgement.rulings,
        vetoed=judgement.vetoed,
    )


def _marks(inputs: DecisionInputs) -> dict[str, Any]:
    """What a reader has to know about the circumstances in which the panel was asked."""
    marks: dict[str, Any] = {}
    if inputs.training is not None:
        opinions = (*inputs.opinions, *inputs.fallback_opinions)
        marks["hindsight"] = inputs.training.told(opinions, inputs.briefing.as_of)
    if inputs.mask is not None:
        marks["anonymised"] = inputs.mask.told()
    return marks


def suggested_amount(proposal: Proposal) -> Decimal | None:
    """For crypto the notional in quote currency, for everything else the units themselves."""
    if proposal.quantity is None:
        return None
    if proposal.asset.kind is AssetKind.CRYPTO:
        return (proposal.quantity * proposal.entry_price).quantize(Decimal("0.01"))
    return proposal.quantity
