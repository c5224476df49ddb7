"""Does a trader learn? Measures on the outcomes of closed trades, in the order in which they were closed.

``won`` bool[n] says which trades made money, ``pnl`` float64[n] what they made in account currency, ``providers`` whose
word each trade followed. A measure that needs more trades than there are is ``None``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ffe_core import NoData, Outcome, OutcomeKind

type Floats = NDArray[np.float64]
type Flags = NDArray[np.bool_]

ROLLING = 20
GOOD_WIN_RATE = 0.6
DRIFT_WINDOWS = 5
FEWEST_FOR_DRIFT = 100
RECENT = 50
FEWEST_FOR_CURVE = 40
#: of a trade that no provider had called for, such as one that a person asked for
NOBODY = "nobody"
#: the 97.5 % point of the normal distribution
_Z95 = 1.959963984540054
WIN_RATE_GAIN, PNL_GAIN = 0.05, 0.10


class Drift(StrEnum):
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


@dataclass(frozen=True, slots=True)
class SampleEfficiency:
    """``trades`` until the rolling win rate was good for the first time, ``None`` while it never was.

    ``speed`` is what the win rate of the last ``ROLLING`` trades gained on the first ones', a hundred trades; ``None``
    for fewer than two such windows.
    """

    trades: int | None
    speed: float | None


@dataclass(frozen=True, slots=True)
class ConceptDrift:
    """``win_rates`` of ``DRIFT_WINDOWS`` equal windows, their population ``deviation`` and what to call it."""

    win_rates: tuple[float, ...]
    deviation: float
    severity: Drift


@dataclass(frozen=True, slots=True)
class Exploration:
    """``rate`` = 1 - the share of the ``favourite`` in all trades, ``convergence`` its share in the last ``RECENT``."""

    favourite: str
    rate: float
    convergence: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Win rate and mean profit (account currency) of the first and the last quarter, and whether that is learning.

    ``gain_interval_95`` is Newcombe's of late - early win rate: where 0 lies in it, luck alone would do.
    """

    early_win_rate: float
    late_win_rate: float
    gain_interval_95: tuple[float, float]
    early_pnl: float
    late_pnl: float
    learning: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """The five parts of a learning report on ``trades`` closed trades."""

    trades: int
    sample_efficiency: SampleEfficiency
    cumulative_regret: float | None
    concept_drift: ConceptDrift | None
    exploration: Exploration | None
    learning_curve: LearningCurve | None


def progress(pnl: Floats, providers: Sequence[str]) -> Progress:
    """Every measure of this module on trades in the order of their closing; a trade at zero is no win.

    Raises ``ValueError`` for lists of different lengths and a profit that is no number.
    """
    if len(pnl) != len(providers):
        raise ValueError(f"{len(pnl)} trades and {len(providers)} providers are no outcomes")
    if not np.isfinite(pnl).all():
        raise ValueError("what a trade made is no number")
    won = pnl > 0
    return Progress(
        trades=len(pnl),
        sample_efficiency=sample_efficiency(won),
        cumulative_regret=cumulative_regret(pnl, providers),
        concept_drift=concept_drift(won),
        exploration=exploration(providers),
        learning_curve=learning_curve(won, pnl),
    )


def sample_efficiency(won: Flags) -> SampleEfficiency:
    """Trades until a win rate of 60 % over the last 20, and (late - early win rate) / (trades / 100)."""
    n = len(won)
    if n < ROLLING:
        return SampleEfficiency(None, None)
    wins = np.cumsum(np.concatenate(([0], won)), dtype=np.int64)
    rolling = wins[ROLLING:] - wins[:-ROLLING]
    good = np.flatnonzero(rolling >= round(GOOD_WIN_RATE * ROLLING))
    speed = float(rolling[-1] - rolling[0]) / ROLLING / (n / 100) if n >= 2 * ROLLING else None
    return SampleEfficiency(int(good[0]) + ROLLING if len(good) else None, speed)


def cumulative_regret(pnl: Floats, providers: Sequence[str]) -> float | None:
    """What following the best provider would have made more: sum over trades of (its mean profit - the profit made).

    Best is, in hindsight, the provider with the highest mean profit over its own trades. Account currency, at least 0
    but for rounding; ``None`` without trades.
    """
    if not len(pnl):
        return None
    names = np.array(providers)
    best = max(float(pnl[names == name].mean()) for name in dict.fromkeys(providers))
    return best * len(pnl) - float(pnl.sum())


