"""A server on this machine that answers as a test says, well or as badly as real ones do.

    with Loopback(lambda request: Canned({"answer": 42})) as server:
        Door(server.url).get("/anything")

A stand-in for a vendor's API is a function from ``Request`` to ``Canned``; a fault is a ``Canned`` with a delay, a
slow body, a body that ends early, or a connection that is reset.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

#: seconds that a connection may lie idle
_IDLE = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived. ``headers`` by their lower-case names; ``path`` is without the query."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises ``ValueError`` where the body is not JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Canned:
    """What to answer: ``body`` is sent as it is where it is bytes, and as JSON otherwise.

    ``delay``: seconds before the answer begins; ``pace``: seconds between its bytes; ``cut``: bytes of the body after
    which the connection is closed; ``reset``: it is reset with no answer at all.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    pace: float = 0.0
    cut: int | None = None
    reset: bool = False

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


class Loopback:
    """Listens at ``url`` until it is closed; ``requests`` holds all that was asked, in order."""

    def __init__(self, answer: Callable[[Request], Canned]) -> None:
        self.answer = answer
        self.requests: list[Request] = []
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def pause(self, seconds: float) -> bool:
        """Waits, but not beyond the server's end; whether it still listens."""
        return not self._over.wait(seconds)

    def close(self) -> None:
        """Stops listening and drops every connection; waits for those who speak to fall silent."""
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.drop()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(address, handler)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left, or a connection that a fault dropped, is no news."""

    def drop(self) -> None:
        for each in list(self._open):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler(loopback: Loopback) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = _IDLE
        # As real servers do: a body that waits for the acknowledgement of its head comes 40 ms late.
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's own name
            pass

        def do_POST(self) -> None:
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, path, query, headers, body)
            loopback.requests.append(request)
            self._send(loopback.answer(request))

        do_GET = do_PUT = do_DELETE = do_POST  # noqa: N815 - the names that the library calls

        def _send(self, canned: Canned) -> None:
            if canned.delay and not loopback.pause(canned.delay):
                self.close_connection = True
                return
            if canned.reset:
                self._reset()
                return
            raw = canned.raw
            self.send_response_only(canned.status)
            sent = {
                "Date": self.date_time_string(),
                "Content-Type": "application/json; charset=utf-8",
                "Content-Length": str(len(raw)),
            }
            for name, value in {**sent, **canned.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if canned.cut is not None:
                raw, self.close_connection = raw[: canned.cut], True
            if not canned.pace:
                self.wfile.write(raw)
                return
            for byte in raw:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if not loopback.pause(canned.pace):
                    return

        def _reset(self) -> None:
            """Lingering for no time makes the system answer with RST rather than FIN."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    return Handler
