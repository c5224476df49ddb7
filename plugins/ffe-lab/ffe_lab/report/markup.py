"""HTML from plain functions: what is not HTML already is escaped, so that no text of a stranger becomes markup."""

from __future__ import annotations

import html
from collections.abc import Iterable

from ffe_core.domain.text import clean

_VOID = frozenset({"meta", "br"})


class Html(str):
    """Text that is HTML already; only :func:`tag` and :func:`join` make it of anything else."""

    __slots__ = ()


def join(parts: Iterable[object]) -> Html:
    """The parts one after the other: HTML as it is, None as nothing, everything else cleaned and escaped."""
    return Html("".join(_part(part) for part in parts if part is not None))


def _part(part: object) -> str:
    if isinstance(part, Html):
        return part
    # a number and its unit stay on one line
    return html.escape(clean(part, lines=True)).replace(" %", "\u00a0%")


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. An attribute that is None is left out, ``True`` stands bare; ``class_`` and ``data_low`` are written
    ``class`` and ``data-low``.
    """
    opening = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items() if value is not None)}>"
    return Html(opening if name in _VOID else f"{opening}{join(children)}</{name}>")


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(clean(value))}"'
