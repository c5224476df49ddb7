"""Not more calls than a service allows: smoothly by a bucket, and by allowances per minute and day that are remembered.

A bucket paces the calls of one process. An allowance is counted in a store that processes share, because a free key
with 25 calls a day has them whether one command runs or fifty.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ffe_core.domain.clock import Clock
from ffe_core.errors import RateLimited
from ffe_core.net.state import MemoryState, StateStore

KIND = "allowance"
MINUTE = 60.0


class TokenBucket:
    """``max_tokens`` calls at once, then one every ``1 / tokens_per_second`` seconds; full at the start.

    Safe to share between threads: each takes a place in the queue and sleeps on its own. Raises ``ValueError`` for a
    rate or size that is not positive.
    """

    def __init__(
        self,
        tokens_per_second: float,
        max_tokens: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not tokens_per_second > 0 or not max_tokens > 0:
            raise ValueError(f"a bucket of {max_tokens} tokens at {tokens_per_second} a second lets nothing through")
        self._rate = tokens_per_second
        self._size = max_tokens
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._tokens = float(max_tokens)
        self._at = monotonic()

    @property
    def tokens(self) -> float:
        """Calls that may go now; negative by the number of those that already wait."""
        with self._lock:
            self._refill()
            return self._tokens

    def acquire(self, timeout: float | None = None) -> float:
        """Waits for a call's turn and returns the seconds waited.

        Raises ``RateLimited`` at once, taking no token, where the turn comes later than in ``timeout`` seconds.
        """
        wait = self._take(timeout)
        if wait > 0:
            self._sleep(wait)
        return wait

    async def acquire_async(self, timeout: float | None = None) -> float:
        """As ``acquire``, for coroutines; the event loop goes on meanwhile."""
        import asyncio

        wait = self._take(timeout)
        if wait > 0:
            await asyncio.sleep(wait)
        return wait

    def _take(self, timeout: float | None) -> float:
        with self._lock:
            self._refill()
            wait = max(0.0, (1.0 - self._tokens) / self._rate)
            if timeout is not None and wait > timeout:
                raise _limited(f"the next call's turn comes in {wait:.1f} s", wait)
            self._tokens -= 1.0
            return wait

    def _refill(self) -> None:
        now = self._monotonic()
        self._tokens = min(self._size, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a service allows: calls in any sixty seconds, calls in a day of ``zone``; ``None`` for no limit.

    ``zone`` is where the service's day begins at midnight (an IANA name). Raises ``ValueError`` for a negative limit.
    """

    per_minute: int | None = None
    per_day: int | None = None
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if any(limit is not None and limit < 0 for limit in (self.per_minute, self.per_day)):
            raise ValueError(f"an allowance of {self.per_minute} a minute and {self.per_day} a day is negative")


@dataclass(frozen=True, slots=True)
class Usage:
    """Calls in the last sixty seconds and since the service's midnight; ``exhausted``: the service said that is all."""

    minute: int
    day: int
    exhausted: bool


@dataclass(frozen=True, slots=True)
class _Spent:
    """What a store remembers: the instants of the last minute (epoch seconds), the day and its count."""

    stamps: tuple[float, ...] = ()
    day: str = ""
    count: int = 0
    exhausted: bool = False


class RateLimiter:
    """Counts the calls to the service ``name`` against its allowance, over all threads and processes of the store.

    A call is counted when it is allowed, not when it succeeds: services count failures too.
    """

    def __init__(
        self,
        name: str,
        allowance: Allowance,
        clock: Clock,
        *,
        store: StateStore | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.allowance = allowance
        self._clock = clock
        self._store: StateStore = store or MemoryState()
        self._sleep = sleep
        self._zone = UTC if allowance.zone == "UTC" else ZoneInfo(allowance.zone)

    def acquire(self, timeout: float = 0.0) -> float:
        """Counts one call, after a wait of at most ``timeout`` seconds, and returns the seconds waited.

        Raises ``RateLimited`` at once, counting nothing, where no call is allowed within that time.
        """
        waited = 0.0
        while (wait := self._try()) > 0:
            if waited + wait > timeout:
                raise _limited(f"{self.name} allows no further call for {_duration(wait)}", wait)
            self._sleep(wait)
            waited += wait
        return waited

    def give_back(self) -> None:
        """A call that ``acquire`` counted was not made after all."""
        now = self._clock.now()

        def change(text: str | None) -> tuple[str, None]:
            spent = self._present(text, now)
            return _encoded(replace(spent, stamps=spent.stamps[:-1], count=max(0, spent.count - 1))), None

        self._store.update(KIND, self.name, change)

    def exhaust(self) -> None:
        """The service said that today's calls are spent, whatever was counted: nothing goes until its midnight."""
        now = self._clock.now()

        def change(text: str | None) -> tuple[str, None]:
            spent = self._present(text, now)
            return _encoded(replace(spent, exhausted=True)), None

        self._store.update(KIND, self.name, change)

    def usage(self) -> Usage:
        spent = self._present(self._store.read(KIND, self.name), self._clock.now())
        return Usage(len(spent.stamps), spent.count, spent.exhausted)

    def _try(self) -> float:
        """Counts a call and returns 0, or seconds until one may go."""
        now = self._clock.now()

        def change(text: str | None) -> tuple[str | None, float]:
            spent = self._present(text, now)
            wait = self._wait(spent, now)
            if wait > 0:
                # Written all the same: stamps that a clock left in the future count from now on, not from then.
                return _encoded(spent), wait
            stamps = (*spent.stamps, now.timestamp())
            return _encoded(_Spent(stamps, spent.day, spent.count + 1, spent.exhausted)), 0.0

        return self._store.update(KIND, self.name, change)

    def _present(self, text: str | None, now: datetime) -> _Spent:
        """What still counts at ``now``. A stamp from the future, after a clock went back, counts as of now."""
        spent = _decoded(text)
        at, today = now.timestamp(), now.astimezone(self._zone).date().isoformat()
        stamps = tuple(min(stamp, at) for stamp in spent.stamps if stamp > at - MINUTE)
        if self.allowance.per_minute is None:
            stamps = ()
        if spent.day >= today:
            return _Spent(stamps, today, spent.count, spent.exhausted)
        return _Spent(stamps, today)

    def _wait(self, spent: _Spent, now: datetime) -> float:
        minute, day = self.allowance.per_minute, self.allowance.per_day
        if spent.exhausted or (day is not None and spent.count >= day):
            return self._until_midnight(now)
        if minute is None or len(spent.stamps) < minute:
            return 0.0
        if minute == 0:
            return MINUTE
        # As many as allowed must remain after the oldest have gone; a microsecond so that rounding lets it go.
        return max(1e-6, spent.stamps[-minute] + MINUTE - now.timestamp() + 1e-6)

    def _until_midnight(self, now: datetime) -> float:
        here = now.astimezone(self._zone)
        midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), self._zone)
        return max(1.0, (midnight.astimezone(UTC) - now).total_seconds())


def _encoded(spent: _Spent) -> str:
    return json.dumps([spent.stamps, spent.day, spent.count, spent.exhausted])


def _decoded(text: str | None) -> _Spent:
    """What was written; nothing spent where it cannot be read."""
    try:
        stamps, day, count, exhausted = json.loads(text or "null")
        return _Spent(tuple(sorted(float(stamp) for stamp in stamps)), str(day), int(count), exhausted is True)
    except (ValueError, TypeError):
        return _Spent()


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _limited(message: str, wait: float) -> RateLimited:
    error = RateLimited(message)
    error.wait = wait
    return error
