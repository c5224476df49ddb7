import pytest

from ffe_core.analysis import indicators
from ffe_core.analysis.indicators import standard_set, standard_sets
from ffe_core.testing import make_candles


@pytest.mark.parametrize(("compiled", "threads_from"), [(True, 1), (True, 10**9), (False, 1)])
def test_many_series_at_once_have_the_same_bits_in_the_same_order(monkeypatch, compiled, threads_from):
    monkeypatch.setattr(indicators, "THREADS_PAY_FROM", threads_from)
    many = [make_candles(bars=120 + 10 * seed, seed=seed) for seed in range(4)]
    for together, candles in zip(standard_sets(many, compiled=compiled), many, strict=True):
        alone = standard_set(candles, compiled=compiled)
        assert [list(map(repr, column)) for column in together] == [list(map(repr, column)) for column in alone]
