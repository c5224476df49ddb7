"""Charts as SVG, drawn here so that a page needs no script to be read and no library to be made.

The lines stand in a drawing that stretches with the page; the words stand beside it in percent, so that they keep their
size on a phone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from ffe_core.domain.clock import from_ms, to_ms
from ffe_lab.report.courses import Course, Floats, Times
from ffe_lab.report.markup import Html, join, tag

WIDTH = 1000
#: columns of a drawing, each of which shows the first, lowest, highest and last value that falls into it
COLUMNS = 720
#: a line of instants to label at most: more would touch each other on a phone
LABELS = 5
#: months between labels, the first that gives few enough is taken; the last covers every year that a clock knows
_EVERY = (1, 2, 3, 6, *(12 * years for years in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)))
_TOP, _BOTTOM = 14, 22


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A course with a name; ``style`` is its class in the style sheet, which gives colour and dashes."""

    name: str
    course: Course
    style: str


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """Where instants and values of a chart lie: x from 0 to :data:`WIDTH`, y from the top down to ``height``."""

    start: int
    end: int
    low: float
    high: float
    height: int

    @classmethod
    def around(cls, courses: Sequence[Course], height: int, *, zero: bool = False) -> Frame:
        """The frame that holds all the courses with some air; with ``zero`` that level too."""
        values = np.concatenate([course.value[np.isfinite(course.value)] for course in courses])
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
        air = (high - low) * 0.04 or abs(high) * 0.01 or 0.01
        # a level of zero that everything starts from is an edge by itself
        low -= air * (low != 0 or high == 0 or not zero)
        high += air * (high != 0 or not zero)
        starts, ends = ([int(course.time[at]) for course in courses if len(course)] for at in (0, -1))
        start = min(starts, default=0)
        end = max(max(ends, default=1), start + 1)
        return cls(start, end, low, high, height)

    def x(self, time: Times) -> Floats:
        return np.asarray(time - self.start, dtype=np.float64) * (WIDTH / (self.end - self.start))

    def y(self, value: Floats | float) -> Floats:
        share = (np.asarray(value, dtype=np.float64) - self.low) / (self.high - self.low)
        return np.asarray(_TOP + (1 - share) * (self.height - _TOP), dtype=np.float64)


def thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """The points that a drawing of :data:`COLUMNS` columns can show of a line: of each column its first, lowest,
    highest and last, so that no peak is lost. A short line stays whole.
    """
    if len(x) <= 4 * COLUMNS:
        return x, y
    column = np.minimum((x * (COLUMNS / WIDTH)).astype(np.int64), COLUMNS - 1)
    first = np.append(0, np.flatnonzero(np.diff(column)) + 1)
    last = np.append(first[1:] - 1, len(x) - 1)
    four = np.column_stack([y[first], np.minimum.reduceat(y, first), np.maximum.reduceat(y, first), y[last]])
    return np.repeat(x[last], 4), four.ravel()


def path(frame: Frame, course: Course) -> str:
    """The course as the ``d`` of a path, broken where there is no value."""
    there = np.isfinite(course.value)
    runs = np.split(np.arange(len(course)), np.flatnonzero(np.diff(there)) + 1)
    return "".join(_run(frame, course, run) for run in runs if len(run) and there[run[0]])


