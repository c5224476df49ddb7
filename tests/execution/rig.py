"""A journal, a venue in memory and a clock that sleeping moves."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from ffe_core import Mode, Unknown
from ffe_core.domain.ledger import LedgerKey
from ffe_core.execution.journal import Journal, client_order_id
from ffe_core.execution.reconcile import Reconciler
from ffe_core.testing import FakePlatform, make_order

KEY = LedgerKey(Mode.PAPER, "fake", "test", True)


class MovingClock:
    def __init__(self, instant):
        self.instant = instant

    def now(self):
        return self.instant

    def advance(self, by):
        self.instant += by


class Rig:
    def __init__(self, database, clock, **venue):
        self.clock = clock
        self.venue = FakePlatform(prices={"BTCUSD": Decimal(20_000)}, clock=clock, **venue)
        self.journal = Journal(database)
        self.slept = []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.advance(timedelta(seconds=seconds))

    @property
    def reconciler(self):
        return Reconciler(self.journal, self.venue, KEY, self.clock, self.sleep)

    def order(self, decision="d1", **changes):
        made = make_order(quantity=Decimal("0.1"), client_order_id=client_order_id(decision, "entry"))
        return replace(made, decision_id=decision, **changes)

    def submit(self, order):
        """As the engine sends it, with the answer booked or doubted."""
        self.journal.intend(order, KEY)
        self.journal.sent(order.client_order_id)
        try:
            self.journal.heard(self.venue.submit(order))
        except Unknown as error:
            self.journal.doubt(order.client_order_id, error.message)
        return self.journal.get(order.client_order_id)
