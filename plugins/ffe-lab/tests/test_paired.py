from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from ffe_lab.paired import Relation, Voice, compare, diebold_mariano, holm, mcnemar
from ffe_lab.student import regularised_beta, two_sided_coin, two_sided_t
from ffe_lab.trades import Floats
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats


@given(st.just(0.0) | st.floats(1e-12, 1), st.floats(0.01, 2000), st.floats(0.01, 2000))
def test_the_incomplete_beta_function_is_that_of_scipy(x: float, a: float, b: float) -> None:
    assert regularised_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@given(st.floats(-50, 50), st.integers(1, 5000))
def test_tails_of_student_are_those_of_scipy(statistic: float, freedom: int) -> None:
    assert two_sided_t(statistic, freedom) == pytest.approx(
        2 * stats.t.sf(abs(statistic), freedom), rel=1e-8, abs=1e-250
    )


@pytest.mark.parametrize(("freedom", "statistic"), [(1, 12.706), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)])
def test_the_printed_table_of_student_has_five_percent_outside(freedom: int, statistic: float) -> None:
    assert two_sided_t(statistic, freedom) == pytest.approx(0.05, abs=5e-5)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_coins_fall_as_scipy_says(heads: int, tails: int) -> None:
    expected = stats.binomtest(heads, heads + tails, 0.5).pvalue if heads + tails else 1.0
    assert two_sided_coin(heads, tails) == pytest.approx(expected, rel=1e-9, abs=1e-250)


def test_functions_have_no_value_outside_their_ranges() -> None:
    for x, a, b in ((-0.1, 1, 1), (1.1, 1, 1), (0.5, 0, 1), (0.5, 1, -1), (float("nan"), 1, 1)):
        with pytest.raises(ValueError, match="no value"):
            regularised_beta(x, a, b)
    with pytest.raises(ValueError, match="fewer times than never"):
        two_sided_coin(-1, 3)


def test_mcnemar_counts_where_only_one_was_right() -> None:
    first = np.array([True] * 12 + [False] * 2 + [True] * 50 + [False] * 40)
    second = np.array([False] * 12 + [True] * 2 + [True] * 50 + [False] * 40)
    found = mcnemar(first, second)
    assert (found.first_only, found.second_only) == (12, 2)
    # 2 (1 + 14 + 91) / 2^14
    assert found.p == pytest.approx(212 / 16384, rel=1e-12)
    assert mcnemar(second, first).p == found.p


def test_the_same_hits_show_no_difference() -> None:
    hits = np.array([True, False, True])
    assert mcnemar(hits, hits).p == 1.0
    with pytest.raises(ValueError, match="no pairs"):
        mcnemar(hits, hits[1:])


def losses() -> tuple[Floats, Floats]:
    rng = np.random.default_rng(99)
    first, second = rng.normal(0, 1, 120) ** 2, rng.normal(0.2, 1.1, 120) ** 2
    first[1:] += 0.5 * first[:-1]
    return first, second


@pytest.mark.parametrize(
    ("horizon", "statistic"), [(1, -0.33779145982), (2, -0.27526758400), (4, -0.33181964101), (8, -0.28963086240)]
)
def test_diebold_mariano_is_the_corrected_t_of_a_robust_regression(horizon: int, statistic: float) -> None:
    # statsmodels 0.15.0: OLS of the differences on a constant, HAC with a uniform kernel of horizon - 1 lags and no
    # correction of its own, times the factor of Harvey, Leybourne and Newbold.
    found = diebold_mariano(*losses(), horizon)
    assert found.statistic == pytest.approx(statistic, rel=1e-9)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(statistic), 119), rel=1e-8)


@given(st.integers(2, 80), st.integers(0, 10**6))
def test_one_step_ahead_it_is_the_paired_t_test(n: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).uniform(0, 1, (2, n))
    found, expected = diebold_mariano(first, second), stats.ttest_rel(first, second)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)


def test_a_negative_long_run_variance_is_weighted_and_stays_usable() -> None:
    alternating = np.tile([1.0, 0.0], 30) + np.linspace(0, 0.01, 60)
    found = diebold_mariano(alternating, np.full(60, 0.4), 2)
    assert found.statistic is not None and np.isfinite(found.statistic) and 0 <= found.p <= 1


