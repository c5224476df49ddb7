"""Reads market data that nobody has vouched for, and says what it did: repaired, remarked on, or refused.

Repaired with a count: order of rows, exact duplicates, byte order mark and CRLF, case and order of columns, offsets,
epoch units, a last line that was cut off, a bar that is still forming or lies in the future. Remarked on and kept:
gaps in market hours, thin trade, frozen prices, jumps, splits. Refused: whatever would have to be guessed at.

Every finding knows from when on it could be known, so that a reading of the past never depends on later rows.
"""

from __future__ import annotations

import operator
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, cast

from ffe_core.domain.assets import Asset, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import from_ms, iso, to_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import BadData
from ffe_core.market.instants import read_stamps
from ffe_core.market.remarks import remarks_on
from ffe_core.market.report import Finding, Findings, Place, QualityReport
from ffe_core.market.soundness import numbers, unsound_rows
from ffe_core.market.spotless import is_spotless
from ffe_core.market.tables import END_OF_TIME, SUFFIXES, RawTable, name_of_file, read_table

__all__ = [
    "END_OF_TIME",
    "SUFFIXES",
    "Finding",
    "Place",
    "QualityReport",
    "Reading",
    "check_candles",
    "name_of_file",
    "read_file",
    "read_rows",
    "remarks_on",
]

REPAIRS = {
    "byte_order_mark": "a byte order mark skipped",
    "line_ends": "CRLF line ends read",
    "column_names": "column names understood",
    "column_order": "columns put in order",
    "truncated": "{count} last line dropped that was cut off",
    "epoch_seconds": "{count} stamp{s} read as epoch seconds",
    "epoch_milliseconds": "{count} stamp{s} read as epoch milliseconds",
    "epoch_microseconds": "{count} stamp{s} read as epoch microseconds",
    "epoch_nanoseconds": "{count} stamp{s} read as epoch nanoseconds",
    "offsets": "{count} stamp{s} with another offset put to UTC",
    "time_zone": "{count} stamp{s} without a zone read in the one that was named",
    "order": "{count} row{s} put in order of time",
    "duplicates": "{count} exact duplicate{s} removed",
    "future": "{count} bar{s} from the future dropped",
    "partial": "{count} bar{s} still forming dropped",
}
REMARKS = {
    "no_line_end": "the last line has no line end: it may have been cut",
    "other_columns": "{count} other column{s} left aside",
    "no_timeframe": "too few bars to tell their timeframe",
}
REFUSALS = {
    "unreadable": "cannot be read",
    "no_bars": "a header and no bars",
    "no_header": "the first line is data, not the names of columns",
    "separator": "fields are separated by semicolons",
    "missing_columns": "columns are missing",
    "ragged": "{count} row{s} with another number of fields",
    "bad_stamps": "{count} stamp{s} naming no time",
    "naive_stamps": "{count} stamp{s} without a time zone",
    "mixed_units": "{count} stamp{s} in another unit than those before",
    "text": "{count} value{s} in place of numbers",
    "missing_values": "{count} value{s} missing",
    "not_finite": "{count} value{s} not finite",
    "not_positive": "{count} bar{s} with a price not above zero, or a volume below",
    "conflicting_duplicates": "{count} row{s} contradicting another row of the same time",
    "inconsistent": "{count} bar{s} with an open or close outside low and high",
    "mixed_sizes": "{count} bar{s} of another length",
    "off_grid": "{count} stamp{s} off the grid of the timeframe",
    "points": "prices look like points, not like a price",
}

