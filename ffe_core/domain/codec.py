"""Domain objects to plain JSON values and back, and the one canonical spelling that hashes are made of.

Decimals become strings, instants ISO 8601 with ``Z``, enums their values, tuples lists. ``restore`` reads the same
back by the dataclass's own type hints, so that a record is enough to compute a decision again.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any

from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.domain.clock import iso
from ffe_core.domain.decisions import Decision, Opinion
from ffe_core.domain.market import FramePulse, Market, Pulse

type Plain = dict[str, Any] | list[Any] | str | int | float | bool | None


def plain(value: Any) -> Any:
    """``value`` in JSON's own types. Raises ``TypeError`` for what has no agreed spelling."""
    if value is None or (isinstance(value, bool | int | float) and not isinstance(value, Enum)):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, datetime):
        return iso(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {name: plain(getattr(value, name)) for name in _recorded(type(value))}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    raise TypeError(f"{type(value).__name__} has no plain form")


def decimal_text(value: Decimal) -> str:
    """Plain digits without exponent or trailing zeros: equal amounts have equal texts."""
    if not value.is_finite():
        raise ValueError(f"{value} is no amount")
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def canonical_json(value: Any) -> bytes:
    """UTF-8, sorted keys, no spaces. Raises ``ValueError`` for NaN and infinities."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode()


def without_nan(value: Any) -> Any:
    """A plain value with every NaN and infinity turned into ``None``: a missing number is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_nan(item) for item in value]
    return value


@cache
def _recorded(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.metadata.get("recorded", True))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def restore[T](kind: type[T], value: Any) -> T:
    """The object of type ``kind`` that ``plain`` made ``value`` of. Raises ``ValueError`` where it does not fit.

    Keys that the type does not know are refused; keys that the record lacks take the type's defaults, so that a
    record outlives a field that was added later.
    """
    try:
        return typing.cast("T", _restore(kind, value))
    except (TypeError, KeyError, ArithmeticError) as error:
        raise ValueError(f"not a {getattr(kind, '__name__', kind)}: {error}") from error


def _restore(kind: Any, value: Any) -> Any:
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        arms = [arm for arm in typing.get_args(kind) if arm is not type(None)]
        return None if value is None else _restore(arms[0], value)
    if kind is Any or kind is None:
        return value
    if origin is tuple:
        arms = list(typing.get_args(kind))
        if len(arms) == 2 and arms[1] is Ellipsis:
            return tuple(_restore(arms[0], item) for item in value)
        return tuple(_restore(arm, item) for arm, item in zip(arms, value, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        key, item = typing.get_args(kind)
        return {_restore(key, name): _restore(item, held) for name, held in value.items()}
    if origin is not None and issubclass(origin, Sequence):
        (item,) = typing.get_args(kind)
        return tuple(_restore(item, held) for held in value)
    return _restore_class(kind, value)


def _restore_class(kind: Any, value: Any) -> Any:
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise TypeError(f"{value!r} is not an object")
        hints = _hints(kind)
        unknown = set(value) - set(hints)
        if unknown:
            raise TypeError(f"unknown field {sorted(unknown)[0]}")
        return kind(**{name: _restore(hints[name], held) for name, held in value.items()})
    if issubclass(kind, Enum):
        return kind(value)
    if kind is Decimal:
        return Decimal(value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not of type {kind.__name__}")
    return value


# What --json prints of a decision


def decision_data(decision: Decision) -> dict[str, Any]:
    """The decision under the names that ``ffe analyze --json`` promises."""
    data = {field.name: plain(getattr(decision, field.name)) for field in fields(decision)}
    data["sizing"] = {
        "method": decision.sizing.method,
        "formula_quantity": plain(decision.sizing.formula_quantity),
        "clamps": plain(decision.sizing.clamps),
        "unavailable": decision.sizing.unavailable or None,
    }
    data["stop_loss_fraction"] = _number(decision.stop_loss_fraction)
    data["risk_fraction"] = _number(decision.risk_fraction)
    data["market"] = market_data(decision.market)
    data["pulse"] = pulse_data(decision.pulse)
    data["opinions"] = [opinion_data(opinion) for opinion in decision.opinions]
    return data


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def market_data(market: Market) -> dict[str, Any]:
    data: dict[str, Any] = plain(market)
    data["freshness"] = {
        "is_fresh": market.freshness.is_fresh,
        "level": market.freshness.level,
        "age": market.freshness.age,
        "message": market.freshness.message,
    }
    return data


def pulse_data(pulse: Pulse) -> dict[str, Any]:
    return {
        "timeframes": {name.value: _frame_data(pulse.frames.get(name)) for name in PULSE_TIMEFRAMES},
        "confluence": plain(pulse.confluence),
        "missing": plain(pulse.missing),
        "summary": pulse.summary,
    }


def _frame_data(frame: FramePulse | None) -> dict[str, Any] | None:
    if frame is None:
        return None
    data: dict[str, Any] = plain(frame)
    del data["timeframe"]
    return data


def opinion_data(opinion: Opinion) -> dict[str, Any]:
    data: dict[str, Any] = plain(opinion)
    # The exact prompt and reply, and what was noted about them, belong to the whole record (`ffe show`), not to every
    # printed decision.
    del data["prompt"], data["raw_reply"], data["ignored_members"], data["asked"]
    return data
