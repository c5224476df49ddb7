"""Stops and volatility of a whole series are what a live run finds at each of its bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import market_of
from ffe_lab.stops import exact, stop_fractions, volatility

from ffe_core import Candles, Pulse, Timeframe, from_ms
from ffe_core.analysis.pulse import build_pulse
from ffe_core.analysis.regime import daily_volatility
from ffe_core.risk.sizing import Exits, stop_fraction

type Walk = Callable[..., pd.DataFrame]


def live_pulse(candles: Candles, bar: int) -> Pulse:
    """The pulse that a live run sees at the close of ``bar``: longer frames made of the bars so far."""
    known = candles.slice(0, bar + 1)
    at = from_ms(known.close_time(-1))
    frames = {frame: known.resample(frame) for frame in (Timeframe.H4, Timeframe.D1)}
    return build_pulse(candles.asset, at, {Timeframe.H1: known, **frames})


@pytest.mark.parametrize("asset", ["BTCUSD", "EURUSD"])
@pytest.mark.parametrize("compiled", [False, True])
def test_stops_are_those_that_sizing_finds_at_the_time(walk: Walk, asset: str, compiled: bool) -> None:
    market = market_of(walk(900), asset=asset, timeframe="1h", compiled=compiled)
    for exits in (Exits(), Exits(min=Decimal("0.001"), max=Decimal("0.9"), atr_multiple=Decimal("0.7"))):
        found = stop_fractions(market, exits)
        for bar in (0, 13, 60, 61, 199, 336, 337, 380, 501, 640, 771, 899):
            price = exact(market.close[bar])
            live = stop_fraction(exits, price, live_pulse(market.candles, bar))
            assert exact(found[bar]) == live, bar


def test_all_three_ways_to_a_stop_occur(walk: Walk) -> None:
    market = market_of(walk(900), asset="BTCUSD", timeframe="1h")
    wide = Exits(min=Decimal("0.0001"), max=Decimal("0.9"), fallback=Decimal("0.0123"))
    found = stop_fractions(market, wide)
    # Fifteen bars of four hours make a first range, fifteen days a better one.
    assert (found[:50] == 0.0123).all()
    assert found[100] != 0.0123
    assert np.median(found[500:]) > 1.5 * np.median(found[100:300])


def test_a_fixed_stop_is_one_number_and_nothing_is_none(walk: Walk) -> None:
    market = market_of(walk(50), asset="BTCUSD")
    assert stop_fractions(market, Exits(stop="fixed", fallback=Decimal("0.03"))).tolist() == [0.03]
    assert stop_fractions(market, Exits(stop="fixed", fallback=Decimal(0))).tolist() == [0.0]


def test_frames_of_a_sources_own_stand_before_those_made_of_the_bars(walk: Walk) -> None:
    market = market_of(walk(900), asset="BTCUSD", timeframe="1h")
    days = market.days
    assert days is not None
    wild = replace(days, high=memoryview(np.asarray(days.high) * 1.5))
    exits = Exits(max=Decimal(5))
    assert stop_fractions(replace(market, daily=wild), exits)[-1] > 2 * stop_fractions(market, exits)[-1]


@pytest.mark.parametrize("asset", ["BTCUSD", "EURUSD"])
def test_volatility_is_what_a_live_run_measures(walk: Walk, asset: str) -> None:
    market = market_of(walk(900), asset=asset, timeframe="1h")
    found = volatility(market)
    for bar in (0, 12, 13, 14, 55, 70, 200, 336, 360, 501, 640, 899):
        known = market.candles.slice(0, bar + 1)
        frames = {frame: known.resample(frame) for frame in (Timeframe.H4, Timeframe.D1)}
        live = daily_volatility({Timeframe.H1: known, **frames}, from_ms(known.close_time(-1)))
        assert (None if np.isnan(found[bar]) else found[bar]) == (
            live if live is None else pytest.approx(live, rel=1e-12)
        )


def test_later_bars_change_no_stop_and_no_volatility(walk: Walk) -> None:
    frame = walk(800)
    whole, cut = (market_of(bars, asset="BTCUSD", timeframe="1h") for bars in (frame, frame[:555]))
    for column in (lambda market: stop_fractions(market, Exits()), volatility):
        assert np.array_equal(column(whole)[:555], column(cut), equal_nan=True)
