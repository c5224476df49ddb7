"""How Codex is asked, what it is kept from, and what its output means."""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from ffe_codex import INSTALL
from ffe_codex.api import Codex
from ffe_codex.contract import SPEECH
from ffe_codex.parse import answer_of, fault_in, features_in
from ffe_codex.settings import CodexSettings
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


def codex(folder: Path, source: str = "", said: str = GOOD, **settings: Any) -> Codex:
    head = HEAD.format(record=str(folder / "record"), said=said)
    tool = make_tool(folder, head + source + SPEECH)
    return Codex.of(CodexSettings(command=str(tool), **settings), make_context(folder), install=INSTALL)


def runs(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "record").read_text("utf-8").splitlines()]


def lines(*events: object) -> str:
    return "\n".join(json.dumps(event) for event in events)


def message(text: str) -> dict[str, Any]:
    return {"type": "item.completed", "item": {"id": "1", "type": "agent_message", "text": text}}


DONE = {"type": "turn.completed", "usage": {"input_tokens": 11, "cached_input_tokens": 0, "output_tokens": 7}}


def test_the_last_message_of_a_completed_turn_is_the_answer() -> None:
    warning = {"type": "item.completed", "item": {"type": "error", "message": "Model metadata not found"}}
    answer = answer_of("a warning\n" + lines({"type": "turn.started"}, warning, message("a"), message("b"), DONE))
    assert (answer.text, answer.tokens_in, answer.tokens_out, answer.tokens_cached) == ("b", 11, 7, 0)


def test_tokens_that_the_service_had_kept_are_told_apart() -> None:
    done = {"type": "turn.completed", "usage": {"input_tokens": 730, "cached_input_tokens": 640, "output_tokens": 41}}
    answer = answer_of(lines(message(GOOD), done))
    assert (answer.tokens_in, answer.tokens_cached) == (730, 640)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "did not complete its turn"),
        (lines(message(GOOD)), "its output breaks off"),
        (lines(message(GOOD), DONE)[:-20], "its output breaks off"),
        (lines(DONE), "without an answer"),
        (lines({"type": "error", "message": "stream lost"}, message(GOOD)), "stream lost"),
        (lines(message(GOOD), {"type": "turn.failed", "error": {"message": "status 429"}}, DONE), "status 429"),
        (lines({"type": "item.started", "item": {"type": "command_execution"}}, message(GOOD), DONE), "used a tool"),
        (lines({"type": "item.completed", "item": {"type": "mcp_tool_call"}}, message(GOOD), DONE), "used a tool"),
        ("[1]\n2\nnull\n" + "[" * 100_000, "its output breaks off"),
        (lines({"type": "turn.completed", "type ": 1}).replace('"type "', '"type"'), "its output breaks off"),
    ],
)
def test_what_is_no_answer_is_refused(output: str, told: str) -> None:
    with pytest.raises(ProviderFailed, match=told):
        answer_of(output)


def test_usage_of_any_shape_is_no_crash() -> None:
    usages: tuple[Any, ...] = (None, [], {"input_tokens": "many"}, {"input_tokens": True, "output_tokens": -1})
    for usage in usages:
        answer = answer_of(lines(message(GOOD), {"type": "turn.completed", "usage": usage}))
        assert (answer.tokens_in, answer.tokens_out) == (None, None)


def test_the_last_fault_counts() -> None:
    assert fault_in(lines({"type": "error", "message": "a"}, {"type": "turn.failed", "error": {"message": "b"}})) == "b"
    assert fault_in("nothing of it") == ""


def test_features_are_the_first_words() -> None:
    assert features_in("apps   stable  true\n\nshell_tool  under development  false\n") == {"apps", "shell_tool"}


