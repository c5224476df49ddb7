"""Twelve ways for the line to break around an order: the books end as the exchange's are, and nothing is sent twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ffe_core.store import Database
from tests.execution.exchange import Exchange, Fault
from tests.execution.proofs import Trouble

#: entry, protection and way out
ORDERS = 3


@pytest.fixture
def trouble(database: Database, home: object) -> Iterator[Trouble]:
    with Exchange(seed=5) as exchange:
        yield Trouble(exchange, database.url.render_as_string(hide_password=False))


@pytest.mark.slow
@pytest.mark.parametrize("call", range(ORDERS))
def test_an_order_whose_answer_is_reset_ends_as_the_exchange_has_it(trouble: Trouble, call: int) -> None:
    trouble.run(Fault.RESET_AFTER, call)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", Fault)
def test_every_fault_at_every_order_of_a_round(trouble: Trouble, fault: Fault) -> None:
    for call in range(ORDERS):
        trouble.run(fault, call)
