import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Action, Briefing, Mode, Note, Opinion, Portfolio, Regime, Timeframe, Trust
from ffe_core.domain.codec import canonical_json, decimal_text, plain, restore, without_nan
from tests.risk.builders import AT, BTC, account, held, market, pulse


def test_a_briefing_survives_the_way_to_json_and_back():
    briefing = Briefing(
        asset=BTC, as_of=AT, mode=Mode.PAPER, timeframe=Timeframe.H1, horizon=24, market=market(),
        pulse=pulse(H1={"extra": {"cci": 1.5}}), regime=Regime.TRENDING_BULL, position=Decimal("0.10"),
        notes=(Note("news", Trust.UNTRUSTED, AT, "x"),), indicators={"acme.mood": 0.25},
    )  # fmt: skip
    again = restore(Briefing, json.loads(canonical_json(briefing)))
    assert canonical_json(again) == canonical_json(briefing)
    assert again.pulse.frames[Timeframe.H1].extra == {"cci": 1.5}
    assert again.notes == briefing.notes


def test_a_portfolio_survives_with_every_digit():
    portfolio = account("10000.123456789012345678", held("0.000000010000", "65432.1"))
    again = restore(Portfolio, json.loads(canonical_json(portfolio)))
    assert again.cash == portfolio.cash
    assert again.positions[0].quantity == portfolio.positions[0].quantity


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=12))
def test_a_decimal_text_reads_back_as_the_same_amount(amount):
    text = decimal_text(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert text == decimal_text(Decimal(text))


@pytest.mark.parametrize(
    ("amount", "text"), [("1.500", "1.5"), ("-0", "0"), ("1E+3", "1000"), ("0.000", "0"), ("1E-8", "0.00000001")]
)
def test_equal_amounts_have_equal_texts(amount, text):
    assert decimal_text(Decimal(amount)) == text


@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity")])
def test_what_is_no_amount_has_no_text(bad):
    with pytest.raises(ValueError, match="no amount"):
        decimal_text(bad)


def test_instants_are_written_in_utc_with_a_z():
    there = datetime(2023, 6, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert plain(there) == "2023-06-01T00:00:00Z"
    assert plain(datetime(2023, 6, 1, 0, 0, 0, 5, tzinfo=UTC)) == "2023-06-01T00:00:00.000005Z"


def test_canonical_json_is_sorted_and_refuses_what_json_has_no_word_for():
    assert canonical_json({"b": 1, "a": ["ü", Action.BUY]}) == '{"a":["ü","BUY"],"b":1}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"x": float("nan")})


def test_a_missing_number_becomes_null():
    assert without_nan({"a": [float("nan"), 1.0], "b": float("inf")}) == {"a": [None, 1.0], "b": None}


@pytest.mark.parametrize(
    "damaged",
    [
        {"provider": "a"},
        {"provider": "a", "model": "m", "action": "BUY", "confidence": "80", "reasoning": "r"},
        {"provider": "a", "model": "m", "action": "LONG", "confidence": 80, "reasoning": "r"},
        {"provider": "a", "model": "m", "action": "BUY", "confidence": 180, "reasoning": "r"},
        {"provider": "a", "model": "m", "action": "BUY", "confidence": 80, "reasoning": "r", "extra": 1},
        "not an object",
    ],
)
def test_a_damaged_record_is_refused(damaged):
    with pytest.raises(ValueError):
        restore(Opinion, damaged)
