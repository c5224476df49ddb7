"""Column types that lose nothing on either database: exact decimals and aware instants."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, Numeric, Text
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql import operators
from sqlalchemy.types import TypeDecorator, TypeEngine

from ffe_core.domain.clock import require_utc

# SQLite makes a column the row's own number only where its type is exactly INTEGER.
WholeNumber = BigInteger().with_variant(Integer(), "sqlite")
# Ids are found by their beginning: a range of bytes, whatever the server's language sorts like.
Identifier = Text().with_variant(Text(collation="C"), "postgresql")

_EQUALITY = frozenset(
    [operators.eq, operators.ne, operators.is_, operators.is_not, operators.in_op, operators.not_in_op]
)


class DecimalText(TypeDecorator[Decimal]):
    """Exact decimals: text on SQLite, NUMERIC on PostgreSQL.

    SQLite has no decimal type: its NUMERIC is a double and changes the eighteenth digit. The text is the one plain
    spelling of an amount, so equality is equality of value; but it sorts as text. Ordering and arithmetic are
    therefore refused in SQL (``TypeError``) on both databases, and done on ``Decimal`` objects instead.
    """

    impl = Text
    cache_ok = True

    class comparator_factory(TypeDecorator.Comparator[Decimal]):  # noqa: N801 - the name that SQLAlchemy looks for
        def operate(self, op: operators.OperatorType, *other: Any, **kwargs: Any) -> Any:
            if op not in _EQUALITY:
                raise TypeError(f"exact decimals are not to be ordered or summed in SQL ({op.__name__})")
            return super().operate(op, *other, **kwargs)

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Numeric() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if not isinstance(value, Decimal):
            raise TypeError(f"{value!r} is no Decimal; amounts are never floats")
        text = _text(value)
        return Decimal(text) if dialect.name == "postgresql" else text

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        # Through the one spelling, because NUMERIC keeps a scale that text does not.
        return None if value is None else Decimal(value if isinstance(value, str) else _text(value))


class UtcTime(TypeDecorator[datetime]):
    """Aware UTC instants to the microsecond: fixed-width ISO 8601 text on SQLite, TIMESTAMPTZ on PostgreSQL.

    Sorts by time on both. A naive datetime is refused: its instant would be a guess.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        instant = require_utc(value)
        return instant if dialect.name == "postgresql" else time_text(instant)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromisoformat(value)


def time_text(instant: datetime) -> str:
    """How SQLite stores a UTC instant."""
    # isoformat instead of strftime, which drops the leading zeros of years before 1000.
    return instant.isoformat(timespec="microseconds")[:-6] + "Z"


def _text(value: Decimal) -> str:
    # Imported late: the codec brings every domain class with it, which a list of decisions does without.
    from ffe_core.domain.codec import decimal_text

    return decimal_text(value)
