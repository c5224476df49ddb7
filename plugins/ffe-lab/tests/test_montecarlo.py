from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab import paths
from ffe_lab.backtest import backtest
from ffe_lab.lab import Lab
from ffe_lab.market import Market, candles_of
from ffe_lab.montecarlo import METHODS, MonteCarlo, Streams, Variation, Walker, monte_carlo
from ffe_lab.study import Study
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from ffe_core import Candles, CandleSeries, ColumnProvider, UsageError
from ffe_core.builtin.executors import Inline, Processes
from ffe_core.builtin.rules import RULES

type Walk = Callable[..., pd.DataFrame]

BARE: dict[str, Any] = {"asset": "BTCUSD", "sizing": "all_in", "gate": False, "stop": 0.0, "target": 0.0}


def paths_of(lab: Lab, frame: pd.DataFrame, variation: Variation, first: int = 0) -> Walker:
    market = Market(candles_of(frame, asset="BTCUSD"), first, compiled=True)
    study = Study.of(lab, market, "sma_cross", lab.setup(sizing="all_in", gate=False, stop=0.0, target=0.0))
    return Walker(study, market, variation)


def columns(candles: Candles) -> dict[str, NDArray[Any]]:
    return {name: np.array(getattr(candles, name)) for name in ("open", "high", "low", "close", "volume")}


@pytest.mark.parametrize("variation", [Variation(noise_std=0.4), Variation("bootstrap", block=5)])
def test_every_bar_of_every_path_is_valid(lab: Lab, walk: Walk, variation: Variation) -> None:
    walker = paths_of(lab, walk(400), variation)
    for path in range(50):
        held = columns(walker.candles(path))
        assert (held["low"] > 0).all() and np.isfinite(held["high"]).all()
        assert (held["low"] <= np.minimum(held["open"], held["close"])).all()
        assert (held["high"] >= np.maximum(held["open"], held["close"])).all()


@given(
    moves=st.lists(st.tuples(*[st.floats(1e-3, 1e3)] * 4), min_size=1, max_size=40),
    block=st.floats(1, 50),
    seed=st.integers(0, 100),
)
def test_chained_bars_stay_valid_whatever_moves_there_were(
    moves: list[tuple[float, ...]], block: float, seed: int
) -> None:
    count = len(moves)
    opened, high, low, close = (np.array(column) for column in zip(*moves, strict=True))
    high, low = np.maximum(high, np.maximum(1.0, close)), np.minimum(low, np.minimum(1.0, close))
    rng = np.random.Generator(np.random.Philox(key=seed))
    bars, path = np.ones((5, count)), np.ones((5, count))
    starts, chance = rng.integers(0, count, count), rng.random(count)
    chain: Any = paths.chain_bars
    chain(0, block, chance, starts, bars, np.stack([opened, high, low, close]), path)
    made_open, made_high, made_low, made_close, _ = path
    assert (made_low > 0).all() and (made_high <= paths.HIGHEST).all()
    assert (made_low <= np.minimum(made_open, made_close)).all()
    assert (made_high >= np.maximum(made_open, made_close)).all()


def test_noise_moves_all_prices_of_a_bar_by_one_factor_and_its_size_is_what_was_asked(lab: Lab, walk: Walk) -> None:
    frame = walk(3000)
    held = columns(paths_of(lab, frame, Variation(noise_std=0.01, seed=5)).candles(3))
    factor = held["close"] / frame["close"].to_numpy()
    for name in ("open", "high", "low"):
        np.testing.assert_allclose(held[name] / frame[name].to_numpy(), factor, rtol=1e-14)
    assert np.array_equal(held["volume"], frame["volume"].to_numpy())
    assert stats.kstest((factor - 1) / 0.01, "norm").pvalue > 0.01


def test_bars_before_the_traded_ones_stay_as_they_were(lab: Lab, walk: Walk) -> None:
    frame = walk(300)
    for variation in (Variation(noise_std=0.1), Variation("bootstrap")):
        held = columns(paths_of(lab, frame, variation, first=100).candles(1))
        for name, column in held.items():
            assert np.array_equal(column[:100], frame[name].to_numpy()[:100])
        assert not np.array_equal(held["close"][100:], frame["close"].to_numpy()[100:])


