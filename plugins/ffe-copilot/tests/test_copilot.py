"""How Copilot is asked, what it is kept from, and what its output means."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from ffe_copilot import INSTALL
from ffe_copilot.api import CONFIG, Copilot
from ffe_copilot.contract import SPEECH
from ffe_copilot.parse import answer_of
from ffe_copilot.settings import CopilotSettings
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
RESULT = {"type": "result", "exitCode": 0, "usage": {"premiumRequests": 1}}


def copilot(folder: Path, source: str = "", said: str = GOOD, **settings: Any) -> Copilot:
    tool = make_tool(folder, HEAD.format(record=str(folder / "record"), said=said) + source + SPEECH)
    return Copilot.of(CopilotSettings(command=str(tool), **settings), make_context(folder), install=INSTALL)


def runs(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "record").read_text("utf-8").splitlines()]


def lines(*events: object) -> str:
    return "\n".join(json.dumps(event) for event in events)


def message(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "assistant.message", "data": {"model": "m", "content": text, "toolRequests": [], **more}}


def test_the_last_message_is_the_answer() -> None:
    info = {"type": "session.info", "data": {"message": 'Unknown tool name in the tool allowlist: "none"'}}
    answer = answer_of("a warning\n" + lines(info, message("a"), message("b", outputTokens=41), RESULT))
    assert (answer.text, answer.tokens_in, answer.tokens_out) == ("b", None, 41)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "ended without an answer"),
        (GOOD, "ended without an answer"),
        (lines({"type": "user.message", "data": {"content": GOOD}}, RESULT), "ended without an answer"),
        (lines({"type": "assistant.message", "data": [GOOD]}, RESULT), "ended without an answer"),
        (lines(message(GOOD)), "breaks off"),
        (lines(message(GOOD), RESULT)[:-9], "breaks off"),
        (lines(message(GOOD, toolRequests=[{"name": "bash"}]), message(GOOD), RESULT), "used a tool"),
        (lines({"type": "tool.execution_start", "data": {}}, message(GOOD), RESULT), "used a tool"),
        ("[1]\n2\nnull\n" + "[" * 100_000, "ended without an answer"),
    ],
)
def test_what_is_no_answer_is_refused(output: str, told: str) -> None:
    with pytest.raises(ProviderFailed, match=told):
        answer_of(output)


def test_copilot_is_asked_without_hands(tmp_path: Path) -> None:
    opinion = copilot(tmp_path, model="gpt-x", token=SecretStr("ghp_0123456789")).ask(make_briefing(), timeout=20)
    assert (opinion.provider, opinion.model, opinion.action, opinion.local) == ("copilot", "gpt-x", "HOLD", True)
    [(arguments, asked, environment)] = runs(tmp_path)
    # An empty list of tools would leave every tool in.
    assert "--available-tools=none" in arguments
    assert {"--no-custom-instructions", "--disable-builtin-mcps", "--no-ask-user"} <= set(arguments)
    assert not [each for each in arguments if each.startswith(("--allow", "--yolo", "-p"))]
    assert arguments[-2:] == ["--model", "gpt-x"]
    assert asked.startswith("You judge one asset")
    assert "BTCUSD" in asked
    assert environment["COPILOT_GITHUB_TOKEN"] == "ghp_0123456789"
    assert "ghp_0123456789" not in " ".join(arguments)


def test_a_server_of_the_users_own_needs_no_account(tmp_path: Path) -> None:
    server: dict[str, Any] = {
        "base_url": "http://127.0.0.1:8080/v1",
        "model": "m",
        "api_key": SecretStr(KEY),
    }
    copilot(tmp_path, **server).ask(make_briefing(), timeout=20)
    [(arguments, _, environment)] = runs(tmp_path)
    assert {name: value for name, value in environment.items() if name.startswith("COPILOT")} == {
        "COPILOT_OFFLINE": "true",
        "COPILOT_PROVIDER_BASE_URL": "http://127.0.0.1:8080/v1",
        "COPILOT_MODEL": "m",
        "COPILOT_PROVIDER_API_KEY": KEY,
    }
    assert "--model" not in arguments


def test_signed_out_says_how_to_sign_in(tmp_path: Path) -> None:
    out = "sys.exit('Error: No authentication information found.\\n\\nTo authenticate:\\n  * Start copilot')\n"
    with pytest.raises(
        ProviderFailed, match=r"ended with code 1: Error: No authentication information found\."
    ) as told:
        copilot(tmp_path, out).ask(make_briefing(), timeout=20)
    assert told.value.hint is not None
    assert "/home copilot login" in told.value.hint


def test_a_refused_token_says_where_it_stands(tmp_path: Path) -> None:
    out = "sys.exit('Authentication failed with provider at URL (HTTP 401).')\n"
    with pytest.raises(ProviderFailed) as told:
        copilot(tmp_path, out, token=SecretStr("ghp_0123456789")).ask(make_briefing(), timeout=20)
    assert told.value.hint == "check plugins.copilot.token"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "--allow-all-tools"},
        {"base_url": "http://example.com/v1", "model": "m"},
        {"base_url": "https://example.com/v1"},
        {"timeout": -1},
        {"flags": ["--yolo"]},
    ],
)
def test_settings_that_could_do_harm_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CopilotSettings(**wrong)


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
    source = f"sys.exit({said!r})\n"
    with pytest.raises(ProviderFailed) as caught:
        copilot(tmp_path, source, token=SecretStr(KEY)).ask(make_briefing(), timeout=20)
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.hint is None
    assert len([asked for _, asked, _ in runs(tmp_path) if asked]) == 1


# check

VERSION = "if sys.argv[1:] == ['--version']: print('GitHub Copilot CLI 1.0.102'); sys.exit()\n"


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
    seen = copilot(folder, source, **settings).check(timeout=10)
    if (folder / "record").exists():
        assert [asked for _, asked, _ in runs(folder) if asked] == []
    return seen


def test_a_tool_that_is_not_installed_is_not_ready(tmp_path: Path) -> None:
    provider = Copilot.of(CopilotSettings(command=str(tmp_path / "absent")), make_context(tmp_path), install=INSTALL)
    seen = provider.check(timeout=5)
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (False, None, False, INSTALL)
    assert "not installed" in seen.detail


@pytest.mark.parametrize("source", ["sys.exit('Error: node is too old')\n", "import time; time.sleep(30)\n"])
def test_a_tool_that_does_not_run_is_not_ready_and_says_why(tmp_path: Path, source: str) -> None:
    began = time.monotonic()
    seen = copilot(tmp_path, source).check(timeout=1)
    assert (seen.installed, seen.ready) == (False, False)
    assert "node is too old" in seen.detail or "no answer within 1 s" in seen.detail
    assert time.monotonic() - began < 2


def test_a_key_is_enough_to_be_ready(tmp_path: Path) -> None:
    seen = looked(tmp_path, token=SecretStr(KEY))
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (True, True, True, None)
    assert seen.detail.startswith("GitHub Copilot CLI 1.0.102 at /")
    assert "untried" in seen.detail
    assert KEY not in repr(seen)


def test_its_own_sign_in_is_looked_for(tmp_path: Path) -> None:
    provider = copilot(tmp_path, VERSION)
    file = provider.tool.home / CONFIG
    file.parent.mkdir()
    file.write_text('// mine\n{"lastLoggedInUser": {}, "loggedInUsers": [{"host": "github.com", "login": "me"}]}')
    assert provider.check(timeout=10).signed_in is True
    file.write_text('{"logged_in_users": []}')
    assert provider.check(timeout=10).signed_in is False


def test_signed_out_is_told_with_how_to_sign_in(tmp_path: Path) -> None:
    seen = looked(tmp_path)
    assert (seen.installed, seen.signed_in, seen.ready) == (True, False, False)
    assert seen.hint is not None
    assert "copilot login" in seen.hint


def test_it_may_be_asked_without_limit_unless_settings_say_otherwise(tmp_path: Path) -> None:
    assert (copilot(tmp_path).per_minute, copilot(tmp_path).per_day) == (None, None)
    limited = copilot(tmp_path, per_minute=2, per_day=30)
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
    assert seen.hint == "set plugins.copilot.model to one that it has: a, b"


def test_a_key_that_the_server_refuses_is_told(tmp_path: Path) -> None:
    with Models("m") as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m", api_key=SecretStr("another-0123456789"))
    assert (seen.signed_in, seen.reachable, seen.ready) == (False, True, False)
    assert seen.hint == "check plugins.copilot.api_key"
    assert "another-0123456789" not in repr(seen)


def test_a_server_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with Models() as server:
        url = f"{server.url}/v1"
    seen = looked(tmp_path, base_url=url, model="m")
    assert (seen.installed, seen.reachable, seen.ready) == (True, False, False)
    assert seen.hint == "is it running? see plugins.copilot.base_url"


@pytest.mark.parametrize(
    ("answer", "reachable"),
    [(Canned(b"no such page", 404), True), (Canned({"models": []}), True), (Canned({}, 500), False)],
)
def test_a_server_that_lists_no_models_may_still_answer(tmp_path: Path, answer: Canned, reachable: bool) -> None:
    with Models(answer=answer) as server:
        seen = looked(tmp_path, base_url=f"{server.url}/v1", model="m")
    assert (seen.reachable, seen.model_there, seen.ready) == (reachable, None, reachable)
