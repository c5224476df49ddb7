"""What goes into a column comes out of it, to the last digit and microsecond, on either database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select

from ffe_core.store import Database
from ffe_core.store.types import DecimalText, UtcTime

VALUES = Table(
    "values_of_a_test",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("amount", DecimalText),
    Column("at", UtcTime),
)

amounts = st.decimals(
    min_value=Decimal("-1e30"), max_value=Decimal("1e30"), allow_nan=False, allow_infinity=False
) | st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.integers(min_value=0, max_value=60),
)
instants = st.datetimes(
    min_value=datetime(1, 1, 2),
    max_value=datetime(9998, 12, 30),
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))]),
)


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.engine.connect() as opened:
        VALUES.create(opened)
        yield opened


def there_and_back(connection: Connection, column: str, value: Any) -> Any:
    with connection.begin_nested():
        connection.execute(VALUES.delete())
        connection.execute(insert(VALUES), {"id": 1, column: value})
        return connection.execute(select(VALUES.c[column])).scalar_one()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amount=amounts)
def test_an_amount_comes_back_exactly(connection: Connection, amount: Decimal) -> None:
    assert there_and_back(connection, "amount", amount) == amount


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(instant=instants)
def test_an_instant_comes_back_exactly_and_in_utc(connection: Connection, instant: datetime) -> None:
    found = there_and_back(connection, "at", instant)

    assert found == instant
    assert found.utcoffset() == timedelta(0)


def test_the_eighteenth_digit_survives(connection: Connection) -> None:
    assert str(there_and_back(connection, "amount", Decimal("0.123456789012345678"))) == "0.123456789012345678"


def test_equal_amounts_have_one_spelling(connection: Connection) -> None:
    assert str(there_and_back(connection, "amount", Decimal("1.500"))) == "1.5"
    assert str(there_and_back(connection, "amount", Decimal("1E+3"))) == "1000"
    connection.execute(insert(VALUES), {"id": 2, "amount": Decimal("1.50")})
    assert connection.execute(select(VALUES.c.id).where(VALUES.c.amount == Decimal("1.5000"))).scalars().all() == [2]


def test_nothing_stays_nothing(connection: Connection) -> None:
    assert there_and_back(connection, "amount", None) is None
    assert there_and_back(connection, "at", None) is None


@pytest.mark.parametrize(
    ("column", "value"),
    [("amount", 1.5), ("amount", Decimal("NaN")), ("amount", Decimal("Infinity")), ("at", datetime(2025, 1, 1))],
)
def test_what_would_lose_its_meaning_is_refused(database: Database, column: str, value: Any) -> None:
    with database.engine.connect() as opened:
        VALUES.create(opened)
        opened.commit()

    with pytest.raises((TypeError, ValueError)), database.writing() as opened:
        opened.execute(insert(VALUES), {"id": 1, column: value})


def test_amounts_are_not_ordered_or_summed_in_sql() -> None:
    for refused in (
        lambda: VALUES.c.amount < Decimal(1),
        lambda: VALUES.c.amount + Decimal(1),
        VALUES.c.amount.desc,
    ):
        with pytest.raises(TypeError, match="exact decimals"):
            refused()


def test_instants_sort_by_time(connection: Connection) -> None:
    moments = [datetime(999, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 0, 1, UTC)]
    connection.execute(insert(VALUES), [{"id": n, "at": at} for n, at in enumerate(reversed(moments))])

    assert connection.execute(select(VALUES.c.at).order_by(VALUES.c.at)).scalars().all() == moments
