from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import backtest, configuration
from ffe_lab.lab import Lab
from ffe_lab.space import combinations
from ffe_lab.study import trial_of
from ffe_lab.sweep import ranked, span_of, sweep
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import UsageError
from ffe_core.builtin.executors import Inline, Processes

SPACE = {"fast": [3, 5, 8, 20], "slow": [8, 13, 21]}
BARE: dict[str, Any] = {"sizing": "all_in", "gate": False, "stop": 0.0, "target": 0.0}


type Walk = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("account", [BARE, {"stop": 0.02, "gate": False}, {}, {"allow_short": True, "gate": False}])
def test_a_sweep_is_the_same_backtests_one_by_one(lab: Lab, walk: Walk, account: dict[str, Any]) -> None:
    frame = walk()
    made = sweep(frame, "sma_cross", SPACE, asset="BTCUSD", lab=lab, **account)
    assert len(made) == 9
    for place, point in enumerate(made.points):
        one = backtest(frame, "sma_cross", params=point, asset="BTCUSD", lab=lab, **account).metrics
        found = made.headline(place)
        assert (found.final_value, found.total_return) == (one.final_value, one.total_return)
        assert (found.sharpe, found.max_drawdown) == (one.sharpe, one.max_drawdown)
        assert found.total_trades == one.total_trades


def test_combinations_that_the_provider_refuses_are_skipped_and_counted(lab: Lab, walk: Walk) -> None:
    made = sweep(walk(300), "sma_cross", SPACE, asset="BTCUSD", lab=lab, **BARE)
    assert all(point["fast"] < point["slow"] for point in made.points)
    assert (len(made), made.skipped) == (9, 3)


def test_a_sweep_without_any_combination_that_fits_is_an_error(lab: Lab, walk: Walk) -> None:
    with pytest.raises(UsageError, match="no parameter fats"):
        sweep(walk(300), "sma_cross", {"fats": [1, 2]}, asset="BTCUSD", lab=lab)
    with pytest.raises(UsageError, match="no value to try of slow"):
        sweep(walk(300), "sma_cross", {"fast": [1], "slow": []}, asset="BTCUSD", lab=lab)
    with pytest.raises(UsageError, match="ranked by none"):
        sweep(walk(300), "sma_cross", SPACE, asset="BTCUSD", lab=lab, rank="luck")


def test_stop_target_and_risk_of_the_account_can_be_swept_too(lab: Lab, walk: Walk) -> None:
    frame = walk(600)
    made = sweep(frame, "sma_cross", {"fast": [5], "stop": [0.01, 0.03], "risk": [0.01]}, asset="BTCUSD", lab=lab)
    one = backtest(frame, "sma_cross", params={"fast": 5}, stop=0.03, asset="BTCUSD", lab=lab).metrics
    assert made.headline(1).final_value == one.final_value != made.headline(0).final_value
    with pytest.raises(UsageError, match=r"risk 0\.5 is no fraction"):
        sweep(frame, "sma_cross", {"risk": [0.5]}, asset="BTCUSD", lab=lab)


@pytest.mark.slow
def test_every_executor_gives_the_same_bits_in_the_same_order(lab: Lab, walk: Walk, processes: Processes) -> None:
    frame, space = walk(800), {"fast": list(range(2, 14)), "slow": list(range(14, 24))}
    here = sweep(frame, "sma_cross", space, asset="BTCUSD", lab=lab, **BARE)
    with Inline() as inline:
        for executor in (inline, processes):
            there = sweep(frame, "sma_cross", space, asset="BTCUSD", lab=lab, executor=executor, **BARE)
            assert there.rows.tobytes() == here.rows.tobytes()
            assert there.points == here.points


def test_the_gate_judges_in_workers_as_it_does_here(lab: Lab, walk: Walk) -> None:
    frame = walk(600)
    here = sweep(frame, "sma_cross", SPACE, asset="BTCUSD", lab=lab)
    with Inline() as inline:
        there = sweep(frame, "sma_cross", SPACE, asset="BTCUSD", lab=lab, executor=inline)
    assert there.rows.tobytes() == here.rows.tobytes()


def test_all_combinations_are_trials_and_deflate_the_best(lab: Lab, walk: Walk) -> None:
    frame = walk()
    made = sweep(frame, "sma_cross", SPACE, asset="BTCUSD", lab=lab, **BARE)
    assert made.tried is not None and made.tried.count == 9
    again = sweep(frame, "sma_cross", SPACE, asset="BTCUSD", lab=lab, **BARE)
    assert again.tried == made.tried
    best = made.best_run().metrics
    assert best.trials == 9 and best.psr is not None and best.dsr is not None and best.dsr < best.psr


def test_a_backtest_of_a_swept_combination_is_no_further_trial(lab: Lab, walk: Walk) -> None:
    made = sweep(walk(300), "sma_cross", SPACE, asset="BTCUSD", lab=lab, **BARE)
    one = backtest(walk(300), "sma_cross", params=made.points[0], asset="BTCUSD", lab=lab, **BARE)
    assert configuration(one) == trial_of("sma_cross", made.points[0], made.setup, made.market.timeframe)
    again = lab.ledger.record("BTCUSD", span_of(made.market), {configuration(one): None})
    assert made.tried is not None and again.count == made.tried.count


def test_the_best_is_first_in_the_table_and_the_whole_is_labelled(lab: Lab, walk: Walk) -> None:
    made = sweep(walk(), "sma_cross", SPACE, asset="BTCUSD", lab=lab, rank="max_drawdown", **BARE)
    assert dict(made.frame().iloc[0][["fast", "slow"]]) == dict(made.best)
    assert made.max_drawdown.min() == made.data()["runs"][0]["max_drawdown"]
    assert made.data()["sample"] == "IN-SAMPLE"


def test_a_failing_chunk_is_told(lab: Lab, walk: Walk) -> None:
    class Broken(Inline):
        def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
            return super().map("ffe_lab.sweep:no_such_task", chunks, shared=shared)

    with pytest.raises(Exception, match="a part of the experiment failed"):
        sweep(walk(100), "sma_cross", SPACE, asset="BTCUSD", lab=lab, executor=Broken())


@given(st.lists(st.one_of(st.floats(-3, 3), st.just(float("nan"))), min_size=1, max_size=30))
def test_what_has_no_number_comes_last_and_the_first_of_equals_first(values: list[float]) -> None:
    order = ranked(np.array(values), more=True).tolist()
    assert sorted(order) == list(range(len(values)))
    known = [(-values[place], place) for place in order if values[place] == values[place]]
    assert known == sorted(known)
    assert all(values[place] != values[place] for place in order[len(known) :])


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(), min_size=1, max_size=4), min_size=1))
def test_combinations_are_all_and_each_once(space: dict[str, list[int]]) -> None:
    made = combinations(space)
    assert len(made) == np.prod([len(values) for values in space.values()])
    assert all(point[name] in values for point in made for name, values in space.items())
