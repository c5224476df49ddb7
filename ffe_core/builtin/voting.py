"""Built-in strategies: weighted, majority, average and best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from fractions import Fraction

from ffe_core import Action, AggregationStrategy, Ballot, Opinion, Verdict, hookimpl

_AMOUNT_STEP = Decimal("0.00000001")
_FINEST = 10**9


@dataclass(frozen=True, slots=True)
class Weighted:
    """Votes count by weight times confidence.

    The winner's confidence is the mean of its supporters' times (0.8 + 0.4 x its share of the power), truncated. An
    exact tie is a HOLD: nobody has shown that acting is better.
    """

    name: str = "weighted"

    def combine(self, ballot: Ballot) -> Verdict:
        powers = _powers(ballot)
        shares: dict[Action, Fraction] = {}
        for vote in ballot.opinions:
            shares[_action(vote)] = shares.get(_action(vote), Fraction(0)) + powers[vote.provider]
        top = max(shares.values())
        leaders = [action for action, share in shares.items() if share == top]
        supporters = [vote for vote in ballot.opinions if _action(vote) in leaders]
        confidence = int(_mean(supporters) * (Fraction(8, 10) + Fraction(4, 10) * top))
        return _verdict(
            leaders[0] if len(leaders) == 1 else Action.HOLD,
            min(100, confidence),
            supporters_first(ballot.opinions, leaders, tied=len(leaders) > 1),
            _weighted_amount(ballot.opinions, powers),
            voting_power={name: float(power) for name, power in powers.items()},
            action_votes={action.value: float(share) for action, share in shares.items()},
        )


@dataclass(frozen=True, slots=True)
class Majority:
    """The most frequent action; a tie goes to the action that stands first in the panel."""

    name: str = "majority"

    def combine(self, ballot: Ballot) -> Verdict:
        winner = _most_frequent(ballot.opinions)
        supporters = [vote for vote in ballot.opinions if vote.action is winner]
        return _verdict(
            winner, int(_mean(supporters)), supporters_first(ballot.opinions, [winner]), mean_amount(supporters)
        )


@dataclass(frozen=True, slots=True)
class Average:
    """The most frequent action with the mean confidence and amount of everyone, dissenters included."""

    name: str = "average"

    def combine(self, ballot: Ballot) -> Verdict:
        winner = _most_frequent(ballot.opinions)
        told = " | ".join(f"{vote.provider}: {vote.reasoning[:100]}" for vote in ballot.opinions)
        return _verdict(winner, int(_mean(ballot.opinions)), f"average of {told}", mean_amount(ballot.opinions))


@dataclass(frozen=True, slots=True)
class Best:
    """The most confident provider alone; a tie goes to the one that stands first in the panel."""

    name: str = "best"

    def combine(self, ballot: Ballot) -> Verdict:
        best = max(ballot.opinions, key=lambda vote: vote.confidence)
        return _verdict(
            _action(best),
            best.confidence,
            f"[{best.provider} alone] {best.reasoning}",
            best.amount,
            fallback_used=True,
            fallback_provider=best.provider,
        )


@hookimpl
def ffe_aggregation_strategies() -> Iterable[AggregationStrategy]:
    return (Weighted(), Majority(), Average(), Best())


def _action(vote: Opinion) -> Action:
    if vote.action is None:
        raise ValueError(f"{vote.provider} has no action")
    return vote.action


def _powers(ballot: Ballot) -> dict[str, Fraction]:
    """Weight times confidence, normalised; equal where every product is zero."""
    raw = {
        vote.provider: Fraction(ballot.weights[vote.provider]).limit_denominator(_FINEST) * vote.confidence
        for vote in ballot.opinions
    }
    total = sum(raw.values(), Fraction(0))
    if not raw:
        raise ValueError("nobody voted")
    if total == 0:
        return dict.fromkeys(raw, Fraction(1, len(raw)))
    return {name: power / total for name, power in raw.items()}


def _most_frequent(votes: Sequence[Opinion]) -> Action:
    if not votes:
        raise ValueError("nobody voted")
    # Counter keeps first-seen order, and so does most_common among equals: the panel's order breaks a tie.
    return Counter(_action(vote) for vote in votes).most_common(1)[0][0]


def _mean(votes: Sequence[Opinion]) -> Fraction:
    return Fraction(sum(vote.confidence for vote in votes), len(votes))


def mean_amount(votes: Sequence[Opinion]) -> Decimal | None:
    amounts = [Fraction(vote.amount) for vote in votes if vote.amount is not None]
    return _decimal(sum(amounts, Fraction(0)) / len(amounts)) if amounts else None


def _weighted_amount(votes: Sequence[Opinion], powers: dict[str, Fraction]) -> Decimal | None:
    told = [(powers[vote.provider], Fraction(vote.amount)) for vote in votes if vote.amount is not None]
    return _decimal(sum((power * amount for power, amount in told), Fraction(0))) if told else None


def _decimal(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(_AMOUNT_STEP, ROUND_HALF_EVEN)


def supporters_first(votes: Sequence[Opinion], leaders: Sequence[Action], *, tied: bool = False) -> str:
    supporters = [vote for vote in votes if _action(vote) in leaders]
    dissenters = [vote for vote in votes if _action(vote) not in leaders]
    head = "exact tie" if tied else f"{len(supporters)} of {len(votes)} for {leaders[0]}"
    told = [f"{vote.provider}: {vote.reasoning[:150]}" for vote in supporters]
    told += [f"against, {vote.provider} {vote.action}: {vote.reasoning[:100]}" for vote in dissenters]
    return f"{head} - " + " | ".join(told)


def _verdict(action: Action, confidence: int, reasoning: str, amount: Decimal | None, **facts: object) -> Verdict:
    return Verdict(action, confidence, confidence, reasoning, amount, facts)
