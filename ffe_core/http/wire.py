"""One exchange over HTTP/1.1 that ends at its deadline, whatever the other side does.

A socket's timeout starts anew with every byte, so that a server which drips can hold a caller for hours. Here each
wait (name, connect, handshake, send, every read of header and body) is given what is left of one deadline.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import selectors
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast, override

from ffe_core.errors import BadReply, HttpError, NoAnswer, NotReached

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: seconds for the handshake of TCP: an address that swallows packets must not eat the whole deadline
CONNECT = 5.0
#: connections at once; a further call waits for one within its deadline
CONNECTIONS = 10
#: an idle connection older than this (seconds) may already be forgotten by a router on the way
IDLE = 20.0
#: bytes that headers and chunk marks may take besides the body
WRAPPING = 1 << 20
_CHUNK = 1 << 16


class Deadline:
    """An instant on a monotonic clock, ``seconds`` from now."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._monotonic = monotonic
        self._end = monotonic() + seconds

    @property
    def remaining(self) -> float:
        return self._end - self._monotonic()

    def left(self) -> float:
        """Seconds that are left; raises ``TimeoutError`` where none are."""
        left = self.remaining
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(slots=True)
class Exchange:
    """One request on its way; ``sent`` is true as soon as a byte of it may have reached the other side.

    ``what`` names it in errors; ``limit`` is the most bytes that a body may have, packed and unpacked.
    """

    what: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    deadline: Deadline
    limit: int
    sent: bool = False
    received: int = 0

    def count(self, received: int) -> None:
        """Adds to what came in; raises ``BadReply`` for more than any wrapping of ``limit`` bytes can need.

        Without it a header, a trailer or a chunk that lies about its length could fill the memory.
        """
        self.received += received
        if self.received > 2 * self.limit + WRAPPING:
            raise BadReply(f"{self.what}: the answer is larger than {self.limit} bytes")


class _Reader(io.RawIOBase):
    """What comes in on a socket, every read within the deadline of the exchange that goes on."""

    def __init__(self, timed: _TimedSocket) -> None:
        self._timed = timed
        # Holds the socket open until the body is read, also after http.client closed its own end of it.
        self._raw = timed.sock.makefile("rb", buffering=0)

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        self._timed.limit()
        received = cast("io.RawIOBase", self._raw).readinto(buffer)
        self._timed.exchange.count(received or 0)
        return received

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedSocket:
    """As much of a socket as ``http.client`` uses."""

    def __init__(self, sock: socket.socket, exchange: Exchange) -> None:
        self.sock = sock
        self.exchange = exchange

    def limit(self) -> None:
        self.sock.settimeout(self.exchange.deadline.left())

    def sendall(self, data: Any) -> None:
        self.limit()
        self.exchange.sent = True
        # The timeout of sendall is for all of it, not for each packet.
        self.sock.sendall(data)

    def makefile(self, _mode: str = "rb") -> io.BufferedReader:
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        self.sock.close()


class _Connection(http.client.HTTPConnection):
    """A kept connection; ``begin`` hands it to the next exchange."""

    def __init__(self, line: Line, exchange: Exchange) -> None:
        super().__init__(line.host, line.port)
        self.default_port = 443 if line.tls else 80
        self._tls = line.tls
        self._exchange = exchange
        self.idle_since = 0.0

    def begin(self, exchange: Exchange) -> None:
        self._exchange = exchange
        if self.sock is not None:
            cast("_TimedSocket", self.sock).exchange = exchange

    @override
    def connect(self) -> None:
        deadline = self._exchange.deadline
        sock = _dial(self.host, self.port, deadline)
        try:
            if self._tls is not None:
                sock.settimeout(deadline.left())
                sock = self._tls.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise
        self.sock = cast("socket.socket", _TimedSocket(sock, self._exchange))

    def is_usable(self, now: float) -> bool:
        """Whether the other side still holds its end: an idle connection with something to read says it does not."""
        if self.sock is None or now - self.idle_since > IDLE:
            return False
        with selectors.DefaultSelector() as selector:
            selector.register(cast("_TimedSocket", self.sock).sock, selectors.EVENT_READ)
            return not selector.select(0)


def _dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """A connection to the first address of ``host`` that answers."""
    failure: OSError = OSError("the name has no address")
    for family, kind, protocol, _, address in _addresses(host, port, deadline):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(CONNECT, deadline.left()))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _addresses(host: str, port: int, deadline: Deadline) -> list[Any]:
    """What the resolver says. It takes no deadline, so that it is asked on a thread that can be left behind."""
    said: list[list[Any] | OSError | UnicodeError] = []

    def ask() -> None:
        try:
            said.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            said.append(error)

    thread = threading.Thread(target=ask, name=f"ffe resolve {host}", daemon=True)
    thread.start()
    thread.join(deadline.left())
    if not said:
        raise TimeoutError
    if isinstance(said[0], list):
        return said[0]
    raise said[0] if isinstance(said[0], OSError) else socket.gaierror(str(said[0]))


