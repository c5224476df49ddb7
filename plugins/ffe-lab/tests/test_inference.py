from __future__ import annotations

import math

import numpy as np
import pytest
from ffe_lab.inference import dsr, expected_max_sharpe, min_track_record_length, psr, shape_of, sharpe_variance
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

SHARPES = st.floats(-1, 1)
COUNTS = st.integers(2, 5000)


def test_psr_gives_the_published_probabilities_of_a_fund_of_24_months() -> None:
    # Bailey and Lopez de Prado 2012, section 4: 0.458 a month, 1.59 a year; first as if normal, then with its shape.
    sharpe = 0.458
    assert psr(sharpe, 24, 0.0, 3.0) == pytest.approx(0.982, abs=5e-4)
    assert psr(sharpe, 24, -2.448, 10.164) == pytest.approx(0.913, abs=5e-4)


@pytest.mark.parametrize(("periods", "years"), [(250, 2.73), (52, 2.83), (12, 3.24)])
def test_min_track_record_length_gives_the_published_years(periods: int, years: float) -> None:
    # 2012, section 5: an annual Sharpe ratio of 2 shown to be above 1 with 95 %, daily, weekly and monthly.
    root = math.sqrt(periods)
    length = min_track_record_length(2 / root, 0.0, 3.0, 1 / root)
    assert length is not None
    assert length / periods == pytest.approx(years, abs=6e-3)


def test_min_track_record_length_gives_the_published_years_of_a_hedge_fund_index() -> None:
    # 2012, section 5: monthly, skewness -0.72 and kurtosis 5.78, the same two Sharpe ratios.
    length = min_track_record_length(2 / math.sqrt(12), -0.72, 5.78, 1 / math.sqrt(12))
    assert length is not None
    assert length / 12 == pytest.approx(4.99, abs=6e-3)


def test_dsr_gives_the_published_example() -> None:
    # 2014, numerical example: annual Sharpe ratio 2.5 over five years of 250 days, variance 1/2, 100 trials.
    daily = 2.5 / math.sqrt(250)
    assert expected_max_sharpe(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)
    shaped = dsr(daily, 1250, -3.0, 10.0, variance=0.5 / 250, trials=100)
    assert shaped == pytest.approx(0.9004, abs=5e-5)
    assert dsr(daily, 1250, -3.0, 10.0, variance=0.5 / 250, trials=46) == pytest.approx(0.9505, abs=5e-5)
    assert dsr(daily, 1250, 0.0, 3.0, variance=0.5 / 250, trials=88) == pytest.approx(0.9505, abs=5e-5)


def test_dsr_wants_raw_kurtosis_where_a_peer_passes_excess() -> None:
    # The inputs of vectorbt's own test (risk-free 0.01 a period, five closes, moments over a leading zero), whose
    # answers are nan, nan and 0.00053556 because excess kurtosis makes variances negative.
    closes = np.array([[1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [1, 2, 3, 2, 1]], dtype=float)
    returns = closes[:, 1:] / closes[:, :-1] - 1
    sharpes = (returns - 0.01).mean(axis=1) / returns.std(axis=1, ddof=1)
    moments = [shape_of(np.concatenate([[0.0], row])) for row in returns]
    found = [
        dsr(float(sharpe), 5, *moment, variance=float(sharpes.var(ddof=1)), trials=3)
        for sharpe, moment in zip(sharpes, moments, strict=True)
    ]
    assert found == pytest.approx([0.29826210, 7.03e-7, 0.00067552], rel=2e-4)


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60))
def test_moments_are_those_of_scipy(values: list[float]) -> None:
    returns = np.array(values)
    skewness, kurtosis = shape_of(returns)
    if returns.std() > 1e-6:
        assert skewness == pytest.approx(stats.skew(returns), rel=1e-7, abs=1e-9)
        assert kurtosis == pytest.approx(stats.kurtosis(returns, fisher=False), rel=1e-7)
    assert math.isfinite(skewness) and math.isfinite(kurtosis)


@given(SHARPES, COUNTS, st.integers(1, 10**6), st.floats(0, 1))
def test_more_trials_never_make_a_sharpe_ratio_more_credible(
    sharpe: float, n: int, trials: int, variance: float
) -> None:
    alone = psr(sharpe, n, 0.0, 3.0)
    one = dsr(sharpe, n, 0.0, 3.0, variance=variance, trials=1)
    fewer = dsr(sharpe, n, 0.0, 3.0, variance=variance, trials=trials)
    more = dsr(sharpe, n, 0.0, 3.0, variance=variance, trials=2 * trials)
    assert one == alone
    assert fewer is not None and more is not None and alone is not None
    assert 0 <= more <= fewer <= alone <= 1


@given(st.floats(0.01, 1), st.floats(-2, 2), st.floats(0.6, 0.999))
def test_a_record_of_the_minimum_length_has_just_the_confidence(
    sharpe: float, skewness: float, confidence: float
) -> None:
    kurtosis = skewness**2 + 3
    length = min_track_record_length(sharpe, skewness, kurtosis, confidence=confidence)
    assert length is not None
    shape = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    assert sharpe * math.sqrt(length - 1) == pytest.approx(stats.norm.ppf(confidence) * math.sqrt(shape), rel=1e-6)


def test_no_length_shows_a_sharpe_ratio_that_is_not_above_the_benchmark() -> None:
    assert min_track_record_length(0.1, 0.0, 3.0, benchmark=0.1) is None
    assert min_track_record_length(-0.1, 0.0, 3.0) is None


def test_the_expected_maximum_is_that_of_simulated_tries() -> None:
    # The formula is the limit of extreme value theory: within two percent for a hundred tries.
    tries = np.random.default_rng(7).normal(0, 0.2, (20_000, 100)).max(axis=1).mean()
    assert expected_max_sharpe(0.04, 100) == pytest.approx(tries, rel=0.02)


def test_an_unknown_spread_of_trials_is_that_of_the_estimate() -> None:
    own = sharpe_variance(0.1, 500, -0.3, 4.0)
    assert dsr(0.1, 500, -0.3, 4.0, variance=None, trials=20) == dsr(0.1, 500, -0.3, 4.0, variance=own, trials=20)


def test_two_valued_returns_have_no_probability() -> None:
    # A fair coin that pays 1 or -1: skewness 0, kurtosis 1, and at a Sharpe ratio with skewness 1 / SR none is left.
    assert psr(1.0, 100, 1.0, 1.0) is None
    assert shape_of(np.full(10, 0.25)) == (0.0, 3.0)
    assert shape_of(np.empty(0)) == (0.0, 3.0)


def test_what_has_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="two is the least"):
        psr(0.1, 1, 0.0, 3.0)
    with pytest.raises(ValueError, match="no best one"):
        expected_max_sharpe(0.1, 0)
    with pytest.raises(ValueError, match="no best one"):
        expected_max_sharpe(float("nan"), 5)