def test_codex_is_asked_without_hands(tmp_path: Path) -> None:
    opinion = codex(tmp_path, model="gpt-x", api_key=SecretStr("sk-0123456789")).ask(make_briefing(), timeout=20)
    assert (opinion.provider, opinion.model, opinion.action, opinion.local) == ("codex", "gpt-x", "HOLD", True)
    assert (opinion.tokens_in, opinion.tokens_out) == (730, 41)
    listing, (arguments, asked, environment) = runs(tmp_path)
    assert listing[0] == ["features", "list"]
    told = " ".join(arguments)
    for flags in ("exec --json --ephemeral", "--ignore-user-config --ignore-rules", "--sandbox read-only", "-m gpt-x"):
        assert flags in told
    disabled = [name for flag, name in pairwise(arguments) if flag == "--disable"]
    assert disabled == ["shell_tool", "apps", "unified_exec"]
    assert {'web_search="disabled"', "project_doc_max_bytes=0"} <= set(arguments)
    assert arguments[-1] == "-"
    assert "BTCUSD" in asked
    assert "sk-0123456789" not in told
    assert environment["CODEX_API_KEY"] == "sk-0123456789"


def test_features_are_asked_for_once(tmp_path: Path) -> None:
    provider = codex(tmp_path, api_key=SecretStr("sk-0123456789"))
    provider.ask(make_briefing(), timeout=20)
    provider.ask(make_briefing(), timeout=20)
    assert [run[0][0] for run in runs(tmp_path)] == ["features", "exec", "exec"]


def test_a_codex_that_keeps_its_shell_is_not_asked(tmp_path: Path) -> None:
    other = "if sys.argv[1:2] == ['features']: print('apps stable true'); sys.exit()\n"
    with pytest.raises(ProviderFailed, match="cannot be kept from reading files"):
        codex(tmp_path, other, api_key=SecretStr("sk-0123456789")).ask(make_briefing(), timeout=20)
    assert [run[0][0] for run in runs(tmp_path)] == ["features"]


def test_a_codex_that_is_signed_out_is_not_asked(tmp_path: Path) -> None:
    out = "if sys.argv[1:2] == ['login']: print('Not logged in'); sys.exit(1)\n"
    with pytest.raises(ProviderFailed, match="codex is not signed in") as caught:
        codex(tmp_path, out).ask(make_briefing(), timeout=20)
    assert caught.value.hint is not None
    assert "/home codex login" in caught.value.hint
    assert [run[0] for run in runs(tmp_path)] == [["login", "status"]]


def test_a_sign_in_that_has_run_out_says_what_to_do(tmp_path: Path) -> None:
    failed = (
        "if asked: print(json.dumps({'type': 'turn.failed', 'error': "
        "{'message': 'unexpected status 401 Unauthorized'}})); sys.exit(1)\n"
    )
    with pytest.raises(ProviderFailed, match="ended with code 1: unexpected status 401") as caught:
        codex(tmp_path, failed).ask(make_briefing(), timeout=20)
    assert caught.value.hint is not None
    assert "codex login" in caught.value.hint


def test_a_server_of_the_users_own_is_asked_once_and_without_a_sign_in(tmp_path: Path) -> None:
    provider = codex(
        tmp_path, base_url="http://127.0.0.1:8080/v1", model="m", api_key=SecretStr("own-0123456789"), ca_file="/ca.pem"
    )
    provider.ask(make_briefing(), timeout=20)
    arguments, _, environment = runs(tmp_path)[-1]
    server = next(each for each in arguments if each.startswith("model_providers.ffe="))
    assert 'base_url="http://127.0.0.1:8080/v1"' in server
    assert "request_max_retries=0" in server
    assert 'env_key="FFE_CODEX_KEY"' in server
    assert environment["FFE_CODEX_KEY"] == "own-0123456789"
    assert "CODEX_API_KEY" not in environment
    assert environment["SSL_CERT_FILE"] == "/ca.pem"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "--dangerously-bypass-approvals-and-sandbox"},
        {"model": "a b"},
        {"base_url": "http://example.com/v1", "model": "m"},
        {"base_url": "http://127.0.0.1:80@example.com/", "model": "m"},
        {"base_url": 'https://example.com/"}', "model": "m"},
        {"base_url": "https://example.com/v1"},
        {"timeout": 0},
        {"flags": ["--full-auto"]},
    ],
)
def test_settings_that_could_do_harm_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CodexSettings(**wrong)


