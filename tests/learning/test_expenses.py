"""What the asking has cost, beside what it brought: sums worked by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from ffe_core import Action, Decision, Opinion
from ffe_core.learning.expenses import expenses_of
from ffe_core.testing import make_opinion
from tests.store.records import decision, outcome


def call(provider: str, usd: str | None, **changes: object) -> Opinion:
    cost = None if usd is None else Decimal(usd)
    return make_opinion(provider, **{"cost_usd": cost, "tokens_in": 100, "tokens_out": 10, **changes})


def made(number: int, *opinions: Opinion) -> Decision:
    return decision(number, opinions=opinions)


def test_every_call_is_on_its_providers_bill_and_the_dearest_stands_first() -> None:
    first = made(0, call("local", "0", tokens_in=None, tokens_out=None), call("dear", "0.30"), call("near", "0.02"))
    second = made(1, call("near", "0.04"), call("dear", "0.10"))
    found = expenses_of([first, second], [])
    assert [(bill.provider, bill.calls, bill.usd) for bill in found.bills] == [
        ("dear", 2, Decimal("0.40")), ("near", 2, Decimal("0.06")), ("local", 1, Decimal(0)),
    ]  # fmt: skip
    assert [(bill.tokens_in, bill.tokens_out) for bill in found.bills] == [(200, 20), (200, 20), (0, 0)]
    assert (found.usd, found.per_decision, found.unpriced) == (Decimal("0.46"), Decimal("0.23"), 0)


def test_what_is_not_known_is_counted_and_not_guessed() -> None:
    lost = Opinion.failure("dear", "m", "no answer within 30 s")
    found = expenses_of([made(0, call("near", None), lost), made(1, call("near", "0.02"))], [])
    assert {bill.provider: (bill.unpriced, bill.failed) for bill in found.bills} == {"near": (1, 0), "dear": (1, 1)}
    assert (found.unpriced, found.usd) == (1, Decimal("0.02"))


def test_who_was_never_asked_owes_nothing() -> None:
    keyless = Opinion.failure("dear", "m", "plugins.dear.key is not set", asked=False)
    found = expenses_of([made(0, call("near", "0.02"), keyless)], [])
    assert [bill.provider for bill in found.bills] == ["near"]
    assert found.unpriced == 0


def test_trades_pay_for_all_that_was_asked() -> None:
    asked = [made(number, call("dear", "0.25")) for number in range(8)]
    found = expenses_of(asked, [Decimal("12.50"), Decimal("-4.00")])
    assert (found.per_trade, found.pnl, found.pnl_after) == (Decimal(1), Decimal("8.50"), Decimal("6.50"))
    none = expenses_of(asked, [])
    assert (none.per_trade, none.pnl_after) == (None, None)


@pytest.mark.parametrize(
    ("count", "net", "size"), [(40, 0.0025, Decimal(100)), (29, 0.0025, None), (40, -0.001, None), (40, 0.0, None)]
)
def test_a_position_pays_for_a_decision_from_cost_over_edge(count: int, net: float, size: Decimal | None) -> None:
    asked = [made(number, call("dear", "0.25")) for number in range(count)]
    came = [
        outcome(number, action=Action.BUY, price_return=net + 0.0022, cost=0.0022, net_return=net)
        for number in range(count)
    ]
    assert expenses_of(asked, [], came).break_even == size


def test_a_hold_expects_nothing() -> None:
    came = [outcome(number, action=Action.HOLD, price_return=0.1, cost=0.0022) for number in range(40)]
    assert expenses_of([made(0, call("dear", "0.25"))], [], came).board.scored == 0


def test_of_no_decision_nothing_is_said() -> None:
    found = expenses_of([], [])
    assert (found.usd, found.per_decision, found.per_trade, found.break_even) == (Decimal(0), None, None, None)
