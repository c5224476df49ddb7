"""What is wrong with the settings, one line each: where it came from, which key, what to do. Never a secret's value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ffe_core.errors import SettingsError

PREFIX = "FFE_"
NESTED = "__"
HOME_VARIABLE = "FFE_HOME"
HOST_VARIABLE = "FFE_PLUGINS"
#: Known, and no settings: where everything lives, and which plugins load.
HOST_VARIABLES = (HOME_VARIABLE, HOST_VARIABLE)

_SECRET_WORDS = ("api_key", "apikey", "api_secret", "password", "secret", "token", "passphrase")
_PLACEHOLDER = re.compile(r"your[_-][\w-]*|change[_-]?me[\w-]*|<[^<>]*>|x{3,}|\.{3}|replace[_-]?me", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"://[^/@\s]*:[^@\s]+@")

type Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """``origin`` is ``file:line``, ``.env NAME`` or ``environment NAME``; empty where a key is nowhere set."""

    origin: str
    path: str
    text: str

    def __str__(self) -> str:
        return f"{' '.join(part for part in (self.origin, self.path) if part)}: {self.text}"


class SettingsProblems(SettingsError):
    """The settings cannot be used: the message is the first problem, ``problems`` holds all of them."""

    problems: tuple[Problem, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[Problem]) -> SettingsProblems:
        first, *others = dict.fromkeys(problems)
        error = cls(str(first), hint=f"also: {'; '.join(map(str, others))}" if others else None)
        error.problems = (first, *others)
        return error


def dotted(path: Iterable[object]) -> str:
    return ".".join(map(str, path))


def variable_of(path: Sequence[str]) -> str:
    """The environment variable that sets ``path``: ``FFE_RISK__MAX_LEVERAGE``."""
    return PREFIX + NESTED.join(part.replace("-", "_") for part in path).upper()


def is_secret_key(key: str) -> bool:
    lowered = key.lower().replace("-", "_")
    return any(word in lowered for word in _SECRET_WORDS)


def is_placeholder(text: str) -> bool:
    return _PLACEHOLDER.fullmatch(text.strip()) is not None


def holds_password(text: str) -> bool:
    """Whether ``text`` is an address with a password inside."""
    return _PASSWORD_IN_URL.search(text) is not None


def nearest(word: str, known: Iterable[str]) -> str | None:
    # Imported where there is something to complain about.
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return close[0] if close else None


def unknown_key(path: Path, origin: str, siblings: Iterable[str], everywhere: Iterable[Path]) -> Problem:
    """An unknown key with the nearest one: first among its siblings, then anywhere by its last word."""
    beside = [(*path[:-1], name) for name in siblings]
    where, _, variable = origin.rpartition(" ")
    if where in {"environment", ".env"}:
        known = [*map(variable_of, [*beside, *everywhere]), *HOST_VARIABLES]
        return Problem(origin, "", _unknown(nearest(variable.upper(), known)))
    match = nearest(path[-1], [candidate[-1] for candidate in beside])
    guess = next((candidate for candidate in beside if candidate[-1] == match), None)
    guess = guess or _anywhere(path, list(everywhere))
    return Problem(origin, dotted(path), _unknown(dotted(guess) if guess else None))


def _unknown(guess: str | None) -> str:
    return f"unknown key; did you mean {guess}?" if guess else "unknown key"


def _anywhere(path: Path, everywhere: list[Path]) -> Path | None:
    whole = {dotted(candidate): candidate for candidate in everywhere}
    match = nearest(dotted(path), whole)
    if match is not None:
        return whole[match]
    lasts = {candidate[-1]: candidate for candidate in reversed(everywhere)}
    last = nearest(path[-1], lasts)
    return lasts[last] if last is not None else None


_WANTED = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "finite_number": "a finite number",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping of keys to values",
    "mapping": "a mapping of keys to values",
    "model": "a mapping of keys to values",
    "string": "text",
    "path": "a path",
    "url": "an address",
    "datetime": "a time such as 2025-01-31T00:00:00Z",
    "date": "a date such as 2025-01-31",
}
_FOUND = {dict: "a mapping", list: "a list", bool: "true or false", str: "text", int: "a number", float: "a number"}
_BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def found(value: object) -> str:
    if value is None:
        return "nothing"
    return next((name for kind, name in _FOUND.items() if isinstance(value, kind)), "something else")


def explain(kind: str, message: str, context: dict[str, Any], value: object, *, fraction: bool, secret: bool) -> str:
    """One clause for one complaint of pydantic; ``value`` shows only where it is a plain number and no secret."""
    if kind in _BOUNDS:
        word, bound = _BOUNDS[kind]
        limit = f"must be {word} {_plain(context.get(bound))}"
        number = None if secret else _number(value)
        if number is None:
            return limit
        if fraction and 1 < number <= 100:
            return f"{number:g} is not a fraction; fractions inside: write {number / 100:g} for {number:g} %"
        return f"{limit}, not {number:g}"
    if kind in {"literal_error", "enum"}:
        return f"expected one of {str(context.get('expected', '')).replace(' or ', ', ').replace(chr(39), '')}"
    if kind == "missing":
        return "is required"
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind == "value_error":
        return str(context.get("error", "is not valid"))
    wanted = _wanted(kind)
    if wanted is None:
        return message[:1].lower() + message[1:]
    hint = "; put it in quotes" if wanted == "text" and isinstance(value, int | float) else ""
    return f"expected {wanted}, found {found(value)}{hint}"


def _wanted(kind: str) -> str | None:
    if kind in _WANTED:
        return _WANTED[kind]
    for ending in ("_type", "_parsing", "_from_float", "_attributes_type", "_parsing_size"):
        stem = kind.removesuffix(ending)
        if stem != kind and stem in _WANTED:
            return _WANTED[stem]
    return None


def _plain(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None


def scrub(text: str, secrets: Iterable[str]) -> str:
    """``text`` without any of ``secrets``, on one line."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if secret:
            text = text.replace(secret, "***")
    return " ".join(text.split())