def test_a_bootstrapped_path_is_made_of_blocks_of_real_moves_as_long_as_was_asked(lab: Lab, walk: Walk) -> None:
    frame = walk(5000)
    held = columns(paths_of(lab, frame, Variation("bootstrap", block=10.0, seed=2)).candles(0))
    volume = frame["volume"].to_numpy()
    order = np.argsort(volume)
    drawn = order[np.searchsorted(volume[order], held["volume"])]
    jumps = (np.diff(drawn) % len(volume)) != 1
    assert 1 / jumps.mean() == pytest.approx(10.0, rel=0.15)
    change = (frame["close"] / frame["open"]).to_numpy()[drawn]
    np.testing.assert_allclose(held["close"] / held["open"], change, rtol=1e-12)


def test_streams_of_two_paths_are_different_and_each_is_the_same_again() -> None:
    draws = Streams(9)
    one, other = draws.of(0).standard_normal(1000), draws.of(1).standard_normal(1000)
    assert np.array_equal(Streams(9).of(0).standard_normal(1000), one)
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.1
    assert not np.array_equal(Streams(10).of(0).standard_normal(1000), one)


def test_a_path_is_the_same_in_whatever_company_it_is_drawn(lab: Lab, walk: Walk) -> None:
    """Groups of 32 share a stream: at their beginning, across their border, in order, out of order and alone."""
    variation = Variation(noise_std=0.02, seed=3)
    alone = {path: np.array(paths_of(lab, walk(60), variation).candles(path).close) for path in range(28, 40)}
    walker = paths_of(lab, walk(60), variation)
    for begin, end in ((28, 32), (32, 40), (30, 36), (33, 34)):
        together = np.array(walker.courses(begin, end).price("close"))
        for row, path in enumerate(range(begin, end)):
            assert np.array_equal(together[row], alone[path]), (begin, path)
    for path in (31, 32, 33, 39, 29, 30):
        assert np.array_equal(walker.candles(path).close, alone[path]), path
    assert len({close.tobytes() for close in alone.values()}) == len(alone)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_seed_gives_the_same_bits_whoever_computes_them(
    lab: Lab, walk: Walk, processes: Processes, method: str
) -> None:
    def made(seed: int = 3, **more: Any) -> MonteCarlo:
        return monte_carlo(
            walk(400), "sma_cross", simulations=600, method=method, noise_std=0.02, seed=seed, lab=lab, **BARE, **more
        )

    here = made()
    assert made().results.tobytes() == here.results.tobytes()
    assert made(seed=4).results.tobytes() != here.results.tobytes()
    with Inline() as inline:
        for executor in (inline, processes):
            assert made(executor=executor).results.tobytes() == here.results.tobytes()


def test_the_first_paths_are_the_same_however_many_follow(lab: Lab, walk: Walk) -> None:
    few = monte_carlo(walk(300), "sma_cross", simulations=10, seed=1, noise_std=0.02, lab=lab, **BARE)
    many = monte_carlo(walk(300), "sma_cross", simulations=300, seed=1, noise_std=0.02, lab=lab, **BARE)
    assert np.array_equal(many.results[:10], few.results)


@pytest.mark.parametrize("rule", [one for one in RULES if isinstance(one, ColumnProvider)], ids=lambda one: one.name)
def test_a_rule_says_of_many_courses_what_it_says_of_each(lab: Lab, walk: Walk, rule: ColumnProvider) -> None:
    for variation in (Variation(noise_std=0.02), Variation("bootstrap", block=5)):
        walker = paths_of(lab, walk(300), variation, first=40)
        said = np.broadcast_to(rule.actions(walker.courses(3, 8)), (5, 300))
        for row in range(5):
            alone = CandleSeries(walker.candles(3 + row))
            assert np.array_equal(said[row], rule.ask_all(alone).action)


