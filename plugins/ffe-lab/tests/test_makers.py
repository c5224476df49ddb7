"""Who decides in experiments: models that are asked once, and panels whose votes are weighed otherwise."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import market_of, run
from ffe_lab.lab import Lab
from ffe_lab.makers import Panel, Recorded, maker_of
from ffe_lab.market import Market, candles_of, longer
from ffe_lab.montecarlo import monte_carlo
from ffe_lab.optimise import optimize_over
from ffe_lab.simulate import Setup
from ffe_lab.space import Range
from ffe_lab.standin import BTC, Bars, Counting, bench, taped
from ffe_lab.sweep import sweep_over
from ffe_lab.walkforward import Lengths, walk_over

from ffe_core import CassetteMiss, Executor, Timeframe, UnknownName, UsageError
from ffe_core.ai.cassette import Tape

type Walk = Callable[..., pd.DataFrame]

START, END = datetime(2022, 2, 1, tzinfo=UTC), datetime(2022, 2, 5, tzinfo=UTC)
CLOSES = 96
SHORT = Lengths(train=2, test=1, step=1, embargo=0, purge=0)
RULES = ("trend_adx", "rsi_reversion", "macd")


@pytest.fixture
def model() -> Counting:
    return Counting()


@pytest.fixture
def asking(tmp_path: Path, walk: Walk, model: Counting) -> Lab:
    """A bench with bars of its own, and a model whose answers are kept."""
    series = candles_of(walk(900), asset=BTC, source="held")
    frames = {frame: made for frame in (Timeframe.H4, Timeframe.D1) if (made := longer(series, frame))}
    return taped(bench(tmp_path / "home", Bars("held", {Timeframe.H1: series, **frames}), model), Tape.AUTO, tmp_path)


def market(lab: Lab) -> Market:
    return lab.market(BTC, start=START, end=END)


def account(lab: Lab) -> Setup:
    return lab.setup(gate=False, sizing="all_in", stop=0.02, target=0.0)


@pytest.mark.slow
def test_a_model_under_walk_forward_is_asked_once_at_every_close(asking: Lab, model: Counting, tmp_path: Path) -> None:
    made = walk_over(asking, market(asking), "counting", account(asking), {"stop": [0.01, 0.03]}, lengths=SHORT)
    assert (len(model.asked), len(set(model.asked)), made.combinations) == (CLOSES, CLOSES, 2)
    told = made.data()
    assert (told["ai"]["providers"]["counting"]["answers"], "hindsight" in told) == (CLOSES, True)
    replaying = taped(asking, Tape.REPLAY, tmp_path)
    again = walk_over(replaying, market(asking), "counting", account(asking), {"stop": [0.01, 0.03]}, lengths=SHORT)
    assert len(model.asked) == CLOSES
    assert again.equity.tobytes() == made.equity.tobytes()


@pytest.mark.slow
def test_a_window_acts_on_what_the_model_said_in_it(asking: Lab) -> None:
    """The test of a window is the backtest of that day, on which the same is asked and answered."""
    made = walk_over(asking, market(asking), "counting", account(asking), {"stop": [0.02]}, lengths=SHORT)
    window = made.windows[0]
    day = asking.market(BTC, start=window.window.test_start, end=window.window.test_end)
    alone = run(asking, day, "counting", account(asking))
    assert len(alone.trades) > 0
    assert (window.test.final_value, window.test.total_trades) == (alone.metrics.final_value, len(alone.trades))


def test_a_replay_of_what_was_never_asked_ends_like_a_backtest(asking: Lab, tmp_path: Path) -> None:
    with pytest.raises(CassetteMiss):
        walk_over(taped(asking, Tape.REPLAY, tmp_path), market(asking), "counting", account(asking), lengths=SHORT)


@pytest.mark.slow
def test_a_sweep_over_the_account_asks_a_model_no_more_than_a_backtest(asking: Lab, model: Counting) -> None:
    made = sweep_over(asking, market(asking), "counting", account(asking), {"stop": [0.005, 0.02], "target": [0, 0.02]})
    assert (len(made), len(model.asked)) == (4, CLOSES)
    best = made.best_run()
    assert best.metrics.final_value == made.final_value[made.order[0]]
    with pytest.raises(UsageError, match="fast is a parameter of one provider"):
        sweep_over(asking, market(asking), "counting", account(asking), {"fast": [5]})


@pytest.mark.slow
def test_votes_of_models_and_rules_are_weighed_again_without_a_question(asking: Lab, model: Counting) -> None:
    names = ("counting", "trend_adx", "rsi_reversion")
    bars, setup = market(asking), account(asking)
    space = {"weight.counting": [0.0, 1.0], "weight.trend_adx": [1.0], "weight.rsi_reversion": [0.0]}
    made = optimize_over(asking, bars, names, setup, space, search="grid")
    assert len(model.asked) == CLOSES
    assert set(made.maker.settings(made.best)["ensemble"]["weights"].values()) <= {0.0, 0.5, 1.0}
    finals = made.rows[:, 0]
    # Alone with all the weight the trend has the say, beside it the model has as much.
    assert finals[0] != finals[1]
    assert made.data()["ai"]["decisions"] == CLOSES


@pytest.mark.slow
def test_what_models_said_travels_to_other_processes(asking: Lab, processes: Executor) -> None:
    space = {"stop": [0.005, 0.01, 0.02]}
    here = sweep_over(asking, market(asking), "counting", account(asking), space)
    there = sweep_over(asking, market(asking), "counting", account(asking), space, executor=processes)
    assert here.rows.tobytes() == there.rows.tobytes()


def test_what_models_said_is_of_the_bars_that_they_were_shown(asking: Lab, walk: Walk) -> None:
    maker = maker_of(asking, market(asking), "counting")
    assert isinstance(maker, Recorded)
    pickle.loads(pickle.dumps(maker))
    with pytest.raises(UsageError, match="heard on other bars"):
        maker.calls(market_of(walk(900)[1:], asset="BTCUSD"), {})


@pytest.mark.slow
def test_noisy_paths_are_not_put_to_a_model(asking: Lab, model: Counting) -> None:
    for method in ("noise", "bootstrap"):
        with pytest.raises(UsageError, match="no cassette has answers to those") as told:
            monte_carlo(market(asking), "counting", method=method, lab=asking)
        assert told.value.hint and "shuffle" in told.value.hint
    assert not model.asked
    made = monte_carlo(market(asking), "counting", method="shuffle", simulations=5, gate=False, lab=asking)
    assert len(model.asked) == CLOSES
    assert (len(made), made.data()["ai"]["decisions"]) == (5, CLOSES)


# panels of rules


def test_the_usual_space_of_a_panel_is_how_it_votes_and_the_weights_where_they_are_wanted(lab: Lab, walk: Walk) -> None:
    maker = maker_of(lab, market_of(walk(300), asset="BTCUSD"), RULES)
    assert isinstance(maker, Panel)
    assert maker.space() == {"strategy": ["weighted", "majority", "average", "best"]}
    assert maker.space(weights=True) == {**maker.space(), **{f"weight.{name}": Range(0.1, 1.0) for name in RULES}}
    one = maker_of(lab, market_of(walk(300), asset="BTCUSD"), "macd")
    with pytest.raises(UsageError, match="members of a panel"):
        one.space(weights=True)


@pytest.mark.slow
def test_the_best_of_a_panel_is_written_as_settings_that_vote_alike(lab: Lab, walk: Walk, tmp_path: Path) -> None:
    bars = market_of(walk(900), asset="BTCUSD", compiled=True)
    made = optimize_over(
        lab, bars, RULES, account(lab), {"strategy": ["weighted"]}, trials=25, search="random", weights=True, seed=4
    )
    held = made.config()["ensemble"]
    assert held["strategy"] == "weighted" and sum(held["weights"].values()) == pytest.approx(1.0, abs=3e-6)
    assert len(set(made.rows[:, 0].tolist())) > 2
    environment = {"FFE_HOME": str(tmp_path), "FFE_ENSEMBLE__WEIGHTS": str(held["weights"]).replace("'", '"')}
    from ffe_core.settings import load_settings

    other = Lab.from_settings(load_settings(env=environment))
    again = run(other, bars, RULES, account(other))
    assert again.equity.tobytes() == made.best_run.equity.tobytes()
    assert made.best_run.params["strategy"] == "weighted"


@pytest.mark.parametrize(
    ("point", "told"),
    [
        ({"weight.nobody": 1.0}, "unknown member 'nobody'"),
        ({"weight.macd": -1.0}, "no weight of at least 0"),
        ({"weight.macd": "much"}, "no weight of at least 0"),
        ({f"weight.{name}": 0.0 for name in RULES}, "nobody to listen to"),
        ({"strategy": "hegde"}, "unknown strategy 'hegde'"),
        ({"strategy": "debate"}, "asks in rounds"),
        ({"fast": 5}, "a parameter of one provider"),
    ],
)
def test_what_is_no_way_to_vote_is_refused(lab: Lab, walk: Walk, point: dict[str, Any], told: str) -> None:
    maker = maker_of(lab, market_of(walk(300), asset="BTCUSD"), RULES)
    with pytest.raises((UsageError, UnknownName), match=told):
        maker.require(point)


def test_a_weight_counts_for_its_share_of_all_weights(lab: Lab, walk: Walk) -> None:
    bars = market_of(walk(600), asset="BTCUSD")
    maker = maker_of(lab, bars, RULES)
    some = {"weight.trend_adx": 0.2, "weight.rsi_reversion": 0.2, "weight.macd": 0.6}
    many = {name: value * 1.5 for name, value in some.items()}
    one, other = maker.calls(bars, some), maker.calls(bars, many)
    assert np.array_equal(one.action, other.action) and np.array_equal(one.confidence, other.confidence)
    alone = maker.calls(bars, {"weight.trend_adx": 1.0, "weight.rsi_reversion": 0.0, "weight.macd": 0.0})
    assert not np.array_equal(alone.action, one.action)
