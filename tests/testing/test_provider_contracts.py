"""Good providers and rules keep their contracts; each kind of bad one breaks the check that is meant for it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import Any

import numpy as np
import pytest

from ffe_core import Action, Briefing, Opinion, ProviderFailed, Readiness, Signals, UsageError
from ffe_core.testing import AIProviderContract, FakeProvider, FakeRuleProvider, VectorProviderContract
from tests.testing.trials import broken_checks, contract, said_by


def good() -> FakeProvider:
    return FakeProvider((Action.BUY, 70), local=True)


def test_a_good_provider_breaks_nothing() -> None:
    tried = contract(
        AIProviderContract,
        good,
        failing=lambda: FakeProvider(ProviderFailed("quota")),
        slow=lambda: FakeProvider((Action.BUY, 70), delay=60),
    )
    assert broken_checks(tried) == {}


def test_a_good_rule_breaks_nothing() -> None:
    assert broken_checks(contract(VectorProviderContract, FakeRuleProvider, params={"window": 5})) == {}


@dataclass
class Answering:
    """A provider that answers as a test says."""

    answer: Any
    name: str = "answering"
    model: str = "none"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return self.answer(briefing)


def opinion(_: Briefing | None = None, **changes: Any) -> Opinion:
    return replace(Opinion("answering", "none", Action.BUY, 70, "because", local=True), **changes)


def impossible(_: Briefing) -> Opinion:
    made = opinion()
    object.__setattr__(made, "confidence", 170)
    return made


def scribble(briefing: Briefing) -> Opinion:
    briefing.indicators["mine"] = 1.0  # type: ignore[index]
    return opinion()


def stumble_over_gaps(briefing: Briefing) -> Opinion:
    if all(frame is None for frame in briefing.pulse.frames.values()):
        raise TypeError("'NoneType' object is not subscriptable")
    return opinion()


def none_for_gaps(briefing: Briefing) -> Any:
    return None if briefing.position is None else opinion()


counter = count(1)

ANSWERS = [
    (lambda _: "BUY", "test_the_opinion_is_valid_and_signed", "str, not an Opinion"),
    (lambda _: opinion(error="quota", action=None), "test_the_opinion_is_valid_and_signed", "raise ProviderFailed"),
    (impossible, "test_the_opinion_is_valid_and_signed", "170"),
    (lambda _: opinion(provider="someone"), "test_the_opinion_is_valid_and_signed", "signed 'someone'"),
    (lambda _: opinion(local=False), "test_the_opinion_is_valid_and_signed", "local=False"),
    (scribble, "test_the_briefing_stays_as_it_was", "changed the briefing"),
    (stumble_over_gaps, "test_missing_readings_are_no_crash", "TypeError"),
    (none_for_gaps, "test_missing_readings_are_no_crash", "NoneType"),
    (lambda _: opinion(confidence=next(counter) % 90), "test_the_same_briefing_gets_the_same_answer", "and then BUY"),
]


@pytest.mark.parametrize(("answer", "check", "said"), ANSWERS)
def test_a_bad_answer_breaks_the_check_that_is_meant_for_it(answer: Any, check: str, said: str) -> None:
    assert said in said_by(contract(AIProviderContract, lambda: Answering(answer)), check)


def test_a_model_that_is_not_a_rule_may_answer_differently() -> None:
    answers = count(1)
    tried = contract(AIProviderContract, lambda: Answering(lambda _: opinion(confidence=next(answers), raw_reply="{}")))
    assert "test_the_same_briefing_gets_the_same_answer" not in broken_checks(tried)


@pytest.mark.slow
def test_a_provider_that_overstays_is_told() -> None:
    def sleepy(_: Briefing) -> Opinion:
        time.sleep(1.5)
        return opinion()

    tried = contract(AIProviderContract, lambda: Answering(lambda _: opinion()), slow=lambda: Answering(sleepy))
    said = said_by(
        contract(AIProviderContract, lambda: Answering(sleepy)), "test_it_answers_or_fails_within_the_timeout"
    )
    assert "took 1." in said
    assert "an opinion all the same" in said_by(tried, "test_it_answers_or_fails_within_the_timeout")


def test_a_failure_dressed_up_as_hold_is_told() -> None:
    check = "test_a_failure_is_raised_and_never_a_vote"
    hold = contract(AIProviderContract, good, failing=lambda: FakeProvider((Action.HOLD, 50)))
    assert "said HOLD" in said_by(hold, check)
    foreign = contract(AIProviderContract, good, failing=lambda: FakeProvider(ConnectionError("x")))
    assert "ConnectionError" in said_by(foreign, check)
    leaking = contract(
        AIProviderContract, good, failing=lambda: FakeProvider(ProviderFailed("key k-99 refused")), secrets=("k-99",)
    )
    assert "shows a secret" in said_by(leaking, check)


def test_a_secret_on_record_is_told() -> None:
    leaking = contract(
        AIProviderContract, lambda: Answering(lambda _: opinion(prompt="Bearer k-77")), secrets=("k-77",)
    )
    assert "goes on record" in said_by(leaking, "test_no_secret_is_put_on_record")


def test_a_provider_without_model_or_place_is_told() -> None:
    check = "test_model_and_local_say_who_answers"
    assert "names no model" in said_by(contract(AIProviderContract, lambda: Answering(opinion, model=" ")), check)
    assert "neither" in said_by(contract(AIProviderContract, lambda: Answering(opinion, local="yes")), check)


class Bent(FakeRuleProvider):
    """A rule whose signals are bent on the way out."""

    def ask_all(self, series: Any) -> Signals:
        return self.bend(super().ask_all(series), series)  # type: ignore[attr-defined]


def bent(bend: Any) -> Any:
    return type("BentRule", (Bent,), {"bend": staticmethod(bend)})


def peeking(signals: Signals, series: Any) -> Signals:
    close = np.frombuffer(series.candles.close)
    action = np.zeros(len(close), np.int8)
    action[:-1] = np.sign(close[1:] - close[:-1])
    return replace(signals, action=action)


def scaled_by_the_whole_series(signals: Signals, series: Any) -> Signals:
    close = np.frombuffer(series.candles.close)
    return replace(signals, confidence=(100 * (close - close.min()) / (np.ptp(close) or 1)).astype(np.int8))


noise = np.random.default_rng(0)

RULES = [
    (lambda signals, _: (signals.action, signals.confidence), "test_there_is_one_legal_answer_per_bar", "tuple"),
    (
        lambda signals, _: replace(signals, action=signals.action[1:]),
        "test_there_is_one_legal_answer_per_bar",
        "299 elements for 300 bars",
    ),
    (
        lambda signals, _: replace(signals, action=signals.action.astype(float)),
        "test_there_is_one_legal_answer_per_bar",
        "int8",
    ),
    (
        lambda signals, _: replace(signals, action=signals.action * np.int8(2)),
        "test_there_is_one_legal_answer_per_bar",
        "from -1 to 1",
    ),
    (
        lambda signals, _: replace(signals, confidence=signals.confidence + np.int8(60)),
        "test_there_is_one_legal_answer_per_bar",
        "from 0 to 100",
    ),
    (peeking, "test_no_answer_knows_a_later_bar", "action of bar"),
    (scaled_by_the_whole_series, "test_no_answer_knows_a_later_bar", "confidence of bar"),
    (
        lambda signals, _: replace(signals, action=noise.integers(-1, 2, len(signals.action)).astype(np.int8)),
        "test_the_same_series_gets_the_same_answers",
        "two different answers",
    ),
    (
        lambda signals, series: signals if len(series.candles) > 1 else {}["too short"],
        "test_a_short_or_flat_series_is_answered_too",
        "1 bars raised KeyError",
    ),
]


@pytest.mark.parametrize(("bend", "check", "said"), RULES)
def test_a_bent_rule_breaks_the_check_that_is_meant_for_it(bend: Any, check: str, said: str) -> None:
    assert said in said_by(contract(VectorProviderContract, bent(bend)), check)


def test_parameters_that_are_swallowed_or_change_the_rule_itself_are_told() -> None:
    class Lax(FakeRuleProvider):
        def with_params(self, **params: Any) -> Any:
            return self

    class Rude(FakeRuleProvider):
        def with_params(self, **params: Any) -> Any:
            raise KeyError(next(iter(params)))

    class Renaming(FakeRuleProvider):
        def with_params(self, **params: Any) -> Any:
            return replace(super().with_params(**params), name="other")

    class Mutating(FakeRuleProvider):
        def with_params(self, **params: Any) -> Any:
            if set(params) - {"window"}:
                raise UsageError("no")
            object.__setattr__(self, "window", params["window"])
            return self

    unknown, other = (
        "test_an_unknown_parameter_is_a_usage_error",
        "test_with_params_gives_another_rule_and_leaves_this_one",
    )
    assert "swallowed" in said_by(contract(VectorProviderContract, Lax), unknown)
    assert "KeyError" in said_by(contract(VectorProviderContract, Rude), unknown)
    assert "changed the name" in said_by(contract(VectorProviderContract, Renaming), other)
    mutating = contract(VectorProviderContract, Mutating, params={"window": 3})
    assert "changed the rule" in said_by(mutating, other)


def test_the_fake_rule_refuses_a_window_out_of_range() -> None:
    with pytest.raises(UsageError, match="window 0"):
        FakeRuleProvider().with_params(window=0)


def test_the_scripted_fake_repeats_its_last_entry_and_keeps_what_it_was_told() -> None:
    from ffe_core.testing import make_briefing

    fake = FakeProvider((Action.BUY, 70), ProviderFailed("quota"))
    briefing = make_briefing(position=Decimal(1))
    assert fake.ask(briefing, timeout=1).action is Action.BUY
    for _ in range(2):
        with pytest.raises(ProviderFailed, match="quota"):
            fake.ask(briefing, timeout=1)
    assert fake.briefings == [briefing] * 3


READY = Readiness(reachable=True, detail="version 1.2")


@dataclass
class Telling(Answering):
    """Says of itself what a test says."""

    answer: Any = opinion
    found: Any = READY
    takes: float = 0.0
    per_minute: Any = 5
    per_day: Any = None

    def check(self, *, timeout: float) -> Any:
        time.sleep(self.takes)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


LOOK = "test_it_says_whether_it_is_ready_in_time_and_never_raises"
RATION = "test_its_ration_is_a_number_of_questions_or_none"


def test_a_provider_that_tells_of_itself_breaks_nothing() -> None:
    tried = contract(
        AIProviderContract,
        Telling,
        failing=lambda: Telling(answer=fail, found=Readiness(reachable=False, hint="start it")),
    )
    assert broken_checks(tried) == {}


def fail(_: Briefing) -> Opinion:
    raise ProviderFailed("down")


@pytest.mark.parametrize(
    ("facts", "check", "words"),
    [
        ({"found": True}, LOOK, "check() returned bool, not a Readiness"),
        ({"found": ProviderFailed("down")}, LOOK, "check() raised ProviderFailed: down"),
        ({"found": Readiness(signed_in=False)}, LOOK, "it answers, and yet says that it is not ready"),
        ({"found": Readiness(detail="one\ntwo")}, LOOK, "more than a line"),
        ({"takes": 1.5}, LOOK, "told to look within 0.2 s"),
        ({"per_minute": 0}, RATION, "per_minute 0"),
        ({"per_day": 2.5}, RATION, "per_day 2.5"),
        ({"per_minute": True}, RATION, "per_minute True"),
    ],
)
def test_each_thing_that_it_should_not_tell_of_itself_breaks_its_check(facts: Any, check: str, words: str) -> None:
    tried = contract(AIProviderContract, lambda: Telling(**facts), timeout=0.2, short_timeout=0.1)
    found = broken_checks(tried)
    assert set(found) == {check}
    assert words in found[check]


def test_a_look_that_raises_where_the_backend_fails_breaks_it_too() -> None:
    tried = contract(
        AIProviderContract, Telling, failing=lambda: Telling(answer=fail, found=ProviderFailed("connection refused"))
    )
    assert set(broken_checks(tried)) == {LOOK}
