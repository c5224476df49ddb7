"""Kills ffe on its way to the exchange and compares what it wrote down with what the exchange has."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from ffe_core import OrderState
from ffe_core.execution.journal import Journal
from ffe_core.store import Database, Store
from ffe_core.store.chain import verify
from tests.execution.desk import QuickClock
from tests.execution.exchange import LIVE, Exchange
from tests.store.records import START

ROOT = Path(__file__).resolve().parents[2]
#: seconds that a process may take for anything
PATIENCE = 60.0
S = OrderState


class Forge:
    """The process that forks starts of ffe, with what they say."""

    def __init__(self, url: str, store: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.execution.forge", url, store],
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.wait_for("up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)
        self._process.stdout.close()

    def begin(self, run: str, hours: int, **wish: object) -> int:
        """The id of a process that does ``run``."""
        assert self._process.stdin is not None
        print(json.dumps({"run": run, "hours": hours, **wish}), file=self._process.stdin, flush=True)
        return int(self.wait_for("pid")["pid"])

    def run(self, run: str, hours: int, **wish: object) -> dict[str, Any]:
        """All that it said until it was over, in one."""
        self.begin(run, hours, **wish)
        return self.wait_for("over")

    def wait_for(self, word: str) -> dict[str, Any]:
        """What is said up to and with the line that has ``word``, or until the run is over."""
        assert self._process.stdout is not None
        heard: dict[str, Any] = {}
        while word not in heard and "over" not in heard:
            line = self._process.stdout.readline()
            if not line:
                raise AssertionError(f"the forge is gone; it said {heard}")
            heard |= json.loads(line)
        return heard


@dataclass
class Killing:
    """One exchange, one store, many starts of ffe that do not end well. An hour passes from one to the next."""

    exchange: Exchange
    forge: Forge
    database: Database
    hours: int = 0

    def trade(self, die: str | None = None) -> dict[str, Any]:
        """A trading process that dies at a step, or lives to its end; what it said."""
        return self.forge.run("trade", self._later(), die=die)

    def swallowed(self, method: str, after: int) -> None:
        """Killed when the exchange has carried out a call with ``method``, and before it answers."""
        done = self.exchange.swallow(method, after)
        pid = self.forge.begin("trade", self._later())
        assert done.wait(PATIENCE)
        os.kill(pid, signal.SIGKILL)
        assert self.forge.wait_for("over")["over"] == -signal.SIGKILL

    def seconds_to_go(self) -> float:
        """How long a round takes from where it may send to its end."""
        self.forge.begin("trade", self._later())
        self.forge.wait_for("ready")
        began = time.monotonic()
        assert self.forge.wait_for("over")["over"] == 0
        return time.monotonic() - began

    def at_random(self, rng: random.Random, longest: float) -> bool:
        """Killed within ``longest`` seconds from where it may send; whether that was in time."""
        pid = self.forge.begin("trade", self._later())
        told = self.forge.wait_for("ready")
        assert "over" not in told, told
        time.sleep(rng.uniform(0, longest))
        os.kill(pid, signal.SIGKILL)
        over = self.forge.wait_for("over")["over"]
        assert over in (0, -signal.SIGKILL)
        return bool(over)

    def starts(self, times: int = 3) -> dict[str, Any]:
        """So many starts in a row: half a minute after the death, and when an hour has passed; what the last found."""
        told = self.forge.run("starts", self.hours, times=times)
        self._later()
        assert told["over"] == 0, told
        assert "error" not in told, told
        return told

    def _later(self) -> int:
        self.hours += 1
        self.exchange.clock = QuickClock(START + timedelta(hours=self.hours))
        return self.hours


def differences(exchange: Exchange, journal: Journal) -> list[str]:
    """Whatever the journal and the exchange do not agree on, and every order too many, a line each."""
    exchange.settle()
    return [*_orders(exchange, journal), *_fills(exchange, journal), *_duplicates(exchange)]


def _orders(exchange: Exchange, journal: Journal) -> Iterator[str]:
    written = {entry.order.client_order_id: entry for entry in journal.latest(None)}
    for order_id, placed in exchange.orders.items():
        entry = written.get(order_id)
        if entry is None:
            yield f"lost: the journal has no order {order_id}"
        elif (entry.state, entry.filled) != (placed.state, placed.filled):
            told = f"{entry.order.leg} {order_id} is {entry.state} {entry.filled} in the journal"
            yield f"{told} and {placed.state} {placed.filled} at the exchange"
    for order_id, entry in written.items():
        if order_id not in exchange.orders and entry.state not in (S.NOT_PLACED, S.REJECTED):
            yield f"phantom: {entry.order.leg} {order_id} is {entry.state}, and the exchange has none"


def _fills(exchange: Exchange, journal: Journal) -> Iterator[str]:
    written = {fill.venue_fill_id: fill for fill in journal.fills()}
    for fill in exchange.fills:
        if written.pop(fill.venue_fill_id, None) != fill:
            yield f"lost: fill {fill.venue_fill_id}"
    yield from (f"phantom: fill {fill_id}" for fill_id in written)


def _duplicates(exchange: Exchange) -> Iterator[str]:
    yield from (f"sent twice: {order_id}" for order_id in exchange.repeated)
    yield from (f"sold what was not there: {order_id}" for order_id in exchange.empty)
    orders = [placed.order for placed in exchange.orders.values()]
    entries = Counter(order.decision_id for order in orders if not order.reduce_only)
    yield from (f"{count} entries of decision {decision}" for decision, count in entries.items() if count > 1)
    largest = max((order.quantity for order in orders if not order.reduce_only), default=0)
    if exchange.most_held > largest:
        yield f"{exchange.most_held} were held at once, and the largest entry is {largest}"
    if exchange.held < 0:
        yield f"more was sold than was held: {exchange.held}"
    standing = [each for each in exchange.orders.values() if each.state in LIVE]
    if len(standing) > 1:
        yield f"{len(standing)} orders stand at once"


def damage(database: Database) -> list[str]:
    """What is wrong with the store itself."""
    found = []
    report = verify(Store(database))
    if not report.ok:
        found.append(f"the chain of decisions does not verify: {report}")
    if database.is_sqlite:
        with database.reading() as connection:
            told = connection.exec_driver_sql("PRAGMA integrity_check").scalar_one()
        if told != "ok":
            found.append(f"integrity: {told}")
    return found