def test_the_shorter_time_limit_holds(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed, match="no answer within"):
        codex(tmp_path, "import time; time.sleep(30)\n", timeout=0.4).ask(make_briefing(), timeout=20)


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
    event = {"type": "turn.failed", "error": {"message": said}}
    source = f"if asked: print({json.dumps(event)!r}); sys.exit(1)\n"
    with pytest.raises(ProviderFailed) as caught:
        codex(tmp_path, source, api_key=SecretStr(KEY)).ask(make_briefing(), timeout=20)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint is None
    assert len([asked for _, asked, _ in runs(tmp_path) if asked]) == 1


# check

VERSION = "if sys.argv[1:] == ['--version']: print('codex-cli 0.169.0'); sys.exit()\n"


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
    seen = codex(folder, source, **settings).check(timeout=10)
    if (folder / "record").exists():
        assert [asked for _, asked, _ in runs(folder) if asked] == []
    return seen


def test_a_tool_that_is_not_installed_is_not_ready(tmp_path: Path) -> None:
    provider = Codex.of(CodexSettings(command=str(tmp_path / "absent")), make_context(tmp_path), install=INSTALL)
    seen = provider.check(timeout=5)
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (False, None, False, INSTALL)
    assert "not installed" in seen.detail


@pytest.mark.parametrize("source", ["sys.exit('Error: node is too old')\n", "import time; time.sleep(30)\n"])
def test_a_tool_that_does_not_run_is_not_ready_and_says_why(tmp_path: Path, source: str) -> None:
    began = time.monotonic()
    seen = codex(tmp_path, source).check(timeout=1)
    assert (seen.installed, seen.ready) == (False, False)
    assert "node is too old" in seen.detail or "no answer within 1 s" in seen.detail
    assert time.monotonic() - began < 2


def test_a_key_is_enough_to_be_ready(tmp_path: Path) -> None:
    seen = looked(tmp_path, api_key=SecretStr(KEY))
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (True, True, True, None)
    assert seen.detail.startswith("codex-cli 0.169.0 at /")
    assert "untried" in seen.detail
    assert KEY not in repr(seen)


def test_its_own_sign_in_is_asked_for(tmp_path: Path) -> None:
    seen = looked(tmp_path)
    assert (seen.signed_in, seen.ready) == (True, True)
    assert [run[0] for run in runs(tmp_path)] == [["--version"], ["login", "status"]]


def test_signed_out_is_told_with_how_to_sign_in(tmp_path: Path) -> None:
    seen = looked(tmp_path, VERSION + "if sys.argv[1:2] == ['login']: print('Not logged in'); sys.exit(1)\n")
    assert (seen.installed, seen.signed_in, seen.ready) == (True, False, False)
    assert seen.hint is not None
    assert "codex login" in seen.hint


def test_it_may_be_asked_without_limit_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert (codex(tmp_path).per_minute, codex(tmp_path).per_day) == (None, None)
    limited = codex(tmp_path, per_minute=2, per_day=30)
    assert (limited.per_minute, limited.per_day) == (2, 30)


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
    assert seen.hint == "set plugins.codex.model to one that it has: a, b"


def test_a_key_that_the_server_refuses_is_told(tmp_path: Path) -> None:
    with Models("m") as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m", api_key=SecretStr("another-0123456789"))
    assert (seen.signed_in, seen.reachable, seen.ready) == (False, True, False)
    assert seen.hint == "check plugins.codex.api_key"
    assert "another-0123456789" not in repr(seen)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with Models() as server:
        url = f"{server.url}/v1"
    seen = looked(tmp_path, base_url=url, model="m")
    assert (seen.installed, seen.reachable, seen.ready) == (True, False, False)
    assert seen.hint == "is it running? see plugins.codex.base_url"


@pytest.mark.parametrize(
    ("answer", "reachable"),
    [(Canned(b"no such page", 404), True), (Canned({"models": []}), True), (Canned({}, 500), False)],
)
def test_a_server_that_lists_no_models_may_still_answer(tmp_path: Path, answer: Canned, reachable: bool) -> None:
    with Models(answer=answer) as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m")
    assert (seen.reachable, seen.model_there, seen.ready) == (reachable, None, reachable)
