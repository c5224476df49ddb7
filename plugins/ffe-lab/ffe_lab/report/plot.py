"""A small plot of a course in characters: eight dots of Braille in each, or one star where there is only ASCII."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ffe_lab.report.courses import Course, Floats
from ffe_lab.report.wording import day_of

type Dots = NDArray[np.bool_]

#: bits of the dots of a Braille character, by row and column (Unicode, block U+2800)
_BRAILLE = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_NARROWEST = 10


@dataclass(frozen=True, slots=True)
class Pen:
    """How many dots a character has, and what stands between the figures and the plot."""

    across: int
    down: int
    axis: str


BRAILLE = Pen(2, 4, "\u2524")
ASCII = Pen(1, 1, "|")


def plot(course: Course, *, width: int, height: int, ascii_only: bool) -> list[str]:
    """Lines of at most ``width`` characters: ``height`` of them (two or more) with the plot, one with the first and
    the last day.
    """
    if not len(course):
        return []
    pen = ASCII if ascii_only else BRAILLE
    low, high = float(course.value.min()), float(course.value.max())
    labels = [f"{high:,.0f}", f"{low:,.0f}"]
    gutter = max(len(label) for label in labels)
    across = max(_NARROWEST, width - gutter - 2)
    rows = _characters(_dots(course.value, across * pen.across, height * pen.down), pen)
    beside = [labels[0], *[""] * (height - 2), labels[1]]
    lines = [f"{label:>{gutter}} {pen.axis}{row}".rstrip() for label, row in zip(beside, rows, strict=True)]
    first, last = day_of(int(course.time[0])), day_of(int(course.time[-1]))
    return [*lines, f"{'':{gutter + 2}}{first}{last:>{across - len(first)}}"]


def _dots(values: Floats, columns: int, rows: int) -> Dots:
    """A raster, top row first: in each column everything from its lowest to its highest value, joined to the last."""
    low, high = float(values.min()), float(values.max())
    scaled = np.zeros(len(values)) if high == low else (values - low) / (high - low)
    level = np.rint(scaled * (rows - 1)).astype(np.int64)
    edges = np.linspace(0, len(values), columns + 1).astype(np.int64)
    dots = np.zeros((rows, columns), dtype=np.bool_)
    last = int(level[0])
    for column in range(columns):
        inside = level[edges[column] : max(edges[column + 1], edges[column] + 1)]
        bottom, top = min(int(inside.min()), last), max(int(inside.max()), last)
        dots[bottom : top + 1, column] = True
        last = int(inside[-1])
    return dots[::-1]


def _characters(dots: Dots, pen: Pen) -> list[str]:
    if pen is ASCII:
        return ["".join("*" if dot else " " for dot in row) for row in dots]
    rows, columns = dots.shape
    cells = dots.reshape(rows // 4, 4, columns // 2, 2).transpose(0, 2, 1, 3)
    codes = 0x2800 + (cells * _BRAILLE).sum(axis=(2, 3))
    return ["".join(chr(code) if code != 0x2800 else " " for code in row) for row in codes]
