"""The provider against a strict stand-in: what it sends, and what becomes of every way to answer."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

import ffe_gemini
import pytest
from ffe_gemini.provider import Gemini
from ffe_gemini.quota import FILE, Quota
from ffe_gemini.settings import GeminiSettings
from ffe_gemini.standin import DECISION, KEY, MODEL, GeminiStandIn, quota, refused, spoken
from pydantic import SecretStr, ValidationError

from ffe_core import Action, FixedClock, NotConfigured, Opinion, ProviderFailed, Rationed, Readiness
from ffe_core.http import Door, DoorOptions, Doors
from ffe_core.testing import make_briefing, make_context
from ffe_core.testing.loopback import Canned

SELL = '{"reasoning": "It falls.", "action": "SELL", "confidence": 55, "amount": 0}'
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
#: midnight in California, in summer
RESET = datetime(2026, 7, 2, 7, 0, tzinfo=UTC)


class Hasty(Doors):
    """Doors that wait no time worth mentioning before they ask again, unless they are told to."""

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        options["backoff"] = 0.01
        return super().__call__(base_url, **options)


class Asking:
    """A provider in front of ``server`` that keeps its state in ``folder``."""

    def __init__(self, server: GeminiStandIn, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def provider(self, at: datetime = NOON, **settings: Any) -> Gemini:
        given = {"base_url": self.server.base_url, "api_key": SecretStr(KEY), **settings}
        context = make_context(self.folder, "gemini", clock=FixedClock(at), http=Hasty("gemini"))
        return Gemini(GeminiSettings(**given), context)

    def __call__(self, within: float = 10.0, **settings: Any) -> Opinion:
        return self.provider(**settings).ask(make_briefing(), timeout=within)

    def failure(self, within: float = 10.0, **settings: Any) -> ProviderFailed:
        with pytest.raises(ProviderFailed) as caught:
            self(within, **settings)
        assert "\n" not in caught.value.message
        assert KEY not in f"{caught.value.message} {caught.value.hint}"
        return caught.value


@pytest.fixture
def ask(server: GeminiStandIn, tmp_path: Path) -> Asking:
    return Asking(server, tmp_path)


def test_an_answer_becomes_an_opinion_that_counts_thoughts_as_they_are_billed(ask: Asking) -> None:
    opinion = ask()
    assert (opinion.provider, opinion.model, opinion.local) == ("gemini", MODEL, False)
    assert (opinion.action, opinion.confidence) == (Action.BUY, 64)
    assert (opinion.tokens_in, opinion.tokens_out) == (820, 48 + 310)
    assert opinion.cost_usd is None
    assert opinion.raw_reply == DECISION


def test_tokens_that_google_had_kept_are_told_apart(ask: Asking) -> None:
    usage = {"promptTokenCount": 820, "cachedContentTokenCount": 512, "candidatesTokenCount": 48}
    ask.server.usual = spoken(DECISION, usageMetadata=usage)
    opinion = ask()
    assert (opinion.tokens_in, opinion.tokens_cached) == (820, 512)


def test_the_key_goes_in_a_header_and_nowhere_else(ask: Asking) -> None:
    opinion = ask()
    (request,) = ask.server.requests
    assert request.headers["x-goog-api-key"] == KEY
    assert request.query == ""
    assert KEY not in request.path + request.body.decode() + repr(opinion)


def test_what_is_sent_leaves_nothing_to_chance(ask: Asking) -> None:
    ask(seed=7, max_output=4096, thinking_level="LOW")
    (sent,) = ask.server.asked
    schema = sent["generationConfig"].pop("responseJsonSchema")
    assert schema["required"][0] == "reasoning"
    assert sent["generationConfig"] == {
        "temperature": 0.0,
        "seed": 7,
        "maxOutputTokens": 4096,
        "candidateCount": 1,
        "responseMimeType": "application/json",
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    assert [content["role"] for content in sent["contents"]] == ["user"]


def test_the_two_ways_to_limit_thinking_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="set one of them"):
        GeminiSettings(thinking_budget=0, thinking_level="LOW")


def test_thoughts_are_no_part_of_the_answer(ask: Asking) -> None:
    parts = [{"text": SELL, "thought": True}, {"text": DECISION[:40]}, {"text": DECISION[40:]}]
    candidate = {"content": {"parts": parts, "role": "model"}, "finishReason": "STOP"}
    ask.server.usual = spoken("", candidates=[candidate])
    assert ask().action is Action.BUY


@pytest.mark.parametrize(
    "content", [f"```json\n{DECISION}\n```", f"Well:\n{DECISION}", DECISION.replace("64", '"64%"')]
)
def test_an_answer_in_wrapping_is_unwrapped(ask: Asking, content: str) -> None:
    ask.server.usual = content
    assert ask().confidence == 64
    assert len(ask.server.asked) == 1


BAD = {
    "nothing": "",
    "prose": "I would buy.",
    "cut off": DECISION[:60],
    "wrong type": DECISION.replace("64", '["64"]'),
    "out of range": DECISION.replace("64", "101"),
    "not a number": DECISION.replace("64", "NaN"),
    "another action": DECISION.replace("BUY", "STRONG BUY"),
    "member twice": DECISION.replace('"confidence"', '"action": "SELL", "confidence"'),
    "two that disagree": f"{DECISION}\n{SELL}",
    "list": f"[{DECISION}]",
    "endless number": DECISION.replace('"amount": 0', '"amount": 0.158E+16258900'),
    "deeply nested": "[" * 5000,
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_an_answer_that_cannot_be_read_is_mended_by_one_more_question(ask: Asking, content: str) -> None:
    ask.server.answers = [content, SELL]
    opinion = ask()
    assert (opinion.action, opinion.tokens_in, opinion.tokens_out) == (Action.SELL, 1640, 716)
    first, second = ask.server.asked
    assert second["systemInstruction"] == first["systemInstruction"]
    assert "could not be used" in second["contents"][0]["parts"][0]["text"]
    assert second["generationConfig"]["temperature"] == 0.3


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_an_answer_that_stays_unreadable_is_a_failure_after_two_questions(ask: Asking, content: str) -> None:
    ask.server.usual = content
    ask.failure()
    assert len(ask.server.asked) == 2


def test_an_echo_of_the_question_is_no_answer(ask: Asking) -> None:
    sent = ask().prompt or ""
    ask.server.usual = sent[sent.index("{") :]
    assert "repeats the prompt" in ask.failure().message


def test_a_model_that_only_thought_has_said_nothing(ask: Asking) -> None:
    thought = {"content": {"parts": [{"text": DECISION, "thought": True}], "role": "model"}, "finishReason": "STOP"}
    ask.server.usual = spoken("", candidates=[thought])
    assert "the reply is empty" in ask.failure().message


def test_escapes_in_the_reasoning_reach_no_terminal(ask: Asking) -> None:
    ask.server.usual = json.dumps({"reasoning": "up \x1b[31mred\u202e now", "action": "BUY", "confidence": 60})
    assert ask().reasoning == "up red now"


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        ("MAX_TOKENS", "max_output"),
        ("SAFETY", "SAFETY"),
        ("RECITATION", "RECITATION"),
        ("MALFORMED_RESPONSE", "MALFORMED_RESPONSE"),
        ("A_WORD_OF_NEXT_YEAR", "A_WORD_OF_NEXT_YEAR"),
        ("\x1b[31mred", "no reason"),
        (None, "no reason"),
    ],
)
def test_an_answer_that_the_model_did_not_finish_is_a_failure_even_where_it_can_be_read(
    ask: Asking, finish: str | None, said: str
) -> None:
    ask.server.usual = spoken(DECISION, finish=finish)
    assert said in ask.failure().message
    assert len(ask.server.asked) == 1


def test_a_model_that_used_up_its_tokens_by_thinking_has_no_content_and_fails(ask: Asking) -> None:
    ask.server.usual = spoken("", candidates=[{"finishReason": "MAX_TOKENS", "index": 0}])
    assert "cut off" in ask.failure().message


@pytest.mark.parametrize(
    ("answer", "said", "asked"),
    [
        (refused(400, "INVALID_ARGUMENT", "API key not valid."), "does not know the key", 1),
        (refused(400, "FAILED_PRECONDITION", "User location is not supported."), "location is not supported", 1),
        (refused(401, "UNAUTHENTICATED", "Expected OAuth 2 access token."), "may not be used", 1),
        (refused(403, "PERMISSION_DENIED", "Your API key was reported as leaked."), "reported as leaked", 1),
        (refused(500, "INTERNAL", f"An internal error, key {KEY}."), "500 INTERNAL", 3),
        (refused(503, "UNAVAILABLE", "The model is overloaded."), "overloaded", 3),
        (refused(504, "DEADLINE_EXCEEDED", "Too slow."), "DEADLINE_EXCEEDED", 3),
        (quota(day=False), "exceeded your current quota", 3),
        (quota(day=False, delay="41.5s"), "exceeded your current quota", 1),
        (refused(429, "RESOURCE_EXHAUSTED", "Slow down."), "Slow down", 3),
        (Canned([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}], 503), "busy", 3),
        (Canned({"error": "text"}, 500), "answered 500", 3),
        (Canned(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"}), "with a web page", 3),
        (Canned(b"<html>Sign in</html>", 200, {"Content-Type": "text/html"}), "web page", 1),
        (Canned({}, 302, {"Location": "http://elsewhere.invalid/"}), "redirects are not followed", 1),
        (Canned(b"", 200), "nothing instead of JSON", 1),
        (Canned(b'{"candidates": [', 200), "not the JSON", 1),
        (Canned(b'{"candidates": [], "candidates": []}', 200), "twice", 1),
        (Canned({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}), "refused (PROHIBITED_CONTENT)", 1),
        (Canned({}), "without a candidate", 1),
        (Canned({"candidates": "BUY"}), "no list", 1),
        (Canned({"candidates": ["BUY"]}), "something else", 1),
        (Canned(["BUY"]), "something else", 1),
        (spoken(DECISION, usageMetadata={"promptTokenCount": "many"}), "no count", 1),
        (Canned(b'{"a": "' + b"x" * (1 << 20) + b'"}'), "larger than", 1),
        (Canned({"candidates": "x" * 100}, cut=20), "broke off", 3),
        (Canned(reset=True), "closed before an answer came", 3),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_goes_wrong_is_told_in_one_line(ask: Asking, answer: Canned, said: str, asked: int) -> None:
    ask.server.usual = answer
    assert said in ask.failure(within=5.0).message
    assert len(ask.server.asked) == asked


@pytest.mark.parametrize(
    "answer", [Canned(delay=5.0), Canned({"message": "x" * 5000}, pace=0.05)], ids=["hangs", "drips"]
)
def test_a_server_that_does_not_finish_is_left_at_the_deadline(ask: Asking, answer: Canned) -> None:
    ask.server.usual = answer
    began = time.monotonic()
    # What was left of it when the question was sent.
    assert re.search(r"within 0\.[34]\d* s", ask.failure(within=0.4).message)
    assert time.monotonic() - began < 1.4


def test_without_a_key_nothing_is_sent_and_the_error_says_where_it_goes(ask: Asking) -> None:
    with pytest.raises(NotConfigured, match=r"plugins\.gemini\.api_key is not set") as caught:
        ask(api_key=None)
    assert caught.value.hint is not None and "GEMINI_API_KEY" in caught.value.hint
    assert not ask.server.requests


def test_a_key_that_the_api_does_not_know_is_told_although_it_calls_it_a_bad_request(ask: Asking) -> None:
    assert "does not know the key" in ask.failure(api_key=SecretStr("another-key")).message
    assert len(ask.server.requests) == 1


def test_a_model_that_is_gone_is_told_with_the_setting_that_names_it(ask: Asking) -> None:
    error = ask.failure(model="gemini-1.0-pro")
    assert "no model 'gemini-1.0-pro'" in error.message
    assert error.hint == "set plugins.gemini.model to one it has"


def test_an_api_that_knows_no_schema_is_asked_without_and_that_is_remembered(ask: Asking) -> None:
    ask.server.takes_schema = False
    provider = ask.provider()
    assert provider.ask(make_briefing(), timeout=5.0).action is Action.BUY
    assert provider.ask(make_briefing(), timeout=5.0).action is Action.BUY
    told = ["responseJsonSchema" in sent["generationConfig"] for sent in ask.server.asked]
    assert told == [True, False, False]


def test_a_minute_that_is_spent_is_waited_for_where_the_wait_fits(ask: Asking) -> None:
    ask.server.answers = [quota(day=False, delay="0.2s")]
    began = time.monotonic()
    assert ask().action is Action.BUY
    assert time.monotonic() - began >= 0.2
    assert len(ask.server.asked) == 2


def test_a_day_that_is_spent_stays_so_until_midnight_in_california_for_every_later_run(ask: Asking) -> None:
    ask.server.answers = [quota(day=True, delay="0.1s")]
    assert "there are new ones from 2026-07-02T07:00:00Z" in ask.failure().message
    assert "from 2026-07-02T07:00:00Z" in ask.failure(at=RESET - timedelta(seconds=1)).message
    assert len(ask.server.asked) == 1
    assert ask(at=RESET).action is Action.BUY


def test_another_model_and_another_key_have_a_day_of_their_own(tmp_path: Path) -> None:
    Quota(tmp_path, MODEL, KEY).spend(NOON)
    Quota(tmp_path, "another", KEY).spend(NOON)
    assert Quota(tmp_path, MODEL, KEY).spent_until(NOON) == RESET
    assert Quota(tmp_path, MODEL, "another").spent_until(NOON) is None
    assert KEY not in (tmp_path / FILE).read_text()


def test_a_day_in_winter_ends_an_hour_later(tmp_path: Path) -> None:
    assert Quota(tmp_path, MODEL, KEY).spend(datetime(2026, 1, 1, 12, 0, tzinfo=UTC)).hour == 8


@pytest.mark.parametrize(
    "written", ["", "{", "[]", "null", json.dumps({"x": 1}), "WELL:soon", "WELL:2026-07-02T07:00:00", "WELL:2036-07-02"]
)
def test_what_was_remembered_and_cannot_be_read_spends_no_day(tmp_path: Path, written: str) -> None:
    told = Quota(tmp_path, MODEL, KEY)
    if written.startswith("WELL:"):
        told.spend(NOON)
        (name,) = json.loads((tmp_path / FILE).read_text())
        written = json.dumps({name: written.removeprefix("WELL:")})
    (tmp_path / FILE).write_text(written)
    assert told.spent_until(NOON) is None
    assert told.spend(NOON) == RESET
    assert told.spent_until(NOON) == RESET


def test_a_folder_that_cannot_be_written_to_is_no_failure(tmp_path: Path) -> None:
    assert Quota(tmp_path / "missing", MODEL, KEY).spend(NOON) == RESET


# check


def looked(ask: Asking, **settings: Any) -> Readiness:
    """What ``check`` says; no model was asked."""
    seen = ask.provider(**settings).check(timeout=3.0)
    assert not ask.server.asked
    assert KEY not in repr(seen)
    return seen


def test_a_key_and_a_model_that_the_api_knows_are_ready(ask: Asking) -> None:
    seen = looked(ask)
    assert (seen.signed_in, seen.reachable, seen.model_there, seen.ready, seen.hint) == (True, True, True, True, None)
    assert seen.detail == f"{MODEL} at {ask.server.base_url}"
    (request,) = ask.server.requests
    assert (request.method, request.path) == ("GET", f"/v1beta/models/{MODEL}")


def test_without_a_key_nothing_is_sent_and_it_is_not_ready(ask: Asking) -> None:
    seen = looked(ask, api_key=None)
    assert (seen.signed_in, seen.reachable, seen.ready) == (False, None, False)
    assert seen.hint is not None and "GEMINI_API_KEY" in seen.hint
    assert not ask.server.requests


def test_a_key_that_the_api_does_not_know_is_not_ready(ask: Asking) -> None:
    seen = looked(ask, api_key=SecretStr("another-key"))
    assert (seen.signed_in, seen.reachable, seen.model_there) == (False, True, None)
    assert "does not know the key" in seen.detail


def test_a_key_that_may_not_be_used_is_not_ready(ask: Asking) -> None:
    ask.server.answer = lambda _: refused(403, "PERMISSION_DENIED", "Your API key was reported as leaked.")
    seen = looked(ask)
    assert (seen.signed_in, seen.reachable, seen.ready) == (False, True, False)
    assert "reported as leaked" in seen.detail


def test_a_model_that_is_gone_is_not_there(ask: Asking) -> None:
    seen = looked(ask, model="gemini-1.0-pro")
    assert (seen.signed_in, seen.reachable, seen.model_there) == (True, True, False)
    assert seen.hint == "set plugins.gemini.model to one it has"


def test_an_api_that_is_not_there_is_not_reachable(ask: Asking) -> None:
    ask.server.close()
    seen = looked(ask)
    assert (seen.signed_in, seen.reachable, seen.ready) == (None, False, False)
    assert seen.hint is not None and "anything listening" in seen.hint


@pytest.mark.parametrize(
    "answer", [refused(500, "INTERNAL", "oops"), Canned(b"<html>Sign in</html>", 200), Canned(delay=10.0)]
)
def test_what_answers_otherwise_is_not_reachable(ask: Asking, answer: Canned) -> None:
    ask.server.answer = lambda _: answer
    began = time.monotonic()
    seen = ask.provider().check(timeout=0.5)
    assert (seen.signed_in, seen.reachable, seen.ready) == (None, False, False)
    assert time.monotonic() - began < 1.5


def test_a_day_that_is_spent_is_told(ask: Asking) -> None:
    ask.server.answers = [quota(day=True)]
    ask.failure()
    assert "there are new ones from 2026-07-02T07:00:00Z" in ask.provider().check(timeout=3.0).detail


@pytest.mark.parametrize(
    ("settings", "rations"),
    [
        ({}, (None, 100)),
        ({"api_key": None, "transport": "cli"}, (60, None)),
        ({"transport": "cli"}, (None, 100)),
        ({"per_minute": 5, "per_day": None}, (5, None)),
        ({"api_key": None, "transport": "cli", "per_minute": None, "per_day": 1000}, (None, 1000)),
    ],
    ids=["a key", "a sign-in", "the tool with a key", "a paid key", "a paid sign-in"],
)
def test_what_google_gives_away_is_the_limit_unless_settings_say_otherwise(
    ask: Asking, settings: dict[str, Any], rations: tuple[int | None, int | None]
) -> None:
    given = GeminiSettings(**{"api_key": SecretStr(KEY), **settings})
    context = make_context(ask.folder, "gemini")
    (provider,) = ffe_gemini.ffe_ai_providers(given, context)
    assert isinstance(provider, Rationed)
    assert (provider.per_minute, provider.per_day) == rations


def test_a_ration_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError):
        GeminiSettings(per_day=0)
