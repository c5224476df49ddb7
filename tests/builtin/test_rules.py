from dataclasses import replace

import pytest

from ffe_core import Action, Briefing, Mode, ProviderFailed, Regime, Timeframe
from ffe_core.builtin.rules import DayChange, RsiReversion, TrendAdx
from tests.risk.builders import AT, BTC, market, pulse


def briefing(*, change=0.0, **frame):
    return Briefing(
        asset=BTC, as_of=AT, mode=Mode.PAPER, timeframe=Timeframe.H1, horizon=24, market=market(change=change),
        pulse=pulse(H1=frame), regime=Regime.UNKNOWN, position=None,
    )  # fmt: skip


def answer(rule, told):
    opinion = rule.ask(told, timeout=1.0)
    return opinion.action, opinion.confidence


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (0.02, (Action.HOLD, 60)),
        (0.0201, (Action.SELL, 65)),
        (-0.0201, (Action.BUY, 70)),
        (-0.02, (Action.HOLD, 60)),
        (0.0, (Action.HOLD, 60)),
    ],
)
def test_local_trades_against_the_day(change, expected):
    assert answer(DayChange(), briefing(change=change)) == expected


def test_local_has_no_opinion_without_a_day_to_compare():
    with pytest.raises(ProviderFailed, match="24 hours"):
        DayChange().ask(briefing(change=None), timeout=1.0)


@pytest.mark.parametrize(
    ("price", "sma", "adx", "expected"),
    [
        (101.0, 100.0, 30.0, (Action.BUY, 60)),
        (99.0, 100.0, 30.0, (Action.SELL, 60)),
        (101.0, 100.0, 25.0, (Action.HOLD, 50)),
        (100.0, 100.0, 40.0, (Action.HOLD, 80)),
        (101.0, 100.0, 70.0, (Action.BUY, 100)),
    ],
)
def test_trend_adx_follows_a_strong_trend_only(price, sma, adx, expected):
    assert answer(TrendAdx(), briefing(price=price, sma_20=sma, adx=adx)) == expected


@pytest.mark.parametrize(
    ("rsi", "expected"),
    [
        (30.0, (Action.HOLD, 50)),
        (29.9, (Action.BUY, 70)),
        (70.0, (Action.HOLD, 50)),
        (75.0, (Action.SELL, 75)),
        (50.0, (Action.HOLD, 70)),
        (0.0, (Action.BUY, 100)),
    ],
)
def test_rsi_reversion_acts_at_the_extremes(rsi, expected):
    assert answer(RsiReversion(), briefing(rsi=rsi)) == expected


@pytest.mark.parametrize("rule", [TrendAdx(), RsiReversion()])
def test_a_rule_without_its_indicator_abstains_instead_of_guessing(rule):
    with pytest.raises(ProviderFailed, match="too few bars"):
        rule.ask(briefing(rsi=None, adx=None, sma_20=None), timeout=1.0)
    told = briefing()
    empty = replace(told, pulse=replace(told.pulse, frames={**told.pulse.frames, Timeframe.H1: None}))
    with pytest.raises(ProviderFailed, match="no 1h bars"):
        rule.ask(empty, timeout=1.0)


@pytest.mark.parametrize("rule", [DayChange(), TrendAdx(), RsiReversion()])
def test_a_rule_is_local_repeatable_and_claims_no_probability(rule):
    first, second = rule.ask(briefing(), timeout=1.0), rule.ask(briefing(), timeout=1.0)
    assert first == second
    assert rule.local
    assert not first.calibratable
    assert first.horizon == 24
