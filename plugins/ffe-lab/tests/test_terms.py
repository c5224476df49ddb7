"""The keyword arguments that all experiments take alike."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from ffe_lab import backtest, monte_carlo, optimize, sweep, walk_forward
from ffe_lab.lab import Lab
from ffe_lab.terms import Account, Terms

EXPERIMENTS: dict[str, Callable[..., Any]] = {
    "backtest": backtest,
    "monte_carlo": monte_carlo,
    "optimize": optimize,
    "sweep": lambda bars, rule, **terms: sweep(bars, rule, {"fast": [5]}, **terms),
    "walk_forward": walk_forward,
}


def test_the_account_is_what_the_bench_makes_of_settings() -> None:
    assert set(Account.__annotations__) == set(inspect.signature(Lab.setup).parameters) - {"self"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_keyword_that_there_is_not_is_named_with_the_nearest_one(
    name: str, lab: Lab, walk: Callable[..., pd.DataFrame]
) -> None:
    with pytest.raises(TypeError, match=r"no keyword 'targt'; did you mean target\?"):
        EXPERIMENTS[name](walk(60), "sma_cross", asset="BTCUSD", targt=0.05, lab=lab)
    with pytest.raises(TypeError, match=r"no keyword 'fees'; there are .*costs, end, gate"):
        EXPERIMENTS[name](walk(60), "sma_cross", fees=0.001, lab=lab)


def test_every_term_has_its_meaning_written_beside_it() -> None:
    told = "".join(inspect.getdoc(kind) or "" for kind in Terms.__orig_bases__)
    assert all(f"``{name}``" in told for name in Terms.__annotations__)


def test_every_experiment_takes_them_all(lab: Lab, walk: Callable[..., pd.DataFrame]) -> None:
    """One stands for all: they go through the same door."""
    bars = walk(400)
    made = backtest(
        bars, "sma_cross", asset="ETHUSD", timeframe="1h", start=bars.index[100].to_pydatetime(),
        end=bars.index[350].to_pydatetime(), sizing="fixed_fraction", gate=False, stop=0.03, target=0.0,
        initial_balance=500.0, allow_short=True, leverage=2.0, seed=9, lab=lab,
    )  # fmt: skip
    setup = made.setup
    assert (made.market.first, len(made.equity), made.market.asset.symbol) == (100, 250, "ETHUSD")
    assert (float(setup.exits.fallback), float(setup.exits.target), setup.initial_balance) == (0.03, 0.0, 500.0)
    assert (setup.sizing.method, setup.gate, setup.sizing.allow_short) == ("fixed_fraction", False, True)
    assert (setup.leverage, setup.seed) == (2.0, 9)
