"""The circuit breaker: its three phases by the clock, one probe at a time, and what does not count."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import CircuitOpen, NoData, SourceFailed
from ffe_core.net.breaker import BreakerState, CircuitBreaker, Phase

START = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def to(self, seconds: float) -> None:
        self.at = START + timedelta(seconds=seconds)


def fail() -> None:
    raise SourceFailed("down")


def succeed() -> str:
    return "up"


def make(clock: HandClock, **changes: object) -> CircuitBreaker:
    return CircuitBreaker("source test", clock, counts=SourceFailed, **changes)  # type: ignore[arg-type]


def fail_at(breaker: CircuitBreaker, clock: HandClock, *seconds: float) -> None:
    for second in seconds:
        clock.to(second)
        with pytest.raises(SourceFailed):
            breaker.call(fail)


def test_a_success_starts_the_count_again_and_three_failures_in_a_row_open_it() -> None:
    clock = HandClock()
    breaker = make(clock)
    fail_at(breaker, clock, 0, 1)
    clock.to(2)
    assert breaker.call(succeed) == "up"
    assert breaker.state.failures == 0
    fail_at(breaker, clock, 3, 4)
    assert breaker.state.phase is Phase.CLOSED
    fail_at(breaker, clock, 5)
    assert (breaker.state.phase, breaker.is_open) == (Phase.OPEN, True)


def test_open_it_refuses_for_sixty_seconds_without_calling_and_then_lets_one_probe_go() -> None:
    clock, called = HandClock(), []
    breaker = make(clock)
    fail_at(breaker, clock, 3, 4, 5)
    for second in (5, 30, 64.999):
        clock.to(second)
        with pytest.raises(CircuitOpen, match="down"):
            breaker.call(called.append, second)
    assert called == []
    clock.to(65)
    fail_at(breaker, clock, 65)
    assert breaker.state.phase is Phase.OPEN
    clock.to(124)
    with pytest.raises(CircuitOpen):
        breaker.call(succeed)
    clock.to(125)
    assert breaker.call(succeed) == "up"
    assert (breaker.state.phase, breaker.state.failures) == (Phase.CLOSED, 0)


def test_of_many_concurrent_calls_exactly_one_is_the_probe() -> None:
    clock = HandClock()
    breaker = make(clock)
    fail_at(breaker, clock, 0, 1, 2)
    clock.to(62)
    release, probes = threading.Event(), []

    def probe() -> None:
        probes.append(threading.get_ident())
        assert release.wait(10)

    def knock(_: int) -> str:
        try:
            breaker.call(probe)
        except CircuitOpen:
            refused.release()
            return "refused"
        return "let through"

    refused = threading.Semaphore(0)
    with ThreadPoolExecutor(16) as pool:
        answers = pool.map(knock, range(16))
        for _ in range(15):
            assert refused.acquire(timeout=10)
        release.set()
        assert sorted(answers) == ["let through", *["refused"] * 15]
    assert len(probes) == 1
    assert breaker.state.phase is Phase.CLOSED


def test_other_exceptions_pass_through_uncounted() -> None:
    clock = HandClock()
    breaker = make(clock)

    def nothing_there() -> None:
        raise NoData("no such asset")

    for _ in range(5):
        with pytest.raises(NoData):
            breaker.call(nothing_there)
    fail_at(breaker, clock, 0, 1)
    with pytest.raises(NoData):
        breaker.call(nothing_there)
    assert (breaker.state.phase, breaker.state.failures, breaker.state.failed) == (Phase.CLOSED, 2, 2)


def test_a_probe_without_a_verdict_leaves_the_next_call_to_be_the_probe() -> None:
    clock = HandClock()
    breaker = make(clock)
    fail_at(breaker, clock, 0, 1, 2)
    clock.to(62)

    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        breaker.call(interrupted)
    assert breaker.state.phase is Phase.OPEN
    assert breaker.call(succeed) == "up"


def test_a_clock_that_goes_backwards_costs_one_more_wait_and_no_more() -> None:
    clock = HandClock()
    breaker = make(clock)
    fail_at(breaker, clock, 10_000, 10_001, 10_002)
    clock.to(0)
    with pytest.raises(CircuitOpen):
        breaker.call(succeed)
    clock.to(59)
    with pytest.raises(CircuitOpen):
        breaker.call(succeed)
    clock.to(60)
    assert breaker.call(succeed) == "up"


def test_a_call_within_a_call_does_not_lock_itself_out() -> None:
    breaker = make(HandClock())
    assert breaker.call(lambda: breaker.call(succeed)) == "up"
    assert breaker.state.calls == 2


def test_a_success_that_comes_late_does_not_close_an_open_breaker() -> None:
    clock = HandClock()
    breaker = make(clock)

    def slow() -> str:
        fail_at(breaker, clock, 0, 1, 2)
        return "late"

    assert breaker.call(slow) == "late"
    assert breaker.state.phase is Phase.OPEN


@pytest.mark.parametrize("changes", [{"threshold": 0}, {"threshold": -1}, {"recovery": -1.0}])
def test_a_threshold_or_wait_that_makes_no_sense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="source test"):
        make(HandClock(), **changes)


def test_it_decorates_functions_and_guards_coroutines() -> None:
    clock = HandClock()
    breaker = make(clock, threshold=2)

    @breaker
    def ask(text: str) -> str:
        """Asks."""
        return text.upper()

    async def down() -> None:
        raise SourceFailed("down")

    async def up() -> int:
        return 1

    assert (ask("a"), ask.__name__, ask.__doc__) == ("A", "ask", "Asks.")
    assert asyncio.run(breaker.call_async(up)) == 1
    for _ in range(2):
        with pytest.raises(SourceFailed):
            asyncio.run(breaker.call_async(down))
    with pytest.raises(CircuitOpen):
        asyncio.run(breaker.call_async(up))
    with pytest.raises(CircuitOpen):
        ask("b")


def test_it_tells_where_it_stands_and_is_reset_by_hand() -> None:
    clock = HandClock()
    breaker = make(clock)
    assert breaker.stats().failure_rate is None
    breaker.call(succeed)
    fail_at(breaker, clock, 1, 2, 3)
    clock.to(13)
    stats = breaker.stats()
    assert (stats.name, stats.threshold, stats.recovery) == ("source test", 3, 60.0)
    assert (stats.failure_rate, stats.seconds_until_probe) == (0.75, 50.0)
    assert (stats.state.opened, stats.state.last_error) == (1, "down")
    assert stats.state.last_failure_at == START + timedelta(seconds=3)
    breaker.reset()
    assert breaker.call(succeed) == "up"
    assert breaker.state.failed == 3


def test_the_state_is_a_value_that_another_breaker_takes_over() -> None:
    clock = HandClock()
    first = make(clock)
    fail_at(first, clock, 0, 1, 2)
    second = make(clock, state=first.state)
    with pytest.raises(CircuitOpen):
        second.call(succeed)
    clock.to(62)
    assert second.call(succeed) == "up"


def test_a_probe_whose_process_died_gives_way_to_another() -> None:
    clock = HandClock()
    first = make(clock)
    fail_at(first, clock, 0, 1, 2)
    clock.to(62)
    lost, allowed = first.state.admit(clock.now(), 60.0)
    assert (lost.phase, allowed) == (Phase.HALF_OPEN, True)
    heir = make(clock, state=lost)
    with pytest.raises(CircuitOpen):
        heir.call(succeed)
    clock.to(122)
    assert heir.call(succeed) == "up"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed"]), st.floats(0, 40)), max_size=40))
def test_it_never_calls_within_the_wait_after_it_opened(steps: list[tuple[str, float]]) -> None:
    clock = HandClock()
    breaker = make(clock)
    opened_at: float | None = None
    now = 0.0
    for what, pause in steps:
        now += pause
        clock.to(now)
        try:
            breaker.call(fail if what == "fail" else succeed)
        except CircuitOpen:
            assert opened_at is not None
            assert now - opened_at < 60.001
            continue
        except SourceFailed:
            pass
        assert opened_at is None or now - opened_at > 59.999
        opened_at = now if breaker.state.phase is Phase.OPEN else None


def test_a_fresh_state_admits_a_call() -> None:
    assert BreakerState().admit(START, 60.0)[1]


def test_the_pause_doubles_with_every_probe_that_fails_and_begins_anew_after_one_that_does_not() -> None:
    clock = HandClock()
    breaker = CircuitBreaker("venue", clock, threshold=1, recovery=10, longest=35, counts=SourceFailed)
    at = 0.0
    for pause in (10, 20, 35, 35):
        clock.to(at)
        with pytest.raises(SourceFailed):
            breaker.call(fail)
        clock.to(at + pause - 0.5)
        assert breaker.is_open
        with pytest.raises(CircuitOpen, match="left alone for 0 s"):
            breaker.call(fail)
        at += pause
    clock.to(at)
    assert breaker.call(succeed) == "up"
    with pytest.raises(SourceFailed):
        breaker.call(fail)
    clock.to(at + 10)
    assert not breaker.is_open


def test_a_failure_that_comes_in_late_does_not_lengthen_the_pause() -> None:
    clock = HandClock()
    breaker = CircuitBreaker("venue", clock, threshold=1, recovery=10, longest=100)
    assert (breaker.knock(), breaker.knock()) == (None, None)
    breaker.blame("down")
    breaker.blame("down as well")
    assert breaker.stats().seconds_until_probe == 10
