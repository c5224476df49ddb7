"""Series as the service tells them: members numbered and named in two styles, newest row first, in a zone of its own.

No network in here. Raises ``BadData`` for what cannot be read or is not what was asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from ffe_core import BadData

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIELDS = ("open", "high", "low", "close", "volume")
#: "1. open", "1a. open (EUR)", "5. volume"; not "5. adjusted close" and not "6. market cap (USD)"
_NUMBERED = re.compile(r"\d+[a-z]?\. (open|high|low|close|volume)(?: \(([A-Z0-9]+)\))?", re.ASCII)
_NUMBER = re.compile(r"\d{1,30}(\.\d{1,30})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Bar:
    """``time``: epoch milliseconds of the open."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows by their stamps as they are written, and what the answer says about itself."""

    rows: Mapping[str, Mapping[str, Any]]
    meta: Mapping[str, str]

    @property
    def zone(self) -> tzinfo:
        """Where the stamps are local time."""
        named = self.told("Time Zone")
        if named.upper() == "UTC":
            return UTC
        try:
            return ZoneInfo(named)
        except (ValueError, KeyError, OSError):
            raise BadData(f"alphavantage: there is no time zone {named!r:.40}") from None

    def told(self, name: str) -> str:
        """A member of the meta data; their numbers differ by function."""
        found = [value for key, value in self.meta.items() if re.sub(r"^\d+\.\s*", "", key) == name]
        if len(found) != 1 or not isinstance(found[0], str):
            raise BadData(f"alphavantage: the answer does not tell its {name.lower()}")
        return found[0].strip()

    def require(self, **wanted: str) -> None:
        """Raises where the answer is about something else: ``require(Symbol="IBM")``."""
        for name, value in wanted.items():
            told = self.told(name.replace("_", " "))
            if told.upper() != value.upper():
                raise BadData(f"alphavantage: asked for {value}, {told!r:.40} came")


def parse_sheet(body: Mapping[str, Any], wanted: str) -> Sheet:
    """The series under the member ``wanted``, with the meta data beside it."""
    rows, meta = body.get(wanted), body.get("Meta Data")
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise BadData(f"alphavantage: {wanted} is no object of objects")
    if not isinstance(meta, dict):
        raise BadData("alphavantage: the answer has no meta data")
    return Sheet(rows, meta)


def parse_days(sheet: Sheet, currency: str = "") -> list[Bar]:
    """Daily bars, oldest first, each labelled with midnight UTC of its date."""
    return _sorted([_bar(_midnight(written), row, currency) for written, row in sheet.rows.items()])


def parse_intraday(sheet: Sheet, currency: str = "") -> list[Bar]:
    """Bars within days, oldest first; stamps are opens in the zone that the answer names."""
    zone = sheet.zone
    return _sorted([_bar(_instant(written, zone), row, currency) for written, row in sheet.rows.items()])


def amount(value: Any, name: str) -> float:
    """A number that stands in a text and is not negative."""
    if not isinstance(value, str) or not _NUMBER.fullmatch(value.strip()):
        raise BadData(f"alphavantage: {name} is no number: {value!r:.40}")
    return float(value)


def _sorted(bars: list[Bar]) -> list[Bar]:
    bars.sort(key=lambda bar: bar.time)
    for before, after in pairwise(bars):
        if before.time == after.time:
            raise BadData(
                f"alphavantage: two bars open at {_EPOCH + timedelta(milliseconds=after.time):%Y-%m-%dT%H:%MZ}"
            )
    return bars


def _bar(time: int, row: Mapping[str, Any], currency: str) -> Bar:
    found: dict[str, float] = {}
    for name, value in row.items():
        numbered = _NUMBERED.fullmatch(name)
        # In the older style each price stands there twice, in the market's currency and in dollars.
        if numbered is None or (numbered[2] and numbered[2] != currency):
            continue
        if numbered[1] in found and found[numbered[1]] != amount(value, name):
            raise BadData(f"alphavantage: a row has two values of {numbered[1]}")
        found[numbered[1]] = amount(value, name)
    # Currencies have no volume.
    found.setdefault("volume", 0.0)
    missing = [name for name in _FIELDS if name not in found]
    if missing:
        raise BadData(f"alphavantage: a row has no {missing[0]}" + (f" in {currency}" if currency else ""))
    made = Bar(time, *(found[name] for name in _FIELDS))
    if not 0 < made.low <= min(made.open, made.close) <= max(made.open, made.close) <= made.high:
        at = f"{_EPOCH + timedelta(milliseconds=time):%Y-%m-%dT%H:%MZ}"
        raise BadData(f"alphavantage: the bar at {at} contradicts itself")
    return made


def _midnight(written: str) -> int:
    try:
        day = date.fromisoformat(written) if len(written) == 10 else None
    except ValueError:
        day = None
    if day is None:
        raise BadData(f"alphavantage: {written!r:.40} is no date")
    return (day - _EPOCH.date()).days * 86_400_000


def _instant(written: str, zone: tzinfo) -> int:
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", written, re.ASCII):
        raise BadData(f"alphavantage: {written!r:.40} is no time")
    try:
        local = datetime.fromisoformat(written).replace(tzinfo=zone)
    except ValueError:
        raise BadData(f"alphavantage: {written!r:.40} is no time") from None
    if local.replace(fold=1).utcoffset() != local.utcoffset():
        # Twice or never on the day the clocks change; no market that is asked for in such a zone trades then.
        raise BadData(f"alphavantage: {written} is no single instant in {zone}")
    return (local.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
