"""Journals on either database, and a clock that moves when somebody sleeps."""

import pytest

from tests.execution.rig import MovingClock
from tests.store.conftest import database, postgres_database
from tests.store.records import START

__all__ = ["clock", "database", "postgres_database"]


@pytest.fixture
def clock():
    return MovingClock(START)
