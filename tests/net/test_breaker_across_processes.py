"""Breakers that remember: from command to command, and one probe however many processes ask at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.errors import CircuitOpen, SourceFailed
from ffe_core.logs import BLANK, register_secret
from ffe_core.net.breaker import BreakerState, CircuitBreaker, Phase, decode_state, encode_state
from ffe_core.net.state import FileState

START = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)


@dataclass
class HandClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def to(self, seconds: float) -> None:
        self.at = START + timedelta(seconds=seconds)


def down() -> None:
    raise SourceFailed("down")


def fails(breaker: CircuitBreaker) -> None:
    with pytest.raises(SourceFailed):
        breaker.call(down)


def make(folder: Path, clock: HandClock, name: str = "source venue") -> CircuitBreaker:
    """As a new command would: nothing shared but the folder."""
    return CircuitBreaker(name, clock, counts=SourceFailed, store=FileState(folder))


def test_three_commands_that_fail_open_it_for_the_fourth(tmp_path) -> None:
    clock = HandClock()
    for second in range(3):
        clock.to(second)
        fails(make(tmp_path, clock))
    clock.to(3)
    with pytest.raises(CircuitOpen, match=r"source venue failed too often and is left alone for 59 s \(last: down\)"):
        make(tmp_path, clock).call(down)
    make(tmp_path, clock, "source other").call(str)


def test_the_worked_course_of_failures_and_probes_holds_across_commands(tmp_path) -> None:
    clock = HandClock()

    def at(second: float) -> CircuitBreaker:
        clock.to(second)
        return make(tmp_path, clock)

    fails(at(0))
    fails(at(1))
    at(2).call(str)
    assert at(2).state.failures == 0
    for second in (3, 4, 5):
        fails(at(second))
    assert at(5).state.phase is Phase.OPEN
    with pytest.raises(CircuitOpen):
        at(5 + 59).call(str)

    def probe() -> None:
        with pytest.raises(CircuitOpen):
            at(5 + 60).call(str)
        down()

    with pytest.raises(SourceFailed):
        at(5 + 60).call(probe)
    with pytest.raises(CircuitOpen):
        at(65 + 59).call(str)
    at(65 + 60).call(str)
    assert (at(125).state.phase, at(125).state.failures) == (Phase.CLOSED, 0)
    assert at(125).stats().failure_rate == pytest.approx(6 / 8)


def test_of_many_threads_with_breakers_of_their_own_one_sends_the_probe(tmp_path) -> None:
    clock = HandClock()
    for _ in range(3):
        fails(make(tmp_path, clock))
    clock.to(60)
    release, refused, probes = threading.Event(), threading.Semaphore(0), []

    def probe() -> None:
        probes.append(1)
        assert release.wait(20)

    def knock(_: int) -> bool:
        try:
            make(tmp_path, clock).call(probe)
        except CircuitOpen:
            refused.release()
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(knock, range(8))
        assert all(refused.acquire(timeout=20) for _ in range(7))
        release.set()
        assert sum(answers) == len(probes) == 1


KNOCK = """
import sys
from datetime import datetime
from pathlib import Path
from ffe_core import FixedClock
from ffe_core.errors import CircuitOpen
from ffe_core.net.breaker import CircuitBreaker
from ffe_core.net.state import FileState
clock = FixedClock(datetime.fromisoformat(sys.argv[2]))
breaker = CircuitBreaker("source venue", clock, store=FileState(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
try:
    # The probe is out until every process has knocked.
    breaker.call(lambda: (print("probe", flush=True), sys.stdin.readline()))
except CircuitOpen:
    print("refused", flush=True)
"""


def test_of_many_processes_one_sends_the_probe(tmp_path) -> None:
    clock = HandClock()
    for _ in range(3):
        fails(make(tmp_path, clock))
    clock.to(61)
    command = [sys.executable, "-c", KNOCK, str(tmp_path), clock.now().isoformat()]
    children = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.stdout.readline().strip() for child in children]
    for child in children:
        child.communicate("on\n", timeout=30)
    assert sorted(said) == ["probe", *["refused"] * 4]
    assert make(tmp_path, clock).state.phase is Phase.CLOSED


def test_what_is_written_down_holds_no_secret(tmp_path) -> None:
    register_secret("breaker-canary-4711")

    def rude() -> None:
        raise SourceFailed("bad key breaker-canary-4711\nsecond line")

    with pytest.raises(SourceFailed):
        make(tmp_path, HandClock()).call(rude)
    assert make(tmp_path, HandClock()).state.last_error == f"bad key {BLANK}"


instants = st.none() | st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))
counts = st.integers(0, 10**6)
states = st.builds(
    BreakerState, st.sampled_from(Phase), counts, instants, counts, counts, counts, instants, st.text(max_size=20)
)


@settings(max_examples=80, deadline=None)
@given(states)
def test_a_state_is_read_as_it_was_written(state) -> None:
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize("text", [None, "", "null", "[1]", "{", '{"phase": "ajar"}', '{"since": "noon"}', '{"new": 1}'])
def test_a_state_that_cannot_be_read_is_a_fresh_one(text) -> None:
    assert decode_state(text) == BreakerState()
