from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from ffe_lab.backtest import backtest
from ffe_lab.lab import Lab
from ffe_lab.optimise import Optimisation, Range, optimize
from ffe_lab.space import combinations, drawn, parsed, usual_space
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import UsageError
from ffe_core.builtin.executors import Inline
from ffe_core.settings import load_settings

type Walk = Callable[..., pd.DataFrame]

SPACE = {"fast": Range(2, 30), "slow": Range(10, 60), "stop": Range(0.01, 0.05), "target": Range(0.02, 0.08, 0.01)}


def made(lab: Lab, frame: pd.DataFrame, search: str = "random", **more: Any) -> Optimisation:
    held: dict[str, Any] = {"space": SPACE, "trials": 25, "gate": False, "asset": "BTCUSD", "lab": lab, **more}
    return optimize(frame, "sma_cross", search=search, **held)


@pytest.mark.parametrize("search", ["random", "tpe", "grid"])
def test_a_seed_finds_the_same_again(lab: Lab, walk: Walk, search: str) -> None:
    space = {"fast": [3, 5, 40], "slow": [20, 30], "stop": [0.02, 0.03]} if search == "grid" else SPACE
    one = made(lab, walk(1000), search, space=space, seed=3)
    same = made(lab, walk(1000), search, space=space, seed=3)
    assert one.points == same.points and one.rows.tobytes() == same.rows.tobytes()
    assert one.data() == same.data()
    if search != "grid":
        assert made(lab, walk(1000), search, space=space, seed=4).points != one.points


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_every_trial_is_the_backtest_of_its_point(lab: Lab, walk: Walk, search: str) -> None:
    result = made(lab, walk(1000), search, trials=8)
    for place, point in enumerate(result.points):
        if point["fast"] >= point["slow"]:
            assert np.isnan(result.rows[place]).all()
            continue
        one = backtest(
            walk(1000), "sma_cross", params={"fast": point["fast"], "slow": point["slow"]}, stop=point["stop"],
            target=point["target"], gate=False, asset="BTCUSD", lab=lab,
        )  # fmt: skip
        trial = result.history()[place]
        assert trial["total_return"] == pytest.approx(one.metrics.total_return, rel=1e-12)
        assert (trial["sharpe"], trial["max_drawdown"]) == (one.metrics.sharpe, one.metrics.max_drawdown)


def test_a_trial_that_fails_is_the_worst_and_no_trial_of_the_ledger(lab: Lab, walk: Walk) -> None:
    space = {"fast": [5, 50], "slow": [20]}
    result = made(lab, walk(1000), "grid", space=space)
    assert (len(result), result.failed) == (2, 1)
    assert result.best == {"fast": 5, "slow": 20}
    assert result.history()[1]["sharpe"] is None
    assert result.tried.count == 1
    with pytest.raises(UsageError, match="fast 50 is not below slow 20"):
        made(lab, walk(1000), "grid", space={"fast": [50], "slow": [20]})


def test_no_trial_beats_one_of_the_front_in_everything(lab: Lab, walk: Walk) -> None:
    for search in ("random", "tpe"):
        result = made(lab, walk(1500), search, multi_objective=True, trials=40)
        front = set(result.front.tolist())
        measured = [(each["sharpe"], each["max_drawdown"]) for each in result.history()]
        known = {place: one for place, one in enumerate(measured) if one[0] is not None}
        for place, (sharpe, fallen) in known.items():
            beaten = any(
                other[0] >= sharpe and other[1] <= fallen and other != (sharpe, fallen) for other in known.values()
            )
            equal = any(known[each] == (sharpe, fallen) for each in front)
            assert beaten != equal, place


def test_the_parzen_estimator_learns_from_its_trials_and_luck_does_not(lab: Lab, walk: Walk) -> None:
    space = {"fast": Range(2, 40), "slow": Range(41, 200)}
    late = {}
    for search in ("random", "tpe"):
        late[search] = made(lab, walk(1500), search, space=space, trials=40, seed=1).sharpe[-15:].mean()
    assert late["tpe"] > late["random"] + 0.5


