"""The network, and nothing else: the v20 API through ffe's door, paced, and never at the wrong environment."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote

from ffe_core import BadReply, BadStatus, Clock, NotConfigured, PluginContext, SettingsError, TokenBucket
from ffe_core.http import Door, Reply
from ffe_oanda.parse import Complaint, parse_complaint
from ffe_oanda.settings import PREFIXES, OandaSettings

#: calls a second, and at once; the service's own limit is 120 a second
RATE, BURST = 5.0, 30.0
#: an account with years of trades is a large answer, and so are five thousand candles
MAX_BYTES = 16 << 20
_HEADERS = {"Accept-Datetime-Format": "RFC3339"}


class Api:
    """Calls below ``/v3``; the door opens with the first one, once token and account fit the environment.

    Every call may raise ``NotConfigured``, ``SettingsError`` for an account of the other environment, and
    ``HttpError``. Only reads are repeated.
    """

    def __init__(self, settings: OandaSettings, context: PluginContext) -> None:
        self._settings = settings
        self._clock: Clock = context.clock
        self._doors = context.http
        self._bucket = TokenBucket(RATE, BURST)
        self._lock = threading.Lock()
        self._door: Door | None = None
        #: how far this machine's clock is ahead of the service's, as of the newest answer
        self.ahead: timedelta | None = None

    @property
    def account_id(self) -> str:
        """The account's number. Raises ``NotConfigured`` without one, ``SettingsError`` for one of the other kind."""
        number = self._settings.account_id
        if not number:
            raise NotConfigured("plugins.oanda.account_id is not set", hint="put OANDA_ACCOUNT_ID=101-... into .env")
        self._require_own_account(number)
        return number

    def get(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        """The JSON of a read, repeated where that may help. Raises ``BadReply`` for anything but an object."""
        door = self._open()
        self._bucket.acquire()
        return self._object(door.get(f"/v3{path}", params))

    def of_account(self, path: str, params: Mapping[str, object] | None = None) -> Any:
        """As ``get``, below the account."""
        return self.get(f"/accounts/{quote(self.account_id)}{path}", params)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """An order or a change to one, below the account: sent once, whatever comes of it."""
        path = f"/v3/accounts/{quote(self.account_id)}{path}"
        door = self._open()
        self._bucket.acquire()
        return self._noted(door.request(method, path, json=body))

    def complaint(self, error: BadStatus) -> Complaint:
        """What the service said against a call, secrets taken out."""
        found = parse_complaint(error.reply.body if error.reply else b"")
        return replace(found, message=self._open().redact(found.message))

    def _open(self) -> Door:
        with self._lock:
            if self._door is None:
                key = self._settings.api_key.get_secret_value().strip() if self._settings.api_key else ""
                if not key:
                    raise NotConfigured("plugins.oanda.api_key is not set", hint="put OANDA_API_KEY=... into .env")
                number = self._settings.account_id or ""
                if number:
                    self._require_own_account(number)
                self._door = self._doors(
                    self._settings.url,
                    timeout=self._settings.timeout,
                    ca_file=self._settings.ca_file,
                    headers={**_HEADERS, "Authorization": f"Bearer {key}"},
                    secrets=(key, number),
                    max_bytes=MAX_BYTES,
                )
            return self._door

    def _require_own_account(self, number: str) -> None:
        """Accounts of the two environments tell themselves apart, and orders must not go to the wrong one."""
        environment = self._settings.environment
        if not number.startswith(PREFIXES[environment]):
            raise SettingsError(
                f"plugins.oanda.account_id is no {environment} account: those begin with {PREFIXES[environment]}",
                hint="practice accounts begin with 101-, live ones with 001-; set plugins.oanda.environment to match",
            )

    def _object(self, reply: Reply) -> Any:
        self._noted(reply)
        body = reply.json()
        if not isinstance(body, dict):
            raise BadReply(f"{reply.request}: answered a {type(body).__name__} where an object should be")
        return body

    def _noted(self, reply: Reply) -> Reply:
        try:
            told = parsedate_to_datetime(reply.headers.get("date", ""))
            self.ahead = self._clock.now() - told
        except (ValueError, TypeError):
            # Without a readable date, or one without a zone, nothing new is known about the clocks.
            pass
        return reply
