"""How fast a backtest of a model is when everything that it said is on tape, and whether anybody is asked again:

    python benchmarks/lab/replay.py [--hours N] [--rounds N]

A model that answers at once is asked at every close of some months of hourly bars, and what it said goes into a
cassette. The same backtest then runs from that tape alone, each round in a fresh bench that knows nothing yet, as a
process that starts does. What is timed is the whole backtest, from candles to trades, equity and statistics.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import series
from ffe_lab.backtest import Backtest, run
from ffe_lab.lab import Lab
from ffe_lab.market import candles_of, longer
from ffe_lab.standin import BTC, Bars, Counting, bench, taped
from peers import Goal, judge, machine, require

from ffe_core import Timeframe, from_ms
from ffe_core.ai.cassette import Tape

#: hours that the bars go back before the first question: what daily indicators warm up on
HISTORY = 2_400


def bars_of(hours: int) -> tuple[str, Bars]:
    told, columns = series.hourly()
    columns = {name: column[: HISTORY + hours] for name, column in columns.items()}
    index = pd.DatetimeIndex(columns.pop("time").astype("datetime64[ms]"), tz="UTC")
    hourly = candles_of(pd.DataFrame(columns, index=index), asset=BTC, source="held")
    longer_ones = {frame: made for frame in (Timeframe.H4, Timeframe.D1) if (made := longer(hourly, frame))}
    return told, Bars("held", {Timeframe.H1: hourly, **longer_ones})


def backtest(lab: Lab, bars: Bars) -> Backtest:
    time_of = bars.frames[Timeframe.H1].time
    market = lab.market(BTC, start=from_ms(time_of[HISTORY]), end=from_ms(time_of[len(time_of) - 1]))
    return run(lab, market, "counting", lab.setup())


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--hours", type=int, default=4_380)
    asked.add_argument("--rounds", type=int, default=5)
    options = asked.parse_args()
    told, bars = bars_of(options.hours)
    model, took = Counting(), []
    with tempfile.TemporaryDirectory() as folder:
        lab, tape = bench(Path(folder) / "home", bars, model), Path(folder) / "tape"
        began = time.perf_counter()
        first = backtest(taped(lab, Tape.AUTO, tape), bars)
        recording = time.perf_counter() - began
        questions = len(model.asked)
        for _ in range(options.rounds):
            again = taped(lab, Tape.REPLAY, tape)
            began = time.perf_counter()
            made = backtest(again, bars)
            took.append(time.perf_counter() - began)
            require(made.equity.tobytes() == first.equity.tobytes(), "the replayed account is another one")
        require(len(model.asked) == questions, f"{len(model.asked) - questions} questions were asked again")
    print(f"{questions:,} decisions on {told}\n  {machine()}")
    print(f"  asked and recorded   {recording:8.2f} s   {questions / recording:10,.0f} a second")
    replayed = statistics.median(took)
    print(f"  replayed             {replayed:8.2f} s   {questions / replayed:10,.0f} a second, nobody asked")
    return judge(Goal("replayed decisions a second", questions / replayed, least=2000))


if __name__ == "__main__":
    sys.exit(main())
