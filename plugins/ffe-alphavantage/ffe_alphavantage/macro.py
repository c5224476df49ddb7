"""Figures of the economy of the United States, told only to whom they were known.

The service names the period that a figure is of, never the day of its release. Three things stand in for that day:

- When this machine first saw a value is on record; from then on it was known, as it was then.
- A series that is never revised was out a number of days after its period's end, counted generously.
- In the present all that the service has is out; a figure is dated by the same count.

Whatever else a past instant might have known is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from ffe_alphavantage.api import Api
from ffe_alphavantage.news import ORIGIN, PRESENT
from ffe_core import BadData, FileState, Note, Trust

_KIND = "macro seen"
#: periods, and values of each, that stay on record
_PERIODS, _VALUES = 24, 12


@dataclass(frozen=True, slots=True)
class Rule:
    """``months`` of a period, ``days`` from its end to when the figure is out at the latest; ``revised`` afterwards."""

    label: str
    unit: str
    months: int
    days: int
    revised: bool
    params: Mapping[str, str]

    def released(self, period: date) -> datetime:
        """When the figure of the period that begins on ``period`` was out for certain."""
        month = period.month - 1 + self.months
        end = date(period.year + month // 12, month % 12 + 1, 1)
        return datetime.combine(end, time(), UTC) + timedelta(days=self.days)

    def named(self, period: date) -> str:
        if self.months == 12:
            return f"{period:%Y}"
        return f"{period.year} Q{(period.month + 2) // 3}" if self.months == 3 else f"{period:%Y-%m}"


_MONTHLY = {"interval": "monthly"}
RULES: Mapping[str, Rule] = {
    "CPI": Rule("US consumer price index", "", 1, 31, False, _MONTHLY),
    "DURABLES": Rule("US durable goods orders", "million USD", 1, 45, True, {}),
    "FEDERAL_FUNDS_RATE": Rule("US federal funds rate", "percent", 1, 7, False, _MONTHLY),
    # Made of a year's price index, which is out by then, but by another office.
    "INFLATION": Rule("US consumer price inflation", "percent", 12, 120, True, {}),
    "NONFARM_PAYROLL": Rule("US nonfarm payroll", "thousand persons", 1, 31, True, {}),
    "REAL_GDP": Rule("US real GDP", "billion chained USD", 3, 60, True, {"interval": "quarterly"}),
    "REAL_GDP_PER_CAPITA": Rule("US real GDP per head", "chained USD", 3, 90, True, {}),
    "RETAIL_SALES": Rule("US retail sales", "million USD", 1, 45, True, {}),
    "TREASURY_YIELD": Rule("US treasury yield, ten years", "percent", 1, 7, False, {**_MONTHLY, "maturity": "10year"}),
    "UNEMPLOYMENT": Rule("US unemployment", "percent", 1, 31, True, {}),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """``known``: an instant at which it was out."""

    period: date
    value: Decimal
    known: datetime


type Seen = Mapping[str, Sequence[tuple[str, str]]]


def figures(
    api: Api, indicator: str, until: datetime, *, timeout: float | None = None, reserve: int = 0
) -> tuple[Note, ...]:
    """The newest figure that was known at ``until``, or nothing. Raises what ``Api.ask`` does."""
    rule = RULES[indicator]
    answer = api.ask(
        {"function": indicator, **rule.params}, "data", keep=api.settings.keep_macro, timeout=timeout, reserve=reserve
    )
    rows = parse_figures(answer.body)
    seen = remember(api.state, indicator, rows, answer.at)
    found = newest(rule, rows, seen, until, present=api.clock.now() - until <= PRESENT)
    if found is None:
        return ()
    unit = f" {rule.unit}" if rule.unit else ""
    text = f"{rule.label} of {rule.named(found.period)}: {found.value:f}{unit}"
    return (Note(ORIGIN, Trust.MEASURED, found.known, text),)


def newest(
    rule: Rule, rows: Sequence[tuple[date, Decimal]], seen: Seen, until: datetime, *, present: bool
) -> Figure | None:
    """The figure of the newest period that was known at ``until``, as it was then."""
    for period, value in sorted(rows, reverse=True):
        told = [(datetime.fromisoformat(at), Decimal(old)) for old, at in seen.get(period.isoformat(), ())]
        before = [each for each in told if each[0] <= until]
        if before:
            known, then = max(before)
            return Figure(period, then, known)
        if rule.released(period) <= until and (present or not rule.revised):
            return Figure(period, value, rule.released(period))
    return None


def remember(state: FileState, indicator: str, rows: Sequence[tuple[date, Decimal]], at: datetime) -> Seen:
    """Puts on record which values were there at ``at``, and returns all that is on record."""

    def change(text: str | None) -> tuple[str, dict[str, list[tuple[str, str]]]]:
        seen = _decoded(text)
        for period, value in sorted(rows, reverse=True)[:_PERIODS]:
            values = seen.setdefault(period.isoformat(), [])
            # A kept answer is read again and again: what it tells was seen when it came.
            if not values or (values[-1][0] != str(value) and datetime.fromisoformat(values[-1][1]) < at):
                values.append((str(value), at.isoformat()))
        kept = {period: seen[period][-_VALUES:] for period in sorted(seen)[-_PERIODS:]}
        return json.dumps(kept), kept

    return state.update(_KIND, indicator, change)


def parse_figures(body: Mapping[str, Any]) -> list[tuple[date, Decimal]]:
    """Periods with their values; those without one (``.``) are left out."""
    data = body.get("data")
    if not isinstance(data, list):
        raise BadData("alphavantage: data is no list")
    rows: dict[date, Decimal] = {}
    for each in data:
        if not isinstance(each, dict):
            raise BadData("alphavantage: a figure is no object")
        value = each.get("value")
        if value == ".":
            continue
        if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,15}(\.\d{1,15})?", value, re.ASCII):
            raise BadData(f"alphavantage: a figure is no number: {value!r:.40}")
        rows[_date(each.get("date"))] = Decimal(value)
    return list(rows.items())


def _date(value: Any) -> date:
    try:
        if isinstance(value, str) and len(value) == 10:
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise BadData(f"alphavantage: {value!r:.40} is no date")


def _decoded(text: str | None) -> dict[str, list[tuple[str, str]]]:
    """What is on record; nothing where it cannot be read."""
    try:
        found = json.loads(text or "{}")
        made = {str(period): [(str(value), str(at)) for value, at in values] for period, values in found.items()}
        for values in made.values():
            for value, at in values:
                Decimal(value), datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, TypeError, AttributeError, ArithmeticError):
        return {}
    return made
