from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Effect, Fill, Mode, OrderReport, OrderState, SafetyRefusal, Side, StoreError
from ffe_core.domain.ledger import LedgerKey
from ffe_core.execution.journal import Journal, client_order_id
from ffe_core.testing import make_order

KEY = LedgerKey(Mode.PAPER, "fake", "main", False)
S = OrderState


@pytest.fixture
def journal(database):
    return Journal(database)


def order(leg="entry", **changes):
    made = make_order(client_order_id=client_order_id("d1", leg), decision_id="d1", leg=leg)
    return replace(made, prepared={"product": "BTC-USD"}, **changes)


def fill(order, number=1, quantity="0.1", **changes):
    made = Fill(
        "fake", f"f{number}", order.client_order_id, order.asset, order.side, Decimal(quantity), Decimal(20_000),
        Decimal("2.0"), "USD", order.created_at + timedelta(seconds=number),
    )  # fmt: skip
    return replace(made, **changes)


def report(order, state, *fills, filled="0", **changes):
    made = OrderReport(order.client_order_id, "v-1", state, Decimal(filled), Decimal(20_000), fills)
    return replace(made, **changes)


def states(journal, order):
    return [event.state for event in journal.get(order.client_order_id).events]


def sent(journal, made=None):
    made = made or order()
    journal.intend(made, KEY)
    journal.sent(made.client_order_id)
    return made


def test_the_same_decision_and_leg_have_the_same_id_everywhere():
    # RFC 9562 name-based ids: checked with `uuidgen --sha1 --namespace <ours> --name d1:entry`.
    assert client_order_id("d1", "entry") == client_order_id("d1", "entry")
    assert len({client_order_id("d1", "entry"), client_order_id("d1", "exit"), client_order_id("d2", "entry")}) == 3
    assert client_order_id("d1", "entry")[14] == "5"


def test_an_intent_is_there_before_anything_is_sent_and_as_it_was_meant(journal):
    made = order()
    journal.intend(made, KEY)
    held = journal.get(made.client_order_id)
    assert held.order == made
    assert held.key == KEY
    assert held.state is S.INTENT
    assert held.sent_at is None


def test_one_order_is_meant_once(journal):
    journal.intend(order(), KEY)
    with pytest.raises(SafetyRefusal, match="in the journal already, INTENT"):
        journal.intend(order(), KEY)


def test_an_order_is_sent_once(journal):
    made = sent(journal)
    with pytest.raises(StoreError, match="sent once"):
        journal.sent(made.client_order_id)


@pytest.mark.parametrize("state", [S.INTENT, S.SENT, S.UNKNOWN])
def test_while_an_outcome_is_not_known_nothing_more_is_opened_in_that_asset(journal, state):
    made = order()
    journal.intend(made, KEY)
    if state is not S.INTENT:
        journal.sent(made.client_order_id)
    if state is S.UNKNOWN:
        journal.doubt(made.client_order_id, "timed out")
    other = replace(order(), client_order_id=client_order_id("d2", "entry"), decision_id="d2")
    with pytest.raises(SafetyRefusal, match="nobody knows what became of"):
        journal.intend(other, KEY)
    # Elsewhere, in other accounts and on the way out, one may.
    journal.intend(replace(other, client_order_id="eth", asset=make_order(asset="ETHUSD").asset), KEY)
    journal.intend(replace(other, client_order_id="there"), replace(KEY, account="second"))
    journal.intend(replace(other, client_order_id="out", side=Side.SELL, effect=Effect.CLOSE, reduce_only=True), KEY)


def test_doubt_is_left_only_by_the_venues_word(journal):
    made = sent(journal)
    journal.doubt(made.client_order_id, "timed out")
    journal.doubt(made.client_order_id, "timed out again")
    assert states(journal, made) == [S.INTENT, S.SENT, S.UNKNOWN]
    journal.heard(report(made, S.FILLED, fill(made), filled="0.1"))
    assert journal.get(made.client_order_id).state is S.FILLED


