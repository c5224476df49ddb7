"""The invented market: the same bars through every window, minutes that add up to days, and a market's manners."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffe_core.builtin import demo
from ffe_core.builtin.demo import DemoSource
from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.clock import FixedClock, from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.domain.trading import Action, Effect
from ffe_core.engine import Engine
from ffe_core.errors import NoData
from ffe_core.market.candles import can_resample
from ffe_core.market.hours import market_status, open_time
from ffe_core.settings import Settings
from ffe_core.testing import DataSourceContract, make_context

NOW = datetime(2024, 3, 13, 15, 37, 12, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
BTC, EUR, JPY = Asset.parse("BTCUSD"), Asset.parse("EURUSD"), Asset.parse("USDJPY")
GOOG = Asset.parse("GOOG", kind=AssetKind.STOCK)
DIP = Asset.parse("DIPUSD")
ASSETS = [BTC, EUR, GOOG, DIP]

assets = st.sampled_from(ASSETS)
frames = st.sampled_from(list(Timeframe))
instants = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def source(seed: int = 7) -> DemoSource:
    return DemoSource(FixedClock(NOW), seed)


def last(asset: Asset, timeframe: Timeframe, limit: int, end: datetime = NOW, seed: int = 7) -> Candles:
    return source(seed).candles(asset, timeframe, start=None, end=end, limit=limit)


def rows(candles: Candles) -> list[tuple[float, ...]]:
    return list(zip(candles.time, *(getattr(candles, name) for name in COLUMNS), strict=True))


class TestContractOfCrypto(DataSourceContract):
    factory = source
    unknown_asset = None


class TestContractOfForex(DataSourceContract):
    factory = source
    asset = "EURUSD"
    timeframe = Timeframe.M15
    unknown_asset = None


class TestContractOfDays(DataSourceContract):
    factory = source
    timeframe = Timeframe.D1
    unknown_asset = None


# a pure function of seed, asset and time


@settings(max_examples=40, deadline=None)
@given(assets, frames, instants, st.integers(1, 60), st.integers(1, 60))
def test_a_bar_is_the_same_through_every_window(
    asset: Asset, timeframe: Timeframe, end: datetime, more: int, fewer: int
) -> None:
    long = last(asset, timeframe, max(more, fewer), end)
    short = last(asset, timeframe, min(more, fewer), end)
    assert rows(short) == rows(long)[-len(short) :]
    start = from_ms(long.time[len(long) // 2])
    spanned = source().candles(asset, timeframe, start=start, end=end, limit=None)
    assert rows(spanned) == rows(long)[len(long) // 2 :]


@settings(max_examples=20, deadline=None)
@given(assets, frames, instants, st.timedeltas(timedelta(0), timedelta(days=3)))
def test_a_later_end_changes_no_earlier_bar(
    asset: Asset, timeframe: Timeframe, end: datetime, further: timedelta
) -> None:
    try:
        early = last(asset, timeframe, 20, end)
    except NoData:
        return
    late = source().candles(asset, timeframe, start=from_ms(early.time[0]), end=end + further, limit=None)
    assert rows(late)[: len(early)] == rows(early)


def test_a_cold_process_makes_the_same_bars() -> None:
    warm = last(BTC, Timeframe.M5, 50).fingerprint
    for kept in (demo._era, demo.day_parts, demo._roots_and_shares):
        kept.cache_clear()
    assert last(BTC, Timeframe.M5, 50).fingerprint == warm


def test_another_seed_or_asset_is_another_market() -> None:
    seen = {last(asset, Timeframe.H1, 50, seed=seed).close[:].tobytes() for asset in (BTC, EUR) for seed in (7, 8)}
    assert len(seen) == 4


# minutes add up to every frame


def added_up(minutes: Candles, bar: int, timeframe: Timeframe) -> tuple[float, ...]:
    """The longer bar that opens at ``bar``, made of minutes by hand."""
    upto = timeframe.close_of(bar, minutes.asset.kind)
    held = [row for row in rows(minutes) if bar <= row[0] < upto]
    _, opens, highs, lows, closes, volumes = zip(*held, strict=True)
    return bar, opens[0], max(highs), min(lows), closes[-1], sum(volumes)


@settings(max_examples=25, deadline=None)
@given(assets, st.sampled_from([frame for frame in Timeframe if frame is not Timeframe.M1]), instants)
def test_minutes_add_up_to_every_frame_to_the_last_digit(asset: Asset, timeframe: Timeframe, end: datetime) -> None:
    longer = last(asset, timeframe, 2, end)
    first, upto = from_ms(longer.time[0]), from_ms(longer.close_time(-1))
    minutes = source().candles(asset, Timeframe.M1, start=first, end=upto, limit=None)
    assert [added_up(minutes, bar, timeframe) for bar in longer.time] == rows(longer)


@pytest.mark.parametrize("asset", ASSETS, ids=str)
@pytest.mark.parametrize("finer", [Timeframe.M5, Timeframe.M30, Timeframe.H1])
def test_resampling_gives_the_bars_that_the_source_gives(asset: Asset, finer: Timeframe) -> None:
    # Over the change of clocks in New York on 10 March and in London on 31 March 2024.
    span = {"start": datetime(2024, 3, 7, tzinfo=UTC), "end": datetime(2024, 4, 3, tzinfo=UTC), "limit": None}
    held = source().candles(asset, finer, **span)  # type: ignore[arg-type]
    for timeframe in Timeframe:
        if not can_resample(finer, timeframe, asset.kind):
            continue
        made = rows(held.resample(timeframe))[:-1]
        assert made
        direct = {row[0]: row for row in rows(source().candles(asset, timeframe, **span))}  # type: ignore[arg-type]
        assert made == [direct[row[0]] for row in made], timeframe


def test_forex_days_end_at_17_00_new_york_through_both_changes_of_its_clocks() -> None:
    days = last(EUR, Timeframe.D1, 260, datetime(2024, 12, 1, tzinfo=UTC))
    opens = [from_ms(stamp).astimezone(NEW_YORK) for stamp in days.time]
    assert {(at.hour, at.minute) for at in opens} == {(17, 0)}
    assert {at.strftime("%A") for at in opens} == {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday"}


# when it trades


@pytest.mark.parametrize("asset", [EUR, GOOG], ids=str)
def test_bars_exist_exactly_when_the_market_is_open(asset: Asset) -> None:
    start = datetime(2024, 3, 8, 12, tzinfo=UTC)
    end = start + timedelta(days=5)
    held = source().candles(asset, Timeframe.M1, start=start, end=end, limit=None)
    assert all(market_status(asset, from_ms(stamp)).is_open for stamp in held.time)
    assert timedelta(minutes=len(held)) == open_time(asset.kind, start, end)


def test_crypto_trades_without_a_gap() -> None:
    held = source().candles(BTC, Timeframe.M1, start=NOW - timedelta(days=8), end=NOW, limit=None)
    assert set(map(int.__sub__, held.time[1:].tolist(), held.time[:-1].tolist())) == {60_000}
    assert all(held.open[index + 1] == held.close[index] for index in range(len(held) - 1))


def test_a_week_end_moves_the_forex_price() -> None:
    days = last(EUR, Timeframe.D1, 10)
    gaps = [days.open[index + 1] - days.close[index] for index in range(len(days) - 1)]
    assert sum(gap != 0 for gap in gaps) == 2


def test_a_span_in_which_the_market_was_closed_has_no_data() -> None:
    saturday = datetime(2024, 3, 9, tzinfo=UTC)
    with pytest.raises(NoData, match="closed"):
        source().candles(EUR, Timeframe.H1, start=saturday, end=saturday + timedelta(days=1), limit=None)


@pytest.mark.parametrize("at", [datetime(1899, 1, 1, tzinfo=UTC), datetime(1, 1, 2, tzinfo=UTC)])
def test_before_1900_there_is_no_market(at: datetime) -> None:
    with pytest.raises(NoData):
        last(BTC, Timeframe.H1, 10, at)


def test_a_request_far_beyond_its_years_ends_with_them() -> None:
    held = last(BTC, Timeframe.D1, 2, datetime(9999, 12, 31, tzinfo=UTC))
    assert from_ms(held.time[-1]) == datetime(2199, 12, 31, tzinfo=UTC)


def test_without_an_end_it_gives_what_is_complete_now() -> None:
    held = source().candles(BTC, Timeframe.H1, start=None, end=None, limit=None)
    assert (len(held), held.last_close_at) == (499, datetime(2024, 3, 13, 15, tzinfo=UTC))


# how it looks


@pytest.mark.parametrize(
    ("symbol", "low", "high"),
    [
        ("BTCUSD", 5_000, 500_000),
        ("ETHUSD", 200, 40_000),
        ("ETHBTC", 0.005, 0.6),
        ("EURUSD", 0.7, 1.8),
        ("USDJPY", 80, 280),
        ("EURJPY", 80, 320),
        ("DOGEUSD", 0.003, 3),
        ("USDTUSD", 0.9, 1.1),
        ("ZZZZZZUSD", 0.01, 20_000),
        ("DIPUSD", 5, 20_000),
    ],
)
def test_prices_keep_to_a_pairs_order_of_magnitude_for_a_century(symbol: str, low: float, high: float) -> None:
    asset = Asset.parse(symbol)
    for year in range(1975, 2100, 12):
        held = last(asset, Timeframe.D1, 200, datetime(year, 6, 1, tzinfo=UTC))
        assert low < min(held.low), year
        assert max(held.high) < high, year


@cache
def returns(asset: Asset, timeframe: Timeframe, count: int, seed: int = 7) -> tuple[float, ...]:
    closes = last(asset, timeframe, count, seed=seed).close
    return tuple(math.log(after / before) for before, after in pairwise(closes))


def autocorrelation(values: Sequence[float], lag: int) -> float:
    mean = statistics.fmean(values)
    off = [value - mean for value in values]
    return sum(map(float.__mul__, off[:-lag], off[lag:])) / sum(value * value for value in off)


LOOKS = [(BTC, Timeframe.D1, 3000), (BTC, Timeframe.H1, 6000), (EUR, Timeframe.M15, 6000), (EUR, Timeframe.M1, 8000)]


@pytest.mark.parametrize(("asset", "timeframe", "count"), LOOKS, ids=str)
def test_returns_do_not_predict_the_next_return(asset: Asset, timeframe: Timeframe, count: int) -> None:
    for lag in (1, 2, 3, 5):
        assert abs(autocorrelation(returns(asset, timeframe, count), lag)) < 0.1


@pytest.mark.parametrize(("asset", "timeframe", "count"), LOOKS, ids=str)
def test_restless_times_follow_restless_times_and_tails_are_fat(asset: Asset, timeframe: Timeframe, count: int) -> None:
    values = returns(asset, timeframe, count)
    assert autocorrelation([abs(value) for value in values], 1) > 0.1
    assert autocorrelation([abs(value) for value in values], 5) > 0.05
    spread = statistics.pstdev(values)
    assert statistics.fmean((value / spread) ** 4 for value in values) > 4


@pytest.mark.parametrize(("asset", "low", "high"), [(BTC, 0.015, 0.05), (EUR, 0.003, 0.01), (GOOG, 0.008, 0.035)])
def test_a_days_volatility_is_the_kinds_own_on_every_frame(asset: Asset, low: float, high: float) -> None:
    per_day = {AssetKind.CRYPTO: 1440, AssetKind.FOREX: 1440, AssetKind.STOCK: 390}[asset.kind]
    assert low < statistics.pstdev(returns(asset, Timeframe.D1, 1500)) < high
    minutes = statistics.pstdev(returns(asset, Timeframe.M1, 15 * per_day)) * math.sqrt(per_day)
    assert low / 2 < minutes < high * 2


def test_no_pattern_repeats() -> None:
    values = [round(value, 9) for value in returns(BTC, Timeframe.H1, 6000)]
    assert len(set(pairwise(values))) == len(values) - 1


def test_every_bar_is_marked_synthetic_and_has_a_price_that_people_can_read() -> None:
    held = last(JPY, Timeframe.M1, 100)
    assert held.synthetic
    assert all(round(price, 3) == price for price in held.close)
    assert all(volume == int(volume) > 0 for volume in last(EUR, Timeframe.M5, 100).volume)


def test_a_window_costs_the_same_wherever_it_lies() -> None:
    """Counted in draws of chance rather than seconds: an origin to sum from would need more of them far away."""
    asset, drawn = Asset.parse("SOLUSD"), []
    for year in (1972, 2024, 2099):
        before = demo._era.cache_info().misses, demo.day_parts.cache_info().misses
        last(asset, Timeframe.M1, 500, datetime(year, 6, 1, 12, tzinfo=UTC))
        after = demo._era.cache_info().misses, demo.day_parts.cache_info().misses
        drawn.append((after[0] - before[0], after[1] - before[1]))
    assert all(eras <= 2 and days <= 3 for eras, days in drawn)


# the pair that slides


def test_the_sliding_pair_is_no_known_coin_and_always_trades() -> None:
    assert (DIP.base, DIP.quote, DIP.kind) == ("DIP", "USD", AssetKind.UNKNOWN)
    held = source().candles(DIP, Timeframe.H1, start=NOW - timedelta(days=8), end=NOW, limit=None)
    assert set(map(int.__sub__, held.time[1:].tolist(), held.time[:-1].tolist())) == {3_600_000}
    assert all(held.open[index + 1] == held.close[index] for index in range(len(held) - 1))


@pytest.mark.parametrize("seed", [7, 8])
def test_it_slides_for_eight_weeks_and_comes_back_in_a_day(seed: int) -> None:
    moves = [math.exp(value) - 1 for value in returns(DIP, Timeframe.D1, 600, seed)]
    rises = [day for day, move in enumerate(moves) if move > 1]
    assert {later - earlier for earlier, later in pairwise(rises)} == {56}
    slides = [move for move in moves if move < 1]
    assert -0.04 < statistics.fmean(slides) < -0.03
    assert sum(move < 0 for move in slides) / len(slides) > 0.99


@pytest.mark.parametrize("year", [1975, 2024, 2099])
def test_it_always_stays_around_its_level(year: int) -> None:
    held = last(DIP, Timeframe.D1, 1000, datetime(year, 6, 1, tzinfo=UTC))
    assert max(held.high) / min(held.low) < 15


@pytest.mark.slow
def test_the_default_panel_buys_it_at_nearly_every_instant(home: Path) -> None:
    rng = random.Random(5)
    bought = []
    clock = FixedClock(datetime(2031, 1, 1, tzinfo=UTC))
    with Engine.from_settings(Settings(), clock=clock) as engine:
        for number in range(25):
            at = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=102 * number, seconds=rng.randrange(102 * 86_400))
            decision = engine.analyze("DIPUSD", at=at)
            entry = (decision.action, decision.effect, decision.vetoed) == (Action.BUY, Effect.OPEN_LONG, False)
            bought.append(entry and decision.confidence >= 70 and (decision.position_size or 0) > 0)
    assert statistics.fmean(bought) >= 0.8


# the plugin


def test_the_seed_is_a_setting_and_the_plugin_offers_one_source(tmp_path: Path) -> None:
    context = make_context(tmp_path, "demo")
    (offered,) = demo.ffe_data_sources(demo.Settings(seed=11), context)
    assert offered.candles(BTC, Timeframe.H1, start=None, end=NOW, limit=5) == last(BTC, Timeframe.H1, 5, seed=11)
    assert demo.Settings().seed == 7
    with pytest.raises(ValidationError):
        demo.ffe_settings()(sed=1)


def test_its_holdings_name_pairs_to_try_and_say_that_they_are_invented() -> None:
    held = source().holdings()
    assert [str(one.asset) for one in held][:2] == ["BTCUSD", "ETHUSD"]
    assert all("synthetic" in one.origin and one.bars is None for one in held)


def test_stamps_are_opens_in_utc() -> None:
    held = last(BTC, Timeframe.H4, 12)
    assert [from_ms(stamp).hour % 4 for stamp in held.time] == [0] * 12
    assert held.time[-1] == to_ms(datetime(2024, 3, 13, 12, tzinfo=UTC))
