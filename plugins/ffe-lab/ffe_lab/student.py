"""The tails of Student's t and of coin tosses, exact to the last few digits, without a statistics library."""

from __future__ import annotations

import math

_TINY = 1e-300
_CONVERGED = 1e-16
_MOST_TERMS = 10_000


def regularised_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), between 0 and 1, by Lentz's continued fraction (Numerical Recipes, 6.4).

    Raises ``ValueError`` outside 0 <= x <= 1 and for a or b that are not positive.
    """
    if not 0 <= x <= 1 or not a > 0 or not b > 0:
        raise ValueError(f"the incomplete beta function has no value at {x} of ({a}, {b})")
    if x in {0.0, 1.0}:
        return x
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # The fraction converges fast on one side of the mean only; the other side is its mirror.
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(x, a, b) / a
    return 1 - front * _fraction(1 - x, b, a) / b


def two_sided_t(statistic: float, freedom: float) -> float:
    """P(|T| >= |statistic|) of Student's t with ``freedom`` degrees: I_(v / (v + t^2))(v / 2, 1 / 2)."""
    squared = statistic * statistic
    if squared < 1:
        # The same from the other end, where rounding the argument to nearly 1 would cost half the digits.
        return 1 - regularised_beta(squared / (freedom + squared), 0.5, freedom / 2)
    return regularised_beta(freedom / (freedom + squared), freedom / 2, 0.5)


def two_sided_coin(heads: int, tails: int) -> float:
    """P of a split at least as uneven as this one by a fair coin: min(1, 2 P(X <= min(heads, tails))).

    P(X <= k) of n tosses is I_(1/2)(n - k, k + 1). 1 for no toss. Raises ``ValueError`` for negative counts.
    """
    if heads < 0 or tails < 0:
        raise ValueError("a coin cannot fall fewer times than never")
    fewer, tosses = min(heads, tails), heads + tails
    if heads == tails:
        return 1.0
    return min(1.0, 2 * regularised_beta(0.5, tosses - fewer, fewer + 1))


def _fraction(x: float, a: float, b: float) -> float:
    c, d = 1.0, 1 / _kept(1 - (a + b) * x / (a + 1))
    found = d
    for term in range(1, _MOST_TERMS):
        even = term * (b - term) * x / ((a + 2 * term - 1) * (a + 2 * term))
        d, c = 1 / _kept(1 + even * d), _kept(1 + even / c)
        found *= d * c
        odd = -(a + term) * (a + b + term) * x / ((a + 2 * term) * (a + 2 * term + 1))
        d, c = 1 / _kept(1 + odd * d), _kept(1 + odd / c)
        found *= d * c
        if abs(d * c - 1) <= _CONVERGED:
            return found
    return found


def _kept(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
