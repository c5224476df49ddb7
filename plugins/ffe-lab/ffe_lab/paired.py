"""Is one forecaster better than another on the very same decisions? Paired tests, whose verdict may be "not shown".

Hits are compared by McNemar's exact test, probabilities by the test of Diebold and Mariano on their Brier scores, and
all tests of one report together by Holm's correction, because whoever compares many finds a winner by luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ffe_lab.student import two_sided_coin, two_sided_t

type Floats = NDArray[np.float64]

#: decisions that two must share before anything is called shown
FEWEST_PAIRS = 30
ALPHA = 0.05


class Relation(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    NOT_SHOWN = "not shown"


@dataclass(frozen=True, slots=True)
class McNemar:
    """``first_only`` decisions were hits of the first alone, ``second_only`` of the second; ``p`` is two-sided."""

    first_only: int
    second_only: int
    p: float


@dataclass(frozen=True, slots=True)
class DieboldMariano:
    """``difference``: mean loss of the first minus the second, negative where the first is better; ``p`` two-sided.

    ``statistic`` is ``None``, and ``p`` 1, where the losses never differ.
    """

    difference: float
    statistic: float | None
    p: float


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """What one forecaster said about a list of decisions that all share.

    ``hits`` float64[n]: 1 right, 0 wrong, NaN where it said nothing. ``brier`` float64[n]: (p - o)^2 of its probability
    p and what happened o (0 or 1), NaN where it gave none; ``None`` for one that never does.
    """

    hits: Floats
    brier: Floats | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first against the second on ``pairs`` decisions that both spoke about.

    The p values in ``hits`` and ``brier`` are plain; ``adjusted_hits`` and ``adjusted_brier`` are corrected for all
    tests of the report, and ``relation`` rests on those: better where one of them is below ``ALPHA`` in favour of the
    first and none against it.
    """

    first: str
    second: str
    pairs: int
    hits: McNemar
    brier: DieboldMariano | None
    adjusted_hits: float
    adjusted_brier: float | None
    relation: Relation


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> McNemar:
    """McNemar's exact test (1947) of bool[n] hits on the same n decisions.

    Only decisions that one got right and the other wrong say anything: were both equally good, each would fall either
    way like a fair coin. Raises ``ValueError`` for lists of different lengths.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} decisions are no pairs")
    ours, theirs = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    return McNemar(ours, theirs, two_sided_coin(ours, theirs))


def diebold_mariano(first: Floats, second: Floats, horizon: int = 1) -> DieboldMariano:
    """The test of Diebold and Mariano (1995) of float64[n] losses of forecasts ``horizon`` decisions ahead.

    With d the differences and g_k their autocovariances: mean(d) / sqrt((g_0 + 2 sum of g_k to k = h - 1) / n), times
    sqrt((n + 1 - 2h + h (h - 1) / n) / n), against Student's t with n - 1 degrees of freedom (Harvey, Leybourne and
    Newbold 1997). Where the plain sum is not positive, its terms are weighted by 1 - k / h (Newey and West 1987).
    Raises ``ValueError`` for lists of different lengths and fewer than two decisions or horizons of them.
    """
    n = len(first)
    if n != len(second):
        raise ValueError(f"{n} and {len(second)} losses are no pairs")
    if horizon < 1 or n < max(2, 2 * horizon):
        raise ValueError(
            f"{n} decisions say nothing about forecasts {horizon} ahead; at least {max(2, 2 * horizon)} do"
        )
    differences = first - second
    mean = float(differences.mean())
    variance = _long_run_variance(differences - mean, horizon)
    if not variance > (1e-14 * float(np.abs(differences).max(initial=0.0))) ** 2:
        return DieboldMariano(mean, None, 1.0)
    correction = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    statistic = mean / math.sqrt(variance / n) * math.sqrt(correction)
    return DieboldMariano(mean, statistic, two_sided_t(statistic, n - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): each p value as it counts among all of them, in the order given.

    The i-th smallest of m is multiplied by m + 1 - i; none ends below a smaller one or above 1.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted


def compare(voices: Mapping[str, Voice], *, horizon: int = 1, alpha: float = ALPHA) -> list[Comparison]:
    """Every pair of ``voices`` in their order, each on the decisions that both spoke about.

    ``horizon`` is how many decisions later one is known (1 where they do not overlap). Fewer than ``FEWEST_PAIRS``
    common decisions show nothing. Raises ``ValueError`` for voices about lists of different lengths.
    """
    if len({len(voice.hits) for voice in voices.values()}) > 1:
        raise ValueError("voices can only be compared on one list of decisions")
    found = [(one, other, *_test(voices[one], voices[other], horizon)) for one, other in combinations(voices, 2)]
    plain = [hits.p for _, _, _, hits, _ in found] + [brier.p for *_, brier in found if brier is not None]
    adjusted = iter(holm(plain))
    of_hits = [next(adjusted) for _ in found]
    of_brier = [None if brier is None else next(adjusted) for *_, brier in found]
    return [
        Comparison(*tested, p_hits, p_brier, _relation(*tested[2:], p_hits, p_brier, alpha))
        for tested, p_hits, p_brier in zip(found, of_hits, of_brier, strict=True)
    ]


def _test(one: Voice, other: Voice, horizon: int) -> tuple[int, McNemar, DieboldMariano | None]:
    both = ~np.isnan(one.hits) & ~np.isnan(other.hits)
    hits = mcnemar(one.hits[both] > 0.5, other.hits[both] > 0.5)
    pairs = int(np.count_nonzero(both))
    if one.brier is None or other.brier is None:
        return pairs, hits, None
    scored = ~np.isnan(one.brier) & ~np.isnan(other.brier)
    if np.count_nonzero(scored) < max(FEWEST_PAIRS, 2 * horizon):
        return pairs, hits, None
    return pairs, hits, diebold_mariano(one.brier[scored], other.brier[scored], horizon)


def _relation(
    pairs: int, hits: McNemar, brier: DieboldMariano | None, p_hits: float, p_brier: float | None, alpha: float
) -> Relation:
    shown = set()
    if pairs >= FEWEST_PAIRS and p_hits < alpha:
        shown.add(hits.first_only > hits.second_only)
    if brier is not None and p_brier is not None and p_brier < alpha:
        shown.add(brier.difference < 0)
    if len(shown) != 1:
        return Relation.NOT_SHOWN
    return Relation.BETTER if shown.pop() else Relation.WORSE


def _long_run_variance(centred: Floats, horizon: int) -> float:
    n = len(centred)
    lags = [float((centred[lag:] * centred[: n - lag]).sum()) / n for lag in range(horizon)]
    plain = lags[0] + 2 * sum(lags[1:])
    if plain > 0:
        return plain
    return lags[0] + 2 * sum((1 - lag / horizon) * value for lag, value in enumerate(lags[1:], 1))
