"""How Copilot is asked, what it is kept from, and what its output means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ffe_copilot import INSTALL
from ffe_copilot.api import Copilot
from ffe_copilot.contract import SPEECH
from ffe_copilot.parse import answer_of
from ffe_copilot.settings import CopilotSettings
from pydantic import SecretStr, ValidationError

from ffe_core import ProviderFailed
from ffe_core.testing import make_briefing, make_context, make_tool

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
