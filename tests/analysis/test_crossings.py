"""Crossings of two averages without keeping them: what the averages, kept, would have crossed at."""

import numpy as np
import pytest

from ffe_core.analysis.indicators import crossings, mean_crossings, sma


def walk(bars, kind):
    """Prices of a seeded walk; ``rounded`` and ``flat`` ones have averages that lie on neither side of each other."""
    prices = 100 * np.exp(np.cumsum(np.random.default_rng(bars).normal(0, 1e-3, bars)))
    if kind == "rounded":
        return np.round(prices)
    if kind == "flat":
        prices[bars // 3 : 2 * bars // 3] = 100.0
    if kind == "late":
        prices[: bars // 5] = np.nan
    return prices


@pytest.mark.parametrize("kind", ["any", "rounded", "flat", "late"])
@pytest.mark.parametrize("bars", [0, 1, 29, 30, 31, 1023, 1024, 1053, 1054, 4000])
def test_they_are_those_of_the_averages(bars, kind):
    prices = walk(bars, kind)
    for fast, slow in ((10, 30), (1, 2), (3, 700)):
        kept = crossings(*(np.asarray(sma(prices, period)) for period in (fast, slow)))
        for compiled in (False, True):
            assert np.array_equal(mean_crossings(prices, fast, slow, compiled=compiled), kept), (fast, slow, compiled)


def test_a_slow_average_that_is_not_slower_is_refused():
    with pytest.raises(ValueError, match="slow is 10; a whole number of at least 11"):
        mean_crossings(walk(50, "any"), 10, 10, compiled=True)
