"""Answers of plugins: taken apart and built anew by the type that was promised, or refused with the reason.

What leaves here is made of our own classes and values that cannot change, so that nothing a plugin keeps hold of can
alter it afterwards. Numbers are finite, instants aware, enums members, and all the text together has a limit.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from itertools import islice
from typing import Any, cast

from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.clock import require_utc
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.plugins.guard import BadAnswer

TEXT_LIMIT = 1_000_000
ITEM_LIMIT = 100_000
DEPTH_LIMIT = 50
BARS_LIMIT = 20_000_000


def accept[T](kind: type[T], value: object) -> T:
    """``value`` as a ``kind`` of our own making. Raises ``BadAnswer`` with the path to what is wrong.

    ``kind`` is any type that domain objects are made of, such as ``tuple[Note, ...]``.
    """
    return cast("T", _Reading().read(kind, value, ""))


def accept_items(value: object, what: str) -> list[Any]:
    """The items of any iterable, also a generator, which runs here; more than could be meant is refused."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise BadAnswer(f"answered {_kind_of(value)} instead of a list of {what}")
    items = list(islice(value, ITEM_LIMIT + 1))
    if len(items) > ITEM_LIMIT:
        raise BadAnswer(f"answered more than {ITEM_LIMIT} {what}")
    return items


def _kind_of(value: object) -> str:
    return "None" if value is None else type(value).__name__


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


