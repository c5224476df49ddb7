"""Monte Carlo of 10,000 paths of 1,500 bars, beside vectorbt, backtesting.py and a bare loop:

    python benchmarks/lab/monte_carlo.py [--rounds N]

Each path moves every bar by a factor of its own, 1 + a normal draw x 0.001, drawn by each side; SMA(10/30), 0.1 % fee,
0.01 % slippage, all of the cash in, no stop. The final values of all sides must have the same middle; ffe also finds
drawdowns and numbers of trades. vectorbt holds as many paths as columns at a time as suits it best of three sizes.
backtesting.py runs thirty paths; its time is taken as often as that goes into 10,000.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import series
from peers import Goal, Side, alternate, faster, judge, require, show

PATHS, BARS, SAMPLED = 10_000, 1500, 30
NOISE = {"noise": 0.001, "seed": 1}
COLUMNS = (100, 500, 2000)


def best_columns(vectorbt: Side, path: str) -> int:
    """How many paths at a time suit vectorbt best, found on 2,000 of them."""
    took = {each: vectorbt.run("noisy", path=path, paths=2000, columns=each, **NOISE)["wall"] for each in COLUMNS}
    return min(took, key=lambda each: took[each])


def growth(path: str, paths: int) -> float:
    """Megabytes that a run adds to a fresh process which has run a few paths."""
    with Side("ffe") as side:
        side.run("noisy", path=path, paths=1000, **NOISE)
        return float(side.run("noisy", path=path, paths=paths, **NOISE)["growth"] / 1e6)


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=7)
    rounds = asked.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = series.write(Path(folder) / "bars.npz", series.seeded(BARS, 3, series.HOUR_MS))
        ffe, vectorbt, backtesting, bare = (
            stack.enter_context(Side(name)) for name in ("ffe", "vectorbt", "backtesting", "bare")
        )
        columns = best_columns(vectorbt, path)
        turns = {
            "ffe": lambda: ffe.run("noisy", path=path, paths=PATHS, **NOISE),
            "vectorbt": lambda: vectorbt.run("noisy", path=path, paths=PATHS, columns=columns, **NOISE),
            "backtesting": lambda: backtesting.run("noisy", path=path, paths=SAMPLED, **NOISE),
            "bare": lambda: bare.run("noisy", path=path, paths=PATHS, **NOISE),
        }
        found = {name: turns[name]()["finals"] for name in ("ffe", "vectorbt", "bare")}
        for name, finals in found.items():
            apart = abs(np.median(finals) / np.median(found["ffe"]) - 1)
            require(apart < 0.005, f"the middle of {name}'s final values lies {apart:.1%} off")
        one = ffe.run("noisy", path=path, paths=PATHS, workers=1, **NOISE)["finals"]
        two = ffe.run("noisy", path=path, paths=PATHS, workers=2, **NOISE)["finals"]
        require(one == two == found["ffe"], "another number of workers has other final values")
        taken = alternate(turns, rounds, {"vectorbt": 1 + rounds // 2, "backtesting": 1 + rounds // 4})
        grown = growth(path, 2000), growth(path, PATHS)
    many, sampled = PATHS / SAMPLED, taken.pop("backtesting")
    name = f"backtesting.py, {SAMPLED} paths times {many:.0f}"
    taken[name] = {**sampled, "wall": sampled["wall"] * many, "cpu": sampled["cpu"] * many}
    show(f"{PATHS:,} paths of {BARS:,} bars; vectorbt {columns} paths at a time", taken)
    print(
        f"  ffe: the same final values from threads, one worker and two; memory +{grown[0]:.1f} and +{grown[1]:.1f} MB"
    )
    ours = taken["ffe"]
    return judge(
        Goal("times vectorbt", faster(ours, taken["vectorbt"]), least=5),
        Goal("times backtesting.py", faster(ours, taken[name]), least=300),
        Goal("ffe / the bare loop", 1 / faster(ours, taken["bare"]), most=1.5),
        Goal("the same by CPU: times vectorbt", faster(ours, taken["vectorbt"], "cpu"), least=5),
        Goal("the same by CPU: times backtesting.py", faster(ours, taken[name], "cpu"), least=300),
        Goal("the same by CPU: ffe / the bare loop", 1 / faster(ours, taken["bare"], "cpu"), most=1.5),
        Goal("MB more of memory for 10,000 paths than for 2,000", grown[1] - grown[0], most=2),
    )


if __name__ == "__main__":
    sys.exit(main())
