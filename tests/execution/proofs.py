"""The long proofs: so many deaths, so many faults, each followed by a comparison of the books with the exchange's.

Tests run a few of each; ``scripts/soak`` runs hundreds.
"""

from __future__ import annotations

import random
import signal
from dataclasses import dataclass
from datetime import timedelta

from ffe_core import FfeError
from ffe_core.execution.journal import Journal
from tests.execution.desk import ExchangeDesk
from tests.execution.exchange import AWAY, BTC, Exchange, Fault
from tests.execution.forge import STEPS
from tests.execution.killing import Killing, damage, differences

#: what the exchange carries out in a round: entry and protection, the cancel, and the way out
CALLS = {"entry": ("POST", 0), "protection": ("POST", 1), "cancel": ("DELETE", 0), "exit": ("POST", 2)}
#: starts until a position that a fault left behind is closed
MOST_STARTS = 4


def require_whole(killing: Killing, where: str) -> None:
    """Three starts set everything right, and the third finds nothing left to do."""
    third = killing.starts()
    assert (third["changed"], third["fills"]) == (0, 0), where
    assert differences(killing.exchange, Journal(killing.database)) == [], where
    assert damage(killing.database) == [], where


def kill_at_every_step(killing: Killing) -> int:
    """How many steps there were."""
    for step in STEPS:
        assert killing.trade(step)["over"] == -signal.SIGKILL, f"{step} was never reached"
        require_whole(killing, step)
    for name, (method, after) in CALLS.items():
        # The round begins flat, so that its calls can be counted.
        assert "error" not in killing.trade()
        killing.swallowed(method, after)
        require_whole(killing, f"{name} accepted and not answered")
    return len(STEPS) + len(CALLS)


def kill_at_random_points(killing: Killing, points: int, seed: int) -> int:
    """Kills so many rounds before they are over, each of which begins with a start of its own."""
    longest = killing.seconds_to_go()
    rng = random.Random(seed)
    killed = missed = 0
    while killed < points:
        if not killing.at_random(rng, longest):
            # A round was over sooner than the measured one: the machine has less to do now.
            missed += 1
            assert missed <= points, "rounds are over before they can be killed"
            longest = killing.seconds_to_go()
            continue
        killed += 1
        if killed % 5 == 0 or killed == points:
            require_whole(killing, f"point {killed}")
    return killed


@dataclass
class Trouble:
    """One exchange and one store; a start of ffe for every run, an hour after the one before."""

    exchange: Exchange
    store: str | None
    hours: int = 0

    def run(self, fault: Fault, call: int) -> None:
        """In and out with the ``call``-th order of the round going wrong, until all is told and nothing is held."""
        with self._desk() as desk:
            way = desk.platform.away if fault in AWAY else []
            way += [None] * call + [fault]
            if fault not in AWAY:
                self.exchange.fault("POST", *way)
            decision = desk.decide()
            assert decision.effect.is_entry, "the run before left something behind"
            desk.trading.execute(decision.id)
            self._leave(desk)
            journal = desk.trading.journal
            desk.clock.instant += timedelta(minutes=2)
            for _ in range(MOST_STARTS):
                desk.trading.reconcile()
                assert differences(self.exchange, journal) == [], f"{fault} at order {call}"
                if not self.exchange.held:
                    break
                self._leave(desk)
            assert self.exchange.held == 0
            assert journal.open() == []
        self.exchange.calm()

    def _leave(self, desk: ExchangeDesk) -> None:
        """As a user does who sees an error and tries again."""
        if desk.platform.portfolio().position(BTC) is not None:
            try:
                desk.trading.close(BTC)
            except FfeError:
                desk.trading.close(BTC)

    def _desk(self) -> ExchangeDesk:
        self.hours += 1
        desk = ExchangeDesk(self.exchange.url, self.store)
        desk.clock.instant += timedelta(hours=self.hours)
        self.exchange.clock = desk.clock
        return desk
