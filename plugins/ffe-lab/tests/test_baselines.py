"""Chance with a run's own trades, drawn many runs at a time, beside one run after the other as it is described."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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


def described(made: Backtest, order: list[int], pauses: list[int]) -> float:
    """The trades in another order with other pauses, one after the other, and what each makes of the account."""
    trades, opens = made.trades, made.market.open[made.market.first :]
    lengths = trades.exit - trades.entry
    account, passed = 1.0, 0
    for pause, trade in zip(sorted(pauses), order, strict=True):
        enter = pause + passed
        passed += lengths[trade]
        side = int(trades.side[trade])
        paid, got = opens[enter] * (1 + side * 0.0002), opens[enter + lengths[trade]] * (1 - side * 0.0002)
        share = trades.quantity[trade] * trades.entry_price[trade] / made.equity[trades.entry[trade]]
        account *= 1 + share * (side * (got / paid - 1) - 0.001 * (1 + got / paid))
    return account - 1


def drawn(made: Backtest, seed: int) -> Iterator[tuple[list[int], list[int]]]:
    rng = np.random.Generator(np.random.Philox(key=seed))
    count = len(made.trades)
    free = len(made.market) - 1 - int((made.trades.exit - made.trades.entry).sum())
    for runs in (32, RUNS - 32):
        orders = rng.permuted(np.tile(np.arange(count), (runs, 1)), axis=1)
        pauses = rng.integers(0, free, (runs, count), np.int32, endpoint=True)
        yield from zip(orders.tolist(), pauses.tolist(), strict=True)


def test_chance_is_the_runs_own_trades_at_other_times(made: Backtest) -> None:
    assert len(made.trades) > 20 and set(made.trades.side.tolist()) == {1, -1}
    returns = [described(made, order, pauses) for order, pauses in drawn(made, 7)]
    found = random_entries(made, RUNS, 7)
    assert found is not None
    assert found["total_return"] == pytest.approx(float(np.median(returns)), rel=1e-12)
    assert found["total_return_interval"] == pytest.approx(np.percentile(returns, (2.5, 97.5)).tolist(), rel=1e-12)
    own = made.equity[-1] / made.setup.initial_balance - 1
    assert found["percentile"] == np.mean(np.array(returns) < own)


def test_the_same_seed_is_the_same_chance(made: Backtest) -> None:
    assert random_entries(made, RUNS, 0) == random_entries(made, RUNS, 0)
    assert random_entries(made, RUNS, 0) != random_entries(made, RUNS, 1)


def test_without_a_trade_there_is_no_chance(lab: Lab, walk: Walk) -> None:
    idle = backtest(walk(60), "always_hold", asset="BTCUSD", lab=lab, gate=False)
    assert random_entries(idle, RUNS, 0) is None
