"""Whether confidence is a probability: forecasts beside what happened, and how far apart they are.

A forecast says with p = confidence / 100 that a direction makes money after costs over the horizon; o is 1 where it
did. HOLDs say nothing of that kind, and neither does a confidence that never claimed to be a probability: both are
counted and left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from ffe_core.domain.decisions import Outcome, OutcomeKind
from ffe_core.domain.trading import Action
from ffe_core.learning.outcomes import ENOUGH, independent_of, wilson


@dataclass(frozen=True, slots=True)
class Forecast:
    """``percent`` is the confidence; ``rose``: whether buying would have been profitable after costs."""

    percent: int
    happened: bool
    rose: bool
    asset_pair: str
    as_of: datetime
    resolved_at: datetime

    @property
    def p(self) -> float:
        return self.percent / 100


@dataclass(frozen=True, slots=True)
class Sifted:
    """The forecasts of one voice, oldest first, and how many of its words are none and why."""

    forecasts: tuple[Forecast, ...]
    holds: int
    not_calibratable: int
    unscorable: int


@dataclass(frozen=True, slots=True)
class Bin:
    """Forecasts with ``low`` <= p < ``high`` (the last one with its end). ``interval``: Wilson 95 % of ``share``.

    ``independent`` counts forecasts whose horizons share no bar; the interval is for that many.
    """

    low: float
    high: float
    count: int
    independent: int
    mean_p: float
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Murphy:
    """``brier`` = ``reliability`` - ``resolution`` + ``uncertainty`` + ``within_variance`` - ``within_covariance``.

    The first three are Murphy's (1973, J. Appl. Meteorol. 12:595), exact where every forecast of a bin is the same;
    the last two are what binning different forecasts leaves over (Stephenson, Coelho and Jolliffe 2008, Weather and
    Forecasting 23:752, equation 5). Reliability is small, resolution large where forecasts are good.
    """

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float

    @property
    def skill(self) -> float | None:
        """1 - Brier / uncertainty: 0 is no better than always saying the base rate. ``None`` where all went one way."""
        return 1 - self.brier / self.uncertainty if self.uncertainty else None


@dataclass(frozen=True, slots=True)
class Baseline:
    """A forecaster to be better than: its hit rate with the Wilson 95 % interval, and its Brier score."""

    hit_rate: float
    interval: tuple[float, float]
    brier: float


@dataclass(frozen=True, slots=True)
class Report:
    """``murphy``, ``ece`` and ``bins`` are left out below ``ENOUGH`` forecasts.

    ``base_rate`` always says the share that happened, known afterwards only, and scores the uncertainty;
    ``always_up`` always says BUY, with the same confidences.
    """

    name: str
    count: int
    independent: int
    holds: int
    not_calibratable: int
    unscorable: int
    base_rate: Baseline | None
    always_up: Baseline | None
    murphy: Murphy | None
    ece: float | None
    bins: tuple[Bin, ...]

    @property
    def sufficient(self) -> bool:
        return self.count >= ENOUGH


# Forecasts


def forecasts_of(outcomes: Iterable[Outcome], provider: str) -> Sifted:
    """What one provider had said, at the horizon that it was asked about."""
    return _sifted(
        (outcome, outcome.provider_actions.get(provider), outcome.provider_confidences.get(provider), True)
        if provider in outcome.calibratable
        else (outcome, outcome.provider_actions.get(provider), None, False)
        for outcome in outcomes
        if provider in outcome.provider_actions
    )


def verdict_forecasts(outcomes: Iterable[Outcome]) -> Sifted:
    """What the panel had said as one voice, before quorum and failure factors.

    A mixture with a confidence that is no probability is none either: every voter's has to be one.
    """
    return _sifted(
        (
            outcome,
            outcome.verdict_action,
            outcome.raw_confidence,
            bool(outcome.provider_actions) and set(outcome.provider_actions) <= set(outcome.calibratable),
        )
        for outcome in outcomes
        if outcome.verdict_action is not None
    )


def _sifted(said: Iterable[tuple[Outcome, Action | None, int | None, bool]]) -> Sifted:
    forecasts: list[Forecast] = []
    holds = not_calibratable = unscorable = 0
    for outcome, action, confidence, claims in said:
        if outcome.kind is not OutcomeKind.HORIZON:
            continue
        if action is None or action is Action.HOLD:
            holds += 1
        elif not claims:
            not_calibratable += 1
        else:
            gain, long = outcome.net_of(action), outcome.net_of(Action.BUY)
            if confidence is None or gain is None or long is None or outcome.as_of is None:
                unscorable += 1
            else:
                spell = outcome.asset.symbol, outcome.as_of, outcome.resolved_at
                forecasts.append(Forecast(confidence, gain > 0, long > 0, *spell))
    forecasts.sort(key=lambda one: (one.resolved_at, one.as_of, one.asset_pair))
    return Sifted(tuple(forecasts), holds, not_calibratable, unscorable)


# Scores


def report(name: str, sifted: Sifted, *, bins: int = 10) -> Report:
    forecasts = sifted.forecasts
    binned = bins_of(forecasts, bins) if len(forecasts) >= ENOUGH else ()
    return Report(
        name,
        len(forecasts),
        _independent(forecasts),
        sifted.holds,
        sifted.not_calibratable,
        sifted.unscorable,
        _baseline(forecasts, [one.happened for one in forecasts], base=True),
        _baseline(forecasts, [one.rose for one in forecasts], base=False),
        murphy(forecasts, bins) if binned else None,
        expected_error(binned) if binned else None,
        binned,
    )


def brier_score(forecasts: Sequence[Forecast]) -> float:
    """Mean of (p - o)² (Brier 1950, Mon. Weather Rev. 78:1, in its form for two outcomes)."""
    return math.fsum((one.p - one.happened) ** 2 for one in forecasts) / len(forecasts)


def murphy(forecasts: Sequence[Forecast], bins: int) -> Murphy:
    """The parts of the Brier score; they add up to it. Raises ``ValueError`` without forecasts."""
    if not forecasts:
        raise ValueError("nothing was forecast")
    total = len(forecasts)
    base = sum(one.happened for one in forecasts) / total
    reliability, resolution, variance, covariance = [], [], [], []
    for group in _grouped(forecasts, bins).values():
        mean, share = _mean([one.p for one in group]), _mean([float(one.happened) for one in group])
        reliability.append(len(group) * (mean - share) ** 2)
        resolution.append(len(group) * (share - base) ** 2)
        variance += [(one.p - mean) ** 2 for one in group]
        covariance += [2 * (one.p - mean) * (one.happened - share) for one in group]
    return Murphy(
        brier_score(forecasts),
        math.fsum(reliability) / total,
        math.fsum(resolution) / total,
        base * (1 - base),
        math.fsum(variance) / total,
        math.fsum(covariance) / total,
    )


def bins_of(forecasts: Sequence[Forecast], bins: int) -> tuple[Bin, ...]:
    """The bins of equal width that hold anything, from low to high."""
    return tuple(_bin(place, bins, group) for place, group in sorted(_grouped(forecasts, bins).items()))


def expected_error(bins: Sequence[Bin]) -> float:
    """Σ n_b / n · |mean p_b - share_b| (Naeini, Cooper and Hauskrecht 2015, AAAI 29:2901)."""
    total = sum(one.count for one in bins)
    return math.fsum(one.count * abs(one.mean_p - one.share) for one in bins) / total


def _grouped(forecasts: Iterable[Forecast], bins: int) -> dict[int, list[Forecast]]:
    if bins < 1:
        raise ValueError(f"{bins} bins hold nothing")
    groups: dict[int, list[Forecast]] = {}
    for one in forecasts:
        # In whole numbers: 0.7 x 10 in floats is a hair below 7.
        groups.setdefault(min(one.percent * bins // 100, bins - 1), []).append(one)
    return groups


def _bin(place: int, bins: int, group: Sequence[Forecast]) -> Bin:
    share, independent = _mean([float(one.happened) for one in group]), _independent(group)
    return Bin(
        place / bins,
        (place + 1) / bins,
        len(group),
        independent,
        _mean([one.p for one in group]),
        share,
        wilson(share, independent),
    )


def _baseline(forecasts: Sequence[Forecast], happened: Sequence[bool], *, base: bool) -> Baseline | None:
    if not forecasts:
        return None
    rate = sum(happened) / len(happened)
    said = [rate if base else one.p for one in forecasts]
    brier = math.fsum((p - o) ** 2 for p, o in zip(said, happened, strict=True)) / len(said)
    return Baseline(rate, wilson(rate, _independent(forecasts)), brier)


def _independent(forecasts: Sequence[Forecast]) -> int:
    return independent_of((one.asset_pair, one.as_of, one.resolved_at) for one in forecasts)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
