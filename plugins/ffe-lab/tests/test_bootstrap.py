from __future__ import annotations

import numpy as np
import pytest
from ffe_lab.bootstrap import Interval, Intervals, intervals, mean_block, paths, resample
from ffe_lab.metrics import sharpe_ratio
from ffe_lab.trades import Floats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from ffe_core import AssetKind

CRYPTO = AssetKind.CRYPTO


def correlated(days: int = 700) -> Floats:
    returns = np.random.default_rng(20240229).normal(0.001, 0.02, days)
    returns[1:] += 0.3 * returns[:-1]
    return returns


def indices(days: int, block: int, resamples: int, seed: int = 0) -> Floats:
    return np.concatenate(list(paths(days, block=block, resamples=resamples, seed=seed)))


def test_intervals_are_those_of_arch() -> None:
    # arch 8.0.0: StationaryBootstrap(9, returns, seed=1), 400,000 resamples, quantiles 0.025 and 0.975 and means.
    found = resample(correlated(), CRYPTO, resamples=20_000, seed=3)
    expected = {
        "total_return": (-0.7069, 4.0863, 0.6102, 1.3290),
        "sharpe": (-1.4179, 2.3779, 0.4837, 0.9681),
        "max_drawdown": (0.2769, 0.8046, 0.5177, 0.1410),
    }
    for name, (low, high, mean, deviation) in expected.items():
        values = getattr(found, name)
        assert np.quantile(values, [0.025, 0.975]) == pytest.approx([low, high], abs=0.08 * deviation), name
        assert values.mean() == pytest.approx(mean, abs=0.03 * deviation), name
        assert values.std() == pytest.approx(deviation, rel=0.03), name


def test_the_mean_of_resamples_has_the_variance_that_politis_and_romano_derive() -> None:
    # Lemma 1: (c0 + 2 sum (1 - i/n) (1 - p)^i c_i) / n with circular autocovariances c, exact for any series.
    returns, block = correlated(40), 4
    centred = returns - returns.mean()
    lags = [float((centred * np.roll(centred, -lag)).mean()) for lag in range(40)]
    weights = [(1 - lag / 40) * (1 - 1 / block) ** lag for lag in range(40)]
    variance = (lags[0] + 2 * sum(weight * lag for weight, lag in zip(weights[1:], lags[1:], strict=True))) / 40
    means = returns[indices(40, block, 100_000)].mean(axis=1)
    assert means.mean() == pytest.approx(returns.mean(), abs=4 * (variance / 100_000) ** 0.5)
    assert means.var() == pytest.approx(variance, rel=0.02)


def test_blocks_begin_anywhere_alike_and_have_geometric_lengths() -> None:
    days, block = 50, 5
    found = indices(days, block, 4000)
    assert stats.chisquare(np.bincount(found.ravel(), minlength=days)).pvalue > 1e-4
    follows = (found[:, 1:] - found[:, :-1]) % days == 1
    # A new block follows by chance as well, at one of fifty days.
    assert follows.mean() == pytest.approx(1 - 1 / block + 1 / block / days, abs=0.004)
    lengths = [run for row in follows for run in np.diff(np.flatnonzero(~np.r_[False, row, False])) if run < days]
    expected = 1 / (1 / block * (1 - 1 / days))
    assert np.mean(lengths) == pytest.approx(expected, rel=0.08)


@given(st.integers(1, 100), st.integers(1, 20), st.integers(1, 60))
def test_every_path_is_as_long_as_the_history_and_made_of_its_days(days: int, block: int, resamples: int) -> None:
    found = indices(days, block, resamples)
    assert found.shape == (resamples, days)
    assert found.min() >= 0 and found.max() < days


def test_one_endless_block_is_the_history_from_some_day_on() -> None:
    for row in indices(30, 10**9, 50):
        assert row.tolist() == np.roll(np.arange(30), -row[0]).tolist()


@pytest.mark.parametrize(
    ("days", "length"), [(1, 1), (8, 2), (9, 3), (27, 3), (28, 4), (1000, 10), (1001, 11), (1500, 12)]
)
def test_blocks_are_the_cube_root_of_the_days_rounded_up(days: int, length: int) -> None:
    assert mean_block(days) == length


def test_the_same_seed_gives_the_same_paths_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    first = indices(300, 7, 200)
    monkeypatch.setattr("ffe_lab.bootstrap._CHUNK", 1000)
    assert (indices(300, 7, 200) == first).all()
    assert (indices(300, 7, 200, seed=1) != first).any()


def test_what_is_measured_are_the_paths_that_are_drawn() -> None:
    returns = correlated(300)
    drawn = returns[indices(300, mean_block(300), 500, seed=4)]
    course = np.cumprod(np.hstack((np.ones((500, 1)), 1 + drawn)), axis=1)
    found = resample(returns, CRYPTO, resamples=500, seed=4)
    assert found.total_return == pytest.approx(course[:, -1] - 1)
    assert found.sharpe == pytest.approx(drawn.mean(axis=1) / drawn.std(axis=1, ddof=1) * 365**0.5)
    assert found.max_drawdown == pytest.approx((1 - course / np.maximum.accumulate(course, axis=1)).max(axis=1))


def test_the_same_seed_gives_the_same_interval() -> None:
    returns = correlated(300)
    assert intervals(returns, CRYPTO) == intervals(returns, CRYPTO)
    assert intervals(returns, CRYPTO, seed=1) != intervals(returns, CRYPTO)


def test_an_interval_holds_the_measures_of_the_history() -> None:
    returns = correlated(500)
    found = intervals(returns, CRYPTO, 0.02)
    sharpe = sharpe_ratio(returns, CRYPTO, 0.02)
    assert found.sharpe is not None and found.total_return is not None and sharpe is not None
    assert found.sharpe.low < sharpe < found.sharpe.high
    assert found.total_return.low < np.prod(1 + returns) - 1 < found.total_return.high
    wide = intervals(returns, CRYPTO, 0.02, confidence=0.99).sharpe
    assert wide is not None and wide.low < found.sharpe.low and found.sharpe.high < wide.high


def test_few_days_have_no_interval() -> None:
    assert intervals(correlated(29), CRYPTO) == Intervals(None, None, None)


def test_a_history_without_any_change_has_no_sharpe_ratio() -> None:
    found = intervals(np.zeros(60), CRYPTO)
    assert found == Intervals(Interval(0.0, 0.0), None, Interval(0.0, 0.0))


def test_what_is_lost_stays_lost() -> None:
    returns = correlated(60)
    returns[30], returns[31] = -1.5, -2.0
    found = resample(returns, CRYPTO, resamples=200)
    lost = found.total_return == -1.0
    assert lost.any() and (found.max_drawdown[lost] == 1.0).all() and found.max_drawdown.max() == 1.0


@pytest.mark.slow
@given(arrays(np.float64, st.integers(30, 80), elements=st.sampled_from([-1.5, -1.0, 0.0, 0.01, 1e6])))
def test_whatever_happened_no_bound_is_nan_or_infinite(returns: Floats) -> None:
    found = intervals(returns, CRYPTO, resamples=50)
    for interval in (found.total_return, found.sharpe, found.max_drawdown):
        assert interval is None or (np.isfinite(interval).all() and interval.low <= interval.high)


def test_nothing_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="cannot be resampled"):
        resample(np.empty(0), CRYPTO)
    with pytest.raises(ValueError, match="cannot be resampled"):
        resample(np.zeros(3), CRYPTO, resamples=0)
