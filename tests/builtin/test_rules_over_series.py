"""Rules that answer for a whole series: as they answer for each moment of it, and for nothing that comes later."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ffe_core import Action, Asset, AssetKind, Candles, Mode, ProviderFailed, Regime, Timeframe, UsageError
from ffe_core.ai.briefing import build_briefing
from ffe_core.analysis.indicators import crossings
from ffe_core.analysis.pulse import build_pulse
from ffe_core.analysis.series import CandleSeries
from ffe_core.builtin.rules import RULES
from ffe_core.builtin.rules.crossings import Bollinger, Macd, SmaCross
from ffe_core.builtin.rules.parameters import parameters
from ffe_core.builtin.rules.readings import DayChange, RsiReversion, TrendAdx
from ffe_core.builtin.rules.yardsticks import RandomEntry
from ffe_core.market.snapshot import day_change
from ffe_core.testing import VectorProviderContract, make_candles
from tests.risk.builders import market

SIGNS = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}


def _contract(made, name):
    class Held(VectorProviderContract):
        factory = staticmethod(made)
        deterministic = True

    Held.__name__ = Held.__qualname__ = name
    return Held


# Each built-in rule keeps the contract that every author's rule is held to.
for _rule in RULES:
    _name = "Test" + type(_rule).__name__ + "KeepsTheContract"
    globals()[_name] = _contract(type(_rule), _name)


def asked(rule, candles: Candles, bars: int):
    """What the rule says at the moment when ``bars`` bars are complete."""
    seen = candles.slice(0, bars)
    at = seen.last_close_at
    told = build_briefing(
        seen.asset, at, mode=Mode.PAPER, timeframe=seen.timeframe, horizon=24,
        market=market(change=day_change(seen)),
        pulse=build_pulse(seen.asset, at, {seen.timeframe: seen}),
        regime=Regime.UNKNOWN, portfolio=None, candles=candles,
    )  # fmt: skip
    try:
        opinion = rule.ask(told, timeout=1.0)
    except ProviderFailed:
        return 0, 0
    return SIGNS[opinion.action], opinion.confidence


@pytest.mark.parametrize(
    "rule",
    [
        *RULES,
        DayChange(move=0.005), TrendAdx(period=10, adx_period=7, strong=18.0), RsiReversion(period=5, low=35.0),
        SmaCross(fast=3, slow=8), Macd(fast=3, slow=6, signal=4), Bollinger(period=10, deviations=1.2),
    ],
    ids=lambda rule: f"{rule.name}{list(parameters(rule).values())}",
)  # fmt: skip
def test_the_answer_for_a_bar_is_the_answer_of_that_moment(rule):
    candles = make_candles(bars=420, volatility=0.012, seed=3)
    signals = rule.ask_all(CandleSeries(candles))
    for bars in [1, 2, 20, 24, 25, 26, 30, 34, 35, 50, *range(60, 420, 7)]:
        expected = int(signals.action[bars - 1]), int(signals.confidence[bars - 1])
        assert asked(rule, candles, bars) == expected, f"after {bars} bars"


def test_a_stocks_day_is_compared_with_the_session_before():
    goog = Asset.parse("GOOG", kind=AssetKind.STOCK)
    candles = make_candles(goog, Timeframe.D1, bars=40, volatility=0.02, seed=5)
    signals = DayChange().ask_all(CandleSeries(candles))
    assert signals.confidence[0] == 0
    for bars in range(2, 41):
        assert asked(DayChange(), candles, bars) == (signals.action[bars - 1], signals.confidence[bars - 1])


def test_a_tie_keeps_the_side_and_the_first_side_is_no_crossing():
    nan = float("nan")
    gap = np.array([nan, nan, 1.0, 0.0, 2.0, -1.0, 0.0, -2.0, 0.0, 3.0])
    assert crossings(gap, 0.0).tolist() == [0, 0, 0, 0, 0, -1, 0, 0, 0, 1]
    assert crossings(np.array([0.0, 0.0, 5.0, -5.0]), 0.0).tolist() == [0, 0, 0, -1]
    assert crossings(np.array([]), 0.0).tolist() == []
    assert crossings(np.full(3, nan), 0.0).tolist() == [0, 0, 0]


def test_means_cross_where_they_were_below_and_come_to_lie_above():
    rng = np.random.default_rng(11)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, 500)))
    fast, slow = (np.convolve(close, np.ones(n) / n, "valid") for n in (10, 30))
    fast = fast[20:]
    buys = [i + 30 for i in range(len(slow) - 1) if fast[i] < slow[i] and fast[i + 1] > slow[i + 1]]
    sells = [i + 30 for i in range(len(slow) - 1) if fast[i] > slow[i] and fast[i + 1] < slow[i + 1]]
    bars = [float(value) for value in close]
    candles = Candles.of(
        Asset.parse("BTCUSD"), Timeframe.H1, "test",
        time=[i * 3_600_000 for i in range(500)], open=bars, high=bars, low=bars, close=bars, volume=[1.0] * 500,
    )  # fmt: skip
    action = SmaCross().ask_all(CandleSeries(candles)).action
    assert np.flatnonzero(action == 1).tolist() == buys
    assert np.flatnonzero(action == -1).tolist() == sells
    assert buys
    assert sells


def test_lots_follow_the_seed_and_the_bars_own_time():
    candles = make_candles(bars=2000, volatility=0.01, seed=3)
    first = RandomEntry(seed=1).ask_all(CandleSeries(candles)).action
    later = RandomEntry(seed=1).ask_all(CandleSeries(candles.slice(500, 2000))).action
    assert (first[500:] == later).all()
    assert (RandomEntry(seed=2).ask_all(CandleSeries(candles)).action != first).any()
    # 2 % each way of 2000 is 40; four deviations of a binomial are 25.
    assert abs(int((first == 1).sum()) - 40) <= 25
    assert abs(int((first == -1).sum()) - 40) <= 25


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fast": 30}, "fast 30 is not below slow 30"),
        ({"fast": 0}, "fast 0 is no whole number from 1 to 1000"),
        ({"fast": 2.5}, "fast 2.5 is no whole number"),
        ({"fast": "ten"}, "fast 'ten' is no whole number"),
        ({"fast": float("nan")}, "is no whole number"),
        ({"fsat": 3}, "has no parameter fsat"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused_in_one_line(params, said):
    with pytest.raises(UsageError, match=said):
        SmaCross().with_params(**params)


def test_parameters_come_as_text_from_a_command_line():
    assert SmaCross().with_params(fast="5", slow="40") == replace(SmaCross(), fast=5, slow=40)
    assert Bollinger().with_params(deviations="1.5") == replace(Bollinger(), deviations=1.5)
