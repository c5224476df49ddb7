"""The one door to the network, for every plugin that speaks HTTP.

A ``Door`` leads to one ``base_url`` and keeps its connections. Each call has one deadline that holds for everything:
name, connection, handshake, header, body, and the waits between repetitions. Only what is harmless is repeated: GET,
and what the caller says is. Answers are capped in size, numbers are ``Decimal``, redirects are never followed, and no
header, query or registered secret appears in an error, a log line or a repr.

Proxies, ``.netrc`` and certificate variables of the environment are not read: what a plugin talks to is what its
settings say, wherever the command is called from.
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict, Unpack

from ffe_core import logs
from ffe_core.domain.clock import Clock, SystemClock
from ffe_core.domain.text import clean
from ffe_core.errors import BadReply, BadStatus, HttpError, NoAnswer, NotReached, SettingsError, UsageError
from ffe_core.http.reply import Reply, decode_json

if TYPE_CHECKING:
    from ffe_core.http.transport import Deadline, Line

TIMEOUT = 30.0
MAX_BYTES = 1 << 20
RETRIES = 2
BACKOFF = 1.0
#: statuses after which the same call may work in a moment
PASSING = frozenset({408, 429, 500, 502, 503, 504})

_log = logging.getLogger(__name__)


class DoorOptions(TypedDict, total=False):
    """What a plugin may choose about its door; see ``Door``."""

    timeout: float
    headers: Mapping[str, str]
    secrets: Iterable[str]
    ca_file: Path | str | None
    allow_http: bool
    max_bytes: int
    retries: int
    backoff: float
    wait_asked: Callable[[BadStatus], float | None] | None


class Door:
    """Calls to one service; safe to share between threads, closed by ``close`` or ``with``.

    ``timeout`` (seconds) is for a whole call, repetitions included. ``headers`` go with every call, and their values
    are never shown; ``secrets`` are further texts to blank. ``ca_file`` replaces the list of trusted authorities.
    ``allow_http``: plain http to another machine, which anyone on the way can read. ``retries`` repetitions at most,
    after ``backoff`` seconds, doubled each time, or what the service asks for. ``wait_asked`` reads that from an error
    status: seconds, ``math.inf`` for never, ``None`` where it says nothing; default: the header ``Retry-After``.

    Raises ``SettingsError`` for a ``base_url`` or ``ca_file`` that cannot be used; ``name`` is the plugin's, so that
    the message tells the setting.
    """

    def __init__(
        self,
        base_url: str,
        *,
        name: str = "",
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        ca_file: Path | str | None = None,
        allow_http: bool = False,
        max_bytes: int = MAX_BYTES,
        retries: int = RETRIES,
        backoff: float = BACKOFF,
        wait_asked: Callable[[BadStatus], float | None] | None = None,
        clock: Clock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._setting = f"plugins.{name}." if name else ""
        _require_usable(base_url, f"{self._setting}base_url", allow_http)
        self.base_url = base_url.strip().rstrip("/")
        self.timeout = timeout
        self._headers = {**_OWN_HEADERS, "User-Agent": _agent(name), **(headers or {})}
        self._secrets = tuple(text for text in secrets if text)
        self._ca_file = Path(ca_file).expanduser() if ca_file else None
        self._max_bytes = max_bytes
        self._retries = retries
        self._backoff = backoff
        self._clock = clock or SystemClock()
        self._wait_asked = wait_asked or self.retry_after
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter
        self._lock = threading.Lock()
        self._line: Line | None = None
        self._closed = False
        _require_sendable(self._headers)
        if self._ca_file is not None and not self._ca_file.is_file():
            raise SettingsError(f"{self._setting}ca_file: there is no file {self._ca_file}")

    def __repr__(self) -> str:
        return f"Door({self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives back the connections; a later call raises ``UsageError``."""
        with self._lock:
            self._closed, line, self._line = True, self._line, None
        if line is not None:
            line.close()

    def get(
        self,
        path: str,
        params: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """A read, repeated where that may help. See ``request``."""
        return self.request("GET", path, params=params, headers=headers, timeout=timeout)

    def post(
        self,
        path: str,
        json: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """``json`` sent once, or again where that may help and twice is harmless (``repeatable``). See ``request``."""
        return self.request("POST", path, json=json, headers=headers, timeout=timeout, repeatable=repeatable)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        repeatable: bool = False,
    ) -> Reply:
        """The answer with a status of the 200s, read whole.

        ``path`` is quoted and starts with a slash; ``params`` become the query (``None`` left out, booleans in lower
        case, lists repeated). Decimals belong into ``json`` as text. A call other than GET is sent at most once unless
        ``repeatable``; an order never is.

        Raises ``NotReached`` where nothing was sent, ``NoAnswer`` where it was and no whole answer came before the
        deadline, ``BadStatus`` for any other status (redirects too), ``BadReply`` for an answer that is too large.
        """
        from ffe_core.http.transport import Deadline

        deadline = Deadline(self.timeout if timeout is None else timeout, self._monotonic)
        url = self._url(path, params)
        body = _encoded(json)
        sent = {
            **self._headers,
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        }
        _require_sendable(sent)
        hide = self._hider(sent)
        attempts = 1 + (self._retries if repeatable or method == "GET" else 0)
        for attempt in range(1, attempts + 1):
            try:
                return self._once(method, url, sent, body, deadline, hide)
            except HttpError as error:
                pause = self._pause(error, attempt)
                if attempt == attempts or not error.retryable or pause >= deadline.remaining:
                    raise
                _log.debug("%s; once more in %.1f s", error, pause)
                self._sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def redact(self, text: str) -> str:
        """``text`` without the secrets of this door, for messages made from what the service said."""
        return self._hider(self._headers)(text)

    def retry_after(self, error: BadStatus) -> float | None:
        """Seconds that the header ``Retry-After`` asks for, as a number or a date; ``None`` without a readable one."""
        from email.utils import parsedate_to_datetime

        written = error.reply.headers.get("retry-after", "").strip() if error.reply else ""
        if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", written):
            return float(written)
        try:
            wait = (parsedate_to_datetime(written) - self._clock.now()).total_seconds()
        except (ValueError, TypeError):
            return None
        return max(0.0, wait)

    def _once(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        deadline: Deadline,
        hide: Callable[[str], str],
    ) -> Reply:
        from ffe_core.http.transport import Exchange

        what = hide(f"{method} {url.partition('?')[0]}")
        status, found, answer = self._open().exchange(
            Exchange(what, method, url, headers, body, deadline, self._max_bytes)
        )
        _log.debug("%s: %d, %d bytes", what, status, len(answer))
        reply = Reply(what, status, found, answer, hide)
        if not 200 <= status < 300:
            raise self._refused(reply)
        return reply

    def _refused(self, reply: Reply) -> BadStatus:
        error = BadStatus(f"{reply.request}: answered {reply.status}{self._why(reply)}")
        error.status, error.reply = reply.status, reply
        error.retryable = reply.status in PASSING
        error.retry_after = self._wait_asked(error)
        if error.retry_after == float("inf"):
            error.retryable = False
        return error

    @staticmethod
    def _why(reply: Reply) -> str:
        if 300 <= reply.status < 400:
            from urllib.parse import urlsplit

            host = clean(urlsplit(reply.headers.get("location", "")).hostname or "another place")[:80]
            return f": it sends on to {host}, and redirects are not followed"
        if reply.headers.get("content-type", "").lower().startswith("text/html"):
            return " with a web page"
        said = reply.excerpt()
        return f": {said}" if said else ""

    def _pause(self, error: HttpError, attempt: int) -> float:
        own = self._backoff * 2.0 ** (attempt - 1) * (1 + 0.1 * self._jitter())
        asked = error.retry_after if isinstance(error, BadStatus) else None
        return own if asked is None else max(own, asked)

    def _open(self) -> Line:
        from ffe_core.http.transport import Line

        with self._lock:
            if self._closed:
                raise UsageError(f"the door to {self.base_url} is closed")
            if self._line is None:
                try:
                    self._line = Line(tls=self.base_url.lower().startswith("https:"), ca_file=self._ca_file)
                except OSError as error:
                    told = error.strerror or str(error)
                    raise SettingsError(f"{self._setting}ca_file: {self._ca_file}: {told}") from None
                # A door that nobody closed gives its connections back when it goes.
                weakref.finalize(self, self._line.close)
            return self._line

    def _url(self, path: str, params: Mapping[str, object] | None) -> str:
        from urllib.parse import urlencode

        # What a stranger put into a path must not lead elsewhere.
        if not re.fullmatch(r"(/[!$&-.0-;=@-Z_a-z~%]+)*/?", path) or re.search(r"(?i)/(\.|%2e){1,2}(/|$)", path):
            raise UsageError(f"{self.redact(repr(path))[:120]} is no path that a call can go to; quote its parts")
        query = urlencode(
            {name: _text(value) for name, value in (params or {}).items() if value is not None}, doseq=True
        )
        return f"{self.base_url}{path}" + (f"?{query}" if query else "")

    def _hider(self, headers: Mapping[str, str]) -> Callable[[str], str]:
        hidden = {*self._secrets}
        for name, value in headers.items():
            if name.lower() not in _PUBLIC:
                # "Bearer KEY": the key alone is as secret.
                hidden.update({value, value.rpartition(" ")[2]})
        longest_first = sorted((text for text in hidden if len(text) >= 4), key=len, reverse=True)

        def hide(text: str) -> str:
            for secret in longest_first:
                text = text.replace(secret, logs.BLANK)
            return logs.redact(text)

        return hide


_OWN_HEADERS = {"Accept": "application/json", "Accept-Encoding": "gzip"}
#: headers whose values are no secret, and are words that errors need
_PUBLIC = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})


