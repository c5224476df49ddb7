"""Stamps as they are written in files, read as epoch milliseconds: never guessed at."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ffe_core.domain.clock import to_ms
from ffe_core.errors import UsageError
from ffe_core.market.report import Findings, Place

_DIGITS = re.compile(r"\d+(\.0*)?$")
#: Epochs of the years 1980 to 2200, so that a date such as 20210510 or 202105100000 is never taken for one.
_FIRST_SECOND, _LAST_SECOND = 315_532_800, 7_258_118_400
_UNITS = (
    ("epoch_seconds", 1),
    ("epoch_milliseconds", 10**3),
    ("epoch_microseconds", 10**6),
    ("epoch_nanoseconds", 10**9),
)
#: Nothing was traded before, and arithmetic with time zones has room on both sides.
_FIRST_YEAR, _LAST_YEAR = 1600, 2600
FIRST_DAY, LAST_DAY = to_ms(datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC)), to_ms(datetime(_LAST_YEAR, 1, 1, tzinfo=UTC))
_OUTSIDE = "in no year that markets know"
_ZERO = timedelta(0)


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone. Raises ``UsageError`` where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{name!r} is no time zone", hint="write an IANA name such as UTC or Europe/Athens") from None


def read_stamps(
    stamps: Sequence[str] | Sequence[int], rows: Sequence[int], exact: bool, timezone: str | None, found: Findings
) -> list[int | None]:
    """Epoch milliseconds, ``None`` where a stamp is no instant; what was done or refused is added to ``found``."""
    if exact:
        return [_within_reach(cast("int", stamp), row, found) for stamp, row in zip(stamps, rows, strict=True)]
    zone = None if timezone is None else zone_named(timezone)
    read: list[int | None] = []
    unit: str | None = None
    for text, row in zip(stamps, rows, strict=True):
        style, milliseconds, problem = _read(str(text).strip(), zone)
        if problem:
            found.add(style, Place(row=row, column="timestamp", detail=problem))
        elif milliseconds is not None:
            written = style if style.startswith("epoch") else "written out"
            if unit is None:
                unit = written
            if written != unit:
                detail = f"{text} is in {_said(written)}, those before in {_said(unit)}"
                found.add("mixed_units", Place(milliseconds, row, "timestamp", detail))
            elif style:
                found.add(style, Place(milliseconds, row))
        read.append(milliseconds)
    return read


def _within_reach(milliseconds: int, row: int, found: Findings) -> int | None:
    if FIRST_DAY <= milliseconds < LAST_DAY:
        return milliseconds
    found.add("bad_stamps", Place(row=row, column="timestamp", detail=f"{milliseconds} ms is {_OUTSIDE}"))
    return None


def _said(unit: str) -> str:
    return unit.replace("_", " ")


def _read(text: str, zone: ZoneInfo | None) -> tuple[str, int | None, str]:
    """(what was done or is wrong, milliseconds, what to say of a stamp that is refused)."""
    if _DIGITS.match(text):
        return _read_epoch(int(text.partition(".")[0]), text)
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        return "bad_stamps", None, f"{text[:40]!r} is no time" if text else "no time stands there"
    if not _FIRST_YEAR < value.year < _LAST_YEAR:
        return "bad_stamps", None, f"{text} is {_OUTSIDE}"
    if value.tzinfo is not None:
        return "" if value.utcoffset() == _ZERO else "offsets", to_ms(value), ""
    if zone is None:
        return "naive_stamps", None, f"{text} has no time zone"
    return _localised(value, zone, text)


def _read_epoch(number: int, text: str) -> tuple[str, int | None, str]:
    for style, per_second in _UNITS:
        if _FIRST_SECOND * per_second <= number <= _LAST_SECOND * per_second:
            return style, number * 1000 // per_second, ""
    return "bad_stamps", None, f"{text[:40]} is no epoch of the years 1980 to 2200"


def _localised(value: datetime, zone: ZoneInfo, text: str) -> tuple[str, int | None, str]:
    early, late = (to_ms(value.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if early != late:
        back = datetime.fromtimestamp(early / 1000, UTC).astimezone(zone).replace(tzinfo=None)
        said = "exists twice" if back == value else "does not exist"
        return "bad_stamps", None, f"{text} {said} in {zone.key}: the clock is changed there"
    return "time_zone", early, ""