@pytest.mark.parametrize("account", [{"stop": 0.02, "target": 0.03}, {"leverage": 3.0, "allow_short": True}])
@pytest.mark.parametrize("variation", [Variation(noise_std=0.02, seed=1), Variation("bootstrap", block=5, seed=1)])
def test_paths_run_together_come_out_as_each_alone(
    lab: Lab, walk: Walk, variation: Variation, account: dict[str, Any]
) -> None:
    setup = {**BARE, **account}
    how: dict[str, Any] = {
        "method": variation.method,
        "noise_std": variation.noise_std,
        "block": variation.block,
        "seed": 1,
    }
    made = monte_carlo(walk(300), "macd", simulations=40, lab=lab, **setup, **how)
    walker = paths_of(lab, walk(300), variation)
    for path in (0, 31, 32, 39):
        metrics = backtest(walker.candles(path), "macd", lab=lab, **{**setup, "asset": None}).metrics
        assert made.results[path].tolist() == [metrics.final_value, metrics.max_drawdown, metrics.total_trades]


def test_a_path_is_a_backtest_of_its_bars(lab: Lab, walk: Walk) -> None:
    for account in ({"stop": 0.0, "target": 0.0}, {"stop": "atr"}):
        setup = {**BARE, **account}
        made = monte_carlo(walk(300), "sma_cross", simulations=3, seed=1, noise_std=0.02, lab=lab, **setup)
        walker = paths_of(lab, walk(300), Variation(noise_std=0.02, seed=1))
        for path in range(3):
            bars = walker.candles(path)
            metrics = backtest(bars, "sma_cross", lab=lab, **{**setup, "asset": None}).metrics
            assert made.results[path].tolist() == [metrics.final_value, metrics.max_drawdown, metrics.total_trades]


def test_without_noise_every_path_is_what_happened(lab: Lab, walk: Walk) -> None:
    for account in (BARE, {"asset": "BTCUSD"}):
        made = monte_carlo(walk(300), "sma_cross", simulations=3, noise_std=0.0, lab=lab, **account)
        assert set(made.final_values.tolist()) == {made.base.metrics.final_value}


def test_percentiles_spread_with_the_noise(lab: Lab, walk: Walk) -> None:
    spreads = []
    for noise in (0.0005, 0.005, 0.05):
        made = monte_carlo(walk(500), "sma_cross", simulations=200, noise_std=noise, lab=lab, **BARE)
        spreads.append(made.percentiles["p95"] - made.percentiles["p5"])
    assert 0 < spreads[0] < spreads[1] < spreads[2]


def test_the_summary_is_what_its_words_say(lab: Lab, walk: Walk) -> None:
    made = monte_carlo(walk(500), "sma_cross", simulations=101, noise_std=0.02, initial_balance=5000.0, lab=lab, **BARE)
    data, values = made.data(), np.sort(made.final_values)
    # Of 101 sorted values the percentiles are values themselves.
    assert [data["percentiles"][name] for name in ("p5", "p25", "p50", "p75", "p95")] == values[
        [5, 25, 50, 75, 95]
    ].tolist()
    assert data["var_95"] == 5000.0 - values[5]
    assert data["expected_return"] == pytest.approx(stats.tmean(values) - 5000.0)
    assert data["std"] == pytest.approx(stats.tstd(values))
    assert (data["worst"], data["best"]) == (values[0], values[-1])
    assert data["loss_probability"] == sum(value < 5000.0 for value in values) / 101
    assert data["base_final_balance"] == made.base.metrics.final_value != 5000.0


def test_shuffling_trades_changes_the_way_and_not_the_end(lab: Lab, walk: Walk) -> None:
    made = monte_carlo(walk(1500), "sma_cross", simulations=200, method="shuffle", lab=lab, **BARE)
    assert set(made.final_values.tolist()) == {made.base.metrics.final_value}
    assert made.drawdowns.min() < made.drawdowns.max()
    pnl = made.base.trades.pnl
    worth = 10_000 + np.cumsum(pnl)
    growth = worth / np.append(10_000, worth[:-1])
    # The worst order has all losses one after the other, and no order is deeper than that.
    assert made.drawdowns.max() <= 1 - np.prod(growth[growth < 1]) + 1e-12


def test_variations_that_make_no_sense_are_refused(lab: Lab, walk: Walk) -> None:
    for given_, said in (
        ({"method": "magic"}, "method 'magic'"), ({"noise_std": -1.0}, "noise"), ({"block": 0.0}, "block"),
        ({"simulations": 0}, "0 simulations"), ({"seed": -1}, "seed"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            monte_carlo(walk(50), "sma_cross", lab=lab, **{**BARE, **given_})
