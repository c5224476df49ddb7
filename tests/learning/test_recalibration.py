"""What a confidence has turned out to mean, by what was known."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.learning.recalibration import Identity, Isotonic, Logistic, fit, fit_isotonic, fit_logistic
from tests.learning.test_calibration import NOON, forecast

LATER = NOON + timedelta(days=999)


def log_odds(p: float) -> float:
    return math.log(p / (1 - p))


@pytest.mark.parametrize(
    ("count", "kind"),
    [(0, Identity), (29, Identity), (30, Logistic), (199, Logistic), (200, Isotonic), (500, Isotonic)],
)
def test_the_curve_is_as_flexible_as_there_is_to_fit_it_to(count: int, kind: type) -> None:
    curve = fit([forecast(60 + n % 3 * 10, n % 2 == 0, number=n) for n in range(count)], as_of=LATER)

    assert isinstance(curve, kind)
    assert curve.fitted == count
    assert curve.name == kind.__name__.lower()


def test_what_was_resolved_later_changes_no_curve() -> None:
    known = [forecast(60 + n % 3 * 10, n % 4 == 0, number=n) for n in range(60)]
    at = known[-1].resolved_at
    later = [forecast(90, False, number=n) for n in range(60, 400)]

    assert fit([*later, *known], as_of=at) == fit(known, as_of=at)
    assert fit(known, as_of=at - timedelta(microseconds=1)) == fit(known[:-1], as_of=at)


def test_with_two_places_the_logistic_curve_meets_their_smoothed_shares() -> None:
    # Two parameters, two places: likelihood is greatest where both means are met (Platt's targets 24/25 and 1/19).
    curve = fit_logistic([0.6] * 20 + [0.8] * 20, [True] * 8 + [False] * 12 + [True] * 15 + [False] * 5)

    assert curve(0.6) == pytest.approx((8 * 24 / 25 + 12 / 19) / 20)
    assert curve(0.8) == pytest.approx((15 * 24 / 25 + 5 / 19) / 20)


def test_the_logistic_curve_has_the_slope_of_its_log_odds() -> None:
    curve = Logistic(0.3, 0.5, 40)

    assert log_odds(curve(0.8)) == pytest.approx(0.3 + 0.5 * log_odds(0.8))
    assert Logistic(0.0, 1.0, 40)(0.73) == pytest.approx(0.73)


@pytest.mark.parametrize("happened", [[True] * 40, [False] * 40, [True] * 20 + [False] * 20])
def test_one_place_gives_the_smoothed_base_rate(happened: list[bool]) -> None:
    hits = sum(happened)
    curve = fit_logistic([0.7] * 40, happened)

    expected = (hits * (hits + 1) / (hits + 2) + (40 - hits) / (40 - hits + 2)) / 40
    assert curve(0.7) == pytest.approx(expected)
    assert 0 < curve(0.1) == curve(0.99) < 1


def test_a_few_forecasts_never_turn_the_order_round() -> None:
    curve = fit_logistic([0.6] * 20 + [0.8] * 20, [True] * 20 + [False] * 20)

    assert isinstance(curve, Logistic)
    assert curve.slope == 0
    assert curve(0.6) == curve(0.8) == pytest.approx(0.5)


def test_perfect_separation_stays_short_of_certainty() -> None:
    curve = fit_logistic([0.0] * 20 + [1.0] * 20, [False] * 20 + [True] * 20)

    assert curve(1.0) == pytest.approx(21 / 22)
    assert curve(0.0) == pytest.approx(1 / 22)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=30, max_size=80),
)
def test_no_other_two_parameters_are_likelier(said: list[tuple[int, bool]]) -> None:
    hits = sum(came for _, came in said)
    high, low = (hits + 1) / (hits + 2), 1 / (len(said) - hits + 2)
    rows = [(min(0.995, max(0.005, percent / 100)), high if came else low) for percent, came in said]

    def cost(intercept: float, slope: float) -> float:
        chances = [(1 / (1 + math.exp(-intercept - slope * log_odds(p))), target) for p, target in rows]
        return -sum(target * math.log(c) + (1 - target) * math.log(1 - c) for c, target in chances)

    curve = fit_logistic([percent / 100 for percent, _ in said], [came for _, came in said])
    assert isinstance(curve, Logistic)
    best = cost(curve.intercept, curve.slope)
    for a, b in ((0.01, 0), (-0.01, 0), (0, 0.01), (0.01, 0.01), (-0.01, 0.01)):
        assert cost(curve.intercept + a, curve.slope + b) >= best - 1e-9
    if curve.slope > 0.01:
        assert cost(curve.intercept, curve.slope - 0.01) >= best - 1e-9


def test_neighbours_that_fall_are_pooled() -> None:
    # 1 0 0 | 1 0 | 1 becomes 1/3, 1/2 and 1.
    curve = fit_isotonic([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [True, False, False, True, False, True])

    assert [curve(p) for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)] == pytest.approx([1 / 3] * 3 + [1 / 2] * 2 + [1])
    assert (curve(0.0), curve(0.35), curve(1.0)) == (pytest.approx(1 / 3), pytest.approx(5 / 12), 1)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=60))
def test_the_isotonic_curve_is_the_greatest_of_least_means(said: list[tuple[int, bool]]) -> None:
    """The closed form of Robertson, Wright and Dykstra 1988, theorem 1.4.4: max over s of min over t of the mean."""
    places = sorted({place for place, _ in said})

    def mean(first: int, last: int) -> float:
        came = [happened for place, happened in said if first <= place <= last]
        return sum(came) / len(came)

    curve = fit_isotonic([place / 20 for place, _ in said], [came for _, came in said])

    for place in places:
        expected = max(min(mean(s, t) for t in places if t >= place) for s in places if s <= place)
        assert curve(place / 20) == pytest.approx(expected)
    values = [curve(step / 40) for step in range(41)]
    assert values == sorted(values)
