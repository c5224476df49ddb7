"""The store against plain sqlite3 at the same settings, all in one run: ``python benchmarks/store.py``.

Both sides write the same columns into the same tables with the same indices; JSON and hashes are made outside the
clock. Rounds alternate, so that a busy machine slows both alike; printed are medians and ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from ffe_core.domain.clock import iso
from ffe_core.domain.codec import plain
from ffe_core.store import Batch, Database, Store
from ffe_core.store.chain import verify
from ffe_core.store.rows import link
from ffe_core.store.tables import decisions
from ffe_core.testing.samples import make_briefing

START = datetime(2025, 1, 1, tzinfo=UTC)
PAIRS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD")
COLUMNS = [column.name for column in decisions.columns]
INSERT = f"INSERT INTO decisions ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
LIBRARIES = "import pydantic_settings, sqlmodel"


class Goal(NamedTuple):
    name: str
    ours: float
    theirs: float | None
    most: float

    @property
    def measured(self) -> float:
        return self.ours if self.theirs is None else self.ours / self.theirs


def records(first: int, count: int) -> Iterator[dict[str, Any]]:
    """Records with a whole briefing in them, each with an id and instant of its own."""
    briefing = plain(make_briefing())
    for number in range(first, first + count):
        at = iso(START + timedelta(minutes=number))
        yield {
            "schema": 1,
            "decision": {
                "id": str(UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128, version=4)),
                "created_at": at,
                "as_of": at,
                "asset_pair": PAIRS[number % len(PAIRS)],
                "action": "HOLD",
                "confidence": 60,
                "mode": "paper",
                "effect": "none",
                "signal_only": False,
                "vetoed": False,
                "market": {"synthetic": True},
            },
            "inputs": {"briefing": briefing},
        }


class Plain:
    """The same tables written by sqlite3 alone."""

    def __init__(self, path: Path) -> None:
        with Database.open(str(path)):
            pass
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA synchronous=FULL")

    def insert(self, rows: Sequence[tuple[Any, ...]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        if len(rows) == 1:
            self.connection.execute(INSERT, rows[0])
        else:
            self.connection.executemany(INSERT, rows)
        self.connection.execute("COMMIT")


def tuples(batch: Batch) -> list[tuple[Any, ...]]:
    return [tuple(_stored(row[name]) for name in COLUMNS) for row in batch.rows]


def _stored(value: Any) -> Any:
    return value.isoformat(timespec="microseconds")[:-6] + "Z" if isinstance(value, datetime) else value


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def bulk(store: Store, peer: Plain, total: int, rounds: int) -> tuple[float, float]:
    """Medians of seconds for ``total / rounds`` rows at once, while both stores grow to ``total``."""
    size = total // rounds
    ours: list[float] = []
    theirs: list[float] = []
    for number in range(rounds):
        batch = store.prepare(records(number * size, size))
        rows = tuples(batch)
        sides: list[tuple[list[float], Callable[[], object]]] = [
            (ours, lambda batch=batch: store.append_prepared(batch)),  # type: ignore[misc]
            (theirs, lambda rows=rows: peer.insert(rows)),  # type: ignore[misc]
        ]
        for took, work in sides if number % 2 else reversed(sides):
            took.append(timed(work))
    return statistics.median(ours), statistics.median(theirs)


def single(store: Store, peer: Plain, first: int, rounds: int) -> tuple[float, float]:
    """Medians of seconds for one durable insert."""
    seq, head = store.head()
    made = list(store.prepare(records(first, rounds)).rows)
    link(made, seq, head)
    ours: list[float] = []
    theirs: list[float] = []
    for row in made:
        batch = Batch((row,), row["seq"] - 1, row["previous_hash"])
        rows = tuples(batch)
        ours.append(timed(lambda batch=batch: store.append_prepared(batch)))  # type: ignore[misc]
        theirs.append(timed(lambda rows=rows: peer.insert(rows)))  # type: ignore[misc]
    return statistics.median(ours), statistics.median(theirs)


def latest(store: Store) -> float:
    """Milliseconds of the newest twenty, the slower of all assets and one."""
    return 1000 * max(
        statistics.median(timed(lambda asset=asset: store.latest(20, asset)) for _ in range(50))  # type: ignore[misc]
        for asset in (None, PAIRS[0])
    )


def cpu(command: Sequence[str], environment: Mapping[str, str]) -> float:
    """Seconds of CPU, user and system."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def command(home: Path, rounds: int) -> tuple[float, float]:
    """Least CPU seconds of ``ffe history`` on a store of 100 decisions, and of importing the two libraries."""
    with Store(Database.open(None, home / "data")) as store:
        store.append_many(records(0, 100))
    environment = {**os.environ, "FFE_HOME": str(home)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    listing = [str(Path(sys.executable).with_name("ffe")), "history"]
    libraries = [sys.executable, "-c", LIBRARIES]
    pairs = [(cpu(listing, environment), cpu(libraries, environment)) for _ in range(rounds)]
    return min(ours for ours, _ in pairs), min(theirs for _, theirs in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=10)
    arguments = parser.parse_args()
    goals = []
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        with Store(Database.open(str(place / "ours.db"))) as store:
            peer = Plain(place / "plain.db")
            ten_thousand = min(10_000, arguments.rows)
            with Store(Database.open(str(place / "small.db"))) as small:
                small.append_many(records(0, ten_thousand))
                goals.append(Goal(f"latest 20 of {ten_thousand:,}, ms", latest(small), None, 1.0))
            goals.append(Goal("bulk insert, s", *bulk(store, peer, arguments.rows, arguments.rounds), 1.7))
            goals.append(Goal(f"latest 20 of {store.count():,}, ms", latest(store), None, 1.0))
            goals.append(Goal("one durable insert, s", *single(store, peer, arguments.rows, 300), 3.0))
            verified = timed(lambda: verify(store))
            peer.connection.close()
        goals.append(Goal("ffe history, CPU s", *command(place / "home", arguments.rounds), 1.25))
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()} x {os.cpu_count()}, {platform.system()} {platform.release()}",
                "python": platform.python_version(),
                "sqlite": sqlite3.sqlite_version,
                "versions": {name: version(name) for name in ("SQLAlchemy", "sqlmodel", "pydantic-settings")},
                "rows": arguments.rows,
                "verify_seconds": round(verified, 2),
                "goals": [
                    {
                        "name": goal.name,
                        "ours": round(goal.ours, 6),
                        "theirs": None if goal.theirs is None else round(goal.theirs, 6),
                        "measured": round(goal.measured, 3),
                        "at_most": goal.most,
                        "met": goal.measured <= goal.most,
                    }
                    for goal in goals
                ],
            },
            indent=2,
        )
    )
    return 0 if all(goal.measured <= goal.most for goal in goals) else 1


if __name__ == "__main__":
    raise SystemExit(main())
