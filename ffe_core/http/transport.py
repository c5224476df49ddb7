"""One exchange through requests that ends at its deadline, whatever the other side does.

The timeouts of requests and urllib3 start anew with every byte, so that a server which drips can hold a caller for
hours. Connections and pools of urllib3 are told here what is left of the call's one deadline before each wait: for a
free connection, the name, the handshakes, every send and every read. The rest is as the libraries have it.
"""

from __future__ import annotations

import gzip
import http.client
import http.cookiejar
import io
import logging
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, override

import requests
from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import EmptyPoolError
from urllib3.util import create_urllib3_context

from ffe_core.domain.threads import start
from ffe_core.errors import BadReply, HttpError, NoAnswer, NotReached

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: seconds for the handshake of TCP, and of TLS: an address that swallows packets must not eat the whole deadline
CONNECT = 5.0
#: connections at once; a further call waits for one within its deadline
CONNECTIONS = 10
#: an idle connection older than this (seconds) may already be forgotten by a router on the way
IDLE = 20.0
#: bytes that headers, chunk marks and packing may take besides the body
WRAPPING = 1 << 20
_CHUNK = 1 << 16


class Deadline:
    """An instant on a monotonic clock, ``seconds`` from now."""

    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self.now = monotonic
        self._end = monotonic() + seconds

    @property
    def remaining(self) -> float:
        return self._end - self.now()

    def left(self) -> float:
        """Seconds that are left; raises ``TimeoutError`` where none are."""
        left = self.remaining
        if left <= 0:
            raise TimeoutError
        return left


@dataclass(slots=True)
class Exchange:
    """One request on its way; ``sent`` is true as soon as a byte of it may have reached the other side.

    ``what`` names it in errors; ``limit`` is the most bytes that the unpacked body may have.
    """

    what: str
    method: str
    url: str
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
            raise self.too_large()

    def too_large(self) -> BadReply:
        return BadReply(f"{self.what}: the answer is larger than {self.limit} bytes")


#: the exchange of this thread, for the objects that urllib3 makes
_exchange: ContextVar[Exchange] = ContextVar("exchange")


