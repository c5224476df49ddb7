"""The provider against a strict stand-in: what it sends, and what becomes of every way to answer."""

from __future__ import annotations

import json
import re
import time
from decimal import Decimal
from typing import Any, Unpack

import pytest
from ffe_ollama.api import base_url
from ffe_ollama.provider import Ollama
from ffe_ollama.settings import OllamaSettings
from ffe_ollama.standin import DECISION, MODEL, OllamaStandIn, refused, spoken

from ffe_core import Action, NotConfigured, Opinion, ProviderFailed, Readiness, SettingsError
from ffe_core.http import Door, DoorOptions, Doors
from ffe_core.testing import make_briefing
from ffe_core.testing.loopback import Canned

SELL = '{"reasoning": "It falls.", "action": "SELL", "confidence": 55, "amount": 0}'


class Hasty(Doors):
    """Doors that wait no time worth mentioning before they ask again."""

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        options["backoff"] = 0.01
        return super().__call__(base_url, **options)


def provider(server: OllamaStandIn, **settings: Any) -> Ollama:
    return Ollama(OllamaSettings(**{"host": server.url, "model": MODEL, **settings}), Hasty("ollama"))


def ask(server: OllamaStandIn, within: float = 10.0, **settings: Any) -> Opinion:
    return provider(server, **settings).ask(make_briefing(), timeout=within)


def failure(server: OllamaStandIn, within: float = 10.0, **settings: Any) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        ask(server, within, **settings)
    return caught.value


def test_an_answer_becomes_an_opinion_with_what_it_took(server: OllamaStandIn) -> None:
    opinion = ask(server)
    assert (opinion.provider, opinion.model, opinion.local) == ("ollama", MODEL, True)
    assert (opinion.action, opinion.confidence) == (Action.BUY, 64)
    assert opinion.reasoning == "Price rises above its averages."
    assert opinion.raw_reply == DECISION
    assert opinion.cost_usd == Decimal(0)
    assert opinion.tokens_in is not None and opinion.tokens_in > 100
    assert opinion.tokens_out == len(DECISION) // 4
    assert opinion.prompt is not None
    assert opinion.prompt.startswith("You judge one asset")


def test_what_is_sent_leaves_nothing_to_chance(server: OllamaStandIn) -> None:
    ask(server, seed=7, num_ctx=4096, num_predict=512, keep_alive="-1")
    (sent,) = server.chats
    assert sent["stream"] is False
    assert sent["truncate"] is False
    assert sent["think"] is False
    assert sent["keep_alive"] == -1
    assert sent["options"] == {"temperature": 0.0, "seed": 7, "num_ctx": 4096, "num_predict": 512}
    assert sent["format"]["required"][0] == "reasoning"
    assert sent["format"]["additionalProperties"] is False
    assert sent["format"]["properties"]["reasoning"]["minLength"] > len("two or three sentences")
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]


def test_the_same_briefing_sends_the_same_bytes(server: OllamaStandIn) -> None:
    ask(server)
    ask(server)
    first, second = (request.body for request in server.requests)
    assert first == second


@pytest.mark.parametrize(
    "content",
    [
        f"```json\n{DECISION}\n```",
        f"Here is my answer:\n{DECISION}\nGood luck!",
        f"<think>SELL? no.</think>{DECISION}",
        f"{DECISION}\n{DECISION}",
        DECISION.replace("64", '"64%"'),
    ],
)
def test_an_answer_in_wrapping_is_unwrapped(server: OllamaStandIn, content: str) -> None:
    server.usual = content
    opinion = ask(server)
    assert (opinion.action, opinion.confidence) == (Action.BUY, 64)
    assert len(server.chats) == 1


