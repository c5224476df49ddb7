"""A worker process of the executor ``processes``, and the line between it and whoever started it.

The file is run as a program, without the starter's ``__main__``, and imports nothing but the standard library until a
chunk names its task: numpy only comes when there are arrays.

A message is a letter, a length and that many bytes. To the worker: ``P`` the path to import from, ``S`` where the
arrays lie in the file whose descriptor follows, ``F`` to forget them, ``R`` a chunk to run. From it, for each chunk in
turn: ``E`` an error's text or ``V`` a pickled value. At the end of the line it kills its process group, and so it never
outlives its starter.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import sys
import threading
from collections.abc import Mapping
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATH, SHARE, FORGET, RUN = b"P", b"S", b"F", b"R"
ERROR, VALUE = b"E", b"V"
_HEAD = struct.Struct("!cQ")

type Inbox = SimpleQueue[tuple[bytes, bytearray, int]]


class LineEnded(Exception):
    """The other side is gone."""


def send(line: socket.socket, kind: bytes, body: bytes | bytearray = b"", *, file: int | None = None) -> None:
    """One message, with the descriptor of ``file`` behind it. Raises ``LineEnded``."""
    try:
        line.sendall(_HEAD.pack(kind, len(body)))
        line.sendall(body)
        if file is not None:
            socket.send_fds(line, [b"\0"], [file])
    except OSError as error:
        raise LineEnded from error


def receive(line: socket.socket) -> tuple[bytes, bytearray]:
    """The next message's kind and body. Raises ``LineEnded``, also where it ends within a message."""
    kind, length = _HEAD.unpack(_exactly(line, _HEAD.size))
    return kind, _exactly(line, length)


def _exactly(line: socket.socket, length: int) -> bytearray:
    body = bytearray(length)
    rest = memoryview(body)
    while rest:
        try:
            got = line.recv_into(rest)
        except OSError as error:
            raise LineEnded from error
        if not got:
            raise LineEnded
        rest = rest[got:]
    return body


def work(line: socket.socket) -> None:
    """Answers chunk by chunk; never returns."""
    inbox: Inbox = SimpleQueue()
    threading.Thread(target=_listen, args=(line, inbox), name="ffe starter", daemon=True).start()
    shared: Mapping[str, NDArray[Any]] = {}
    while True:
        kind, body, file = inbox.get()
        if kind == PATH:
            sys.path[:] = pickle.loads(body)  # noqa: S301 - the line leads to whoever started this process
        elif kind == SHARE:
            shared = _arrays_in(file, body)
        elif kind == FORGET:
            shared = {}
        else:
            with contextlib.suppress(LineEnded):
                send(line, *_answer(body, shared))


def _listen(line: socket.socket, inbox: Inbox) -> None:
    with contextlib.suppress(LineEnded):
        while True:
            kind, body = receive(line)
            inbox.put((kind, body, _descriptor(line) if kind == SHARE else -1))
    os.killpg(0, signal.SIGKILL)


def _descriptor(line: socket.socket) -> int:
    _, descriptors, _, _ = socket.recv_fds(line, 1, 1)
    if not descriptors:
        raise LineEnded
    return descriptors[0]


def _answer(body: bytearray, shared: Mapping[str, NDArray[Any]]) -> tuple[bytes, bytes]:
    from ffe_core import error_line, run_task

    task, arguments = pickle.loads(body)  # noqa: S301
    value, error = run_task(task, arguments, shared)
    if error is None:
        try:
            return VALUE, pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as unsendable:  # noqa: BLE001 - a value may refuse in any way
            error = f"its value cannot be sent: {error_line(unsendable)}"
    return ERROR, error.encode(errors="replace")


def _arrays_in(file: int, layout: bytearray) -> dict[str, NDArray[Any]]:
    """Read-only views of the arrays that ``layout`` says are in ``file``, which is closed."""
    import mmap

    import numpy as np

    size, places = pickle.loads(layout)  # noqa: S301
    try:
        memory = mmap.mmap(file, size, prot=mmap.PROT_READ)
    finally:
        os.close(file)
    return {name: np.ndarray(shape, dtype, memory, offset) for name, dtype, shape, offset in places}


if __name__ == "__main__":
    work(socket.socket(fileno=int(sys.argv[1])))
