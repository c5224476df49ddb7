"""Who was asked too often, or failed too often in a row, is not asked; two processes know it of each other."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe_core import Action, Briefing, NotConfigured, Opinion, ProviderFailed
from ffe_core.ai.cassette import Cassette, Tape
from ffe_core.domain.clock import Clock
from ffe_core.engine.answers import Answers
from ffe_core.errors import BudgetSpent, SettingsError
from ffe_core.net.state import FILE
from ffe_core.plugins.registry import Offer, Registry
from ffe_core.settings import Settings
from ffe_core.settings.sections import Price
from ffe_core.testing import FakeRuleProvider, make_briefing

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
BRIEFING = make_briefing()
ROOT = Path(__file__).parents[2]


@dataclass
class HandClock:
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at

    def to(self, seconds: float) -> None:
        self.at = NOON + timedelta(seconds=seconds)


@dataclass
class Model:
    """A service: raises what it is told to, else answers."""

    name: str = "oracle"
    model: str = "delphi"
    local: bool = False
    raises: Exception | None = None
    asked: int = 0
    lock: Any = field(default_factory=threading.Lock)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        with self.lock:
            self.asked += 1
        if self.raises is not None:
            raise self.raises
        return Opinion(self.name, self.model, Action.BUY, 60, "up")


@dataclass
class Rationed(Model):
    per_minute: int | None = None
    per_day: int | None = None


def answers(clock: Clock, /, *providers: Any, cassette: Cassette | None = None, **ai: Any) -> Answers:
    """As a new command would have them: nothing shared with the last one but the folder."""
    registry = Registry()
    for provider in providers:
        registry.offer("provider", provider.name, Offer("temple", provider))
    settings = Settings(ai=ai)  # type: ignore[arg-type]
    return Answers(settings, registry, clock, cassette, settings.ai.budget_usd)


def ask(clock: Clock, *providers: Any, **ai: Any) -> tuple[Opinion, ...]:
    return answers(clock, *providers, **ai).opinions({each.name: each for each in providers}, BRIEFING)


@pytest.fixture
def clock(home: Path) -> HandClock:
    return HandClock()


def broken_open(clock: HandClock, model: Model) -> None:
    for second in range(3):
        clock.to(second)
        ask(clock, model)
    assert model.asked == 3


def test_three_failures_in_a_row_and_the_fourth_command_does_not_ask(clock: HandClock) -> None:
    down, fine = Model(raises=ProviderFailed("connection refused", hint="start it")), Model("other")
    for second in range(3):
        clock.to(second)
        failed, voted = ask(clock, down, fine)
        assert (failed.error, failed.hint, voted.is_vote) == ("connection refused", "start it", True)

    clock.to(10)
    skipped, voted = ask(clock, down, fine)

    assert skipped.error == "skipped until 12:01:02 UTC after 3 failures in a row: connection refused"
    assert skipped.hint == "ffe providers check oracle"
    assert (skipped.provider, skipped.model, skipped.asked, voted.is_vote) == ("oracle", "delphi", True, True)
    assert (down.asked, fine.asked) == (3, 4)


def test_after_the_pause_one_question_tries_it_and_an_answer_ends_the_pause(clock: HandClock) -> None:
    model = Model(raises=ProviderFailed("down"))
    broken_open(clock, model)
    model.raises = None

    clock.to(61.9)
    assert not ask(clock, model)[0].is_vote
    clock.to(62)
    assert ask(clock, model)[0].is_vote
    model.raises = ProviderFailed("down")
    # From the beginning: two failures are not three.
    for _ in range(2):
        assert ask(clock, model)[0].error == "down"


def test_every_trial_that_fails_doubles_the_pause_up_to_a_quarter_of_an_hour(clock: HandClock) -> None:
    model = Model(raises=ProviderFailed("down"))
    broken_open(clock, model)
    at, pauses = 2.0, []
    for _ in range(7):
        clock.to(at)
        told = ask(clock, model)[0].error or ""
        hour, minute, second = map(int, told.split()[2].split(":"))
        until = (hour - 12) * 3600 + minute * 60 + second
        pauses.append(until - at)
        at = until
        clock.to(at)
        assert ask(clock, model)[0].error == "down"
    assert pauses == [60, 120, 240, 480, 900, 900, 900]


def test_of_many_questions_at_once_one_is_the_trial(clock: HandClock) -> None:
    model = Model(raises=ProviderFailed("down"))
    broken_open(clock, model)
    clock.to(100)
    both = threading.Barrier(8)

    class Slow(Model):
        def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
            released.wait(10)
            return super().ask(briefing, timeout=timeout)

    slow, released = Slow(), threading.Event()
    shared = answers(clock, slow)

    def one(_: int) -> Opinion:
        both.wait(10)
        (opinion,) = shared.opinions({"oracle": slow}, BRIEFING)
        return opinion

    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(one, number) for number in range(8)]
        until = time.monotonic() + 10
        while sum(each.done() for each in waiting) < 7 and time.monotonic() < until:
            time.sleep(0.01)
        released.set()
        told = [each.result(10) for each in waiting]

    assert slow.asked == 1
    assert sum(opinion.is_vote for opinion in told) == 1
    reasons = {opinion.error for opinion in told if not opinion.is_vote}
    assert reasons == {"skipped while another question tries it, after 3 failures in a row: down"}


@pytest.mark.parametrize("own", [NotConfigured("no key"), SettingsError("no such address")])
def test_what_the_user_has_to_set_is_no_failure_of_the_service(clock: HandClock, own: Exception) -> None:
    model = Model(raises=own)
    for _ in range(5):
        assert ask(clock, model)[0].error == str(own)
    assert model.asked == 5


@pytest.mark.parametrize(
    "rule", [FakeRuleProvider(), Model("band", model="rule:bollinger")], ids=["answers per bar", "by its model's name"]
)
def test_a_rule_is_asked_however_often_it_could_not_answer(
    clock: HandClock, home: Path, rule: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask_it(self: Any, briefing: Briefing, *, timeout: float) -> Opinion:
        raise ProviderFailed("too few bars")

    monkeypatch.setattr(type(rule), "ask", ask_it)
    for _ in range(5):
        assert ask(clock, rule)[0].error == "too few bars"
    assert not list(home.rglob(FILE))


def test_a_provider_is_asked_as_often_as_it_says_and_then_tells_when_again(clock: HandClock) -> None:
    model = Rationed(per_minute=2, per_day=3)
    for second, vote in ((0, True), (1, True), (30, False), (59, False), (60.5, True), (70, False)):
        clock.to(second)
        (opinion,) = ask(clock, model)
        assert opinion.is_vote is vote, second
        if second == 30:
            assert opinion.error == "not asked: its 2 questions a minute are used up until 12:01:00 UTC"
            assert opinion.hint == "ai.limits.oracle.per_minute is how often you may ask it"
    assert opinion.error == "not asked: its 3 questions a day are used up until 00:00:00 UTC"
    assert model.asked == 3
    clock.to(12 * 3600)
    assert ask(clock, model)[0].is_vote


@pytest.mark.parametrize(
    ("limits", "allowed"), [({"per_day": 1}, 1), ({"per_minute": None}, 5), ({"per_minute": 4}, 4), ({}, 2)]
)
def test_settings_have_the_last_word_on_what_they_name(clock: HandClock, limits: Any, allowed: int) -> None:
    model = Rationed(per_minute=2, per_day=5)
    for _ in range(7):
        ask(clock, model, limits={"oracle": limits})
    assert model.asked == allowed


def test_settings_may_ration_who_does_not_ration_itself(clock: HandClock) -> None:
    plain, rule = Model(), FakeRuleProvider()
    limits = {"oracle": {"per_minute": 1}, "fake_rule": {"per_day": 1}}
    first = ask(clock, plain, rule, limits=limits)
    again = ask(clock, plain, rule, limits=limits)
    assert [opinion.is_vote for opinion in (*first, *again)] == [True, True, False, False]
    assert again[0].error == "not asked: its 1 question a minute is used up until 12:01:00 UTC"


def test_whoever_is_not_asked_for_want_of_a_key_keeps_its_questions(clock: HandClock) -> None:
    model = Rationed(per_day=1, raises=NotConfigured("no key"))
    ask(clock, model)
    model.raises = None
    assert ask(clock, model)[0].is_vote


def test_a_ration_that_is_used_up_is_no_failure_in_the_row(clock: HandClock) -> None:
    model = Rationed(per_minute=1, raises=ProviderFailed("down"))
    for second in (0, 1, 2, 3, 61, 62):
        clock.to(second)
        ask(clock, model)
    clock.to(122)
    assert ask(clock, model)[0].error == "down"
    assert model.asked == 3
    clock.to(130)
    assert ask(clock, model)[0].error == "skipped until 12:03:02 UTC after 3 failures in a row: down"


def test_a_budget_that_does_not_reach_gives_the_questions_back(clock: HandClock) -> None:
    model = Rationed(per_day=1)
    prices = [Price.model_validate({"model": "delphi", "from": "2026-01-01",
                                    "input_usd_per_million": 1, "output_usd_per_million": 1})]  # fmt: skip
    for _ in range(3):
        with pytest.raises(BudgetSpent):
            ask(clock, model, prices=prices, budget_usd=Decimal("0.000001"))
    assert ask(clock, model)[0].is_vote


def test_nothing_is_set_aside_for_whoever_is_not_asked(clock: HandClock, home: Path) -> None:
    prices = [Price.model_validate({"model": "delphi", "from": "2026-01-01",
                                    "input_usd_per_million": 1, "output_usd_per_million": 1})]  # fmt: skip
    model = Rationed(per_day=1)
    ask(clock, model)
    for _ in range(3):
        # The budget is for nobody; nobody is asked, so that it is not missed.
        (opinion,) = ask(clock, model, prices=prices, budget_usd=Decimal("0.000001"))
        assert "used up" in str(opinion.error)
    assert not (home / "state" / "spending").exists()


def test_a_replay_neither_counts_nor_skips(clock: HandClock, home: Path, tmp_path: Path) -> None:
    model = Rationed(per_day=2, raises=ProviderFailed("down"))
    folder = tmp_path / "tapes"

    def run(tape: Tape) -> Opinion:
        taped = answers(clock, model, cassette=Cassette(tape, folder, clock))
        (opinion,) = taped.opinions({"oracle": model}, BRIEFING)
        return opinion

    recorded = run(Tape.RECORD)
    for tape in (Tape.REPLAY, Tape.AUTO) * 4:
        assert run(tape).error == recorded.error == "down"
    assert model.asked == 1
    # Of two questions a day one is left, and one failure is not three.
    assert ask(clock, model)[0].error == "down"


PROCESS = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from tests.ai.test_turnstile import HandClock, Rationed, ask
from ffe_core import ProviderFailed

calls, start, raises = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

class Counted(Rationed):
    def ask(self, briefing, *, timeout):
        with calls.open("a") as file:
            file.write("x")
        return super().ask(briefing, timeout=timeout)

model = Counted(per_day=None if raises else 30, raises=ProviderFailed(raises) if raises else None)
print("ready", flush=True)
sys.stdin.readline()
told = [ask(HandClock(), model)[0] for _ in range(40)]
print(sum(opinion.is_vote for opinion in told), {str(opinion.error)[-40:] for opinion in told if opinion.error})
"""


@pytest.mark.slow
@pytest.mark.parametrize(("raises", "most"), [("", 30), ("down", 4)], ids=["ration", "failures"])
def test_two_processes_at_once_share_both(home: Path, tmp_path: Path, raises: str, most: int) -> None:
    calls = tmp_path / "calls"
    calls.touch()
    command = [sys.executable, "-c", PROCESS, str(calls), str(tmp_path), raises]
    pipe = subprocess.PIPE
    both = [subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    try:
        for each in both:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        told = [each.communicate("go\n", timeout=60)[0] for each in both]
    finally:
        for each in both:
            each.kill()
            each.wait(10)
    made = len(calls.read_text())
    if raises:
        # Both may have had a question out when the third failure was told.
        assert 3 <= made <= most, told
    else:
        assert made == most, told
        assert sum(int(line.split()[0]) for line in told) == most
        assert all("used up until" in line for line in told), told