@dataclass(slots=True)
class Line:
    """Kept connections to one host, shared between threads."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    monotonic: Callable[[], float] = time.monotonic
    _idle: list[_Connection] = field(default_factory=list)
    _closed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _free: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CONNECTIONS))

    def exchange(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by their lower-case names, and the unpacked body.

        Raises ``NotReached`` where no byte was sent, ``NoAnswer`` where some were and no whole answer came back in
        time, ``BadReply`` for a body that is too large or packed in a way nobody asked for.
        """
        try:
            with self._connection(exchange) as connection:
                return _exchanged(connection, exchange)
        except HttpError:
            raise
        except (OSError, http.client.HTTPException) as error:
            failure = _told(error, exchange, self)
        # Raised out here, so that the error holds on to nothing of the library's, whose texts repeat the request.
        raise failure

    @contextlib.contextmanager
    def _connection(self, exchange: Exchange) -> Iterator[_Connection]:
        """A connection, kept for the next exchange where the answer was read to its end."""
        if not self._free.acquire(timeout=exchange.deadline.left()):
            raise TimeoutError
        try:
            connection = self._kept() or _Connection(self, exchange)
            try:
                connection.begin(exchange)
                yield connection
            except BaseException:
                connection.close()
                raise
            self._keep(connection)
        finally:
            self._free.release()

    def _kept(self) -> _Connection | None:
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None or connection.is_usable(self.monotonic()):
                return connection
            connection.close()

    def _keep(self, connection: _Connection) -> None:
        connection.idle_since = self.monotonic()
        with self._lock:
            if connection.sock is not None and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()


def _exchanged(connection: _Connection, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
    connection.request(exchange.method, exchange.target, body=exchange.body, headers=dict(exchange.headers))
    response = None
    try:
        response = connection.getresponse()
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            headers[key] = f"{headers[key]}, {value}" if key in headers else value
        return response.status, headers, _body(response, headers, exchange)
    except ValueError:
        # What the library says of lengths that are none.
        raise http.client.HTTPException from None
    finally:
        if response is not None:
            response.close()


def _body(response: http.client.HTTPResponse, headers: Mapping[str, str], exchange: Exchange) -> bytes:
    packing = headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip"):
        named = packing if packing in ("br", "compress", "deflate", "zstd") else "something unknown"
        raise BadReply(f"{exchange.what}: the answer is packed as {named}, which nobody asked for")
    unpack = zlib.decompressobj(wbits=31) if packing.endswith("gzip") else None
    body = bytearray()
    read = 0
    while chunk := response.read(_CHUNK):
        read += len(chunk)
        try:
            # One byte more than allowed is enough to know, however much a small packet would swell to.
            body += chunk if unpack is None else unpack.decompress(chunk, exchange.limit + 1 - len(body))
        except zlib.error:
            raise BadReply(f"{exchange.what}: the answer says that it is gzip, and is not") from None
        if max(read, len(body)) > exchange.limit:
            raise BadReply(f"{exchange.what}: the answer is larger than {exchange.limit} bytes")
    if response.length or (unpack is not None and read and not unpack.eof):
        raise http.client.IncompleteRead(b"")
    return bytes(body)


def _told(error: Exception, exchange: Exchange, line: Line) -> HttpError:
    """What happened in our words: those of the libraries repeat what was sent or received."""
    kind = NoAnswer if exchange.sent else NotReached
    failure = kind(f"{exchange.what}: {_words(error, exchange)}", hint=_hint(error, line))
    failure.retryable = not isinstance(error, ssl.SSLCertVerificationError)
    return failure


def _words(error: Exception, exchange: Exchange) -> str:
    if isinstance(error, TimeoutError):
        if exchange.deadline.remaining > 0:
            return f"no connection within {CONNECT:g} s"
        done = "no whole answer" if exchange.sent else "no connection"
        return f"{done} within {exchange.deadline.seconds:g} s"
    if isinstance(error, socket.gaierror):
        return "the host's name cannot be resolved"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionError):
        return "the connection was closed before an answer came"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer broke off"
    if isinstance(error, http.client.HTTPException):
        return f"the answer is not HTTP ({type(error).__name__})"
    return f"{error.strerror or type(error).__name__}" if isinstance(error, OSError) else type(error).__name__


def _hint(error: Exception, line: Line) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "if the host is yours, name its certificate authority in ca_file"
    if isinstance(error, ConnectionRefusedError):
        return f"is anything listening on {line.host} port {line.port}?"
    return None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust in ``ca_file`` alone, else in Mozilla's list of authorities; raises ``OSError`` for an unreadable file."""
    if ca_file is None:
        import certifi

        return ssl.create_default_context(cafile=certifi.where())
    return ssl.create_default_context(cafile=str(ca_file))
