"""The arithmetic of the portfolio rules: value at risk by scenarios, correlation, exposure.

Returns are simple and daily, ``(day, return)`` with the day as ``2024-03-06``, oldest first. Sums are exactly rounded
(``fsum``), so that the same numbers give the same ruling on every machine.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from operator import itemgetter, mul

from ffe_core import Portfolio

ZERO = Decimal(0)
#: fewer points than these say nothing about how two series move together
LEAST_POINTS = 10
#: fewer days than these say nothing about the worst of them
LEAST_SCENARIOS = 30

type Returns = Sequence[tuple[str, float]]


def exposures(portfolio: Portfolio) -> dict[str, Decimal] | None:
    """Signed worth in account currency by symbol; ``None`` where one position cannot be valued."""
    found: dict[str, Decimal] = {}
    for held in portfolio.positions:
        value = held.value_in(portfolio.currency)
        if value is None:
            return None
        if held.quantity:
            found[held.asset.symbol] = found.get(held.asset.symbol, ZERO) + value
    return found


def value_at_risk(scenarios: Sequence[float], confidence: Decimal) -> tuple[float, float]:
    """``(VaR, CVaR)`` as fractions of equity, both at least zero, by historical simulation.

    With n returns sorted from the worst, VaR is the loss at index k = n(1 - c), rounded half to even in decimals and
    kept inside the list; CVaR is the mean loss of that return and all worse ones. Raises ``ValueError`` for none.
    """
    if not scenarios:
        raise ValueError("no scenario, no value at risk")
    ordered = sorted(scenarios)
    index = tail_index(len(ordered), confidence)
    worst = ordered[: index + 1]
    return max(0.0, -ordered[index]), max(0.0, -math.fsum(worst) / len(worst))


def tail_index(count: int, confidence: Decimal) -> int:
    """Where among ``count`` sorted returns the value at risk lies."""
    # In floats 50 x (1 - 0.95) is a little more than 2.5 and would be rounded up.
    index = int((count * (1 - confidence)).to_integral_value(ROUND_HALF_EVEN))
    return min(max(index, 0), count - 1)


def scenarios(weights: Mapping[str, float], returns: Mapping[str, Returns]) -> list[float]:
    """What a portfolio of these weights (signed, of equity) would have returned on each day that all series have."""
    if len(weights) == 1:
        # Nothing to meet with and nothing to add up.
        ((symbol, weight),) = weights.items()
        return [weight * value for _, value in sorted(returns[symbol])]
    series = {symbol: dict(returns[symbol]) for symbol in weights}
    days = sorted(set.intersection(*map(set, series.values()))) if series else []
    columns = [[weights[symbol] * held[day] for day in days] for symbol, held in series.items()]
    return list(map(math.fsum, zip(*columns, strict=True)))


@dataclass(frozen=True, slots=True, eq=False)
class Moves:
    """One series of returns as correlations are made of it; what does not hang on the other series is made once."""

    days: tuple[str, ...]
    values: tuple[float, ...]
    #: from the mean
    deviations: tuple[float, ...]
    #: of the deviations, summed up
    squares: float
    still: bool


def moves_since(returns: Returns, since: str) -> Moves:
    """Those of ``since`` and later."""
    return _moves(tuple(returns[bisect_left(returns, since, key=itemgetter(0)) :]))


# For a day these and their ties are the same for all who ask; what is made once is one object, and known as such.
@lru_cache(maxsize=64)
def _moves(returns: tuple[tuple[str, float], ...]) -> Moves:
    if not returns:
        return Moves((), (), (), 0.0, still=True)
    days, values = zip(*returns, strict=True)
    mean = math.fsum(values) / len(values)
    deviations = tuple([value - mean for value in values])
    squares = math.fsum([deviation**2 for deviation in deviations])
    return Moves(days, values, deviations, squares, min(values) == max(values))


@lru_cache(maxsize=512)
def tie(one: Moves, other: Moves) -> tuple[bool, float | None]:
    """Whether there are points enough to tell, and Pearson's correlation of the days that both series have.

    In [-1, 1] to three decimals; ``None`` under ten points or where one side never moves.
    """
    if one.days != other.days:
        one, other = _common(one, other), _common(other, one)
    if len(one.days) < LEAST_POINTS:
        return False, None
    if one.still or other.still or not one.squares * other.squares:
        return True, None
    both = math.fsum(map(mul, one.deviations, other.deviations))
    return True, round(min(1.0, max(-1.0, both / math.sqrt(one.squares) / math.sqrt(other.squares))), 3)


def _common(one: Moves, other: Moves) -> Moves:
    days = set(other.days)
    return _moves(tuple([(day, value) for day, value in zip(one.days, one.values, strict=True) if day in days]))
