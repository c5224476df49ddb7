"""``ffe history``: lists, verifies, scores, prunes and wipes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from ffe_core.store import Database, Store
from tests.store.records import decision_id, many, record

type Ffe = Callable[..., Any]


@pytest.fixture
def store(home: Path) -> Store:
    with Store(Database.open(None, home / "data")) as opened:
        opened.append_many([record(number, created_at=datetime.now(UTC)) for number in range(12)])
        opened.add_event(decision_id(10), "executed")
    return opened


def test_history_lists_the_newest_ten_first(ffe: Ffe, store: Store) -> None:
    rows = ffe("history", "--json").data

    assert [row["id"] for row in rows] == [decision_id(number) for number in range(11, 1, -1)]
    assert set(rows[0]) == {"id", "created_at", "as_of", "asset_pair", "action", "confidence", "executed", "mode"}
    assert rows[0]["as_of"] == "2025-03-01T00:11:00Z"
    assert [row["executed"] for row in rows[:3]] == [False, True, False]
    assert rows[0]["mode"] == "paper"


def test_history_takes_a_limit_and_any_spelling_of_an_asset(ffe: Ffe, store: Store) -> None:
    rows = ffe("history", "-l", "2", "-a", "btc-usd", "--json").data

    assert [row["asset_pair"] for row in rows] == ["BTCUSD", "BTCUSD"]


def test_history_prints_a_table_for_people(ffe: Ffe, store: Store) -> None:
    ran = ffe("history", "--limit", "3")

    assert (ran.code, ran.err) == (0, "")
    assert decision_id(11) in ran.out
    assert "yes" in ran.out


def test_an_empty_history_is_no_error(ffe: Ffe) -> None:
    assert ffe("history").out == "no decisions\n"
    assert ffe("history", "--asset", "SOLUSD").out == "no decisions\n"
    assert ffe("history", "--json").data == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("--limit", "0"),
        ("--limit", "-3"),
        ("--limit", "many"),
        ("--asset", "///"),
        ("prune",),
        ("prune", "--keep", "-1"),
        ("prune", "--older-than", "old"),
        ("prune", "--max-mb", "-0.1"),
        ("vanish",),
        ("verify", "it"),
    ],
)
def test_what_cannot_be_meant_is_one_line_and_two(ffe: Ffe, arguments: tuple[str, ...]) -> None:
    ran = ffe("history", *arguments)

    assert (ran.code, ran.out) == (2, "")
    assert ran.line.startswith("error: ")


def test_a_whole_chain_verifies(ffe: Ffe, store: Store) -> None:
    found = ffe("history", "verify", "--json").data

    assert found == {"ok": True, "checked": 12, "removed": 0, "head": store.head()[1], "broken": None}
    assert "12 records hold" in ffe("history", "verify").out
    store.close()


def test_a_broken_chain_is_named_and_six(ffe: Ffe, store: Store) -> None:
    with store.database.engine.connect() as connection:
        connection.execute(text("DROP TRIGGER decisions_no_update"))
        connection.execute(text("UPDATE decisions SET confidence = 99 WHERE seq = 5"))
    store.close()

    ran = ffe("history", "verify", "--json")

    assert ran.code == 6
    assert ran.object["data"]["broken"] == {
        "seq": 5,
        "id": decision_id(4),
        "why": "its column confidence contradicts its record",
    }
    assert f"record 5 ({decision_id(4)})" in ran.line
    assert ffe("history", "verify").out == ""


def test_pruning_keeps_the_newest_after_a_restart(ffe: Ffe, store: Store) -> None:
    assert ffe("history", "prune", "--keep", "5", "--yes", "--json").data["removed"] == 7

    assert [row["id"] for row in ffe("history", "--json").data] == [decision_id(number) for number in range(11, 6, -1)]
    assert ffe("history", "verify", "--json").data["removed"] == 7


def test_a_dry_run_says_what_would_go_and_removes_nothing(ffe: Ffe, store: Store) -> None:
    found = ffe("history", "prune", "--older-than", "0", "--dry-run", "--json").data

    assert (found["removed"], found["remaining"], found["dry_run"]) == (12, 0, True)
    assert len(ffe("history", "-l", "99", "--json").data) == 12


def test_size_is_a_limit_of_its_own(ffe: Ffe, store: Store) -> None:
    found = ffe("history", "prune", "--max-mb", "0.01", "-y", "--json").data

    assert 0 < found["remaining"] < 12


def test_pruning_and_wiping_ask_first(ffe: Ffe, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (("prune", "--keep", "1"), ("wipe",)):
        monkeypatch.setattr("click.confirm", _refuse)
        assert ffe("history", *arguments).code == 1
        assert len(ffe("history", "-l", "99", "--json").data) == 12


def _refuse(question: str, **_options: Any) -> None:
    import click

    assert "Remove" in question
    raise click.Abort


def test_a_wipe_reports_the_count(ffe: Ffe, store: Store) -> None:
    ran = ffe("history", "wipe", "--yes")

    assert ran.code == 0
    assert "removed 12 decisions" in ran.out
    assert ffe("history").out == "no decisions\n"
    assert "removed 0 decisions" in ffe("history", "wipe").out


def test_a_wipe_leaves_no_text_behind(ffe: Ffe, store: Store, home: Path) -> None:
    before = (home / "data" / "ffe.db").stat().st_size

    assert ffe("history", "wipe", "--yes").code == 0

    assert (home / "data" / "ffe.db").stat().st_size <= before
    held = b"".join(path.read_bytes() for path in (home / "data").iterdir())
    assert decision_id(11).encode() not in held
    assert b"the panel agrees" not in held


def test_a_question_without_a_terminal_is_one_line(real_ffe: Ffe, store: Store) -> None:
    ran = real_ffe("history", "wipe", "--json")

    assert ran.code == 1
    assert "--yes" in ran.error["hint"]


def test_a_damaged_store_is_one_line(ffe: Ffe, home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "ffe.db").write_text("dear diary" * 100)

    ran = ffe("history", "--json")

    assert ran.code == 1
    assert ran.error["type"] == "StoreError"
    assert "not a SQLite file" in ran.error["message"]


@pytest.mark.slow
def test_history_loads_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from ffe_core.cli import main; code = main(['history', '--json']); "
        "heavy = ('pandas', 'numpy', 'numba', 'alembic', 'pandas_ta', 'requests', 'pyarrow', 'rich', 'psycopg'); "
        "print([name for name in heavy if name in sys.modules], code)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines()[-1] == "[] 0"


# Scored


def test_decisions_are_scored_on_the_prices_of_their_own_source(ffe: Ffe) -> None:
    for hour in range(3):
        assert ffe("analyze", "BTCUSD", "--at", f"2025-03-03T{hour:02}:00:00Z", "--json").code == 0
    recent = datetime.now(UTC) - timedelta(hours=2)
    assert ffe("analyze", "ETHUSD", "--at", recent.isoformat(), "--json").code == 0

    found = ffe("history", "--scored", "--json").data

    newest, *past = found["decisions"]
    assert newest["resolved_at"] is None
    assert "24 bars" in newest["unresolved"]
    assert [row["resolved_at"] for row in past] == [f"2025-03-04T0{hour}:00:00Z" for hour in (2, 1, 0)]
    assert all(row["synthetic"] and row["long_net_return"] is not None for row in past)
    for row in past:
        assert (row["net_return"] is None) is (row["action"] == "HOLD")
    assert found["summary"]["needed"] == 30
    assert found["summary"]["hit_rate"] is None
    assert found["summary"]["round_trip_cost"] == pytest.approx(0.0022)
    assert "not shown" in ffe("history", "--scored").out


def test_an_empty_history_has_no_score(ffe: Ffe) -> None:
    assert ffe("history", "--scored").out == "no decisions\n"
    assert ffe("history", "--scored", "--json").data["decisions"] == []


def test_a_limit_above_a_batch_lists_them_all(ffe: Ffe, home: Path) -> None:
    with Store(Database.open(None, home / "data")) as store:
        store.append_many(many(3000))

    assert len(ffe("history", "-l", "3000", "--json").data) == 3000
