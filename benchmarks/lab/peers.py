"""Environments of the peers, and the processes that run in them. To make the environments ahead of time:

    python benchmarks/lab/peers.py

A peer is installed from PyPI by name, in its newest release, under ``$FFE_BENCHMARKS`` or ``~/.cache/ffe-benchmarks``;
remove its folder there to have a newer one. ffe and the bare loops run in this environment, in processes of their own
like the peers.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("FFE_BENCHMARKS") or Path.home() / ".cache" / "ffe-benchmarks")
#: vectorbt with its engine in Rust, which it prefers to numba where it is installed: the faster of the two
REQUIRES = {"vectorbt": "vectorbt[rust]", "backtesting": "backtesting"}

type Answer = dict[str, Any]


class Side:
    """A process that does the jobs of ``NAME_side.py``, one at a time."""

    def __init__(self, name: str, **environment: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [str(python_of(name)), str(HERE / f"{name}_side.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def run(self, job: str, **arguments: Any) -> Answer:
        """What a job told, and what it took: ``wall`` and ``cpu`` seconds, ``growth`` of memory in bytes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps({"job": job, "with": arguments}), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        answer: Answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise SystemExit(f"{self.name}: {job}: {answer['error']}")
        return answer


def python_of(name: str) -> Path:
    """The interpreter of a side. A peer's environment is made where it is not there."""
    if name not in REQUIRES:
        return Path(sys.executable)
    home = CACHE / name
    python, stamp = home / "bin" / "python", home / "installed"
    wanted = f"{REQUIRES[name]} {platform.python_version()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {REQUIRES[name]} into {home} ...", file=sys.stderr)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", REQUIRES[name]], check=True
        )
        stamp.write_text(wanted)
    return python


def alternate(
    turns: Mapping[str, Callable[[], Answer]], rounds: int, seldom: Mapping[str, int] | None = None
) -> dict[str, Answer]:
    """Each turn once per round, those in ``seldom`` only in so many rounds: the medians of all numbers they answer."""
    answers: dict[str, list[Answer]] = {name: [] for name in turns}
    for number in range(rounds):
        for name, turn in turns.items():
            if number < (seldom or {}).get(name, rounds):
                answers[name].append(turn())
    return {name: _medians(given) for name, given in answers.items()}


def _medians(answers: list[Answer]) -> Answer:
    numbers = [name for name, value in answers[0].items() if isinstance(value, int | float)]
    return {**answers[-1], **{name: statistics.median(each[name] for each in answers) for name in numbers}}


class Goal(NamedTuple):
    """A ratio or a figure, and its bound: at least so much, or at most."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        return f"  {self.name:58} {self.value:10.3g}   ({bound}){'' if self.met else '   MISSED'}"


def show(title: str, taken: Mapping[str, Answer]) -> None:
    print(f"\n{title}\n  {machine()}")
    for name, answer in taken.items():
        print(
            f"  {name:44} {answer['wall'] * 1e3:12.2f} ms   CPU {answer['cpu'] * 1e3:12.2f} ms   "
            f"memory +{answer['growth'] / 1e6:8.1f} MB"
        )


def judge(*goals: Goal) -> int:
    """Prints them; 1 where one is missed."""
    for goal in goals:
        print(goal)
    return int(not all(goal.met for goal in goals))


def faster(ours: Answer, theirs: Answer, what: str = "wall") -> float:
    """How many times longer they took."""
    return float(theirs[what] / ours[what])


def require(held: bool, told: str) -> None:
    if not held:
        raise SystemExit(f"not the same work: {told}")


def machine() -> str:
    return (
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}"
    )


def main() -> None:
    for name in REQUIRES:
        print(f"{name}: {python_of(name)}")


if __name__ == "__main__":
    main()
