from __future__ import annotations

import math

import numpy as np
import pytest
from ffe_lab.progress import (
    Drift,
    concept_drift,
    cumulative_regret,
    difference_interval,
    exploration,
    learning_curve,
    progress,
    sample_efficiency,
)
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray


def outcomes(*parts: tuple[int, int]) -> NDArray[np.bool_]:
    """Parts of (trades, wins among them), each part with its losses first."""
    return np.concatenate([np.arange(trades) >= trades - wins for trades, wins in parts])


def test_sample_efficiency_counts_trades_until_twelve_of_twenty_are_won() -> None:
    # Thirty losses, then wins only: the twelfth win is trade 42.
    found = sample_efficiency(outcomes((30, 0), (30, 30)))
    assert found.trades == 42
    assert found.speed == pytest.approx((1.0 - 0.0) / 0.6)
    assert sample_efficiency(outcomes((20, 12))).trades == 20
    assert sample_efficiency(np.tile([True, False], 50)).trades is None


def test_what_needs_more_trades_is_not_measured() -> None:
    assert (sample_efficiency(np.ones(19, bool)).trades, sample_efficiency(np.ones(39, bool)).speed) == (None, None)
    assert sample_efficiency(np.ones(39, bool)).trades == 20
    assert concept_drift(np.ones(99, bool)) is None
    assert learning_curve(np.ones(39, bool), np.ones(39)) is None
    nothing = progress(np.empty(0), [])
    assert (nothing.trades, nothing.cumulative_regret, nothing.exploration, nothing.concept_drift) == (
        0,
        None,
        None,
        None,
    )


def test_regret_is_what_the_best_provider_would_have_made_more() -> None:
    pnl = np.array([10.0, 20.0, -5.0, 0.0, 5.0])
    # a made 15 a trade, b made 0: five trades of 15 are 75, and 30 were made.
    assert cumulative_regret(pnl, ["a", "a", "b", "b", "b"]) == 45.0
    assert cumulative_regret(pnl, ["a"] * 5) == 0.0


@given(st.lists(st.tuples(st.integers(-100, 100), st.sampled_from("abc")), min_size=1, max_size=80))
def test_nobody_regrets_less_than_nothing(trades: list[tuple[int, str]]) -> None:
    found = cumulative_regret(np.array([made for made, _ in trades], float), [name for _, name in trades])
    assert found is not None and found >= -1e-9


@pytest.mark.parametrize(
    ("wins", "deviation", "severity"),
    [
        ((10, 10, 10, 10, 10), 0.0, Drift.LOW),
        # Rates 0.4 0.5 0.5 0.5 0.6: variance 0.02 / 5.
        ((8, 10, 10, 10, 12), math.sqrt(0.004), Drift.LOW),
        # Rates 0.4 0.4 0.5 0.6 0.6: variance 0.04 / 5.
        ((8, 8, 10, 12, 12), math.sqrt(0.008), Drift.MEDIUM),
        # Rates 0.2 0.35 0.5 0.65 0.8: variance 0.225 / 5.
        ((4, 7, 10, 13, 16), math.sqrt(0.045), Drift.HIGH),
    ],
)
def test_drift_is_the_deviation_of_five_win_rates(wins: tuple[int, ...], deviation: float, severity: Drift) -> None:
    found = concept_drift(outcomes(*((20, won) for won in wins)))
    assert found is not None
    assert found.deviation == pytest.approx(deviation)
    assert found.severity is severity
    assert found.win_rates == pytest.approx([won / 20 for won in wins])


def test_exploration_is_what_does_not_follow_the_favourite() -> None:
    found = exploration(["a"] * 30 + ["b"] * 50 + ["a"] * 20)
    assert found is not None
    # Fifty each: a was seen first. Of the last fifty trades twenty are its own.
    assert (found.favourite, found.rate, found.convergence) == ("a", 0.5, 0.4)
    alone = exploration(["a"] * 3)
    assert alone is not None and (alone.rate, alone.convergence) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("early_wins", "late_wins", "early_pnl", "late_pnl", "learning"),
    [
        (10, 11, 1.0, 1.0, True),
        (10, 10, 1.0, 1.09, False),
        (10, 10, 1.0, 1.1, True),
        (10, 9, -1.0, -0.89, True),
        (10, 9, -1.0, -0.95, False),
        (10, 10, 0.0, 0.0, False),
        (10, 10, 0.0, 0.01, True),
    ],
)
def test_learning_is_five_points_of_win_rate_or_a_tenth_of_profit(
    early_wins: int, late_wins: int, early_pnl: float, late_pnl: float, learning: bool
) -> None:
    won = outcomes((20, early_wins), (41, 3), (20, late_wins))
    pnl = np.concatenate([np.full(20, early_pnl), np.zeros(41), np.full(20, late_pnl)])
    found = learning_curve(won, pnl)
    assert found is not None
    assert (found.early_win_rate, found.late_win_rate) == (early_wins / 20, late_wins / 20)
    assert found.learning is learning


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.sampled_from("abc")), max_size=150))
def test_a_report_of_any_trades_holds_only_numbers(trades: list[tuple[float, str]]) -> None:
    found = progress(np.array([made for made, _ in trades]), [name for _, name in trades])
    assert found.trades == len(trades)
    assert found.cumulative_regret is None or math.isfinite(found.cumulative_regret)
    assert (found.learning_curve is None) == (len(trades) < 40)
    assert found.exploration is None or 0 <= found.exploration.rate < 1


def test_outcomes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="are no outcomes"):
        progress(np.ones(3), ["a"])
    with pytest.raises(ValueError, match="no number"):
        progress(np.array([np.nan]), ["a"])


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        # The cases (a) to (d) of table II in Newcombe 1998, method 10.
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
    ],
)
def test_the_interval_of_a_gain_is_the_published_one(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference_interval(one[0] / one[1], other[0] / other[1], one[1], other[1])
    assert found == pytest.approx((low, high), abs=5e-5)
