"""A circuit breaker: after some failures in a row a service is left alone for a while, then tried with one call.

The state is a value with pure transitions, kept in a store that two processes can share, so that the next command
remembers and one probe goes out however many ask at once. The class adds the clock and the ways to call.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ffe_core.domain.clock import Clock, iso, require_utc
from ffe_core.errors import CircuitOpen
from ffe_core.logs import redact
from ffe_core.net.state import MemoryState, StateStore

THRESHOLD = 3
RECOVERY = 60.0
KIND = "breaker"


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
    #: probes that failed, one after the other, since it was closed
    probes: int = 0

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
        return replace(self, phase=Phase.CLOSED, failures=0, probes=0, since=None)

    def failed_with(self, error: str, now: datetime, threshold: int) -> BreakerState:
        failures = self.failures + 1
        state = replace(self, failures=failures, failed=self.failed + 1, last_failure_at=now, last_error=error)
        if self.phase is Phase.CLOSED and failures < threshold:
            return state
        if self.phase is Phase.OPEN:
            # A call that left before the breaker opened: counted, but the waiting time does not start over.
            return state
        probes = self.probes + (self.phase is Phase.HALF_OPEN)
        return replace(state, phase=Phase.OPEN, since=now, opened=self.opened + 1, probes=probes)

    def abandoned(self, recovery: float) -> BreakerState:
        """The probe ended without a verdict on the service: the next call may be the probe."""
        if self.phase is not Phase.HALF_OPEN or self.since is None:
            return self
        return replace(self, phase=Phase.OPEN, since=self.since - timedelta(seconds=recovery))


def encode_state(state: BreakerState) -> str:
    """As JSON; ``decode_state`` gives the same state back."""
    return json.dumps(
        {name: iso(value) if isinstance(value, datetime) else value for name, value in asdict(state).items()}
    )


def decode_state(text: str | None) -> BreakerState:
    """The state that was written; a fresh one where nothing was, or nothing that can be read."""
    try:
        facts = json.loads(text or "{}")
        for name in ("since", "last_failure_at"):
            if facts.get(name) is not None:
                facts[name] = require_utc(datetime.fromisoformat(facts[name]))
        return BreakerState(**{**facts, "phase": Phase(facts.get("phase", Phase.CLOSED))})
    except (ValueError, TypeError, AttributeError):
        return BreakerState()


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

    ``counts`` are the exceptions that speak against the service; others pass through and change nothing. ``store``
    keeps the state by ``name``, for every process that names the same service; without one it lives as long as the
    breaker. ``recovery`` is how long the service is left alone (seconds); with ``longest`` that doubles with every
    probe that fails, up to so many. Raises ``CircuitOpen`` instead of calling while the service is left alone,
    ``ValueError`` for a threshold below one or a negative recovery time.

    Who cannot call through it, because the end of a call is learnt elsewhere, uses ``knock``, and then one of
    ``praise``, ``blame`` and ``let_go``.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        threshold: int = THRESHOLD,
        recovery: float = RECOVERY,
        longest: float | None = None,
        counts: type[Exception] | tuple[type[Exception], ...] = Exception,
        state: BreakerState | None = None,
        store: StateStore | None = None,
    ) -> None:
        if threshold < 1:
            raise ValueError(f"breaker {name}: a threshold of {threshold} would never let a call through")
        if recovery < 0:
            raise ValueError(f"breaker {name}: a recovery time of {recovery} seconds is negative")
        self.name = name
        self.threshold = threshold
        self.recovery = recovery
        self.longest = longest
        self._clock = clock
        self._counts = counts
        self._store: StateStore = store or MemoryState()
        if state is not None:
            self._change(lambda _: (state, None))

    @property
    def state(self) -> BreakerState:
        return decode_state(self._store.read(KIND, self.name))

    @property
    def is_open(self) -> bool:
        """Whether a call would be refused now; asking is not a probe."""
        state = self.state
        return state.wait(self._clock.now(), self.pause(state)) > 0

    def pause(self, state: BreakerState) -> float:
        """Seconds that the service is left alone in ``state``."""
        if self.longest is None:
            return self.recovery
        # Not beyond 2 ** 30: what is multiplied must stay a number.
        return min(self.longest, self.recovery * 2.0 ** min(30, state.probes))

    def stats(self) -> BreakerStats:
        state = self.state
        rate = state.failed / state.calls if state.calls else None
        pause = self.pause(state)
        return BreakerStats(self.name, state, self.threshold, pause, rate, state.wait(self._clock.now(), pause))

    def reset(self) -> None:
        """Closed again by hand; the totals stay."""
        self._change(lambda state: (state.closed(), None))

    def call[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """``function(*args, **kwargs)``, counted; the lock is not held meanwhile."""
        self.enter()
        try:
            answer = function(*args, **kwargs)
        except BaseException as error:
            self._end(error)
            raise
        self.praise()
        return answer

    async def call_async[**P, T](self, function: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        self.enter()
        try:
            answer = await function(*args, **kwargs)
        except BaseException as error:
            self._end(error)
            raise
        self.praise()
        return answer

    def __call__[**P, T](self, function: Callable[P, T]) -> Callable[P, T]:
        """As a decorator."""

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call(function, *args, **kwargs)

        return guarded

    def _change[T](self, step: Callable[[BreakerState], tuple[BreakerState, T]]) -> T:
        def change(text: str | None) -> tuple[str | None, T]:
            after, answer = step(decode_state(text))
            return encode_state(after), answer

        return self._store.update(KIND, self.name, change)

    def knock(self) -> BreakerState | None:
        """Asks for a call to go. ``None``: it may, and how it ended is to be told; else the state that forbids it."""
        now = self._clock.now()

        def admit(state: BreakerState) -> tuple[BreakerState, BreakerState | None]:
            after, allowed = state.admit(now, self.pause(state))
            return after, None if allowed else after

        return self._change(admit)

    def praise(self) -> None:
        """A call that was let through brought what was asked for."""
        self._change(lambda state: (state.succeeded(), None))

    def blame(self, reason: str) -> None:
        """A call that was let through speaks against the service."""
        # It may be written to a file and read by another command: a line without secrets.
        told = (redact(reason).splitlines() or [""])[0]
        now = self._clock.now()
        self._change(lambda state: (state.failed_with(told, now, self.threshold), None))

    def let_go(self) -> None:
        """A call that was let through ended without a word on the service."""
        self._change(lambda state: (state.abandoned(self.pause(state)), None))

    def enter(self) -> None:
        """As ``knock``; raises ``CircuitOpen`` where the call may not go."""
        refused = self.knock()
        if refused is None:
            return
        told = f" (last: {refused.last_error})" if refused.last_error else ""
        wait = refused.wait(self._clock.now(), self.pause(refused))
        raise CircuitOpen(f"{self.name} failed too often and is left alone for {wait:.0f} s{told}")

    def _end(self, error: BaseException) -> None:
        if isinstance(error, self._counts):
            self.blame(str(error) or type(error).__name__)
        else:
            self.let_go()
