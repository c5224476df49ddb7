"""Longer bars made of shorter ones, against real files and the laws they must keep."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import BadData
from ffe_core.market.candles import can_resample, frame, resample
from ffe_core.market.quality import END_OF_TIME, read_file

BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")
GOOG = Asset.parse("GOOG", kind=AssetKind.STOCK)
MINUTE, HOUR = Timeframe.M1.milliseconds, Timeframe.H1.milliseconds


def ms(*parts):
    return to_ms(datetime(*parts, tzinfo=UTC))


def series(times, length=Timeframe.M1, asset=BTC):
    times = list(times)
    prices = [100.0 + 7 * (index % 13) - index % 5 for index in range(len(times))]
    return Candles.of(
        asset, length, "test", time=times, open=prices, high=[price + 2 for price in prices],
        low=[price - 2 for price in prices], close=[price + 1 for price in prices],
        volume=[0.1 * (index % 7) for index in range(len(times))],
    )  # fmt: skip


def minutes(start, count, asset=BTC, step=1):
    return series((start + index * step * MINUTE for index in range(0, count)), asset=asset)


def load(path, symbol, length):
    asset = Asset.parse(symbol)
    return read_file(path, now=END_OF_TIME, timeframe=length, kind=asset.kind).candles(asset, "files")


# real data


@pytest.mark.parametrize("target", [Timeframe.H1])
def test_real_quarter_hours_make_exactly_the_brokers_own_hours(market_data, target):
    quarters = load(market_data / "EURUSD_15m_20200101_20231229.parquet", "EURUSD", Timeframe.M15)
    own = load(market_data / "EURUSD_1h_20200101_20231229.parquet", "EURUSD", target)
    assert resample(quarters, target) == own


def test_real_minutes_build_all_six_frames(market_data):
    perpetual = load(market_data / "BTCPERP_1m_20211231_20220201.parquet", "BTCPERP", Timeframe.M1)
    frames = {name: resample(perpetual, name) for name in PULSE_TIMEFRAMES}
    # 2021-12-31 23:00 to 2022-02-01 05:30 UTC, complete.
    assert {name.value: len(bars) for name, bars in frames.items()} == {
        "1m": 45_031, "5m": 9_007, "15m": 3_003, "1h": 751, "4h": 188, "1d": 32,
    }  # fmt: skip
    day = frames[Timeframe.D1]
    assert day.time[0] == ms(2022, 1, 1)
    assert day.coverage[0] == 1.0
    assert len(day.as_of(datetime(2022, 2, 1, 5, 31, tzinfo=UTC))) == 31
    # The lowest price of that January is in every frame.
    assert {min(bars.low) for bars in frames.values()} == {min(perpetual.low)}


def test_real_forex_hours_make_days_that_end_at_17_in_new_york(market_data):
    hours = load(market_data / "EURUSD_1h_20200101_20231229.parquet", "EURUSD", Timeframe.H1)
    days = resample(hours, Timeframe.D1)
    assert days.day_boundary is DayBoundary.NEW_YORK_17
    assert {from_ms(time).hour for time in days.time} == {21, 22}
    # Nobody trades on Saturday: no day begins on a Friday evening.
    assert {from_ms(time).weekday() for time in days.time} <= {6, 0, 1, 2, 3}
    assert sum(days.volume) == sum(hours.volume)


# completeness and coverage


def test_a_bar_whose_period_began_before_the_data_is_left_out():
    hours = resample(minutes(ms(2021, 1, 1, 0, 30), 90), Timeframe.H1)
    assert hours.time.tolist() == [ms(2021, 1, 1, 1)]


def test_absent_minutes_do_not_drop_a_bar_and_are_counted():
    bars = minutes(ms(2021, 1, 1), 1)
    later = minutes(ms(2021, 1, 1, 1), 60)
    hours = resample(series([*bars.time, *later.time]), Timeframe.H1)
    assert len(hours) == 2
    assert hours.coverage == (1 / 60, 1.0)


def test_an_hour_without_any_minute_is_absent_not_invented():
    hours = resample(series([ms(2021, 1, 1), ms(2021, 1, 1, 2)]), Timeframe.H1)
    assert hours.time.tolist() == [ms(2021, 1, 1), ms(2021, 1, 1, 2)]


def test_a_forming_bar_is_hidden_until_its_period_has_ended():
    hours = resample(minutes(ms(2021, 1, 1), 90), Timeframe.H1)
    assert hours.coverage[-1] == 0.5
    assert len(hours.as_of(datetime(2021, 1, 1, 1, 59, 59, tzinfo=UTC))) == 1
    assert len(hours.as_of(datetime(2021, 1, 1, 2, tzinfo=UTC))) == 2


@given(
    kept=st.sets(st.integers(0, 48 * 60 - 1), min_size=1, max_size=300),
    target=st.sampled_from([Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1, Timeframe.H4, Timeframe.D1]),
    asset=st.sampled_from([BTC, EUR, GOOG]),
)
@settings(max_examples=150, deadline=None)
def test_each_bar_is_made_of_the_bars_in_its_period_and_no_other(kept, target, asset):
    begin = ms(2021, 3, 13, 12)  # the New York clocks change in this span
    bars = series((begin + minute * MINUTE for minute in sorted(kept)), asset=asset)
    made = resample(bars, target)
    for index in range(len(made)):
        closes = made.close_time(index)
        begins = made.time[index]
        if asset is GOOG and target is Timeframe.D1:
            begins = closes - (6 * 60 + 30) * MINUTE
        inside = [at for at in range(len(bars)) if begins <= bars.time[at] < closes]
        assert inside
        assert begins >= bars.time[0]
        assert made.open[index] == bars.open[inside[0]]
        assert made.close[index] == bars.close[inside[-1]]
        assert made.high[index] == max(bars.high[at] for at in inside)
        assert made.low[index] == min(bars.low[at] for at in inside)
        assert made.volume[index] == pytest.approx(sum(bars.volume[at] for at in inside))
        assert made.coverage[index] == pytest.approx(len(inside) * MINUTE / (closes - begins))


@given(
    kept=st.sets(st.integers(0, 600), min_size=2, max_size=200),
    cut=st.integers(0, 700),
    asset=st.sampled_from([BTC, EUR]),
)
@settings(max_examples=100, deadline=None)
def test_what_is_complete_at_an_instant_does_not_depend_on_later_minutes(kept, cut, asset):
    bars = series((ms(2021, 3, 14, 18) + minute * MINUTE for minute in sorted(kept)), asset=asset)
    at = from_ms(ms(2021, 3, 14, 18) + cut * MINUTE)
    for target in (Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1):
        whole, known = resample(bars, target).as_of(at), resample(bars.as_of(at), target).as_of(at)
        assert whole == known
        assert whole.coverage == known.coverage


@given(kept=st.sets(st.integers(0, 3000), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_two_steps_make_the_same_bars_as_one(kept):
    times = [ms(2021, 1, 1)] + [ms(2021, 1, 1) + minute * MINUTE for minute in sorted(kept) if minute]
    bars = series(times)
    once, twice = resample(bars, Timeframe.H4), resample(resample(bars, Timeframe.M15), Timeframe.H4)
    assert once.time.tolist() == twice.time.tolist()
    assert all(list(getattr(once, name)) == pytest.approx(list(getattr(twice, name))) for name in COLUMNS)
    assert once.coverage == pytest.approx(twice.coverage)


# days


@pytest.mark.parametrize("friday, hours", [((2021, 3, 13), 23), ((2021, 11, 6), 25), ((2021, 7, 3), 24)])
def test_a_forex_day_is_as_long_as_new_yorks(friday, hours):
    label = Timeframe.D1.open_of(ms(*friday, 23), AssetKind.FOREX)
    day = resample(minutes(label, 30 * 60, EUR), Timeframe.D1)
    assert day.time[0] == label
    assert day.time[1] - day.time[0] == hours * HOUR
    assert day.coverage[0] == 1.0


def test_a_stock_day_holds_its_session_and_nothing_before_or_after_it():
    # 04:00 to 20:00 in New York, which is UTC-5 in January.
    day = resample(minutes(ms(2021, 1, 5, 9), 16 * 60, GOOG), Timeframe.D1)
    session = minutes(ms(2021, 1, 5, 9), 16 * 60, GOOG).between(
        datetime(2021, 1, 5, 14, 30, tzinfo=UTC), datetime(2021, 1, 5, 21, tzinfo=UTC)
    )
    assert day.time.tolist() == [ms(2021, 1, 5)]
    assert day.open[0] == session.open[0]
    assert day.close[0] == session.close[-1]
    assert day.coverage == (1.0,)


# refusals


def test_shorter_bars_are_not_made_of_longer_ones():
    with pytest.raises(BadData, match="1m bars cannot be made of 1h bars"):
        resample(series([ms(2021, 1, 1)], Timeframe.H1), Timeframe.M1)


@pytest.mark.parametrize("asset, length", [(EUR, Timeframe.H4), (GOOG, Timeframe.H1), (GOOG, Timeframe.H4)])
def test_bars_across_the_end_of_a_day_make_no_days(asset, length):
    with pytest.raises(BadData, match="does not begin and end"):
        resample(series([ms(2021, 1, 4)], length, asset), Timeframe.D1)


def test_the_same_timeframe_is_the_same_series():
    bars = minutes(ms(2021, 1, 1), 3)
    assert resample(bars, Timeframe.M1) is bars


@given(st.sampled_from(list(Timeframe)), st.sampled_from(list(Timeframe)), st.sampled_from(list(AssetKind)))
@settings(deadline=None)
def test_what_can_be_made_is_said_as_it_is_done(finer, coarser, kind):
    bars = series([ms(2021, 1, 4)], finer, Asset.parse("ABC", kind=kind))
    if can_resample(finer, coarser, kind):
        resample(bars, coarser)
    elif finer is not coarser:
        with pytest.raises(BadData):
            resample(bars, coarser)


def test_an_empty_series_makes_an_empty_series():
    assert len(resample(Candles.empty(BTC, Timeframe.M1, "test"), Timeframe.H1)) == 0


# frames


def test_a_frame_is_indexed_by_utc_opens():
    bars = minutes(ms(2021, 1, 1), 3)
    table = bars.frame()
    assert list(table.columns) == list(COLUMNS)
    assert str(table.index.tz) == "UTC"
    assert table.index[0] == datetime(2021, 1, 1, tzinfo=UTC)
    assert table.index[1] - table.index[0] == timedelta(minutes=1)
    assert table["close"].tolist() == bars.close.tolist()
    assert frame(bars).equals(table)


@given(
    start=st.integers(0, 400),
    gaps=st.lists(st.integers(1, 40), min_size=2, max_size=200),
    target=st.sampled_from([Timeframe.M5, Timeframe.H1, Timeframe.D1]),
    seconds=st.sampled_from([0, 30]),
)
@settings(max_examples=60, deadline=None)
def test_whole_columns_make_the_bars_that_one_after_the_other_make(start, gaps, target, seconds):
    """Also where bars lie beside the grid, and where more of them lie in a period than it holds."""
    begins = ms(2021, 3, 1) + start * MINUTE
    bars = series(begins + (at * 60 - seconds * (index % 2)) * 1000 for index, at in enumerate(accumulate(gaps)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ffe_core.market.candles.WORTH_NUMPY", 1)
        quick = resample(bars, target)
    slow = resample(bars, target)
    assert (quick, quick.coverage) == (slow, slow.coverage)


@pytest.mark.slow
def test_half_a_million_minutes_are_resampled_before_the_user_looks_up():
    from time import perf_counter

    bars = minutes(ms(2021, 1, 1), 500_000)
    best = min(_timed(perf_counter, bars) for _ in range(3))
    # Measured at a fifth of a second; the margin is for busy machines.
    assert best < 2.0


def _timed(clock, bars):
    begin = clock()
    resample(bars, Timeframe.M15)
    return clock() - begin