def test_losses_that_never_differ_show_nothing() -> None:
    first, _ = losses()
    assert (diebold_mariano(first, first).statistic, diebold_mariano(first, first).p) == (None, 1.0)
    assert diebold_mariano(first, first - 0.25).statistic is None


@pytest.mark.parametrize(("n", "horizon"), [(1, 1), (3, 2), (50, 0)])
def test_too_few_decisions_are_refused(n: int, horizon: int) -> None:
    with pytest.raises(ValueError, match="say nothing"):
        diebold_mariano(np.zeros(n), np.ones(n), horizon)
    with pytest.raises(ValueError, match="no pairs"):
        diebold_mariano(np.zeros(5), np.ones(6))


def test_holm_gives_the_values_of_statsmodels_in_the_order_given() -> None:
    # statsmodels 0.15.0, multipletests(..., method="holm")
    assert holm([0.01, 0.04, 0.03, 0.005, 0.2]) == pytest.approx([0.04, 0.09, 0.09, 0.025, 0.2])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_helps_and_keeps_the_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= q <= min(1.0, len(p_values) * p) for p, q in zip(p_values, adjusted, strict=True))
    by_p = sorted(zip(p_values, adjusted, strict=True))
    assert all(one[1] <= other[1] for one, other in pairwise(by_p))


def voice(share: float, seed: int, n: int = 400) -> Voice:
    hits = (np.random.default_rng(seed).random(n) < share).astype(float)
    return Voice(hits, (0.7 - hits) ** 2)


def test_a_clearly_better_one_is_better_and_the_other_worse() -> None:
    good, bad = voice(0.8, 1), voice(0.4, 2)
    (found,) = compare({"good": good, "bad": bad})
    assert (found.first, found.second, found.pairs, found.relation) == ("good", "bad", 400, Relation.BETTER)
    assert found.brier is not None and found.brier.difference < 0
    assert compare({"bad": bad, "good": good})[0].relation is Relation.WORSE


def test_equals_are_not_shown_to_differ() -> None:
    found = compare({name: voice(0.55, seed) for seed, name in enumerate("abcd")})
    assert len(found) == 6
    assert {one.relation for one in found} == {Relation.NOT_SHOWN}
    assert [(one.first, one.second) for one in found][:3] == [("a", "b"), ("a", "c"), ("a", "d")]


def test_a_difference_that_one_pair_alone_would_show_is_lost_among_many() -> None:
    first = np.r_[np.ones(9), np.zeros(1), np.ones(40)]
    second = np.r_[np.zeros(9), np.ones(1), np.ones(40)]
    alone = compare({"one": Voice(first), "two": Voice(second)})
    assert alone[0].hits.p == pytest.approx(22 / 1024)
    assert alone[0].relation is Relation.BETTER
    many = compare({"one": Voice(first), "two": Voice(second), "three": Voice(first), "four": Voice(second)})
    assert {one.relation for one in many} == {Relation.NOT_SHOWN}
    assert many[0].adjusted_hits == pytest.approx(6 * 22 / 1024)


def test_silence_is_no_answer() -> None:
    good, bad = voice(0.9, 1, 100), voice(0.2, 2, 100)
    good.hits[29:] = np.nan
    (found,) = compare({"good": good, "bad": bad})
    assert (found.pairs, found.relation) == (29, Relation.BETTER)
    assert good.brier is not None
    good.brier[29:] = np.nan
    (found,) = compare({"good": good, "bad": bad})
    assert (found.brier, found.adjusted_brier, found.relation) == (None, None, Relation.NOT_SHOWN)


def test_tests_that_contradict_each_other_show_nothing() -> None:
    # More often right, and so sure of itself that its scores are worse.
    often, seldom = voice(0.8, 1), voice(0.5, 2)
    (found,) = compare({"often": Voice(often.hits, np.ones(400)), "seldom": Voice(seldom.hits, seldom.brier)})
    assert found.adjusted_hits < 0.05 and found.adjusted_brier is not None and found.adjusted_brier < 0.05
    assert found.relation is Relation.NOT_SHOWN


def test_voices_about_different_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="one list of decisions"):
        compare({"a": voice(0.5, 1, 50), "b": voice(0.5, 1, 51)})
    assert compare({"a": voice(0.5, 1)}) == []