def test_the_best_is_written_as_settings_that_load_and_run(lab: Lab, walk: Walk, tmp_path: Path) -> None:
    result = made(lab, walk(1000), space={**SPACE, "risk": Range(0.005, 0.02)})
    file = tmp_path / "best.yaml"
    file.write_text(result.config_text())
    assert "IN-SAMPLE" in file.read_text().splitlines()[1]
    settings = load_settings(config=file)
    assert settings.exits.stop == "fixed"
    assert settings.exits.fallback == result.best["stop"]
    assert settings.exits.target == result.best["target"]
    assert settings.sizing.risk == result.best["risk"]
    again = backtest(walk(1000), "sma_cross", gate=False, asset="BTCUSD", lab=Lab.from_settings(settings))
    assert again.metrics.total_return == result.best_run.metrics.total_return
    assert yaml.safe_load(file.read_text()) == result.config()


def test_the_best_run_is_deflated_by_all_trials_and_labelled(lab: Lab, walk: Walk) -> None:
    result = made(lab, walk(1500), trials=30)
    metrics = result.best_run.metrics
    assert metrics.trials == 30 - result.failed
    assert result.data()["sample"] == "IN-SAMPLE"
    if metrics.psr is not None and metrics.dsr is not None:
        assert metrics.dsr < metrics.psr


def test_an_executor_finds_the_same(lab: Lab, walk: Walk) -> None:
    with Inline() as inline:
        assert made(lab, walk(800), executor=inline).rows.tobytes() == made(lab, walk(800)).rows.tobytes()


def test_a_search_ends_when_its_time_is_over(lab: Lab, walk: Walk) -> None:
    from ffe_lab.market import Market, candles_of
    from ffe_lab.optimise import optimize_over

    ticks = iter(range(1000))
    market = Market(candles_of(walk(300), asset="BTCUSD"), compiled=True)
    setup = lab.setup(gate=False)
    result = optimize_over(
        lab, market, "sma_cross", setup, SPACE, trials=50, search="tpe", timeout=5, clock=lambda: next(ticks)
    )
    assert len(result) == 5


def test_searches_that_make_no_sense_are_refused(lab: Lab, walk: Walk) -> None:
    for given_, said in (
        ({"search": "luck"}, "search 'luck'"),
        ({"trials": 0}, "0 trials"),
        ({"space": {}}, "no value"),
    ):
        with pytest.raises(UsageError, match=said):
            made(lab, walk(100), **given_)


def test_a_space_is_typed_as_choices_and_ranges() -> None:
    space = parsed(["fast=5,10", "slow=20:40:10", "stop=0.01:0.03:0.01", "kind=a,b"])
    assert combinations({name: space[name] for name in ("slow", "stop")}) == [
        {"slow": slow, "stop": stop} for slow in (20, 30, 40) for stop in (0.01, 0.02, 0.03)
    ]
    assert list(space["fast"]) == [5, 10] and list(space["kind"]) == ["a", "b"]  # type: ignore[arg-type]
    for wrong in ("fast", "fast=", "=3", "fast=1:x", "fast=5:1", "fast=1:2:3:4", "fast=1:5:0"):
        with pytest.raises(UsageError):
            parsed([wrong])
    with pytest.raises(UsageError, match="given twice"):
        parsed(["fast=1", "fast=2"])


@given(low=st.integers(-50, 50), width=st.integers(0, 50), step=st.integers(1, 9), seed=st.integers(0, 99))
def test_what_is_drawn_of_a_range_is_one_of_its_values(low: int, width: int, step: int, seed: int) -> None:
    held = Range(low, low + width, step)
    assert held.values() == list(range(low, low + width + 1, step))
    rng = np.random.Generator(np.random.Philox(key=seed))
    assert all(point["x"] in held.values() for point in drawn({"x": held}, 20, rng))
    real = Range(float(low), float(low + width))
    assert all(low <= point["x"] <= low + width for point in drawn({"x": real}, 20, rng))


def test_the_usual_space_is_half_once_and_twice_each_number_but_seeds(lab: Lab) -> None:
    assert usual_space(lab.provider("sma_cross")) == {"fast": [5, 10, 20], "slow": [15, 30, 60]}
    assert "seed" not in usual_space(lab.provider("random_entry"))
    assert usual_space(lab.provider("buy_and_hold")) == {}
