"""Time as an argument: everything that needs to know the time is handed a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present instant: aware, UTC."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clock; the one place that reads it."""

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FixedClock:
    """A clock that stands still, for ``--at``, replay and tests."""

    instant: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "instant", require_utc(self.instant))

    def now(self) -> datetime:
        return self.instant


def require_utc(value: datetime) -> datetime:
    """``value`` in UTC; a naive one raises ``ValueError``, because its instant is a guess."""
    if value.tzinfo is None:
        raise ValueError(f"{value.isoformat()} has no time zone")
    return value.astimezone(UTC)


def iso(value: datetime) -> str:
    """ISO 8601 with ``Z``; microseconds only where there are any."""
    return require_utc(value).isoformat().replace("+00:00", "Z")


def from_ms(milliseconds: int) -> datetime:
    """The UTC instant of an epoch in milliseconds (exact: no float on the way)."""
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def to_ms(value: datetime) -> int:
    """Epoch milliseconds, rounded down."""
    delta = require_utc(value) - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1000 + delta.microseconds // 1000
