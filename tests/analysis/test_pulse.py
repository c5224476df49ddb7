"""Trend, strength, agreement and the words for them, on worked numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.analysis.narrative import alignment, describe_frame
from ffe_core.analysis.pulse import (
    PULSE_BARS,
    build_pulse,
    classify_trend,
    classify_volatility,
    confluence,
    entry_signal,
    frame_pulse,
    percent_b,
    signal_strength,
)
from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles, FramePulse, Trend, VolatilityClass
from ffe_core.errors import UnknownName
from tests.analysis.series import START_MS, bars_from, walk_of

BTC = Asset.parse("BTCUSD")
M1, M5, M15, H1, H4, D1 = PULSE_TIMEFRAMES


def frame(timeframe: Timeframe = H1, trend: Trend = Trend.UPTREND, strength: int = 50, **values: object) -> FramePulse:
    """A reading with only the fields that a test is about."""
    given_frame = frame_pulse(bars_from(walk_of(60), timeframe=timeframe))
    assert given_frame is not None
    neutral = {"rsi": 50.0, "sma_20": given_frame.price}
    return replace(given_frame, trend=trend, strength=strength, **{**neutral, **values})


def frames_of(**trends: tuple[Trend, int]) -> dict[Timeframe, FramePulse | None]:
    named = {"m1": M1, "m5": M5, "m15": M15, "h1": H1, "h4": H4, "d1": D1}
    return {named[name]: frame(named[name], *reading) for name, reading in trends.items()}


@pytest.mark.parametrize(
    ("sma_20", "sma_50", "context", "expected"),
    [
        (100.1, 100.0, {}, (Trend.UPTREND, 70)),
        (100.1, 100.0, {"adx": 30.0, "plus_di": 25.0, "minus_di": 10.0}, (Trend.UPTREND, 80)),
        (
            *(100.1, 100.0),
            {"adx": 30.0, "plus_di": 25.0, "minus_di": 10.0, "macd": 1.0, "macd_signal": 0.5},
            (Trend.UPTREND, 85),
        ),
        (100.1, 100.0, {"adx": 30.0, "plus_di": 10.0, "minus_di": 25.0}, (Trend.UPTREND, 70)),
        (100.1, 100.0, {"adx": 20.0, "plus_di": 25.0, "minus_di": 10.0}, (Trend.UPTREND, 55)),
        (
            *(100.1, 100.0),
            {"adx": 20.0, "plus_di": 25.0, "minus_di": 10.0, "macd": 1.0, "macd_signal": 0.5},
            (Trend.UPTREND, 60),
        ),
        (102.0, 100.0, {}, (Trend.UPTREND, 100)),
        (99.9, 100.0, {"macd": -1.0, "macd_signal": -0.5}, (Trend.DOWNTREND, 75)),
        (100.0, 100.0, {"adx": 40.0, "plus_di": 30.0, "minus_di": 5.0}, (Trend.RANGING, 50)),
        (100.0, None, {}, (Trend.UNKNOWN, 0)),
    ],
)
def test_trend_and_strength_follow_the_means_then_adx_then_macd(
    sma_20: float, sma_50: float | None, context: dict[str, float], expected: tuple[Trend, int]
) -> None:
    assert classify_trend(100.0, sma_20, sma_50, **context) == expected


def test_a_price_on_the_wrong_side_of_the_short_mean_leaves_no_trend() -> None:
    assert classify_trend(97.0, 100.0, 99.0)[0] is Trend.RANGING
    assert classify_trend(98.0, 100.0, 99.0)[0] is Trend.UPTREND
    assert classify_trend(103.0, 100.0, 101.0)[0] is Trend.RANGING
    assert classify_trend(102.0, 100.0, 101.0)[0] is Trend.DOWNTREND


def test_signal_strength_is_the_mean_of_what_there_is_cut_to_a_whole_number() -> None:
    # A histogram of 0.6 where the unit, a quarter of the ATR, is 1.
    assert signal_strength(rsi=28.0, histogram=-0.6, atr=4.0, adx=30.0, percent_b=8.0) == 77
    assert signal_strength() == 50


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"rsi": 29.9}, 80),
        ({"rsi": 35.0}, 60),
        ({"rsi": 50.0}, 40),
        ({"rsi": 65.0}, 60),
        ({"rsi": 71.0}, 80),
        ({"histogram": 1.1, "atr": 4.0}, 80),
        ({"histogram": -0.6, "atr": 4.0}, 65),
        ({"histogram": 0.5, "atr": 4.0}, 50),
        ({"histogram": 0.0, "atr": 0.0}, 50),
        ({"adx": 25.0}, 30),
        ({"adx": 30.0}, 80),
        ({"adx": 60.0}, 100),
        ({"percent_b": 9.0}, 85),
        ({"percent_b": 91.0}, 85),
        ({"percent_b": 25.0}, 65),
        ({"percent_b": 50.0}, 45),
    ],
)
def test_each_component_of_the_signal_strength(value: dict[str, float], expected: int) -> None:
    assert signal_strength(**value) == expected


def test_signal_strength_does_not_depend_on_the_unit_of_the_price() -> None:
    closes = walk_of(300, seed=4)
    scales = [2.0**-30, 1.0, 2.0**20]

    readings = [frame_pulse(bars_from([close * scale for close in closes])) for scale in scales]

    assert len({(reading.trend, reading.strength, reading.signal_strength) for reading in readings if reading}) == 1


def test_agreement_weighs_the_frames_and_lists_the_ranging_ones() -> None:
    mixed = confluence(
        frames_of(
            d1=(Trend.UPTREND, 80),
            h4=(Trend.UPTREND, 70),
            h1=(Trend.RANGING, 50),
            m15=(Trend.DOWNTREND, 60),
            m5=(Trend.UPTREND, 55),
            m1=(Trend.UNKNOWN, 0),
        )
    )
    assert (mixed.direction, mixed.score, mixed.conflicts) == ("mixed", 55, (H1,))

    strengths = {"d1": 90, "h4": 80, "h1": 70, "m15": 60, "m5": 50, "m1": 50}
    rising = confluence(frames_of(**{name: (Trend.UPTREND, strength) for name, strength in strengths.items()}))
    falling = confluence(frames_of(**{name: (Trend.DOWNTREND, strength) for name, strength in strengths.items()}))
    assert (rising.direction, rising.score, rising.conflicts) == ("uptrend", 77, ())
    assert (falling.direction, falling.score) == ("downtrend", 77)


def test_exactly_sixty_percent_is_not_yet_a_direction() -> None:
    assert confluence(frames_of(d1=(Trend.UPTREND, 60))).direction == "mixed"
    assert confluence(frames_of(d1=(Trend.UPTREND, 61))).direction == "uptrend"


def test_without_a_readable_frame_nothing_is_known() -> None:
    assert (confluence({}).direction, confluence({}).score) == ("unknown", 0)
    assert confluence(frames_of(d1=(Trend.UNKNOWN, 0))).direction == "unknown"


def test_entry_is_read_from_the_short_frames() -> None:
    oversold = frame(M15, rsi=25.0, price=97.0, sma_20=100.0)
    overbought = frame(M5, rsi=75.0)

    assert entry_signal(oversold, None)[0] == "bullish"
    assert len(entry_signal(oversold, None)[1]) == 2
    assert entry_signal(None, overbought)[0] == "bearish"
    assert entry_signal(frame(M15, rsi=25.0), overbought)[0] == "neutral"
    assert entry_signal(frame(M15, price=103.0, sma_20=100.0), None)[0] == "bearish"
    assert entry_signal(None, None) == ("neutral", ())


def test_collapsed_bands_put_the_price_in_the_middle() -> None:
    assert percent_b(5.0, 5.0, 5.0) == 50.0
    assert percent_b(12.0, 14.0, 10.0) == 50.0
    assert percent_b(15.0, 14.0, 10.0) == 125.0
    assert percent_b(15.0, None, None) is None


@pytest.mark.parametrize(
    ("atr", "expected"), [(0.99, "low"), (1.0, "medium"), (2.49, "medium"), (2.5, "high"), (None, "unknown")]
)
def test_volatility_class_is_atr_over_price(atr: float | None, expected: str) -> None:
    assert classify_volatility(atr, 100.0) is VolatilityClass(expected)


def test_forty_nine_bars_have_no_trend_and_fifty_have() -> None:
    short, enough = frame_pulse(bars_from(walk_of(49))), frame_pulse(bars_from(walk_of(50)))

    assert short is not None
    assert enough is not None
    assert (short.trend, short.strength, short.sma_50) == (Trend.UNKNOWN, 0, None)
    assert enough.trend is not Trend.UNKNOWN
    assert frame_pulse(Candles.empty(BTC, H1, "test")) is None


def test_a_single_bar_has_a_price_and_nothing_else() -> None:
    reading = frame_pulse(bars_from([100.0]))

    assert reading is not None
    assert (reading.price, reading.rsi, reading.atr, reading.signal_strength) == (100.0, None, None, 50)
    assert reading.volatility_class is VolatilityClass.UNKNOWN


def test_a_market_that_never_moved_is_not_oversold() -> None:
    reading = frame_pulse(bars_from([1.1] * 120, spread=0.0))

    assert reading is not None
    assert (reading.rsi, reading.trend, reading.bb_percent_b) == (None, Trend.RANGING, 50.0)


@pytest.mark.slow
def test_a_reading_does_not_depend_on_how_much_history_a_source_holds() -> None:
    long = bars_from(walk_of(3000))

    assert frame_pulse(long) == frame_pulse(long.tail(PULSE_BARS)) == frame_pulse(long, compiled=True)


def six_frames(seed: int = 1, drift: float = 0.0, bars: int = 120) -> dict[Timeframe, Candles | None]:
    """Series of every frame that all end with the same instant."""
    end = START_MS + 120 * D1.milliseconds
    return {
        timeframe: bars_from(
            walk_of(bars, seed=seed, drift=drift), timeframe=timeframe, start=end - bars * timeframe.milliseconds
        )
        for timeframe in PULSE_TIMEFRAMES
    }


END = from_ms(START_MS + 120 * D1.milliseconds)


def test_missing_frames_are_listed_and_the_others_read() -> None:
    series = six_frames() | {M1: None, H4: Candles.empty(BTC, H4, "test")}

    pulse = build_pulse(BTC, END, series)

    assert tuple(pulse.frames) == PULSE_TIMEFRAMES
    assert pulse.missing == (M1, H4)
    assert pulse.frames[H1] is not None
    assert "1m: no data" in pulse.summary


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 120 * 60), st.floats(0.1, 10.0))
def test_a_pulse_never_changes_with_what_came_later(minutes_before: int, factor: float) -> None:
    at = END - timedelta(minutes=minutes_before)
    series = {key: value for key, value in six_frames(bars=70).items() if value is not None}
    seen = {key: candles.as_of(at) for key, candles in series.items()}
    altered = {
        key: bars_from(
            [*seen[key].close, *(price * factor for price in candles.close[len(seen[key]) :])],
            timeframe=key,
            start=candles.time[0],
        )
        for key, candles in series.items()
    }

    assert build_pulse(BTC, at, series) == build_pulse(BTC, at, seen) == build_pulse(BTC, at, altered)


def test_the_summary_says_direction_frames_alignment_and_age() -> None:
    pulse = build_pulse(BTC, END + timedelta(minutes=3), six_frames(drift=0.01))
    lines = pulse.summary.splitlines()

    assert lines[0] == f"BTCUSD: overall uptrend, confidence {pulse.confluence.score} %"
    assert [line.partition(":")[0] for line in lines[1:7]] == ["1d", "4h", "1h", "15m", "5m", "1m"]
    for word in ("uptrend", "RSI", "overbought", "MACD", "band", "ADX", "strong, +DI dominant", "volatility", "price"):
        assert word in lines[1]
    assert lines[-2] == "Alignment: bullish, 6 up, 0 down, 0 ranging; 6 of 6 timeframes agree"
    assert lines[-1] == "Data: newest bar closed 3 minutes before 2021-05-01T00:03:00Z"


def test_the_summary_of_nothing_says_so() -> None:
    pulse = build_pulse(BTC, END, {})

    assert pulse.missing == PULSE_TIMEFRAMES
    assert pulse.summary.splitlines()[0] == "BTCUSD: overall unknown, confidence 0 %"
    assert pulse.summary.endswith("Data: none at 2021-05-01T00:00:00Z")


def test_small_prices_keep_their_digits_in_words() -> None:
    euro = frame_pulse(bars_from([*walk_of(80, start=1.08), 1.08345], symbol="EURUSD"))
    coin = frame_pulse(bars_from([*walk_of(80, start=0.00001), 0.00001234]))

    assert euro is not None
    assert coin is not None
    assert describe_frame(euro).endswith("price 1.08345")
    assert describe_frame(coin).endswith("price 0.00001234")


def test_alignment_needs_three_frames_and_a_majority() -> None:
    up, down = (Trend.UPTREND, 60), (Trend.DOWNTREND, 60)

    assert alignment(frames_of(d1=up, h4=up, h1=up, m15=down, m5=down)) == "bullish"
    assert alignment(frames_of(d1=down, h4=down, h1=down)) == "bearish"
    assert alignment(frames_of(d1=up, h4=up)) == "mixed"
    assert alignment(frames_of(d1=up, h4=up, h1=up, m15=down, m5=down, m1=down)) == "mixed"


def test_plugins_and_the_catalogue_add_their_values_to_every_frame() -> None:
    pulse = build_pulse(
        BTC,
        END,
        six_frames(),
        indicators=("willr",),
        plugin_indicators=lambda candles: {"acme.bars": float(len(candles)), "acme.bad": float("nan"), "acme.no": None},
    )

    for reading in pulse.frames.values():
        assert reading is not None
        assert reading.extra["willr_14"] is not None
        assert {key: reading.extra[key] for key in ("acme.bars", "acme.bad", "acme.no")} == {
            "acme.bars": 120.0,
            "acme.bad": None,
            "acme.no": None,
        }
    assert "acme.bars 120" in pulse.summary


def test_an_indicator_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean stoch"):
        build_pulse(BTC, END, six_frames(), indicators=("stoc",))
