"""backtesting.py as a side of the comparisons: its own example of a crossing, in fractional units.

It knows the cost of a spread at entries only, so that exits are at the open as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

os.environ["TQDM_DISABLE"] = "1"

import backtesting
import numpy as np
import pandas as pd
import series
from backtesting import Strategy
from backtesting.lib import FractionalBacktest, crossover
from serve import Job, serve


@cache
def frame(path: str) -> pd.DataFrame:
    columns = series.read(path)
    index = pd.DatetimeIndex(columns.pop("time").astype("datetime64[ms]"))
    return pd.DataFrame({name.title(): values for name, values in columns.items()}, index=index)


def load(path: str) -> int:
    return len(frame(path))


def mean(values: Any, length: int) -> Any:
    return pd.Series(values).rolling(length).mean()


class Cross(Strategy):  # type: ignore[misc]
    fast = 10
    slow = 30

    def init(self) -> None:
        self.quick = self.I(mean, self.data.Close, self.fast)
        self.steady = self.I(mean, self.data.Close, self.slow)

    def next(self) -> None:
        if crossover(self.quick, self.steady):
            self.buy()
        elif crossover(self.steady, self.quick):
            self.position.close()


def cross(path: str, fast: int = 10, slow: int = 30) -> Any:
    return tested(frame(path), fast, slow)


def tested(bars: pd.DataFrame, fast: int, slow: int) -> Any:
    test = FractionalBacktest(bars, Cross, cash=10_000.0, commission=0.001, spread=0.0001, finalize_trades=True)
    return test.run(fast=fast, slow=slow)


def told(result: Any) -> Mapping[str, Any]:
    return {"count": len(result["_trades"]), "final": float(result["Equity Final [$]"])}


def rows(result: Any) -> Mapping[str, Any]:
    trades = result["_trades"]
    names = {"entry": "EntryBar", "exit": "ExitBar", "paid": "EntryPrice", "got": "ExitPrice"}
    return {name: trades[column].tolist() for name, column in names.items()}


def noisy(path: str, paths: int, noise: float, seed: int) -> Any:
    bars = frame(path)
    chance = np.random.default_rng(seed)
    finals = []
    for _ in range(paths):
        factors = 1.0 + noise * chance.standard_normal(len(bars))
        moved = bars[["Open", "High", "Low", "Close"]].mul(factors, axis=0).assign(Volume=bars["Volume"])
        finals.append(tested(moved, 10, 30)["Equity Final [$]"])
    return np.array(finals)


def sweep(path: str, pairs: Sequence[tuple[int, int]]) -> Any:
    return np.array([tested(frame(path), *pair)["Equity Final [$]"] for pair in pairs])


def ends(result: Any) -> Mapping[str, Any]:
    return {"finals": result.tolist()}


if __name__ == "__main__":
    serve(
        {
            "load": Job(load, lambda bars: {"bars": bars, "version": backtesting.__version__}),
            "cross": Job(cross, told),
            "cross trades": Job(cross, rows),
            "noisy": Job(noisy, ends),
            "sweep": Job(sweep, ends),
        }
    )
