"""``ffe db``: the store as a whole, and nothing lost on the way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.store import Database, Store
from ffe_core.store.tables import HEAD
from tests.store.records import record

type Ffe = Callable[..., Any]


@pytest.fixture
def five(home: Path) -> Path:
    """A store of five decisions; its file."""
    with Store(Database.open(None, home / "data")) as store:
        store.append_many([record(number) for number in range(5)])
    return home / "data" / "ffe.db"


def test_status_of_a_new_home_makes_nothing(ffe: Ffe, home: Path) -> None:
    found = ffe("db", "status", "--json").data

    assert (found["backend"], found["schema"], found["current"], found["decisions"]) == ("sqlite", None, False, 0)
    assert not (home / "data").exists()
    assert "made on first use" in ffe("db", "status").out


def test_status_counts(ffe: Ffe, five: Path) -> None:
    found = ffe("db", "status", "--json").data

    assert (found["schema"], found["current"], found["decisions"]) == (HEAD, True, 5)
    assert found["location"] == str(five)
    assert found["journal_mode"] == "wal"
    assert found["newest"].endswith("Z")
    assert "5, 2025-03-01 to 2025-03-01" in ffe("db", "status").out


def test_upgrade_says_when_there_is_nothing_to_do(ffe: Ffe, five: Path) -> None:
    assert ffe("db", "upgrade", "--json").data == {"before": HEAD, "after": HEAD, "changed": False, "backup": None}


def test_upgrade_keeps_the_older_store(ffe: Ffe, home: Path) -> None:
    from tests.store.test_store_database import migrated

    with migrated(home / "data" / "ffe.db", "0001") as old:
        Store(old).append(record(0))
    assert ffe("db", "status", "--json").data["schema"] == "0001"
    assert "ffe db upgrade" in ffe("db", "status").out

    done = ffe("db", "upgrade", "--json").data

    assert (done["before"], done["after"]) == ("0001", HEAD)
    assert Path(done["backup"]).exists()
    assert len(ffe("history", "--json").data) == 1


def test_a_backup_restores(ffe: Ffe, five: Path, tmp_path: Path) -> None:
    made = ffe("db", "backup", str(tmp_path / "backup.db"), "--json").data
    assert made["decisions"] == 5
    ffe("history", "wipe", "--yes")

    done = ffe("db", "restore", str(tmp_path / "backup.db"), "--yes", "--json").data

    assert (done["decisions"], done["head"]) == (5, made["head"])
    assert Path(done["kept"]).exists()
    assert len(ffe("history", "--json").data) == 5
    assert ffe("history", "verify").code == 0


def test_a_backup_never_overwrites(ffe: Ffe, five: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")

    ran = ffe("db", "backup", str(tmp_path / "precious"))

    assert ran.code == 2
    assert "already there" in ran.line
    assert (tmp_path / "precious").read_text() == "precious"


@pytest.mark.parametrize("name", ["missing.db", "text.db", "."])
def test_what_is_no_backup_is_not_restored(ffe: Ffe, five: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "text.db").write_text("dear diary" * 100)

    ran = ffe("db", "restore", str(tmp_path / name), "--yes")

    assert ran.code in (1, 2)
    assert ran.line.startswith("error: ")
    assert len(ffe("history", "--json").data) == 5


@pytest.mark.slow
def test_restoring_asks_first(real_ffe: Ffe, five: Path, tmp_path: Path) -> None:
    assert real_ffe("db", "backup", str(tmp_path / "backup.db")).code == 0
    assert real_ffe("db", "restore", str(tmp_path / "backup.db")).code == 1


def test_a_store_moves_to_postgresql_and_back(
    ffe: Ffe, five: Path, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ffe("db", "copy", "--to", postgres_url, "--json").data
    again = ffe("db", "copy", "--from", postgres_url, "--to", str(tmp_path / "back.db"), "--json").data

    assert there["tables"] == again["tables"]
    assert {row["table"]: row["rows"] for row in there["tables"]}["decisions"] == 5
    assert all(row["checksum"] == row["copied_checksum"] for row in there["tables"])
    monkeypatch.setenv("FFE_STORE__URL", postgres_url)
    assert len(ffe("history", "--json").data) == 5
    assert ffe("history", "verify").code == 0
    assert ffe("db", "status", "--json").data["backend"] == "postgresql"
    assert ffe("db", "backup", str(tmp_path / "server.db"), "--json").data["decisions"] == 5


def test_a_postgresql_store_without_schema_says_how_to_get_one(
    ffe: Ffe, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_STORE__URL", postgres_url)

    ran = ffe("history")
    assert ran.code == 1
    assert "ffe db upgrade" in ran.line
    assert "ffe db upgrade" in ffe("db", "status").out
    assert ffe("db", "upgrade", "--json").data == {"before": None, "after": HEAD, "changed": True, "backup": None}
    assert ffe("history").out == "no decisions\n"


def test_a_copy_needs_a_source_that_is_there_and_an_empty_target(ffe: Ffe, five: Path, tmp_path: Path) -> None:
    missing = ffe("db", "copy", "--from", str(tmp_path / "missing.db"), "--to", str(tmp_path / "new.db"))
    onto_itself = ffe("db", "copy", "--to", str(five))
    assert ffe("db", "copy", "--to", str(tmp_path / "new.db")).code == 0
    twice = ffe("db", "copy", "--to", str(tmp_path / "new.db"))

    assert [ran.code for ran in (missing, onto_itself, twice)] == [2, 2, 2]
    assert "no store" in missing.line
    assert "same store" in onto_itself.line
    assert "already holds" in twice.line
    assert not (tmp_path / "missing.db").exists()


@pytest.mark.parametrize("url", ["mysql://me:s3cret@host/db", "://me:s3cret", "postgresql://me:s3cret@127.0.0.1:1/db"])
def test_an_address_that_leads_nowhere_is_one_line_without_its_password(ffe: Ffe, five: Path, url: str) -> None:
    ran = ffe("db", "copy", "--to", url)

    assert ran.code in (1, 2)
    assert "s3cret" not in ran.line


def test_a_backup_that_is_not_there_is_noticed_before_the_question(ffe: Ffe, tmp_path: Path) -> None:
    run = ffe("db", "restore", str(tmp_path / "missing.db"))

    assert run.code == 2
    assert "there is no file" in run.line