class _Reading:
    """One answer being read, with what it may still cost."""

    def __init__(self) -> None:
        self.text = TEXT_LIMIT
        self.items = ITEM_LIMIT
        self.depth = 0

    def read(self, kind: Any, value: Any, at: str) -> Any:
        if isinstance(kind, typing.TypeAliasType):
            kind = kind.__value__
        origin = typing.get_origin(kind)
        if origin in (typing.Union, types.UnionType):
            return self._union(kind, value, at)
        if kind is Any or kind is object:
            return self._anything(value, at)
        if origin is tuple:
            return self._tuple(typing.get_args(kind), value, at)
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return self._mapping(typing.get_args(kind), value, at)
        if isinstance(origin, type) and issubclass(origin, Sequence):
            return self._tuple((typing.get_args(kind)[0], ...), value, at)
        return self._value(kind, value, at)

    def _union(self, kind: Any, value: Any, at: str) -> Any:
        arms = typing.get_args(kind)
        if value is None and type(None) in arms:
            return None
        held = [arm for arm in arms if arm is not type(None)]
        fitting = [arm for arm in held if isinstance(arm, type) and isinstance(value, arm)]
        return self.read((fitting or held)[0], value, at)

    def _value(self, kind: type, value: Any, at: str) -> Any:
        if kind is float and isinstance(value, float | int) and not isinstance(value, bool):
            return self._finite(float(value), at)
        if kind is int and isinstance(value, bool):
            raise _wrong(kind, value, at)
        if not isinstance(value, kind):
            raise _wrong(kind, value, at)
        if kind is Candles:
            return accept_candles(value)
        if is_dataclass(kind):
            return self._dataclass(kind, value, at)
        return self._anything(value, at)

    def _finite(self, value: float, at: str) -> float:
        if not math.isfinite(value):
            raise BadAnswer(f"answered {value}{at}")
        return value

    def _dataclass(self, kind: Any, value: Any, at: str) -> Any:
        self._descend(at)
        made = {name: self.read(hint, getattr(value, name), f" in {name}") for name, hint in _hints(kind).items()}
        self.depth -= 1
        try:
            return kind(**made)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise BadAnswer(f"answered a {kind.__name__} that cannot be: {error}") from error

    def _tuple(self, arms: tuple[Any, ...], value: Any, at: str) -> tuple[Any, ...]:
        if not isinstance(value, tuple | list | Sequence) or isinstance(value, str | bytes):
            raise _wrong(tuple, value, at)
        self._descend(at)
        held = list(islice(value, self.items + 1))
        self._spend_items(len(held), at)
        if len(arms) == 2 and arms[1] is Ellipsis:
            made = tuple(self.read(arms[0], item, at) for item in held)
        elif len(arms) == len(held):
            made = tuple(self.read(arm, item, at) for arm, item in zip(arms, held, strict=True))
        else:
            raise BadAnswer(f"answered {len(held)} values instead of {len(arms)}{at}")
        self.depth -= 1
        return made

    def _mapping(self, arms: tuple[Any, ...], value: Any, at: str) -> dict[Any, Any]:
        if not isinstance(value, Mapping):
            raise _wrong(dict, value, at)
        self._descend(at)
        held = list(islice(value.items(), self.items + 1))
        self._spend_items(len(held), at)
        made = {self.read(arms[0], key, at): self.read(arms[1], item, f" in {key!s:.40}") for key, item in held}
        self.depth -= 1
        return made

    def _anything(self, value: Any, at: str) -> Any:
        """A value whose type was left open: JSON's types, enums, amounts, instants and dataclasses."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, Enum):
            return value if type(value).__module__.startswith("ffe_core.") else self._anything(value.value, at)
        if isinstance(value, str):
            return self._spend_text(value, at)
        if isinstance(value, int):
            return int(value)
        if isinstance(value, float):
            return self._finite(float(value), at)
        if isinstance(value, Decimal):
            if not value.is_finite():
                raise BadAnswer(f"answered {value}{at}")
            return Decimal(value)
        if isinstance(value, datetime):
            return self._instant(value, at)
        if isinstance(value, Mapping):
            return self._mapping((Any, Any), value, at)
        if isinstance(value, tuple | list):
            made = self._tuple((Any, ...), value, at)
            return list(made) if isinstance(value, list) else made
        if is_dataclass(value) and type(value).__module__.startswith("ffe_core."):
            return self._dataclass(type(value), value, at)
        raise BadAnswer(f"answered a {_kind_of(value)}{at}, which cannot be recorded")

    def _instant(self, value: datetime, at: str) -> datetime:
        if value.tzinfo is None:
            raise BadAnswer(f"answered an instant without a time zone{at}")
        return require_utc(value)

    def _spend_text(self, value: str, at: str) -> str:
        self.text -= len(value)
        if self.text < 0:
            raise BadAnswer(f"answered more than {TEXT_LIMIT} characters{at}")
        # Half a surrogate pair has no bytes, so a record that held one could not be stored.
        return str(value).encode("utf-8", "replace").decode()

    def _spend_items(self, count: int, at: str) -> None:
        self.items -= count
        if self.items < 0:
            raise BadAnswer(f"answered more than {ITEM_LIMIT} items{at}")

    def _descend(self, at: str) -> None:
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise BadAnswer(f"answered values nested deeper than {DEPTH_LIMIT}{at}")


def _wrong(kind: type, value: object, at: str) -> BadAnswer:
    words: dict[type, str] = {tuple: "a list", dict: "a mapping"}
    return BadAnswer(f"answered {_kind_of(value)} instead of {words.get(kind, kind.__name__)}{at}")


def accept_candles(value: object) -> Candles:
    """The same series over buffers of bytes, which nothing can write to. Raises ``BadAnswer``."""
    if not isinstance(value, Candles):
        raise BadAnswer(f"answered {_kind_of(value)} instead of Candles")
    read = _Reading()
    made = Candles(
        asset=read.read(Asset, value.asset, " in asset"),
        timeframe=read.read(Timeframe, value.timeframe, " in timeframe"),
        source=read.read(str, value.source, " in source"),
        time=_sealed(value.time, "q", "time"),
        **{name: _sealed(getattr(value, name), "d", name) for name in COLUMNS},
        synthetic=read.read(bool, value.synthetic, " in synthetic"),
        fetched_at=read.read(datetime | None, value.fetched_at, " in fetched_at"),
        day_boundary=read.read(DayBoundary, value.day_boundary, " in day_boundary"),
        coverage=_coverage(value.coverage),
        remarks=read.read(tuple[str, ...], value.remarks, " in remarks"),
    )
    try:
        made._check()
    except ValueError as error:
        raise BadAnswer(f"answered candles that cannot be: {error}") from error
    return made


def _sealed(values: object, code: str, name: str) -> Any:
    try:
        view = memoryview(cast("Any", values))
    except TypeError:
        raise BadAnswer(f"answered candles whose {name} is {_kind_of(values)}, not a buffer") from None
    if view.format != code or view.ndim != 1 or not view.c_contiguous:
        raise BadAnswer(f"answered candles whose {name} is not a plain column of the promised type")
    if len(view) > BARS_LIMIT:
        raise BadAnswer(f"answered more than {BARS_LIMIT} bars")
    if isinstance(view.obj, bytes):
        return view
    return memoryview(view.tobytes()).cast(cast("Any", code))


def _coverage(values: object) -> tuple[float, ...]:
    if not isinstance(values, tuple) or not all(isinstance(item, float) and math.isfinite(item) for item in values):
        raise BadAnswer("answered candles whose coverage is not a tuple of numbers")
    return values
