"""What has happened to others, on an exchange behind a line that breaks: each test is named after what happened."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Effect, OrderState, OrderType, PlatformError, SafetyRefusal, Side, Unknown
from ffe_core.execution.clearing import take_back, without_stop
from ffe_core.execution.journal import client_order_id
from ffe_core.execution.reconcile import GRACE
from ffe_core.risk.states import TradingStates
from ffe_core.testing import FakePlatform
from tests.execution.desk import ExchangeDesk, ExchangePlatform, QuickClock
from tests.execution.exchange import BTC, Exchange, Fault
from tests.execution.killing import differences
from tests.execution.rig import KEY, Rig
from tests.store.records import START

S = OrderState
NO_STOP = ("BTCUSD is held without a stop; `ffe close BTCUSD` leaves it",)


@pytest.fixture
def exchange():
    with Exchange() as made:
        yield made


@pytest.fixture
def start(home, exchange, tmp_path):
    """Starts ffe so many hours after the first; ``cold`` with an empty store."""
    desks = []

    def begin(hours=0, cold=False):
        store = f"sqlite:///{tmp_path}/cold{len(desks)}.db" if cold else None
        desk = ExchangeDesk(exchange.url, store, QuickClock(START + timedelta(hours=hours)))
        exchange.clock = desk.clock
        desks.append(desk)
        return desk

    yield begin
    for desk in desks:
        desk.__exit__()


@pytest.fixture
def rig(database, clock):
    return Rig(database, clock)


def agree(exchange, desk):
    assert differences(exchange, desk.trading.journal) == []


def test_an_accepted_order_was_dropped_as_failed_while_names_were_not_resolved(exchange, start):
    class Outage(ExchangePlatform):
        def submit(self, order):
            try:
                return super().submit(order)
            except Unknown:
                self.dark = Fault.DNS
                raise

    desk = start()
    desk.platform.__class__ = Outage
    exchange.fault("POST", Fault.RESET_AFTER)
    done = desk.trading.execute(desk.decide().id)
    assert done.state is S.UNKNOWN
    exchange.settle()
    assert exchange.held > 0
    later = start(1)
    found = later.trading.reconcile()
    assert [entry.state for entry in found.changed] == [S.FILLED]
    # Nobody placed the stop of what nobody knew of, and that is told until it is dealt with.
    assert found.problems == NO_STOP
    agree(exchange, later)


def test_an_order_did_not_exist_right_after_it_was_created(exchange, start):
    exchange.hides = 0.06
    exchange.fault("POST", Fault.RESET_AFTER)
    desk = start()
    done = desk.trading.execute(desk.decide().id)
    assert done.state is S.FILLED
    assert S.UNKNOWN in [event.state for event in done.order.events]
    assert [placed.order.leg for placed in exchange.orders.values()] == ["entry", "exit"]
    agree(exchange, desk)


def test_an_order_given_up_after_the_grace_was_accepted_late_all_the_same(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    rig.clock.advance(GRACE)
    assert rig.reconciler.one(rig.journal.get(order.client_order_id)).state is S.NOT_PLACED
    rig.venue.submit(order)
    rig.reconciler.all()
    held = rig.journal.get(order.client_order_id)
    assert (held.state, held.filled) == (S.FILLED, order.quantity)


def test_an_order_was_given_up_by_one_process_while_another_still_waited_for_its_answer(rig):
    order = rig.order()
    rig.journal.intend(order, KEY)
    rig.journal.sent(order.client_order_id)
    rig.clock.advance(GRACE)
    rig.reconciler.all()
    # The answer never came: who sent it knows that it was on its way all the time.
    rig.journal.doubt(order.client_order_id, "no answer within 30 s")
    assert rig.reconciler.one(rig.journal.get(order.client_order_id)).state is S.UNKNOWN
    rig.venue.submit(order)
    assert rig.reconciler.one(rig.journal.get(order.client_order_id)).state is S.FILLED


def test_a_cancel_was_lost_and_the_next_order_came_on_top(exchange, start):
    desk = start()
    desk.trading.execute(desk.decide().id)
    exchange.fault("DELETE", *[Fault.RESET_BEFORE] * 2)
    with pytest.raises(PlatformError, match="is over, so nothing was sold beside it"):
        desk.trading.close(BTC)
    assert len(exchange.orders) == 2
    assert not desk.decide().effect.is_entry
    closed = desk.trading.close(BTC)
    assert closed.state is S.FILLED
    assert [placed.state for placed in exchange.orders.values()] == [S.FILLED, S.CANCELLED, S.FILLED]
    agree(exchange, desk)


def test_a_cancel_whose_answer_was_lost_had_been_carried_out(exchange, start):
    desk = start()
    desk.trading.execute(desk.decide().id)
    exchange.fault("DELETE", Fault.RESET_AFTER)
    assert desk.trading.close(BTC).state is S.FILLED
    assert exchange.held == 0
    agree(exchange, desk)


def test_another_entry_was_made_while_the_cancel_of_the_first_was_lost(rig):
    class Lost(FakePlatform):
        def cancel(self, order):
            raise Unknown("no answer about the cancel")

    working = rig.order(type=OrderType.LIMIT, limit_price=Decimal(19_000))
    assert rig.submit(working).state is S.ACCEPTED
    rig.venue.__class__ = Lost
    assert take_back(rig.reconciler, rig.journal.get(working.client_order_id)).state is S.ACCEPTED
    with pytest.raises(SafetyRefusal, match=r"is still open \(entry, ACCEPTED\)"):
        rig.journal.intend(rig.order("d2"), KEY)
    rig.venue.__class__ = FakePlatform
    assert take_back(rig.reconciler, rig.journal.get(working.client_order_id)).state is S.CANCELLED
    rig.journal.intend(rig.order("d2"), KEY)


def test_one_fill_was_told_by_two_ways_and_once_more_after_a_restart(exchange, start):
    desk = start()
    done = desk.trading.execute(desk.decide().id)
    journal, key = desk.trading.journal, done.order.key
    journal.heard(desk.platform.find(done.order.order))
    assert journal.read_fills(key, desk.platform.fills) == []
    again = start(1)
    assert again.trading.journal.read_fills(key, lambda _: again.platform.fills(None)) == []
    assert len(again.trading.journal.fills()) == 1
    agree(exchange, again)


def is_nothing_left_to_do(begin, hours):
    """Three starts in a row, nothing of which sends anything; what the third found."""
    return [begin(hours + number).trading.reconcile() for number in range(3)][-1]


@pytest.mark.slow
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_a_start_dropped_a_working_order(exchange, start, cold):
    desk = start()
    desk.trading.execute(desk.decide().id)
    begin = one_store(start, cold)
    third = is_nothing_left_to_do(begin, 1)
    assert (third.changed, third.fills, third.problems) == ((), (), ())
    assert [placed.state for placed in exchange.orders.values()] == [S.FILLED, S.ACCEPTED]
    assert not begin(5).decide().effect.is_entry
    if not cold:
        agree(exchange, begin(6))


@pytest.mark.slow
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_a_start_closed_or_doubled_a_position_older_than_the_venue_looks_back(exchange, start, cold):
    desk = start()
    desk.trading.execute(desk.decide().id)
    exchange.forgets = len(exchange.fills)
    begin = one_store(start, cold)
    third = is_nothing_left_to_do(begin, 1000)
    assert (third.changed, third.fills, third.problems) == ((), (), ())
    assert len(exchange.orders) == 2
    assert exchange.held > 0
    later = begin(1004)
    assert not later.decide().effect.is_entry
    assert later.trading.close(BTC).state is S.FILLED
    assert exchange.held == 0


def test_a_start_forgot_the_rest_of_a_partial_fill(exchange, start):
    class Dies(ExchangePlatform):
        def submit(self, order):
            super().submit(order)
            exchange.fill_part(order.client_order_id, Decimal("0.05"))
            raise KeyboardInterrupt

    desk = start()
    desk.platform.__class__ = Dies
    decision = desk.decide()
    with pytest.raises(KeyboardInterrupt):
        desk.trading.execute(decision.id)
    order_id = client_order_id(decision.id, "entry")
    found = start(1).trading.reconcile()
    assert [(entry.state, entry.filled) for entry in found.changed] == [(S.PARTIAL, Decimal("0.05"))]
    assert found.problems == NO_STOP
    exchange.fill_rest(order_id)
    later = start(2)
    assert [entry.state for entry in later.trading.reconcile().changed] == [S.FILLED]
    assert is_nothing_left_to_do(start, 3).changed == ()
    agree(exchange, later)


def test_a_start_after_a_partial_fill_with_an_empty_store_took_it_for_nothing(exchange, start):
    desk = start()
    exchange.trade_by_hand(Decimal("0.05"))
    desk.engine.close()
    cold = start(1, cold=True)
    assert len(cold.trading.reconcile().fills) == 1
    assert not cold.decide().effect.is_entry
    assert cold.trading.close(BTC).state is S.FILLED
    assert exchange.held == 0


@pytest.mark.slow
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_a_position_was_closed_outside(exchange, start, cold):
    desk = start()
    desk.trading.execute(desk.decide().id)
    exchange.trade_by_hand(-exchange.held)
    begin = one_store(start, cold)
    third = is_nothing_left_to_do(begin, 1)
    assert (third.changed, third.fills, third.problems) == ((), (), ())
    later = begin(5)
    decision = later.decide()
    assert decision.effect is Effect.OPEN_LONG
    if cold:
        return
    # Its stop still stands: an entry beside it would be sold by somebody else's stop.
    with pytest.raises(SafetyRefusal, match=r"is still open \(protect, ACCEPTED\)"):
        later.trading.execute(decision.id)
    assert "its open orders were taken back" in later.trading.close(BTC).remarks[-1]
    assert later.trading.execute(later.decide().id).state is S.FILLED
    agree(exchange, later)


def one_store(start, cold):
    """Starts on the same store; a cold one is empty the first time."""
    if not cold:
        return start
    first = start(0, cold=True)
    url = first.settings.store.url.get_secret_value()
    first.__exit__()

    def begin(hours):
        desk = start(hours)
        desk.engine.close()
        desk.__init__(desk.platform_url, url, desk.clock)
        return desk

    return begin


def test_a_failed_query_was_taken_for_a_flat_account(exchange, start):
    desk = start()
    desk.trading.execute(desk.decide().id)
    desk.platform.dark = Fault.REFUSED
    with pytest.raises(PlatformError, match="refused"):
        desk.trading.close(BTC)
    decision = desk.decide()
    with pytest.raises((SafetyRefusal, PlatformError)):
        desk.trading.execute(decision.id)
    assert len(exchange.orders) == 2


def test_the_stop_fill_of_another_trade_was_taken_because_of_its_time(rig):
    first, other = rig.order("d1"), rig.order("d2")
    rig.submit(first)
    stop = rig.order("d1", side=Side.SELL, reduce_only=True, effect=Effect.CLOSE, leg="protect")
    rig.submit(replace(stop, client_order_id="stop-of-d1"))
    # At the same instant another order of the same asset and size goes out and never arrives.
    rig.journal.intend(other, KEY)
    rig.journal.sent(other.client_order_id)
    rig.clock.advance(GRACE)
    rig.reconciler.all()
    assert rig.journal.get(other.client_order_id).state is S.NOT_PLACED
    assert rig.journal.fills(other.client_order_id) == []
    assert [fill.client_order_id for fill in rig.journal.fills("stop-of-d1")] == ["stop-of-d1"]


def test_an_order_was_forgotten_when_it_timed_out(exchange, start):
    exchange.fault("POST", Fault.TIME_OUT_BEFORE)
    desk = start()
    decision = desk.decide()
    done = desk.trading.execute(decision.id)
    assert [event.state for event in done.order.events] == [S.INTENT, S.SENT, S.UNKNOWN, S.NOT_PLACED]
    with pytest.raises(SafetyRefusal, match="already executed"):
        desk.trading.execute(decision.id)
    assert desk.trading.journal.get(done.order.order.client_order_id) == done.order


def test_a_stop_whose_answer_was_lost_was_placed_twice(exchange, start):
    exchange.fault("POST", None, Fault.RESET_AFTER)
    desk = start()
    done = desk.trading.execute(desk.decide().id)
    assert done.protection.state is S.ACCEPTED
    assert [placed.state for placed in exchange.orders.values()] == [S.FILLED, S.ACCEPTED]
    agree(exchange, desk)


def test_a_process_died_before_it_had_placed_the_stop_and_nobody_said_so(exchange, start):
    class Dies(ExchangePlatform):
        def protect(self, position, stop, target, *, client_order_id):
            raise KeyboardInterrupt

    desk = start()
    desk.platform.__class__ = Dies
    with pytest.raises(KeyboardInterrupt):
        desk.trading.execute(desk.decide().id)
    third = is_nothing_left_to_do(start, 1)
    assert third.problems == NO_STOP
    later = start(5)
    assert later.trading.close(BTC).state is S.FILLED
    assert later.trading.reconcile().problems == ()
    agree(exchange, later)


def test_an_engine_went_on_with_an_empty_state_after_it_could_not_reconcile(exchange, start):
    class Mute(ExchangePlatform):
        def fills(self, since):
            raise PlatformError("HTTP 503")

    desk = start()
    decision = desk.decide()
    desk.platform.__class__ = Mute
    with pytest.raises(SafetyRefusal, match="does not say what became of earlier orders: fills: HTTP 503"):
        desk.trading.execute(decision.id)
    assert exchange.orders == {}
    desk.platform.__class__ = ExchangePlatform
    assert desk.trading.execute(decision.id).state is S.FILLED
    # Whoever wants to get out does not wait for the books.
    desk.platform.__class__ = Mute
    assert desk.trading.close(BTC).state is S.FILLED


def test_a_stop_that_the_venue_attached_to_the_fill_was_told_as_missing(rig):
    order = rig.order(stop_price=Decimal(19_000))
    rig.submit(order)
    held = rig.venue.portfolio()
    assert list(without_stop(rig.reconciler, held)) == [*NO_STOP]
    (position,) = held.positions
    attached = replace(held, positions=(replace(position, stop_price=Decimal(19_000)),))
    assert list(without_stop(rig.reconciler, attached)) == []


@pytest.mark.slow
def test_a_process_died_over_and_over_while_its_orders_were_out(exchange, start):
    class Dies(ExchangePlatform):
        def submit(self, order):
            super().submit(order)
            raise KeyboardInterrupt

    def die(desk):
        desk.platform.__class__ = Dies
        with pytest.raises(KeyboardInterrupt):
            desk.trading.execute(desk.decide().id)

    def leave(desk):
        desk.clock.instant += timedelta(minutes=2)
        desk.trading.reconcile()
        desk.platform.__class__ = ExchangePlatform
        desk.trading.close(BTC)

    desk = start()
    for _ in range(3):
        die(desk)
        leave(desk)
    sent = len(exchange.orders)
    with pytest.raises(SafetyRefusal, match="HALTED: 3 orders were left within 15 minutes by processes that died"):
        desk.trading.execute(desk.decide().id)
    with pytest.raises(SafetyRefusal, match="vetoed"):
        desk.trading.execute(desk.decide().id)
    assert len(exchange.orders) == sent
    # Whoever has looked goes on, and is stopped again only by what happens from then on.
    TradingStates(desk.engine.store.states).arm("looked")
    assert desk.trading.execute(desk.decide().id).state is S.FILLED
    agree(exchange, desk)


@pytest.mark.slow
def test_deaths_that_lie_far_apart_are_no_loop(exchange, start):
    for hour in range(4):
        desk = start(hour)
        desk.platform.__class__ = type("Dies", (ExchangePlatform,), {"submit": _send_and_die})
        with pytest.raises(KeyboardInterrupt):
            desk.trading.execute(desk.decide().id)
        desk.platform.__class__ = ExchangePlatform
        desk.clock.instant += timedelta(minutes=2)
        desk.trading.close(BTC)
    assert start(5).trading.execute(start(5).decide().id).state is S.FILLED


def test_an_order_was_filled_while_it_was_being_taken_back(exchange, start):
    class FilledFirst(ExchangePlatform):
        def cancel(self, order):
            exchange.settle()
            return super().cancel(order)

    desk = start()
    desk.platform.__class__ = type("Dies", (ExchangePlatform,), {"submit": _send_and_die})
    with pytest.raises(KeyboardInterrupt):
        desk.trading.execute(desk.decide().id)
    (placed,) = exchange.orders.values()
    placed.due = float("inf")
    assert exchange.held == 0
    desk.platform.__class__ = FilledFirst
    # Nothing is held when the user asks to get out, and everything once the order has ended.
    assert desk.trading.close(BTC).state is S.FILLED
    assert exchange.most_held > 0
    assert exchange.held == 0
    agree(exchange, desk)


def _send_and_die(self, order):
    ExchangePlatform.submit(self, order)
    raise KeyboardInterrupt
