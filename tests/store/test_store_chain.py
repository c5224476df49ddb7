"""The chain names the first place where it was tampered with."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from ffe_core.store import Store
from ffe_core.store.chain import ChainReport, verify
from tests.store.records import decision_id, many, record


def tamper(store: Store, *statements: str) -> ChainReport:
    """What verifying finds after someone with the database's password has had a hand in it."""
    with store.database.engine.connect() as connection:
        if store.database.is_sqlite:
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            guards = [f"DROP TRIGGER {name}" for name in names]
        else:
            guards = ["SET session_replication_role = replica"]
        for statement in (*guards, *statements):
            connection.execute(text(statement))
        connection.commit()
        connection.invalidate()
    return verify(store)


@pytest.fixture
def ten(store: Store) -> Store:
    store.append_many([record(number) for number in range(10)])
    return store


def test_a_new_store_verifies(store: Store) -> None:
    assert verify(store) == ChainReport(0, 0, "0" * 64)


def test_a_whole_chain_verifies_and_names_its_head(ten: Store) -> None:
    assert verify(ten) == ChainReport(10, 0, ten.head()[1])


def test_a_changed_record_is_named(ten: Store) -> None:
    report = tamper(ten, "UPDATE decisions SET record = replace(record, 'agrees', 'doubts') WHERE seq = 4")

    assert report.broken is not None
    assert (report.broken.seq, report.broken.id, report.checked) == (4, decision_id(3), 3)
    assert "hash was made of" in report.broken.why


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ("action = 'HOLD'", "action"),
        ("confidence = 99", "confidence"),
        ("asset_pair = 'ETHUSD'", "asset_pair"),
        ("mode = 'live'", "mode"),
        ("vetoed = NOT vetoed", "vetoed"),
        ("synthetic = NOT synthetic", "synthetic"),
        ("id = '00000000-0000-4000-8000-000000000000'", "id"),
        ("as_of = created_at", "as_of"),
    ],
)
def test_a_column_that_contradicts_its_record_is_named(ten: Store, change: str, column: str) -> None:
    report = tamper(ten, f"UPDATE decisions SET {change} WHERE seq = 4")

    assert report.broken is not None
    assert report.broken.seq == 4
    assert f"column {column} " in report.broken.why


def test_a_record_taken_out_of_the_middle_is_missed(ten: Store) -> None:
    report = tamper(ten, "DELETE FROM decisions WHERE seq = 6")

    assert report.broken is not None
    assert (report.broken.seq, report.broken.id) == (6, None)
    assert "missing" in report.broken.why


def test_a_truncated_tail_is_missed(ten: Store) -> None:
    report = tamper(ten, "DELETE FROM decisions WHERE seq > 8")

    assert report.broken is not None
    assert report.broken.seq == 9
    assert "newest 2 of 10 records are missing" in report.broken.why


def test_an_emptied_table_is_missed(ten: Store) -> None:
    report = tamper(ten, "DELETE FROM decisions")

    assert report.broken is not None
    assert report.broken.seq == 1


def test_records_that_changed_places_are_noticed(ten: Store) -> None:
    report = tamper(
        ten,
        "UPDATE decisions SET seq = 100 WHERE seq = 3",
        "UPDATE decisions SET seq = 3 WHERE seq = 4",
        "UPDATE decisions SET seq = 4 WHERE seq = 100",
    )

    assert report.broken is not None
    assert report.broken.seq == 3
    assert "does not follow the record before it" in report.broken.why


def test_a_record_added_behind_the_head_is_noticed(ten: Store) -> None:
    report = tamper(ten, "UPDATE chain_head SET seq = 9")

    assert report.broken is not None
    assert "head counts 9 records, there are 10" in report.broken.why


def test_a_head_with_another_hash_is_noticed(ten: Store) -> None:
    report = tamper(
        ten,
        "UPDATE chain_head SET hash = repeat('a', 64)"
        if not ten.database.is_sqlite
        else "UPDATE chain_head SET hash = 'a'",
    )

    assert report.broken is not None
    assert "different hashes" in report.broken.why


def test_a_head_that_is_gone_is_noticed(ten: Store) -> None:
    report = tamper(ten, "DELETE FROM chain_head")

    assert report.broken is not None
    assert "head is missing" in report.broken.why


def test_a_forged_checkpoint_is_noticed(ten: Store) -> None:
    ten.retain(keep=4)

    report = tamper(ten, "UPDATE checkpoints SET hash = 'b'")

    assert report.broken is not None
    assert report.broken.seq == 7
    assert "does not follow the checkpoint" in report.broken.why


def test_a_checkpoint_that_was_taken_away_is_noticed(ten: Store) -> None:
    ten.retain(keep=4)

    report = tamper(ten, "DELETE FROM checkpoints")

    assert report.broken is not None
    assert (report.broken.seq, report.broken.id) == (1, None)


def test_a_forged_checkpoint_of_a_wiped_store_is_noticed(ten: Store) -> None:
    ten.wipe()

    report = tamper(ten, "UPDATE checkpoints SET hash = 'b'")

    assert report.broken is not None
    assert "the checkpoint name different hashes" in report.broken.why


def test_verifying_streams_more_than_a_page(store: Store) -> None:
    store.append_many(many(1201))

    assert verify(store).checked == 1201
