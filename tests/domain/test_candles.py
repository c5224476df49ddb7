"""A series of bars: its rules, its cuts, its fingerprint."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles

BTC = Asset.parse("BTCUSD")
START = to_ms(datetime(2021, 3, 1, tzinfo=UTC))
HOUR = Timeframe.H1.milliseconds


def series(times, frame=Timeframe.H1, asset=BTC, **columns):
    times = list(times)
    values = {name: [100.0 + index for index in range(len(times))] for name in COLUMNS}
    return Candles.of(asset, frame, "test", time=times, **{**values, **columns})


def hours(count, asset=BTC):
    return series((START + index * HOUR for index in range(count)), asset=asset)


@pytest.mark.parametrize("times", [[START, START], [START + HOUR, START]])
def test_stamps_must_increase(times):
    with pytest.raises(ValueError, match="strictly increasing"):
        series(times)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_value_must_be_finite(name, bad):
    with pytest.raises(ValueError, match=name):
        series([START], **{name: [bad]})


def test_infinities_that_cancel_are_not_finite_and_huge_values_are():
    two = [START, START + HOUR]
    with pytest.raises(ValueError, match="close"):
        series(two, close=[math.inf, -math.inf])
    assert list(series(two, volume=[1e308, 1e308]).volume) == [1e308, 1e308]


def test_columns_must_be_equally_long():
    with pytest.raises(ValueError, match="length"):
        series([START], close=[1.0, 2.0])


def test_buffers_are_read_only():
    with pytest.raises(TypeError):
        hours(2).close[0] = 1.0


@given(cut=st.integers(min_value=-5 * HOUR, max_value=60 * HOUR), kind=st.sampled_from(list(AssetKind)))
@settings(max_examples=100, deadline=None)
def test_as_of_shows_every_complete_bar_and_no_other(cut, kind):
    bars = hours(50, Asset.parse("ABC", kind=kind))
    at = START + cut
    seen = bars.as_of(from_ms(at))
    assert len(seen) == sum(bars.close_time(index) <= at for index in range(len(bars)))
    assert all(seen.close_time(index) <= at for index in range(len(seen)))


@given(
    days=st.integers(min_value=1, max_value=400),
    cut=st.integers(min_value=0, max_value=400 * 24),
    kind=st.sampled_from([AssetKind.CRYPTO, AssetKind.FOREX, AssetKind.STOCK]),
)
@settings(max_examples=100, deadline=None)
def test_as_of_never_shows_an_unfinished_day_of_any_kind(days, cut, kind):
    labels, at = [], START
    for _ in range(days):
        label = Timeframe.D1.open_of(at, kind)
        labels.append(label)
        at = label + 36 * HOUR
    bars = series(labels, Timeframe.D1, Asset.parse("ABC", kind=kind))
    limit = START + cut * HOUR
    seen = bars.as_of(from_ms(limit))
    assert len(seen) == sum(Timeframe.D1.close_of(label, kind) <= limit for label in labels)


def test_a_bar_is_seen_at_the_instant_it_closes_and_not_a_moment_before():
    bars = hours(1)
    assert len(bars.as_of(from_ms(START + HOUR))) == 1
    assert len(bars.as_of(from_ms(START + HOUR) - timedelta(microseconds=1))) == 0


def test_as_of_refuses_an_instant_without_a_zone():
    with pytest.raises(ValueError, match="time zone"):
        hours(1).as_of(datetime(2021, 3, 1))


@given(first=st.integers(min_value=-3_000_000, max_value=30 * HOUR * 1000), length=st.integers(0, 20 * HOUR * 1000))
@settings(max_examples=100, deadline=None)
def test_between_holds_the_bars_that_open_in_the_span_to_the_microsecond(first, length):
    bars = hours(20)
    start = from_ms(START) + timedelta(microseconds=first)
    end = start + timedelta(microseconds=length)
    wanted = [time for time in bars.time if start <= from_ms(time) < end]
    assert bars.between(start, end).time.tolist() == wanted


def test_slices_share_the_buffers_and_keep_what_is_said_about_the_series():
    bars = series([START, START + HOUR], coverage=(0.5, 1.0), remarks=("seen",))
    last = bars.tail(1)
    assert last.coverage == (1.0,)
    assert last.remarks == ("seen",)
    assert last.close[0] == bars.close[1]


@given(st.data())
@settings(deadline=None)
def test_the_fingerprint_changes_with_every_value_and_with_nothing_else(data):
    bars = hours(5)
    name = data.draw(st.sampled_from(COLUMNS))
    index = data.draw(st.integers(0, 4))
    values = list(getattr(bars, name))
    values[index] = math.nextafter(values[index], math.inf)
    assert series(bars.time, **{name: values}).fingerprint != bars.fingerprint
    again = series(bars.time, fetched_at=datetime(2030, 1, 1, tzinfo=UTC), remarks=("another way",))
    assert again.fingerprint == bars.fingerprint
    assert again == bars


def test_a_cut_that_leaves_the_same_bars_leaves_the_same_fingerprint():
    assert hours(10).slice(2, 5).fingerprint == hours(7).slice(2, 5).fingerprint


def test_a_series_survives_the_way_to_another_process():
    bars = series([START], coverage=(0.25,), remarks=("seen",))
    back = pickle.loads(pickle.dumps(bars))
    assert back == bars
    assert (back.coverage, back.remarks, back.day_boundary) == (bars.coverage, bars.remarks, bars.day_boundary)


def test_an_empty_series_is_a_series():
    empty = Candles.empty(BTC, Timeframe.H1, "test")
    assert len(empty) == 0
    assert empty.last_close_at is None
    assert len(empty.as_of(datetime(2021, 1, 1, tzinfo=UTC))) == 0
