"""A loopback server that behaves as badly as a test asks: each connection is a thread, each path a script."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Asked:
    """One request as it arrived, and the connection that it came on."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int
    socket: socket.socket = field(repr=False)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, body: bytes = b"{}", status: str = "200 OK", **headers: str) -> None:
        fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        self.send(f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body)

    def reset(self) -> None:
        """Ends the connection with RST rather than FIN."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Hangup


class Hangup(Exception):
    """The script wants the connection closed."""


type Script = Callable[[Asked], None]


@dataclass
class Server:
    """``asked`` holds every request; ``script`` answers it; ``stop`` is set when the test is over."""

    script: Script
    asked: list[Asked] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len({asked.connection for asked in self.asked})

    def pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Hangup


@contextlib.contextmanager
def serving(script: Script, wrap: Callable[[socket.socket], socket.socket] = lambda sock: sock) -> Iterator[Server]:
    server = Server(script)
    threads: list[threading.Thread] = []
    open_sockets: set[socket.socket] = set()

    def converse(sock: socket.socket, number: int) -> None:
        try:
            sock.settimeout(20)
            sock = wrap(sock)
            with sock, contextlib.suppress(Hangup, OSError, ValueError):
                open_sockets.add(sock)
                while not server.stop.is_set():
                    asked = _read(sock, number)
                    server.asked.append(asked)
                    server.script(asked)
        except OSError:
            pass
        finally:
            open_sockets.discard(sock)
            sock.close()

    def accept(listener: socket.socket) -> None:
        number = 0
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            number += 1
            threads.append(threading.Thread(target=converse, args=(sock, number), daemon=True))
            threads[-1].start()

    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        server.port = listener.getsockname()[1]
        acceptor = threading.Thread(target=accept, args=(listener,), daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            server.stop.set()
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            for sock in list(open_sockets):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            acceptor.join(10)
            for thread in threads:
                thread.join(10)


def _read(sock: socket.socket, number: int) -> Asked:
    data = b""
    while b"\r\n\r\n" not in data:
        received = sock.recv(65536)
        if not received:
            raise Hangup
        data += received
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += sock.recv(65536)
    return Asked(method, target, headers, body, number, sock)
