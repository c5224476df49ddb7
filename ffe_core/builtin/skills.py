"""Built-in strategies that learn from recorded outcomes: hedge, thompson and stacking.

All three judge a provider by what the price did after its own call, whatever was decided then, and know only outcomes
that were resolved by the ballot's instant. Each is a pure function of the ballot: nothing is kept between ballots.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ffe_core import Action, AggregationStrategy, Ballot, Opinion, Outcome, Verdict, hookimpl
from ffe_core.builtin.voting import Weighted, mean_amount, supporters_first

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: the order of classes in the fitted model
_CLASSES = (Action.BUY, Action.SELL, Action.HOLD)
_NEWTON_STEPS = 50
#: holds the one direction that the likelihood leaves free: the same constant added to all intercepts
_TIE = 1e-6


class SkillsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    hedge_rate: float = Field(
        default=0.5,
        gt=0,
        le=0.5,
        description="how fast hedge turns away from who was wrong; its guarantee needs 0.5 or less",
    )
    hedge_floor: float = Field(
        default=0.0, ge=0, le=0.2, description="least weight of a provider under hedge; above 0 voids its guarantee"
    )
    history: int = Field(
        default=200, ge=1, le=100_000, description="newest outcomes that hedge and thompson learn from"
    )
    stacking_outcomes: int = Field(
        default=100, ge=30, le=100_000, description="recorded outcomes that stacking needs before it answers"
    )
    stacking_window: int = Field(
        default=2000, ge=30, le=100_000, description="newest outcomes that stacking is trained on"
    )
    stacking_penalty: float = Field(
        default=1.0, gt=0, le=1e6, description="how strongly stacking is drawn towards the base rates"
    )

    @model_validator(mode="after")
    def _window_holds_enough(self) -> Self:
        if self.stacking_window < self.stacking_outcomes:
            raise ValueError(
                f"stacking_window {self.stacking_window} is below stacking_outcomes {self.stacking_outcomes}: "
                "it would never answer"
            )
        return self


@dataclass(frozen=True, slots=True)
class Hedge:
    """Exponentially weighted providers (Vovk 1990; Cesa-Bianchi and Lugosi 2006, section 3.3).

    A weight falls with exp(-rate x cumulative Brier score). Who made no directional call in a round is asleep in it
    and takes the loss of the others' mixture (Freund et al. 1997), so that saying HOLD is no way to the top. With
    equal first weights, no floor and a rate up to 0.5 the Brier score of the weighted mean exceeds no provider's by
    more than ln(N) / rate over the rounds in which that provider called.
    """

    rate: float = 0.5
    floor: float = 0.0
    history: int = 200
    name: str = "hedge"

    def combine(self, ballot: Ballot) -> Verdict:
        history = known_outcomes(ballot)
        weights = hedge_weights(_first_weights(ballot), history, rate=self.rate, floor=self.floor)
        return _by_skill(ballot, weights, outcomes=len(history))


@dataclass(frozen=True, slots=True)
class Thompson:
    """Weights drawn from what is believed of each provider's hit rate: Beta(1 + hits, 1 + misses) (Thompson 1933).

    A hit is the action that the market rewarded. The draw depends on the ballot's seed and on the provider's own
    name, so that nobody's failure changes another's.
    """

    history: int = 200
    name: str = "thompson"

    def combine(self, ballot: Ballot) -> Verdict:
        history = known_outcomes(ballot)
        first = _first_weights(ballot)
        beliefs = {name: beta_belief(history, name) for name in first}
        drawn = {
            name: weight * random.Random(f"{ballot.seed}|{name}").betavariate(*beliefs[name])
            for name, weight in first.items()
        }
        return _by_skill(ballot, _shares(drawn), outcomes=len(history), beliefs=beliefs)


@dataclass(frozen=True, slots=True)
class Stacking:
    """A multinomial logistic regression from the shape of the vote to the action that the market rewarded.

    It sees shares and confidences, never amounts, whose units differ. It is trained on the ballot's own history and
    declines with ``ValueError`` until there is enough of it. An action that nobody proposed is not taken.
    """

    outcomes: int = 100
    window: int = 2000
    penalty: float = 1.0
    name: str = "stacking"

    @property
    def history(self) -> int:
        return self.window

    def combine(self, ballot: Ballot) -> Verdict:
        votes = ballot.opinions
        _first_weights(ballot)
        rows, labels = training_set(known_outcomes(ballot)[-self.window :])
        if len(rows) < self.outcomes:
            raise ValueError(f"{len(rows)} recorded outcomes, {self.outcomes} are needed before it answers")
        if len(set(labels)) < 2:
            raise ValueError(f"all {len(rows)} recorded outcomes rewarded {labels[0]}: nothing to learn from")
        row = vote_shape([_action(vote) for vote in votes], [vote.confidence for vote in votes])
        chances = predict(rows, labels, row, penalty=self.penalty)
        best = max(chances.values())
        leaders = [action for action, chance in chances.items() if chance == best]
        action = leaders[0] if len(leaders) == 1 else Action.HOLD
        if all(vote.action is not action for vote in votes):
            action = Action.HOLD
        confidence = int(100 * chances[action])
        reasoning = f"trained on {len(rows)} outcomes - {supporters_first(votes, [action])}"
        facts = {"chances": {one.value: chance for one, chance in chances.items()}, "outcomes": len(rows)}
        return Verdict(action, confidence, confidence, reasoning, mean_amount(votes), facts)


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return SkillsSettings


@hookimpl
def ffe_aggregation_strategies(settings: SkillsSettings) -> Iterable[AggregationStrategy]:
    return (
        Hedge(settings.hedge_rate, settings.hedge_floor, settings.history),
        Thompson(settings.history),
        Stacking(settings.stacking_outcomes, settings.stacking_window, settings.stacking_penalty),
    )


def known_outcomes(ballot: Ballot) -> list[Outcome]:
    """Each decision's first scorable outcome of those resolved by the ballot's instant, oldest first."""
    scored: dict[str, Outcome] = {}
    for outcome in sorted(ballot.history, key=lambda outcome: (outcome.resolved_at, outcome.decision_id)):
        if outcome.resolved_at <= ballot.as_of and _is_scorable(outcome):
            scored.setdefault(outcome.decision_id, outcome)
    return list(scored.values())


def _is_scorable(outcome: Outcome) -> bool:
    gains = [outcome.net_of(action) for action in (Action.BUY, Action.SELL)]
    return all(gain is not None and math.isfinite(gain) for gain in gains)


def hedge_weights(
    first: Mapping[str, float], history: Iterable[Outcome], *, rate: float = 0.5, floor: float = 0.0
) -> dict[str, float]:
    """Weights that sum to one after ``history``, from the ``first`` ones, which do too."""
    logs = {name: math.log(weight) if weight > 0 else -math.inf for name, weight in first.items()}
    for outcome in history:
        losses = {name: loss for name in logs if (loss := brier(outcome, name)) is not None}
        awake = {name: logs[name] for name in losses if logs[name] > -math.inf}
        if not awake:
            continue
        # What the mixture of those awake lost, in logs: it is given back to them, so that who sleeps stays in place.
        mixed = _log_sum(awake.values()) - _log_sum(held - rate * losses[name] for name, held in awake.items())
        for name in awake:
            logs[name] += mixed - rate * losses[name]
    top = max(logs.values())
    shares = _shares({name: math.exp(held - top) for name, held in logs.items()})
    if floor * len(shares) >= 1:
        return dict.fromkeys(shares, 1 / len(shares))
    return {name: floor + (1 - floor * len(shares)) * share for name, share in shares.items()}


def _log_sum(logs: Iterable[float]) -> float:
    held = list(logs)
    top = max(held)
    return top + math.log(math.fsum(math.exp(one - top) for one in held))


def brier(outcome: Outcome, provider: str) -> float | None:
    """(p - o)² of a provider's directional call, 0-1: o is 1 where the direction was profitable after costs.

    ``None`` where it made none: a HOLD's confidence is no probability.
    """
    action, confidence = outcome.provider_actions.get(provider), outcome.provider_confidences.get(provider)
    if action is None or action is Action.HOLD or confidence is None:
        return None
    gain = outcome.net_of(action)
    if gain is None:
        return None
    return (min(100, max(0, confidence)) / 100 - (gain > 0)) ** 2


def beta_belief(history: Iterable[Outcome], provider: str) -> tuple[int, int]:
    """1 + hits and 1 + misses of a provider."""
    judged = [
        outcome.provider_actions[provider] is outcome.rewarded
        for outcome in history
        if provider in outcome.provider_actions
    ]
    return 1 + sum(judged), 1 + len(judged) - sum(judged)


def vote_shape(actions: Sequence[Action], confidences: Sequence[int]) -> list[float]:
    """Shares of BUY, SELL and HOLD, mean, deviation and range of confidence, and how many actions were named: 0-1."""
    count = len(actions)
    mean = Fraction(sum(confidences), count)
    variance = sum(((one - mean) ** 2 for one in confidences), Fraction(0)) / count
    return [
        *(sum(one is action for one in actions) / count for action in _CLASSES),
        float(mean) / 100,
        math.sqrt(variance) / 100,
        (max(confidences) - min(confidences)) / 100,
        len(set(actions)) / len(_CLASSES),
    ]


def training_set(history: Iterable[Outcome]) -> tuple[list[list[float]], list[Action]]:
    """Of each outcome with votes: their shape, in the order of the providers' names, and the rewarded action."""
    rows, labels = [], []
    for outcome in history:
        names = sorted(set(outcome.provider_actions) & set(outcome.provider_confidences))
        rewarded = outcome.rewarded
        if names and rewarded is not None:
            actions = [outcome.provider_actions[name] for name in names]
            rows.append(vote_shape(actions, [outcome.provider_confidences[name] for name in names]))
            labels.append(rewarded)
    return rows, labels


