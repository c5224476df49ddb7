"""The four tiers: the chosen strategy, then majority, then average, then the single best.

A tier that raises or answers nonsense is left for the next; which one answered, and what the others said, is kept.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import iso
from ffe_core.domain.codec import plain
from ffe_core.domain.decisions import Agenda, Ballot, Opinion, Outcome, Round, Verdict
from ffe_core.domain.trading import Action
from ffe_core.ensemble.quorum import Adjustment, adjust
from ffe_core.ensemble.weights import as_floats, original_weights, renormalise
from ffe_core.errors import FfeError
from ffe_core.ports import AggregationStrategy

SINGLE = "single_provider"
NO_PROVIDER = "no_provider"
RULE_FALLBACK = "rule_fallback"
#: after the configured strategy, in this order: strategy name, tier name, how many votes it takes
_FALLBACKS = (("majority", "majority_voting", 2), ("average", "simple_average", 2), ("best", SINGLE, 1))
_AMOUNT_STEP = Decimal("1E-8")
FALLBACK_STRATEGIES = tuple(name for name, _, _ in _FALLBACKS)


@dataclass(frozen=True, slots=True)
class EnsembleRules:
    """What settings say about combining: the strategy's name, weights by provider, the local quorum."""

    strategy: str
    weights: Mapping[str, float]
    min_local: int


def ballot_of(
    asset: Asset,
    as_of: datetime,
    answers: Sequence[Opinion],
    rules: EnsembleRules,
    *,
    history: Sequence[Outcome] = (),
    seed: int = 0,
    rounds: Sequence[Round] = (),
    agenda: Agenda | None = None,
) -> Ballot:
    """Votes and failures in panel order, with weights renormalised over the votes.

    Of ``history`` stays what was resolved by ``as_of``.
    """
    panel = [answer.provider for answer in answers]
    votes = tuple(answer for answer in answers if answer.is_vote)
    weights = renormalise(original_weights(panel, rules.weights), [vote.provider for vote in votes])
    failed = tuple(answer for answer in answers if not answer.is_vote)
    known = tuple(outcome for outcome in history if outcome.resolved_at <= as_of)
    return Ballot(asset, as_of, votes, failed, as_floats(weights), known, seed, tuple(rounds), agenda)


def combine(ballot: Ballot, strategies: Mapping[str, AggregationStrategy], rules: EnsembleRules) -> Verdict:
    """One verdict of the ballot, with the metadata of how it came about. Never raises for what a strategy does."""
    total = len(ballot.opinions) + len(ballot.failed)
    if not ballot.opinions:
        return _silence(ballot, rules)
    errors: list[str] = []
    if total == 1:
        verdict, tier = _as_it_is(ballot.opinions[0]), SINGLE
    else:
        verdict, tier, errors = _first_that_answers(ballot, strategies, rules.strategy)
    local = [vote.provider for vote in ballot.opinions if vote.local]
    change = adjust(
        verdict.confidence,
        active=len(ballot.opinions),
        total=total,
        active_local=len(local),
        min_local=rules.min_local,
    )
    metadata = _metadata(ballot, rules, verdict, change) | {"fallback_tier": tier, "tier_errors": errors}
    reasoning = verdict.reasoning
    if change.quorum_penalty:
        reasoning = f"[only {len(local)} of {rules.min_local} local providers answered] {reasoning}"
    return Verdict(
        action=verdict.action,
        confidence=change.confidence,
        raw_confidence=verdict.confidence,
        reasoning=reasoning,
        amount=verdict.amount,
        metadata=metadata | dict(verdict.metadata),
    )


def _as_it_is(opinion: Opinion) -> Verdict:
    assert opinion.action is not None  # noqa: S101 - a vote has an action by its own invariant
    return Verdict(opinion.action, opinion.confidence, opinion.confidence, opinion.reasoning, opinion.amount)


