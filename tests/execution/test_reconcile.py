"""Each promise of reconciling, and the incidents that it is there for."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import OrderState, OrderType, PlatformError
from ffe_core.execution.reconcile import ABANDONED, GRACE
from ffe_core.testing import FakePlatform
from tests.execution.rig import KEY, Rig

S = OrderState


@pytest.fixture
def rig(database, clock):
    return Rig(database, clock)


def one(rig, order):
    return rig.reconciler.one(rig.journal.get(order.client_order_id))


def test_an_accepted_order_whose_answer_was_lost_ends_filled_never_failed(database, clock):
    rig = Rig(database, clock, lose_answers=1)
    order = rig.order()
    assert rig.submit(order).state is S.UNKNOWN
    found = rig.reconciler.all()
    assert found.complete
    assert [entry.state for entry in found.changed] == [S.FILLED]
    assert len(rig.journal.fills(order.client_order_id)) == 1


def test_while_the_venue_does_not_answer_nothing_is_decided(database, clock):
    rig = Rig(database, clock, lose_answers=1)
    order = rig.order()
    rig.submit(order)
    rig.venue.down = True
    clock.advance(timedelta(days=3))
    found = rig.reconciler.all()
    assert not found.complete
    assert rig.journal.get(order.client_order_id).state is S.UNKNOWN


def test_a_crash_between_sending_and_booking_is_a_doubt_that_the_venue_ends(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    rig.venue.submit(order)
    assert one(rig, order).state is S.FILLED
    assert S.UNKNOWN in [event.state for event in rig.journal.get(order.client_order_id).events]


def test_order_does_not_exist_right_after_create_is_not_believed(rig):
    """A venue that shows an order only some seconds after it took it."""
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    for _ in range(4):
        assert one(rig, order).state is S.UNKNOWN
        rig.clock.advance(timedelta(seconds=2))
    rig.venue.submit(order)
    assert one(rig, order).state is S.FILLED


def test_a_venue_that_says_no_twice_after_the_grace_means_it(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    rig.clock.advance(GRACE)
    assert one(rig, order).state is S.NOT_PLACED
    assert rig.slept == [2.0]


def test_a_venue_that_shows_it_at_the_second_question_is_believed(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    rig.clock.advance(GRACE)
    real = rig.sleep

    def appears(seconds):
        real(seconds)
        rig.venue.submit(order)

    assert replace(rig.reconciler, sleep=appears).one(rig.journal.get(order.client_order_id)).state is S.FILLED


def test_an_intent_that_was_never_marked_as_sent_is_given_up_without_asking(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.venue.down = True
    assert one(rig, order).state is S.INTENT
    rig.clock.advance(ABANDONED + timedelta(seconds=1))
    assert one(rig, order).state is S.NOT_PLACED


def test_fills_replayed_at_restart_are_booked_once_and_the_third_start_does_nothing(rig):
    rig.submit(rig.order())
    first, second, third = (rig.reconciler.all() for _ in range(3))
    assert len(rig.journal.fills()) == 1
    assert (second.changed, second.fills, third.changed, third.fills) == ((), (), (), ())
    assert first.problems == ()


def test_a_failed_question_is_never_read_as_flat(rig):
    class Broken(FakePlatform):
        def find(self, order):
            raise PlatformError("HTTP 500")

        def fills(self, since):
            raise PlatformError("HTTP 503")

    rig.venue = Broken(prices={"BTCUSD": Decimal(20_000)}, clock=rig.clock, lose_answers=1)
    order = rig.order()
    rig.submit(order)
    rig.clock.advance(timedelta(hours=5))
    found = rig.reconciler.all()
    assert rig.journal.get(order.client_order_id).state is S.UNKNOWN
    assert found.problems == (f"order {order.client_order_id}: HTTP 500", "fills: HTTP 503")


def test_a_resting_order_stays_open_and_is_found_filled_later(rig):
    order = rig.order(type=OrderType.LIMIT, limit_price=Decimal(19_000))
    assert rig.submit(order).state is S.ACCEPTED
    assert rig.reconciler.settle(order.client_order_id, within=10).state is S.ACCEPTED
    assert rig.slept == []
    rig.venue.update_prices({"BTCUSD": Decimal(18_900)})
    assert [entry.state for entry in rig.reconciler.all().changed] == [S.FILLED]


def test_settling_asks_again_until_the_answer_comes_and_gives_up_in_time(database, clock):
    rig = Rig(database, clock, lose_answers=1)
    order = rig.order()
    rig.submit(order)
    rig.venue.down = True
    assert rig.reconciler.settle(order.client_order_id, within=5).state is S.UNKNOWN
    assert 5 <= sum(rig.slept) < 8
    rig.venue.down = False
    assert rig.reconciler.settle(order.client_order_id, within=5).state is S.FILLED
