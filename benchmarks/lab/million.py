"""One backtest of a million one-minute bars, beside vectorbt, backtesting.py and a bare numba loop:

    python benchmarks/lab/million.py [--rounds N] [--bars N]

SMA(10/30), 0.1 % fee, 0.01 % slippage, all of the cash in, no stop, long only, filled at the next bar's open; a
DataFrame goes in, trades, equity and statistics come out (of the bare loop no statistics). Every side is warm. First
all of them must have made the same trades. Memory is what the first call on the long series adds to a process that
has run a short one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import series
from peers import Answer, Goal, Side, alternate, faster, judge, require, show

SLIPPAGE = 0.0001
#: bars until an exponential mean has forgotten whether it began with the first value or with a plain mean
FORGOTTEN = 2000


def same_trades(ours: Answer, theirs: Answer, name: str, *, spread_at_exit: bool = True, since: int = 0) -> None:
    """Bars and prices of all trades that were entered from ``since`` on and left by the rule."""
    mine, other = (np.array([[*answer[key]] for key in ("entry", "exit", "paid", "got")]) for answer in (ours, theirs))
    mine, other = (columns[:, columns[0] >= since] for columns in (mine, other))
    require(mine.shape == other.shape, f"{mine.shape[1]} trades of ffe, {other.shape[1]} of {name}")
    # What is still open in the end is marked at the last close by one and sold by another.
    mine, other = mine[:, :-1], other[:, :-1].copy()
    if not spread_at_exit:
        other[3] *= 1.0 - SLIPPAGE
    require(bool((mine[:2] == other[:2]).all()), f"bars of the trades of {name} differ")
    require(bool(np.allclose(mine[2:], other[2:], rtol=1e-9, atol=0.0)), f"prices of the trades of {name} differ")


def growth_of(name: str, short: str, long: str, job: str) -> float:
    """Bytes that the first long call adds to a fresh process that has run a short one."""
    with Side(name) as side:
        side.run(job, path=short)
        side.run("load", path=long)
        return float(side.run(job, path=long)["growth"])


def crossings(sides: dict[str, Side], short: str, long: str, rounds: int) -> int:
    trades = {name: side.run("cross trades", path=long) for name, side in sides.items()}
    for name, theirs in trades.items():
        same_trades(trades["ffe"], theirs, name, spread_at_exit=name != "backtesting")
    turns = {name: lambda side=side: side.run("cross", path=long) for name, side in sides.items()}
    taken: dict[str, Answer] = alternate(turns, rounds, {"backtesting": 1 + rounds // 8})
    grown = {name: growth_of(name, short, long, "cross") for name in ("ffe", "vectorbt")}
    show(f"SMA(10/30), {len(trades['ffe']['entry']):,} trades, the same of all", taken)
    print(f"  first call: ffe +{grown['ffe'] / 1e6:.1f} MB, vectorbt +{grown['vectorbt'] / 1e6:.1f} MB")
    ours = taken["ffe"]
    return judge(
        Goal("times vectorbt", faster(ours, taken["vectorbt"]), least=10),
        Goal("times backtesting.py", faster(ours, taken["backtesting"]), least=300),
        Goal("ffe / the bare loop", 1 / faster(ours, taken["bare"]), most=3),
        Goal("the same by CPU: times vectorbt", faster(ours, taken["vectorbt"], "cpu"), least=10),
        Goal("the same by CPU: times backtesting.py", faster(ours, taken["backtesting"], "cpu"), least=300),
        Goal("the same by CPU: ffe / the bare loop", 1 / faster(ours, taken["bare"], "cpu"), most=3),
        Goal("memory of ffe / of vectorbt", grown["ffe"] / grown["vectorbt"], most=0.25),
    )


def oscillators(sides: dict[str, Side], long: str, rounds: int) -> int:
    pair = {name: sides[name] for name in ("ffe", "vectorbt")}
    trades = {name: side.run("rsi_macd trades", path=long) for name, side in pair.items()}
    same_trades(trades["ffe"], trades["vectorbt"], "vectorbt", since=FORGOTTEN)
    turns: dict[str, Any] = {name: lambda side=side: side.run("rsi_macd", path=long) for name, side in pair.items()}
    taken = alternate(turns, rounds)
    show(f"RSI and MACD, {len(trades['ffe']['entry']):,} trades, the same of both from bar {FORGOTTEN:,} on", taken)
    return judge(
        Goal("times vectorbt", faster(taken["ffe"], taken["vectorbt"]), least=4),
        Goal("the same by CPU: times vectorbt", faster(taken["ffe"], taken["vectorbt"], "cpu"), least=4),
    )


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=15)
    asked.add_argument("--bars", type=int, default=1_000_000)
    options = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        short = series.write(Path(folder) / "short.npz", series.seeded(2500, 2))
        long = series.write(Path(folder) / "long.npz", series.seeded(options.bars))
        sides = {name: stack.enter_context(Side(name)) for name in ("ffe", "vectorbt", "backtesting", "bare")}
        for name, side in sides.items():
            side.run("cross", path=short)
            print(name, side.run("load", path=long).get("version", ""))
        missed = crossings(sides, short, long, options.rounds)
        return oscillators(sides, long, options.rounds) | missed


if __name__ == "__main__":
    sys.exit(main())