def _first_that_answers(
    ballot: Ballot, strategies: Mapping[str, AggregationStrategy], chosen: str
) -> tuple[Verdict, str, list[str]]:
    errors: list[str] = []
    for name, tier, votes in ((chosen, f"{chosen}_voting", 1), *_FALLBACKS):
        strategy = strategies.get(name)
        if strategy is None:
            errors.append(f"{name}: there is no such strategy")
            continue
        if len(ballot.opinions) < votes or any(line.startswith(f"{name}: ") for line in errors):
            continue
        try:
            return _checked(strategy.combine(ballot)), tier, errors
        except (FfeError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
            errors.append(f"{name}: {error}")
    # No strategy is left to ask: doing nothing is the one answer that cannot hurt.
    return Verdict(Action.HOLD, 0, 0, "no strategy could combine the opinions", None), NO_PROVIDER, errors


def _checked(verdict: object) -> Verdict:
    if not isinstance(verdict, Verdict) or not isinstance(verdict.action, Action):
        raise ValueError("answered no verdict")
    if isinstance(verdict.confidence, bool) or not isinstance(verdict.confidence, int):
        raise ValueError(f"confidence {verdict.confidence!r} is no whole number")
    if not 0 <= verdict.confidence <= 100:
        raise ValueError(f"confidence {verdict.confidence} is not within 0-100")
    if not isinstance(verdict.reasoning, str) or not verdict.reasoning.strip():
        raise ValueError("reasoning is blank")
    if verdict.amount is not None and not (verdict.amount.is_finite() and verdict.amount >= 0):
        raise ValueError(f"amount {verdict.amount} is not zero or more")
    return verdict


def _silence(ballot: Ballot, rules: EnsembleRules) -> Verdict:
    reasons = "; ".join(f"{failed.provider}: {failed.error}" for failed in ballot.failed) or "nobody was asked"
    verdict = Verdict(Action.HOLD, 0, 0, f"no provider answered ({reasons})", None)
    nothing = Adjustment(0, Fraction(1), False, False, Fraction(1))
    metadata = _metadata(ballot, rules, verdict, nothing) | {"fallback_tier": NO_PROVIDER, "tier_errors": []}
    return Verdict(Action.HOLD, 0, 0, verdict.reasoning, None, metadata)


def _metadata(ballot: Ballot, rules: EnsembleRules, verdict: Verdict, change: Adjustment) -> dict[str, Any]:
    votes, failed = ballot.opinions, ballot.failed
    panel = [answer.provider for answer in (*votes, *failed)]
    total = len(panel)
    local = [vote.provider for vote in votes if vote.local]
    return {
        "providers_used": [vote.provider for vote in votes],
        "providers_failed": {answer.provider: answer.error for answer in failed},
        "num_active": len(votes),
        "num_total": total,
        "failure_rate": len(failed) / total if total else 1.0,
        "original_weights": as_floats(original_weights(panel, rules.weights)),
        "adjusted_weights": dict(ballot.weights),
        "weight_adjustment_applied": bool(failed),
        "voting_strategy": rules.strategy,
        "provider_decisions": {
            vote.provider: {
                "action": vote.action,
                "confidence": vote.confidence,
                "reasoning": vote.reasoning,
                "amount": plain(vote.amount),
            }
            for vote in votes
        },
        "agreement_score": float(_weight_behind(ballot, verdict.action)),
        "confidence_variance": _variance([vote.confidence for vote in votes]),
        "original_confidence": verdict.confidence,
        "confidence_adjustment_factor": float(change.factor),
        "confidence_adjusted": change.confidence != verdict.confidence,
        "active_local_providers": len(local),
        "local_quorum_met": change.quorum_met,
        "min_local_providers": rules.min_local,
        "quorum_penalty_applied": change.quorum_penalty,
        "local_models_used": local,
        "vote_summary": _summary(votes),
        "timestamp": iso(ballot.as_of),
    }


def _weight_behind(ballot: Ballot, action: Action) -> Fraction:
    """The exact share of weight whose votes are for ``action``."""
    names = [vote.provider for vote in ballot.opinions]
    shares = renormalise({name: Fraction(ballot.weights[name]).limit_denominator(10**9) for name in names}, names)
    return sum((shares[vote.provider] for vote in ballot.opinions if vote.action is action), Fraction(0))


def _summary(votes: Sequence[Opinion]) -> dict[str, Any]:
    counts = Counter(vote.action for vote in votes)
    amounts = [vote.amount for vote in votes if vote.amount is not None]
    number, spread = len(votes), _variance([vote.confidence for vote in votes])
    return {
        "counts": {action.value: counts.get(action, 0) for action in Action},
        "ratios": {action.value: counts.get(action, 0) / number if number else None for action in Action},
        "mean_confidence": sum(vote.confidence for vote in votes) / number if number else None,
        "std_confidence": None if spread is None else math.sqrt(spread),
        "mean_amount": plain(sum(amounts, Decimal(0)) / len(amounts)) if amounts else None,
        "std_amount": plain(_deviation(amounts)) if amounts else None,
    }


def _deviation(amounts: Sequence[Decimal]) -> Decimal:
    """Population standard deviation to eight places."""
    mean = sum(map(Fraction, amounts), Fraction(0)) / len(amounts)
    variance = sum(((Fraction(amount) - mean) ** 2 for amount in amounts), Fraction(0)) / len(amounts)
    return (Decimal(variance.numerator) / Decimal(variance.denominator)).sqrt().quantize(_AMOUNT_STEP)


def _variance(values: Sequence[int]) -> float | None:
    """Population variance, exact until the last step."""
    if not values:
        return None
    mean = Fraction(sum(values), len(values))
    return float(sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values))
