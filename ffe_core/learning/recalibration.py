"""From a confidence to the probability that it has turned out to mean, by what was known at an instant.

How flexible the curve may be depends on how much there is to fit it to: below 30 forecasts none, below 200 a logistic
one with two parameters, from there on an isotonic one.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ffe_core.domain.clock import require_utc
from ffe_core.learning.calibration import Forecast
from ffe_core.learning.outcomes import ENOUGH

#: forecasts from which on an isotonic curve is fitted
MANY = 200
_EDGE = 0.005
_NEWTON_STEPS = 100


class Curve(Protocol):
    """``name`` is ``identity``, ``logistic`` or ``isotonic``; ``fitted`` how many forecasts it rests on."""

    @property
    def name(self) -> str: ...

    @property
    def fitted(self) -> int: ...

    def __call__(self, p: float) -> float:
        """The probability that a forecast of ``p`` stands for, both 0-1; never falls where ``p`` rises."""
        ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Confidence as it is: there is too little to know better."""

    fitted: int = 0
    name: str = "identity"

    def __call__(self, p: float) -> float:
        return p


@dataclass(frozen=True, slots=True)
class Logistic:
    """1 / (1 + exp(-(intercept + slope · log(p / (1 - p))))): intercept 0 and slope 1 are the identity."""

    intercept: float
    slope: float
    fitted: int
    name: str = "logistic"

    def __call__(self, p: float) -> float:
        return _logistic(self.intercept + self.slope * _log_odds(p))


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Straight lines between ``points`` (p, probability), flat beyond the first and the last."""

    points: tuple[tuple[float, float], ...]
    fitted: int
    name: str = "isotonic"

    def __call__(self, p: float) -> float:
        after = bisect_right(self.points, p, key=lambda point: point[0])
        if after == 0:
            return self.points[0][1]
        if after == len(self.points):
            return self.points[-1][1]
        (left, low), (right, high) = self.points[after - 1], self.points[after]
        return low + (high - low) * (p - left) / (right - left)


def fit(forecasts: Iterable[Forecast], *, as_of: datetime) -> Curve:
    """The curve by the forecasts that were resolved by ``as_of``; later ones change nothing."""
    known = [one for one in forecasts if one.resolved_at <= require_utc(as_of)]
    if len(known) < ENOUGH:
        return Identity(len(known))
    said, happened = [one.p for one in known], [one.happened for one in known]
    return fit_logistic(said, happened) if len(known) < MANY else fit_isotonic(said, happened)


def fit_logistic(said: Sequence[float], happened: Sequence[bool]) -> Curve:
    """Two parameters by maximum likelihood, with the smoothed targets of Platt (1999, Advances in Large Margin
    Classifiers, section 2.2): (hits + 1) / (hits + 2) and 1 / (misses + 2), so that a lucky streak is no certainty.

    A slope below zero would turn forecasts round on the strength of a few: it is held at zero, which leaves the base
    rate. Newton's method; steps are halved while they do not improve.
    """
    hits = sum(happened)
    high, low = (hits + 1) / (hits + 2), 1 / (len(happened) - hits + 2)
    rows = [(_log_odds(p), high if came else low) for p, came in zip(said, happened, strict=True)]
    mean = math.fsum(target for _, target in rows) / len(rows)
    flat = Logistic(_log_odds(mean), 0.0, len(rows))
    if max(x for x, _ in rows) - min(x for x, _ in rows) < 1e-12:
        return flat
    intercept, slope = flat.intercept, 0.0
    for _ in range(_NEWTON_STEPS):
        chances = [_logistic(intercept + slope * x) for x, _ in rows]
        down_a = math.fsum(chance - target for chance, (_, target) in zip(chances, rows, strict=True))
        down_b = math.fsum((chance - target) * x for chance, (x, target) in zip(chances, rows, strict=True))
        weights = [chance * (1 - chance) for chance in chances]
        aa = math.fsum(weights)
        ab = math.fsum(weight * x for weight, (x, _) in zip(weights, rows, strict=True))
        bb = math.fsum(weight * x * x for weight, (x, _) in zip(weights, rows, strict=True))
        whole = aa * bb - ab * ab
        step_a, step_b = (bb * down_a - ab * down_b) / whole, (aa * down_b - ab * down_a) / whole
        size, before = 1.0, _cost(rows, intercept, slope)
        while size > 1e-9 and _cost(rows, intercept - size * step_a, slope - size * step_b) > before:
            size /= 2
        intercept, slope = intercept - size * step_a, slope - size * step_b
        if max(abs(step_a), abs(step_b)) < 1e-12:
            break
    return Logistic(intercept, slope, len(rows)) if slope > 0 else flat


def fit_isotonic(said: Sequence[float], happened: Sequence[bool]) -> Isotonic:
    """Least squares under the order alone: pool adjacent violators (Ayer and others 1955, Ann. Math. Stat. 26:641).

    Forecasts of the same p are one place.
    """
    at: dict[float, list[bool]] = {}
    for p, came in sorted(zip(said, happened, strict=True)):
        at.setdefault(p, []).append(came)
    # Each block: sum, count, and the places that it holds.
    blocks: list[tuple[int, int, list[float]]] = []
    for p, all_came in at.items():
        total, count, places = sum(all_came), len(all_came), [p]
        while blocks and blocks[-1][0] * count >= total * blocks[-1][1]:
            before = blocks.pop()
            total, count, places = total + before[0], count + before[1], [*before[2], *places]
        blocks.append((total, count, places))
    points = []
    for total, count, places in blocks:
        points += [(place, total / count) for place in dict.fromkeys((places[0], places[-1]))]
    return Isotonic(tuple(points), len(said))


def _cost(rows: Sequence[tuple[float, float]], intercept: float, slope: float) -> float:
    """The negative log likelihood of the targets."""
    scores = [intercept + slope * x for x, _ in rows]
    return math.fsum(
        max(score, 0.0) + math.log1p(math.exp(-abs(score))) - target * score
        for score, (_, target) in zip(scores, rows, strict=True)
    )


def _log_odds(p: float) -> float:
    """Held off 0 and 1, where confidence has no room left and the logarithm no value."""
    held = min(1 - _EDGE, max(_EDGE, p))
    return math.log(held / (1 - held))


def _logistic(score: float) -> float:
    if score >= 0:
        return 1 / (1 + math.exp(-score))
    raised = math.exp(score)
    return raised / (1 + raised)
