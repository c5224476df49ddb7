"""How the time of a backtest grows with its bars and its assets, and what a call costs however few there are:

    python benchmarks/lab/growth.py [--rounds N]

SMA(10/30) with all of the cash in, warm, from a DataFrame to trades, equity and statistics; then a portfolio of 2 and
of 16 assets with 20,000 bars each, with the gate off and on. Memory is what the first such call adds to a process that
has made a short one.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import series
from peers import Goal, Side, alternate, faster, judge, show

FEW, SHORT, LONG = 60, 100_000, 1_000_000
BARS, ASSETS = 20_000, (2, 16)


def memory_of(paths: list[str], short: str) -> float:
    """Bytes that a portfolio of these assets adds to a fresh process that has run a short one."""
    with Side("ffe") as side:
        side.run("together", paths=[short, short], gate=False)
        for path in paths:
            side.run("load", path=path)
        return float(side.run("together", paths=paths, gate=False)["growth"])


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
        assets = [
            series.write(Path(folder) / f"asset{at}.npz", series.seeded(BARS, 5 + at, series.HOUR_MS))
            for at in range(max(ASSETS))
        ]
        groups = {
            f"{count} assets, gate {'on' if gate else 'off'}": lambda count=count, gate=gate: ffe.run(
                "together", paths=assets[:count], gate=gate
            )
            for gate in (False, True)
            for count in ASSETS
        }
        alternate(groups, 2)
        shared = alternate(groups, rounds // 3)
        short_path = paths[f"{FEW:,} bars"]
        grown = [memory_of(assets[:count], short_path) for count in ASSETS]
    show("SMA(10/30)", taken)
    show(f"a portfolio, {BARS:,} bars of each asset", shared)
    few, short, long = taken.values()
    pair, many, judged_pair, judged_many = shared.values()
    times = ASSETS[1] / ASSETS[0]
    judged = faster(judged_pair, judged_many, "cpu") / times
    print(f"  with the gate on, where rules compare all that is held: an asset of 16 / an asset of 2 {judged:14.3g}")
    return judge(
        Goal("1,000,000 bars / 100,000 bars", faster(short, long), most=13),
        Goal("the same by CPU", faster(short, long, "cpu"), most=13),
        Goal("ms of a call on 60 bars", few["wall"] * 1e3, most=5),
        Goal("the same by CPU", few["cpu"] * 1e3, most=5),
        Goal("an asset of 16 / an asset of 2, by CPU", faster(pair, many, "cpu") / times, most=1.3),
        Goal("memory of an asset of 16 / of an asset of 2", grown[1] / grown[0] / times, most=1.3),
    )


if __name__ == "__main__":
    sys.exit(main())
