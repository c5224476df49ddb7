"""The network, and nothing else: calls to Advanced Trade through ffe's door, signed and paced."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from ffe_coinbase.credentials import Signer, has_key, signer_of
from ffe_coinbase.parse import listed, mapping, text
from ffe_coinbase.settings import CoinbaseSettings
from ffe_core import Clock, TokenBucket
from ffe_core.http import BadReply, BadStatus, Door, Doors, HttpError

PREFIX = "/api/v3/brokerage"
#: largest answer; a list of all products takes some two megabytes
MAX_BYTES = 8 << 20
#: rows of a page, and pages at most: what a list without end must not do is never to end
PAGE = 250
PAGES = 200


@dataclass(slots=True)
class Api:
    """Doors open and keys are read with the first call. Raises what ``Door`` does, and ``NotConfigured``."""

    settings: CoinbaseSettings
    doors: Doors
    clock: Clock
    _door: Door | None = None
    _signer: Signer | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _private: TokenBucket = field(init=False)
    _public: TokenBucket = field(init=False)

    def __post_init__(self) -> None:
        rate = self.settings.requests_per_second
        self._private = TokenBucket(rate, max(1.0, rate))
        self._public = TokenBucket(rate / 3, max(1.0, rate / 3))

    @property
    def has_key(self) -> bool:
        return has_key(self.settings)

    @property
    def signer(self) -> Signer:
        """Raises ``NotConfigured`` without a key, ``SettingsError`` for one that cannot be used."""
        with self._lock:
            if self._signer is None:
                self._signer = signer_of(self.settings)
            return self._signer

    @property
    def uses_ed25519(self) -> bool:
        return self._signer is not None and self._signer.algorithm == "EdDSA"

    def market(self, path: str, params: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        """A read that needs no key, made with it all the same where there is one: more calls are allowed then."""
        return self.get(path, params) if self.has_key else self.public(f"/market{path}", params)

    def public(self, path: str, params: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        self._public.acquire()
        return mapping(self._open().get(PREFIX + path, params).json(), "the answer")

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        """A read with the key. A token that is not taken is made once more: good ones are turned away at times."""
        try:
            return self._get(path, params)
        except BadStatus as error:
            if error.status != 401:
                raise
        return self._get(path, params)

    def _get(self, path: str, params: Mapping[str, object] | None) -> Mapping[str, Any]:
        headers = self._headers("GET", path)
        self._private.acquire()
        return mapping(self._open().get(PREFIX + path, params, headers=headers).json(), "the answer")

    def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Sent once, whatever comes back."""
        headers = self._headers("POST", path)
        self._private.acquire()
        return mapping(self._open().post(PREFIX + path, body, headers=headers).json(), "the answer")

    def pages(
        self, path: str, member: str, params: Mapping[str, object] | None = None, *, most: int | None = None
    ) -> Iterator[Mapping[str, Any]]:
        """The rows of all pages, or of the first ``most``.

        Raises ``BadReply`` for a list that cannot be read to its end: what is not on it must not pass for absent.
        """
        cursor = ""
        for _ in range(PAGES if most is None else most):
            found = self.get(path, {"limit": PAGE, **(params or {}), **({"cursor": cursor} if cursor else {})})
            rows = listed(found, member)
            yield from (mapping(row, f"a row of {member}") for row in rows)
            following = text(found, "cursor")
            # Fills are told without has_next; their last page has no cursor.
            if found.get("has_next", bool(following) and bool(rows)) is not True:
                return
            if not following or following == cursor:
                raise BadReply(f"Coinbase says that {member} go on, and not where")
            cursor = following
        if most is None:
            raise BadReply(f"Coinbase's list of {member} does not end within {PAGES} pages")

    def redact(self, said: str) -> str:
        return self._open().redact(said)

    def _headers(self, method: str, path: str) -> dict[str, str]:
        place = urlsplit(self.settings.base_url.strip())
        where = f"{place.netloc}{place.path.rstrip('/')}{PREFIX}{path}"
        return {"Authorization": f"Bearer {self.signer.token(method, where, self.clock.now())}"}

    def _open(self) -> Door:
        hidden = self.signer.private if self.has_key else ()
        with self._lock:
            if self._door is None:
                self._door = self.doors(
                    self.settings.base_url,
                    timeout=self.settings.timeout,
                    ca_file=self.settings.ca_file,
                    secrets=hidden,
                    max_bytes=MAX_BYTES,
                )
            return self._door


def part(product_id: str) -> str:
    """A product's id as a part of a path."""
    return quote(product_id, safe="")


def explain(error: HttpError, *, ed25519: bool = False) -> tuple[str, str | None]:
    """What went wrong and what to do, in a line each. ``ed25519``: the key that was used is of that kind."""
    status = error.status if isinstance(error, BadStatus) else 0
    if status == 401:
        hint = "is the clock right, and the key not revoked? IP addresses that a key allows are listed with it"
        if ed25519:
            hint = "some accounts take ECDSA keys only: make one of that kind if this Ed25519 key is otherwise right"
        return "Coinbase does not accept the key in plugins.coinbase", hint
    if status == 403:
        return (
            f"the key in plugins.coinbase may not do this: {complaint(error) or 'status 403'}",
            "give it the rights to view and to trade, and none to transfer; see its allowed IP addresses",
        )
    return error.message, error.hint


def complaint(error: HttpError) -> str:
    """What an error status says about itself, such as ``INVALID_ARGUMENT: ...``; empty where it cannot be read."""
    if not isinstance(error, BadStatus) or error.reply is None:
        return ""
    return error.reply.excerpt()
