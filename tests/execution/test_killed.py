"""kill -9 anywhere on the way of an order: nothing is sent twice, nothing is lost, nothing is made up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ffe_core.store import Database
from tests.execution.exchange import Exchange
from tests.execution.killing import Forge, Killing
from tests.execution.proofs import kill_at_every_step, kill_at_random_points, require_whole


@pytest.fixture
def killing(database: Database, home: object) -> Iterator[Killing]:
    url = database.url.render_as_string(hide_password=False)
    with Exchange() as exchange, Forge(exchange.url, url) as forge:
        yield Killing(exchange, forge, database)


@pytest.mark.slow
def test_a_round_without_a_death_is_in_and_out_again(killing: Killing) -> None:
    told = killing.trade()
    assert told["over"] == 0
    assert "error" not in told
    assert [placed.order.side.value for placed in killing.exchange.orders.values()] == ["BUY", "SELL", "SELL"]
    assert killing.exchange.held == 0
    require_whole(killing, "nobody died")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_once_at_every_named_step(killing: Killing) -> None:
    kill_at_every_step(killing)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_forty_random_points(killing: Killing) -> None:
    kill_at_random_points(killing, 40, seed=3)
