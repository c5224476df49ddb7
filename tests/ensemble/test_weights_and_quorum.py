from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.ensemble.quorum import adjust
from ffe_core.ensemble.weights import original_weights, renormalise

NAMES = ("a", "b", "c", "d", "e")


def test_a_lost_quarter_leaves_thirds():
    weights = original_weights(NAMES[:4], dict.fromkeys(NAMES[:4], 0.25))
    assert renormalise(weights, NAMES[:3]) == dict.fromkeys(NAMES[:3], Fraction(1, 3))


@pytest.mark.parametrize(
    ("active", "expected"),
    [
        (("a", "b", "c"), {"a": Fraction(1, 2), "b": Fraction(1, 4), "c": Fraction(1, 4)}),
        (("b", "c", "d"), dict.fromkeys(("b", "c", "d"), Fraction(1, 3))),
    ],
)
def test_asymmetry_is_kept_when_one_is_lost(active, expected):
    weights = original_weights(NAMES[:4], {"a": 0.4, "b": 0.2, "c": 0.2, "d": 0.2})
    assert renormalise(weights, active) == expected


def test_all_zero_weights_are_equal_shares():
    assert renormalise(original_weights(("a", "b"), {"a": 0.0, "b": 0.0}), ("a", "b")) == {
        "a": Fraction(1, 2),
        "b": Fraction(1, 2),
    }


def test_a_provider_without_a_weight_counts_like_the_usual_one():
    assert original_weights(("a", "b", "c"), {"a": 0.2, "b": 0.4})["c"] == Fraction(1, 3)


def test_weights_of_providers_that_are_not_asked_change_nothing():
    assert original_weights(("a", "b"), {"a": 1.0, "b": 1.0, "elsewhere": 9.0}) == original_weights(("a", "b"), {})


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_no_share_is_refused(bad):
    with pytest.raises(ValueError, match="a weight is"):
        original_weights(("a",), {"a": bad})


@given(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1e6, allow_nan=False), max_size=5),
    st.sets(st.sampled_from(NAMES), min_size=1),
)
def test_weights_always_sum_to_exactly_one(configured, active):
    shares = renormalise(original_weights(NAMES, configured), sorted(active))
    assert sum(shares.values()) == 1
    assert all(share >= 0 for share in shares.values())


@pytest.mark.parametrize(("active", "expected"), [(4, 85), (3, 78), (2, 72), (1, 65)])
def test_confidence_shrinks_with_the_share_that_failed(active, expected):
    assert adjust(85, active=active, total=4, active_local=3, min_local=3).confidence == expected


def test_a_missed_local_quorum_comes_before_the_failures():
    full = adjust(81, active=3, total=4, active_local=3, min_local=3)
    missed = adjust(81, active=3, total=4, active_local=2, min_local=3)
    assert (full.confidence, missed.confidence) == (74, 51)
    assert missed.quorum_penalty
    assert missed.factor == Fraction(7, 10) * Fraction(925, 1000)


def test_seventy_percent_of_ninety_is_sixty_three():
    assert adjust(90, active=2, total=2, active_local=0, min_local=1).confidence == 63


def test_a_panel_of_one_is_taken_at_its_word():
    assert adjust(90, active=1, total=1, active_local=0, min_local=3).confidence == 90
