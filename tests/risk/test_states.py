"""Trading states: what holds, for whom, and what an order may still do."""

import pytest
from sqlalchemy import text

from ffe_core import Effect, SafetyRefusal, StoreError, TradingState, UsageError
from ffe_core.risk.states import TradingStates
from ffe_core.store import Database, Store
from tests.risk.builders import BTC
from tests.risk.test_gate import ETH


@pytest.fixture
def states(store):
    return TradingStates(store.states)


def test_a_new_store_is_active(states):
    assert states.current(BTC).state is TradingState.ACTIVE
    assert states.all() == []


def test_the_strictest_of_the_general_state_and_that_of_the_asset_holds(states):
    states.reduce("stop could not be placed", BTC)
    assert states.current(BTC).state is TradingState.REDUCING
    assert states.current(ETH).state is states.current().state is TradingState.ACTIVE
    states.halt("something is wrong")
    assert [states.current(asset).state for asset in (BTC, ETH, None)] == [TradingState.HALTED] * 3
    assert str(states.current(ETH)).startswith("trading is HALTED: something is wrong (since 20")


def test_arming_everything_leaves_what_was_stopped_for_one_asset(states):
    states.reduce("no stop", BTC)
    states.halt("drill")
    states.arm("drill over")
    assert states.current(ETH).state is TradingState.ACTIVE
    assert states.current(BTC).reason == "no stop"
    assert [standing.asset for standing in states.all()] == ["BTCUSD"]
    states.arm("stop is in place", BTC)
    assert states.all() == []


def test_every_change_needs_a_reason_and_stays_on_record(states, store):
    with pytest.raises(UsageError, match="reason"):
        states.halt("  \n")
    states.halt("one\nline")
    states.arm("over")
    assert [(entry.state, entry.reason) for entry in store.states.history()] == [
        ("HALTED", "one line"),
        ("ACTIVE", "over"),
    ]


@pytest.mark.parametrize("statement", ["UPDATE trading_states SET state = 'ACTIVE'", "DELETE FROM trading_states"])
def test_changes_are_never_taken_back(states, store, statement):
    states.halt("drill")
    with pytest.raises(StoreError, match="immutable"), store.database.writing() as connection:
        connection.execute(text(statement))


ENTRY, EXIT, REDUCE = Effect.OPEN_LONG, Effect.CLOSE, Effect.REDUCE


@pytest.mark.parametrize(
    ("change", "effect", "by_hand", "sent"),
    [
        ("arm", ENTRY, False, True),
        ("arm", EXIT, False, True),
        ("reduce", ENTRY, False, False),
        ("reduce", Effect.ADD_LONG, False, False),
        ("reduce", Effect.OPEN_SHORT, True, False),
        ("reduce", EXIT, False, True),
        ("reduce", REDUCE, False, True),
        ("halt", ENTRY, False, False),
        ("halt", ENTRY, True, False),
        ("halt", EXIT, False, False),
        ("halt", REDUCE, False, False),
        ("halt", EXIT, True, True),
        ("halt", REDUCE, True, True),
    ],
)
def test_what_may_be_sent_in_each_state(states, change, effect, by_hand, sent):
    getattr(states, change)("drill")
    if sent:
        states.require(effect, BTC, by_hand=by_hand)
    else:
        with pytest.raises(SafetyRefusal, match="drill"):
            states.require(effect, BTC, by_hand=by_hand)


def test_a_state_that_this_version_does_not_know_lets_exits_pass_and_no_entry(sqlite_store):
    with sqlite_store.database.writing() as connection:
        connection.execute(text("PRAGMA ignore_check_constraints = ON"))
        connection.execute(text("INSERT INTO trading_states VALUES (1, '2025-03-01T00:00:00.000000Z', '', 'ODD', 'x')"))
    states = TradingStates(sqlite_store.states)
    with pytest.raises(StoreError, match="ODD"):
        states.current()
    with pytest.raises(SafetyRefusal, match="cannot be read"):
        states.require(ENTRY, BTC)
    states.require(EXIT, BTC)


def test_another_process_sees_the_change_at_once(sqlite_store, tmp_path):
    with Store(Database.open(None, tmp_path / "data")) as other:
        TradingStates(sqlite_store.states).halt("here")
        assert TradingStates(other.states).current(BTC).state is TradingState.HALTED
