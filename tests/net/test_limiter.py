"""Buckets that pace to the second, and allowances that no thread, process or new command oversteps."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import RateLimited
from ffe_core.net.limiter import Allowance, RateLimiter, TokenBucket, Usage
from ffe_core.net.state import FileState, MemoryState

START = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)


@dataclass
class HandTime:
    """A clock that only sleeping moves."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


def bucket(time: HandTime, rate: float, size: float) -> TokenBucket:
    return TokenBucket(rate, size, monotonic=time.monotonic, sleep=time.sleep)


def limiter(time: HandTime, allowance: Allowance, store=None) -> RateLimiter:
    return RateLimiter("vendor", allowance, time, store=store, sleep=time.sleep)


# the bucket


@pytest.mark.parametrize(("rate", "size"), [(0, 5), (-1, 5), (1, 0), (1, -2), (float("nan"), 1), (1, float("nan"))])
def test_a_rate_or_size_that_lets_nothing_through_is_refused(rate, size) -> None:
    with pytest.raises(ValueError, match="lets nothing through"):
        TokenBucket(rate, size)


@pytest.mark.parametrize(("rate", "size"), [(0.0833, 5), (0.1, 30), (10, 30), (5, 30)])
def test_a_burst_goes_at_once_and_then_one_per_interval(rate, size) -> None:
    time = HandTime()
    ours = bucket(time, rate, size)
    assert [ours.acquire() for _ in range(size)] == [0.0] * size
    assert [ours.acquire() for _ in range(3)] == pytest.approx([1 / rate] * 3)
    assert time.seconds == pytest.approx(3 / rate)


def test_the_wait_is_exactly_what_is_missing_of_a_token() -> None:
    time = HandTime()
    ours = bucket(time, 0.5, 1)
    ours.acquire()
    time.seconds = 0.75
    assert ours.acquire() == (1 - 0.375) / 0.5


def test_it_never_fills_beyond_its_size() -> None:
    time = HandTime()
    ours = bucket(time, 10, 3)
    time.seconds = 1e9
    assert ours.tokens == 3
    assert [ours.acquire() for _ in range(4)] == [0, 0, 0, pytest.approx(0.1)]


def test_a_clock_that_stands_or_goes_back_gives_nothing_away() -> None:
    time = HandTime(100.0)
    ours = bucket(time, 1, 1)
    ours.acquire()
    time.seconds = 50.0
    assert ours.tokens == 0
    assert ours.acquire() == 1.0


def test_a_turn_that_comes_too_late_is_told_at_once_and_takes_no_token() -> None:
    time = HandTime()
    ours = bucket(time, 1, 1)
    ours.acquire()
    with pytest.raises(RateLimited, match=r"1\.0 s") as caught:
        ours.acquire(timeout=0.5)
    assert (caught.value.wait, time.slept, ours.tokens) == (1.0, [], 0.0)
    assert ours.acquire(timeout=1.0) == 1.0


def test_threads_queue_and_each_waits_for_its_own_turn() -> None:
    waits: list[float] = []
    ours = TokenBucket(2, 4, monotonic=lambda: 0.0, sleep=waits.append)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: ours.acquire(), range(20)))
    assert sorted(waits) == [n / 2 for n in range(1, 17)]


def test_real_threads_in_real_time_never_run_ahead_of_the_pace() -> None:
    import time

    ours = TokenBucket(200, 5)
    gone: list[float] = []
    lock = threading.Lock()

    def go(_: int) -> None:
        ours.acquire()
        with lock:
            gone.append(time.monotonic())

    before = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(go, range(45)))
    assert all(at - before >= (n - 5 + 1) / 200 - 1e-3 for n, at in enumerate(sorted(gone)))


def test_coroutines_wait_without_holding_up_the_loop() -> None:
    async def run() -> list[float]:
        ours = TokenBucket(50, 1)
        return list(await asyncio.gather(*(ours.acquire_async() for _ in range(3))))

    assert asyncio.run(run()) == pytest.approx([0, 0.02, 0.04], abs=0.005)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 20), st.integers(1, 10), st.lists(st.integers(0, 30).map(lambda n: n / 8), min_size=1, max_size=40)
)
def test_in_no_span_of_time_do_more_calls_go_than_size_and_rate_allow(rate, size, pauses) -> None:
    time = HandTime()
    ours = bucket(time, rate, size)
    gone = []
    for pause in pauses:
        time.seconds += pause
        ours.acquire()
        gone.append(Fraction(time.seconds))
    for first, start in enumerate(gone):
        for last in range(first, len(gone)):
            assert last - first + 1 <= size + rate * (gone[last] - start) + Fraction(1, 10**6)


# allowances


@pytest.fixture(params=["memory", "file"])
def store(request, tmp_path):
    return MemoryState() if request.param == "memory" else FileState(tmp_path)


def test_a_minute_has_no_more_calls_than_allowed_wherever_it_begins(store) -> None:
    time = HandTime()
    ours = limiter(time, Allowance(per_minute=3), store)
    for time.seconds in (0, 30, 50):
        assert ours.acquire() == 0
    for time.seconds in (50, 59.9):
        with pytest.raises(RateLimited, match="vendor allows no further call for") as caught:
            ours.acquire()
    assert caught.value.wait == pytest.approx(0.1, abs=1e-3)
    time.seconds = 60
    assert ours.acquire() == 0
    assert ours.acquire(timeout=40) == pytest.approx(30, abs=1e-3)
    assert ours.usage() == Usage(3, 5, exhausted=False)


