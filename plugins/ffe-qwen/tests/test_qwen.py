"""How Qwen Code is asked, what it is kept from, and what its output means."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ffe_qwen import INSTALL
from ffe_qwen.api import SIGN_IN, Qwen
from ffe_qwen.contract import SPEECH
from ffe_qwen.parse import answer_of, fault_in
from ffe_qwen.settings import QwenSettings
from pydantic import SecretStr, ValidationError

from ffe_core import ProviderFailed, Readiness
from ffe_core.testing import make_briefing, make_context, make_tool
from ffe_core.testing.loopback import Canned, Loopback, Request

KEY = "own-0123456789"
GOOD = '{"reasoning": "calm", "action": "HOLD", "confidence": 55, "amount": 0}'
HEAD = """
import json, os, sys
asked = sys.stdin.read()
open({record!r}, "a").write(json.dumps([sys.argv[1:], asked, dict(os.environ)]) + "\\n")
said = {said!r}
"""
INIT = {"type": "system", "subtype": "init", "tools": []}
DONE = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": GOOD,
    "usage": {"input_tokens": 11, "output_tokens": 7, "total_tokens": 18},
}
SIGNED_OUT = {
    "type": "result",
    "subtype": "error_during_execution",
    "is_error": True,
    "error": {"message": "No auth type is selected. Please configure an auth type"},
}


def qwen(folder: Path, source: str = "", said: str = GOOD, **settings: Any) -> Qwen:
    tool = make_tool(folder, HEAD.format(record=str(folder / "record"), said=said) + source + SPEECH)
    return Qwen.of(QwenSettings(command=str(tool), **settings), make_context(folder), install=INSTALL)


def runs(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "record").read_text("utf-8").splitlines()]


def test_the_result_is_the_answer() -> None:
    answer = answer_of(json.dumps([INIT, {"type": "assistant"}, DONE]))
    assert (answer.text, answer.tokens_in, answer.tokens_out) == (GOOD, 11, 7)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "wrote no JSON"),
        ("[API Error: 401]", "wrote no JSON"),
        (json.dumps([INIT, DONE])[:-5], "wrote no JSON"),
        ("[" * 100_000, "wrote no JSON"),
        (GOOD, "but no list"),
        ("[]", "ended without a result"),
        (json.dumps([INIT, 1, None, "result"]), "ended without a result"),
        (json.dumps([INIT, SIGNED_OUT]), "No auth type is selected"),
        (json.dumps([INIT, {"type": "result", "result": GOOD}]), "qwen failed"),
        (json.dumps([INIT, DONE, SIGNED_OUT]), "No auth type is selected"),
        (json.dumps([{**INIT, "tools": ["read_file"]}, DONE]), "gave the model tools"),
    ],
)
def test_what_is_no_answer_is_refused(output: str, told: str) -> None:
    with pytest.raises(ProviderFailed, match=told):
        answer_of(output)


def test_what_went_wrong_is_found_or_nothing() -> None:
    assert fault_in(json.dumps([INIT, SIGNED_OUT])).startswith("No auth type")
    assert fault_in(json.dumps([INIT, DONE])) == ""
    assert fault_in("no JSON") == ""


def test_qwen_is_asked_without_hands(tmp_path: Path) -> None:
    server: dict[str, Any] = {
        "base_url": "http://127.0.0.1:8080/v1",
        "model": "qwen-x",
        "api_key": SecretStr(KEY),
    }
    opinion = qwen(tmp_path, **server).ask(make_briefing(), timeout=20)
    assert (opinion.provider, opinion.model, opinion.action, opinion.local) == ("qwen", "qwen-x", "HOLD", True)
    assert (opinion.tokens_in, opinion.tokens_out) == (230, 41)
    [(arguments, asked, environment)] = runs(tmp_path)
    told = " ".join(arguments)
    assert told.startswith("--auth-type openai --bare --output-format json --chat-recording=false --exclude-tools")
    # The list of tools ends only where another option begins.
    assert arguments[arguments.index("run_shell_command") + 1].startswith("--")
    assert "--yolo" not in arguments
    assert "BTCUSD" in asked
    assert "BTCUSD" not in told
    assert KEY not in told
    assert {name: value for name, value in environment.items() if name.startswith("OPENAI")} == {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": "http://127.0.0.1:8080/v1",
        "OPENAI_MODEL": "qwen-x",
    }


def test_a_server_without_keys_needs_none(tmp_path: Path) -> None:
    qwen(tmp_path, base_url="http://localhost:8080/v1", model="m").ask(make_briefing(), timeout=20)
    assert runs(tmp_path)[0][2]["OPENAI_API_KEY"] == "none"


def test_a_qwen_that_is_signed_out_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed, match="qwen is not signed in") as told:
        qwen(tmp_path).ask(make_briefing(), timeout=20)
    assert told.value.hint is not None
    assert "FFE_PLUGINS__QWEN__API_KEY" in told.value.hint
    assert not (tmp_path / "record").exists()


def test_its_own_sign_in_is_used_where_there_is_one(tmp_path: Path) -> None:
    provider = qwen(tmp_path)
    file = provider.tool.home / SIGN_IN
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    provider.ask(make_briefing(), timeout=20)
    [(arguments, _, environment)] = runs(tmp_path)
    assert arguments[:2] == ["--auth-type", "qwen-oauth"]
    assert not [name for name in environment if name.startswith("OPENAI")]


def test_a_refused_key_says_where_it_stands(tmp_path: Path) -> None:
    out = f"print({json.dumps([INIT, SIGNED_OUT])!r}); sys.exit(1)\n"
    with pytest.raises(ProviderFailed, match="ended with code 1: No auth type") as told:
        qwen(tmp_path, out, api_key=SecretStr("sk-0123456789")).ask(make_briefing(), timeout=20)
    assert told.value.hint == "check plugins.qwen.api_key"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "--yolo"},
        {"base_url": "http://example.com/v1", "model": "m"},
        {"base_url": "https://example.com/v1"},
        {"timeout": 0},
        {"flags": ["--yolo"]},
    ],
)
def test_settings_that_could_do_harm_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        QwenSettings(**wrong)


@pytest.mark.parametrize(
    "said",
    [
        "unexpected status 429 Too Many Requests: Rate limit reached",
        "unexpected status 500 Internal Server Error: The server had an error",
        "unexpected status 404 Not Found: The model `m` does not exist",
        "stream disconnected before completion: connection reset by peer",
    ],
)
def test_what_a_server_refuses_is_told_and_asked_once(tmp_path: Path, said: str) -> None:
    told = [INIT, {**SIGNED_OUT, "error": {"message": said}}]
    source = f"print({json.dumps(told)!r}); sys.exit(1)\n"
    with pytest.raises(ProviderFailed) as caught:
        qwen(tmp_path, source, api_key=SecretStr(KEY)).ask(make_briefing(), timeout=20)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint is None
    assert len([asked for _, asked, _ in runs(tmp_path) if asked]) == 1


# check

VERSION = "if sys.argv[1:] == ['--version']: print('0.15.10'); sys.exit()\n"


class Models(Loopback):
    """A server that lists its models to whoever has the key."""

    def __init__(self, *names: str, answer: Canned | None = None) -> None:
        self.names = names
        self.instead = answer
        super().__init__(self._answer)

    def _answer(self, request: Request) -> Canned:
        if self.instead is not None:
            return self.instead
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return Canned({"error": {"message": "Incorrect API key provided"}}, 401)
        return Canned({"object": "list", "data": [{"id": name, "object": "model"} for name in self.names]})


def looked(folder: Path, source: str = VERSION, **settings: Any) -> Readiness:
    """What ``check`` says; no run of the tool was given a question."""
    seen = qwen(folder, source, **settings).check(timeout=10)
    if (folder / "record").exists():
        assert [asked for _, asked, _ in runs(folder) if asked] == []
    return seen


def test_a_tool_that_is_not_installed_is_not_ready(tmp_path: Path) -> None:
    provider = Qwen.of(QwenSettings(command=str(tmp_path / "absent")), make_context(tmp_path), install=INSTALL)
    seen = provider.check(timeout=5)
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (False, None, False, INSTALL)
    assert "not installed" in seen.detail


@pytest.mark.parametrize("source", ["sys.exit('Error: node is too old')\n", "import time; time.sleep(30)\n"])
def test_a_tool_that_does_not_run_is_not_ready_and_says_why(tmp_path: Path, source: str) -> None:
    began = time.monotonic()
    seen = qwen(tmp_path, source).check(timeout=1)
    assert (seen.installed, seen.ready) == (False, False)
    assert "node is too old" in seen.detail or "no answer within 1 s" in seen.detail
    assert time.monotonic() - began < 2


def test_a_key_is_enough_to_be_ready(tmp_path: Path) -> None:
    seen = looked(tmp_path, api_key=SecretStr(KEY))
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (True, True, True, None)
    assert seen.detail.startswith("0.15.10 at /")
    assert "untried" in seen.detail
    assert KEY not in repr(seen)


def test_its_own_sign_in_is_looked_for(tmp_path: Path) -> None:
    provider = qwen(tmp_path, VERSION)
    file = provider.tool.home / SIGN_IN
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    assert provider.check(timeout=10).signed_in is True


def test_signed_out_is_told_with_how_to_sign_in(tmp_path: Path) -> None:
    seen = looked(tmp_path)
    assert (seen.installed, seen.signed_in, seen.ready) == (True, False, False)
    assert seen.hint is not None
    assert "FFE_PLUGINS__QWEN__API_KEY" in seen.hint


def test_it_is_rationed_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert (qwen(tmp_path).per_minute, qwen(tmp_path).per_day) == (60, 2000)
    free = qwen(tmp_path, per_minute=None, per_day=None)
    assert (free.per_minute, free.per_day) == (None, None)


def test_a_server_of_the_users_own_that_has_the_model_is_ready(tmp_path: Path) -> None:
    with Models("m", "other") as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m", api_key=SecretStr(KEY))
    assert (seen.installed, seen.signed_in, seen.reachable, seen.model_there) == (True, True, True, True)
    assert seen.detail.endswith(f"{server.url}/v1 answers")
    assert [(request.method, request.path) for request in server.requests] == [("GET", "/v1/models")]


def test_a_model_that_the_server_lacks_is_told_with_those_it_has(tmp_path: Path) -> None:
    with Models("b", "a\x1b[31m") as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m", api_key=SecretStr(KEY))
    assert (seen.reachable, seen.model_there, seen.ready) == (True, False, False)
    assert seen.hint == "set plugins.qwen.model to one that it has: a, b"


def test_a_key_that_the_server_refuses_is_told(tmp_path: Path) -> None:
    with Models("m") as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m", api_key=SecretStr("another-0123456789"))
    assert (seen.signed_in, seen.reachable, seen.ready) == (False, True, False)
    assert seen.hint == "check plugins.qwen.api_key"
    assert "another-0123456789" not in repr(seen)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with Models() as server:
        url = f"{server.url}/v1"
    seen = looked(tmp_path, base_url=url, model="m")
    assert (seen.installed, seen.reachable, seen.ready) == (True, False, False)
    assert seen.hint == "is it running? see plugins.qwen.base_url"


@pytest.mark.parametrize(
    ("answer", "reachable"),
    [(Canned(b"no such page", 404), True), (Canned({"models": []}), True), (Canned({}, 500), False)],
)
def test_a_server_that_lists_no_models_may_still_answer(tmp_path: Path, answer: Canned, reachable: bool) -> None:
    with Models(answer=answer) as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m")
    assert (seen.reachable, seen.model_there, seen.ready) == (reachable, None, reachable)
