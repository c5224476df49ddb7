"""The gate of a portfolio: entries are judged on the whole account after the trade."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import backtest
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab
from ffe_lab.portfolio import Portfolio, portfolio
from ffe_lab.shared_run import Sharing
from ffe_lab.simulate import Rulebook

from ffe_core import Opinion, Proposal, RiskContext, Ruling, RulingOutcome, Signals

type Walk = Callable[..., pd.DataFrame]

ENDLESS = Sharing(stop=0.0)
#: hours after which there are daily returns enough for the rules
READY = 24 * 61


@dataclass(frozen=True)
class At:
    """Calls at given bars, the same of every asset."""

    calls: tuple[tuple[int, int], ...]
    name: str = "at"
    model: str = "rule:at"
    local: bool = True

    def ask(self, briefing: Any, *, timeout: float) -> Opinion:
        raise NotImplementedError

    def with_params(self, **params: float | int | str) -> Self:
        return replace(self, **params)  # type: ignore[arg-type]

    def ask_all(self, series: Any) -> Signals:
        action = np.zeros(len(series.candles.close), np.int8)
        for bar, call in self.calls:
            action[bar] = call
        return Signals(action, np.full(len(action), 90, np.int8))


@dataclass
class Listening:
    """A rule that lets everything pass and remembers what it was shown."""

    name: str = "listening"
    heard: list[tuple[Proposal, RiskContext]] = field(default_factory=list)

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        self.heard.append((proposal, context))
        return Ruling(self.name, RulingOutcome.PASSED)


@pytest.fixture
def rule(lab: Lab) -> Listening:
    """The only rule of ``lab``."""
    made = Listening()
    lab.__dict__["rulebook"] = Rulebook([made], lab.rulebook.risk)
    return made


def together(lab: Lab, walk: Walk, *calls: tuple[int, int], **account: Any) -> Portfolio:
    frames = {name: walk(READY + 200, seed=place) for place, name in enumerate(("BTCUSD", "ETHUSD", "SOLUSD"))}
    return portfolio(frames, At(calls), sharing=ENDLESS, lab=lab, **account)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("provider", ["sma_cross", "rsi_reversion"])
@pytest.mark.parametrize("short", [False, True])
def test_one_asset_alone_is_its_backtest(lab: Lab, walk: Walk, provider: str, short: bool, compiled: bool) -> None:
    """To the last bit: sizes, rulings, fills, stops on the price grid, and entries that the price ran away from."""
    bars = walk(3000)
    alone = backtest(bars, provider, asset="BTCUSD", allow_short=short, lab=lab)
    shared = portfolio({"BTCUSD": bars}, provider, allow_short=short, sharing=ENDLESS, compiled=compiled, lab=lab)
    assert len(alone.trades) > 20
    assert shared.equity.tobytes() == alone.equity.tobytes()
    assert shared.trades.pnl.tobytes() == alone.trades.pnl.tobytes()
    assert dict(shared.refused) == alone.refusals()
    assert shared.decisions() == [{"asset_pair": "BTCUSD", **one} for one in alone.decisions()]


def test_a_rule_is_shown_every_asset_of_the_account_after_the_trade(lab: Lab, walk: Walk, rule: Listening) -> None:
    together(lab, walk, (READY, 1))
    names = ["BTCUSD", "ETHUSD", "SOLUSD"]
    assert [proposal.asset.symbol for proposal, _ in rule.heard] == names
    for count, (proposal, context) in enumerate(rule.heard, 1):
        before, after = context.before, context.after
        assert before is not None and after is not None and proposal.quantity
        assert [one.asset.symbol for one in after.positions] == names[:count]
        assert set(context.daily_returns or {}) == set(names[:count])
        # What was ordered at this very close is paid for; nothing has gained or lost yet.
        assert before.equity == after.equity == Decimal(10_000)
        assert after.cash == 10_000 - sum(one.market_value for one in after.positions)


def test_only_entries_are_judged_and_on_what_the_account_is_worth_then(lab: Lab, walk: Walk, rule: Listening) -> None:
    calls = ((READY, 1), (READY + 4, -1), (READY + 9, 1))
    made = together(lab, walk, *calls, costs=Costs(0.0, 0.0), stop=0.0, target=0.0)
    assert len(rule.heard) == 6 and all(proposal.is_entry for proposal, _ in rule.heard)
    _, context = rule.heard[3]
    assert context.before is not None and not context.before.positions
    assert float(context.before.equity or 0) == pytest.approx(made.equity[READY + 9])
    assert float(context.peak_equity or 0) >= made.equity[: READY + 10].max() - 1e-9


def test_too_many_assets_that_move_as_one_are_vetoed_by_the_rule_of_live_runs(lab: Lab, walk: Walk) -> None:
    bars = walk(READY + 100)
    names = ("BTCUSD", "ETHUSD", "SOLUSD", "ADAUSD")
    frames = {name: bars * (place + 1) for place, name in enumerate(names)}
    made = portfolio(frames, At(((READY, 1),)), sharing=ENDLESS, stop=0.02, lab=lab)
    most = int(lab.rulebook.risk["max_correlated_assets"])
    assert made.of_asset.tolist() == list(range(most))
    assert made.refused["correlation"] == len(names) - most
    free = portfolio(frames, At(((READY, 1),)), sharing=ENDLESS, stop=0.02, gate=False, lab=lab)
    assert (len(free.trades), dict(free.refused)) == (len(names), {})


def test_what_moves_with_a_position_is_sized_as_live_and_then_halved(lab: Lab, walk: Walk, rule: Listening) -> None:
    bars = walk(READY + 100)
    portfolio({"BTCUSD": bars, "ETHUSD": bars * 2}, At(((READY, 1),)), sharing=ENDLESS, stop=0.05, lab=lab)
    one, other = (proposal for proposal, _ in rule.heard)
    assert one.quantity and other.quantity
    # 1 % of equity is lost at the stop, 10,000 x 0.01 / 0.05, and a half of that.
    assert float(one.quantity * one.entry_price) == pytest.approx(2000, rel=1e-6)
    assert float(other.quantity * other.entry_price) == pytest.approx(1000, rel=1e-6)
    assert [clamp.rule for clamp in other.sizing.clamps] == ["correlation_factor"]
    assert float(other.risk_fraction or 0) == pytest.approx(0.005, rel=1e-4)


def test_trades_of_all_assets_are_known_to_rules_that_read_them(lab: Lab, walk: Walk) -> None:
    listening = Listening()
    risk = {**lab.rulebook.risk, "rules": {**lab.rulebook.risk["rules"], "cooldown": True}}
    lab.__dict__["rulebook"] = Rulebook([listening], risk)
    together(lab, walk, (READY, 1), (READY + 4, -1), (READY + 9, 1), stop=0.0, target=0.0)
    closed = listening.heard[-1][1].closed_trades
    assert closed is not None
    assert [one.asset.symbol for one in closed] == ["BTCUSD", "ETHUSD", "SOLUSD"]
    assert {one.exit_reason for one in closed} == {"signal"}


# what is told of a run


def test_other_costs_are_runs_of_the_same_calls(lab: Lab, walk: Walk) -> None:
    frames = {name: walk(1500, seed=place) for place, name in enumerate(("BTCUSD", "ETHUSD"))}
    made = portfolio(frames, "sma_cross", sharing=ENDLESS, lab=lab)
    rows = {row["name"]: row for row in made.cost_sensitivity()}
    assert rows["as run"]["metrics"]["final_value"] == made.metrics.final_value
    dearer = portfolio(frames, "sma_cross", costs=made.setup.costs.scaled(2), sharing=ENDLESS, lab=lab)
    assert rows["twice the cost"]["metrics"]["final_value"] == dearer.metrics.final_value
    assert rows["taker fee of the venue"]["fee"] == 0.004


def test_holding_them_all_costs_what_buying_costs(lab: Lab) -> None:
    index = pd.date_range("2024-01-02", periods=30, freq="h", tz="UTC")
    courses = {"BTCUSD": np.full(30, 100.0), "ETHUSD": np.linspace(100.0, 200.0, 30)}
    names = ("open", "high", "low", "close")
    frames = {name: pd.DataFrame(dict.fromkeys(names, column), index=index) for name, column in courses.items()}
    made = portfolio(frames, At(()), costs=Costs(0.01, 0.0), lab=lab)
    held = made.baselines()["buy_and_hold"]
    assert held["final_value"] == pytest.approx(5000 / 1.01 + 2 * 5000 / 1.01)
    assert made.baselines()["always_hold"]["final_value"] == 10_000
    assert "the gate is on: every entry is judged" in " ".join(made.assumptions)
    assert "the gate is off" in " ".join(portfolio(frames, At(()), gate=False, lab=lab).assumptions)
