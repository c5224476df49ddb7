"""A store on either database: every test that asks for ``store`` runs on both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ffe_core.domain.clock import FixedClock
from ffe_core.store import Database, Store
from tests.store.records import START


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(START)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path, clock: FixedClock) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = Database.open(None, tmp_path / "data", clock=clock)
    else:
        opened = request.getfixturevalue("postgres_database")
    with opened:
        yield opened


@pytest.fixture
def postgres_database(postgres_url: str, clock: FixedClock) -> Iterator[Database]:
    with Database.at(postgres_url, clock=clock) as opened:
        opened.upgrade()
        yield opened


@pytest.fixture
def postgres_store(postgres_database: Database) -> Store:
    return Store(postgres_database)


@pytest.fixture
def store(database: Database) -> Store:
    return Store(database)


@pytest.fixture
def sqlite_store(tmp_path: Path, clock: FixedClock) -> Iterator[Store]:
    with Store(Database.open(None, tmp_path / "data", clock=clock)) as store:
        yield store
