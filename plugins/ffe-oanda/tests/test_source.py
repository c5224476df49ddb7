"""Candles and quotes from a strict stand-in: paging, closed weeks, changes of the clock, and every way to fail."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import pytest
from ffe_oanda.parse import parse_instant, written
from ffe_oanda.source import OandaSource
from ffe_oanda.standin import ACCOUNT, TOKEN, Fault, OandaStandIn
from pydantic import SecretStr

from ffe_core import (
    Asset,
    BadData,
    Candles,
    DataError,
    DayBoundary,
    NoData,
    NotConfigured,
    SettingsError,
    SourceFailed,
    Timeframe,
)
from ffe_core.testing.loopback import Canned

EURUSD = Asset.parse("EURUSD")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@pytest.fixture
def ask(settings: Callable[..., Any], context: Callable[..., Any]) -> Callable[..., Candles]:
    """Candles of EURUSD as a fresh source has them."""

    def asked(
        timeframe: Timeframe = Timeframe.H1,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        asset: Asset = EURUSD,
        **changes: Any,
    ) -> Candles:
        source = OandaSource(settings(**changes), context())
        return source.candles(asset, timeframe, start=start, end=end, limit=limit)

    return asked


def opens(found: Candles) -> list[datetime]:
    return [datetime.fromtimestamp(stamp / 1000, UTC) for stamp in found.time]


def queries(server: OandaStandIn) -> list[dict[str, str]]:
    return [dict(parse_qsl(request.query)) for request in server.requests]


# the grid


def test_four_hour_bars_lie_on_the_utc_grid_and_days_end_at_17_in_new_york(
    server: OandaStandIn, ask: Callable[..., Candles]
) -> None:
    four, day = ask(Timeframe.H4, limit=5), ask(Timeframe.D1, limit=3)
    assert [at.hour for at in opens(four)] == [16, 20, 0, 4, 8]
    assert opens(day) == [utc(2024, 3, 3, 22), utc(2024, 3, 4, 22), utc(2024, 3, 5, 22)]
    assert day.day_boundary is DayBoundary.NEW_YORK_17
    assert [query["alignmentTimezone"] for query in queries(server)] == ["UTC", "America/New_York"]


def test_days_around_the_change_of_the_clock_last_23_and_25_hours(
    server: OandaStandIn, ask: Callable[..., Candles]
) -> None:
    # New York's clocks go forward on Sunday 10 March and back on Sunday 3 November 2024, both within the weekend.
    server.at = utc(2024, 12, 2, 12)
    spring = ask(Timeframe.D1, start=utc(2024, 3, 6), end=utc(2024, 3, 13))
    assert opens(spring) == [utc(2024, 3, day, hour) for day, hour in ((6, 22), (7, 22), (10, 21), (11, 21), (12, 21))]
    autumn = ask(Timeframe.D1, start=utc(2024, 10, 30), end=utc(2024, 11, 6))
    assert opens(autumn) == [
        utc(2024, *at) for at in ((10, 30, 21), (10, 31, 21), (11, 3, 22), (11, 4, 22), (11, 5, 22))
    ]


@pytest.mark.parametrize("windowed", [False, True])
def test_hours_around_the_change_of_the_clock_have_no_gap_but_the_weekend(
    server: OandaStandIn, ask: Callable[..., Candles], windowed: bool
) -> None:
    server.at, server.market.windowed = utc(2024, 3, 15, 12), windowed
    found = opens(ask(start=utc(2024, 3, 7), end=utc(2024, 3, 13)))
    gaps = [(one, other) for one, other in itertools.pairwise(found) if other - one != HOUR]
    # Friday 17:00 is 22:00 UTC in winter, Sunday 17:00 is 21:00 UTC two days into summer time.
    assert gaps == [(utc(2024, 3, 8, 21), utc(2024, 3, 10, 21))]
    assert (found[0], found[-1]) == (utc(2024, 3, 7), utc(2024, 3, 12, 23))


def test_metals_have_days_of_utc(ask: Callable[..., Candles]) -> None:
    found = ask(Timeframe.D1, limit=3, asset=Asset.parse("XAUUSD"))
    assert found.day_boundary is DayBoundary.UTC
    assert {at.hour for at in opens(found)} == {0}


def test_bars_beside_the_grid_are_refused(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    def shifted(answer: Canned) -> Canned:
        for candle in answer.body["candles"]:
            candle["time"] = candle["time"].replace(":00:00.", ":30:00.")
        return answer

    server.faults.append(Fault("GET", shifted, acts=True))
    with pytest.raises(BadData, match="beside the grid"):
        ask(limit=5)


# paging


@pytest.mark.slow
@pytest.mark.parametrize("windowed", [False, True])
def test_a_span_of_many_pages_has_every_minute_once(
    server: OandaStandIn, ask: Callable[..., Candles], windowed: bool
) -> None:
    server.market.windowed = windowed
    start, end = utc(2024, 2, 26), utc(2024, 3, 6, 11)
    found = opens(ask(Timeframe.M1, start=start, end=end))
    # Seven days and eleven hours of an open market, less the minutes without a tick.
    quiet = [at for at in minutes(start, end) if int(at.timestamp() // 60) * 2_654_435_761 % 100 < 3]
    wanted = [at for at in minutes(start, end) if server.market.is_open(at) and at not in set(quiet)]
    assert found == wanted
    assert len(server.requests) >= 2
    assert all(int(query["count"]) <= 5000 for query in queries(server))
    later = queries(server)[1:]
    assert {query["includeFirst"] for query in later if query["from"] != later[0]["from"]} <= {"true", "false"}
    assert later[0]["includeFirst"] == "false"


def minutes(start: datetime, end: datetime) -> list[datetime]:
    return [start + MINUTE * count for count in range((end - start) // MINUTE)]


@pytest.mark.parametrize("windowed", [False, True])
def test_a_span_that_begins_on_a_weekend_goes_on_after_empty_pages(
    server: OandaStandIn, ask: Callable[..., Candles], windowed: bool
) -> None:
    server.market.windowed = windowed
    found = opens(ask(Timeframe.M5, start=utc(2024, 3, 2, 1), end=utc(2024, 3, 3, 23)))
    assert found == [utc(2024, 3, 3, 22) + 5 * MINUTE * count for count in range(12)]


def test_a_closed_week_longer_than_a_page_is_stepped_over(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    server.market.windowed = True
    server.at = utc(2024, 3, 4, 1)
    found = opens(ask(Timeframe.M1, end=utc(2024, 3, 3, 20), limit=2))
    assert found == [utc(2024, 3, 1, 21, 58), utc(2024, 3, 1, 21, 59)]
    assert len(server.requests) == 2


@pytest.mark.parametrize("windowed", [False, True])
def test_more_bars_than_a_page_are_read_backwards(
    server: OandaStandIn, ask: Callable[..., Candles], windowed: bool
) -> None:
    server.market.windowed = windowed
    found = ask(Timeframe.M1, limit=7000)
    again = ask(Timeframe.M1, start=opens(found)[0])
    assert len(found) == 7000
    assert opens(found) == opens(again)


def test_history_ends_where_there_is_nothing_before(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    server.market.began = utc(2024, 3, 4)
    found = opens(ask(limit=1000))
    assert found[0] == utc(2024, 3, 4)
    assert len(found) == 2 * 24 + 12


def test_a_limit_within_a_span_keeps_its_last_bars(ask: Callable[..., Candles]) -> None:
    found = ask(start=utc(2024, 3, 6, 2), end=utc(2024, 3, 6, 9), limit=3)
    assert opens(found) == [utc(2024, 3, 6, hour) for hour in (6, 7, 8)]
    assert opens(ask(start=utc(2024, 3, 6, 7), end=utc(2024, 3, 6, 9), limit=30)) == opens(found)[1:]


def test_an_end_that_is_now_or_later_is_not_sent(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    for end in (server.at, server.at + DAY):
        assert opens(ask(end=end, limit=2)) == [utc(2024, 3, 6, 10), utc(2024, 3, 6, 11)]
    ask(start=server.at - DAY, end=server.at + DAY)
    assert all("to" not in query for query in queries(server))
    with pytest.raises(NoData):
        ask(start=server.at + HOUR)


# what is not finished


def test_the_bar_that_is_forming_comes_along_and_is_not_complete(
    server: OandaStandIn, ask: Callable[..., Candles]
) -> None:
    server.at = utc(2024, 3, 6, 12, 20)
    found = ask(limit=3)
    assert opens(found)[-1] == utc(2024, 3, 6, 12)
    assert opens(found.as_of(server.at))[-1] == utc(2024, 3, 6, 11)


def test_a_bar_whose_time_is_over_but_which_is_not_final_is_left_out(
    server: OandaStandIn, ask: Callable[..., Candles]
) -> None:
    server.at, server.market.late = utc(2024, 3, 6, 12, 0, 1), timedelta(seconds=3)
    assert opens(ask(limit=5).as_of(server.at))[-1] == utc(2024, 3, 6, 10)
    server.at += timedelta(seconds=3)
    assert opens(ask(limit=5).as_of(server.at))[-1] == utc(2024, 3, 6, 11)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [("2016-10-17T19:35:00.123456789Z", 123456), ("2016-10-17T19:35:00Z", 0), ("2016-10-17T19:35:00.5Z", 500_000)],
)
def test_nine_digits_of_a_second_are_read(text: str, microsecond: int) -> None:
    assert parse_instant(text) == datetime(2016, 10, 17, 19, 35, 0, microsecond, UTC)
    assert parse_instant(written(parse_instant(text))) == parse_instant(text)


@pytest.mark.parametrize(
    "text", ["2016-10-17T19:35:00", "2016-13-17T19:35:00Z", "1476732900.0", "", "٢016-10-17T19:35:00Z"]
)
def test_other_instants_are_refused(text: str) -> None:
    with pytest.raises(BadData):
        parse_instant(text)


# failures


def test_without_a_token_one_line_says_what_to_set(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    with pytest.raises(NotConfigured, match=r"plugins\.oanda\.api_key is not set") as caught:
        ask(api_key=None)
    assert "OANDA_API_KEY" in str(caught.value.hint)
    assert not server.requests


@pytest.mark.parametrize(("environment", "account"), [("live", ACCOUNT), ("practice", "001-001-1234567-001")])
def test_an_account_of_the_other_environment_is_refused_before_the_first_call(
    server: OandaStandIn, ask: Callable[..., Candles], environment: str, account: str
) -> None:
    with pytest.raises(SettingsError, match=f"no {environment} account") as caught:
        ask(environment=environment, account_id=account)
    assert not server.requests
    assert account not in f"{caught.value} {caught.value.hint}"


def test_practice_is_the_default_and_each_environment_has_its_host(settings: Callable[..., Any]) -> None:
    assert settings(base_url=None).url == "https://api-fxpractice.oanda.com"
    assert settings(base_url=None, environment="live").url == "https://api-fxtrade.oanda.com"


def test_candles_need_no_account_and_quotes_do(
    settings: Callable[..., Any], context: Callable[..., Any], ask: Callable[..., Candles]
) -> None:
    assert len(ask(limit=3, account_id=None)) == 3
    with pytest.raises(NotConfigured, match="account_id"):
        OandaSource(settings(account_id=None), context()).quote(EURUSD)


def test_blanks_around_token_and_account_do_no_harm(settings: Callable[..., Any], context: Callable[..., Any]) -> None:
    source = OandaSource(settings(api_key=SecretStr(f" {TOKEN}\n"), account_id=f"{ACCOUNT}\n"), context())
    assert source.quote(EURUSD).bid > 0


def test_a_wrong_token_is_named_and_not_tried_again(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    with pytest.raises(SourceFailed, match=r"plugins\.oanda\.api_key is not accepted") as caught:
        ask(api_key=SecretStr("a-canary-token"))
    assert "a-canary-token" not in f"{caught.value!r} {caught.value.hint}"
    assert len(server.requests) == 1


def test_an_instrument_that_is_not_there_is_no_data(ask: Callable[..., Candles]) -> None:
    with pytest.raises(NoData, match="oanda has no NZDSEK"):
        ask(asset=Asset.parse("NZDSEK"))
    with pytest.raises(NoData):
        ask(asset=Asset.parse("BTCUSD"))


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_asked_again(server: OandaStandIn, ask: Callable[..., Candles], status: int) -> None:
    page = Canned(b"<html>maintenance</html>", status, {"Content-Type": "text/html"})
    server.faults += [Fault("GET", lambda _: page)] * 2
    assert len(ask(limit=3)) == 3
    assert len(server.requests) == 3


FAILURES: dict[str, Canned] = {
    "403": Canned({"errorMessage": "The provided request was forbidden."}, 403),
    "429 without end": Canned({"errorMessage": "slow down"}, 429, {"Retry-After": "3600"}),
    "503 maintenance": Canned(b"<html>back soon</html>", 503, {"Content-Type": "text/html"}),
    "reset": Canned(reset=True),
    "slow": Canned(delay=5.0),
    "cut": Canned({"candles": []}, cut=5),
    "no JSON": Canned(b"{"),
    "empty": Canned(b""),
    "a list": Canned([]),
    "a web page": Canned(b"<html>", 200, {"Content-Type": "text/html"}),
    "no candles": Canned({"instrument": "EUR_USD", "granularity": "H1"}),
    "of another instrument": Canned({"instrument": "USD_JPY", "granularity": "H1", "candles": []}),
    "a candle without prices": Canned(
        {"instrument": "EUR_USD", "granularity": "H1", "candles": [{"time": "2024-03-06T10:00:00Z", "volume": 1}]}
    ),
    "a price that is none": Canned(
        {
            "instrument": "EUR_USD",
            "granularity": "H1",
            "candles": [
                {"time": "2024-03-06T10:00:00Z", "volume": 1, "mid": {"o": "NaN", "h": "1", "l": "1", "c": "1"}}
            ],
        }
    ),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_every_failure_is_one_line_in_time_and_tells_no_secret(
    server: OandaStandIn, ask: Callable[..., Candles], failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    server.faults += [Fault("GET", lambda _: FAILURES[failure])] * 9
    began = time.monotonic()
    with pytest.raises(DataError) as caught:
        ask(limit=3, timeout=1.0)
    assert time.monotonic() - began < 4.0
    told = f"{caught.value} {caught.value.hint} {caught.value!r} {caplog.text}"
    assert TOKEN not in told
    assert ACCOUNT not in told
    assert "\n" not in str(caught.value)


def test_what_an_error_repeats_of_the_secrets_is_blanked(server: OandaStandIn, ask: Callable[..., Candles]) -> None:
    server.faults.append(Fault("GET", lambda _: Canned({"errorMessage": f"{TOKEN} {ACCOUNT} instrument"}, 400)))
    with pytest.raises(NoData) as caught:
        ask(limit=3)
    assert TOKEN not in str(caught.value)
    assert ACCOUNT not in str(caught.value)


# quotes


def test_a_quote_is_the_best_bid_and_ask_with_the_services_time(
    server: OandaStandIn, settings: Callable[..., Any], context: Callable[..., Any]
) -> None:
    server.market.fixed["USD_JPY"] = Decimal("151.234")
    quote = OandaSource(settings(), context()).quote(Asset.parse("USDJPY"))
    assert (quote.bid, quote.ask, quote.at) == (Decimal("151.226"), Decimal("151.242"), server.at)


def test_a_price_without_offers_is_what_positions_could_be_closed_at(
    server: OandaStandIn, settings: Callable[..., Any], context: Callable[..., Any]
) -> None:
    def without_offers(answer: Canned) -> Canned:
        answer.body["prices"][0] |= {"bids": [], "asks": []}
        return answer

    server.market.fixed["EUR_USD"] = Decimal("1.10000")
    server.faults.append(Fault("GET", without_offers, acts=True))
    assert OandaSource(settings(), context()).quote(EURUSD).mid == Decimal("1.10000")