def predict(
    rows: Sequence[Sequence[float]], labels: Sequence[Action], row: Sequence[float], *, penalty: float
) -> dict[Action, float]:
    """The chance of each action for ``row``, rounded so that the last bits of a sum decide nothing."""
    import numpy as np

    seen = np.asarray(rows, dtype=np.float64)
    middle, spread = seen.mean(axis=0), seen.std(axis=0)
    # A feature that never varied says nothing: it becomes zero, and stays so for the present vote.
    scale = np.where(spread > 1e-12, spread, np.inf)
    present = [action for action in _CLASSES if action in labels]
    chosen = np.asarray([present.index(label) for label in labels])
    fitted = fit((seen - middle) / scale, chosen, classes=len(present), penalty=penalty)
    scores = np.append((np.asarray(row) - middle) / scale, 1.0) @ fitted.T
    chances = np.exp(scores - scores.max())
    told = dict(zip(present, (chances / chances.sum()).tolist(), strict=True))
    return {action: round(told.get(action, 0.0), 9) for action in _CLASSES}


def fit(
    features: NDArray[np.float64], chosen: NDArray[np.int64], *, classes: int, penalty: float
) -> NDArray[np.float64]:
    """Coefficients of a multinomial logistic regression, one row a class, the intercept last.

    Newton's method on the negative log likelihood plus ``penalty`` / 2 x the squared slopes (Bishop 2006, 4.3.4);
    steps are halved while they do not improve it.
    """
    import numpy as np

    known = np.column_stack([features, np.ones(len(features))])
    truth = np.eye(classes)[chosen]
    width = known.shape[1]
    pull = np.tile(np.append(np.full(width - 1, penalty), _TIE), (classes, 1))

    def chances(held: NDArray[np.float64]) -> NDArray[np.float64]:
        scores = known @ held.T
        raised: NDArray[np.float64] = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return shares

    def cost(held: NDArray[np.float64]) -> float:
        likely = np.maximum((chances(held) * truth).sum(axis=1), 1e-300)
        return float(-np.log(likely).sum() + (pull * held**2).sum() / 2)

    held: NDArray[np.float64] = np.zeros((classes, width))
    for _ in range(_NEWTON_STEPS):
        guess = chances(held)
        slope = (guess - truth).T @ known + pull * held
        curve = np.diag(pull.ravel())
        for one in range(classes):
            for other in range(classes):
                share = guess[:, one] * ((one == other) - guess[:, other])
                block = (known * share[:, None]).T @ known
                curve[one * width : (one + 1) * width, other * width : (other + 1) * width] += block
        step = np.linalg.solve(curve, slope.ravel()).reshape(held.shape)
        size, before = 1.0, cost(held)
        while size > 1e-6 and cost(held - size * step) > before:
            size /= 2
        held = held - size * step
        if float(np.abs(step).max()) < 1e-10:
            break
    return held


def _action(vote: Opinion) -> Action:
    if vote.action is None:
        raise ValueError(f"{vote.provider} has no action")
    return vote.action


def _first_weights(ballot: Ballot) -> dict[str, float]:
    if not ballot.opinions:
        raise ValueError("nobody voted")
    return _shares({vote.provider: ballot.weights[vote.provider] for vote in ballot.opinions})


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    """Scaled to sum to one, whatever their order; equal where all are zero."""
    total = math.fsum(weights.values())
    if not math.isfinite(total) or any(weight < 0 for weight in weights.values()):
        raise ValueError("a weight is a number of zero or more")
    if total == 0:
        return dict.fromkeys(weights, 1 / len(weights))
    return {name: weight / total for name, weight in weights.items()}


def _by_skill(ballot: Ballot, weights: Mapping[str, float], **facts: object) -> Verdict:
    """The weighted vote under weights that were earned; agreement is counted in them too."""
    verdict = Weighted().combine(replace(ballot, weights=weights))
    behind = math.fsum(weights[vote.provider] for vote in ballot.opinions if vote.action is verdict.action)
    told = {**verdict.metadata, "skill_weights": dict(weights), "agreement_score": min(1.0, behind), **facts}
    return replace(verdict, metadata=told)