def concept_drift(won: Flags) -> ConceptDrift | None:
    """The deviation of win rates over five equal windows: above 0.15 HIGH, above 0.08 MEDIUM.

    Windows differ by one trade where their number is no multiple of five. ``None`` for fewer than 100 trades.
    """
    if len(won) < FEWEST_FOR_DRIFT:
        return None
    rates = [float(window.mean()) for window in np.array_split(won, DRIFT_WINDOWS)]
    deviation = float(np.std(rates))
    severity = Drift.HIGH if deviation > 0.15 else Drift.MEDIUM if deviation > 0.08 else Drift.LOW
    return ConceptDrift(tuple(rates), deviation, severity)


def exploration(providers: Sequence[str]) -> Exploration | None:
    """How far trades follow one provider. Of several favourites the first seen counts; ``None`` without trades."""
    if not providers:
        return None
    favourite, count = Counter(providers).most_common(1)[0]
    recent = providers[-RECENT:]
    return Exploration(favourite, 1 - count / len(providers), list(recent).count(favourite) / len(recent))


def learning_curve(won: Flags, pnl: Floats) -> LearningCurve | None:
    """The first quarter of trades against the last; ``None`` for fewer than 40.

    Learning is a win rate that is at least five points higher, or a mean profit that is higher by at least a tenth of
    the early one's size.
    """
    if len(won) < FEWEST_FOR_CURVE:
        return None
    quarter = len(won) // 4
    early, late = float(won[:quarter].mean()), float(won[-quarter:].mean())
    before, after = float(pnl[:quarter].mean()), float(pnl[-quarter:].mean())
    more_wins = round(late - early, 12) >= WIN_RATE_GAIN
    more_profit = after > before and after - before >= PNL_GAIN * abs(before)
    interval = difference_interval(early, late, quarter)
    return LearningCurve(early, late, interval, before, after, more_wins or more_profit)


def difference_interval(one: float, other: float, count: int, other_count: int | None = None) -> tuple[float, float]:
    """The 95 % interval of ``other - one``, shares of ``count`` and ``other_count`` trades (as many, if not given).

    Newcombe 1998, "Interval estimation for the difference between independent proportions", method 10.
    """
    low, high = _wilson(one, count)
    other_low, other_high = _wilson(other, count if other_count is None else other_count)
    gain = other - one
    return gain - math.hypot(other - other_low, high - one), gain + math.hypot(other_high - other, one - low)


def _wilson(share: float, count: int) -> tuple[float, float]:
    square = _Z95**2
    middle = share + square / (2 * count)
    reach = _Z95 * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return (middle - reach) / (1 + square / count), (middle + reach) / (1 + square / count)


@dataclass(frozen=True, slots=True)
class Closed:
    """Trades in the order in which they were closed, all of them in one ``currency``.

    ``elsewhere`` counts those in other currencies, which no sum can hold.
    """

    currency: str
    pnl: Floats
    providers: tuple[str, ...]
    first: datetime
    last: datetime
    elsewhere: int

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Of the currency that most trades are in. Raises ``NoData`` for fewer trades than any measure needs."""
        closed = sorted(filter(is_closed, outcomes), key=lambda one: (one.resolved_at, one.decision_id))
        counts = Counter(one.asset.quote for one in closed)
        currency = max(counts, key=lambda name: (counts[name], name), default="")
        own = [one for one in closed if one.asset.quote == currency]
        if len(own) < ROLLING:
            told = f" in {currency}" if len(counts) > 1 else ""
            raise NoData(f"{len(own)} closed trades{told} say nothing about learning; it takes {ROLLING}")
        pnl = np.array([float(one.pnl or 0) for one in own])
        followed = tuple(followed_by(one) for one in own)
        return cls(currency, pnl, followed, own[0].resolved_at, own[-1].resolved_at, len(closed) - len(own))


def is_closed(outcome: Outcome) -> bool:
    """Whether it is that of a trade, and not what the market did after a decision."""
    return outcome.kind is OutcomeKind.TRADE and outcome.pnl is not None


def followed_by(outcome: Outcome) -> str:
    """Of the providers that called for the trade the surest one, of equals the first by name."""
    said = outcome.provider_confidences
    callers = sorted(name for name, action in outcome.provider_actions.items() if action is outcome.action)
    return max(callers, key=lambda name: said.get(name, 0), default=NOBODY)
