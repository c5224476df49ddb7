"""A thousand parameter pairs of SMA crossing over 35,058 hourly bars, beside vectorbt, backtesting.py and a bare loop:

    python benchmarks/lab/sweep.py [--rounds N]

0.1 % fee, 0.01 % slippage, all of the cash in, no stop. ffe and vectorbt find for each pair the final value, Sharpe
ratio, drawdown and trades; the bare loop, one thread of it, the final value alone. vectorbt holds as many pairs as
columns at a time as suits it best of three sizes. backtesting.py runs ten of the pairs; its time is taken times a
hundred. All must have found the same final values.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import numpy as np
import series
from peers import Answer, Goal, Side, alternate, faster, judge, require, show

FAST, SLOW = list(range(5, 30)), list(range(30, 110, 2))
PAIRS = list(product(FAST, SLOW))
SAMPLED = PAIRS[7::100]
COLUMNS = (25, 50, 250)


def same(ours: Answer, theirs: Answer, name: str) -> None:
    mine, other = np.array(ours["finals"]), np.array(theirs["finals"])
    off = np.abs(mine / other - 1) > 1e-9
    require(mine.shape == other.shape and not off.any(), f"{np.count_nonzero(off)} final values of {name} differ")


def best_columns(vectorbt: Side, path: str) -> int:
    """How many pairs at a time suit vectorbt best, found on the first 250 of them."""
    took = {each: vectorbt.run("sweep", path=path, pairs=PAIRS[:250], columns=each)["wall"] for each in COLUMNS}
    return min(took, key=lambda each: took[each])


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5)
    rounds = asked.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        # Seeded and without gaps: an entry that meets a closed market is no entry for ffe, and is one for the peers.
        path = series.write(Path(folder) / "hourly.npz", series.seeded(series.HOURLY_BARS, 3, series.HOUR_MS))
        ffe, vectorbt, backtesting, bare = (
            stack.enter_context(Side(name)) for name in ("ffe", "vectorbt", "backtesting", "bare")
        )
        columns = best_columns(vectorbt, path)
        turns = {
            "ffe": lambda: ffe.run("sweep", path=path, fast=FAST, slow=SLOW),
            "vectorbt": lambda: vectorbt.run("sweep", path=path, pairs=PAIRS, columns=columns),
            "backtesting": lambda: backtesting.run("sweep", path=path, pairs=SAMPLED),
            "bare": lambda: bare.run("sweep", path=path, pairs=PAIRS),
        }
        found = {name: turns[name]() for name in ("ffe", "vectorbt", "bare")}
        for name in ("vectorbt", "bare"):
            same(found["ffe"], found[name], name)
        taken = alternate(turns, rounds, {"vectorbt": 1 + rounds // 2, "backtesting": 1 + rounds // 4})
    many = len(PAIRS) / len(SAMPLED)
    sampled = taken.pop("backtesting")
    taken["backtesting.py, ten pairs times a hundred"] = times = {
        **sampled, "wall": sampled["wall"] * many, "cpu": sampled["cpu"] * many
    }  # fmt: skip
    show(f"{len(PAIRS):,} pairs, the same final values; vectorbt {columns} pairs at a time", taken)
    return judge(
        Goal("times vectorbt", faster(taken["ffe"], taken["vectorbt"]), least=20),
        Goal("times backtesting.py", faster(taken["ffe"], times), least=1000),
        Goal("the same by CPU: times vectorbt", faster(taken["ffe"], taken["vectorbt"], "cpu"), least=20),
        Goal("the same by CPU: times backtesting.py", faster(taken["ffe"], times, "cpu"), least=1000),
    )


if __name__ == "__main__":
    sys.exit(main())
