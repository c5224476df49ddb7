"""Candles and quotes against a venue that keeps its history by a rule of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from ffe_coinbase.source import GRANULARITY, CoinbaseSource
from ffe_coinbase.standin import BROKEN, INTERNAL, NOON, PREFIX, SECONDS, TOO_MANY, CoinbaseStandIn, Fault

from ffe_core import Asset, BadData, Candles, DataError, NoData, SourceFailed, Timeframe
from ffe_core.testing.loopback import Canned

BTC = Asset.parse("BTCUSD")
Make = Callable[..., CoinbaseSource]


def asked(server: CoinbaseStandIn) -> list[str]:
    return [each.query for each in server.requests if each.path.endswith("/candles")]


def seconds(candles: Candles) -> list[int]:
    return [time // 1000 for time in candles.time]


@pytest.mark.parametrize("timeframe", GRANULARITY)
def test_every_frame_is_the_venues_own(timeframe: Timeframe, server: CoinbaseStandIn, source: Make) -> None:
    found = source().candles(BTC, timeframe, start=None, end=None, limit=10)
    length = SECONDS[GRANULARITY[timeframe]]
    assert timeframe.milliseconds == length * 1000
    last = int(NOON.timestamp()) // length * length
    assert seconds(found) == [last - (9 - index) * length for index in range(10)]
    row = server.bars.row("BTC-USD", last, length)
    assert row is not None
    assert [float(row[name]) for name in ("open", "high", "low", "close", "volume")] == [
        column[-1] for column in (found.open, found.high, found.low, found.close, found.volume)
    ]


@pytest.mark.parametrize("end_counts", [True, False])
@pytest.mark.parametrize("count", [1, 2, 298, 299, 300, 301, 597, 598, 599, 600, 901])
def test_no_bar_is_missed_or_doubled_where_pages_meet(
    count: int, end_counts: bool, server: CoinbaseStandIn, source: Make
) -> None:
    server.end_counts = end_counts
    end = datetime(2024, 3, 1, tzinfo=UTC)
    start = end - timedelta(minutes=count)
    found = source().candles(BTC, Timeframe.M1, start=start, end=end, limit=None)
    first = int(start.timestamp())
    assert seconds(found) == [first + 60 * index for index in range(count)]
    assert len(asked(server)) == -(-count // 299)


@pytest.mark.parametrize("end_counts", [True, False])
@pytest.mark.parametrize("limit", [1, 299, 300, 301, 700])
def test_the_last_bars_come_whatever_the_limit(
    limit: int, end_counts: bool, server: CoinbaseStandIn, source: Make
) -> None:
    server.end_counts = end_counts
    found = source().candles(BTC, Timeframe.H1, start=None, end=NOON, limit=limit)
    last = int(NOON.timestamp()) - 3600
    assert seconds(found) == [last - (limit - 1 - index) * 3600 for index in range(limit)]


def test_no_call_asks_for_more_than_300_bars(server: CoinbaseStandIn, source: Make) -> None:
    source().candles(BTC, Timeframe.M5, start=NOON - timedelta(days=5), end=NOON, limit=None)
    for query in asked(server):
        parts = dict(part.split("=") for part in query.split("&"))
        assert (int(parts["end"]) - int(parts["start"])) // 300 + 1 <= 300


def test_a_bucket_without_a_trade_is_a_gap(server: CoinbaseStandIn, source: Make) -> None:
    noon = int(NOON.timestamp())
    server.bars.quiet = {noon - 120, noon - 300}
    found = source().candles(BTC, Timeframe.M1, start=NOON - timedelta(minutes=6), end=NOON, limit=None)
    assert seconds(found) == [noon - 360, noon - 240, noon - 180, noon - 60]


def test_the_limit_counts_bars_and_not_buckets(server: CoinbaseStandIn, source: Make) -> None:
    noon = int(NOON.timestamp())
    server.bars.quiet = {noon - 60 * index for index in range(1, 500)}
    found = source().candles(BTC, Timeframe.M1, start=None, end=NOON, limit=3)
    assert seconds(found) == [noon - 60 * 502, noon - 60 * 501, noon - 60 * 500]


def test_history_begins_where_the_venue_has_no_more(server: CoinbaseStandIn, source: Make) -> None:
    server.bars.first = int((NOON - timedelta(hours=5)).timestamp())
    found = source().candles(BTC, Timeframe.H1, start=None, end=NOON, limit=1000)
    assert len(found) == 5
    assert len(asked(server)) <= 6


def test_the_open_bucket_is_handed_over_and_dropped_by_as_of(source: Make) -> None:
    now = NOON + timedelta(minutes=20)
    found = source(at=now).candles(BTC, Timeframe.H1, start=None, end=None, limit=3)
    assert found.time[-1] == int(NOON.timestamp()) * 1000
    assert len(found.as_of(now)) == 2


def test_nothing_is_asked_or_told_beyond_now(server: CoinbaseStandIn, source: Make) -> None:
    later = NOON + timedelta(days=3)
    server.clock = lambda: later
    found = source().candles(BTC, Timeframe.H1, start=None, end=later, limit=5)
    assert found.time[-1] == int(NOON.timestamp()) * 1000


def test_without_a_key_nothing_is_signed(server: CoinbaseStandIn, source: Make) -> None:
    source().candles(BTC, Timeframe.H1, start=None, end=None, limit=1)
    assert server.requests[0].path == f"{PREFIX}/market/products/BTC-USD/candles"
    assert "authorization" not in server.requests[0].headers


def test_with_a_key_the_calls_are_signed(server: CoinbaseStandIn, source: Make) -> None:
    source(key=True).candles(BTC, Timeframe.H1, start=None, end=None, limit=1)
    assert server.requests[0].path == f"{PREFIX}/products/BTC-USD/candles"
    assert len(server.tokens) == 1


@pytest.mark.parametrize("key", [True, False])
def test_a_quote_is_bid_and_ask_exactly(key: bool, server: CoinbaseStandIn, source: Make) -> None:
    market = server.exchange.markets["BTC-USD"]
    market.bid, market.ask = Decimal("20000.01"), Decimal("20000.02")
    found = source(key=key).quote(BTC)
    assert (found.bid, found.ask, found.at) == (Decimal("20000.01"), Decimal("20000.02"), NOON)


def test_small_prices_survive(server: CoinbaseStandIn, source: Make) -> None:
    market = server.exchange.markets["DOGE-USD"]
    market.bid = market.ask = Decimal("0.00000001")
    assert source().quote(Asset.parse("DOGEUSD")).bid == Decimal("0.00000001")


@pytest.mark.parametrize("name", ["EURUSD", "GOOG"])
def test_what_is_no_coin_is_not_served(name: str, server: CoinbaseStandIn, source: Make) -> None:
    asset = Asset.parse(name)
    assert not source().serves(asset)
    with pytest.raises(NoData):
        source().candles(asset, Timeframe.H1, start=None, end=None, limit=1)
    assert server.requests == []


@pytest.mark.parametrize("key", [True, False])
def test_a_coin_that_the_venue_lacks_is_no_data(key: bool, source: Make) -> None:
    asset = Asset.parse("PEPEUSD")
    assert source().serves(asset)
    with pytest.raises(NoData, match="PEPE-USD"):
        source(key=key).candles(asset, Timeframe.H1, start=None, end=None, limit=1)
    with pytest.raises(NoData, match="PEPE-USD"):
        source(key=key).quote(asset)


def test_futures_candles_are_of_the_contract(server: CoinbaseStandIn, source: Make) -> None:
    named = source(product="futures", contracts={"BTCUSD": "BIP-20DEC30-CDE"})
    for asset in (BTC, Asset.parse("BIP-20DEC30-CDE")):
        named.candles(asset, Timeframe.H1, start=None, end=None, limit=1)
        assert server.requests[-1].path.endswith("/products/BIP-20DEC30-CDE/candles")
    with pytest.raises(NoData) as caught:
        named.candles(Asset.parse("ETHUSD"), Timeframe.H1, start=None, end=None, limit=1)
    assert "contracts" in (caught.value.hint or "")


@pytest.mark.parametrize("answer", [TOO_MANY, BROKEN, INTERNAL, None], ids=["429", "502", "500", "reset"])
def test_a_passing_failure_is_tried_again(answer: Canned | None, server: CoinbaseStandIn, source: Make) -> None:
    server.faults.append(Fault("/candles", answer, times=2))
    assert len(source().candles(BTC, Timeframe.H1, start=None, end=None, limit=1)) == 1
    assert len(asked(server)) == 3


def row(**changes: object) -> dict[str, object]:
    start = str(int(NOON.timestamp()) - 3600)
    return {"start": start, "low": "1", "high": "3", "open": "2", "close": "2", "volume": "5", **changes}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"candles": [row(close="oops")]}, SourceFailed),
        ({"candles": [row(close="NaN")]}, SourceFailed),
        ({"candles": [row(close=None)]}, SourceFailed),
        ({"candles": [row(low=[1])]}, SourceFailed),
        ({"candles": [7]}, SourceFailed),
        ({"candles": {"a": 1}}, SourceFailed),
        ({"candles": [row(start="1709719201")]}, BadData),
        ({"candles": [row(low="2.5")]}, BadData),
        ({"candles": [row(high="1.5")]}, BadData),
        ({"candles": [row(low="0")]}, BadData),
        ({"candles": [row(volume="-1")]}, BadData),
        ({"candles": []}, NoData),
        ({}, NoData),
        ([], SourceFailed),
        (b"", SourceFailed),
        (b'{"candles": [', SourceFailed),
    ],
)
def test_an_answer_that_is_not_as_it_should_be_is_an_error(
    body: object, error: type[DataError], server: CoinbaseStandIn, source: Make
) -> None:
    server.faults.append(Fault("/candles", Canned(body), times=50))
    with pytest.raises(error) as caught:
        source().candles(BTC, Timeframe.H1, start=None, end=None, limit=1)
    assert "\n" not in caught.value.message


def test_a_cut_answer_is_tried_again(server: CoinbaseStandIn, source: Make) -> None:
    server.faults.append(Fault("/candles", cut=20))
    assert len(source().candles(BTC, Timeframe.H1, start=None, end=None, limit=1)) == 1


def test_a_slow_answer_ends_at_the_deadline(server: CoinbaseStandIn, source: Make) -> None:
    server.faults.append(Fault("/candles", delay=5.0, times=9))
    with pytest.raises(SourceFailed, match=r"within 0\.3 s"):
        source(timeout=0.3).candles(BTC, Timeframe.H1, start=None, end=None, limit=1)
