"""What the default configuration costs: the gate, stops by ATR, sizes by risk, beside the same run without the gate.

    python benchmarks/lab/gate.py [--rounds N]

SMA(10/30) on 35,058 hourly bars in a warm process, in the interpreter and as machine code. With the gate on, sizing and
risk rules of the core judge every entry; off, the loop sizes by the same formulas. A third run trades all of the cash
without stops, as the peers do.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import series
from peers import Goal, Side, alternate, faster, judge, show

FORMS = {"plain": False, "compiled": True}
RUNS = {
    "default settings": {},
    "the gate off": {"gate": False},
    "all in, no stops, the gate off": {"gate": False, "sizing": "all_in", "stop": 0.0, "target": 0.0},
}


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=25)
    rounds = asked.parse_args().rounds
    told, bars = series.hourly()
    with tempfile.TemporaryDirectory() as folder, Side("ffe") as ffe:
        path = series.write(Path(folder) / "hourly.npz", bars)
        turns = {
            f"{form}: {name}": lambda given=given, compiled=compiled: ffe.run(
                "default", path=path, compiled=compiled, **given
            )
            for form, compiled in FORMS.items()
            for name, given in RUNS.items()
        }
        alternate(turns, 2)
        taken = alternate(turns, rounds)
    show(f"{len(bars['close']):,} {told}, " + ", ".join(f"{each['count']:g} trades" for each in taken.values()), taken)
    goals = []
    for form in FORMS:
        default, off, _ = (taken[f"{form}: {name}"] for name in RUNS)
        goals.append(Goal(f"{form}: default / the gate off", faster(off, default), most=3))
        goals.append(Goal(f"{form}: the same by CPU", faster(off, default, "cpu"), most=3))
    return judge(*goals)


if __name__ == "__main__":
    sys.exit(main())
