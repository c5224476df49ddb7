"""Where the store lies: made at first use, private, upgraded when older, refused when newer or foreign."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, inspect, text
from sqlalchemy.dialects import postgresql, sqlite

from ffe_core.errors import StoreError, UsageError
from ffe_core.store import Database, Store
from ffe_core.store.chain import verify
from ffe_core.store.database import network_filesystem
from ffe_core.store.migrations import configuration, upgrade
from ffe_core.store.models import SQLITE_TRIGGERS, metadata
from ffe_core.store.status import status
from ffe_core.store.tables import HEAD, REVISIONS
from ffe_core.store.tables import metadata as light
from tests.store.records import record


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def migrated(path: Path, revision: str = "head") -> Database:
    """A SQLite store as the migrations make it."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    database = Database.at(str(path))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        upgrade(connection, revision)
        connection.commit()
    return database


def shape(database: Database) -> dict[str, Any]:
    """Everything that makes up a SQLite schema, without the spelling of its CREATE statements."""
    with database.engine.connect() as connection:
        found = inspect(connection)
        tables = {
            name: (
                [(c["name"], str(c["type"]), c["nullable"], c["primary_key"]) for c in found.get_columns(name)],
                found.get_pk_constraint(name),
                found.get_foreign_keys(name),
                found.get_unique_constraints(name),
                found.get_check_constraints(name),
            )
            for name in found.get_table_names()
        }
        kinds = {
            kind: connection.execute(text(f"SELECT sql FROM sqlite_master WHERE type = '{kind}'")).scalars().all()
            for kind in ("trigger", "index")
        }
    return {"tables": tables, **{kind: sorted(filter(None, made)) for kind, made in kinds.items()}}


def test_the_first_use_makes_a_private_file_at_the_newest_schema(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Database.open(None, tmp_path / "home" / "data") as database:
            Store(database).append(record(0))
            files = sorted(path.name for path in (tmp_path / "home" / "data").iterdir())
            assert all(mode(path) == 0o600 for path in (tmp_path / "home" / "data").iterdir())
    finally:
        os.umask(before)

    assert files == ["ffe.db", "ffe.db-shm", "ffe.db-wal", "ffe.db.lock"]
    assert mode(tmp_path / "home" / "data") == 0o700


def test_every_connection_is_durable_and_checks_references(sqlite_store: Store) -> None:
    with sqlite_store.database.reading() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }

    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 15000}


def test_a_new_store_has_the_schema_that_the_migrations_make(sqlite_store: Store, tmp_path: Path) -> None:
    with migrated(tmp_path / "migrated" / "ffe.db") as other:
        assert shape(sqlite_store.database) == shape(other)
        assert sorted(SQLITE_TRIGGERS) == shape(other)["trigger"]


def test_the_migrations_make_the_tables_that_the_code_declares(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_statements_see_the_tables_as_the_models_declare_them() -> None:
    def spelled(table: Table) -> list[tuple[Any, ...]]:
        return [
            (
                column.name,
                column.nullable,
                column.primary_key,
                *(str(column.type.compile(dialect())) for dialect in (sqlite.dialect, postgresql.dialect)),
            )
            for column in table.columns
        ]

    assert light.tables.keys() == metadata.tables.keys()
    for name, table in light.tables.items():
        assert spelled(table) == spelled(metadata.tables[name])


def test_the_known_revisions_are_the_migrations_in_order() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory.from_config(configuration())

    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS
    assert scripts.get_heads() == [HEAD]


@pytest.mark.slow
def test_making_and_reading_a_store_imports_no_alembic(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from ffe_core.store import Database, Store; "
        "Store(Database.open(None, Path(sys.argv[1]))).latest(5); "
        "print([name for name in ('alembic', 'pandas', 'numpy', 'numba', 'requests') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(tmp_path / "d")], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"


def test_an_older_store_is_copied_aside_and_upgraded_with_its_decisions(tmp_path: Path) -> None:
    path = tmp_path / "ffe.db"
    with migrated(path, "0001") as old:
        stored = Store(old).append(record(0))

    with Database.open(None, tmp_path) as database:
        store = Store(database)
        assert database.version() == HEAD
        assert store.get(stored.id).hash == stored.hash
        assert verify(store).checked == 1
        with database.reading() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar_one() == 1

    (kept,) = tmp_path.glob("ffe.db.schema-0001-*")
    assert mode(kept) == 0o600
    with sqlite3.connect(kept) as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert copy.execute("SELECT count(*) FROM decisions").fetchall() == [(1,)]
    copy.close()


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Database.open(None, tmp_path) as database, database.writing() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(StoreError, match="schema 9999") as error:
        Database.open(None, tmp_path)

    assert "newer ffe-core" in (error.value.hint or "")


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ffe.db") as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    other.close()

    with pytest.raises(StoreError, match="something else"):
        Database.open(None, tmp_path)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "ffe.db").write_text("dear diary" * 100)

    with pytest.raises(StoreError, match="not a SQLite file"):
        Database.open(None, tmp_path)

    assert (tmp_path / "ffe.db").read_text().startswith("dear diary")


def test_an_empty_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "ffe.db").touch()

    with Database.open(None, tmp_path) as database:
        assert database.version() == HEAD


