"""What confidence promised beside what happened."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.domain.assets import Asset
from ffe_core.domain.decisions import Outcome, OutcomeKind
from ffe_core.domain.trading import Action
from ffe_core.learning.calibration import (
    Forecast,
    Sifted,
    bins_of,
    brier_score,
    expected_error,
    forecasts_of,
    murphy,
    report,
    verdict_forecasts,
)
from ffe_core.learning.outcomes import wilson

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD


def forecast(percent: int, happened: bool, *, number: int = 0, rose: bool = True, hours: int = 1) -> Forecast:
    at = NOON + timedelta(hours=number)
    return Forecast(percent, happened, rose, "BTCUSD", at, at + timedelta(hours=hours))


def forecasts(*groups: tuple[int, int, int]) -> list[Forecast]:
    """Groups of (percent, how many, how many of them happened), an hour apart."""
    said = [(percent, number < hits) for percent, count, hits in groups for number in range(count)]
    return [forecast(percent, happened, number=number) for number, (percent, happened) in enumerate(said)]


def outcome(number: int = 0, *, move: float | None = 0.02, **changes: object) -> Outcome:
    at = NOON + timedelta(days=number)
    facts: dict[str, object] = {
        "provider_actions": {"gemini": BUY, "local": SELL, "qwen": HOLD},
        "provider_confidences": {"gemini": 70, "local": 90, "qwen": 50},
        "calibratable": ("gemini", "qwen"),
        "price_return": move,
        "cost": None if move is None else 0.002,
        "as_of": at,
        "verdict_action": BUY,
        "raw_confidence": 66,
    }
    return Outcome(
        f"d{number}", Asset.parse("BTCUSD"), at + timedelta(days=1), HOLD, None, None, **{**facts, **changes}
    )


#: 20 at 60 % of which 8 came, 20 at 80 % of which 15 came, worked by hand below
WORKED = forecasts((60, 20, 8), (80, 20, 15))


def test_the_brier_score_is_the_one_that_the_scikit_learn_manual_prints() -> None:
    # brier_score_loss([0, 1, 1, 0], [0.1, 0.9, 0.8, 0.3]): 0.0375.
    said = [forecast(10, False), forecast(90, True), forecast(80, True), forecast(30, False)]
    assert brier_score(said) == pytest.approx(0.0375)


def test_the_parts_are_those_worked_by_hand() -> None:
    parts = murphy(WORKED, 10)

    assert parts.brier == pytest.approx((8 * 0.16 + 12 * 0.36 + 15 * 0.04 + 5 * 0.64) / 40)
    assert parts.reliability == pytest.approx(0.5 * 0.2**2 + 0.5 * 0.05**2)
    assert parts.resolution == pytest.approx(0.175**2)
    assert parts.uncertainty == pytest.approx(0.575 * 0.425)
    assert (parts.within_variance, parts.within_covariance) == (pytest.approx(0), pytest.approx(0))
    assert parts.skill == pytest.approx(1 - 0.235 / 0.244375)
    assert expected_error(bins_of(WORKED, 10)) == pytest.approx(0.5 * 0.2 + 0.5 * 0.05)


def test_what_binning_leaves_over_is_worked_by_hand_too() -> None:
    # One bin over everything: means 0.7 and 0.575, so that reliability is their distance and nothing is resolved.
    parts = murphy(WORKED, 1)

    assert parts.reliability == pytest.approx(0.125**2)
    assert parts.resolution == pytest.approx(0)
    assert parts.within_variance == pytest.approx(0.1**2)
    # Twice the mean of (p - 0.7) (o - 0.575): (-0.1 (8 - 11.5) + 0.1 (15 - 11.5)) / 40 x 2.
    assert parts.within_covariance == pytest.approx(0.035)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=60),
    st.integers(1, 20),
)
def test_the_parts_always_add_up_to_the_score(said: list[tuple[int, bool]], bins: int) -> None:
    made = [forecast(percent, happened) for percent, happened in said]
    parts = murphy(made, bins)

    together = parts.reliability - parts.resolution + parts.uncertainty + parts.within_variance
    assert parts.brier == pytest.approx(together - parts.within_covariance, abs=1e-12)
    assert parts.brier == pytest.approx(brier_score(made))
    assert sum(one.count for one in bins_of(made, bins)) == len(made)


def test_an_edge_belongs_to_the_bin_above_it_and_certainty_to_the_last() -> None:
    made = bins_of([forecast(percent, True) for percent in (69, 70, 79, 90, 100)], 10)

    assert [(one.low, one.high, one.count) for one in made] == [(0.6, 0.7, 1), (0.7, 0.8, 2), (0.9, 1.0, 2)]


def test_a_bins_interval_counts_forecasts_that_share_no_bar() -> None:
    apart, overlapping = (
        bins_of([forecast(60, n % 2 == 0, number=n, hours=hours) for n in range(40)], 10)[0] for hours in (1, 4)
    )

    assert (apart.count, apart.independent, apart.interval) == (40, 40, wilson(0.5, 40))
    assert (overlapping.count, overlapping.independent, overlapping.interval) == (40, 10, wilson(0.5, 10))


def test_all_going_one_way_defines_no_skill() -> None:
    assert murphy([forecast(70, True)] * 30, 10).skill is None


def test_below_thirty_there_is_no_score_but_the_base_rate() -> None:
    made = report("x", Sifted(tuple(WORKED[:29]), 3, 2, 1))

    assert (made.sufficient, made.murphy, made.ece, made.bins) == (False, None, None, ())
    assert made.base_rate is not None
    assert made.base_rate.hit_rate == pytest.approx(17 / 29)
    assert (made.holds, made.not_calibratable, made.unscorable) == (3, 2, 1)
    assert report("x", Sifted(tuple(WORKED[:30]), 0, 0, 0)).murphy is not None


def test_two_who_know_nothing_stand_beside_it() -> None:
    # Sells that were right whenever the price fell: always buying, as sure, is wrong where they were right.
    said = [forecast(80, number % 4 != 0, number=number, rose=number % 4 == 0) for number in range(40)]

    made = report("x", Sifted(tuple(said), 0, 0, 0))

    assert made.base_rate is not None and made.always_up is not None and made.murphy is not None
    assert (made.base_rate.hit_rate, made.base_rate.interval) == (0.75, wilson(0.75, 40))
    assert made.base_rate.brier == pytest.approx(made.murphy.uncertainty) == pytest.approx(0.75 * 0.25)
    assert made.always_up.hit_rate == 0.25
    assert made.always_up.brier == pytest.approx(0.25 * 0.04 + 0.75 * 0.64)


def test_nothing_said_is_a_report_of_nothing() -> None:
    made = report("x", Sifted((), 4, 0, 0))

    assert (made.count, made.base_rate, made.always_up, made.murphy) == (0, None, None, None)


# From outcomes


def test_a_call_is_judged_by_its_own_direction_after_costs() -> None:
    moves = (0.02, -0.02, 0.001, 0.002, 0.0021)
    made = forecasts_of([outcome(number, move=move) for number, move in enumerate(moves)], "gemini")

    assert [one.happened for one in made.forecasts] == [True, False, False, False, True]
    assert {one.percent for one in made.forecasts} == {70}
    assert (made.holds, made.not_calibratable, made.unscorable) == (0, 0, 0)


def test_a_sale_is_right_where_the_price_fell_further_than_it_cost() -> None:
    sold = {"provider_actions": {"gemini": SELL}, "provider_confidences": {"gemini": 60}}
    made = forecasts_of([outcome(0, move=-0.01, **sold), outcome(1, move=-0.001, **sold)], "gemini").forecasts

    assert [(one.happened, one.rose) for one in made] == [(True, False), (False, False)]


def test_what_promises_nothing_is_counted_and_left_out() -> None:
    given = [outcome(0), outcome(1, move=None), outcome(2, kind=OutcomeKind.TRADE)]

    assert forecasts_of(given, "local").not_calibratable == 2
    assert forecasts_of(given, "qwen").holds == 2
    gemini = forecasts_of(given, "gemini")
    assert (len(gemini.forecasts), gemini.unscorable) == (1, 1)
    assert forecasts_of(given, "stranger") == Sifted((), 0, 0, 0)


def test_the_verdict_promises_only_where_every_voter_did() -> None:
    mixed, pure = outcome(0), outcome(1, calibratable=("gemini", "local", "qwen"))
    made = verdict_forecasts([mixed, pure, outcome(2, verdict_action=HOLD), outcome(3, verdict_action=None)])

    assert [one.percent for one in made.forecasts] == [66]
    assert (made.not_calibratable, made.holds) == (1, 1)
