"""Market hours: the edges of sessions, the weeks in which clocks change, and what a venue says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.clock import to_ms
from ffe_core.market.hours import market_status, market_status_at_ms, next_daily_close, open_time

BTC = Asset.parse("BTCUSD")
EUR = Asset.parse("EURUSD")
GOOG = Asset.parse("GOOG", kind=AssetKind.STOCK)
NEW_YORK = ZoneInfo("America/New_York")


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# 5 January 2024 was a Friday.


def test_forex_has_one_minute_left_at_16_59_on_friday_in_new_york() -> None:
    status = market_status(EUR, new_york("2024-01-05T16:59"))
    assert (status.is_open, status.time_to_close, status.time_to_open) == (True, 1, None)


def test_forex_is_closed_from_17_00_on_friday_until_17_00_on_sunday() -> None:
    closing = market_status(EUR, new_york("2024-01-05T17:00"))
    assert (closing.is_open, closing.session, closing.time_to_close) == (False, "Closed", None)
    assert closing.time_to_open == 48 * 60
    assert not market_status(EUR, new_york("2024-01-06T12:00")).is_open
    last = market_status(EUR, new_york("2024-01-07T16:59"))
    assert (last.is_open, last.time_to_open) == (False, 1)
    assert market_status(EUR, new_york("2024-01-07T17:00")).is_open


@pytest.mark.parametrize(
    ("at", "allowed"),
    [
        ("2024-01-05T16:29:59", True),
        ("2024-01-05T16:30", False),
        ("2024-01-05T16:59", False),
        ("2024-01-05T17:00", False),
        ("2024-01-07T17:00", False),
        ("2024-01-07T17:09:59", False),
        ("2024-01-07T17:10", True),
        ("2024-01-04T16:45", True),
    ],
)
def test_forex_takes_no_entries_at_the_edges_of_the_week(at: str, allowed: bool) -> None:
    assert market_status(EUR, new_york(at)).entries_allowed is allowed


@pytest.mark.parametrize(
    ("at", "session"),
    [
        ("2024-01-10T14:00", "Overlap"),
        ("2024-01-10T12:59", "London"),
        ("2024-01-10T08:00", "London"),
        ("2024-01-10T17:00", "New York"),
        ("2024-01-10T21:59", "New York"),
        ("2024-01-10T22:00", "Asian"),
        ("2024-01-10T03:00", "Asian"),
        # Summer: both cities an hour earlier by UTC.
        ("2024-07-10T07:00", "London"),
        ("2024-07-10T12:00", "Overlap"),
        # 20 March 2024: New York has changed its clocks, London has not.
        ("2024-03-20T07:30", "Asian"),
        ("2024-03-20T12:00", "Overlap"),
        ("2024-03-20T16:30", "Overlap"),
        ("2024-03-20T17:00", "New York"),
        # 30 October 2024: London is back on winter time, New York is not.
        ("2024-10-30T08:00", "London"),
        ("2024-10-30T12:00", "Overlap"),
    ],
)
def test_forex_sessions_follow_the_clocks_of_london_and_new_york(at: str, session: str) -> None:
    assert market_status(EUR, utc(at)).session == session


@pytest.mark.parametrize(
    ("sunday", "opens_utc"),
    [
        ("2024-03-03", "22:00"),
        ("2024-03-10", "21:00"),  # New York changed that morning
        ("2024-10-27", "21:00"),  # London changed that morning
        ("2024-11-03", "22:00"),
    ],
)
def test_the_forex_week_opens_at_17_00_new_york_in_the_weeks_of_clock_changes(sunday: str, opens_utc: str) -> None:
    opens = utc(f"{sunday}T{opens_utc}")
    assert market_status(EUR, opens).is_open
    assert not market_status(EUR, opens - timedelta(seconds=1)).is_open
    # Five days on the calendar later it closes, 120 hours because the change fell into the week-end.
    assert market_status(EUR, opens).time_to_close == 120 * 60


@pytest.mark.parametrize(
    ("at", "is_open", "to_close", "to_open"),
    [
        ("2024-01-08T09:29", False, None, 1),
        ("2024-01-08T09:30", True, 390, None),
        ("2024-01-08T15:59", True, 1, None),
        ("2024-01-08T16:00", False, None, 17 * 60 + 30),
        ("2024-01-05T16:00", False, None, 65 * 60 + 30),  # over the week-end to Monday
        ("2024-01-06T12:00", False, None, 45 * 60 + 30),
        ("2024-03-08T16:00", False, None, 64 * 60 + 30),  # a week-end of 47 hours and 23
        ("2024-02-29T10:00", True, 360, None),  # leap day, a Thursday
    ],
)
def test_stocks_trade_in_new_yorks_session_on_weekdays(
    at: str, is_open: bool, to_close: int | None, to_open: int | None
) -> None:
    status = market_status(GOOG, new_york(at))
    assert (status.is_open, status.time_to_close, status.time_to_open) == (is_open, to_close, to_open)
    assert status.entries_allowed is is_open


def test_crypto_never_closes_and_is_thin_at_week_ends_of_utc() -> None:
    friday, saturday = market_status(BTC, utc("2024-01-05T23:59")), market_status(BTC, utc("2024-01-06T00:00"))
    assert (friday.is_open, friday.session, friday.warning) == (True, "Open", "")
    assert (saturday.is_open, saturday.warning) == (True, "Weekend Low Liquidity")
    assert (friday.time_to_close, friday.time_to_open, saturday.entries_allowed) == (None, None, True)
    assert market_status(BTC, utc("2024-01-08T00:00")).warning == ""


def test_minutes_are_rounded_up_so_that_an_open_market_never_has_none_left() -> None:
    assert market_status(EUR, new_york("2024-01-05T16:59:59")).time_to_close == 1


def test_a_venue_that_does_not_trade_overrides_the_calendar_and_never_opens_it() -> None:
    refused = market_status(BTC, utc("2024-01-10T12:00"), tradeable=False)
    assert (refused.is_open, refused.entries_allowed) == (False, False)
    assert "venue" in refused.warning
    assert not market_status(EUR, new_york("2024-01-06T12:00"), tradeable=True).is_open
    assert market_status(BTC, utc("2024-01-10T12:00"), tradeable=True).entries_allowed


@pytest.mark.parametrize("asset", [BTC, EUR, GOOG], ids=str)
def test_an_epoch_in_milliseconds_gets_the_same_answer(asset: Asset) -> None:
    at = new_york("1987-10-19T11:30:15")
    assert market_status_at_ms(asset, to_ms(at)) == market_status(asset, at)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        market_status(EUR, datetime(2024, 1, 5, 16, 59))


def test_open_time_counts_only_what_the_market_traded() -> None:
    friday, sunday = new_york("2024-01-05T16:00"), new_york("2024-01-07T18:00")
    assert open_time(AssetKind.FOREX, friday, sunday) == timedelta(hours=2)
    assert open_time(AssetKind.STOCK, new_york("2024-01-05T15:00"), new_york("2024-01-08T10:00")) == timedelta(
        hours=1.5
    )
    assert open_time(AssetKind.CRYPTO, friday, sunday) == timedelta(hours=50)
    assert open_time(AssetKind.FOREX, sunday, friday) == timedelta(0)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([AssetKind.FOREX, AssetKind.STOCK]),
    st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=9)),
    st.timedeltas(timedelta(0), timedelta(days=9)),
)
def test_open_time_adds_up_over_any_cut(kind: AssetKind, start: datetime, one: timedelta, two: timedelta) -> None:
    middle, end = start + one, start + one + two
    assert open_time(kind, start, end) == open_time(kind, start, middle) + open_time(kind, middle, end)


def test_the_next_daily_close_skips_the_week_end() -> None:
    assert next_daily_close(AssetKind.FOREX, new_york("2024-01-05T17:00")) == new_york("2024-01-08T17:00")
    assert next_daily_close(AssetKind.FOREX, new_york("2024-01-05T16:59")) == new_york("2024-01-05T17:00")
    assert next_daily_close(AssetKind.STOCK, new_york("2024-01-05T16:00")) == new_york("2024-01-08T16:00")
