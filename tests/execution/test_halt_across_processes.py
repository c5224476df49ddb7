"""Whoever pulls the lever stops every process on the same store, and nobody's way out."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ffe_core import OrderState
from ffe_core.execution.journal import Journal
from ffe_core.risk.states import TradingStates
from ffe_core.store import Database, Store
from tests.execution.desk import ExchangeDesk
from tests.execution.exchange import BTC, Exchange
from tests.execution.killing import Forge, differences

#: seconds from the lever to the last entry
AT_MOST = 1.0


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    with Exchange() as made:
        yield made


@pytest.mark.slow
def test_a_halt_stops_another_process_within_a_second_and_the_user_still_gets_out(
    database: Database, home: object, exchange: Exchange
) -> None:
    url = database.url.render_as_string(hide_password=False)
    with Forge(exchange.url, url) as forge:
        forge.begin("rounds", hours=0)
        waited = time.monotonic() + 60
        while len(exchange.orders) < 4:
            assert time.monotonic() < waited
            time.sleep(0.01)
        TradingStates(Store(database).states).halt("the test says so")
        halted_at = time.monotonic()
        told = forge.wait_for("over")
    assert "trading is HALTED: the test says so" in told["refused"]
    entries = [placed for placed in exchange.orders.values() if placed.order.effect.is_entry]
    assert max(placed.came_at for placed in entries) < halted_at + AT_MOST
    with ExchangeDesk(exchange.url, url) as desk:
        desk.trading.reconcile()
        if exchange.held:
            desk.trading.close(BTC)
        assert exchange.held == 0
        assert differences(exchange, Journal(database)) == []


def test_while_everything_is_halted_a_protection_can_be_cancelled_and_a_position_closed(
    home: object, exchange: Exchange
) -> None:
    with ExchangeDesk(exchange.url, None) as desk:
        done = desk.trading.execute(desk.decide().id)
        TradingStates(desk.engine.store.states).halt("the test says so")
        assert done.protection is not None
        after = desk.trading.cancel(done.protection, desk.trading.venue(synthetic=False))
        assert after.state is OrderState.CANCELLED
        assert desk.trading.close(BTC).state is OrderState.FILLED
        assert exchange.held == 0


def test_a_halt_while_an_order_is_prepared_is_heard(home: object, exchange: Exchange) -> None:
    with ExchangeDesk(exchange.url, None) as desk:
        decision = desk.decide()
        real = desk.platform.prepare

        def slowly(order):  # type: ignore[no-untyped-def]
            TradingStates(desk.engine.store.states).halt("while it was prepared")
            return real(order)

        desk.platform.prepare = slowly  # type: ignore[method-assign]
        with pytest.raises(Exception, match="trading is HALTED: while it was prepared"):
            desk.trading.execute(decision.id)
        assert exchange.orders == {}
        assert desk.trading.journal.latest() == []
