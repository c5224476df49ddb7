"""What was found in market data: repaired, remarked on or refused, and from when on each of it could be known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NoReturn, Self

from ffe_core.errors import BadData, NoData

#: Refusals that mean "nothing there" rather than "not to be trusted".
NOTHING_THERE = frozenset(["no_bars"])


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was found. ``row`` counts data rows from 1; ``at`` is the epoch millisecond from which on it
    could be known (the close of the bar that shows it), ``None`` for what holds for a file as a whole."""

    at: int | None = None
    row: int | None = None
    column: str = ""
    detail: str = ""
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing, with every place of it in order of time; ``text`` is said after the count."""

    kind: str
    text: str
    places: tuple[Place, ...]

    @property
    def count(self) -> int:
        return sum(place.weight for place in self.places)

    def as_of(self, at_ms: int) -> Self | None:
        """Only what could be known then; ``None`` where nothing could."""
        known = tuple(place for place in self.places if place.at is None or place.at <= at_ms)
        return replace(self, places=known) if known else None

    def line(self) -> str:
        """Such as ``5 exact duplicates removed (first at row 101)``."""
        first = self.places[0]
        where = ", ".join(filter(None, (f"row {first.row}" if first.row else "", first.detail)))
        said = worded(self)
        if not where:
            return said
        return f"{said} ({'first at ' if self.count > 1 and first.row else ''}{where})"


@dataclass(frozen=True, slots=True)
class QualityReport:
    """The verdict on one series. A repaired series is whole again; a remarked one is as it came; one with refusals
    must not be used from the instant on at which the first of them could be known."""

    repairs: tuple[Finding, ...] = ()
    remarks: tuple[Finding, ...] = ()
    refusals: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> str:
        """refused | repaired | reported | clean: the gravest that applies."""
        if self.refusals:
            return "refused"
        if self.repairs:
            return "repaired"
        return "reported" if self.remarks else "clean"

    @property
    def usable(self) -> bool:
        return not self.refusals

    def counts(self) -> dict[str, int]:
        """How often each kind was found."""
        return {found.kind: found.count for found in (*self.refusals, *self.repairs, *self.remarks)}

    def as_of(self, at_ms: int) -> QualityReport:
        """The report that could have been written at ``at_ms`` (epoch milliseconds)."""
        return QualityReport(*(_known(part, at_ms) for part in (self.repairs, self.remarks, self.refusals)))

    def lines(self) -> tuple[str, ...]:
        """One line per finding, gravest first."""
        return tuple(
            f"{word}: {found.line()}"
            for word, part in (("refused", self.refusals), ("repaired", self.repairs), ("noticed", self.remarks))
            for found in part
        )

    def joined(self, other: QualityReport) -> QualityReport:
        return QualityReport(self.repairs + other.repairs, self.remarks + other.remarks, self.refusals + other.refusals)

    def require_usable(self, origin: str) -> None:
        """Raises ``BadData`` (``NoData`` where there is nothing) naming ``origin``, row and column."""
        if self.refusals:
            refuse(origin, self.refusals)


def _known(part: tuple[Finding, ...], at_ms: int) -> tuple[Finding, ...]:
    return tuple(known for found in part if (known := found.as_of(at_ms)) is not None)


def worded(found: Finding) -> str:
    return found.text.format(count=found.count, s="" if found.count == 1 else "s")


def refuse(origin: str, refusals: tuple[Finding, ...]) -> NoReturn:
    found, first = min(((found, place) for found in refusals for place in found.places), key=_by_row)
    where = "".join((f" row {first.row}" if first.row else "", f" column {first.column}" if first.column else ""))
    others = sum(finding.count for finding in refusals) - first.weight
    more = f" (and {others} more)" if others else ""
    error = NoData if found.kind in NOTHING_THERE else BadData
    raise error(f"{origin}{where}: {first.detail or worded(found)}{more}", hint=HINTS.get(found.kind))


def _by_row(refusal: tuple[Finding, Place]) -> tuple[bool, int]:
    """The earliest row first; what is said of a file as a whole often only follows from one."""
    row = refusal[1].row
    return row is None, row or 0


HINTS = {
    "naive_stamps": "say which clock wrote them with --timezone UTC, or plugins.files.timezone",
    "off_grid": "bars up to 4h begin on the UTC grid, a crypto day at 00:00 UTC, a forex day at 17:00 in New York",
    "mixed_sizes": "one file holds bars of one timeframe",
    "mixed_units": "one file counts time in one unit",
    "conflicting_duplicates": "keep the row that is right; ffe does not guess which",
    "separator": "write commas between fields and points in numbers",
    "missing_columns": "needed are timestamp, open, high, low, close and volume",
    "no_header": "the first line names the columns: timestamp,open,high,low,close,volume",
    "points": "divide the prices by the points of one unit first",
}


@dataclass(slots=True)
class Findings:
    """Collects places by kind while a series is judged."""

    texts: dict[str, str]
    found: dict[str, list[Place]] = field(default_factory=dict)

    def add(self, kind: str, place: Place | None = None) -> None:
        self.found.setdefault(kind, []).append(place or Place())

    def finish(self, kinds: Iterable[str]) -> tuple[Finding, ...]:
        """The findings of ``kinds``, in that order; what holds for the whole file comes before what has a time."""
        return tuple(
            Finding(kind, self.texts[kind], tuple(sorted(self.found[kind], key=_by_time)))
            for kind in kinds
            if kind in self.found
        )


def _by_time(place: Place) -> tuple[bool, int, int]:
    return place.at is not None, place.at or 0, place.row or 0