#: Bars from which a timeframe is told, oldest first: later bars never change it.
TELLING_BARS = 50
#: A currency pair is never quoted in whole thousands for this long.
POINTS_BARS = 20
POINTS_ABOVE = 1000.0
_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Bars that were read and what was found on the way. ``timeframe`` is ``None`` where too few bars tell it.

    The columns hold the sound rows, in order of time: epoch milliseconds and floats. They must not be used where
    ``report`` refuses; ``candles`` sees to that.
    """

    origin: str
    kind: AssetKind
    timeframe: Timeframe | None
    time: array[int]
    columns: dict[str, array[float]]
    report: QualityReport

    def candles(self, asset: Asset, source: str) -> Candles:
        """The series. Raises ``BadData`` or ``NoData`` naming file, row and column where it is refused."""
        self.report.require_usable(self.origin)
        return self.sound_candles(asset, source)

    def sound_candles(self, asset: Asset, source: str) -> Candles:
        """The rows that are sound, whatever later rows are: for a reading as of an instant, whose report is asked
        for that instant. Raises ``BadData`` where the timeframe is not known."""
        if self.timeframe is None:
            raise BadData(
                f"{self.origin}: {len(self.time)} bars do not tell their timeframe",
                hint="name the file SYMBOL_TIMEFRAME.csv, or pass --timeframe",
            )
        columns = self.columns
        return Candles.of(
            asset,
            self.timeframe,
            source,
            time=self.time,
            open=columns["open"],
            high=columns["high"],
            low=columns["low"],
            close=columns["close"],
            volume=columns["volume"],
        )


def read_file(
    path: Path,
    *,
    now: datetime,
    timeframe: Timeframe | None = None,
    kind: AssetKind = AssetKind.UNKNOWN,
    timezone: str | None = None,
) -> Reading:
    """The bars of a CSV or Parquet file with the columns timestamp, open, high, low, close, volume.

    ``timestamp`` is when a bar opens. ``timeframe`` is told by the first bars where it is not given. ``timezone``
    (IANA name) is for stamps without a zone, which are refused otherwise. Bars that are not complete at ``now`` are
    dropped. Never raises for what is in the file: the reading's report says what is wrong.
    """
    found = _findings()
    table = read_table(path, found)
    if table is None:
        return _nothing(path.name, kind, timeframe, found)
    return _judge(path.name, table, found, now, timeframe, kind, timezone)


def read_rows(
    rows: Sequence[tuple[str | int, float, float, float, float, float]],
    *,
    origin: str,
    now: datetime,
    timeframe: Timeframe | None = None,
    kind: AssetKind = AssetKind.UNKNOWN,
    timezone: str | None = None,
) -> Reading:
    """The same judgement for rows (stamp, open, high, low, close, volume) from anywhere, such as a venue's reply."""
    found = _findings()
    if not rows:
        found.add("no_bars")
        return _nothing(origin, kind, timeframe, found)
    stamps, *values = zip(*rows, strict=True)
    table = RawTable([str(stamp) for stamp in stamps], dict(zip(COLUMNS, values, strict=True)), range(1, len(rows) + 1))
    return _judge(origin, table, found, now, timeframe, kind, timezone)


def check_candles(candles: Candles) -> QualityReport:
    """What is remarkable or wrong about a series from any source; bars are as they are, nothing is repaired."""
    found = _findings()
    columns = {name: getattr(candles, name) for name in COLUMNS}
    for index, kind, place in unsound_rows(columns):
        found.add(kind, Place(candles.close_time(index), index + 1, place.column, place.detail))
    return QualityReport(refusals=found.finish(REFUSALS), remarks=remarks_on(candles))


def _findings() -> Findings:
    return Findings({**REPAIRS, **REMARKS, **REFUSALS})


def _nothing(origin: str, kind: AssetKind, timeframe: Timeframe | None, found: Findings) -> Reading:
    return Reading(origin, kind, timeframe, array("q"), {name: array("d") for name in COLUMNS}, _report(found))


def _report(found: Findings) -> QualityReport:
    return QualityReport(found.finish(REPAIRS), found.finish(REMARKS), found.finish(REFUSALS))


def _judge(
    origin: str,
    table: RawTable,
    found: Findings,
    now: datetime,
    timeframe: Timeframe | None,
    kind: AssetKind,
    timezone: str | None,
) -> Reading:
    if is_spotless(table, timeframe, kind, to_ms(now)):
        stamps, columns = cast("array[int]", table.stamps), cast("dict[str, array[float]]", table.values)
        return Reading(origin, kind, timeframe, stamps, columns, _report(found))
    rows = list(table.rows)
    times = read_stamps(table.stamps, rows, table.exact, timezone, found)
    columns = {name: numbers(table.values[name]) for name in COLUMNS}
    dated = [index for index, time in enumerate(times) if time is not None]
    told = timeframe or _tell_timeframe([time for time in times if time is not None])
    length = _Length(told, kind)

    unsound = set[int]()
    for index, problem, place in unsound_rows(columns, table.values):
        unsound.add(index)
        at = times[index]
        found.add(problem, Place(None if at is None else length.known_at(at), rows[index], place.column, place.detail))
    # A row without a readable stamp could belong anywhere, so it is refused at every instant.
    order = _in_order(dated, times, rows, length, found)
    order = _without_duplicates(order, times, columns, rows, length, found)
    if unsound:
        order = [index for index in order if index not in unsound]
    order = _on_grid(order, times, rows, length, timeframe, found)
    order = _without_unfinished(order, times, rows, length, to_ms(now), found)
    if kind is AssetKind.FOREX:
        _judge_points(order, times, columns, length, found)
    if told is None and len(order):
        found.add("no_timeframe")
    if not order and not found.found.keys() & REFUSALS.keys():
        found.add("no_bars", Place(detail="no bar is complete yet"))
    report = _date_cut_line(_report(found), times, length)
    if len(order) < len(times) or order is not dated:
        times = [times[index] for index in order]
        columns = {name: array("d", [values[index] for index in order]) for name, values in columns.items()}
    return Reading(
        origin,
        kind,
        told,
        array("q", [time or 0 for time in times]),
        columns,
        report,
    )


