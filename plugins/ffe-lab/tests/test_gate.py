"""The gate: the risk rules of live runs, asked at entries only, with the account as it was then."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import backtest, market_of
from ffe_lab.court import Court
from ffe_lab.gate import Calls
from ffe_lab.lab import Lab
from ffe_lab.simulate import Simulation, simulate
from ffe_lab.trades import EXIT_REASONS

from ffe_core import Proposal, RiskContext, Ruling, RulingOutcome, from_ms, to_ms
from ffe_core.engine.standing import day_began

type Walk = Callable[..., pd.DataFrame]


@dataclass
class Witness:
    """A rule that lets everything pass, or nothing, and keeps what it was shown."""

    outcome: RulingOutcome = RulingOutcome.PASSED
    name: str = "witness"
    seen: list[tuple[Proposal, RiskContext]] = field(default_factory=list)

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        self.seen.append((proposal, context))
        return Ruling(self.name, self.outcome, "because")


def played(
    lab: Lab, frame: pd.DataFrame, action: dict[int, int], rules: list[Any], *, confidence: int = 80, **account: Any
) -> Simulation:
    market = market_of(frame, asset="BTCUSD", timeframe="1h")
    column = np.zeros(len(frame), np.int8)
    column[list(action)] = list(action.values())
    setup = lab.setup(**{"stop": 0.0, "target": 0.0, **account})
    instrument = lab.instrument(market.asset, float(market.close[0]), setup)
    calls = Calls(column, np.full(len(frame), confidence, np.int8))
    return simulate(market, calls, setup, instrument, replace(lab.rulebook, rules=rules))


def flat(count: int, opens: dict[int, float] | None = None) -> pd.DataFrame:
    """Bars that stand still at 100, or at another price from a bar on."""
    column = np.full(count, 100.0)
    for bar, price in (opens or {}).items():
        column[bar:] = price
    index = pd.date_range("2024-01-02", periods=count, freq="h", tz="UTC")
    return pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), column), index=index)


def test_rules_are_asked_at_entries_only(lab: Lab) -> None:
    witness = Witness()
    done = played(lab, flat(40), {2: 1, 5: 1, 9: -1, 12: -1, 20: 1, 30: -1}, [witness])
    assert [one.bar for one in done.judged] == [2, 20]
    assert len(witness.seen) == 2
    assert done.trades.exit.tolist() == [10, 31]


def test_a_rule_is_shown_the_account_of_that_moment_and_nothing_later(lab: Lab, walk: Walk) -> None:
    witness, frame = Witness(), walk(600)
    done = played(lab, frame, {100: 1, 150: -1, 400: 1}, [witness])
    market = market_of(frame, asset="BTCUSD", timeframe="1h")
    for (proposal, context), bar in zip(witness.seen, (100, 400), strict=True):
        assert context.now == from_ms(int(market.closes[bar]))
        assert float(proposal.entry_price) == market.close[bar]
        assert context.before is not None
        assert float(context.before.cash or 0) == done.equity[bar]
        assert context.daily_returns is not None
        assert max(day for day, _ in context.daily_returns["BTCUSD"]) < f"{context.now:%Y-%m-%d}"
    assert done.equity[400] != done.equity[100]


def test_a_veto_opens_nothing_and_is_counted(lab: Lab) -> None:
    done = played(lab, flat(20), {2: 1, 5: 1}, [Witness(RulingOutcome.VETOED)])
    assert len(done.trades) == 0
    assert [one.refused for one in done.judged] == ["witness: because"] * 2
    made = backtest(flat(20), "buy_and_hold", asset="BTCUSD", lab=lab)
    assert set(made.refusals()) <= {"below_threshold", "market_closed", "too_small", "price_moved"} | {
        rule.name for rule in lab.rulebook.rules
    }


@dataclass
class Halving:
    name: str = "halving"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        assert proposal.quantity is not None
        return Ruling(self.name, RulingOutcome.CLAMPED, "half", proposal.quantity, proposal.quantity / 2)


def test_a_clamp_halves_what_is_bought(lab: Lab) -> None:
    whole = played(lab, flat(20), {2: 1}, [Witness()]).trades.quantity[0]
    half = played(lab, flat(20), {2: 1}, [Halving()]).trades.quantity[0]
    assert half == pytest.approx(whole / 2, rel=1e-6)


def test_an_unsure_entry_is_refused_and_an_unsure_exit_is_not(lab: Lab, walk: Walk) -> None:
    done = played(lab, flat(30), {2: 1}, [Witness()], confidence=69)
    assert (len(done.trades), done.judged[0].refused) == (0, "below_threshold")
    frame, action = flat(30), {2: 1, 10: -1}
    market = market_of(frame, asset="BTCUSD", timeframe="1h")
    column, confidence = np.zeros(30, np.int8), np.full(30, 80, np.int8)
    column[list(action)] = list(action.values())
    confidence[10] = 1
    setup = lab.setup(stop=0.0, target=0.0)
    instrument = lab.instrument(market.asset, 100.0, setup)
    out = simulate(market, Calls(column, confidence), setup, instrument, replace(lab.rulebook, rules=[Witness()]))
    assert out.trades.exit.tolist() == [11]


@pytest.mark.parametrize(
    ("opens", "entered"), [(100.4, True), (100.6, False), (99.6, True), (99.4, False), (97.0, False)]
)
def test_an_entry_is_given_up_where_the_price_went_a_quarter_of_the_way_to_its_stop(
    lab: Lab, opens: float, entered: bool
) -> None:
    done = played(lab, flat(20, {3: opens}), {2: 1}, [Witness()], stop=0.02)
    assert (len(done.trades), done.price_moved) == ((1, 0) if entered else (0, 1))


def test_a_drawdown_bars_entries_for_a_day_and_no_exit(lab: Lab) -> None:
    """A position loses 22 %; it may be left, and nothing is opened again within 24 hours."""
    frame = flat(90, {20: 78.0})
    action = {2: 1, 30: -1, 32: 1, 40: 1, 50: 1, 60: 1, 80: -1}
    rules = [rule for rule in lab.rulebook.rules if rule.name == "drawdown"]
    done = played(lab, frame, action, rules, sizing="all_in", gate=True)
    assert EXIT_REASONS[done.trades.reason[0]] == "signal"
    assert done.trades.exit[0] == 31
    # The limit was broken at the close of bar 20; from that of bar 44 on the peak begins anew.
    assert [one.bar for one in done.judged if one.refused] == [32, 40]
    assert done.trades.entry.tolist() == [3, 51]


def test_a_drawdown_that_was_made_good_bars_entries_all_the_same(lab: Lab) -> None:
    """At bar 32 nothing is lost any more, and the limit was passed twelve hours before; at bar 50 it is over."""
    frame = flat(60, {20: 78.0, 25: 100.0})
    rules = [rule for rule in lab.rulebook.rules if rule.name == "drawdown"]
    done = played(lab, frame, {2: 1, 30: -1, 32: 1, 50: 1}, rules, sizing="all_in", gate=True)
    assert [(one.bar, one.refused.partition(":")[0]) for one in done.judged] == [(2, ""), (32, "drawdown"), (50, "")]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "America/St_Johns", "America/Sao_Paulo"])
def test_a_day_begins_when_it_does_live(lab: Lab, zone: str) -> None:
    """Also over the nights on which clocks change, in Sao Paulo at midnight itself."""
    index = pd.date_range("2017-09-01", periods=12_000, freq="h", tz="UTC")
    frame = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), np.full(len(index), 100.0)), index=index)
    market = market_of(frame, asset="BTCUSD", timeframe="1h", compiled=False)
    setup, ones = lab.setup(), np.ones(len(index), np.int8)
    court = Court(
        bars=market,
        calls=Calls(ones, ones),
        rules=(),
        sizing=setup.sizing,
        risk={**lab.rulebook.risk, "timezone": zone},
        instrument=lab.instrument(market.asset, 100.0, setup),
        threshold=setup.threshold,
        currency="USD",
        trades=(),
    )
    live = [to_ms(day_began(from_ms(at), zone)) for at in market.closes.tolist()]
    assert court.days_began().tolist() == live
