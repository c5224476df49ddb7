"""Chance with a run's own trades, drawn a few runs at a time, beside one run after the other as it is described."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import Backtest, backtest
from ffe_lab.baselines import random_entries
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab

type Walk = Callable[..., pd.DataFrame]

RUNS = 40


@pytest.fixture
def made(lab: Lab, walk: Walk) -> Backtest:
    return backtest(
        walk(600), "sma_cross", asset="BTCUSD", lab=lab, params={"fast": 3, "slow": 9}, sizing="fixed_fraction",
        gate=False, allow_short=True, costs=Costs(0.001, 0.0002), start=pd.Timestamp("2022-01-05", tz="UTC"),
    )  # fmt: skip


def described(made: Backtest, number: int, seed: int) -> float:
    """The trades in another order with other pauses, one after the other, and what each makes of the account."""
    rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number]))
    trades, opens = made.trades, made.market.open[made.market.first :]
    lengths = trades.exit - trades.entry
    order = rng.permutation(len(trades))
    pauses = sorted(rng.integers(0, len(opens) - lengths.sum(), len(trades)).tolist())
    account, passed = 1.0, 0
    for pause, trade in zip(pauses, order.tolist(), strict=True):
        enter = pause + passed
        passed += lengths[trade]
        side = int(trades.side[trade])
        paid, got = opens[enter] * (1 + side * 0.0002), opens[enter + lengths[trade]] * (1 - side * 0.0002)
        share = trades.quantity[trade] * trades.entry_price[trade] / made.equity[trades.entry[trade]]
        account *= 1 + share * (side * (got / paid - 1) - 0.001 * (1 + got / paid))
    return account - 1


def test_chance_is_the_runs_own_trades_at_other_times(made: Backtest) -> None:
    assert len(made.trades) > 20 and set(made.trades.side.tolist()) == {1, -1}
    returns = [described(made, number, 7) for number in range(RUNS)]
    found = random_entries(made, RUNS, 7)
    assert found is not None
    assert found["total_return"] == pytest.approx(float(np.median(returns)), rel=1e-12)
    assert found["total_return_interval"] == pytest.approx(np.percentile(returns, (2.5, 97.5)).tolist(), rel=1e-12)
    own = made.equity[-1] / made.setup.initial_balance - 1
    assert found["percentile"] == np.mean(np.array(returns) < own)


def test_chance_is_the_same_however_many_runs_are_drawn_together(
    made: Backtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = random_entries(made, RUNS, 0)
    for values in (1, 3 * len(made.trades)):
        monkeypatch.setattr("ffe_lab.baselines._CHUNK", values)
        assert random_entries(made, RUNS, 0) == whole
    assert random_entries(made, RUNS, 1) != whole


def test_without_a_trade_there_is_no_chance(lab: Lab, walk: Walk) -> None:
    idle = backtest(walk(60), "always_hold", asset="BTCUSD", lab=lab, gate=False)
    assert random_entries(idle, RUNS, 0) is None
