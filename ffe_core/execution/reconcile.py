"""Reconciling: asking the venue what became of what the journal is not sure of. Nothing in here sends an order.

A failed question is no answer: it leaves everything as it was. That a venue does not know an order counts only when
it says so twice, ``APART`` seconds apart and not before ``GRACE`` after its answer was last waited for: venues take
orders before they show them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from ffe_core.domain.clock import Clock
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Fill, OrderReport, OrderState, OrderType
from ffe_core.errors import FfeError
from ffe_core.execution.journal import DOUBTFUL, Journal
from ffe_core.execution.router import Router
from ffe_core.ports import Platform
from ffe_core.store.orders import FINAL, JournalEntry

#: how long a venue may take to show an order that it has
GRACE = timedelta(seconds=10)
#: seconds between the two questions that together mean no
APART = 2.0
#: an intent that was not marked as sent is given up after this; its process is gone
ABANDONED = timedelta(seconds=60)
#: why an order is in doubt whose process was gone before it could write down what the venue said
NEVER_BOOKED = "its answer was never booked"
#: states in which the venue has an order that may still change
TAKEN = (OrderState.ACCEPTED, OrderState.PARTIAL)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a pass found out: orders that changed, new fills, and what could not be had, one line each.

    ``unanswered`` are those of the problems that a venue's silence made: what it did meanwhile is not known.
    """

    changed: tuple[JournalEntry, ...]
    fills: tuple[Fill, ...]
    problems: tuple[str, ...]
    unanswered: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        return not self.problems


@dataclass(frozen=True, slots=True)
class Reconciler:
    """One account of one venue. ``sleep`` takes seconds."""

    journal: Journal
    platform: Platform
    key: LedgerKey
    clock: Clock
    sleep: Callable[[float], None] = time.sleep

    def all(self) -> Reconciled:
        """Every open order and every fill since the last pass."""
        changed: list[JournalEntry] = []
        problems: list[str] = []
        unanswered: list[str] = []
        for entry in self.journal.open(self.key):
            try:
                after, shown = self._asked(entry)
            except FfeError as error:
                unanswered.append(f"order {entry.order.client_order_id}: {error.message}")
                continue
            if after.events != entry.events:
                changed.append(after)
            if after.state in DOUBTFUL:
                problems.append(f"order {entry.order.client_order_id}: {self.platform.name} does not show it yet")
            elif after.state in TAKEN and not shown:
                problems.append(f"order {entry.order.client_order_id}: {self.platform.name} does not show it any more")
        fills: list[Fill] = []
        try:
            fills = self.journal.read_fills(self.key, self.platform.fills)
            if isinstance(self.platform, Router):
                unanswered += [f"fills of {venue}: {why}" for venue, why in self.platform.silent.items()]
        except FfeError as error:
            unanswered.append(f"fills: {error.message}")
        return Reconciled(tuple(changed), tuple(fills), (*problems, *unanswered), tuple(unanswered))

    def one(self, entry: JournalEntry) -> JournalEntry:
        """What the venue says of an order, booked. Raises what the venue's silence raises; then nothing changed."""
        return self._asked(entry)[0]

    def _asked(self, entry: JournalEntry) -> tuple[JournalEntry, bool]:
        """The order as it is now, and whether the venue showed it."""
        order_id = entry.order.client_order_id
        if entry.state is OrderState.INTENT:
            if self.clock.now() - entry.events[0].at > ABANDONED:
                self.journal.not_placed(order_id, "it was never sent")
            return self._now(order_id), False
        if entry.state is OrderState.SENT:
            self.journal.doubt(order_id, NEVER_BOOKED)
        report = self.platform.find(entry.order)
        if report is None and self._may_be_gone(entry):
            self.sleep(APART)
            report = self.platform.find(entry.order)
            if report is None:
                self.journal.not_placed(order_id, f"{self.platform.name} says that there is no such order")
        if report is not None:
            self.journal.heard(report)
        return self._now(order_id), report is not None

    def settle(self, client_order_id: str, *, within: float, ended: bool = False) -> JournalEntry:
        """Asks until the order has ended or rests, for at most ``within`` seconds; questions that fail are repeated.

        With ``ended`` one that rests is waited for as well: it was asked to go.
        """
        began, waited, pause = self.clock.now(), 0.0, 0.2
        entry = self._now(client_order_id)
        while not _is_settled(entry, ended=ended) and waited < within:
            self.sleep(pause)
            waited, pause = waited + pause, min(2.0, pause * 1.5)
            try:
                report = self.platform.find(entry.order)
                if report is not None:
                    self.journal.heard(report)
            except FfeError:
                pass
            # Slow answers count too.
            waited = max(waited, (self.clock.now() - began).total_seconds())
            entry = self._now(client_order_id)
        return entry

    def gone(self, entry: JournalEntry) -> JournalEntry:
        """Ends an order that the venue took once and now denies, asked twice. Raises what its silence raises."""
        if entry.state in TAKEN and self.platform.find(entry.order) is None:
            self.sleep(APART)
            if self.platform.find(entry.order) is None:
                last = entry.events[-1]
                reason = f"{self.platform.name} does not know it any more"
                order_id = entry.order.client_order_id
                self.journal.heard(
                    OrderReport(order_id, last.venue_order_id, OrderState.CANCELLED, last.filled, reason=reason)
                )
        return self._now(entry.order.client_order_id)

    def _may_be_gone(self, entry: JournalEntry) -> bool:
        # Whoever sent it may have waited for the answer until its doubt was noted: till then it was on its way.
        return entry.state in DOUBTFUL and self.clock.now() - entry.events[-1].at >= GRACE

    def _now(self, client_order_id: str) -> JournalEntry:
        entry = self.journal.get(client_order_id)
        assert entry is not None  # noqa: S101 - rows of the journal do not go away
        return entry


def _is_settled(entry: JournalEntry, *, ended: bool) -> bool:
    resting = entry.order.type is not OrderType.MARKET and entry.state is OrderState.ACCEPTED
    return (resting and not ended) or entry.state in FINAL
