"""A circuit breaker: after some failures in a row a service is left alone for a while, then tried with one call.

The state is a value with pure transitions, so that a store can hold it and two processes can agree on it; the class
adds the lock, the clock and the ways to call.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ffe_core.domain.clock import Clock
from ffe_core.errors import CircuitOpen

THRESHOLD = 3
RECOVERY = 60.0


class Phase(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerState:
    """Where a breaker stands. ``since`` is when it opened, or when the probe that is out was let through.

    ``failures`` counts those in a row; ``calls``, ``failed`` and ``opened`` count over the breaker's life.
    """

    phase: Phase = Phase.CLOSED
    failures: int = 0
    since: datetime | None = None
    calls: int = 0
    failed: int = 0
    opened: int = 0
    last_failure_at: datetime | None = None
    last_error: str = ""

    def wait(self, now: datetime, recovery: float) -> float:
        """Seconds until the next probe may go; 0 where a call may go now."""
        if self.phase is Phase.CLOSED or self.since is None:
            return 0.0
        return max(0.0, recovery - max(0.0, (now - self.since).total_seconds()))

    def admit(self, now: datetime, recovery: float) -> tuple[BreakerState, bool]:
        """The state after a call asked to go, and whether it may.

        A probe that never came back (its process died) gives way after ``recovery`` seconds, else nothing would ever
        be tried again.
        """
        if self.phase is Phase.CLOSED:
            return replace(self, calls=self.calls + 1), True
        if self.since is None or now < self.since:
            # The clock went backwards: wait once more from now, rather than until it has caught up.
            return replace(self, since=now), False
        if self.wait(now, recovery) > 0:
            return self, False
        return replace(self, phase=Phase.HALF_OPEN, since=now, calls=self.calls + 1), True

    def succeeded(self) -> BreakerState:
        if self.phase is Phase.OPEN:
            # A call that left before the breaker opened says nothing about the service now.
            return self
        return self.closed()

    def closed(self) -> BreakerState:
        return replace(self, phase=Phase.CLOSED, failures=0, since=None)

    def failed_with(self, error: str, now: datetime, threshold: int) -> BreakerState:
        failures = self.failures + 1
        state = replace(self, failures=failures, failed=self.failed + 1, last_failure_at=now, last_error=error)
        if self.phase is Phase.CLOSED and failures < threshold:
            return state
        if self.phase is Phase.OPEN:
            # A call that left before the breaker opened: counted, but the waiting time does not start over.
            return state
        return replace(state, phase=Phase.OPEN, since=now, opened=self.opened + 1)

    def abandoned(self, recovery: float) -> BreakerState:
        """The probe ended without a verdict on the service: the next call may be the probe."""
        if self.phase is not Phase.HALF_OPEN or self.since is None:
            return self
        return replace(self, phase=Phase.OPEN, since=self.since - timedelta(seconds=recovery))


@dataclass(frozen=True, slots=True)
class BreakerStats:
    """For ``ffe status`` and metrics: ``failure_rate`` is ``None`` before the first call."""

    name: str
    state: BreakerState
    threshold: int
    recovery: float
    failure_rate: float | None
    seconds_until_probe: float


class CircuitBreaker:
    """Guards calls to one service; safe to share between threads and to use from within a guarded call.

    ``counts`` are the exceptions that speak against the service; others pass through and change nothing. Raises
    ``CircuitOpen`` instead of calling while the service is left alone, ``ValueError`` for a threshold below one or a
    negative recovery time (seconds).
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        threshold: int = THRESHOLD,
        recovery: float = RECOVERY,
        counts: type[Exception] | tuple[type[Exception], ...] = Exception,
        state: BreakerState | None = None,
    ) -> None:
        if threshold < 1:
            raise ValueError(f"breaker {name}: a threshold of {threshold} would never let a call through")
        if recovery < 0:
            raise ValueError(f"breaker {name}: a recovery time of {recovery} seconds is negative")
        self.name = name
        self.threshold = threshold
        self.recovery = recovery
        self._clock = clock
        self._counts = counts
        self._lock = threading.Lock()
        self._state = state or BreakerState()

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now; asking is not a probe."""
        return self._state.wait(self._clock.now(), self.recovery) > 0

    def stats(self) -> BreakerStats:
        state = self._state
        rate = state.failed / state.calls if state.calls else None
        wait = state.wait(self._clock.now(), self.recovery)
        return BreakerStats(self.name, state, self.threshold, self.recovery, rate, wait)

    def reset(self) -> None:
        """Closed again by hand; the totals stay."""
        with self._lock:
            self._state = self._state.closed()

    def call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``function(*args, **kwargs)``, counted; the lock is not held meanwhile."""
        self._admit()
        try:
            answer = function(*args, **kwargs)
        except BaseException as error:
            self._blame(error)
            raise
        self._praise()
        return answer

    async def call_async[**P, T](self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        self._admit()
        try:
            answer = await function(*args, **kwargs)
        except BaseException as error:
            self._blame(error)
            raise
        self._praise()
        return answer

    def __call__[**P, T](self, function: Callable[P, T]) -> Callable[P, T]:
        """As a decorator."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(function, *args, **kwargs)

        return guarded

    def _admit(self) -> None:
        with self._lock:
            now = self._clock.now()
            self._state, allowed = self._state.admit(now, self.recovery)
            if allowed:
                return
            wait, last = self._state.wait(now, self.recovery), self._state.last_error
        told = f" (last: {last})" if last else ""
        raise CircuitOpen(f"{self.name} failed too often and is left alone for {wait:.0f} s{told}")

    def _praise(self) -> None:
        with self._lock:
            self._state = self._state.succeeded()

    def _blame(self, error: BaseException) -> None:
        with self._lock:
            if isinstance(error, self._counts):
                told = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._state = self._state.failed_with(told, self._clock.now(), self.threshold)
            else:
                self._state = self._state.abandoned(self.recovery)
