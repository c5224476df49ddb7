"""Each regime on a series made for it, and the volatility of a day."""

from __future__ import annotations

import math
import random

import numpy as np
import pandas as pd
import pytest
import talib

from ffe_core.analysis.regime import daily_volatility, detect_regime
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles, Regime
from ffe_core.errors import BadData
from tests.analysis.series import START_MS, bars_from, walk_of

RISING = [100.0 * 1.01**i for i in range(60)]
FALLING = RISING[::-1]


def noise(size: float) -> list[float]:
    """Closes that forget where the last one was."""
    chance = random.Random(4)
    return [100.0 * (1.0 + chance.uniform(-size, size)) for _ in range(60)]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("closes", "expected"),
    [
        (RISING, Regime.TRENDING_BULL),
        (FALLING, Regime.TRENDING_BEAR),
        (noise(0.04), Regime.HIGH_VOLATILITY_CHOP),
        (noise(0.001), Regime.LOW_VOLATILITY_RANGING),
        ([50.0] * 60, Regime.LOW_VOLATILITY_RANGING),
        (RISING[:28], Regime.TRENDING_BULL),
        (RISING[:27], Regime.UNKNOWN),
        ([], Regime.UNKNOWN),
    ],
)
def test_each_regime_on_a_series_made_for_it(closes: list[float], expected: Regime, compiled: bool) -> None:
    assert detect_regime(bars_from(closes), compiled=compiled) is expected


def test_a_mapping_or_a_frame_will_do_and_a_missing_column_is_named() -> None:
    bars = bars_from(RISING)
    columns = {name: list(getattr(bars, name)) for name in ("high", "low", "close")}

    assert detect_regime(columns) is detect_regime(pd.DataFrame(columns)) is Regime.TRENDING_BULL
    with pytest.raises(BadData, match="high is missing"):
        detect_regime({"low": columns["low"], "close": columns["close"]})


def reach(candles: Candles) -> float:
    high, low, close = (np.frombuffer(getattr(candles, name)) for name in ("high", "low", "close"))
    return float(talib.ATR(high, low, close, 14)[-1] / close[-1])


def test_daily_volatility_is_the_daily_atr_over_the_close() -> None:
    days = bars_from(walk_of(40), timeframe=Timeframe.D1)

    assert daily_volatility({Timeframe.D1: days}) == pytest.approx(reach(days), rel=1e-12)


def test_shorter_frames_stand_in_scaled_by_the_root_of_time() -> None:
    days = bars_from(walk_of(14), timeframe=Timeframe.D1)
    fours = bars_from(walk_of(40, seed=2), timeframe=Timeframe.H4)
    hours = bars_from(walk_of(40, seed=3), timeframe=Timeframe.H1)

    by_four = daily_volatility({Timeframe.D1: days, Timeframe.H4: fours, Timeframe.H1: hours})
    by_hour = daily_volatility({Timeframe.D1: None, Timeframe.H1: hours})

    assert by_four == pytest.approx(reach(fours) * math.sqrt(6), rel=1e-12)
    assert by_hour == pytest.approx(reach(hours) * math.sqrt(24), rel=1e-12)


def test_without_enough_bars_volatility_is_unknown() -> None:
    empty = Candles.empty(Asset.parse("BTCUSD"), Timeframe.D1, "test")

    assert daily_volatility({}) is None
    assert daily_volatility({Timeframe.D1: empty, Timeframe.H1: bars_from(walk_of(14))}) is None


def test_volatility_reads_only_bars_that_are_complete() -> None:
    days = bars_from([*walk_of(30), 900.0], timeframe=Timeframe.D1)
    before_last_close = from_ms(START_MS + 31 * Timeframe.D1.milliseconds - 1)

    assert daily_volatility({Timeframe.D1: days}, before_last_close) == daily_volatility(
        {Timeframe.D1: days.tail(31).slice(0, 30)}
    )