def test_a_refusal_and_a_no_are_ends(journal):
    made = sent(journal)
    journal.refused(made.client_order_id, "insufficient funds")
    assert journal.get(made.client_order_id).state is S.REJECTED
    assert journal.open() == []
    again = replace(order(), client_order_id="x", decision_id="d3")
    journal.intend(again, KEY)
    journal.not_placed("x", "never sent")
    assert journal.get("x").state is S.NOT_PLACED
    assert journal.get("x").events[-1].reason == "never sent"


def test_a_report_that_comes_twice_or_late_changes_nothing(journal):
    made = sent(journal)
    part = report(made, S.PARTIAL, fill(made, 1), filled="0.1")
    full = report(made, S.FILLED, fill(made, 1), fill(made, 2), filled="0.2")
    assert len(journal.heard(part)) == 1
    assert len(journal.heard(full)) == 1
    before = journal.get(made.client_order_id)
    for late in (part, full, report(made, S.ACCEPTED), report(made, S.CANCELLED)):
        assert journal.heard(late) == []
    assert journal.get(made.client_order_id) == before
    assert before.filled == Decimal("0.2")
    assert len(journal.fills(made.client_order_id)) == 2


def test_fills_that_come_after_a_cancellation_are_booked(journal):
    made = sent(journal)
    journal.heard(report(made, S.CANCELLED))
    journal.heard(report(made, S.CANCELLED, fill(made), filled="0.1"))
    held = journal.get(made.client_order_id)
    assert (held.state, held.filled) == (S.CANCELLED, Decimal("0.1"))


def test_a_late_acceptance_of_what_was_thought_lost_counts(journal):
    made = sent(journal)
    journal.not_placed(made.client_order_id, "the venue did not show it")
    journal.heard(report(made, S.FILLED, fill(made), filled="0.1"))
    assert journal.get(made.client_order_id).state is S.FILLED


def test_a_fill_that_changes_its_story_is_refused_and_nothing_of_the_report_is_booked(journal):
    made = sent(journal)
    journal.heard(report(made, S.PARTIAL, fill(made), filled="0.1"))
    lying = report(made, S.FILLED, fill(made, price=Decimal(1)), fill(made, 2), filled="0.2")
    with pytest.raises(StoreError, match="another content"):
        journal.heard(lying)
    assert journal.get(made.client_order_id).state is S.PARTIAL
    assert len(journal.fills()) == 1


def test_open_orders_are_those_without_an_end_of_one_account(journal):
    ours = sent(journal)
    there = replace(order("x"), client_order_id="there")
    journal.intend(there, replace(KEY, account="second"))
    assert [entry.order.client_order_id for entry in journal.open(KEY)] == [ours.client_order_id]
    assert len(journal.open()) == 2


def test_fills_are_read_from_where_they_were_read_to(journal):
    made = sent(journal)
    asked = []

    def venue(since):
        asked.append(since)
        return [fill(made, len(asked))], f"cursor-{len(asked)}"

    assert len(journal.read_fills(KEY, venue)) == 1
    assert len(journal.read_fills(KEY, venue)) == 1
    journal.read_fills(replace(KEY, account="second"), venue)
    assert asked == [None, "cursor-1", None]


def test_rows_of_the_journal_cannot_be_changed(journal, database):
    made = sent(journal)
    for statement in (
        "UPDATE orders SET leg = 'x'",
        "DELETE FROM orders",
        "UPDATE order_events SET state = 'FILLED'",
        "DELETE FROM order_events",
    ):
        with pytest.raises(StoreError, match="immutable"), database.writing() as connection:
            connection.exec_driver_sql(statement)
    assert states(journal, made) == [S.INTENT, S.SENT]


def test_an_order_that_is_not_there_is_told(journal):
    with pytest.raises(StoreError, match="not in the journal"):
        journal.sent("nobody")