def _run(frame: Frame, course: Course, run: Times) -> str:
    x, y = thinned(frame.x(course.time[run]), frame.y(course.value[run]))
    points = [f"{_short(a)} {_short(b)}" for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    kept = [point for point, before in zip(points, [None, *points], strict=False) if point != before]
    return "M" + "L".join(kept)


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def area(frame: Frame, course: Course, base: float) -> str:
    """The course closed down, or up, to the level ``base``, as the ``d`` of a path."""
    outline, level = path(frame, course), _short(float(frame.y(base)))
    if not outline:
        return ""
    first, last = frame.x(course.time[[0, -1]])
    return f"{outline}L{_short(last)} {level}L{_short(first)} {level}Z"


def line_path(frame: Frame, line: Line) -> Html:
    return tag("path", d=path(frame, line.course), class_=f"line {line.style}", data_name=line.name)


def chart(frame: Frame, drawn: Sequence[Html], *, label: str, unit: str, over: Sequence[Html] = ()) -> Html:
    """The drawing in its axes. ``label`` is what those hear who cannot see it; ``unit`` says how values are written:
    ``money``, ``percent`` or ``ratio``; ``over`` stands on the drawing in percent of its width.
    """
    levels, times = _levels(frame, unit), _instants(frame)
    grid = [tag("path", d=f"M0 {_short(y)}H{WIDTH}", class_="zero" if not value else "grid") for value, y, _ in levels]
    marks = [tag("path", d=f"M{x * 10:.1f} {_TOP}V{frame.height}", class_="grid") for x, _ in times]
    plot = tag(
        "svg",
        *marks,
        *grid,
        *drawn,
        width="100%",
        height=frame.height,
        viewBox=f"0 0 {WIDTH} {frame.height}",
        preserveAspectRatio="none",
    )
    words = [tag("text", text, x=-6, y=f"{y + 4:.1f}", class_="level") for _, y, text in levels]
    words += [tag("text", text, x=f"{x:.2f}%", y=frame.height + 15, class_=_anchor(x)) for x, text in times]
    return tag(
        "svg",
        plot,
        *over,
        *words,
        tag("path", class_="cursor", d=""),
        class_="plot",
        role="img",
        aria_label=label,
        width="100%",
        height=frame.height + _BOTTOM,
        data_start=frame.start,
        data_end=frame.end,
        data_low=f"{frame.low:.10g}",
        data_high=f"{frame.high:.10g}",
        data_top=_TOP,
        data_height=frame.height,
        data_unit=unit,
    )


def _anchor(percent: float) -> str:
    """On which side of its place a label stands, so that none is cut off at the edges of a phone."""
    return "first" if percent < 7 else "last" if percent > 93 else "middle"


def _levels(frame: Frame, unit: str) -> list[tuple[float, float, str]]:
    """Round values, their places and how they are written, two to six of them."""
    rough = (frame.high - frame.low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = scale * next(times for times in (1, 2, 2.5, 5, 10) if times * scale >= rough * 0.99)
    values = [at * step for at in range(math.ceil(frame.low / step), math.floor(frame.high / step) + 1)]
    factor, suffix = (100, " %") if unit == "percent" else _scale(max(map(abs, values), default=0.0))
    digits = next((digits for digits in range(9) if _is_round(step * factor, digits)), 9)
    return [
        (value, float(frame.y(value)), f"{value * factor:,.{digits}f}{suffix if value else ''}") for value in values
    ]


def _scale(most: float) -> tuple[float, str]:
    """A factor and its sign for amounts that would not fit beside a chart."""
    scales = ((1e-12, "T"), (1e-9, "B"), (1e-6, "M"), (1e-3, "k"))
    return next(((factor, sign) for factor, sign in scales if most * factor >= 1 and most >= 1e5), (1, ""))


def _is_round(step: float, digits: int) -> bool:
    scaled = step * 10.0**digits
    return abs(scaled - round(scaled)) < 1e-6 * scaled


def _instants(frame: Frame) -> list[tuple[float, str]]:
    """Round instants (years, months, days or hours) with their places in percent, at most :data:`LABELS`."""
    start, end = from_ms(frame.start), from_ms(frame.end)
    firsts = next(found for every in _EVERY if len(found := _firsts(start, end, every)) <= LABELS)
    if len(firsts) < 2:
        return _evenly(frame)
    yearly = all(at.month == 1 for at in firsts)
    return [(_place(frame, at), f"{at:%Y}" if yearly else f"{at:%Y-%m}") for at in firsts]


def _firsts(start: datetime, end: datetime, every: int) -> list[datetime]:
    """First days of every so many months, counted from January."""
    first = start.year * 12 + start.month - 1
    months = range(first - first % every, end.year * 12 + end.month, every)
    all_firsts = (datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in months)
    return [at for at in all_firsts if start <= at <= end]


def _evenly(frame: Frame) -> list[tuple[float, str]]:
    """Whole hours or days at even distances, for spans of less than two months."""
    span = frame.end - frame.start
    hour = 3_600_000
    steps = [hour * hours for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336)]
    step = next((step for step in steps if span / step <= LABELS), steps[-1])
    style = "%m-%d %H:%M" if step < 24 * hour else "%m-%d"
    times = range(-(-frame.start // step) * step, frame.end + 1, step)
    return [(_place(frame, from_ms(at)), f"{from_ms(at):{style}}") for at in times]


def _place(frame: Frame, at: datetime) -> float:
    return float(frame.x(np.array([to_ms(at)], dtype=np.int64))[0]) / (WIDTH / 100)


def swatch(style: str) -> Html:
    """A stroke of the line's colour and dashes, for a legend."""
    stroke = tag("path", d="M0 6H26", class_=f"line {style}")
    return tag("svg", stroke, class_="swatch", width=26, height=12, aria_hidden="true")


def legend(lines: Sequence[Line]) -> Html:
    return tag("ul", *(tag("li", swatch(line.style), " ", line.name) for line in lines), class_="legend")


def figure(title: str, picture: object, *below: object, identifier: str | None = None) -> Html:
    """A chart under its caption."""
    return tag("figure", tag("figcaption", join([title])), picture, *below, id=identifier)
