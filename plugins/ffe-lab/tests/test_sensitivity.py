from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import Backtest, backtest
from ffe_lab.costs import Costs
from ffe_lab.lab import Lab
from ffe_lab.sensitivity import break_even, cost_sensitivity

type Walk = Callable[..., pd.DataFrame]

FREE: dict[str, Any] = {"sizing": "all_in", "stop": 0.0, "target": 0.0}


def rising(seed: int = 3) -> pd.DataFrame:
    """A market that trends long enough for a crossing to earn."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    drift = np.repeat(rng.choice([-0.002, 0.003], 60), 25)
    close = 100 * np.exp(np.cumsum(drift + rng.normal(0, 0.002, len(drift))))
    opened = np.append(100.0, close[:-1])
    index = pd.date_range("2022-01-03", periods=len(close), freq="h", tz="UTC")
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    return pd.DataFrame({"open": opened, "high": high, "low": low, "close": close}, index=index)


def made(lab: Lab, frame: pd.DataFrame | None = None, **account: Any) -> Backtest:
    account = {"asset": "BTCUSD", "params": {"fast": 5, "slow": 20}, "lab": lab, **FREE, **account}
    return backtest(rising() if frame is None else frame, "sma_cross", **account)


def row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(one for one in rows if one["name"] == name)


def test_each_row_is_the_backtest_at_its_costs(lab: Lab) -> None:
    one = made(lab, costs=Costs(0.001, 0.0002))
    rows = cost_sensitivity(one)
    for name, costs in (
        ("as run", Costs(0.001, 0.0002)),
        ("twice the cost", Costs(0.002, 0.0004)),
        ("taker fee of the venue", Costs(0.004, 0.0002, maker=0.0025)),
    ):
        again = made(lab, costs=costs)
        found = row(rows, name)
        assert (found["fee"], found["slippage"]) == (costs.fee, costs.slippage)
        assert found["metrics"]["final_value"] == again.metrics.final_value
        assert found["metrics"]["total_trades"] == again.metrics.total_trades
    assert row(rows, "twice the cost")["metrics"]["final_value"] < one.metrics.final_value


def test_at_the_break_even_cost_the_account_ends_as_it_began(lab: Lab) -> None:
    found = row(cost_sensitivity(made(lab, costs=Costs(0.001, 0.0002))), "break-even cost")
    again = made(lab, costs=Costs(found["fee"], found["slippage"]))
    assert again.metrics.final_value == pytest.approx(10_000, rel=1e-3)
    assert again.metrics.final_value > 10_000
    assert found["slippage"] == pytest.approx(found["fee"] / 5)


def test_a_run_without_costs_is_told_what_it_would_bear(lab: Lab) -> None:
    found = row(cost_sensitivity(made(lab, costs=Costs(0.0, 0.0))), "break-even cost")
    assert found["metrics"]["total_return"] == pytest.approx(0.0, abs=1e-3)


def test_a_run_that_loses_without_costs_has_no_break_even(lab: Lab, walk: Walk) -> None:
    frame = walk(300)
    frame[["open", "high", "low", "close"]] = frame[["open", "high", "low", "close"]].mul(
        np.linspace(1, 0.3, 300), axis=0
    )
    one = backtest(frame, "buy_and_hold", asset="BTCUSD", lab=lab, **FREE)
    assert one.metrics.total_return < 0
    assert row(cost_sensitivity(one), "break-even cost")["metrics"] is None


def test_the_root_of_a_known_function_is_found() -> None:
    assert break_even(lambda times: 200 * math.exp(-times), 100.0) == pytest.approx(math.log(2), rel=1e-3)
    assert break_even(lambda times: 200.0, 100.0) is None
    assert break_even(lambda times: 100.0 - times, 100.0) is None


def test_the_rows_are_computed_where_all_is_asked_for(lab: Lab) -> None:
    one = made(lab)
    assert "cost_sensitivity" not in one.data(full=False)
    assert [found["name"] for found in one.data()["cost_sensitivity"]] == [
        "as run", "twice the cost", "taker fee of the venue", "break-even cost",
    ]  # fmt: skip


def test_the_gate_judges_every_row(lab: Lab, walk: Walk) -> None:
    one = backtest(walk(900), "ensemble", asset="BTCUSD", lab=lab)
    again = backtest(walk(900), "ensemble", asset="BTCUSD", costs=Costs(0.002, 0.0002), lab=lab)
    assert row(cost_sensitivity(one), "twice the cost")["metrics"]["final_value"] == again.metrics.final_value
