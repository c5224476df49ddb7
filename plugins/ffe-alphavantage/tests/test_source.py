"""Candles in front of the stand-in: what is asked, what comes of it, and what is asked no second time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ffe_alphavantage.standin import AlphaVantageStandIn
from ffe_alphavantage.standin.market import row

from ffe_core import Asset, AssetKind, BadData, DayBoundary, NoData, NotConfigured, Timeframe

AAPL = Asset.parse("AAPL", kind=AssetKind.STOCK)
BTC = Asset.parse("BTCUSD")
EUR = Asset.parse("EURUSD")
type Make = Callable[..., Any]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


def read(desk: Any, asset: Asset, timeframe: Timeframe, **span: Any) -> Any:
    return desk.source.candles(asset, timeframe, **{"start": None, "end": None, "limit": None} | span)


def opens(candles: Any) -> list[datetime]:
    return [datetime.fromtimestamp(stamp / 1000, UTC) for stamp in candles.time]


def test_stock_days_are_sessions_and_a_few_are_asked_for_in_brief(desk: Make, server: AlphaVantageStandIn) -> None:
    found = read(desk(), AAPL, Timeframe.D1, limit=3)
    assert opens(found) == [utc(2024, 3, 4), utc(2024, 3, 5), utc(2024, 3, 6)]
    assert found.day_boundary is DayBoundary.SESSION
    told = row("AAPL", utc(2024, 3, 5, 12), volume=True)
    assert (found.close[1], found.volume[1]) == (float(told["4. close"]), float(told["5. volume"]))
    # The session of the sixth is still open at noon.
    assert opens(found.as_of(server.at))[-1] == utc(2024, 3, 5)
    assert server.asked == [{"function": "TIME_SERIES_DAILY", "symbol": "AAPL", "outputsize": "compact"}]


def test_many_days_are_asked_for_in_full(desk: Make, server: AlphaVantageStandIn) -> None:
    assert len(read(desk(), AAPL, Timeframe.D1, limit=300)) == 300
    assert [each["outputsize"] for each in server.asked] == ["full"]


def test_without_a_premium_key_the_last_hundred_days_come_with_a_remark(
    desk: Make, server: AlphaVantageStandIn
) -> None:
    server.premium = {"TIME_SERIES_DAILY full"}
    made = desk()
    found = read(made, AAPL, Timeframe.D1, limit=300)
    assert len(found) == 100
    assert "premium" in found.remarks[0]
    assert [each["outputsize"] for each in server.asked] == ["full", "compact"]
    # Another command does not ask for what the plan does not have, nor for what is there.
    again = desk(made.time)
    assert len(read(again, AAPL, Timeframe.D1, limit=300)) == 100
    assert len(server.requests) == 2
    with pytest.raises(NoData) as error:
        read(again, AAPL, Timeframe.D1, start=utc(2023, 1, 1), end=utc(2023, 2, 1))
    assert "premium" in (error.value.hint or "")


def test_what_needs_a_premium_key_is_asked_for_again_after_a_day(desk: Make, server: AlphaVantageStandIn) -> None:
    server.premium = {"TIME_SERIES_INTRADAY"}
    made = desk()
    for _ in range(3):
        with pytest.raises(NoData, match="premium"):
            read(made, AAPL, Timeframe.M5, limit=500)
    assert len(server.requests) == 1
    made.time.sleep(86_401)
    server.premium = set()
    server.at = made.time.at
    assert len(read(made, AAPL, Timeframe.M5, limit=500)) == 500


def test_a_kept_answer_serves_until_the_next_close(desk: Make, server: AlphaVantageStandIn) -> None:
    made = desk()
    read(made, AAPL, Timeframe.D1, limit=3)
    made.time.sleep(3600)
    read(made, AAPL, Timeframe.D1, limit=3)
    assert len(server.requests) == 1
    # 16:00 in New York is 21:00 UTC.
    made.time.at = server.at = utc(2024, 3, 6, 20, 0)
    read(made, AAPL, Timeframe.D1, limit=3)
    made.time.at = server.at = utc(2024, 3, 6, 21, 1)
    assert opens(read(made, AAPL, Timeframe.D1, limit=3).as_of(server.at))[-1] == utc(2024, 3, 6)
    assert len(server.requests) == 3


def test_days_of_coins_and_currencies_are_declared_as_those_of_utc(desk: Make, server: AlphaVantageStandIn) -> None:
    coins = read(desk(), BTC, Timeframe.D1, limit=2)
    pairs = read(desk(), EUR, Timeframe.D1, limit=2)
    assert coins.day_boundary is pairs.day_boundary is DayBoundary.UTC
    assert opens(coins) == opens(pairs) == [utc(2024, 3, 5), utc(2024, 3, 6)]
    assert list(pairs.volume) == [0.0, 0.0]
    assert server.asked == [
        {"function": "DIGITAL_CURRENCY_DAILY", "symbol": "BTC", "market": "USD"},
        {"function": "FX_DAILY", "from_symbol": "EUR", "to_symbol": "USD", "outputsize": "compact"},
    ]


def test_the_engine_refuses_days_of_currencies_that_are_not_forex_days(desk: Make) -> None:
    from ffe_core.market.feed import Feed

    made = desk()
    with pytest.raises(NoData, match="end at utc"):
        Feed([("alphavantage", made.source)], clock=made.time).candles(EUR, Timeframe.D1)


def test_coins_in_the_older_style_are_read_in_their_market(desk: Make, server: AlphaVantageStandIn) -> None:
    server.market.old_style = True
    found = read(desk(), Asset.parse("BTCEUR"), Timeframe.D1, limit=2)
    assert found.close[0] == pytest.approx(float(row("BTCEUR", utc(2024, 3, 5, 12))["4. close"]))


def test_hours_of_a_session_are_made_of_its_half_hours(desk: Make, server: AlphaVantageStandIn) -> None:
    found = read(desk(), AAPL, Timeframe.H1, limit=8)
    assert [f"{at:%m-%d %H:%M}" for at in opens(found)] == [
        *(f"03-05 {hour}:00" for hour in range(17, 21)),
        *(f"03-06 {hour}:00" for hour in range(14, 18)),
    ]
    # The first hour of a session has half of its bars.
    assert list(found.coverage)[4:6] == [0.5, 1.0]
    assert {each["interval"] for each in server.asked} == {"30min"}


def test_with_extended_hours_the_services_own_hours_are_taken(desk: Make, server: AlphaVantageStandIn) -> None:
    found = read(desk(extended_hours=True), AAPL, Timeframe.H1, limit=3)
    assert [at.hour for at in opens(found)] == [15, 16, 17]
    assert (server.asked[0]["interval"], server.asked[0]["extended_hours"]) == ("60min", "true")


def test_a_past_span_is_read_by_the_months_of_the_exchange(desk: Make, server: AlphaVantageStandIn) -> None:
    start, end = utc(2023, 11, 29), utc(2024, 1, 4)
    made = desk()
    found = read(made, AAPL, Timeframe.M30, start=start, end=end)
    sessions = [start + timedelta(days=day) for day in range((end - start).days)]
    assert len(found) == 13 * sum(1 for each in sessions if each.weekday() < 5)
    assert [each.get("month") for each in server.asked] == ["2024-01", "2023-12", "2023-11"]
    # Months that are over do not change.
    read(desk(made.time), AAPL, Timeframe.M30, start=start, end=end)
    assert len(server.requests) == 3


def test_a_limit_reaches_back_over_months(desk: Make, server: AlphaVantageStandIn) -> None:
    found = read(desk(), AAPL, Timeframe.M30, limit=500)
    assert len(found) == 500
    times = opens(found)
    assert times == sorted(set(times))
    assert [each.get("month") for each in server.asked] == [None, "2024-02", "2024-01"]


def test_a_limit_in_the_past_does_not_ask_for_the_present(desk: Make, server: AlphaVantageStandIn) -> None:
    found = read(desk(), AAPL, Timeframe.M30, end=utc(2023, 6, 15, 15), limit=20)
    assert opens(found)[-1] == utc(2023, 6, 15, 14, 30)
    assert [each["month"] for each in server.asked] == ["2023-06"]


def test_what_it_serves_goes_by_kind(desk: Make, server: AlphaVantageStandIn) -> None:
    source = desk(symbols={"BRKB": "BRK.B"}).source
    served = {name: source.serves(Asset.parse(name)) for name in ("AAPL", "BTCUSD", "EURUSD", "XAUUSD", "ES1")}
    assert served == {"AAPL": True, "BTCUSD": True, "EURUSD": True, "XAUUSD": False, "ES1": False}
    source.candles(Asset.parse("BRKB", kind=AssetKind.STOCK), Timeframe.D1, start=None, end=None, limit=1)
    assert server.asked[0]["symbol"] == "BRK.B"


def test_frames_that_it_does_not_have_and_empty_spans_cost_no_call(desk: Make, server: AlphaVantageStandIn) -> None:
    for timeframe, span in ((Timeframe.H4, {}), (Timeframe.D1, {"start": server.at, "end": server.at})):
        with pytest.raises(NoData):
            read(desk(), AAPL, timeframe, **span)
    with pytest.raises(NotConfigured, match="api_key"):
        read(desk(api_key=None), AAPL, Timeframe.D1)
    assert server.requests == []


def test_an_answer_about_another_symbol_or_of_another_zone_is_refused(desk: Make, server: AlphaVantageStandIn) -> None:
    from ffe_core.testing.loopback import Canned

    body = {
        "Meta Data": {"2. Symbol": "IBM", "5. Time Zone": "US/Eastern"},
        "Time Series (Daily)": {"2024-03-05": row("IBM", server.at, volume=True)},
    }
    server.faults.append(Canned(body))
    with pytest.raises(BadData, match="IBM"):
        read(desk(), AAPL, Timeframe.D1, limit=1)
    server.faults.append(Canned(body | {"Meta Data": {"2. Symbol": "MSFT", "5. Time Zone": "Asia/Tokyo"}}))
    with pytest.raises(BadData, match="Tokyo"):
        read(desk(), Asset.parse("MSFT"), Timeframe.D1, limit=1)
