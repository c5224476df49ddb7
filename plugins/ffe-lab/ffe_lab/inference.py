"""How much of a Sharpe ratio is luck: what its length, its shape and the number of tries make of it.

Everything here is per period, never annualised, and kurtosis is raw (3 for the normal distribution). Sources: Bailey
and Lopez de Prado, "The Sharpe Ratio Efficient Frontier", Journal of Risk 15(2), 2012, and "The Deflated Sharpe Ratio",
Journal of Portfolio Management 40(5), 2014.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]

EULER_GAMMA = 0.5772156649015329
_NORMAL = NormalDist()


def sharpe_variance(sharpe: float, n: int, skewness: float, raw_kurtosis: float) -> float:
    """Variance of an estimated Sharpe ratio: (1 - g3 SR + (g4 - 1) / 4 SR^2) / (n - 1).

    ``n`` periods, everything per period (Bailey and Lopez de Prado 2012, equation 8, after Mertens 2002). Raises
    ``ValueError`` for fewer than two periods.
    """
    if n < 2:
        raise ValueError(f"{n} returns have no Sharpe ratio to judge; two is the least")
    return _shape(sharpe, skewness, raw_kurtosis) / (n - 1)


def psr(sharpe: float, n: int, skewness: float, raw_kurtosis: float, benchmark: float = 0.0) -> float | None:
    """Probability that the true Sharpe ratio is above ``benchmark``: Phi((SR - SR*) / sqrt(variance of SR)).

    Between 0 and 1; ``sharpe`` and ``benchmark`` per period, ``n`` periods (2012, equation 11). ``None`` where the
    estimate has no variance, as for returns that only take two values. Raises ``ValueError`` for n < 2.
    """
    variance = sharpe_variance(sharpe, n, skewness, raw_kurtosis)
    if not variance > 0:
        return None
    return _NORMAL.cdf((sharpe - benchmark) / math.sqrt(variance))


def expected_max_sharpe(variance: float, trials: int) -> float:
    """The best Sharpe ratio that ``trials`` independent tries without any skill are expected to show, per period.

    SR0 = sqrt(V) ((1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))), V the variance of the tries' Sharpe ratios, g the constant of
    Euler and Mascheroni, Z the normal quantile (2014, equation 1). 0 for one try. Raises ``ValueError`` for none and
    for a negative variance.
    """
    if trials < 1 or not variance >= 0:
        raise ValueError(f"{trials} trials with a variance of {variance} have no best one")
    if trials == 1:
        return 0.0
    usual = _NORMAL.inv_cdf(1 - 1 / trials)
    rare = _NORMAL.inv_cdf(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * ((1 - EULER_GAMMA) * usual + EULER_GAMMA * rare)


def dsr(
    sharpe: float, n: int, skewness: float, raw_kurtosis: float, *, variance: float | None, trials: int
) -> float | None:
    """The deflated Sharpe ratio: the probability that the true one is above what the best of ``trials`` shows by luck.

    PSR(SR0), see ``expected_max_sharpe``; 2014, equation 2. ``variance`` of the tries' Sharpe ratios per period; where
    that is unknown (``None``), the variance of this one's estimate stands in: what tries without skill would differ by.
    """
    spread = sharpe_variance(sharpe, n, skewness, raw_kurtosis) if variance is None else variance
    return psr(sharpe, n, skewness, raw_kurtosis, expected_max_sharpe(max(spread, 0.0), trials))


def min_track_record_length(
    sharpe: float, skewness: float, raw_kurtosis: float, benchmark: float = 0.0, confidence: float = 0.95
) -> float | None:
    """Periods until a record like this one shows, with ``confidence``, a true Sharpe ratio above ``benchmark``.

    1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (Z(confidence) / (SR - SR*))^2 (2012, equation 13). ``None`` where the Sharpe
    ratio is not above the benchmark: no length is enough.
    """
    above = sharpe - benchmark
    if not above > 0:
        return None
    length = 1 + max(_shape(sharpe, skewness, raw_kurtosis), 0.0) * (_NORMAL.inv_cdf(confidence) / above) ** 2
    return length if math.isfinite(length) else None


def shape_of(returns: Floats) -> tuple[float, float]:
    """``(skewness, raw kurtosis)`` of float64[n]: m3 / m2^1.5 and m4 / m2^2 of the central moments m, uncorrected.

    ``(0, 3)``, the normal distribution's, where nothing varies.
    """
    if not len(returns):
        return 0.0, 3.0
    centred = returns - returns.mean()
    squared = centred * centred
    second = float(squared.mean())
    third, fourth = float((squared * centred).mean()), float((squared * squared).mean())
    if not second * second > 0:
        return 0.0, 3.0
    return third / second**1.5, fourth / second**2


def _shape(sharpe: float, skewness: float, raw_kurtosis: float) -> float:
    return 1 - skewness * sharpe + (raw_kurtosis - 1) / 4 * sharpe * sharpe
