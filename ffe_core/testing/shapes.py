"""Whether what a command prints with ``--json`` is what its document says.

A shape is written as in docs/commands.md: ``x[…]`` is a list and ``x{…}`` an object with the fields that stand between;
``…`` itself are fields that vary; a single name in capitals stands for many.
"""

from __future__ import annotations

from typing import Any

type Shape = dict[str, tuple[str, Any]]

#: a setting's own value may be a list or a mapping
ANYTHING = ("value", "default")


def hold(value: object, text: str, path: str = "data") -> None:
    """Raises ``AssertionError``, with the place, where ``value`` is not of the shape ``text``; null is anything."""
    _hold(value, *parse(text), path)


def parse(text: str) -> tuple[str, Shape]:
    """The kind (``object`` or ``list``) and the fields of a shape. Raises ``ValueError`` for what is none."""
    kind = "object"
    if text[0] in "[{":
        kind, text = ("list" if text[0] == "[" else "object"), text[1:-1]
    fields, rest = _fields(text + "]")
    if rest:
        raise ValueError(f"{rest!r} is left of a shape")
    return kind, fields


def _fields(text: str) -> tuple[Shape, str]:
    found: Shape = {}
    while text[0] not in "]}":
        text = text.lstrip()
        name = text[: next(place for place, letter in enumerate(text) if letter in " []{}")]
        text = text[len(name) :]
        kind: tuple[str, Any] = ("value", None)
        if text[0] in "[{":
            opened = text[0]
            inner, text = _fields(text[1:])
            kind = ("list" if opened == "[" else "object", inner)
        found[name] = kind
        text = text.lstrip()
    return found, text[1:]


def _hold(value: Any, kind: str, fields: Any, path: str) -> None:
    if value is None:
        return
    if kind == "value":
        _require(not isinstance(value, dict | list) or path.rpartition(".")[2] in ANYTHING, path, "is no single value")
    elif kind == "list":
        _require(isinstance(value, list), path, "is no list")
        for item in value:
            _hold(item, "object" if fields else "value", fields, f"{path}[]")
    else:
        _require(isinstance(value, dict), path, "is no object")
        _hold_object(value, fields, path)


def _hold_object(value: dict[str, Any], fields: Shape, path: str) -> None:
    named = {name for name in fields if name != "…"}
    if len(fields) == 1 and next(iter(fields)).isupper():
        for name, inner in value.items():
            _hold(inner, *next(iter(fields.values())), f"{path}.{name}")
        return
    missing, more = named - set(value), set() if "…" in fields else set(value) - named
    _require(not missing and not more, path, f"lacks {sorted(missing)} and has {sorted(more)} besides")
    for name in named:
        _hold(value[name], *fields[name], f"{path}.{name}")


def _require(holds: bool, path: str, why: str) -> None:
    if not holds:
        raise AssertionError(f"{path} {why}")
