"""ffe's lab as a side of the comparisons: as its documentation shows it, a DataFrame in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
import pandas as pd
import series
from ffe_lab.backtest import backtest
from ffe_lab.costs import Costs
from ffe_lab.montecarlo import monte_carlo
from ffe_lab.portfolio import portfolio
from ffe_lab.shared_run import Sharing
from ffe_lab.sweep import sweep as sweep_of
from serve import Job, serve

from ffe_core import Briefing, Opinion, Series, Signals
from ffe_core.builtin.executors import Processes

COSTS = Costs(fee=0.001, slippage=0.0001)
#: nothing but the rule decides, as in the peers
BARE: dict[str, Any] = {
    "asset": "BTCUSD",
    "costs": COSTS,
    "sizing": "all_in",
    "gate": False,
    "stop": 0.0,
    "target": 0.0,
}


@dataclass(frozen=True)
class RsiMacd:
    """A user's own rule: MACD crosses its signal line on the side of the middle on which Wilder's RSI is."""

    name: str = "rsi_macd"
    model: str = "rule:rsi-macd"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        raise NotImplementedError("asked for whole series only")

    def with_params(self, **params: float | int | str) -> Self:
        return self

    def ask_all(self, series: Series) -> Signals:
        gap, rsi = series.indicator("macd_histogram"), series.indicator("rsi")
        above, below = gap > 0, gap < 0
        rose, fell = above[1:] & below[:-1] & (rsi[1:] > 50), below[1:] & above[:-1] & (rsi[1:] < 50)
        action = np.zeros(len(gap), np.int8)
        action[1:] = rose.view(np.int8) - fell.view(np.int8)
        return Signals(action, np.full(len(gap), 75, np.int8))


#: assets of a portfolio
NAMES = [f"{name}USD" for name in "BTC ETH SOL ADA XRP LTC BCH ETC DOT UNI XLM TRX EOS NEO BNB ZEC".split()]


@cache
def frame(path: str) -> pd.DataFrame:
    columns = series.read(path)
    index = pd.DatetimeIndex(columns.pop("time").astype("datetime64[ms]"), tz="UTC")
    return pd.DataFrame(columns, index=index)


def load(path: str) -> int:
    return len(frame(path))


def cross(path: str, fast: int = 10, slow: int = 30) -> Any:
    return backtest(frame(path), "sma_cross", params={"fast": fast, "slow": slow}, compiled=True, **BARE)


def rsi_macd(path: str) -> Any:
    return backtest(frame(path), RsiMacd(), compiled=True, **BARE)


def together(paths: Sequence[str], gate: bool) -> Any:
    """As many assets with one account, to the end whatever it loses; with the gate on rules judge all that it holds."""
    frames = {name: frame(path) for name, path in zip(NAMES, paths, strict=False)}
    return portfolio(frames, "sma_cross", compiled=True, gate=gate, sharing=Sharing(stop=0.0))


def default(path: str, **settings: Any) -> Any:
    """What settings are when nobody set any, or some of them otherwise."""
    return backtest(frame(path), "sma_cross", asset="BTCUSD", **settings)


def sweep(path: str, fast: Sequence[int], slow: Sequence[int]) -> Any:
    return sweep_of(frame(path), "sma_cross", {"fast": fast, "slow": slow}, **BARE)


def noisy(path: str, paths: int, noise: float, seed: int, workers: int = 0) -> Any:
    """By threads of this process, or by as many worker processes."""
    with Processes(workers) if workers else nullcontext() as executor:
        return monte_carlo(
            frame(path), "sma_cross", simulations=paths, noise_std=noise, seed=seed, executor=executor, **BARE
        )


def told(result: Any) -> Mapping[str, Any]:
    return {"count": len(result.trades), "final": result.metrics.final_value}


def rows(result: Any) -> Mapping[str, Any]:
    trades = result.trades
    names = {"entry": "entry", "exit": "exit", "paid": "entry_price", "got": "exit_price"}
    return {name: getattr(trades, column).tolist() for name, column in names.items()}


def swept(result: Any) -> Mapping[str, Any]:
    return {"finals": result.final_value.tolist(), "count": int(result.total_trades.sum())}


def ends(result: Any) -> Mapping[str, Any]:
    return {"finals": result.final_values.tolist()}


if __name__ == "__main__":
    serve(
        {
            "load": Job(load, lambda bars: {"bars": bars}),
            "cross": Job(cross, told),
            "cross trades": Job(cross, rows),
            "rsi_macd": Job(rsi_macd, told),
            "rsi_macd trades": Job(rsi_macd, rows),
            "default": Job(default, told),
            "together": Job(together, told),
            "sweep": Job(sweep, swept),
            "noisy": Job(noisy, ends),
        }
    )
