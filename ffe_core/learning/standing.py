"""How each provider has done by recorded outcomes, beside always buying at the same decisions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ffe_core.domain.decisions import Opinion, Outcome, OutcomeKind
from ffe_core.domain.trading import Action
from ffe_core.ensemble.tiers import EnsembleRules, ballot_of
from ffe_core.learning.outcomes import Scoreboard, Scored, scoreboard
from ffe_core.ports import AggregationStrategy


@dataclass(frozen=True, slots=True)
class Standing:
    """``outcomes`` with a word of the provider's, ``holds`` of them HOLDs, ``unscorable`` without a price's return."""

    provider: str
    outcomes: int
    holds: int
    unscorable: int
    board: Scoreboard


def one_each(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """One outcome a decision, the horizon's where there is one, oldest first."""
    best: dict[str, Outcome] = {}
    for outcome in sorted(outcomes, key=lambda one: (one.kind is not OutcomeKind.HORIZON, one.resolved_at)):
        best.setdefault(outcome.decision_id, outcome)
    return sorted(best.values(), key=lambda one: (one.resolved_at, one.decision_id))


def standings(outcomes: Iterable[Outcome]) -> list[Standing]:
    """By the providers' names. Every call is judged by what its own direction made, whatever was decided."""
    heard: dict[str, list[tuple[Action, Outcome]]] = {}
    for outcome in one_each(outcomes):
        for name, action in outcome.provider_actions.items():
            heard.setdefault(name, []).append((action, outcome))
    return [_standing(name, calls) for name, calls in sorted(heard.items())]


def _standing(provider: str, calls: Sequence[tuple[Action, Outcome]]) -> Standing:
    directional = [(action, outcome) for action, outcome in calls if action is not Action.HOLD]
    scored = [made for action, outcome in directional if (made := scored_call(outcome, action)) is not None]
    return Standing(
        provider,
        len(calls),
        len(calls) - len(directional),
        len(directional) - len(scored),
        scoreboard(scored),
    )


def scored_call(outcome: Outcome, action: Action) -> Scored | None:
    """What ``action`` would have made, and buying beside it; ``None`` where that is not known."""
    net, long = outcome.net_of(action), outcome.net_of(Action.BUY)
    if net is None or long is None or outcome.as_of is None:
        return None
    # Of both directions' nets the half difference is the price's own return, whichever way it was recorded.
    short = outcome.net_of(Action.SELL)
    move = outcome.price_return if outcome.price_return is not None else (long - (short or 0.0)) / 2
    gross = move if action is Action.BUY else -move
    return Scored(outcome.asset.symbol, outcome.as_of, outcome.resolved_at, gross, net, move, long)


def skill_weights(
    strategy: AggregationStrategy,
    providers: Sequence[str],
    outcomes: Sequence[Outcome],
    *,
    now: datetime,
    first: Mapping[str, float],
) -> dict[str, float]:
    """What a strategy that learns would weigh each of ``providers`` now, from the weights that settings give them."""
    if not providers or not outcomes:
        return {}
    # Every strategy of this kind weighs whoever votes, whatever the vote is.
    opinions = [Opinion(name, "", Action.HOLD, 50, "only to be weighed") for name in providers]
    ballot = ballot_of(outcomes[0].asset, now, opinions, EnsembleRules(strategy.name, first, 0), history=outcomes)
    return dict(strategy.combine(ballot).metadata.get("skill_weights", {}))
