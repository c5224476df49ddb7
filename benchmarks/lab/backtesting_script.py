"""A whole script with backtesting.py: reads a CSV file, runs its example of a crossing, prints the statistics."""

from __future__ import annotations

import os
import sys

os.environ["TQDM_DISABLE"] = "1"

import pandas as pd
from backtesting import Strategy
from backtesting.lib import FractionalBacktest, crossover


class Cross(Strategy):  # type: ignore[misc]
    def init(self) -> None:
        close = pd.Series(self.data.Close)
        self.quick = self.I(lambda: close.rolling(10).mean())
        self.steady = self.I(lambda: close.rolling(30).mean())

    def next(self) -> None:
        if crossover(self.quick, self.steady):
            self.buy()
        elif crossover(self.steady, self.quick):
            self.position.close()


if __name__ == "__main__":
    bars = pd.read_csv(sys.argv[1], index_col=0, parse_dates=True).tz_localize(None).rename(columns=str.title)
    test = FractionalBacktest(bars, Cross, cash=10_000.0, commission=0.001, spread=0.0001, finalize_trades=True)
    print(test.run())
