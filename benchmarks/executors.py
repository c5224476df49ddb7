"""What spreading chunks over workers costs beside the same work without an executor.

    python benchmarks/executors.py [--chunks N] [--milliseconds N] [--workers N] [--rounds N]

40 chunks of 100 ms of pure CPU on 2 workers. Each round runs them one after the other (``inline``), with ``processes``
and with ``dask`` whose workers are up, and split by hand over two bare interpreters that start together: what the
machine can do at best. The ideal is the inline time divided by the workers; where two busy cores are slower than one,
nobody reaches it, and the split by hand shows by how much.

Every executor's values must be those of ``inline``, bit for bit. Ends with 1 where they are not, or where the median
round of ``processes`` or ``dask`` takes more than 1.1 times the slower of the two. The first map, of two chunks, is
told apart: it starts the workers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import Chunk, Executor
from ffe_core.builtin.executors import Inline, Processes

GOAL = 1.10
HERE = Path(__file__).resolve().parent
TASK = "executors:climb"
BARE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import executors
shared = {"weights": executors.weights()}
print("ready", flush=True)
sys.stdin.readline()
for number in json.loads(sys.argv[2]):
    executors.climb({"number": number, "steps": int(sys.argv[3])}, shared)
print("done", flush=True)
"""


def weights() -> NDArray[np.float64]:
    """One MB, so that sharing is part of what is measured."""
    return np.random.Generator(np.random.Philox(key=1)).standard_normal(131_072)


def climb(arguments: Mapping[str, Any], shared: Mapping[str, NDArray[np.float64]]) -> float:
    """Plain Python arithmetic of ``steps`` steps, which no thread and no library takes off the core."""
    value, held = float(arguments["number"]), shared["weights"]
    for step in range(arguments["steps"]):
        value = (value * 1.000_000_1 + step) % 1_000_003.7
    return value + float(held[arguments["number"]])


def steps_of(milliseconds: float) -> int:
    """How many steps take so long here and now."""
    given, steps = {"weights": weights()}, 100_000
    took = min(seconds(lambda: climb({"number": 1, "steps": steps}, given)) for _ in range(5))
    return round(steps * milliseconds / 1000 / took)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def by_hand(chunks: int, steps: int, workers: int) -> float:
    """Of interpreters that are up and have imported everything, each with its share of the chunks."""
    shares = [list(range(first, chunks, workers)) for first in range(workers)]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen(
            [sys.executable, "-c", BARE, str(HERE), str(share), str(steps)], stdin=pipe, stdout=pipe, text=True
        )
        for share in shares
    ]
    for each in started:
        assert each.stdout is not None
        each.stdout.readline()
    began = time.perf_counter()
    for each in started:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in started:
        assert each.stdout is not None
        each.stdout.readline()
    took = time.perf_counter() - began
    for each in started:
        each.communicate()
    return took


class Trial:
    """An executor with its rounds; the first map, which starts the workers, is kept apart."""

    def __init__(self, executor: Executor, work: Sequence[Chunk]) -> None:
        self.executor = executor
        self.work = work
        self.rounds: list[float] = []
        self.values: list[Any] = []
        self.start = seconds(lambda: self._map(work[:2]))

    def run(self) -> None:
        self.rounds.append(seconds(lambda: self._map(self.work)))

    def _map(self, work: Sequence[Chunk]) -> None:
        results = list(self.executor.map(TASK, work, shared={"weights": weights()}))
        failed = [result.error for result in results if result.error]
        if failed:
            raise SystemExit(f"{self.executor.name}: {failed[0]}")
        self.values = [result.value.hex() for result in results]


def executors(workers: int) -> list[Executor]:
    made: list[Executor] = [Inline(), Processes(workers)]
    try:
        from ffe_dask.executor import DaskExecutor
    except ImportError:
        print("ffe-dask is not installed: without it")
    else:
        made.append(DaskExecutor(workers=workers))
    return made


def measure(options: argparse.Namespace) -> bool:
    sys.path.insert(0, str(HERE))
    os.environ["PYTHONPATH"] = str(HERE)
    steps = steps_of(options.milliseconds)
    work = [Chunk(number, {"number": number, "steps": steps}) for number in range(options.chunks)]
    trials = [Trial(executor, work) for executor in executors(options.workers)]
    bare = []
    try:
        for _ in range(options.rounds):
            bare.append(by_hand(options.chunks, steps, options.workers))
            for trial in trials:
                trial.run()
    finally:
        for trial in trials:
            trial.executor.close()
    return report(trials, statistics.median(bare), options.workers)


def report(trials: Sequence[Trial], bare: float, workers: int) -> bool:
    inline = statistics.median(trials[0].rounds)
    ideal = inline / workers
    print(f"{'inline':10} {inline:7.3f} s")
    print(f"{'ideal':10} {ideal:7.3f} s   inline / {workers}")
    print(f"{'by hand':10} {bare:7.3f} s   {bare / ideal:.3f} times the ideal")
    held = True
    for trial in trials[1:]:
        median = statistics.median(trial.rounds)
        same = trial.values == trials[0].values
        ratio = median / max(ideal, bare)
        held = held and same and ratio <= GOAL
        bits = "the same bits" if same else "OTHER BITS"
        print(f"{trial.executor.name:10} {median:7.3f} s   {median / ideal:.3f} times the ideal, {bits}")
        print(f"{'':20}   {median / bare:.3f} times by hand; first map of two chunks {trial.start:.2f} s")
    return held


def main() -> int:
    asked = argparse.ArgumentParser()
    asked.add_argument("--chunks", type=int, default=40)
    asked.add_argument("--milliseconds", type=float, default=100)
    asked.add_argument("--workers", type=int, default=2)
    asked.add_argument("--rounds", type=int, default=7)
    return 0 if measure(asked.parse_args()) else 1


if __name__ == "__main__":
    sys.exit(main())
