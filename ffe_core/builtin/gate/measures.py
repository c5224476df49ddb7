"""The arithmetic of the portfolio rules: value at risk by scenarios, correlation, exposure.

Returns are simple and daily, ``(day, return)`` with the day as ``2024-03-06``, oldest first. Sums are exactly rounded
(``fsum``), so that the same numbers give the same ruling on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal

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
    days = set.intersection(*(set(held) for held in series.values())) if series else set()
    return [math.fsum(weights[symbol] * series[symbol][day] for symbol in weights) for day in sorted(days)]


def paired(one: Returns, other: Returns, since: str) -> list[tuple[float, float]]:
    """The two returns of each day from ``since`` on that both series have."""
    second = dict(other)
    return [(value, second[day]) for day, value in one if day >= since and day in second]


def pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Pearson's correlation, in [-1, 1] to three decimals; ``None`` under ten pairs or where one side never moves."""
    count = len(pairs)
    if count < LEAST_POINTS:
        return None
    mean_x, mean_y = (math.fsum(pair[side] for pair in pairs) / count for side in (0, 1))
    xx = math.fsum((x - mean_x) ** 2 for x, _ in pairs)
    yy = math.fsum((y - mean_y) ** 2 for _, y in pairs)
    xy = math.fsum((x - mean_x) * (y - mean_y) for x, y in pairs)
    if any(min(pair[side] for pair in pairs) == max(pair[side] for pair in pairs) for side in (0, 1)) or not xx * yy:
        return None
    return round(min(1.0, max(-1.0, xy / math.sqrt(xx) / math.sqrt(yy))), 3)
