"""Whether an offered object is what its port says: members there, methods callable as the engine will call them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import cache
from typing import Any

from ffe_core.errors import UsageError
from ffe_core.ports import (
    BarFed,
    Catalogued,
    CheckedProvider,
    Dated,
    FlatAccount,
    FundedAccount,
    Learner,
    MacroSource,
    MarkToMarket,
    NewsSource,
    QuoteSource,
    Rationed,
    RoundStrategy,
    VectorProvider,
    VectorRule,
)

_ABSENT = object()
NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
#: what an object of a kind may be able to do besides; read once from the bare object
CAPABILITIES: dict[str, tuple[type, ...]] = {
    "source": (QuoteSource, NewsSource, MacroSource, Catalogued),
    "provider": (VectorProvider, CheckedProvider, Rationed, Dated),
    "strategy": (RoundStrategy, Learner),
    "rule": (VectorRule,),
    "platform": (MarkToMarket, BarFed, FlatAccount, FundedAccount),
}


class NotConforming(UsageError):
    """The object cannot be used; the text says what is missing or different."""


def require_name(name: object, what: str) -> str:
    """``name``, if settings can spell it."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise NotConforming(f"{what} has no usable name ({name!r:.60}): lower-case letters, digits, _ and - only")
    return str(name)


def require_port(port: type, offered: object) -> None:
    """Raises ``NotConforming`` naming the first member of ``port`` that ``offered`` lacks or that differs."""
    kind = type(offered).__name__
    if isinstance(offered, type):
        raise NotConforming(f"{offered.__name__} is a class; an object of it is wanted")
    for name, method in members(port):
        held = inspect.getattr_static(offered, name, _ABSENT)
        # None is an answer of some attributes, and of no method.
        if held is _ABSENT or (held is None and method is not None):
            raise NotConforming(f"{kind} is no {port.__name__}: {name} is missing")
        if method is not None:
            _require_method(f"{kind}.{name}", getattr(offered, name), method)
    if not isinstance(offered, port):
        raise NotConforming(f"{kind} is no {port.__name__}")


def capabilities(kind: str, offered: object) -> frozenset[str]:
    """Names of the optional ports of ``kind`` that ``offered`` has, such as ``QuoteSource``.

    Raises ``NotConforming`` where a method of one is there and cannot be called as the port says.
    """
    found = [port for port in CAPABILITIES.get(kind, ()) if isinstance(offered, port)]
    for port in found:
        require_port(port, offered)
    return frozenset(port.__name__ for port in found)


@cache
def members(port: type) -> tuple[tuple[str, Callable[..., Any] | None], ...]:
    """Attribute names of a Protocol in the order of its source, each with the function where it is a method."""
    members: dict[str, Callable[..., Any] | None] = {}
    for base in reversed(port.__mro__):
        if not getattr(base, "_is_protocol", False):
            continue
        for name, value in vars(base).items():
            if name.startswith("_") or not (isinstance(value, property) or inspect.isfunction(value)):
                continue
            members[name] = value if inspect.isfunction(value) else None
    return tuple(members.items())


def _require_method(what: str, offered: object, promised: Callable[..., Any]) -> None:
    if not callable(offered):
        raise NotConforming(f"{what} is not a method")
    try:
        signature = inspect.signature(offered)
    except (ValueError, TypeError):  # written in C: nothing to compare with
        return
    wanted = _parameters(promised)
    accepted = signature.parameters
    takes_any = {parameter.kind for parameter in accepted.values()}
    for parameter in wanted:
        spare = parameter.VAR_KEYWORD if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD else None
        if parameter.kind is parameter.VAR_KEYWORD:
            if parameter.kind not in takes_any:
                raise NotConforming(f"{what} does not take **{parameter.name}")
        elif parameter.name not in accepted and not takes_any & {spare, parameter.VAR_POSITIONAL}:
            raise NotConforming(f"{what} does not take the argument {parameter.name}")
    try:
        signature.bind(
            *(None for parameter in wanted if parameter.kind is parameter.POSITIONAL_OR_KEYWORD),
            **{parameter.name: None for parameter in wanted if parameter.kind is parameter.KEYWORD_ONLY},
        )
    except TypeError as error:
        raise NotConforming(f"{what} cannot be called with ({_spelled(wanted)}): {error}") from None


@cache
def _parameters(promised: Callable[..., Any]) -> list[inspect.Parameter]:
    """Without ``self``; asked for every object of a kind."""
    return list(inspect.signature(promised).parameters.values())[1:]


def _spelled(parameters: list[inspect.Parameter]) -> str:
    return ", ".join(parameter.name for parameter in parameters)
