"""The network, and nothing else: one endpoint through ffe's door, paced, counted over the day, and its answers kept."""

from __future__ import annotations

import re
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ffe_alphavantage.answers import Answer, Answers, question_of
from ffe_alphavantage.refusals import Refusal, refusal_of, sentence
from ffe_alphavantage.settings import AlphaVantageSettings
from ffe_core import (
    Allowance,
    BadStatus,
    FileState,
    HttpError,
    NoData,
    NotConfigured,
    PluginContext,
    RateLimited,
    RateLimiter,
    SourceFailed,
    TokenBucket,
)
from ffe_core.http import Door, Reply

#: a month of minutes, or a stock's days since 1999
MAX_BYTES = 16 << 20
#: the service's day, as far as anybody knows
ZONE = "America/New_York"
#: seconds after which a call that came too soon is made once more
BREATH = 1.2
_PREMIUM = "premium"


class Premium(NoData):
    """The key's plan does not have it."""


class Nothing(NoData):
    """The service understood, and has nothing of it."""


class Api:
    """Calls are made one after another; equal questions share an answer.

    Every call may raise ``NotConfigured`` without a key or with one that is not accepted, ``RateLimited`` where the
    plan allows no more, ``NoData``, and ``SourceFailed``. No error holds the key, which the service likes to repeat.
    """

    def __init__(
        self,
        settings: AlphaVantageSettings,
        context: PluginContext,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self.clock = context.clock
        self.state = FileState(context.state_dir)
        self._context = context
        self._monotonic = monotonic
        self._sleep = sleep
        self._answers = Answers(context.cache_dir / "answers")
        self._bucket = TokenBucket(settings.per_second, 1.0, monotonic=monotonic, sleep=sleep)
        allowance = Allowance(settings.per_minute, settings.per_day, ZONE)
        self._limiter = RateLimiter("alphavantage", allowance, context.clock, store=self.state, sleep=sleep)
        self._lock = threading.Lock()
        self._door: Door | None = None

    def ask(
        self,
        params: Mapping[str, str],
        wanted: str,
        *,
        keep: float,
        since: datetime | None = None,
        timeout: float | None = None,
        reserve: int = 0,
    ) -> Answer:
        """The answer with the member ``wanted``, or the kept one that is younger than ``keep`` seconds.

        An answer from before ``since`` is not used again. ``timeout`` (seconds) is for the wait as well as the call.
        ``reserve``: calls of the day that this one must leave. Raises ``Premium`` where the plan does not have it.
        """
        question = question_of(self.settings.base_url, params)
        until = self._monotonic() + (self.settings.timeout if timeout is None else timeout)
        key = self._key()
        if not self._lock.acquire(timeout=max(0.0, until - self._monotonic())):
            raise RateLimited("alphavantage: another call takes too long")
        try:
            kept = self._answers.get(question)
            if kept is not None and self._holds(kept, keep, since):
                return kept
            self._require_plan(params)
            self._require_more_than(reserve)
            return self._asked(question, params, wanted, key, until)
        finally:
            self._lock.release()

    def _asked(self, question: str, params: Mapping[str, str], wanted: str, key: str, until: float) -> Answer:
        reply, body = self._call(params, key, until)
        refused = refusal_of(body, wanted)
        if refused is Refusal.BURST and until - self._monotonic() > BREATH:
            self._sleep(BREATH)
            reply, body = self._call(params, key, until)
            refused = refusal_of(body, wanted)
        if refused is not None:
            raise self._refused(refused, params, body, key)
        at = self.clock.now()
        if not any(form in reply.body.lower() for form in _spellings(key)):
            self._answers.put(question, at, reply.body)
        return Answer(body, at)

    def _call(self, params: Mapping[str, str], key: str, until: float) -> tuple[Reply, Any]:
        door = self._open(key)
        self._bucket.acquire(max(0.0, until - self._monotonic()))
        self._limiter.acquire(max(0.0, until - self._monotonic()))
        try:
            reply = door.get("/query", {**params, "apikey": key}, timeout=max(0.1, until - self._monotonic()))
            return reply, reply.json()
        except HttpError as error:
            # Not chained: the cause holds the whole answer.
            failure = self._failure(error, key)
        raise failure

    def _failure(self, error: HttpError, key: str) -> RateLimited | SourceFailed:
        if isinstance(error, BadStatus) and error.status == 429:
            return _limited("alphavantage: too many calls", error.retry_after or 60.0)
        hint = None if error.hint is None else scrub(error.hint, key)
        return SourceFailed(f"alphavantage: {scrub(error.message, key)}", hint=hint)

    def _refused(
        self, refused: Refusal, params: Mapping[str, str], body: Any, key: str
    ) -> NotConfigured | RateLimited | NoData | SourceFailed:
        function = params["function"]
        match refused:
            case Refusal.KEY:
                return NotConfigured(
                    "the key in plugins.alphavantage.api_key is not accepted",
                    hint="put ALPHA_VANTAGE_API_KEY=... into .env, copied whole",
                )
            case Refusal.DAY:
                self._limiter.exhaust()
                return _limited("alphavantage: all calls that the plan allows today are spent", 3600.0)
            case Refusal.MINUTE:
                return _limited("alphavantage: all calls that the plan allows in a minute are spent", 60.0)
            case Refusal.BURST:
                return _limited("alphavantage: calls come faster than the plan allows", BREATH)
            case Refusal.PREMIUM:
                self._remember_plan(params)
                return _premium(params)
            case Refusal.NOTHING:
                return Nothing(f"alphavantage: {function}: {refused}")
            case Refusal.UNKNOWN:
                return NoData(f"alphavantage: {function}: {refused}")
            case Refusal.FUNCTION | Refusal.OUTAGE:
                return SourceFailed(f"alphavantage: {function}: {refused}")
            case Refusal.STRANGE:
                said = scrub(sentence(body), key)[:200]
                kind = f"a {type(body).__name__}" if not isinstance(body, dict) else "no data"
                return SourceFailed(f"alphavantage: {function}: answered {kind}" + (f": {said}" if said else ""))

    def _holds(self, kept: Answer, keep: float, since: datetime | None) -> bool:
        age = (self.clock.now() - kept.at).total_seconds()
        return 0 <= age < keep and (since is None or kept.at >= since)

    def _require_more_than(self, reserve: int) -> None:
        allowed = self.settings.per_day
        if reserve and allowed is not None and self._limiter.usage().day >= allowed - reserve:
            raise _limited(f"alphavantage: the last {reserve} calls of the day are kept for candles", 3600.0)

    def _require_plan(self, params: Mapping[str, str]) -> None:
        said = self.state.read(_PREMIUM, _entitlement(params))
        try:
            age = self.clock.now() - datetime.fromisoformat(said) if said else None
        except (ValueError, TypeError):
            return
        if age is not None and timedelta(0) <= age < timedelta(seconds=self.settings.keep_refusals):
            raise _premium(params)

    def _remember_plan(self, params: Mapping[str, str]) -> None:
        now = self.clock.now().isoformat()
        self.state.update(_PREMIUM, _entitlement(params), lambda _: (now, None))

    def _key(self) -> str:
        if not self.settings.key:
            raise NotConfigured(
                "plugins.alphavantage.api_key is not set", hint="put ALPHA_VANTAGE_API_KEY=... into .env"
            )
        return self.settings.key

    def _open(self, key: str) -> Door:
        if self._door is None:
            self._door = self._context.http(
                self.settings.base_url,
                timeout=self.settings.timeout,
                ca_file=self.settings.ca_file,
                secrets=(key, quote(key, safe="")),
                max_bytes=MAX_BYTES,
            )
        return self._door


#: one for each context, so that source and notes keep one pace; gone with the last who holds it
_shared: weakref.WeakValueDictionary[int, Api] = weakref.WeakValueDictionary()
_sharing = threading.Lock()


def api_of(settings: AlphaVantageSettings, context: PluginContext) -> Api:
    """The context's own; it holds the context, so that no other can come to have the same id."""
    with _sharing:
        found = _shared.get(id(context))
        if found is None:
            found = _shared[id(context)] = Api(settings, context)
        return found


def scrub(text: str, key: str) -> str:
    """``text`` without the key, however it is spelled, and without what the service takes for one."""
    for form in (key, quote(key, safe="")):
        text = re.sub(re.escape(form), "***", text, flags=re.IGNORECASE)
    return re.sub(r"(?i)(api\s?key (as|is)|apikey=)\s*[^\s&]+", r"\1 ***", text)


def _spellings(key: str) -> set[bytes]:
    return {key.lower().encode(), quote(key, safe="").lower().encode()}


def _entitlement(params: Mapping[str, str]) -> str:
    """What plans differ in: the function, and how much of it."""
    return f"{params['function']} {params.get('outputsize', '')}".strip()


def _premium(params: Mapping[str, str]) -> Premium:
    full = " with all of its rows" if params.get("outputsize") == "full" else ""
    return Premium(
        f"alphavantage: {params['function']}{full} needs a premium key",
        hint="take intraday bars from another source, such as coinbase or oanda, in data.sources",
    )


def _limited(message: str, wait: float) -> RateLimited:
    error = RateLimited(message)
    error.wait = wait
    return error
