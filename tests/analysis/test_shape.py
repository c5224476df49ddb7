"""One bar: its anatomy, what is wrong with it, how old it is; and prices as people read them."""

from __future__ import annotations

import math
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.analysis.shape import age_in_words, candle_shape, violations
from ffe_core.domain.numbers import format_price


def test_the_anatomy_of_a_rising_bar() -> None:
    shape = candle_shape(100.0, 110.0, 95.0, 105.0)

    assert (shape.price_range, shape.body_size, shape.upper_wick, shape.lower_wick) == (15.0, 5.0, 5.0, 5.0)
    assert shape.price_range_fraction == pytest.approx(15 / 105)
    assert shape.body_fraction == pytest.approx(5 / 105)
    assert (shape.trend, shape.is_bullish) == ("bullish", True)
    assert shape.close_position == pytest.approx(10 / 15)


def test_a_falling_bar_and_a_bar_without_body() -> None:
    falling = candle_shape(105.0, 110.0, 95.0, 95.0)
    standing = candle_shape(100.0, 101.0, 99.0, 100.0)

    assert (falling.trend, falling.is_bullish, falling.close_position, falling.upper_wick) == (
        "bearish",
        False,
        0.0,
        5.0,
    )
    assert (standing.trend, standing.is_bullish, standing.body_size) == ("neutral", False, 0.0)


def test_a_bar_without_range_closes_in_its_middle() -> None:
    assert candle_shape(7.0, 7.0, 7.0, 7.0).close_position == 0.5


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((100.0, 110.0, 95.0, 105.0), ()),
        ((None, 110.0, 95.0, 105.0), ("open is missing",)),
        ((100.0, math.nan, 95.0, 105.0), ("high is missing",)),
        ((100.0, math.inf, 95.0, 105.0), ("high is infinite",)),
        ((100.0, 110.0, 0.0, 105.0), ("low is 0, not a positive price",)),
        ((100.0, 110.0, -5.0, 105.0), ("low is -5, not a positive price",)),
        ((100.0, 90.0, 95.0, 92.0), ("high is below low",)),
        ((120.0, 110.0, 95.0, 105.0), ("open is above high",)),
        ((100.0, 110.0, 95.0, 90.0), ("close is below low",)),
        ((90.0, 110.0, 95.0, 120.0), ("open is below low", "close is above high")),
    ],
)
def test_each_violation_of_a_bar_is_named(bar: tuple[float | None, ...], expected: tuple[str, ...]) -> None:
    assert violations(*bar) == expected


def test_a_bar_older_than_a_day_is_named() -> None:
    sound = (100.0, 110.0, 95.0, 105.0)

    assert violations(*sound, age=timedelta(hours=24)) == ()
    assert violations(*sound, age=timedelta(days=3)) == ("closed 3 days ago, more than a day",)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-5), "0 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(seconds=59), "59 seconds"),
        (timedelta(minutes=3, seconds=20), "3 minutes"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=2, minutes=5), "2 hours 5 minutes"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=12, hours=3), "12 days"),
    ],
)
def test_age_in_words(age: timedelta, words: str) -> None:
    assert age_in_words(age) == words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.08345, "1.08345"),
        (0.00001234, "0.00001234"),
        (67123.4, "67123.4"),
        (67123.44999, "67123.4"),
        (12345678.9, "12345679"),
        (50000.0, "50000"),
        (9.9999996, "10"),
        (0.000000012345678, "0.0000000123457"),
        (-1.5, "-1.5"),
        (0.0, "0"),
        (-0.0, "0"),
        (Decimal("1.083451"), "1.08345"),
        (math.nan, "n/a"),
        (math.inf, "n/a"),
    ],
)
def test_prices_keep_their_significant_digits(value: float, text: str) -> None:
    assert format_price(value) == text


@given(st.floats(1e-9, 1e12))
def test_a_printed_price_is_plain_and_within_six_digits_of_the_true_one(value: float) -> None:
    text = format_price(value)

    assert set(text) <= set("0123456789.")
    assert float(text) == pytest.approx(value, rel=5.1e-6)
