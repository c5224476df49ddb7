"""What the host and an isolated plugin say to each other: one JSON object a line, over two pipes of their own."""

from __future__ import annotations

import base64
import inspect
import json
import os
import select
import sys
import time
import typing
from array import array
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.codec import plain, restore
from ffe_core.domain.decisions import Briefing
from ffe_core.domain.market import COLUMNS, Candles

LINE_LIMIT = 128 * 1024 * 1024
CHUNK = 1 << 16

type Message = dict[str, Any]


class Broken(Exception):
    """The other side is gone, late, or does not keep to the protocol; the text says which."""


class Channel:
    """Two file descriptors, one line each way at a time, every wait under a deadline (``None`` waits for ever)."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading = reading
        self._writing = writing
        self._held = bytearray()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)

    def send(self, message: Message, *, until: float | None = None) -> None:
        """``until`` on the monotonic clock. Raises ``Broken``."""
        line = memoryview(json.dumps(message).encode() + b"\n")
        while line:
            self._wait(self._writing, select.POLLOUT, until)
            try:
                line = line[os.write(self._writing, line[:CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise Broken("its process has ended") from error

    def receive(self, *, until: float | None = None) -> Message:
        """The next message. Raises ``Broken``, also at the other side's end."""
        searched = 0
        while (end := self._held.find(b"\n", searched)) < 0:
            searched = len(self._held)
            if searched > LINE_LIMIT:
                raise Broken(f"answered more than {LINE_LIMIT} bytes")
            self._wait(self._reading, select.POLLIN, until)
            try:
                part = os.read(self._reading, CHUNK)
            except BlockingIOError:
                continue
            if not part:
                raise Broken("its process has ended")
            self._held += part
        line = bytes(self._held[:end])
        del self._held[: end + 1]
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            raise Broken("answered what is no message")
        return message

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)

    @staticmethod
    def _wait(descriptor: int, event: int, until: float | None) -> None:
        # Not select.select, which refuses descriptors above 1023.
        poll = select.poll()
        poll.register(descriptor, event)
        left = None if until is None else max(0.0, until - time.monotonic()) * 1000
        if not poll.poll(left):
            raise Broken("did not answer in time")


@cache
def signature_of(method: Callable[..., Any]) -> tuple[inspect.Signature, Mapping[str, Any]]:
    """A port's method or a hook: its signature, and its types by argument name, ``return`` among them."""
    return inspect.signature(method), typing.get_type_hints(method, _names_of(method))


def _names_of(method: Callable[..., Any]) -> dict[str, Any]:
    # Names that only type checkers import stand for what never crosses the pipe: settings models and arrays.
    unknown = {"BaseModel", "NDArray", "np"}
    return {**method.__globals__, **dict.fromkeys(unknown - set(method.__globals__), Any)}


def encode(value: object) -> Any:
    """A domain object in JSON's own types; columns of candles are base64 of little-endian bytes."""
    if isinstance(value, Briefing) and value.candles is not None:
        return {**plain(value), "candles": encode(value.candles)}
    if not isinstance(value, Candles):
        return plain(value)
    columns = {name: _to_text(getattr(value, name)) for name in ("time", *COLUMNS)}
    return {
        **{name: plain(getattr(value, name)) for name in ("asset", "timeframe", "source", "synthetic", "fetched_at")},
        **{name: plain(getattr(value, name)) for name in ("day_boundary", "coverage", "remarks")},
        **columns,
    }


def decode(kind: Any, value: Any) -> Any:
    """What ``encode`` made ``value`` of. Raises ``ValueError`` where it is no ``kind``."""
    if kind is Briefing and isinstance(value, Mapping) and value.get("candles") is not None:
        told = {name: held for name, held in value.items() if name != "candles"}
        return replace(restore(Briefing, told), candles=decode(Candles, value["candles"]))
    if kind is not Candles:
        return restore(kind, value)
    try:
        return Candles.of(
            restore(Asset, value["asset"]),
            Timeframe(value["timeframe"]),
            value["source"],
            time=_from_text(value["time"], "q"),
            open=_from_text(value["open"], "d"),
            high=_from_text(value["high"], "d"),
            low=_from_text(value["low"], "d"),
            close=_from_text(value["close"], "d"),
            volume=_from_text(value["volume"], "d"),
            synthetic=value["synthetic"],
            fetched_at=None if value["fetched_at"] is None else datetime.fromisoformat(value["fetched_at"]),
            day_boundary=DayBoundary(value["day_boundary"]),
            coverage=value["coverage"],
            remarks=value["remarks"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"no candles: {error}") from error


def _to_text(values: memoryview[Any]) -> str:
    held = array(values.format, bytes(values))
    if sys.byteorder == "big":
        held.byteswap()
    return base64.b64encode(held).decode()


def _from_text(text: str, code: str) -> array[Any]:
    held: array[Any] = array(code, base64.b64decode(text, validate=True))
    if sys.byteorder == "big":
        held.byteswap()
    return held
