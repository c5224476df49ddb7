"""Several processes at once, and processes that are killed: nothing that was reported stored is ever missing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from ffe_core.store import Database, LedgerEntry, LedgerKey, Store
from ffe_core.store.chain import verify
from ffe_core.store.tables import HEAD, decisions

ROOT = Path(__file__).resolve().parents[2]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.writer", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=110)
    assert process.returncode == 0, err
    return out.split()


def stored_ids(store: Store) -> set[str]:
    with store.database.reading() as connection:
        return set(connection.execute(select(decisions.c.id)).scalars())


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_that_write_at_once_lose_nothing(database: Database, tmp_path: Path, processes: int) -> None:
    each, go = 40, tmp_path / "go"
    running = [start(url_of(database), number * each, each, go) for number in range(processes)]
    go.touch()
    reported = [one for process in running for one in finish(process)]

    store = Store(database)
    assert len(reported) == processes * each
    assert stored_ids(store) == set(reported)
    report = verify(store)
    assert (report.ok, report.checked) == (True, processes * each)


@pytest.mark.parametrize("processes", [2, pytest.param(8, marks=pytest.mark.slow)])
def test_processes_that_meet_at_a_fresh_store_make_one(tmp_path: Path, processes: int) -> None:
    go, path = tmp_path / "go", tmp_path / "data" / "ffe.db"
    running = [start(path, number * 3, 3, go) for number in range(processes)]
    go.touch()
    reported = [one for process in running for one in finish(process)]

    with Database.open(str(path)) as database:
        assert database.version() == HEAD
        assert stored_ids(Store(database)) == set(reported)
        assert verify(Store(database)).checked == processes * 3
    assert sorted(one.name for one in path.parent.iterdir()) == ["ffe.db", "ffe.db.lock"]


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_a_chain_that_verifies(database: Database) -> None:
    kill_at_random_moments(database, kills=3)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_hundred_writers_that_are_killed_leave_a_chain_that_verifies(database: Database) -> None:
    kill_at_random_moments(database, kills=100)


def kill_at_random_moments(database: Database, *, kills: int) -> None:
    rng = random.Random(7)
    store = Store(database)
    for number in range(kills):
        process = start(url_of(database), number * 10_000, 5_000)
        assert process.stdout is not None
        assert process.stderr is not None
        reported = [process.stdout.readline().strip()]
        time.sleep(rng.uniform(0, 0.08))
        process.send_signal(signal.SIGKILL)
        reported += process.stdout.read().split()
        process.wait()
        process.stdout.close()
        process.stderr.close()

        # A line that the kill cut short is no report.
        told = {one for one in reported if len(one) == 36}
        assert told
        assert told <= stored_ids(store)
        assert verify(store).ok
    if database.is_sqlite:
        with database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA integrity_check").scalar_one() == "ok"


@pytest.mark.slow
def test_two_processes_cannot_spend_the_same_money(database: Database, tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from decimal import Decimal

    from ffe_core.domain.trading import Mode

    key = LedgerKey(Mode.PAPER, "paper", "main", False)
    store = Store(database)
    store.ledger.append(key, [LedgerEntry(datetime(2025, 1, 1, tzinfo=UTC), "deposit", Decimal(100), "USD")])
    spend = (
        "import sys; from datetime import UTC, datetime; from decimal import Decimal\n"
        "from ffe_core.domain.trading import Mode; from ffe_core.store import *\n"
        "key = LedgerKey(Mode.PAPER, 'paper', 'main', False)\n"
        "with Store(Database.open(sys.argv[1], patience=60)) as store:\n"
        "    for _ in range(30):\n"
        "        with store.ledger.locked(key) as book:\n"
        "            if sum(entry.amount for entry in book.entries()) >= 3:\n"
        "                book.append([LedgerEntry(datetime(2025, 1, 1, tzinfo=UTC), 'spent', Decimal(-3), 'USD')])\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", spend, url_of(database)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in running:
        _, err = process.communicate(timeout=110)
        assert process.returncode == 0, err

    entries = store.ledger.read(key)
    assert sum(entry.amount for entry in entries) == 1
    assert [entry.seq for entry in entries] == list(range(1, 35))
