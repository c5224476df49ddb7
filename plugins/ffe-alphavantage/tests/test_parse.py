"""Answers of the documented forms, read without a network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from ffe_alphavantage.parse import parse_days, parse_intraday, parse_sheet

from ffe_core import BadData

PLAIN = {"1. open": "1.0", "2. high": "4.0", "3. low": "0.5", "4. close": "2.0", "5. volume": "7"}


def sheet(rows: dict[str, Any], zone: str = "US/Eastern") -> Any:
    return parse_sheet({"Meta Data": {"5. Time Zone": zone}, "rows": rows}, "rows")


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1000  # type: ignore[arg-type,misc]


def test_rows_come_oldest_first_and_days_are_labelled_with_midnight() -> None:
    bars = parse_days(sheet({"2024-03-06": PLAIN, "2024-03-05": PLAIN}))
    assert [bar.time for bar in bars] == [utc(2024, 3, 5), utc(2024, 3, 6)]
    assert (bars[0].open, bars[0].high, bars[0].low, bars[0].close, bars[0].volume) == (1.0, 4.0, 0.5, 2.0, 7.0)


def test_stamps_are_read_in_the_zone_of_the_answer_on_both_sides_of_the_clock_change() -> None:
    rows = {"2024-03-11 09:30:00": PLAIN, "2024-03-08 09:30:00": PLAIN}
    # New York went from five to four hours behind UTC on 2024-03-10.
    assert [bar.time for bar in parse_intraday(sheet(rows))] == [utc(2024, 3, 8, 14, 30), utc(2024, 3, 11, 13, 30)]
    assert parse_intraday(sheet({"2024-03-11 09:30:00": PLAIN}, "UTC"))[0].time == utc(2024, 3, 11, 9, 30)


@pytest.mark.parametrize("stamp", ["2024-11-03 01:30:00", "2024-03-10 02:30:00", "2024-02-30 10:00:00", "2024-03-06"])
def test_a_stamp_that_is_no_single_instant_is_refused(stamp: str) -> None:
    with pytest.raises(BadData):
        parse_intraday(sheet({stamp: PLAIN}))


def test_of_the_older_style_the_prices_in_the_asked_currency_are_taken() -> None:
    row = {
        **{f"{number}a. {name} (EUR)": "3.0" for number, name in enumerate(("open", "high", "low", "close"), 1)},
        **{f"{number}b. {name} (USD)": "5.0" for number, name in enumerate(("open", "high", "low", "close"), 1)},
        "5. volume": "9.5",
        "6. market cap (USD)": "1.0",
    }
    for currency, price in (("EUR", 3.0), ("USD", 5.0)):
        (bar,) = parse_days(sheet({"2023-03-06": row}, "UTC"), currency)
        assert (bar.open, bar.close, bar.volume) == (price, price, 9.5)
    with pytest.raises(BadData, match="no open in JPY"):
        parse_days(sheet({"2023-03-06": row}, "UTC"), "JPY")


def test_adjusted_closes_are_not_taken_for_closes() -> None:
    row = {**PLAIN, "5. adjusted close": "1.5", "6. volume": "7", "8. split coefficient": "1.0"}
    assert parse_days(sheet({"2024-03-06": row}))[0].close == 2.0


@pytest.mark.parametrize(
    "change",
    [{"1. open": "NaN"}, {"1. open": "-1"}, {"1. open": 1}, {"2. high": "0.1"}, {"3. low": "0"}, {"4. close": "1e5"}],
)
def test_a_row_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadData):
        parse_days(sheet({"2024-03-06": PLAIN | change}))


def test_currencies_have_no_volume() -> None:
    row = {name: value for name, value in PLAIN.items() if "volume" not in name}
    assert parse_days(sheet({"2024-03-06": row}))[0].volume == 0.0


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(BadData, match="time zone"):
        parse_intraday(sheet({"2024-03-06 10:00:00": PLAIN}, "../etc/passwd"))