class _Length(NamedTuple):
    """How long a bar lasts, even where the timeframe could not be told."""

    timeframe: Timeframe | None
    kind: AssetKind

    def known_at(self, opens: int) -> int:
        return opens if self.timeframe is None else self.timeframe.close_of(opens, self.kind)


def _tell_timeframe(times: list[int]) -> Timeframe | None:
    """The commonest distance among the first bars; days may be an hour shorter or longer."""
    oldest = sorted(set(times))[: TELLING_BARS + 1]
    steps = Counter(map(_rounded, (later - earlier for earlier, later in pairwise(oldest))))
    if not steps:
        return None
    most = max(steps.values())
    commonest = min(step for step, count in steps.items() if count == most)
    return next((frame for frame in Timeframe if frame.milliseconds == commonest), None)


def _rounded(step: int) -> int:
    day = Timeframe.D1.milliseconds
    return day if abs(step - day) <= _HOUR else step


def _in_order(
    dated: list[int], times: Sequence[int | None], rows: list[int], length: _Length, found: Findings
) -> list[int]:
    """``dated`` by time. A row counts as moved where an earlier row of the file is later in time, and that is known
    from the first such row on."""
    stamps = [times[index] or 0 for index in dated]
    if all(map(operator.le, stamps, stamps[1:])):
        return dated
    by_time = sorted(range(len(dated)), key=lambda at: stamps[at])
    following = dict(pairwise(by_time))
    preceding = {later: earlier for earlier, later in following.items()}
    # Taking rows out from the end of the file leaves, beside each row, the next later one that stands before it.
    for at in reversed(range(len(dated))):
        after, before = following.get(at), preceding.get(at)
        if after is not None:
            found.add("order", Place(length.known_at(stamps[after]), rows[dated[at]]))
            _link(preceding, after, before)
        if before is not None:
            _link(following, before, after)
    return [dated[at] for at in by_time]


def _link(links: dict[int, int], at: int, to: int | None) -> None:
    if to is None:
        links.pop(at, None)
    else:
        links[at] = to


def _without_duplicates(
    order: list[int],
    times: Sequence[int | None],
    columns: dict[str, array[float]],
    rows: list[int],
    length: _Length,
    found: Findings,
) -> list[int]:
    stamps = [times[index] or 0 for index in order]
    if all(map(operator.lt, stamps, stamps[1:])):
        return order
    kept: list[int] = []
    for index in order:
        if not kept or times[kept[-1]] != times[index]:
            kept.append(index)
            continue
        first, known = kept[-1], length.known_at(times[index] or 0)
        differing = [name for name in COLUMNS if columns[name][first] != columns[name][index]]
        if differing:
            name = differing[0]
            said = f"{columns[name][index]:.15g}, but row {rows[first]} says {columns[name][first]:.15g}"
            detail = f"{said} for {iso(from_ms(times[index] or 0))}"
            found.add("conflicting_duplicates", Place(known, rows[index], name, detail))
        else:
            found.add("duplicates", Place(known, rows[index]))
    return kept


