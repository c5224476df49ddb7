from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe_core import Asset, AssetKind, Candles, Freshness, MarketStatus, NoData, Quote, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.market.feed import FeedResult
from ffe_core.market.snapshot import day_change, snapshot, with_divergence

BTC = Asset.parse("BTCUSD")
FRESH = Freshness(True, "fresh", 0.0, "0.0 seconds", "")
OPEN = MarketStatus(True, "Open", None, None)
START = datetime(2023, 6, 1, tzinfo=UTC)


def series(times, closes, asset=BTC, timeframe=Timeframe.H1):
    return Candles.of(
        asset, timeframe, "test", time=[to_ms(time) for time in times], open=closes,
        high=[close * 1.01 for close in closes], low=[close * 0.99 for close in closes], close=closes,
        volume=[1.0] * len(closes),
    )  # fmt: skip


def hours(count, first=START):
    return [first + timedelta(hours=index) for index in range(count)]


def test_the_change_compares_with_the_close_24_hours_earlier():
    closes = [100.0 + index for index in range(26)]
    assert day_change(series(hours(26), closes)) == 125 / 101 - 1


def test_less_than_a_day_of_bars_has_no_change():
    assert day_change(series(hours(24), [100.0] * 24)) is None
    assert day_change(series(hours(25), [100.0] * 25)) == 0


def test_where_a_bar_is_missing_the_one_before_it_is_compared_with():
    times = hours(26)
    del times[1]
    closes = [100.0 + time.hour + 24 * (time.day - 1) for time in times]
    assert day_change(series(times, closes)) == 125 / 100 - 1


def test_a_forex_monday_compares_with_friday():
    friday = datetime(2023, 6, 2, 20, tzinfo=UTC)
    monday = datetime(2023, 6, 5, 0, tzinfo=UTC)
    eur = Asset.parse("EURUSD")
    assert day_change(series([friday, monday], [1.0, 1.02], eur)) == pytest.approx(0.02)


def test_beyond_a_week_there_is_no_day_to_compare_with():
    assert day_change(series([START, START + timedelta(days=8)], [1.0, 2.0])) is None


def test_a_stock_compares_with_the_previous_session_whatever_the_hour():
    stock = Asset.parse("GOOG", kind=AssetKind.STOCK)
    first, second = datetime(2023, 6, 1, 14, tzinfo=UTC), datetime(2023, 6, 2, 14, tzinfo=UTC)
    times = [first, first + timedelta(hours=5), second, second + timedelta(hours=1)]
    assert day_change(series(times, [100.0, 110.0, 120.0, 121.0], stock)) == 121 / 110 - 1
    daily = [datetime(2023, 6, day, tzinfo=UTC) for day in (1, 2, 5)]
    assert day_change(series(daily, [100.0, 110.0, 121.0], stock, Timeframe.D1)) == 121 / 110 - 1


def found(**frames):
    held = {Timeframe[name]: candles for name, candles in frames.items()}
    return FeedResult(BTC, START + timedelta(days=2), held, {Timeframe.M1: ("files: too short",)}, 0, len(held))


def test_a_snapshot_is_the_last_complete_bar():
    market = snapshot(found(H1=series(hours(26), [100.0 + index for index in range(26)])), Timeframe.H1, FRESH, OPEN)
    assert (market.price, market.bar_closed_at) == (125.0, START + timedelta(hours=26))
    assert market.source == "test"


def test_without_the_decision_frame_the_error_says_what_there_is():
    with pytest.raises(NoData, match="no complete 1m bar of BTCUSD: files: too short") as raised:
        snapshot(found(M1=None, H1=series(hours(2), [1.0, 2.0])), Timeframe.M1, FRESH, OPEN)
    assert "FFE_DECISION__TIMEFRAME=1h" in raised.value.hint


@pytest.mark.parametrize(
    ("bid", "ask", "divergence", "remarks"),
    [("100", "102", 0.0, 0), ("98", "98", 0.0306122, 1), ("99", "99", 0.020202, 1)],
)
def test_a_platform_price_that_differs_is_recorded_and_remarked_on(bid, ask, divergence, remarks):
    market = snapshot(found(H1=series(hours(26), [101.0] * 26)), Timeframe.H1, FRESH, OPEN)
    quote = Quote(BTC, Decimal(bid), Decimal(ask), START, "venue")
    made = with_divergence(market, quote, 0.02)
    assert made.price_divergence == pytest.approx(divergence, abs=1e-6)
    assert len(made.remarks) == remarks


def test_without_a_quote_nothing_is_compared():
    market = snapshot(found(H1=series(hours(26), [101.0] * 26)), Timeframe.H1, FRESH, OPEN)
    assert with_divergence(market, None, 0.02).price_divergence is None