BAD = {
    "nothing": "",
    "prose": "I would buy.",
    "cut off": DECISION[:60],
    "wrong type": DECISION.replace("64", '["64"]'),
    "out of range": DECISION.replace("64", "27228"),
    "endless number": DECISION.replace('"amount": 0', '"amount": 0.158E+16258900'),
    "not a number": DECISION.replace("64", "NaN"),
    "share or percentage": DECISION.replace("64", "0.73"),
    "another action": DECISION.replace("BUY", "STRONG BUY"),
    "member twice": DECISION.replace('"confidence"', '"action": "SELL", "confidence"'),
    "two that disagree": f"{DECISION}\n{SELL}",
    "list": f"[{DECISION}]",
    "no action": '{"confidence": 60, "reasoning": "well"}',
    "deeply nested": "[" * 5000,
    "half a character": '{"action": "BUY\\ud800", "confidence": 60, "reasoning": "well", "amount": 0}',
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_an_answer_that_cannot_be_read_is_mended_by_one_more_question(server: OllamaStandIn, content: str) -> None:
    server.answers = [content, SELL]
    opinion = ask(server)
    assert (opinion.action, opinion.confidence) == (Action.SELL, 55)
    first, second = server.chats
    assert second["messages"][0] == first["messages"][0]
    assert "could not be used" in second["messages"][1]["content"]
    assert (second["options"]["temperature"], second["options"]["seed"]) == (0.3, 2)
    assert opinion.tokens_in is not None and opinion.tokens_in > len(first["messages"][1]["content"]) // 4


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_an_answer_that_stays_unreadable_is_a_failure_after_two_questions(server: OllamaStandIn, content: str) -> None:
    server.usual = content
    failure(server)
    assert len(server.chats) == 2


def test_an_echo_of_the_question_is_no_answer(server: OllamaStandIn) -> None:
    asked = ask(server).prompt or ""
    server.usual = asked[asked.index("{") :]
    assert "repeats the prompt" in failure(server).message


def test_escapes_in_the_reasoning_reach_no_terminal(server: OllamaStandIn) -> None:
    server.usual = json.dumps({"reasoning": "up \x1b[31mred\u202e now", "action": "BUY", "confidence": 60, "amount": 0})
    assert ask(server).reasoning == "up red now"


def test_an_answer_that_ran_out_of_tokens_is_a_failure_even_where_it_can_be_read(server: OllamaStandIn) -> None:
    server.usual = spoken(DECISION, done_reason="length")
    error = failure(server, num_predict=256)
    assert "cut off after 256 tokens" in error.message
    assert error.hint is not None and "num_predict" in error.hint
    assert len(server.chats) == 1


def test_a_model_that_was_only_loaded_has_said_nothing(server: OllamaStandIn) -> None:
    server.usual = spoken("", done_reason="load")
    assert "did not finish" in failure(server).message


def test_a_model_that_is_not_there_is_told_with_the_line_that_gets_it_and_never_pulled(server: OllamaStandIn) -> None:
    error = failure(server, model="mistral")
    assert "ollama pull mistral" in error.message
    assert [request.path for request in server.requests] == ["/api/chat"]


def test_without_a_model_the_error_names_those_that_are_installed(server: OllamaStandIn) -> None:
    server.models = ("qwen3:4b", "llama3.2:3b")
    with pytest.raises(NotConfigured) as caught:
        ask(server, model=None)
    assert caught.value.message == "plugins.ollama.model is not set; installed: llama3.2:3b, qwen3:4b"
    assert caught.value.hint == "ffe config set plugins.ollama.model llama3.2:3b"
    assert provider(server, model=None).model == "not set"


def test_without_a_model_and_without_any_installed_the_error_says_how_to_get_one(server: OllamaStandIn) -> None:
    server.models = ()
    with pytest.raises(NotConfigured, match=r"ollama pull llama3\.2"):
        ask(server, model=None)


def test_without_a_model_and_without_a_server_the_error_says_both(server: OllamaStandIn) -> None:
    server.close()
    with pytest.raises(NotConfigured, match="is not set, and Ollama cannot be reached") as caught:
        ask(server, model=None)
    assert caught.value.hint is not None and "ollama serve" in caught.value.hint


def test_a_server_that_is_not_running_is_told_with_the_line_that_starts_it(server: OllamaStandIn) -> None:
    server.close()
    error = failure(server, within=2.0)
    assert "cannot be reached" in error.message
    assert error.hint == "start it: ollama serve"


@pytest.mark.parametrize(
    ("answer", "said", "asked"),
    [
        (refused(429, "too many concurrent requests"), "429: too many concurrent requests", 2),
        (refused(500, "llama runner process has terminated"), "500: llama runner process has terminated", 2),
        (refused(503, "server busy, please try again.  maximum pending requests exceeded"), "503: server busy", 2),
        (Canned(b"<html>Bad Gateway</html>", 502, {"Content-Type": "text/html"}), "with a web page", 2),
        (Canned(b"<html>Welcome</html>", 200, {"Content-Type": "text/html"}), "web page", 1),
        (Canned(b"404 page not found", 404, {"Content-Type": "text/plain"}), "is not Ollama", 1),
        (refused(401, "unauthorized"), "ollama signin", 1),
        (refused(403, "this model requires a subscription"), "ollama signin", 1),
        (refused(400, "the input length exceeds the context length"), "longer than the model's context", 1),
        (refused(400, "invalid role: x"), "400: invalid role: x", 1),
        (Canned(b"", 200), "nothing instead of JSON", 1),
        (Canned(b'{"done": true', 200), "not the JSON", 1),
        (Canned(b'{"done": true, "done": true}', 200), "twice", 1),
        (Canned({"error": "an error was encountered while running the model"}), "while running the model", 1),
        (spoken(DECISION, done=False), "not done", 1),
        (spoken(DECISION, message=[]), "the message", 1),
        (spoken(DECISION, message={"role": "assistant", "content": {"action": "BUY"}}), "no text", 1),
        (spoken(DECISION, eval_count="many"), "no count", 1),
        (spoken(DECISION, done_reason=None), "no text", 1),
        (Canned(["BUY"]), "something else", 1),
        (Canned(b'{"a": "' + b"x" * (1 << 20) + b'"}'), "larger than", 1),
        (Canned({}, 302, {"Location": "http://elsewhere.invalid/"}), "redirects are not followed", 1),
        (Canned({"message": "x" * 100}, cut=20), "broke off", 2),
        (Canned(reset=True), "closed before an answer came", 2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_whatever_goes_wrong_is_told_in_one_line(server: OllamaStandIn, answer: Canned, said: str, asked: int) -> None:
    server.usual = answer
    error = failure(server)
    assert said in error.message
    assert "\n" not in error.message
    assert len(server.chats) == asked


@pytest.mark.parametrize(
    "answer", [Canned(delay=5.0), Canned({"message": "x" * 5000}, pace=0.05)], ids=["hangs", "drips"]
)
def test_a_server_that_does_not_finish_is_left_at_the_deadline(server: OllamaStandIn, answer: Canned) -> None:
    server.usual = answer
    began = time.monotonic()
    error = failure(server, within=0.4)
    # What was left of it when the question was sent.
    assert re.search(r"within 0\.[34]\d* s", error.message)
    assert time.monotonic() - began < 1.4


def test_a_slow_bad_answer_leaves_no_time_for_a_second_question(server: OllamaStandIn) -> None:
    server.usual = Canned(spoken("no idea").body, delay=0.3)
    began = time.monotonic()
    failure(server, within=0.5)
    assert time.monotonic() - began < 1.5


def test_its_own_timeout_holds_where_it_is_shorter(server: OllamaStandIn) -> None:
    server.usual = Canned(delay=5.0)
    began = time.monotonic()
    assert re.search(r"within 0\.[23]\d* s", failure(server, within=30.0, timeout=0.3).message)
    assert time.monotonic() - began < 1.3


def test_a_question_that_the_server_cut_in_silence_is_a_failure(server: OllamaStandIn) -> None:
    server.window = 128
    server.usual = spoken(DECISION, prompt_eval_count=64)
    error = failure(server)
    assert "saw 64 tokens" in error.message
    assert error.hint is not None and "num_ctx" in error.hint


@pytest.mark.parametrize("count", [None, 1])
def test_a_question_that_the_server_remembers_is_no_cut_one(server: OllamaStandIn, count: int | None) -> None:
    server.usual = spoken(DECISION, prompt_eval_count=count)
    assert ask(server).action is Action.BUY
    assert server.requests[-1].path == "/api/ps"


def test_a_window_too_small_for_the_question_is_told_before_it_is_asked(server: OllamaStandIn) -> None:
    error = failure(server, num_ctx=512, num_predict=300)
    assert "do not fit into 512 tokens" in error.message
    assert not server.requests


def test_a_model_that_cannot_think_is_asked_without_and_remembered(server: OllamaStandIn) -> None:
    server.thinks = False
    asking = provider(server, think=True)
    assert asking.ask(make_briefing(), timeout=10.0).action is Action.BUY
    assert asking.ask(make_briefing(), timeout=10.0).action is Action.BUY
    assert ["think" in chat for chat in server.chats] == [True, False, False]


def test_a_model_that_only_thought_is_asked_again_with_thinking_the_other_way(server: OllamaStandIn) -> None:
    server.answers = [spoken("", message={"role": "assistant", "content": "", "thinking": DECISION}), SELL]
    assert ask(server).action is Action.SELL
    first, second = server.chats
    assert (first["think"], second["think"]) == (False, True)
    assert second["messages"] == first["messages"]


def test_a_model_in_the_cloud_is_neither_local_nor_free(server: OllamaStandIn) -> None:
    server.models = ("gpt-oss:120b-cloud",)
    opinion = ask(server, model="gpt-oss:120b-cloud")
    assert (opinion.local, opinion.cost_usd) == (False, None)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("localhost:1234", "http://localhost:1234"),
        (":5000", "http://127.0.0.1:5000"),
        ("[::]:5000", "http://[::1]:5000"),
        ("::1", "http://[::1]:11434"),
        ("https://models.example", "https://models.example:443"),
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        ("http://127.0.0.1/proxy/", "http://127.0.0.1:80/proxy"),
    ],
)
def test_the_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    assert base_url(host) == url


def test_plain_http_to_another_machine_is_refused_by_the_name_of_the_setting() -> None:
    asking = Ollama(OllamaSettings(host="192.168.1.9", model=MODEL), Doors("ollama"))
    with pytest.raises(SettingsError, match=r"plugins\.ollama\.host: plain http"):
        asking.ask(make_briefing(), timeout=1.0)


# check


def looked(server: OllamaStandIn, **settings: Any) -> Readiness:
    """What ``check`` says; no model was asked."""
    seen = provider(server, **settings).check(timeout=3.0)
    assert not server.chats
    return seen


def test_a_server_with_the_model_is_ready(server: OllamaStandIn) -> None:
    seen = looked(server)
    assert (seen.reachable, seen.model_there, seen.ready, seen.hint) == (True, True, True, None)
    assert seen.detail == f"Ollama 0.13.0 at {server.url}; {MODEL}"
    assert [request.path for request in server.requests] == ["/api/version", "/api/tags"]


def test_a_model_without_a_tag_is_its_latest(server: OllamaStandIn) -> None:
    server.models = ("mistral:latest",)
    assert looked(server, model="mistral").ready
    assert not looked(server, model="mistral:7b").ready


def test_a_model_that_is_not_pulled_is_told_with_the_line_that_pulls_it(server: OllamaStandIn) -> None:
    seen = looked(server, model="mistral")
    assert (seen.reachable, seen.model_there, seen.ready, seen.hint) == (True, False, False, "ollama pull mistral")


def test_a_model_that_is_not_set_is_told_with_those_there_are(server: OllamaStandIn) -> None:
    seen = looked(server, model=None)
    assert (seen.reachable, seen.model_there) == (True, False)
    assert seen.hint == f"ffe config set plugins.ollama.model {MODEL}"


def test_a_server_that_is_not_running_is_not_ready(server: OllamaStandIn) -> None:
    server.close()
    seen = looked(server)
    assert (seen.reachable, seen.model_there, seen.ready, seen.hint) == (False, None, False, "start it: ollama serve")


@pytest.mark.parametrize(
    "answer",
    [Canned(b"404 page not found", 404), Canned({"version": 3}), Canned(b"<html>", 200), Canned(delay=10.0)],
    ids=["another server", "another answer", "a page", "hangs"],
)
def test_what_is_no_ollama_is_not_ready(server: OllamaStandIn, answer: Canned) -> None:
    server.answer = lambda _: answer
    began = time.monotonic()
    seen = provider(server).check(timeout=0.5)
    assert (seen.reachable, seen.ready) == (False, False)
    assert seen.detail and seen.hint
    assert time.monotonic() - began < 1.5


def test_an_address_that_cannot_be_used_is_not_ready() -> None:
    seen = Ollama(OllamaSettings(host="192.168.1.9", model=MODEL), Doors("ollama")).check(timeout=1.0)
    assert (seen.reachable, seen.ready) == (False, False)
    assert "plugins.ollama.host: plain http" in seen.detail


def test_it_may_be_asked_without_limit_unless_settings_say_otherwise(server: OllamaStandIn) -> None:
    assert (provider(server).per_minute, provider(server).per_day) == (None, None)
    assert (provider(server, per_minute=2).per_minute, provider(server, per_day=30).per_day) == (2, 30)
