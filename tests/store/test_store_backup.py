"""Backups are whole while others write, and nothing replaces the store before it has proved whole itself."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from ffe_core.domain.decisions import OutcomeKind
from ffe_core.domain.trading import Fill, Mode
from ffe_core.errors import StoreError, UsageError, VerificationFailed
from ffe_core.execution.journal import Journal
from ffe_core.store import Database, LedgerEntry, LedgerKey, Store
from ffe_core.store.backup import back_up, restore
from ffe_core.store.chain import verify
from ffe_core.store.copy import copy_store, ready_target, row_count
from ffe_core.store.risk import Mark, Promise
from ffe_core.store.tables import HEAD
from ffe_core.testing import make_order
from tests.store.records import START, decision_id, many, outcome, record
from tests.store.test_store_database import migrated

KEY = LedgerKey(Mode.PAPER, "paper", "Äöü", True)


@pytest.fixture
def filled(store: Store) -> Store:
    """Every table with rows: seven decisions of which two were removed, events, a ledger, outcomes."""
    store.append_many([record(number) for number in range(7)])
    store.add_event(decision_id(5), "approved", {"by": "me"})
    store.add_event(decision_id(5), "executed")
    store.retain(keep=5)
    entry = LedgerEntry(START, "deposit", Decimal("10000.000000000000000001"), "USD")
    store.ledger.append(KEY, [entry, replace(entry, kind="fee", price=Decimal("1.10"), fill_id="f")])
    store.ledger.append(replace(KEY, account="Zeta"), [entry])
    store.record_outcomes([outcome(number) for number in range(3)])
    trade(store)
    return store


def contents(store: Store) -> list[object]:
    return [
        store.head(),
        [(one.text, one.hash, store.get(one.id).events) for one in store.newest(100)],
        store.ledger.read(KEY),
        store.ledger.read(replace(KEY, account="Zeta")),
        store.outcomes(),
    ]


def test_a_backup_restores_to_the_same_contents(filled: Store, tmp_path: Path) -> None:
    made = back_up(filled.database, tmp_path / "backup.db")

    other = Database.at(None, tmp_path / "other")
    restored = restore(other, made.path)

    assert restored.kept is None
    assert made.chain == restored.chain == verify(filled)
    with Database.open(None, tmp_path / "other") as database:
        assert contents(Store(database)) == contents(filled)
    assert made.path.stat().st_mode & 0o077 == 0


def test_a_backup_never_overwrites(sqlite_store: Store, tmp_path: Path) -> None:
    (tmp_path / "backup.db").write_text("precious")

    with pytest.raises(UsageError, match="already there"):
        back_up(sqlite_store.database, tmp_path / "backup.db")
    with pytest.raises(UsageError, match="no folder"):
        back_up(sqlite_store.database, tmp_path / "missing" / "backup.db")

    assert (tmp_path / "backup.db").read_text() == "precious"


def test_a_backup_during_writes_is_a_whole_chain(sqlite_store: Store, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            sqlite_store.append_many(many(5, first=number))
            number += 5

    writer = threading.Thread(target=write)
    writer.start()
    try:
        made = [back_up(sqlite_store.database, tmp_path / f"{n}.db") for n in range(5)]
    finally:
        stop.set()
        writer.join()

    assert all(one.chain.ok and one.chain.checked % 5 == 0 for one in made)
    assert verify(sqlite_store).ok


def test_restoring_keeps_what_was_there(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.append(record(0))
    made = back_up(sqlite_store.database, tmp_path / "backup.db")
    sqlite_store.append(record(1))
    before = contents(sqlite_store)
    sqlite_store.close()

    restored = restore(sqlite_store.database, made.path)

    assert sqlite_store.count() == 1
    assert restored.kept is not None
    with Database.open(str(restored.kept)) as kept:
        assert contents(Store(kept)) == before
    assert sorted(path.name for path in (tmp_path / "data").iterdir() if "restoring" in path.name) == []


def test_a_store_in_use_is_not_replaced(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.append(record(0))
    made = back_up(sqlite_store.database, tmp_path / "backup.db")
    other = sqlite3.connect(tmp_path / "data" / "ffe.db")
    other.execute("SELECT count(*) FROM decisions").fetchone()

    with pytest.raises(StoreError, match="in use"):
        restore(sqlite_store.database, made.path)

    other.close()
    assert sqlite_store.count() == 1


def test_a_damaged_store_is_replaced_and_kept(tmp_path: Path) -> None:
    with Database.open(None, tmp_path / "data") as database:
        Store(database).append(record(0))
        made = back_up(database, tmp_path / "backup.db")
    (tmp_path / "data" / "ffe.db").write_bytes(b"\0garbage" * 500)

    restored = restore(database, made.path)

    assert restored.kept is not None
    assert restored.kept.read_bytes().startswith(b"\0garbage")
    with Database.open(None, tmp_path / "data") as again:
        assert Store(again).count() == 1


def test_a_broken_chain_is_not_restored(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.append_many([record(number) for number in range(3)])
    made = back_up(sqlite_store.database, tmp_path / "backup.db")
    with sqlite3.connect(made.path) as forged:
        forged.execute("DROP TRIGGER decisions_no_update")
        forged.execute("UPDATE decisions SET record = replace(record, 'agrees', 'doubts') WHERE seq = 2")
    forged.close()

    with pytest.raises(VerificationFailed, match="record 2"):
        restore(sqlite_store.database, made.path)

    assert sqlite_store.count() == 3


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty", "foreign"])
def test_a_damaged_backup_is_not_restored(sqlite_store: Store, tmp_path: Path, damage: str) -> None:
    sqlite_store.append_many(many(40))
    path = back_up(sqlite_store.database, tmp_path / "backup.db").path
    whole = path.read_bytes()
    if damage == "foreign":
        path.unlink()
        with sqlite3.connect(path) as foreign:
            foreign.execute("CREATE TABLE songs (title TEXT)")
        foreign.close()
    else:
        half = len(whole) // 2
        path.write_bytes(
            {
                "truncated": whole[:half],
                "flipped": whole[:half] + bytes(4096) + whole[half + 4096 :],
                "text": b"dear diary" * 100,
                "empty": b"",
            }[damage]
        )

    with pytest.raises((StoreError, VerificationFailed)):
        restore(sqlite_store.database, path)

    assert verify(sqlite_store).checked == 40


def test_the_backup_itself_is_only_read(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.append(record(0))
    made = back_up(sqlite_store.database, tmp_path / "backup.db")
    before = made.path.read_bytes()

    restore(sqlite_store.database, made.path)

    assert made.path.read_bytes() == before


def test_the_store_cannot_be_restored_from_itself(sqlite_store: Store) -> None:
    assert sqlite_store.database.path is not None
    with pytest.raises(UsageError, match="itself"):
        restore(sqlite_store.database, sqlite_store.database.path)


def test_a_backup_of_an_older_schema_is_upgraded_on_the_way(tmp_path: Path) -> None:
    with migrated(tmp_path / "old" / "ffe.db", "0001") as old:
        stored = Store(old).append(record(0))
    shutil.copy(tmp_path / "old" / "ffe.db", tmp_path / "backup.db")

    restore(Database.at(None, tmp_path / "data"), tmp_path / "backup.db")

    with Database.open(None, tmp_path / "data") as database:
        assert database.version() == HEAD
        assert Store(database).get(stored.id).hash == stored.hash


def trade(store: Store) -> None:
    """An order with its events, its fill, and how far fills were read."""
    order = make_order(client_order_id="o-1")
    journal = Journal(store.database)
    journal.intend(order, KEY)
    journal.sent("o-1")
    fill = Fill("v", "f", "o-1", order.asset, order.side, Decimal("0.1"), Decimal("2.50"), Decimal(0), "USD", START)
    journal.read_fills(KEY, lambda _since: ([fill], "7"))


@pytest.mark.slow
def test_copying_to_postgresql_and_back_gives_equal_rows(
    sqlite_store: Store, postgres_url: str, tmp_path: Path
) -> None:
    sqlite_store.append_many(many(1203))
    sqlite_store.add_event(decision_id(700), "executed", {"quantity": "0.1"})
    sqlite_store.retain(keep=1001)
    entry = LedgerEntry(START, "deposit", Decimal("10000.000000000000000001"), "USD")
    for account in ("Zeta", "alpha", "Äöü", "a-b", "ab"):
        sqlite_store.ledger.append(replace(KEY, account=account), [entry, replace(entry, kind="fee")])
    sqlite_store.record_outcomes([outcome(0), outcome(1, gross_return=-0.0), outcome(0, kind=OutcomeKind.TRADE)])
    trade(sqlite_store)
    sqlite_store.states.append("", "HALTED", "drill")
    sqlite_store.states.append("BTCUSD", "REDUCING", "no stop ✓")
    sqlite_store.marks.append(KEY, Mark(START, Decimal("10000.000000000000000001"), None))
    exposed = Promise("d", "BTCUSD", "BTC", "USD", "crypto", Decimal("0.10"), START, START + timedelta(minutes=5))
    sqlite_store.reservations.add(KEY, exposed, list)
    heard: list[int] = []

    with Database.at(postgres_url) as server, Database.open(None, tmp_path / "back") as back:
        ready_target(server)
        there = copy_store(sqlite_store.database, server, progress=heard.append)
        again = copy_store(server, back)

        assert all(one.equal for one in there)
        assert there == again
        assert {one.table: one.rows for one in there} == {
            "checkpoints": 1,
            "decisions": 1001,
            "decision_events": 1,
            "ledger_entries": 10,
            "outcomes": 3,
            "orders": 1,
            "order_events": 3,
            "fills": 1,
            "venue_cursors": 1,
            "trading_states": 2,
            "equity_marks": 1,
            "reservations": 1,
            "chain_head": 1,
        }
        assert sum(heard) == row_count(server) == 1026
        assert verify(Store(server)) == verify(Store(back)) == verify(sqlite_store)
        Store(server).append(record(5000))
        assert verify(Store(server)).ok


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousand_decisions_arrive_equal_on_postgresql(sqlite_store: Store, postgres_url: str) -> None:
    sqlite_store.append_many(many(100_000))

    with Database.at(postgres_url) as server:
        ready_target(server)
        copied = copy_store(sqlite_store.database, server)

        assert all(one.equal for one in copied)
        assert Store(server).count() == 100_000
        assert verify(Store(server)) == verify(sqlite_store)


def test_a_store_that_holds_anything_is_no_target(filled: Store, tmp_path: Path) -> None:
    with Database.open(None, tmp_path / "source") as source:
        with pytest.raises(UsageError, match="already holds"):
            copy_store(source, filled.database)
        with pytest.raises(UsageError, match="same store"):
            copy_store(source, source)


def test_a_copy_that_reads_back_otherwise_is_undone(sqlite_store: Store, tmp_path: Path) -> None:
    sqlite_store.append(record(0))
    with Database.open(None, tmp_path / "other") as other:
        with other.engine.connect() as connection:
            connection.execute(
                text(
                    "CREATE TRIGGER bad AFTER INSERT ON decisions BEGIN "
                    "INSERT INTO decision_events "
                    "VALUES (NEW.seq, 1, 'approved', '2025-01-01T00:00:00.000000Z', '{}'); END"
                )
            )

        with pytest.raises(VerificationFailed, match="decision_events"):
            copy_store(sqlite_store.database, other)

        assert Store(other).count() == 0
