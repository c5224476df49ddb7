"""How the time of a backtest grows with its bars, and what a call costs however few there are:

    python benchmarks/lab/growth.py [--rounds N]

SMA(10/30) with all of the cash in, warm, from a DataFrame to trades, equity and statistics.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import series
from peers import Goal, Side, alternate, faster, judge, show

FEW, SHORT, LONG = 60, 100_000, 1_000_000


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=31)
    rounds = asked.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, Side("ffe") as ffe:
        paths = {
            f"{rows:,} bars": series.write(Path(folder) / f"{rows}.npz", series.seeded(rows))
            for rows in (FEW, SHORT, LONG)
        }
        turns = {name: lambda path=path: ffe.run("cross", path=path) for name, path in paths.items()}
        alternate(turns, 2)
        taken = alternate(turns, rounds)
    show("SMA(10/30)", taken)
    few, short, long = taken.values()
    return judge(
        Goal("1,000,000 bars / 100,000 bars", faster(short, long), most=13),
        Goal("the same by CPU", faster(short, long, "cpu"), most=13),
        Goal("ms of a call on 60 bars", few["wall"] * 1e3, most=5),
        Goal("the same by CPU", few["cpu"] * 1e3, most=5),
    )


if __name__ == "__main__":
    sys.exit(main())
