"""Decisions go in once, come out whole, and are found by id, by recency and by asset."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from sqlalchemy import text

from ffe_core.domain.codec import canonical_json
from ffe_core.errors import SafetyRefusal, StoreError, UsageError
from ffe_core.store import Store
from ffe_core.store.chain import verify
from tests.store.records import START, decision, decision_id, many, record


def test_a_decision_comes_back_equal_with_its_place_in_the_chain(store: Store) -> None:
    stored = store.append(record(0))

    found = store.get(stored.id)

    assert found.decision == decision(0, hash=stored.hash, previous_hash="0" * 64)
    assert found.inputs == {"clock": "2025-03-01T00:00:00Z"}
    assert found.decision.position_size == Decimal("0.123456789012345678")


def test_the_stored_text_is_the_canonical_json_without_hashes(store: Store) -> None:
    given = record(0)
    stored = store.append({**given, "decision": {**given["decision"], "hash": "x", "previous_hash": "y"}})

    del given["decision"]["hash"], given["decision"]["previous_hash"]
    assert store.get(stored.id).text.encode() == canonical_json(given)


def test_each_hash_covers_the_hash_before_and_the_record(store: Store) -> None:
    import hashlib

    first, second = store.append_many([record(0), record(1)])

    text_of_second = store.get(second.id).text
    assert second.previous_hash == first.hash
    assert second.hash == hashlib.sha256(first.hash.encode() + text_of_second.encode()).hexdigest()
    assert store.head() == (2, second.hash)


def test_a_batch_that_was_prepared_is_linked_again_where_another_came_first(store: Store) -> None:
    batch = store.prepare([record(1), record(2)])
    between = store.append(record(0))

    stored = store.append_prepared(batch)

    assert stored[0].previous_hash == between.hash
    assert verify(store).checked == 3


def test_more_records_than_a_batch_holds_are_all_stored(store: Store) -> None:
    stored = store.append_many(many(2300))

    assert store.count() == len(stored) == 2300
    assert verify(store).ok


def test_one_bad_record_among_many_stores_none(store: Store) -> None:
    with pytest.raises(StoreError):
        store.append_many([record(0), record(1), record(0)])

    assert store.count() == 0
    assert store.head() == (0, "0" * 64)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "7"},
        {"id": "AAAAAAAA-AAAA-4AAA-8AAA-AAAAAAAAAAAA"},
        {"id": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
        {"as_of": "yesterday"},
        {"as_of": "2025-03-01T00:00:00"},
        {"market": None},
        {"confidence": float("nan")},
    ],
)
def test_what_is_no_decision_record_is_refused(store: Store, changes: dict[str, object]) -> None:
    given = record(0)

    with pytest.raises((ValueError, StoreError)):
        store.append({**given, "decision": {**given["decision"], **changes}})

    assert store.count() == 0


def test_a_record_without_a_needed_field_is_refused_by_name(store: Store) -> None:
    given = record(0)
    del given["decision"]["effect"]

    with pytest.raises(ValueError, match="effect"):
        store.append(given)


def test_latest_gives_the_newest_first_and_only_the_asset_asked_for(store: Store) -> None:
    store.append_many([record(number) for number in range(9)])

    assert [row.id for row in store.latest(3)] == [decision_id(8), decision_id(7), decision_id(6)]
    ethereum = store.latest(10, "ETHUSD")
    assert [row.id for row in ethereum] == [decision_id(7), decision_id(4), decision_id(1)]
    assert store.latest(10, "SOLUSD") == []
    assert store.count("ETHUSD") == 3


def test_a_summary_says_what_the_record_says(store: Store) -> None:
    store.append(record(4, vetoed=True, signal_only=True))

    (row,) = store.latest(1)

    made = decision(4)
    assert (row.id, row.as_of, row.created_at) == (made.id, made.as_of, made.created_at)
    assert (row.asset_pair, row.action, row.confidence) == ("ETHUSD", made.action, 80)
    assert (row.mode, row.effect) == ("paper", made.effect)
    assert (row.vetoed, row.signal_only, row.synthetic, row.executed) == (True, True, False, False)


def test_a_limit_below_one_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="limit"):
        store.latest(0)


def test_the_beginning_of_an_id_is_enough_while_only_one_begins_so(store: Store) -> None:
    wanted = "aaaaaaaa-1111-4111-8111-111111111111"
    other = "aaaaaaab-1111-4111-8111-111111111111"
    store.append_many([record(0, id=wanted), record(1, id=other)])

    assert store.get("aaaaaaaa").id == wanted
    assert store.get(" AAAAAAAA-1").id == wanted
    with pytest.raises(UsageError, match="more than one") as ambiguous:
        store.get("aaaa")
    assert wanted in (ambiguous.value.hint or "")
    assert other in (ambiguous.value.hint or "")


@pytest.mark.parametrize("name", ["", "%", "f", "not-an-id", "aaaaaaaa-1111-4111-8111-111111111111x", "' OR 1=1"])
def test_an_id_that_nothing_has_is_a_usage_error(store: Store, name: str) -> None:
    store.append(record(0, id="aaaaaaaa-1111-4111-8111-111111111111"))

    with pytest.raises(UsageError) as error:
        store.get(name)

    assert error.value.exit_code == 2


def test_events_are_kept_in_order_and_mark_a_decision_executed(store: Store) -> None:
    stored = store.append(record(0))

    store.add_event(stored.id, "approved", {"by": "me"})
    store.add_event(stored.id[:8], "executed", {"quantity": "0.1"})

    found = store.get(stored.id)
    assert [(event.kind, event.at, event.detail) for event in found.events] == [
        ("approved", START, {"by": "me"}),
        ("executed", START, {"quantity": "0.1"}),
    ]
    assert found.executed
    assert store.latest(1)[0].executed


def test_a_decision_is_executed_once(store: Store) -> None:
    stored = store.append(record(0))
    store.add_event(stored.id, "executed")

    with pytest.raises(SafetyRefusal, match="already executed"):
        store.add_event(stored.id, "executed")


def test_an_event_of_another_kind_is_refused(store: Store) -> None:
    stored = store.append(record(0))

    with pytest.raises(ValueError, match="dropped"):
        store.add_event(stored.id, "dropped")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET action = 'SELL'",
        "UPDATE decisions SET record = '{}'",
        "DELETE FROM decisions",
        "DELETE FROM decisions WHERE seq = 2",
        "UPDATE decision_events SET kind = 'modified'",
        "DELETE FROM decision_events",
        "UPDATE checkpoints SET hash = ''",
        "DELETE FROM checkpoints",
    ],
)
def test_the_database_itself_refuses_to_change_what_was_decided(store: Store, statement: str) -> None:
    store.append_many([record(number) for number in range(5)])
    store.add_event(decision_id(4), "executed")
    store.retain(keep=4)

    with (
        pytest.raises(StoreError, match=r"immutable|checkpoint|with their decision"),
        store.database.writing() as open_,
    ):
        open_.execute(text(statement))

    assert store.count() == 4
    assert verify(store).ok


def test_postgresql_refuses_to_empty_a_table_as_well(postgres_store: Store) -> None:
    postgres_store.append(record(0))

    with pytest.raises(StoreError, match="immutable"), postgres_store.database.writing() as open_:
        open_.execute(text("TRUNCATE decisions CASCADE"))


def test_hostile_text_comes_back_as_it_was(store: Store) -> None:
    hostile = "line\nnul\x00 \x1b[31m '; DROP TABLE decisions; -- \u2028 🚀 \\u0000 %s :name"
    stored = store.append(record(0, reasoning=hostile, inputs={"reply": hostile}))

    found = store.get(stored.id)

    assert found.decision.reasoning == found.inputs["reply"] == hostile


def test_a_newer_schema_of_the_record_does_not_hinder_reading_the_text(store: Store) -> None:
    given = record(0)
    given["decision"]["mood"] = "good"
    stored = store.append(given)

    found = store.get(stored.id)

    assert json.loads(found.text)["decision"]["mood"] == "good"
    with pytest.raises(StoreError, match="mood"):
        _ = found.decision


# Retention


def test_keep_leaves_the_newest_and_the_chain_goes_on_from_the_checkpoint(store: Store) -> None:
    store.append_many([record(number) for number in range(10)])
    store.add_event(decision_id(2), "executed")

    removal = store.retain(keep=3)
    store.append(record(10))

    assert (removal.decisions, removal.upto, removal.remaining) == (7, 7, 3)
    assert [row.id for row in store.latest(10)] == [decision_id(number) for number in (10, 9, 8, 7)]
    report = verify(store)
    assert (report.ok, report.checked, report.removed) == (True, 4, 7)


def test_a_dry_run_removes_nothing_and_counts_the_same(store: Store) -> None:
    store.append_many([record(number) for number in range(10)])

    planned = store.retain(keep=3, dry_run=True)

    assert store.count() == 10
    done = store.retain(keep=3)
    assert (planned.decisions, planned.bytes, planned.upto) == (done.decisions, done.bytes, done.upto)
    assert (planned.done, done.done) == (False, True)


def test_age_counts_from_the_clock_and_removes_a_whole_prefix_only(store: Store) -> None:
    from datetime import timedelta

    ages = [40, 35, 5, 33, 1]
    store.append_many([record(n, created_at=START - timedelta(days=age)) for n, age in enumerate(ages)])

    removal = store.retain(older_than=30)

    assert removal.decisions == 2
    assert [row.id for row in store.latest(10)] == [decision_id(number) for number in (4, 3, 2)]


def test_everything_older_than_the_limit_may_go(store: Store) -> None:
    from datetime import timedelta

    store.append_many([record(n, created_at=START - timedelta(days=40)) for n in range(3)])

    assert store.retain(older_than=30).remaining == 0


def test_size_removes_the_oldest_until_the_rest_fits(store: Store) -> None:
    store.append_many([record(number) for number in range(10)])
    sizes = [len(stored.text.encode()) for stored in store.newest(10)]
    room = sum(sizes[:4]) + 10

    removal = store.retain(max_bytes=room)

    assert removal.remaining == 4
    assert store.retain(max_bytes=room).decisions == 0


def test_the_strictest_limit_wins(store: Store) -> None:
    store.append_many([record(number) for number in range(10)])

    assert store.retain(keep=2, older_than=3650).remaining == 2


def test_a_wipe_reports_the_count_and_the_chain_goes_on(store: Store) -> None:
    last = store.append_many([record(number) for number in range(5)])[-1]

    removal = store.wipe()

    assert (removal.decisions, store.count(), verify(store).ok) == (5, 0, True)
    assert store.wipe().decisions == 0
    assert store.append(record(9)).previous_hash == last.hash
    assert verify(store).checked == 1


def test_removing_up_to_a_number_takes_all_before_it(store: Store) -> None:
    store.append_many([record(number) for number in range(5)])

    store.remove_first(3)

    assert [row.id for row in store.latest(9)] == [decision_id(4), decision_id(3)]
    with pytest.raises(UsageError):
        store.get(decision_id(0))


def test_a_negative_limit_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="keep"):
        store.retain(keep=-1)
