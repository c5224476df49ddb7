"""The standard indicators against TA-Lib and pandas-ta, all in one run: ``python benchmarks/indicators.py``.

Each peer computes the same thirteen columns for six timeframes. Rounds of the peers alternate, so that a busy machine
slows all alike; printed are medians with their ratios, and the least of each, which tells what other work cost.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import talib
from numpy.typing import NDArray

from ffe_core.analysis import indicators

FRAMES = 6
#: the interpreted form is for single commands: it would take half a minute for long series
PLAIN_UP_TO = 10_000
type Column = NDArray[np.float64]


class Bars(NamedTuple):
    open: Column
    high: Column
    low: Column
    close: Column


def make_bars(rows: int, seed: int) -> Bars:
    chance = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(chance.normal(0.0, 0.001, rows)))
    opened = np.concatenate([close[:1], close[:-1]])
    reach = 1.0 + np.abs(chance.normal(0.0, 0.001, rows))
    return Bars(opened, np.maximum(opened, close) * reach, np.minimum(opened, close) / reach, close)


def by_talib(bars: Bars) -> tuple[Any, ...]:
    _, high, low, close = bars
    return (
        talib.RSI(close, 14),
        *talib.MACD(close, 12, 26, 9),
        *talib.BBANDS(close, 20, 2, 2),  # its middle band is the 20-bar mean
        talib.ADX(high, low, close, 14),
        talib.PLUS_DI(high, low, close, 14),
        talib.MINUS_DI(high, low, close, 14),
        talib.ATR(high, low, close, 14),
        talib.SMA(close, 50),
        talib.EMA(close, 20),
    )


def by_pandas_ta(library: Any, table: Any) -> tuple[Any, ...]:
    return (
        library.rsi(table.close, 14, talib=False),
        library.macd(table.close, 12, 26, 9, talib=False),
        library.bbands(table.close, 20, 2.0, talib=False),
        library.adx(table.high, table.low, table.close, 14, talib=False),
        library.atr(table.high, table.low, table.close, 14, talib=False),
        library.sma(table.close, 50, talib=False),
        library.ema(table.close, 20, talib=False),
    )


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def each(inputs: Iterable[Any], work: Callable[[Any], object]) -> None:
    for one in inputs:
        work(one)


def compare(rows: int, rounds: int, slow_rounds: int) -> bool:
    """Whether both goals are met."""
    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas_ta

    frames = [make_bars(rows, seed) for seed in range(FRAMES)]
    tables = [pd.DataFrame(bars._asdict()) for bars in frames]
    # A frame's columns are dropped before the next frame, as a pulse does, so that no peer measures fresh memory only.
    peers: dict[str, Callable[[], object]] = {
        "ffe compiled": lambda: each(frames, lambda bars: indicators.standard_set(bars, compiled=True)),
        "TA-Lib": lambda: each(frames, by_talib),
        "ffe plain": lambda: each(frames, indicators.standard_set),
        "pandas-ta (talib=False)": lambda: each(tables, lambda table: by_pandas_ta(pandas_ta, table)),
    }
    slow = ("ffe plain", "pandas-ta (talib=False)")
    if rows > PLAIN_UP_TO:
        del peers["ffe plain"]
    taken: dict[str, list[float]] = {name: [] for name in peers}
    for turn in range(rounds + 1):
        for name, work in peers.items():
            if name in slow and turn > slow_rounds:
                continue
            spent = seconds(work)
            if turn:  # the first turn warms caches up
                taken[name].append(spent)
    medians = {name: statistics.median(values) for name, values in taken.items()}
    ours = medians["ffe compiled"]
    print(f"\n{FRAMES} x {rows:,} bars")
    for name, value in medians.items():
        print(
            f"  {name:25} {value * 1e3:10.3f} ms   {value / ours:8.2f} x ffe compiled   "
            f"least {min(taken[name]) * 1e3:10.3f} ms"
        )
    beside_talib = ours / medians["TA-Lib"]
    beside_pandas_ta = medians["pandas-ta (talib=False)"] / ours
    print(f"  ffe compiled / TA-Lib     {beside_talib:10.2f}      (at most 1.5)")
    print(f"  pandas-ta / ffe compiled  {beside_pandas_ta:10.1f}      (at least 50)")
    return beside_talib <= 1.5 and beside_pandas_ta >= 50.0


def one_new_bar(updates: int) -> bool:
    """Whether the compiled step, which long-lived processes use, is fast enough."""
    bars = make_bars(updates, 7)
    rows = list(zip(*(column.tolist() for column in bars), strict=True))
    print(f"\none new bar of one timeframe, the whole set (at most 10 us), {updates:,} updates")
    for compiled in (False, True):
        state = indicators.StandardState(compiled=compiled)
        taken = []
        for row in rows:
            begun = time.perf_counter()
            state.update(*row)
            taken.append(time.perf_counter() - begun)
        median = statistics.median(taken[100:])
        print(f"  {'compiled' if compiled else 'plain':10} {median * 1e6:6.2f} us")
    return median <= 10e-6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=31, help="rounds of the fast peers; the slow ones run 3")
    rounds = parser.parse_args().rounds
    print(f"numpy {np.__version__}, TA-Lib {talib.__version__}; warming up ...")
    indicators.warm_up()
    met = [compare(500, rounds * 3, 20), compare(100_000, rounds, 3), one_new_bar(5000)]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
