"""One question to a model, and one chance to mend an answer that cannot be read."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest

from ffe_core import ModelAnswer, ProviderFailed, consult, read_reply, time_left
from ffe_core.ai.panel import ask_panel
from ffe_core.ai.prompt import Prompt
from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.plugins.guard import QUOTED_LENGTH, Guard
from ffe_core.plugins.proxies import guarded
from ffe_core.testing import make_briefing

GOOD = '{"reasoning": "calm", "action": "HOLD", "confidence": 55, "amount": 0}'
BAD = '{"reasoning": "calm", "action": "WAIT", "confidence": 55, "amount": 0}'
SECRET = "sk-0123456789abcdef"


class Telling:
    """Stands in for a tool: answers in turn and keeps what it was asked."""

    def __init__(self, *says: str, takes: float = 0.0) -> None:
        self.says, self.takes = list(says), takes
        self.asked: list[tuple[Prompt, float]] = []

    def __call__(self, prompt: Prompt, left: float) -> ModelAnswer:
        self.asked.append((prompt, left))
        time.sleep(self.takes)
        return ModelAnswer(self.says.pop(0), 10, 4)


def test_an_answer_becomes_an_opinion_with_what_was_sent() -> None:
    tool = Telling(GOOD)
    opinion = consult(tool, make_briefing(), provider="acme", model="m", timeout=5)
    sent = tool.asked[0][0]
    assert (opinion.provider, opinion.model, opinion.action, opinion.confidence) == ("acme", "m", "HOLD", 55)
    assert (opinion.tokens_in, opinion.tokens_out, opinion.local) == (10, 4, True)
    assert opinion.prompt == sent.text
    assert opinion.raw_reply == GOOD


def test_a_second_question_names_the_fault_and_its_tokens_count_too() -> None:
    tool = Telling(BAD, GOOD)
    opinion = consult(tool, make_briefing(), provider="acme", model="m", timeout=5)
    assert (opinion.action, opinion.tokens_in, opinion.tokens_out) == ("HOLD", 20, 8)
    second = tool.asked[1][0].user
    assert "WAIT" in second
    assert opinion.prompt is not None
    assert opinion.prompt.endswith(second)
    assert opinion.raw_reply == GOOD


def test_tokens_that_were_kept_for_both_questions_count_too() -> None:
    answers = [ModelAnswer(BAD, 10, 4, 0), ModelAnswer(GOOD, 11, 4, 9)]
    opinion = consult(lambda *_: answers.pop(0), make_briefing(), provider="acme", model="m", timeout=5)
    assert (opinion.tokens_in, opinion.tokens_cached) == (21, 9)


def test_there_is_no_third_question() -> None:
    tool = Telling(BAD, BAD, GOOD)
    with pytest.raises(ProviderFailed, match="WAIT"):
        consult(tool, make_briefing(), provider="acme", model="m", timeout=5)
    assert len(tool.asked) == 2


def test_without_time_for_a_second_answer_there_is_no_second_question() -> None:
    tool = Telling(BAD, GOOD, takes=0.3)
    with pytest.raises(ProviderFailed, match="WAIT"):
        consult(tool, make_briefing(), provider="acme", model="m", timeout=0.7)
    assert len(tool.asked) == 1


def test_a_model_that_may_be_faster_the_second_time_is_asked_again_with_little_time() -> None:
    model = Telling(BAD, GOOD, takes=0.4)
    opinion = consult(model, make_briefing(), provider="acme", model="m", timeout=1.0, as_slow=False)
    assert opinion.action == "HOLD"
    assert model.asked[1][1] <= 0.6


def test_the_second_question_may_be_put_in_another_way() -> None:
    first, second = Telling("thinking"), Telling(GOOD)
    faults: list[str] = []

    def repair(prompt: Prompt, answer: ModelAnswer, error: ProviderFailed) -> Prompt:
        faults.append(f"{answer.text}: {error}")
        return Prompt(prompt.system, "say it aloud")

    opinion = consult(
        first, make_briefing(), provider="acme", model="m", timeout=5, again=second, repair=repair,
        local=False, cost_usd=Decimal("0.25"),
    )  # fmt: skip
    assert opinion.prompt is not None
    assert opinion.prompt.endswith("\n\nsay it aloud")
    assert (opinion.local, opinion.cost_usd) == (False, Decimal("0.25"))
    assert faults == ["thinking: the reply has no JSON object"]


def test_a_question_is_as_long_as_it_may_be() -> None:
    short, long = Telling(GOOD), Telling(GOOD)
    consult(short, make_briefing(), provider="acme", model="m", timeout=5, max_tokens=200)
    consult(long, make_briefing(), provider="acme", model="m", timeout=5)
    assert len(short.asked[0][0].user) < len(long.asked[0][0].user)
    assert "pulse" in short.asked[0][0].dropped


def test_tokens_that_one_answer_does_not_tell_leave_the_sum_unknown() -> None:
    answers = [ModelAnswer(BAD, 10, None), ModelAnswer(GOOD, 11, 4)]
    opinion = consult(lambda *_: answers.pop(0), make_briefing(), provider="acme", model="m", timeout=5)
    assert (opinion.tokens_in, opinion.tokens_out) == (21, None)


def test_time_that_is_over_is_a_failure() -> None:
    assert 0.9 <= time_left(time.monotonic() + 1) <= 1.0
    with pytest.raises(ProviderFailed, match="no answer in time"):
        time_left(time.monotonic())


# what was refused


def test_a_refused_reply_is_told_with_the_question_it_answers() -> None:
    tool = Telling(BAD, "no idea")
    with pytest.raises(ProviderFailed) as caught:
        consult(tool, make_briefing(), provider="acme", model="m", timeout=5)
    assert (caught.value.prompt, caught.value.reply) == (tool.asked[1][0].text, "no idea")


def test_a_first_reply_is_told_where_a_second_question_brings_none() -> None:
    asked: list[Prompt] = []

    def down(_prompt: Prompt, _left: float) -> ModelAnswer:
        raise ProviderFailed("the line is down")

    def ask(prompt: Prompt, _left: float) -> ModelAnswer:
        asked.append(prompt)
        return ModelAnswer(BAD)

    with pytest.raises(ProviderFailed, match="the line is down") as caught:
        consult(ask, make_briefing(), provider="acme", model="m", timeout=5, again=down)
    assert (caught.value.prompt, caught.value.reply) == (asked[0].text, BAD)


class Refusing:
    """A provider that refuses ``reply``, behind the guard as in every run."""

    name, model, local = "acme", "m", False

    def __init__(self, reply: object, prompt: object = "buy or sell?") -> None:
        self.reply, self.prompt = reply, prompt

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        error = ProviderFailed("the reply has no JSON object")
        error.prompt, error.reply = self.prompt, self.reply  # type: ignore[assignment]
        raise error


def on_record(bare: Refusing) -> Opinion:
    made = guarded("provider", bare, Guard("acme", 5.0, secrets=(SECRET,)), "acme", frozenset())
    (opinion,) = ask_panel({"acme": made}, make_briefing(), timeout=5.0)
    return opinion


def test_a_refused_reply_goes_on_record_as_an_abstention() -> None:
    opinion = on_record(Refusing("I would rather not say."))
    assert not opinion.is_vote
    assert opinion.error == "the reply has no JSON object"
    assert (opinion.prompt, opinion.raw_reply) == ("buy or sell?", "I would rather not say.")


def test_no_secret_of_the_plugin_goes_on_record_with_it() -> None:
    opinion = on_record(Refusing(f"your key is {SECRET}", f"my key is {SECRET}"))
    assert (opinion.prompt, opinion.raw_reply) == ("my key is ***", "your key is ***")


def test_what_cannot_be_stored_does_not_go_on_record() -> None:
    opinion = on_record(Refusing("half a character: \ud83d", 42))
    assert (opinion.prompt, opinion.raw_reply) == (None, None)


def test_a_reply_that_was_too_long_to_read_stays_so_on_record() -> None:
    opinion = on_record(Refusing(f"{GOOD}{' ' * (1 << 21)}"))
    assert len(opinion.raw_reply or "") == QUOTED_LENGTH
    with pytest.raises(ProviderFailed, match="more than 65536"):
        read_reply(opinion.raw_reply or "", provider="acme", model="m", horizon=24)


def test_an_error_whose_reply_cannot_be_had_is_a_failure_without_one() -> None:
    class Trap(ProviderFailed):
        @property
        def reply(self) -> str:  # type: ignore[override]
            raise SystemExit

    class Setting(Refusing):
        def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
            raise Trap("no")

    opinion = on_record(Setting(""))
    assert (opinion.error, opinion.raw_reply) == ("no", None)