def _on_grid(
    order: list[int],
    times: Sequence[int | None],
    rows: list[int],
    length: _Length,
    named: Timeframe | None,
    found: Findings,
) -> list[int]:
    """``order`` without the bars that are none of the timeframe: one of them would spoil the longer bars of all."""
    stamps = [times[index] or 0 for index in order]
    if length.timeframe is None:
        steps = {later - earlier for earlier, later in pairwise(stamps)}
        if steps:
            minutes = min(steps) / 60_000
            found.add("mixed_sizes", Place(detail=f"bars {minutes:g} minutes apart are of no timeframe of ffe"))
        return order
    frame = length.timeframe
    misnamed = _misnamed(stamps, frame) if named else ""
    if not misnamed and frame is not Timeframe.D1 and not any(stamp % frame.milliseconds for stamp in stamps):
        return order
    kept: list[int] = []
    places: list[tuple[str, Place]] = []
    for index, earlier, stamp in zip(order, [None, *stamps], stamps, strict=False):
        problem = _off_grid(stamp, earlier, frame, length.kind)
        if problem:
            places.append((problem[0], Place(length.known_at(stamp), rows[index], "timestamp", problem[1])))
        else:
            kept.append(index)
    if misnamed:
        # One line says it for all; it was known as soon as one of them was.
        known = places[0][1].at if places else length.known_at(stamps[TELLING_BARS])
        places = [("mixed_sizes", Place(known, detail=misnamed))]
    for kind, place in places:
        found.add(kind, place)
    return kept


def _misnamed(stamps: list[int], frame: Timeframe) -> str:
    """What is said of a file whose first bars are never as far apart as its name says."""
    if len(stamps) <= TELLING_BARS:
        return ""
    oldest = stamps[: TELLING_BARS + 1]
    told = _tell_timeframe(oldest)
    wrong = told and frame.milliseconds not in {_rounded(later - earlier) for earlier, later in pairwise(oldest)}
    return f"named {frame}, but bars are {told} apart" if wrong else ""


def _off_grid(stamp: int, earlier: int | None, frame: Timeframe, kind: AssetKind) -> tuple[str, str] | None:
    at = iso(from_ms(stamp))
    step = None if earlier is None else stamp - earlier
    shorter = next((other for other in Timeframe if other.milliseconds == step), None)
    if shorter and shorter.milliseconds < frame.milliseconds:
        return "mixed_sizes", f"{at} comes {shorter} after the bar before, in a file of {frame} bars"
    if frame is not Timeframe.D1:
        return ("off_grid", f"{at} is no {frame} bar's open") if stamp % frame.milliseconds else None
    if kind is AssetKind.UNKNOWN:
        # Whose day it is cannot be told; a bar is known a day after its stamp, whatever the stamp.
        return None if step is None or step >= frame.milliseconds - _HOUR else ("mixed_sizes", f"{at} is no day later")
    if kind is AssetKind.STOCK:
        early = stamp < frame.close_of(stamp, kind)
        return None if early else ("off_grid", f"{at} is after that day's session")
    if stamp != frame.open_of(stamp, kind):
        ends = {DayBoundary.UTC: "00:00 UTC", DayBoundary.NEW_YORK_17: "17:00 in New York"}[DayBoundary.of(kind)]
        return "off_grid", f"{at} is not {ends}, where a {kind} day begins"
    return None


def _without_unfinished(
    order: list[int], times: Sequence[int | None], rows: list[int], length: _Length, now: int, found: Findings
) -> list[int]:
    kept = len(order)
    while kept:
        opens = times[order[kept - 1]] or 0
        if length.known_at(opens) <= now:
            break
        kept -= 1
        place = Place(length.known_at(opens), rows[order[kept]], detail=iso(from_ms(opens)))
        found.add("future" if opens > now else "partial", place)
    return order[:kept]


def _judge_points(
    order: list[int],
    times: Sequence[int | None],
    columns: dict[str, array[float]],
    length: _Length,
    found: Findings,
) -> None:
    oldest = order[:POINTS_BARS]
    closes = [columns["close"][index] for index in oldest]
    if len(oldest) == POINTS_BARS and all(close.is_integer() and close >= POINTS_ABOVE for close in closes):
        known = length.known_at(times[oldest[-1]] or 0)
        found.add("points", Place(known, column="close", detail=f"{closes[0]:g} looks like points, not like a price"))


def _date_cut_line(report: QualityReport, times: Sequence[int | None], length: _Length) -> QualityReport:
    """What befell the last line of a file was not known before the bar that stands above it."""
    last = max((time for time in times if time is not None), default=None)
    if last is None:
        return report

    def dated(part: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(
            Finding(found.kind, found.text, tuple(Place(length.known_at(last), place.row) for place in found.places))
            if found.kind in ("truncated", "no_line_end")
            else found
            for found in part
        )

    return QualityReport(dated(report.repairs), dated(report.remarks), report.refusals)
