from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import market_of
from ffe_lab.market import Market, candles_of, longer

from ffe_core import Asset, AssetKind, BadData, Candles, NoData, Timeframe, UsageError, close_times

type Walk = Callable[..., pd.DataFrame]

GOOG = Asset.parse("GOOG", kind=AssetKind.STOCK)
COLUMNS = ("time", "open", "high", "low", "close", "volume")


def with_holes(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Without one bar in twenty, and without two days on end."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    kept = rng.random(len(frame)) > 0.05
    kept[200:248] = False
    return frame[kept]


def require_equal(ours: Candles | None, theirs: Candles) -> None:
    assert ours is not None
    assert (ours.timeframe, ours.day_boundary, len(ours)) == (theirs.timeframe, theirs.day_boundary, len(theirs))
    for name in COLUMNS:
        found, expected = np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name))
        if name == "volume":
            # A sum of floats depends on the order in which they are added.
            assert np.allclose(found, expected, rtol=1e-12, atol=0)
        else:
            assert np.array_equal(found, expected), name


@pytest.mark.parametrize("timeframe", [Timeframe.H4, Timeframe.D1])
@pytest.mark.parametrize(
    ("asset", "starts"), [("BTCUSD", "2022-01-03"), ("EURUSD", "2022-03-01"), ("EURUSD", "2022-10-20")]
)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_longer_bars_are_those_of_resampling(
    walk: Walk, asset: str, starts: str, timeframe: Timeframe, seed: int
) -> None:
    """The forex spans hold the days on which New York changes its clocks, of 23 and of 25 hours."""
    frame = walk(1100, seed=seed)
    frame.index = pd.date_range(starts, periods=len(frame), freq="h", tz="UTC") + pd.Timedelta(hours=seed)
    for bars in (frame, with_holes(frame, seed)):
        candles = candles_of(bars, asset=asset, timeframe="1h")
        require_equal(longer(candles, timeframe), candles.resample(timeframe))


@pytest.mark.parametrize("seed", [1, 2])
def test_longer_bars_of_quarter_hours_are_those_of_resampling(walk: Walk, seed: int) -> None:
    frame = walk(3000, seed=seed, freq="15min")
    candles = candles_of(with_holes(frame, seed), asset="EURUSD", timeframe="15m")
    for timeframe in (Timeframe.H1, Timeframe.H4, Timeframe.D1):
        require_equal(longer(candles, timeframe), candles.resample(timeframe))


def test_longer_bars_of_a_stock_end_with_its_sessions(walk: Walk) -> None:
    frame = walk(4000, freq="30min")
    local = pd.DatetimeIndex(frame.index).tz_convert("America/New_York")
    minute = local.hour * 60 + local.minute
    frame = frame[(minute >= 570) & (minute < 960) & (local.day_of_week < 5)]
    candles = candles_of(frame, asset=GOOG, timeframe="30m")
    require_equal(longer(candles, Timeframe.D1), candles.resample(Timeframe.D1))
    # A session of six and a half hours is no number of whole hours.
    assert longer(candles_of(frame[::2], asset=GOOG, timeframe="1h"), Timeframe.D1) is None


def test_no_longer_bars_are_made_of_bars_that_do_not_fit(walk: Walk) -> None:
    daily = candles_of(walk(100, freq="D"), asset="BTCUSD")
    assert longer(daily, Timeframe.H4) is None
    assert longer(replace(daily, timeframe=Timeframe.H4), Timeframe.H4) is None
    assert longer(daily.slice(0, 0), Timeframe.D1) is None


def test_a_longer_bar_is_known_from_its_close_on(walk: Walk) -> None:
    market = market_of(walk(200), asset="BTCUSD", timeframe="1h")
    days = market.days
    assert days is not None
    ends = close_times(days)
    for bar, place in enumerate(market.known(days).tolist()):
        closed = market.closes[bar]
        assert place < 0 or ends[place] <= closed
        assert place + 1 == len(days) or ends[place + 1] > closed


def test_later_bars_change_no_longer_bar_that_was_complete(walk: Walk) -> None:
    frame = walk(400)
    whole, cut = (
        longer(candles_of(bars, asset="BTCUSD", timeframe="1h"), Timeframe.D1) for bars in (frame, frame[:250])
    )
    assert whole is not None
    assert cut is not None
    complete = int(np.count_nonzero(close_times(cut) <= candles_of(frame[:250], timeframe="1h").close_time(-1)))
    require_equal(cut.slice(0, complete), whole.slice(0, complete))


def test_a_frame_is_read_without_copying_its_columns(walk: Walk) -> None:
    columns = {name: np.ascontiguousarray(values) for name, values in walk(50).items()}
    frame = pd.DataFrame(columns, index=walk(50).index, copy=False)
    candles = candles_of(frame, asset="BTCUSD")
    assert np.shares_memory(np.asarray(candles.close), frame["close"].to_numpy())


@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_times_without_a_zone_are_utc_and_others_are_converted(walk: Walk, zone: str | None) -> None:
    frame = walk(10)
    frame.index = pd.DatetimeIndex(frame.index).tz_convert(zone)
    assert candles_of(frame).time[0] == pd.Timestamp("2022-01-03T00:00Z").value // 1_000_000


def test_column_names_are_found_in_any_case_and_volume_may_be_absent(walk: Walk) -> None:
    frame = walk(10).drop(columns="volume").rename(columns=str.title)
    assert set(candles_of(frame).volume.tolist()) == {0.0}


def test_frames_that_are_no_bars_are_refused(walk: Walk) -> None:
    frame = walk(60)
    with pytest.raises(UsageError, match="indexed by time"):
        candles_of(frame.reset_index(drop=True))
    with pytest.raises(UsageError, match="one column close is needed"):
        candles_of(frame.drop(columns="close"))
    with pytest.raises(UsageError, match="7 minutes apart"):
        candles_of(frame.set_index(pd.date_range("2024-01-01", periods=60, freq="7min", tz="UTC")))
    with pytest.raises(NoData):
        candles_of(frame[:0])
    with pytest.raises(BadData, match="does not come after"):
        candles_of(frame.iloc[[0, 2, 1, 3]], timeframe="1h")


@pytest.mark.parametrize(
    ("column", "value"), [("low", 0.0), ("high", np.nan), ("close", np.inf), ("volume", -1.0), ("low", 1e6)]
)
def test_a_bar_that_no_market_makes_is_named(walk: Walk, column: str, value: float) -> None:
    frame = walk(60)
    frame.loc[frame.index[41], column] = value
    with pytest.raises(BadData, match="bar 41 is no bar"):
        candles_of(frame, asset="BTCUSD")


def test_a_session_follows_the_one_before_it_over_a_long_week_end() -> None:
    index = pd.DatetimeIndex(["2024-08-29", "2024-08-30", "2024-09-03"], tz="UTC") + pd.Timedelta(hours=13.5)
    flat = {name: [100.0] * 3 for name in ("open", "high", "low", "close")}
    candles = candles_of(pd.DataFrame(flat, index=index), asset=GOOG, timeframe="1d")
    assert Market(candles).longest_gap >= candles.time[2] - candles.time[1]


@pytest.mark.parametrize("compiled", [False, True])
def test_a_market_knows_whether_it_ever_paused(walk: Walk, compiled: bool) -> None:
    frame = walk(300, freq="h")
    for bars, paused in ((frame, False), (frame.drop(frame.index[57]), True), (frame.iloc[:1], False)):
        assert Market(candles_of(bars, timeframe="1h"), compiled=compiled).has_pauses is paused
