"""What reaches the terminal: one printer that owns standard output, and the cleaning of text that others wrote."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from ffe_core.domain.text import clean

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Printer", "Written", "clean", "foreign", "jsonable", "line_on_stderr", "owned_stdout", "to_json"]

_UNSAFE_IN_JSON = "[\x7f-\x9f\u061c\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]"

#: Columns of a table that goes into a file or a pipe, where nobody's terminal sets a limit.
PLAIN_WIDTH = 160


def foreign(text: object, *, lines: bool = False) -> str:
    """``text`` of a stranger (a plugin, a model, a file), safe within rich markup: cleaned, and printed as it is."""
    from rich.markup import escape

    kept = clean(text, lines=lines)
    # A last backslash would escape whatever markup comes next.
    return escape(f"{kept} " if kept.endswith("\\") else kept)


@dataclass(frozen=True, slots=True)
class Written:
    """A part of the run's object that is JSON text already, in pieces, because it is long.

    It may be the object itself, or stand in it, or in an object that stands in it.
    """

    pieces: Sequence[str]


def to_json(data: object, *, ascii_only: bool = False) -> str:
    """One line of JSON. Decimals become strings, instants ISO 8601 with ``Z``, enums their values, NaN null.

    ``ascii_only`` escapes every other character, for a terminal of another encoding than UTF-8. Raises ``TypeError``
    for a value that has no agreed spelling, and for ``Written`` elsewhere than it may be.
    """
    return "".join(json_pieces(data, ascii_only=ascii_only))


def json_pieces(data: object, *, ascii_only: bool = False) -> list[str]:
    """``to_json`` before it is put together, which a long text need never be."""
    import json

    encode = json.JSONEncoder(ensure_ascii=ascii_only, allow_nan=False).encode
    # Outside of strings these cannot occur, and inside they would be orders to the terminal.
    return [
        piece
        if piece.isascii() and "\x7f" not in piece
        else re.sub(_UNSAFE_IN_JSON, lambda match: json.dumps(match[0])[1:-1], piece)
        for piece in _pieces(jsonable(data), encode)
    ]


def _pieces(value: Any, encode: Callable[[Any], str], levels: int = 2) -> Iterator[str]:
    if type(value) is Written:
        yield from value.pieces
    elif type(value) is dict and levels:
        yield "{"
        for place, (key, item) in enumerate(value.items()):
            yield f"{', ' if place else ''}{encode(key)}: "
            yield from _pieces(item, encode, levels - 1)
        yield "}"
    else:
        yield encode(value)


def jsonable(value: Any) -> Any:
    """``value`` in JSON's own types, by the rules of :func:`to_json`."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        # Most of a long result are texts under texts, which a call apiece would make three times as slow.
        return {
            key if type(key) is str else str(jsonable(key)): item if type(item) is str else jsonable(item)
            for key, item in value.items()
        }
    if type(value) is Written:
        return value
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    return _rare(value)


def _rare(value: Any) -> Any:
    import datetime as dt
    from dataclasses import fields, is_dataclass
    from decimal import Decimal
    from enum import Enum
    from pathlib import PurePath
    from uuid import UUID

    from ffe_core.domain.clock import iso

    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, Decimal):
        from ffe_core.domain.codec import decimal_text

        return decimal_text(value) if value.is_finite() else None
    if isinstance(value, dt.datetime):
        return iso(value)
    if isinstance(value, str | PurePath | UUID):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, dt.date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, set | frozenset):
        return sorted((jsonable(item) for item in value), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [jsonable(item) for item in value]
    if callable(getattr(value, "tolist", None)):
        # numpy's scalars and arrays, without importing numpy to ask
        return jsonable(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Printer:
    """The only writer of standard output, and of one line at a time on standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.wrote_object = False

    def text(self, text: str) -> None:
        self._stream.write(text if text.endswith("\n") else text + "\n")

    def object(self, body: Mapping[str, Any]) -> None:
        """The run's one JSON object. Raises ``RuntimeError`` for a second one."""
        if self.wrote_object:
            raise RuntimeError("a run prints one JSON object, and this one already has")
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        pieces = json_pieces(body, ascii_only=encoding.lower().replace("-", "") != "utf8")
        self.wrote_object = True
        self._stream.writelines((*pieces, "\n"))

    def console(self, *, color: bool | None) -> Console:
        """A rich console on standard output; ``color`` None leaves the choice to the terminal."""
        from rich.console import Console

        terminal = self._stream.isatty()
        return Console(
            file=self._stream,
            no_color=True if color is False else None,
            width=None if terminal or os.environ.get("COLUMNS") else PLAIN_WIDTH,
            highlight=False,
            emoji=False,
        )

    def reader_is_gone(self) -> bool:
        """Whether the other end of the pipe has been closed: nobody reads what would be printed."""
        import select

        watch = select.poll()
        try:
            self._stream.flush()
            # A long text that was refused leaves nothing to flush, and the pipe still tells.
            watch.register(self._stream.fileno(), 0)
        except BrokenPipeError:
            return True
        except (OSError, ValueError):
            return False
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def line_on_stderr(line: str) -> None:
    """One cleaned line on standard error, with registered secrets blanked. A closed stream is no reason to fail."""
    from ffe_core.logs import redact

    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(clean(redact(line)) + "\n")
        sys.stderr.flush()


@contextmanager
def owned_stdout() -> Iterator[Printer]:
    """The printer of a run, during which everything else that is written to standard output lands on standard error.

    Both ``sys.stdout`` and file descriptor 1 are pointed away, so that neither a plugin's ``print`` nor a C library
    can spoil what the run prints. Both are as before afterwards.
    """
    before = sys.stdout
    _open_missing_descriptors()
    kept = os.dup(1)
    # Someone may have replaced the object already (a test, a notebook): what they put there is where they look.
    mine = before is None or _is_real_stdout(before)
    if mine:
        encoding = "utf-8"
        if before is not None:
            before.flush()
            encoding = before.encoding
        stream: TextIO = os.fdopen(os.dup(kept), "w", encoding=encoding, errors="backslashreplace")
    else:
        stream = before
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield Printer(stream)
        stream.flush()
    finally:
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        sys.stdout = before
        os.dup2(kept, 1)
        os.close(kept)
        if mine:
            with suppress(OSError, ValueError):
                stream.close()


def _is_real_stdout(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 1
    except (OSError, ValueError, AttributeError):
        return False


def _open_missing_descriptors() -> None:
    """Fills closed standard descriptors with the null device: the next file opened would take their number."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            got = os.open(os.devnull, os.O_RDWR)
            if got != number:
                os.dup2(got, number)
                os.close(got)