class _Reader(io.RawIOBase):
    """What comes in on a socket, every read within the deadline of the exchange."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._exchange = _exchange.get()

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._exchange.deadline.left())
        received = cast("int", cast("Any", self._raw).readinto(buffer))
        self._exchange.count(received)
        return received

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp = io.BufferedReader(_Reader(sock, self.fp.detach()))


class _Connection(HTTPConnection):
    response_class = _Response
    _used = 0.0

    @property
    @override
    def is_connected(self) -> bool:
        return _exchange.get().deadline.now() - self._used <= IDLE and super().is_connected

    @override
    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        exchange = _exchange.get()
        # The timeout of sendall is for all of it, not for each packet.
        self.sock.settimeout(exchange.deadline.left())
        exchange.sent, self._used = True, exchange.deadline.now()
        super().send(data)

    @override
    def connect(self) -> None:
        """Connects on a thread that can be left behind: the resolver takes no deadline."""
        left = _exchange.get().deadline.left()
        connected = start(super().connect, name=f"ffe connect {self.host}")
        try:
            connected.result(left)
        except BaseException:
            # What comes of it when nobody waits any more is closed.
            connected.add_done_callback(lambda _: self.close())
            raise


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    @override
    def urlopen(self, *args: Any, **options: Any) -> Any:
        return super().urlopen(*args, **{**options, "pool_timeout": _exchange.get().deadline.left()})


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Pools of ours, which threads may share; ``trust`` alone says which certificates are good."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self._trust = trust
        super().__init__(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=0, pool_block=True)

    @override
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    @override
    def cert_verify(self, *args: Any, **options: Any) -> None:
        """Adds no authorities: those of the context are all."""


class _Session(requests.Session):
    """A session that knows nothing but what a call says: no environment, no cookies, no headers, no redirects."""

    def __init__(self, adapter: _Adapter) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self.mount(scheme, adapter)

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        # With one, requests would read all of the body to prepare a next call that nobody makes.
        return None


class Line:
    """Kept connections to one service, shared between threads, each of which has a session of its own.

    ``ca_file`` holds all that is trusted, else Mozilla's list does; raises ``OSError`` where it cannot be read.
    """

    def __init__(self, *, tls: bool, ca_file: Path | None) -> None:
        trust = None
        if tls:
            trust = create_urllib3_context()
            trust.load_verify_locations(ca_file or DEFAULT_CA_BUNDLE_PATH)
        self._adapter = _Adapter(trust)
        self._sessions = threading.local()

    def close(self) -> None:
        self._adapter.close()

    def exchange(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        """Status, headers by their lower-case names, and the unpacked body.

        Raises ``NotReached`` where no byte was sent, ``NoAnswer`` where some were and no whole answer came back in
        time, ``BadReply`` for a body that is too large or packed in a way nobody asked for.
        """
        mine = _exchange.set(exchange)
        try:
            return self._exchanged(exchange)
        except HttpError:
            raise
        except Exception as error:  # noqa: BLE001 - orders hang on it: whatever strange bytes do to a library
            failure = _told(error, exchange)
        finally:
            _exchange.reset(mine)
        # Raised out here, so that the error holds on to nothing of the library's, whose texts repeat the request.
        raise failure

    def _exchanged(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
        left = exchange.deadline.left()
        with self._session().request(
            exchange.method,
            exchange.url,
            data=exchange.body,
            headers=exchange.headers,
            timeout=(min(CONNECT, left), left),
            allow_redirects=False,
            stream=True,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return response.status_code, headers, _body(response, headers, exchange)

    def _session(self) -> _Session:
        if not hasattr(self._sessions, "mine"):
            self._sessions.mine = _Session(self._adapter)
        return cast("_Session", self._sessions.mine)


def _body(response: requests.Response, headers: Mapping[str, str], exchange: Exchange) -> bytes:
    packing = headers.get("content-encoding", "").strip().lower()
    if packing not in ("", "identity", "gzip", "x-gzip"):
        named = packing if packing in ("br", "compress", "deflate", "zstd") else "something unknown"
        raise BadReply(f"{exchange.what}: the answer is packed as {named}, which nobody asked for")
    # Unpacked here: urllib3 does not tell a packet that breaks off from a whole one.
    stream = gzip.GzipFile(fileobj=response.raw) if packing.endswith("gzip") else response.raw
    body = bytearray()
    try:
        while piece := stream.read(_CHUNK):
            body += piece
            if len(body) > exchange.limit:
                raise exchange.too_large()
    except (gzip.BadGzipFile, zlib.error):
        raise BadReply(f"{exchange.what}: the answer says that it is gzip, and is not") from None
    return bytes(body)


def _told(error: Exception, exchange: Exchange) -> HttpError:
    """What happened in our words: those of the libraries repeat what was sent or received."""
    cause = next((each for each in _chain(error) if _tells(each)), error)
    kind = NoAnswer if exchange.sent else NotReached
    failure = kind(f"{exchange.what}: {_words(cause, exchange)}", hint=_hint(cause, exchange))
    failure.retryable = not isinstance(cause, ssl.SSLCertVerificationError)
    return failure


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _tells(error: BaseException) -> bool:
    """Whether ``error`` is the standard library's own, which the libraries wrap up to three times."""
    told = isinstance(error, OSError | EOFError | http.client.HTTPException | EmptyPoolError)
    return told and not isinstance(error, requests.RequestException)


_WORDS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((socket.gaierror, requests.exceptions.InvalidURL), "the host's name cannot be resolved"),
    ((ConnectionRefusedError,), "the connection was refused"),
    ((ConnectionError,), "the connection was closed before an answer came"),
    ((http.client.IncompleteRead, EOFError), "the answer broke off"),
    ((http.client.HTTPException, ValueError), "the answer is not HTTP"),
)


def _words(error: BaseException, exchange: Exchange) -> str:
    if isinstance(error, TimeoutError | EmptyPoolError):
        if exchange.sent:
            return f"no whole answer within {exchange.deadline.seconds:g} s"
        return f"no connection within {CONNECT if exchange.deadline.remaining > 0 else exchange.deadline.seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    known = next((words for kinds, words in _WORDS if isinstance(error, kinds)), None)
    return known or (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _hint(error: BaseException, exchange: Exchange) -> str | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return "if the host is yours, name its certificate authority in ca_file"
    if isinstance(error, ConnectionRefusedError):
        from urllib.parse import urlsplit

        place = urlsplit(exchange.url)
        return f"is anything listening on {place.hostname} port {place.port or place.scheme}?"
    return None


def _is_of_others(_: logging.LogRecord) -> bool:
    return _exchange.get(None) is None


# urllib3 logs whole URLs, and one vendor wants its key in the query.
for _name in ("connection", "connectionpool", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_is_of_others)
