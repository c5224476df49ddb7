"""The feed: order and fallback, the cache by the clock, as-of without a leak, real and invented prices apart."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import FixedClock, to_ms
from ffe_core.domain.market import Candles, Quote
from ffe_core.errors import CassetteMiss, NoData, NotConfigured, SourceFailed
from ffe_core.market.feed import Feed
from ffe_core.net.breaker import Phase

NOW = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)
BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")
M1, H1, H4, D1 = Timeframe.M1, Timeframe.H1, Timeframe.H4, Timeframe.D1


@dataclass
class HandClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def forward(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class Source:
    """Bars of a line that rises by one a minute, in ``frames``; complete, forming and future ones alike."""

    name: str = "one"
    frames: Sequence[Timeframe] = tuple(Timeframe)
    synthetic: bool = False
    error: Exception | None = None
    day_boundary: DayBoundary | None = None
    assets: Sequence[Asset] | None = None
    base: float = 0.0
    until: datetime = NOW + timedelta(days=2)
    asked: list[tuple[Timeframe, datetime | None, int | None]] = field(default_factory=list)

    def serves(self, asset: Asset) -> bool:
        return self.assets is None or asset in self.assets

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        self.asked.append((timeframe, end, limit))
        if self.error is not None:
            raise self.error
        if timeframe not in self.frames:
            raise NoData(f"{self.name} has no {timeframe} bars")
        last = min(self.until, end or self.until)
        times = []
        at = timeframe.open_of(to_ms(last) - 1, asset.kind)
        floor = to_ms(start) if start else to_ms(last) - 40 * 86_400_000
        while at >= floor and (limit is None or len(times) < limit):
            times.append(at)
            at = timeframe.open_of(at - 1, asset.kind)
        times.reverse()
        price = [self.base + stamp / 60_000 for stamp in times]
        ones = [1.0] * len(times)
        return Candles.of(
            asset,
            timeframe,
            self.name,
            time=times,
            open=price,
            high=[value + timeframe.milliseconds / 60_000 for value in price],
            low=price,
            close=[value + timeframe.milliseconds / 60_000 for value in price],
            volume=ones,
            synthetic=self.synthetic,
            day_boundary=self.day_boundary,
        )


def feed_of(*sources: Source, clock: HandClock | None = None, **changes: object) -> Feed:
    return Feed([(source.name, source) for source in sources], clock or HandClock(), **changes)  # type: ignore[arg-type]


# order and fallback


def test_the_first_source_that_has_bars_answers_and_is_named() -> None:
    one, two = Source("one"), Source("two")
    found = feed_of(one, two).candles(BTC, H1)
    assert found.source == "one"
    assert two.asked == []


@pytest.mark.parametrize("error", [SourceFailed("down"), NoData("none"), NotConfigured("no key")], ids=str)
def test_a_source_that_fails_is_followed_by_the_next(error: Exception) -> None:
    assert feed_of(Source("one", error=error), Source("two")).candles(BTC, H1).source == "two"


def test_when_all_fail_every_source_says_why() -> None:
    feed = feed_of(
        Source("one", error=SourceFailed("timed out")),
        Source("two", assets=[EUR]),
        Source("three", error=NotConfigured("no key", hint="set plugins.three.key")),
    )
    with pytest.raises(NoData) as caught:
        feed.candles(BTC, H1)
    assert "one: timed out" in str(caught.value)
    assert "two: does not have BTCUSD" in str(caught.value)
    assert "three: no key (set plugins.three.key)" in str(caught.value)


def test_without_sources_there_is_no_data() -> None:
    with pytest.raises(NoData, match="no source"):
        feed_of().candles(BTC, H1)


def test_a_setting_that_the_only_source_lacks_is_told_as_such() -> None:
    with pytest.raises(NotConfigured):
        feed_of(Source(error=NotConfigured("no key"))).series(BTC)


def test_a_replay_does_not_go_on_with_another_source() -> None:
    with pytest.raises(CassetteMiss):
        feed_of(Source("one", error=CassetteMiss("never recorded")), Source("two")).candles(BTC, H1)


def test_a_source_behind_an_open_breaker_is_not_asked() -> None:
    clock, one, two = HandClock(), Source("one", error=SourceFailed("down")), Source("two")
    feed = feed_of(one, two, clock=clock, ttl=0)
    for _ in range(5):
        assert feed.candles(BTC, H1).source == "two"
    assert len(one.asked) == 3
    assert feed.breakers["one"].state.phase is Phase.OPEN
    one.error = None
    clock.forward(seconds=60)
    assert feed.candles(BTC, H1).source == "one"


def test_having_nothing_is_no_failure_of_the_source() -> None:
    one = Source("one", error=NoData("none"))
    feed = feed_of(one, ttl=0)
    for _ in range(4):
        with pytest.raises(NoData):
            feed.candles(BTC, M1)
    assert feed.breakers["one"].state.phase is Phase.CLOSED


# six frames


def test_one_frame_that_fails_leaves_the_others_alone_and_is_listed() -> None:
    found = feed_of(Source(frames=[H1, H4, D1])).series(BTC)
    assert tuple(found.series) == PULSE_TIMEFRAMES
    assert found.missing == (M1, Timeframe.M5, Timeframe.M15)
    assert found.errors[M1] == ("one: one has no 1m bars",)
    assert set(found.errors) == set(found.missing)
    assert set(found.sources) == {H1, H4, D1}


def test_frames_may_come_from_different_sources_each_recorded() -> None:
    found = feed_of(Source("one", frames=[M1]), Source("two", frames=[H1, D1]), clock=HandClock()).series(
        BTC, bars=3, timeframes=[M1, D1]
    )
    # One's minutes make a day too; three days of minutes are within what is read at once.
    assert found.sources == {M1: "one", D1: "one"}
    only_hours = feed_of(Source("one", frames=[D1]), Source("two", frames=[H1])).series(BTC, timeframes=[H1, D1])
    assert only_hours.sources == {H1: "two", D1: "one"}


def test_real_and_synthetic_frames_never_meet() -> None:
    found = feed_of(Source("real", frames=[D1]), Source("made_up", synthetic=True)).series(BTC)
    assert set(found.sources.values()) == {"real"}
    assert found.errors[H1] == ("made_up: its prices are invented, and other frames are real",)
    assert not found.synthetic
    assert feed_of(Source("made_up", synthetic=True)).series(BTC).synthetic


def test_a_frame_that_a_source_lacks_is_made_of_its_finer_bars() -> None:
    found = feed_of(Source(frames=[H1])).series(BTC, bars=20)
    made = found.series[H4]
    assert made is not None
    direct = feed_of(Source()).candles(BTC, H4, bars=20)
    assert (list(made.time), list(made.open), list(made.close)) == (
        list(direct.time),
        list(direct.open),
        list(direct.close),
    )
    assert made.source == "one"


def test_a_source_is_not_asked_twice_for_a_frame_that_it_lacks() -> None:
    source = Source(frames=[])
    assert feed_of(source).series(BTC).missing == PULSE_TIMEFRAMES
    assert len(source.asked) == len({frame for frame, _, _ in source.asked})


def test_days_that_end_at_another_hour_are_refused_and_the_next_source_asked() -> None:
    wrong, right = Source("wrong", day_boundary=DayBoundary.UTC), Source("right")
    found = feed_of(wrong, right).candles(EUR, D1)
    assert (found.source, found.day_boundary) == ("right", DayBoundary.NEW_YORK_17)
    with pytest.raises(NoData, match=r"days of EURUSD end at utc.*new_york_17"):
        feed_of(Source("wrong", day_boundary=DayBoundary.UTC)).candles(EUR, D1)


def test_a_stock_of_unknown_kind_is_told_how_to_say_so() -> None:
    with pytest.raises(NoData, match=r"data\.kinds\.GOOG: stock"):
        feed_of(Source(day_boundary=DayBoundary.SESSION)).candles(Asset.parse("GOOG"), D1)
    stock = Asset.parse("GOOG", kind=AssetKind.STOCK)
    assert len(feed_of(Source(day_boundary=DayBoundary.SESSION)).candles(stock, D1))


# as-of


def test_no_bar_was_incomplete_at_the_instant_asked_for() -> None:
    feed, chance = feed_of(Source()), random.Random(1)
    for _ in range(60):
        at = NOW - timedelta(seconds=chance.randrange(86_400))
        asset = chance.choice([BTC, EUR])
        for frame, held in feed.series(asset, at, bars=5).series.items():
            assert held is not None, frame
            assert held.last_close_at is not None
            assert held.last_close_at <= at
            assert len(held) <= 5


def test_data_after_the_instant_change_nothing() -> None:
    at = NOW - timedelta(hours=7, minutes=13)
    rich, poor = feed_of(Source(until=NOW + timedelta(days=9))), feed_of(Source(until=at))
    for frame in Timeframe:
        assert rich.candles(BTC, frame, end=at).fingerprint == poor.candles(BTC, frame, end=at).fingerprint


def test_five_hundred_bars_come_where_they_exist() -> None:
    assert [len(feed_of(Source()).candles(BTC, frame)) for frame in (M1, H1)] == [500, 500]


def test_a_live_call_is_as_of_the_clocks_now() -> None:
    found = feed_of(Source()).series(BTC)
    assert found.as_of == NOW
    assert found.series[M1] is not None
    assert found.series[M1].last_close_at == NOW


# the cache


def test_a_second_live_call_asks_nobody_until_the_time_is_up() -> None:
    clock, source = HandClock(), Source()
    feed = feed_of(source, clock=clock)
    first = feed.series(BTC)
    assert (first.hits, first.misses, first.hit_rate) == (0, 6, 0.0)
    asked = len(source.asked)
    clock.forward(seconds=299)
    second = feed.series(BTC)
    assert len(source.asked) == asked
    assert (second.hits, second.misses, second.hit_rate) == (6, 0, 1.0)
    assert second.series == first.series
    clock.forward(seconds=1)
    assert feed.series(BTC).hit_rate == 0.0
    assert len(source.asked) == 2 * asked
    stats = feed.cache_stats
    assert (stats.entries, stats.hits, stats.misses, stats.hit_rate) == (6, 6, 12, 1 / 3)


def test_the_hit_rate_of_a_partial_hit_is_its_share() -> None:
    feed = feed_of(Source())
    feed.candles(BTC, H1)
    assert feed.series(BTC, timeframes=[H1, H4]).hit_rate == 0.5


def test_another_number_of_bars_is_another_question() -> None:
    feed = feed_of(Source())
    assert len(feed.candles(BTC, H1, bars=10)) == 10
    assert len(feed.candles(BTC, H1, bars=20)) == 20


def test_what_was_found_for_one_instant_never_answers_another() -> None:
    clock, source = FixedClock(NOW), Source()
    feed = Feed([("one", source)], clock)
    early, late = NOW - timedelta(minutes=3), NOW - timedelta(minutes=1)
    assert feed.candles(BTC, M1, end=late).last_close_at == late
    assert feed.candles(BTC, M1, end=early).last_close_at == early
    assert feed.candles(BTC, M1).last_close_at == NOW
    assert feed.candles(BTC, M1, end=late).last_close_at == late
    assert len(source.asked) == 3


def test_after_the_clock_went_backwards_nothing_from_its_future_is_served() -> None:
    clock, source = HandClock(), Source()
    feed = feed_of(source, clock=clock)
    feed.candles(BTC, M1)
    clock.forward(seconds=-120)
    found = feed.candles(BTC, M1)
    assert found.last_close_at == NOW - timedelta(seconds=120)


def test_the_least_recently_used_series_leaves_first() -> None:
    source = Source()
    feed = feed_of(source, max_entries=2)
    for frame in (M1, H1, M1, D1):
        feed.candles(BTC, frame, bars=5)
    source.asked.clear()
    feed.candles(BTC, M1, bars=5)
    assert source.asked == []
    feed.candles(BTC, H1, bars=5)
    assert [frame for frame, _, _ in source.asked] == [H1]
    assert feed.cache_stats.entries == 2


def test_a_failure_is_not_remembered() -> None:
    source = Source(error=SourceFailed("down"))
    feed = feed_of(source)
    with pytest.raises(NoData):
        feed.candles(BTC, H1)
    source.error = None
    assert len(feed.candles(BTC, H1)) == 500


def test_a_source_that_came_back_wins_over_what_was_kept_of_another() -> None:
    clock, one, two = HandClock(), Source("one", error=SourceFailed("down")), Source("two")
    feed = feed_of(one, two, clock=clock)
    assert feed.candles(BTC, H1).source == "two"
    one.error = None
    assert feed.candles(BTC, H1).source == "one"


def test_threads_share_one_feed() -> None:
    feed = feed_of(Source(), max_entries=3)
    work: list[Callable[[], Candles]] = [
        lambda frame=frame, end=NOW - timedelta(minutes=minutes): feed.candles(BTC, frame, end=end, bars=7)  # type: ignore[misc]
        for frame in (M1, H1, H4)
        for minutes in range(12)
    ]
    alone = [
        feed_of(Source()).candles(BTC, frame, end=NOW - timedelta(minutes=m), bars=7)
        for frame in (M1, H1, H4)
        for m in range(12)
    ]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda call: call(), work * 3))
    assert together == alone * 3
    assert feed.cache_stats.entries == 3


def test_no_bars_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="0 bars"):
        feed_of(Source()).candles(BTC, H1, bars=0)


# spans


def test_a_span_ends_before_its_end_and_holds_only_what_is_complete_now() -> None:
    feed = feed_of(Source())
    start = NOW - timedelta(hours=5)
    assert len(feed.span(BTC, H1, start=start, end=NOW - timedelta(hours=1))) == 4
    assert feed.span(BTC, H1, start=start, end=NOW + timedelta(days=1)).last_close_at == NOW


def test_a_span_falls_back_and_lists_every_error() -> None:
    start, down = NOW - timedelta(hours=5), Source("one", error=SourceFailed("down"))
    assert feed_of(down, Source("two")).span(BTC, H1, start=start, end=NOW).source == "two"
    with pytest.raises(NoData, match=r"one: down.*two: does not have"):
        feed_of(down, Source("two", assets=[EUR])).span(BTC, H1, start=start, end=NOW)


# quotes


@dataclass
class Quoting(Source):
    def quote(self, asset: Asset) -> Quote:
        if self.error is not None:
            raise self.error
        return Quote(asset, Decimal(99), Decimal(101), NOW, self.name)


def test_a_quote_comes_from_the_first_source_that_has_one() -> None:
    down = Quoting("down", error=SourceFailed("timed out"))
    feed = feed_of(Source("bars"), down, Quoting("other", assets=[EUR]), Quoting("here"), Quoting("late"))
    assert (feed.quote(BTC).source, feed.quote(BTC).mid) == ("here", 100)


def test_where_nobody_quotes_every_source_says_why() -> None:
    down = Quoting("down", error=SourceFailed("timed out"))
    feed = feed_of(Source("bars"), down)
    with pytest.raises(NoData, match="no quote of BTCUSD: bars: quotes no BTCUSD; down: timed out"):
        feed.quote(BTC)
    for _ in range(2):
        with pytest.raises(NoData):
            feed.quote(BTC)
    # It is left alone like one whose bars fail.
    assert feed.breakers["down"].state.phase is Phase.OPEN
