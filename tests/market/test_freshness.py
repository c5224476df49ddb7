"""Freshness: limits met exactly, ages in words, and what "overdue" means where a market sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.domain.market import Candles, Freshness, Quote
from ffe_core.market.freshness import age_text, assess, freshness_of, validate_data_freshness
from ffe_core.settings.sections import FreshnessLimits, FreshnessSettings

LIMITS = FreshnessSettings()
NOW = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)
BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")
GOOG = Asset.parse("GOOG", kind=AssetKind.STOCK)
NEW_YORK = ZoneInfo("America/New_York")


def checked(stamp: str, kind: str = "crypto", timeframe: str = "intraday") -> Freshness:
    return validate_data_freshness(stamp, kind, timeframe, NOW, LIMITS)


def bars(asset: Asset, timeframe: Timeframe, *opens: datetime) -> Candles:
    ones = [1.0] * len(opens)
    times = [to_ms(at) for at in opens]
    return Candles.of(asset, timeframe, "test", time=times, open=ones, high=ones, low=ones, close=ones, volume=ones)


@pytest.mark.parametrize(
    ("kind", "timeframe", "stamp", "fresh", "level", "age"),
    [
        ("crypto", "intraday", "2024-01-10T11:56:00Z", True, "fresh", "4.0 minutes"),
        ("crypto", "intraday", "2024-01-10T11:55:00Z", True, "fresh", "5.0 minutes"),
        ("crypto", "intraday", "2024-01-10T11:54:59Z", True, "warning", "5.0 minutes"),
        ("crypto", "intraday", "2024-01-10T11:45:01Z", True, "warning", "15.0 minutes"),
        ("crypto", "intraday", "2024-01-10T11:45:00Z", False, "critical", "15.0 minutes"),
        ("forex", "intraday", "2024-01-10T11:55:00Z", True, "fresh", "5.0 minutes"),
        ("forex", "intraday", "2024-01-10T11:45:01Z", True, "warning", "15.0 minutes"),
        ("forex", "intraday", "2024-01-10T11:45:00Z", False, "critical", "15.0 minutes"),
        ("stocks", "intraday", "2024-01-10T11:55:00Z", True, "fresh", "5.0 minutes"),
        ("stocks", "intraday", "2024-01-10T11:54:59Z", True, "warning", "5.0 minutes"),
        ("stocks", "intraday", "2024-01-10T11:38:00Z", False, "critical", "22.0 minutes"),
        ("stocks", "daily", "2024-01-09T12:00:00Z", True, "fresh", "24.00 hours"),
        ("stocks", "daily", "2024-01-09T10:00:00Z", True, "warning", "26.00 hours"),
        ("stocks", "daily", "2024-01-03T12:00:00Z", True, "warning", "168.00 hours"),
        ("crypto", "daily", "2024-01-10T10:00:00Z", True, "fresh", "2.00 hours"),
        ("crypto", "daily", "2024-01-10T09:59:59Z", True, "warning", "2.00 hours"),
        ("crypto", "daily", "2024-01-09T12:00:00Z", False, "critical", "24.00 hours"),
        ("forex", "daily", "2024-01-10T08:00:00Z", True, "fresh", "4.00 hours"),
        ("forex", "daily", "2024-01-09T12:00:00Z", False, "critical", "24.00 hours"),
    ],
)
def test_a_limit_warns_above_it_and_is_critical_from_it_on(
    kind: str, timeframe: str, stamp: str, fresh: bool, level: str, age: str
) -> None:
    found = checked(stamp, kind, timeframe)
    assert (found.is_fresh, found.level, found.age) == (fresh, level, age)
    prefix = {"fresh": "", "warning": "WARNING:", "critical": "CRITICAL:"}[level]
    assert found.message.startswith(prefix)
    assert bool(found.message) is bool(prefix)


def test_kind_and_timeframe_are_read_in_any_case_and_an_unknown_kind_is_held_to_crypto() -> None:
    assert checked("2024-01-10T11:38:00Z", "STOCKS", "Intraday").level == "critical"
    assert checked("2024-01-03T12:00:00Z", "Stocks", "DAILY").is_fresh
    assert checked("2024-01-10T11:45:00Z", "bonds").level == "critical"


def test_a_stamp_without_offset_is_utc_and_others_are_converted() -> None:
    assert checked("2024-01-10T11:56:00").age_seconds == 240
    assert checked("2024-01-10T13:56:00+02:00").age_seconds == 240
    assert checked("2024-01-10T06:56:00-05:00").age_seconds == 240


@pytest.mark.parametrize("text", ["", "  ", "yesterday", "12:00", "2024-13-01T00:00:00Z", "2024-02-30"])
def test_text_that_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ISO 8601"):
        checked(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 seconds"), (45.3, "45.3 seconds"), (60, "1.0 minutes"), (450, "7.5 minutes"), (7740, "2.15 hours")],
)
def test_ages_are_told_in_seconds_minutes_and_hours(seconds: float, text: str) -> None:
    assert age_text(seconds) == text


def test_ten_seconds_in_the_future_are_a_slow_clock_and_more_is_critical() -> None:
    assert checked("2024-01-10T12:00:10Z").level == "fresh"
    ahead = checked("2024-01-10T12:00:11Z")
    assert (ahead.is_fresh, ahead.level) == (False, "critical")
    assert "future" in ahead.message


def test_limits_come_from_the_settings() -> None:
    strict = FreshnessSettings(crypto=FreshnessLimits(warn=1, critical=2))
    assert assess(90, AssetKind.CRYPTO, False, LIMITS).level == "fresh"
    assert assess(90, AssetKind.CRYPTO, False, strict).level == "warning"
    assert assess(120, AssetKind.CRYPTO, False, strict).level == "critical"
    assert assess(120, AssetKind.FOREX, False, strict).level == "fresh"


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1e7), st.floats(0, 1e7), st.sampled_from(list(AssetKind)), st.booleans())
def test_older_data_are_never_judged_fresher(one: float, two: float, kind: AssetKind, daily: bool) -> None:
    order = ["fresh", "warning", "critical"]
    younger, older = (assess(age, kind, daily, LIMITS).level for age in sorted((one, two)))
    assert order.index(younger) <= order.index(older)


def test_age_is_how_overdue_the_next_bar_is() -> None:
    hourly = bars(BTC, Timeframe.H1, NOW - timedelta(hours=1, minutes=50))
    # It closed 50 minutes ago: the next bar is still forming.
    assert freshness_of({Timeframe.H1: hourly}, NOW, BTC.kind, LIMITS).age_seconds == 0
    later = freshness_of({Timeframe.H1: hourly}, NOW + timedelta(minutes=17), BTC.kind, LIMITS)
    assert (later.age, later.level) == ("7.0 minutes", "warning")


def test_the_finest_frame_that_has_bars_decides() -> None:
    minute = bars(BTC, Timeframe.M1, NOW - timedelta(minutes=9))
    hourly = bars(BTC, Timeframe.H1, NOW - timedelta(hours=1))
    found = freshness_of({Timeframe.M1: minute, Timeframe.H1: hourly, Timeframe.M5: None}, NOW, BTC.kind, LIMITS)
    assert found.age == "7.0 minutes"


def test_no_bars_at_all_are_unknown_and_not_fresh() -> None:
    found = freshness_of({Timeframe.H1: None}, NOW, BTC.kind, LIMITS)
    assert (found.is_fresh, found.level, found.age_seconds) == (False, "unknown", None)


def test_a_bar_that_closes_after_now_is_critical() -> None:
    found = freshness_of({Timeframe.H1: bars(BTC, Timeframe.H1, NOW)}, NOW, BTC.kind, LIMITS)
    assert (found.is_fresh, found.level) == (False, "critical")


def new_york(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def test_fridays_last_forex_bar_is_fresh_all_week_end() -> None:
    last = {Timeframe.M15: bars(EUR, Timeframe.M15, new_york("2024-01-05T16:45"))}
    for at in ("2024-01-05T17:00", "2024-01-06T12:00", "2024-01-07T16:59", "2024-01-07T17:15"):
        assert freshness_of(last, new_york(at), EUR.kind, LIMITS).age_seconds == 0
    assert freshness_of(last, new_york("2024-01-07T17:31"), EUR.kind, LIMITS).level == "critical"


def test_forex_data_that_stop_before_the_week_ends_stay_critical_over_the_week_end() -> None:
    stopped = {Timeframe.M15: bars(EUR, Timeframe.M15, new_york("2024-01-05T14:45"))}
    found = freshness_of(stopped, new_york("2024-01-06T12:00"), EUR.kind, LIMITS)
    assert (found.level, found.age) == ("critical", "1.75 hours")


def test_a_quiet_minute_before_the_week_ends_does_not_grow_into_days() -> None:
    quiet = {Timeframe.M1: bars(EUR, Timeframe.M1, new_york("2024-01-05T16:55"))}
    found = freshness_of(quiet, new_york("2024-01-06T12:00"), EUR.kind, LIMITS)
    assert (found.level, found.age) == ("fresh", "3.0 minutes")


def test_a_week_end_of_a_clock_change_is_no_hour_overdue() -> None:
    last = {Timeframe.H1: bars(EUR, Timeframe.H1, new_york("2024-03-08T16:00"))}
    assert freshness_of(last, new_york("2024-03-10T18:00"), EUR.kind, LIMITS).age_seconds == 0
    assert freshness_of(last, new_york("2024-03-10T18:10"), EUR.kind, LIMITS).age == "10.0 minutes"


def test_a_daily_stock_bar_is_due_at_the_next_sessions_close() -> None:
    friday = {Timeframe.D1: bars(GOOG, Timeframe.D1, datetime(2024, 1, 5, tzinfo=UTC))}
    assert freshness_of(friday, new_york("2024-01-08T15:59"), GOOG.kind, LIMITS).age_seconds == 0
    found = freshness_of(friday, new_york("2024-01-09T18:00"), GOOG.kind, LIMITS)
    assert (found.is_fresh, found.level, found.age) == (True, "warning", "26.00 hours")


@pytest.mark.parametrize(("asset", "frame"), [(BTC, Timeframe.H1), (GOOG, Timeframe.D1), (EUR, Timeframe.M1)], ids=str)
def test_data_that_ended_long_ago_are_critical_and_say_how_to_look_back(asset: Asset, frame: Timeframe) -> None:
    old = {frame: bars(asset, frame, datetime(2013, 3, 1, tzinfo=UTC))}
    found = freshness_of(old, NOW, asset.kind, LIMITS)
    assert (found.is_fresh, found.level) == (False, "critical")
    assert "data end 2013-03-" in found.message
    assert "use --at" in found.message


def test_the_clock_is_the_as_of_clock() -> None:
    old = {Timeframe.H1: bars(BTC, Timeframe.H1, datetime(2021, 5, 1, 11, tzinfo=UTC))}
    assert freshness_of(old, datetime(2021, 5, 1, 12, 30, tzinfo=UTC), BTC.kind, LIMITS).level == "fresh"


def quote(age: timedelta) -> Quote:
    return Quote(BTC, Decimal(1), Decimal(2), NOW - age, "venue")


def test_a_quote_is_judged_by_its_own_time_and_never_makes_old_bars_new() -> None:
    fresh = {Timeframe.M1: bars(BTC, Timeframe.M1, NOW - timedelta(minutes=1))}
    stale = {Timeframe.M1: bars(BTC, Timeframe.M1, NOW - timedelta(hours=3))}
    assert freshness_of(fresh, NOW, BTC.kind, LIMITS, quote(timedelta(seconds=3))).level == "fresh"
    assert freshness_of(fresh, NOW, BTC.kind, LIMITS, quote(timedelta(minutes=16))).level == "critical"
    assert freshness_of(stale, NOW, BTC.kind, LIMITS, quote(timedelta(seconds=3))).level == "critical"
    assert freshness_of(fresh, NOW, BTC.kind, LIMITS, quote(timedelta(seconds=-11))).level == "critical"