class Doors:
    """Opens doors for one plugin, with its name and the run's clock, and closes them at the end of the run.

    One door per service, kept: it is the door that keeps connections.
    """

    def __init__(self, plugin: str = "", clock: Clock | None = None) -> None:
        self._plugin = plugin
        self._clock = clock
        self._opened: list[Door] = []

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        """A ``Door`` to ``base_url``. Raises ``SettingsError`` as it does."""
        door = Door(base_url, name=self._plugin, clock=self._clock, **options)
        self._opened.append(door)
        return door

    def close(self) -> None:
        for door in self._opened:
            door.close()


def _require_usable(base_url: str, setting: str, allow_http: bool) -> None:
    """Raises ``SettingsError`` for a base URL that no call can go to, without repeating a password."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(base_url.strip())
        scheme, host, _ = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        raise SettingsError(f"{setting}: this is no URL") from None
    if scheme not in ("http", "https") or not re.fullmatch(r"[A-Za-z0-9._:%-]+", host):
        raise SettingsError(f"{setting}: a URL begins with https:// and a host's name")
    if parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{setting}: a base URL has no user, no query and no fragment", hint="keys have settings")
    if scheme == "http" and not allow_http and not is_loopback(host):
        raise SettingsError(
            f"{setting}: plain http to {host} can be read and changed by anyone on the way",
            hint="use https; http is for this machine only",
        )


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine."""
    import ipaddress

    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _require_sendable(headers: Mapping[str, str]) -> None:
    """Raises ``UsageError`` for what HTTP cannot carry; the library's own error would repeat the value."""
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"([!-~][ -~\t]*)?", value):
            raise UsageError(
                f"the header {clean(name)[:60]} holds a line break or a character that HTTP cannot carry,"
                " or begins with a blank",
                hint="a key that was copied with the line's end or with a typographic dash?",
            )


def _agent(name: str) -> str:
    import ffe_core

    return f"ffe-core/{ffe_core.__version__}" + (f" ({name})" if name else "")


def _encoded(value: object) -> bytes | None:
    if value is None:
        return None
    import json

    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _text(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return [_text(item) for item in value] if isinstance(value, list | tuple) else value


__all__ = [
    "BadReply",
    "BadStatus",
    "Door",
    "DoorOptions",
    "Doors",
    "HttpError",
    "NoAnswer",
    "NotReached",
    "Reply",
    "decode_json",
    "is_loopback",
]
