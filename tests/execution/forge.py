"""Processes of ffe that may be killed: ``forge.py URL STORE`` forks one for each line of JSON that it reads.

``{"run": "trade", "hours": 3, "die": "entry: booked"}`` reconciles, leaves what is held, decides, enters and leaves
again; ``"rounds"`` goes in and out until that is refused; ``{"run": "starts", "times": 3, "hours": 3}`` reconciles and
says each time what it found. A fork is what a start of the command is, a process of its own with connections of its
own, without the second that Python takes to read its libraries. ``die`` is the step at which it kills itself with the
signal that nobody can catch; the hooks for that are all in here.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from tempfile import TemporaryDirectory
from typing import Any

from ffe_core import SafetyRefusal
from ffe_core.domain.decisions import RulingOutcome
from ffe_core.domain.trading import Order, OrderReport
from ffe_core.execution.journal import Journal
from ffe_core.store import Store
from tests.execution.desk import ExchangeDesk, ExchangePlatform, QuickClock
from tests.execution.exchange import BTC, Exchange
from tests.store.records import START

#: the named steps of the way of an order, in their order; what was accepted and not answered is the exchange's to make
OF_AN_ORDER = (
    "before the intent",
    "after the intent",
    "after the sent mark",
    "answered",
    "booked",
)
STEPS = (
    *(f"entry: {step}" for step in OF_AN_ORDER),
    "entry: noted in the decision",
    *(f"protect: {step}" for step in OF_AN_ORDER),
    "protect: before the cancel",
    "protect: cancelled",
    "protect: cancellation booked",
    "fills: read",
    "fills: booked",
    *(f"close: {step}" for step in OF_AN_ORDER),
    "close: outcome kept",
)


def say(**told: object) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


class Steps:
    """Dies at the step that it was told of."""

    def __init__(self, last: str | None) -> None:
        self._last = last

    def reach(self, step: str) -> None:
        if step == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type, name: str, before: Callable[..., str], after: Callable[..., str]) -> None:
        """Steps before and after the method ``name`` of ``owner``, named by its arguments."""
        real = getattr(owner, name)

        @wraps(real)
        def watched(*arguments: Any, **options: Any) -> Any:
            self.reach(before(*arguments, **options))
            result = real(*arguments, **options)
            self.reach(after(*arguments, **options))
            return result

        setattr(owner, name, watched)


def watch(steps: Steps) -> None:
    """Puts the steps around the methods that the way leads through. This process ends with the run."""
    leg_of: dict[str, str] = {}

    def name(order_id: str, step: str) -> str:
        return f"{leg_of.get(order_id, 'fills')}: {step}"

    def meant(_: Journal, order: Order, key: object) -> str:
        leg_of[order.client_order_id] = order.leg
        return name(order.client_order_id, "before the intent")

    def nothing(*_: object, **__: object) -> str:
        return ""

    steps.around(Journal, "intend", meant, lambda _, order, key: name(order.client_order_id, "after the intent"))
    steps.around(
        Store, "add_event", nothing, lambda _, __, ___, told: name(told["client_order_id"], "noted in the decision")
    )
    steps.around(Journal, "sent", nothing, lambda _, order_id: name(order_id, "after the sent mark"))
    steps.around(ExchangePlatform, "submit", nothing, lambda _, order: name(order.client_order_id, "answered"))
    steps.around(Journal, "heard", nothing, lambda _, report: _booked(name, report))
    steps.around(
        ExchangePlatform,
        "cancel",
        lambda _, order: name(order.client_order_id, "before the cancel"),
        lambda _, order: name(order.client_order_id, "cancelled"),
    )
    steps.around(ExchangePlatform, "fills", nothing, lambda _, since: "fills: read")
    steps.around(Journal, "read_fills", nothing, lambda _, key, ask: "fills: booked")
    steps.around(Store, "record_outcomes", nothing, lambda _, outcomes: "close: outcome kept" if outcomes else "")


def _booked(name: Callable[[str, str], str], report: OrderReport) -> str:
    cancelled = report.state == "CANCELLED"
    return name(report.client_order_id, "cancellation booked" if cancelled else "booked")


def trade(desk: ExchangeDesk) -> None:
    """One round: whatever a killed process left behind is left, then in and out again."""
    trading = desk.trading
    trading.reconcile()
    if desk.platform.portfolio().position(BTC) is not None:
        say(ready="out")
        trading.close(BTC)
    decision = desk.decide()
    say(ready="in")
    trading.execute(decision.id)
    trading.close(BTC)


def rounds(desk: ExchangeDesk) -> None:
    """In and out for as long as that is allowed; says why it is not any more."""
    while True:
        decision = desk.decide()
        try:
            desk.trading.execute(decision.id)
        except SafetyRefusal as refusal:
            vetoes = [ruling.reason for ruling in decision.rulings if ruling.outcome is RulingOutcome.VETOED]
            say(refused="; ".join([refusal.message, *vetoes]))
            return
        desk.trading.close(BTC)


def starts(url: str, store: str | None, wish: dict[str, Any]) -> None:
    """``times`` starts in a row, the first half a minute after whatever was before, the others an hour later."""
    for number in range(wish["times"]):
        later = timedelta(hours=1) if number else timedelta(seconds=30)
        with ExchangeDesk(url, store, QuickClock(START + timedelta(hours=wish["hours"]) + later)) as desk:
            start(desk)


def start(desk: ExchangeDesk) -> None:
    found = desk.trading.reconcile()
    say(changed=len(found.changed), fills=len(found.fills), problems=list(found.problems))


def run(url: str, store: str | None, wish: dict[str, Any]) -> None:
    """What is wished for, ``hours`` after the first."""
    if wish["run"] == "starts":
        starts(url, store, wish)
        return
    if wish.get("die"):
        watch(Steps(wish["die"]))
    with ExchangeDesk(url, store, QuickClock(START + timedelta(hours=wish["hours"]))) as desk:
        {"trade": trade, "rounds": rounds}[wish["run"]](desk)


def main() -> None:
    url, store = sys.argv[1], sys.argv[2] or None
    warm_up()
    # What was read is not gone through again in every fork, which would copy it.
    gc.freeze()
    say(up=True)
    dead: list[int] = []
    for line in sys.stdin:
        while dead:
            os.waitpid(dead.pop(), 0)
        child = os.fork()
        if child == 0:
            try:
                run(url, store, json.loads(line))
            except BaseException as error:
                say(error=f"{type(error).__name__}: {error}")
                raise
            finally:
                os._exit(0)
        say(pid=child)
        ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        # Its id stays its own until the next wish: a kill that comes too late meets nobody else.
        dead.append(child)
        say(over=ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status)


def warm_up() -> None:
    """Reads every library that a run needs, on an exchange and a store that go again."""
    import psycopg  # noqa: F401

    with TemporaryDirectory() as folder, Exchange() as exchange:
        with ExchangeDesk(exchange.url, f"sqlite:///{folder}/warm.db") as desk:
            decision = desk.decide()
            desk.trading.execute(decision.id)
            desk.trading.close(BTC)
            desk.trading.reconcile()


if __name__ == "__main__":
    main()