def test_a_day_ends_at_the_services_own_midnight(store) -> None:
    time = HandTime()
    ours = limiter(time, Allowance(per_day=2, zone="America/Los_Angeles"), store)
    ours.acquire()
    ours.acquire()
    with pytest.raises(RateLimited, match=r"20\.0 h") as caught:
        ours.acquire(timeout=3600)
    # Noon UTC is four in the morning there.
    assert caught.value.wait == 20 * 3600
    time.seconds = 20 * 3600 - 1
    with pytest.raises(RateLimited):
        ours.acquire()
    time.seconds = 20 * 3600
    assert ours.acquire() == 0
    assert ours.usage() == Usage(0, 1, exhausted=False)


def test_what_the_service_itself_calls_spent_is_spent_until_its_midnight(store) -> None:
    time = HandTime()
    ours = limiter(time, Allowance(per_day=1000), store)
    ours.acquire()
    ours.exhaust()
    with pytest.raises(RateLimited) as caught:
        ours.acquire()
    assert (caught.value.wait, ours.usage().exhausted) == (12 * 3600, True)
    time.seconds = 12 * 3600
    assert ours.acquire() == 0


def test_the_day_is_remembered_by_the_next_command(tmp_path) -> None:
    time = HandTime()
    for _ in range(25):
        limiter(time, Allowance(per_day=25), FileState(tmp_path)).acquire()
    with pytest.raises(RateLimited):
        limiter(time, Allowance(per_day=25), FileState(tmp_path)).acquire()
    RateLimiter("other", Allowance(per_day=25), time, store=FileState(tmp_path)).acquire()


def test_threads_together_take_no_more_than_is_allowed(store) -> None:
    def take(_: int) -> bool:
        try:
            limiter(HandTime(), Allowance(per_minute=20, per_day=30), store).acquire()
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(100))) == 20


TAKE = """
import sys
from datetime import datetime
from pathlib import Path
from ffe_core import FixedClock
from ffe_core.errors import RateLimited
from ffe_core.net.limiter import Allowance, RateLimiter
from ffe_core.net.state import FileState
limiter = RateLimiter("vendor", Allowance(per_day=25), FixedClock(datetime.fromisoformat(sys.argv[2])),
                      store=FileState(Path(sys.argv[1])))
taken = 0
for _ in range(20):
    try:
        limiter.acquire()
        taken += 1
    except RateLimited:
        pass
print(taken)
"""


def test_processes_together_take_no_more_than_is_allowed(tmp_path) -> None:
    command = [sys.executable, "-c", TAKE, str(tmp_path), START.isoformat()]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken = [int(child.communicate(timeout=60)[0]) for child in children]
    assert (sum(taken), max(taken) <= 20) == (25, True)


def test_a_clock_that_went_back_gives_no_calls_away_and_locks_nobody_out_for_long(store) -> None:
    time = HandTime(86_400.0)
    ours = limiter(time, Allowance(per_minute=2, per_day=3), store)
    ours.acquire()
    ours.acquire()
    time.seconds = 0
    with pytest.raises(RateLimited) as caught:
        ours.acquire()
    assert caught.value.wait == pytest.approx(60, abs=1e-3)
    time.seconds = 61
    assert ours.acquire() == 0


def test_no_limit_lets_everything_go_and_zero_lets_nothing(store) -> None:
    free = RateLimiter("free", Allowance(), HandTime(), store=store)
    assert [free.acquire() for _ in range(50)] == [0] * 50
    assert free.usage() == Usage(0, 50, exhausted=False)
    for none in (Allowance(per_minute=0), Allowance(per_day=0)):
        with pytest.raises(RateLimited):
            limiter(HandTime(), none, store).acquire()


def test_a_standing_clock_ends_the_wait_at_the_timeout() -> None:
    slept: list[float] = []
    ours = RateLimiter("vendor", Allowance(per_minute=1), HandTime(), sleep=slept.append)
    ours.acquire()
    with pytest.raises(RateLimited):
        ours.acquire(timeout=150)
    assert len(slept) == 2


@pytest.mark.parametrize("text", ["", "null", "{}", "[1, 2]", '[["x"], "d", 1, true]', "[[], [], [], []]", "nonsense"])
def test_a_count_that_cannot_be_read_begins_anew(text) -> None:
    store = MemoryState()
    store.update("allowance", "vendor", lambda _: (text, None))
    assert limiter(HandTime(), Allowance(per_day=1), store).acquire() == 0


def test_a_negative_allowance_and_an_unknown_zone_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Allowance(per_day=-1)
    with pytest.raises(KeyError):
        RateLimiter("vendor", Allowance(zone="Mars/Olympus"), HandTime())


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.lists(st.floats(0, 40), max_size=40))
def test_no_sixty_seconds_ever_see_more_calls_than_allowed(most, pauses) -> None:
    time = HandTime()
    ours = limiter(time, Allowance(per_minute=most))
    gone = []
    for pause in pauses:
        time.seconds += pause
        ours.acquire(timeout=61)
        gone.append(time.now())
    for first in range(len(gone) - most):
        assert gone[first + most] - gone[first] >= timedelta(seconds=60)


def test_a_call_that_was_not_made_is_given_back() -> None:
    two = limiter(HandTime(), Allowance(per_minute=2, per_day=2))
    two.give_back()
    assert two.usage() == Usage(0, 0, exhausted=False)
    two.acquire()
    two.acquire()
    two.give_back()
    assert two.usage() == Usage(1, 1, exhausted=False)
    two.acquire()
    with pytest.raises(RateLimited):
        two.acquire()
