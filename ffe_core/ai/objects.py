"""JSON objects in what a model wrote: prose around them is passed over, small slips of the pen are read, and nothing
is guessed.

Read beyond strict JSON: single quotes, a comma before a closing bracket, Python's ``True``, ``False`` and ``None``,
line breaks inside strings. Everything is read once, from left to right, so that the time is linear in the length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

MOST_DEPTH = 32
MOST_OBJECTS = 500
_LONGEST_NUMBER = 400
#: whole numbers of more digits are of no use to anyone, and slow to turn into integers
_INTEGER_DIGITS = 30

_SPACE = re.compile(r"\s*+")
_STRINGS = {
    '"': re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL),
    "'": re.compile(r"'([^'\\]*+(?:\\.[^'\\]*+)*+)'", re.DOTALL),
}
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_NUMBER = re.compile(r"-?+(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][+-]?[0-9]++)?+(?=[\s,}\]]|\Z)")
_WORD = re.compile(r"-?[A-Za-z]++")
_WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
#: where an object or a list of objects may begin
_OPENING = re.compile(r"\{(?=\s*+[\"'}])|\[(?=\s*+\{)")
_BRACKET = re.compile(r'["{}\[\]]')


class Unreadable(ValueError):
    """What is wrong with the text, in a few words."""


class CutOff(Unreadable):
    """The text ends in the middle: what is missing may have been a *not*."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object or list and where it stood: ``text[start:end]``. A broken one has a ``fault`` and no value."""

    value: Any
    start: int
    end: int
    fault: str = ""


def objects_in(text: str) -> list[Found]:
    """The outermost objects, and lists of objects, in order. Numbers are ``int`` or ``Decimal``.

    Raises ``Unreadable`` where the text ends inside one or has too many, or where a broken one has no end.
    """
    found: list[Found] = []
    at = 0
    while opening := _OPENING.search(text, at):
        start = opening.start()
        try:
            value, at = _value(text, start, 0)
            found.append(Found(value, start, at))
        except CutOff:
            raise
        except Unreadable as error:
            at = _end_of(text, start, error)
            found.append(Found(None, start, at, str(error)))
        if len(found) > MOST_OBJECTS:
            raise Unreadable(f"more than {MOST_OBJECTS} JSON objects")
    return found


def _end_of(text: str, start: int, error: Unreadable) -> int:
    """Where the brackets that open at ``start`` are all closed again, strings aside."""
    depth, at = 0, start
    while bracket := _BRACKET.search(text, at):
        sign, at = bracket.group(), bracket.end()
        if sign == '"':
            string = _STRINGS['"'].match(text, bracket.start())
            if string is None:
                break
            at = string.end()
            continue
        depth += 1 if sign in "{[" else -1
        if depth == 0:
            return at
    raise error


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > MOST_DEPTH:
        raise Unreadable("nested too deeply")
    sign = _sign(text, at)
    if sign == "{":
        return _object(text, at, depth)
    if sign == "[":
        return _list(text, at, depth)
    if sign in _STRINGS:
        return _string(text, at)
    return _scalar(text, at)


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    members: dict[str, Any] = {}
    at = _skip(text, at + 1)
    while _sign(text, at) != "}":
        if _sign(text, at) not in _STRINGS:
            raise Unreadable("a member of the JSON object has no quoted name")
        name, at = _string(text, at)
        at = _expect(text, _skip(text, at), ":")
        value, at = _value(text, _skip(text, at), depth + 1)
        add_member(members, name, value)
        at = _next(text, at, "}")
    return members, at + 1


def _list(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    items: list[Any] = []
    at = _skip(text, at + 1)
    while _sign(text, at) != "]":
        value, at = _value(text, at, depth + 1)
        items.append(value)
        at = _next(text, at, "]")
    return items, at + 1


def add_member(members: dict[str, Any], name: str, value: Any) -> None:
    """Adds a member. Raises ``Unreadable`` where it is there already and says something else."""
    if name in members and not (type(members[name]) is type(value) and members[name] == value):
        raise Unreadable(f"{name[:40]!r} stands there twice and disagrees with itself")
    members.setdefault(name, value)


def _next(text: str, at: int, closing: str) -> int:
    """Past a comma, or at the closing bracket."""
    at = _skip(text, at)
    return at if _sign(text, at) == closing else _skip(text, _expect(text, at, ","))


def _expect(text: str, at: int, sign: str) -> int:
    if _sign(text, at) != sign:
        raise Unreadable(f"{text[at : at + 12]!r} stands in the JSON object where {sign!r} belongs")
    return at + 1


def _sign(text: str, at: int) -> str:
    if at >= len(text):
        raise CutOff("the reply is cut off in the middle of its JSON object")
    return text[at]


def _skip(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _string(text: str, at: int) -> tuple[str, int]:
    match = _STRINGS[text[at]].match(text, at)
    if match is None:
        raise CutOff("the reply is cut off in the middle of a text")
    body = match.group(1)
    if "\\" in body:
        body = _ESCAPE.sub(_unescape, body)
        # Two escaped halves of a character become one; half a character becomes the sign for it.
        body = body.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return body, match.end()


def _unescape(match: re.Match[str]) -> str:
    code = match.group(1)
    if len(code) == 5:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise Unreadable(f"{match.group()!r} is no escape of JSON")
    return _ESCAPES[code]


def _scalar(text: str, at: int) -> tuple[Any, int]:
    if number := _NUMBER.match(text, at):
        return _number(number.group()), number.end()
    word = _WORD.match(text, at)
    if word and word.group() in _WORDS:
        return _WORDS[word.group()], word.end()
    if word and word.end() == len(text):
        raise CutOff("the reply is cut off in the middle of its JSON object")
    raise Unreadable(f"{word.group()[:20] if word else text[at : at + 12]!r} is no JSON value")


def _number(digits: str) -> int | Decimal:
    if len(digits) > _LONGEST_NUMBER:
        raise Unreadable(f"a number of {len(digits)} characters")
    if len(digits) <= _INTEGER_DIGITS and digits.lstrip("-").isdigit():
        return int(digits)
    try:
        return Decimal(digits)
    except ArithmeticError as error:
        raise Unreadable(f"number {digits[:20]} is too large or too small") from error
