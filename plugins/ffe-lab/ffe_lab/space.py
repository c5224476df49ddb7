"""Spaces of parameters: what a search may choose from, as every combination or by lot.

A space maps names to values: ``[5, 10, 20]`` are choices, ``Range(5, 50)`` is everything between.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import product
from typing import Any

import numpy as np

from ffe_core import UsageError

type Value = float | int | str
type Point = Mapping[str, Any]

#: values of a range of floats in a grid, where no step is given
_GRID = 5
#: more combinations than this are a slip of the hand
_MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from ``low`` to ``high``, both included; whole ones where both are. ``step`` leaves some out."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        if not -1e15 < self.low <= self.high < 1e15 or (self.step is not None and not self.step > 0):
            raise UsageError(f"{self.low:g}:{self.high:g} is no range", hint="write it like 5:50 or 5:50:5")

    @property
    def is_whole(self) -> bool:
        return all(isinstance(each, int) for each in (self.low, self.high, self.step or 1))

    def values(self) -> list[float]:
        """What a grid tries of it."""
        step = self.step or (1 if self.is_whole else (self.high - self.low) / (_GRID - 1))
        count = int((self.high - self.low) / step + 1e-9) + 1 if step else 1
        if count > _MOST:
            raise UsageError(f"{count} values are too many for a grid", hint="give the range a larger step")
        # Rounded to what was typed: 0.01 + 2 x 0.01 is 0.03, not the float next to it.
        return [self.low + place * step if self.is_whole else plain(self.low + place * step) for place in range(count)]

    def draw(self, rng: np.random.Generator) -> float:
        """One of them, each as likely."""
        if self.is_whole or self.step is not None:
            held = self.values()
            return held[int(rng.integers(len(held)))]
        return plain(float(rng.uniform(self.low, self.high)))


type Space = Mapping[str, Range | Sequence[Value]]


def combinations(space: Space) -> list[dict[str, Any]]:
    """Every choice of one value for each name, the last name varying fastest. Raises ``UsageError`` for no values."""
    held = {name: values.values() if isinstance(values, Range) else list(values) for name, values in space.items()}
    empty = [name for name, values in held.items() if not values]
    if empty or not held:
        raise UsageError(f"there is no value to try{' of ' + empty[0] if empty else ''}", hint="fast=5,10,20")
    count = int(np.prod([float(len(values)) for values in held.values()]))
    if count > _MOST:
        raise UsageError(f"{count} combinations are too many", hint="search at random, or leave values out")
    return [dict(zip(held, values, strict=True)) for values in product(*held.values())]


def drawn(space: Space, count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """``count`` points by lot. Raises ``UsageError`` for no values."""
    if not space or any(not isinstance(values, Range) and not len(values) for values in space.values()):
        raise UsageError("there is no value to try", hint="fast=5:50")
    return [{name: _one(values, rng) for name, values in space.items()} for _ in range(count)]


def _one(values: Range | Sequence[Value], rng: np.random.Generator) -> Value:
    return values.draw(rng) if isinstance(values, Range) else values[int(rng.integers(len(values)))]


def parsed(texts: Iterable[str]) -> dict[str, Range | Sequence[Value]]:
    """A space as it is typed: ``fast=5,10,20`` are choices, ``slow=20:100`` and ``slow=20:100:10`` a range.

    Raises ``UsageError``.
    """
    made: dict[str, Range | Sequence[Value]] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        if not equals or not name or not rest:
            raise UsageError(f"{text!r} is no parameter with its values", hint="fast=5,10,20 or slow=20:100:10")
        if name in made:
            raise UsageError(f"parameter {name} is given twice")
        made[name] = _range(text, rest) if ":" in rest else [number(each) for each in rest.split(",") if each]
    return made


def _range(text: str, rest: str) -> Range:
    read = [number(each) for each in rest.split(":")]
    numbers = [each for each in read if not isinstance(each, str)]
    if len(numbers) != len(read) or len(read) not in (2, 3):
        raise UsageError(f"{text!r} is no range", hint="write it like slow=20:100 or slow=20:100:10")
    return Range(*numbers)


def number(text: str) -> Value:
    """The number that a text is, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def usual_space(provider: Any) -> dict[str, list[Value]]:
    """Where nobody said what to try: half, once and twice each number that the provider can be varied by.

    Seeds are left alone: what they change is luck.
    """
    if not is_dataclass(provider):
        return {}
    made: dict[str, list[Value]] = {}
    for one in fields(provider):
        value = getattr(provider, one.name)
        if one.name != "seed" and _is_number(value) and _takes(provider, one.name, value):
            made[one.name] = sorted({_like(value, each) for each in (value / 2, value, value * 2)})
    return {name: values for name, values in made.items() if len(values) > 1}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _like(value: float, other: float) -> float:
    return max(1, round(other)) if isinstance(value, int) else other


def _takes(provider: Any, name: str, value: float) -> bool:
    try:
        provider.with_params(**{name: value})
    except UsageError:
        return False
    return True


def plain(value: float) -> float:
    """The number that reads like it: 0.03, not the float next to it."""
    return float(f"{value:.12g}")
