"""What reaches the terminal: JSON that every parser reads, and text of strangers that cannot drive it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from pathlib import PurePosixPath
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.cli.output import Written, clean, foreign, to_json


class Side(StrEnum):
    BUY = "buy"


class Level(IntEnum):
    HIGH = 3


@dataclass(frozen=True)
class Point:
    at: datetime
    price: Decimal


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (float("nan"), "null"),
        (float("inf"), "null"),
        (-float("inf"), "null"),
        (np.float64("nan"), "null"),
        (np.float64(0.1), "0.1"),
        (np.int8(-1), "-1"),
        (np.bool_(True), "true"),
        (np.array([1.0, float("nan")]), "[1.0, null]"),
        (Decimal("1E+3"), '"1000"'),
        (Decimal("0.00000001"), '"0.00000001"'),
        (Decimal("NaN"), "null"),
        (datetime(2023, 6, 1, tzinfo=UTC), '"2023-06-01T00:00:00Z"'),
        (datetime(2023, 6, 1, 2, tzinfo=timezone(timedelta(hours=2))), '"2023-06-01T00:00:00Z"'),
        (date(2023, 6, 1), '"2023-06-01"'),
        (Side.BUY, '"buy"'),
        (Level.HIGH, "3"),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (PurePosixPath("/a/b"), '"/a/b"'),
        ({"b": 1, "a": (1, None)}, '{"b": 1, "a": [1, null]}'),
        ({Side.BUY: {3, 1, 2}}, '{"buy": [1, 2, 3]}'),
        (Point(datetime(2023, 6, 1, tzinfo=UTC), Decimal("1.50")), '{"at": "2023-06-01T00:00:00Z", "price": "1.5"}'),
        (True, "true"),
        ("Zürich \U0001f600", '"Zürich \U0001f600"'),
    ],
)
def test_every_kind_of_value_has_one_spelling(value: object, told: str) -> None:
    assert to_json(value) == told


def test_value_without_an_agreed_spelling_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json({"a": object()})
    with pytest.raises(TypeError, match="bytes"):
        to_json(b"a")


def test_naive_instant_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        to_json(datetime(2023, 6, 1))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    )
)
def test_json_is_standard_and_holds_no_control_character(value: object) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    for ascii_only in (False, True):
        line = to_json(value, ascii_only=ascii_only)
        json.loads(line, parse_constant=refuse)
        assert clean(line.replace("  ", "")) is not None
        assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in line)
        assert not ascii_only or line.isascii()


@pytest.mark.parametrize(
    "around", [lambda part: part, lambda part: {"a": part}, lambda part: {"a": {"b": part, "c": 1}}]
)
def test_what_is_written_already_is_printed_as_it_is(around: Callable[[object], object]) -> None:
    rows = [{"time": "2023-06-01T00:00:00Z", "value": 0.1}]
    for ascii_only in (False, True):
        assert to_json(around(Written(json.dumps(rows))), ascii_only=ascii_only) == to_json(around(rows))


def test_what_is_written_deeper_in_the_object_is_refused() -> None:
    with pytest.raises(TypeError, match="Written"):
        to_json([Written("[]")])


@given(st.text())
def test_text_survives_json_unchanged(text: str) -> None:
    assert json.loads(to_json(text)) == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("a\x1b]0;new title\x07b", "ab"),
        ("a\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\b", "alinkb"),
        ("a\x1bPq#0;2;0;0;0\x1b\\b", "ab"),
        ("a\x9b31mb", "ab"),
        ("unfinished \x1b]0;title", "unfinished 0;title"),
        ("back\x08\x08space\x7f", "backspace"),
        ("two\r\nlines\ttab\vline", "two lines tab line"),
        ("error\u2028next", "error next"),
        ("abc\u202edcba", "abcdcba"),
        ("null\x00byte", "nullbyte"),
        ("  kept   apart  ", "kept apart"),
    ],
)
def test_foreign_text_is_one_harmless_line(text: str, told: str) -> None:
    assert clean(text) == told


def test_lines_stay_where_they_are_wanted() -> None:
    assert clean("a\r\nb\r\x1b[1mc\td", lines=True) == "a\nb\nc\td"


@given(st.text(st.characters() | st.sampled_from("\x1b[];\x07\x9b\r\n\t\\m0")))
def test_cleaning_twice_changes_nothing_and_leaves_no_control(text: str) -> None:
    once = clean(text)
    assert clean(once) == once
    assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in once)


@given(st.text())
def test_markup_of_strangers_is_printed_as_it_is(text: str) -> None:
    from rich.text import Text

    assert Text.from_markup(foreign(text), emoji=False).plain.rstrip(" ") == clean(text)


def test_markup_does_not_colour() -> None:
    from rich.text import Text

    shown = Text.from_markup(foreign("[bold red]BUY[/] [link=http://evil]now[/link]"), emoji=False)
    assert shown.plain == "[bold red]BUY[/] [link=http://evil]now[/link]"
    assert shown.spans == []