def test_a_postgresql_store_without_a_schema_asks_for_the_upgrade(postgres_url: str) -> None:
    with pytest.raises(StoreError, match="no schema yet") as error:
        Database.open(postgres_url)

    assert error.value.hint == "run `ffe db upgrade`"


def test_an_older_postgresql_store_asks_for_the_upgrade_and_gets_it(postgres_url: str) -> None:
    with Database.at(postgres_url) as database:
        with database.engine.begin() as connection:
            upgrade(connection, "0001")
        with pytest.raises(StoreError, match="schema 0001"):
            database.make_ready()

        done = database.upgrade()

        assert (done.before, done.after, done.changed) == ("0001", HEAD, True)
        database.make_ready()
        assert not database.upgrade().changed


def test_a_server_that_does_not_answer_is_one_line_without_the_password() -> None:
    with pytest.raises(StoreError) as error:
        Database.open("postgresql://me:s3cret@127.0.0.1:1/nothing")

    assert "s3cret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:s3cret@host/db", "no store on mysql"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("://me:s3cret", "cannot be read"),
        ("nosuch://me:s3cret@host", "nosuch"),
    ],
)
def test_a_url_of_another_kind_is_a_usage_error(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as error:
        Database.at(url)

    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_the_usual_spellings_of_postgresql_reach_the_same_driver(scheme: str) -> None:
    database = Database.at(f"{scheme}://me:s3cret@host/db")

    assert database.url.drivername == "postgresql+psycopg"
    assert "s3cret" not in database.location


def test_a_missing_driver_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffe_core.store.database.find_spec", lambda name: None)

    with pytest.raises(StoreError) as error:
        Database.at("postgresql://host/db")

    assert "ffe-core[postgres]" in (error.value.hint or "")


def test_a_writer_that_never_ends_is_waited_for_and_then_named(tmp_path: Path) -> None:
    with Database.open(None, tmp_path, patience=0.05) as database:
        blocker = sqlite3.connect(tmp_path / "ffe.db", isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="written by another process"):
            Store(database).append(record(0))
        assert Store(database).latest(5) == []
        blocker.close()
        Store(database).append(record(0))


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")

    with pytest.raises(StoreError, match="is no folder"):
        Database.open(None, tmp_path / "data")


def test_what_raises_while_writing_is_undone(store: Store) -> None:
    with pytest.raises(RuntimeError), store.database.writing() as connection:
        connection.execute(text("UPDATE chain_head SET seq = 5"))
        raise RuntimeError

    assert store.head() == (0, "0" * 64)


def test_a_reader_sees_one_snapshot_while_others_write(store: Store) -> None:
    store.append(record(0))
    count = text("SELECT count(*) FROM decisions")

    with store.database.reading() as connection:
        assert connection.execute(count).scalar_one() == 1
        store.append(record(1))
        assert connection.execute(count).scalar_one() == 1

    assert store.count() == 2


def test_status_says_what_there_is_without_making_it(tmp_path: Path) -> None:
    found = status(Database.at(None, tmp_path / "data"))

    assert (found.schema, found.current, found.decisions) == (None, False, 0)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_status_counts_on_either_database(store: Store) -> None:
    store.append_many([record(number) for number in range(5)])
    store.retain(keep=3)

    found = status(store.database)

    assert (found.schema, found.decisions, found.removed, found.events) == (HEAD, 3, 2, 0)
    assert found.bytes > 1000
    assert found.oldest is not None
    assert found.newest is not None
    assert found.oldest < found.newest


def test_status_warns_of_files_that_others_may_read(sqlite_store: Store) -> None:
    path = sqlite_store.database.path
    assert path is not None
    assert status(sqlite_store.database).concerns == ()
    path.chmod(0o644)

    (concern,) = status(sqlite_store.database).concerns

    assert "chmod 600" in concern


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/home/me/data", None), ("/net/home/me", "nfs4"), ("/net", "nfs4"), ("/network", None), ("/a b/c", "cifs")],
)
def test_network_file_systems_are_recognised_by_the_table_of_mounts(
    tmp_path: Path, folder: str, kind: str | None
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/sda / ext4 rw 0 0\nserver:/x /net nfs4 rw 0 0\n//server/y /a\\040b cifs rw 0 0\n")

    assert network_filesystem(Path(folder), mounts) == kind


def test_without_a_table_of_mounts_nothing_is_claimed(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path, tmp_path / "missing") is None
