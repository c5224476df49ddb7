"""How Google's command-line tool is asked, what it is kept from, and what its ends mean."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ffe_gemini import INSTALL
from ffe_gemini.cli import SETTINGS, SIGN_IN, GeminiTool
from ffe_gemini.contract import SPEECH
from ffe_gemini.output import answer_of, fault_in
from ffe_gemini.settings import GeminiSettings
from pydantic import SecretStr, ValidationError

from ffe_core import FixedClock, ProviderFailed, Readiness
from ffe_core.testing import make_briefing, make_context, make_tool

KEY = "own-0123456789"
GOOD = '{"reasoning": "calm", "action": "HOLD", "confidence": 55, "amount": 0}'
NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
#: midnight in California, in summer
RESET = datetime(2026, 7, 2, 7, 0, tzinfo=UTC)
HEAD = """
import json, os, sys
asked = sys.stdin.read()
home = os.path.join(os.environ["HOME"], ".gemini", "settings.json")
told = json.load(open(home)) if os.path.exists(home) else None
open({record!r}, "a").write(json.dumps([sys.argv[1:], asked, dict(os.environ), told]) + "\\n")
said = {said!r}
"""
TOKENS = {"input": 820, "prompt": 820, "candidates": 48, "total": 878, "cached": 0, "thoughts": 10, "tool": 0}
WHOLE: dict[str, Any] = {
    "session_id": "s",
    "response": GOOD,
    "stats": {"models": {"m": {"tokens": TOKENS}}, "tools": {"totalCalls": 0}},
}
#: what the real tool, 0.61, wrote when a server on loopback refused the key
REFUSED_KEY = """\
Warning: 256-color support not detected. Using a terminal with at least 256-color support is recommended.
Ripgrep is not available. Falling back to GrepTool.
Error when talking to Gemini API Full report available at: /x/gemini-client-error.json _ApiError: {"error":1}
    at throwErrorIfNotOK (file:///x/gemini-cli/bundle/chunk-JDPZ4CE3.js:267833:24)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5) {
  status: 400
}
{
  "session_id": "a65f941d-c7e6-43da-852a-9263368d7cb5",
  "error": {
    "type": "Error",
    "message": "{\\"error\\":{\\"code\\":400,\\"message\\":\\"API key not valid. Please pass a valid API key.\\"}}",
    "code": 400
  }
}
"""


def gemini(folder: Path, source: str = "", said: str = GOOD, at: datetime = NOON, **settings: Any) -> GeminiTool:
    tool = make_tool(folder, HEAD.format(record=str(folder / "record"), said=said) + source + SPEECH)
    given = GeminiSettings(**{"transport": "cli", "command": str(tool), **settings})
    return GeminiTool.of(given, make_context(folder, "gemini", clock=FixedClock(at)), install=INSTALL)


def keyed(folder: Path, source: str = "", said: str = GOOD, **settings: Any) -> GeminiTool:
    return gemini(folder, source, said, **{"api_key": SecretStr(KEY), **settings})


def runs(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "record").read_text("utf-8").splitlines()]


def ends(code: int, complaint: str) -> str:
    return f"sys.stderr.write({complaint!r}); sys.exit({code})\n"


def error(message: str, code: int) -> str:
    """What the tool complains about at its end."""
    return "noise\n" + json.dumps({"session_id": "s", "error": {"type": "Error", "message": message, "code": code}})


def failure(provider: GeminiTool, timeout: float = 20.0) -> ProviderFailed:
    with pytest.raises(ProviderFailed) as caught:
        provider.ask(make_briefing(), timeout=timeout)
    assert "\n" not in caught.value.message
    assert KEY not in f"{caught.value.message} {caught.value.hint}"
    return caught.value


# what it writes


def test_the_response_is_the_answer_and_thoughts_are_counted_as_they_are_billed() -> None:
    answer = answer_of(json.dumps(WHOLE, indent=2))
    assert (answer.text, answer.tokens_in, answer.tokens_out) == (GOOD, 820, 58)


def test_the_tokens_of_every_model_that_took_part_count() -> None:
    models = {"m": {"tokens": TOKENS}, "router": {"tokens": {**TOKENS, "prompt": 80, "candidates": 2, "thoughts": 0}}}
    answer = answer_of(json.dumps({**WHOLE, "stats": {"models": models}}))
    assert (answer.tokens_in, answer.tokens_out) == (900, 60)


def test_tokens_that_google_had_kept_are_told_apart() -> None:
    models = {"m": {"tokens": {**TOKENS, "cached": 600}}, "router": {"tokens": {**TOKENS, "cached": 20}}}
    answer = answer_of(json.dumps({**WHOLE, "stats": {"models": models}}))
    assert (answer.tokens_in, answer.tokens_cached) == (1640, 620)


@pytest.mark.parametrize(
    "stats",
    [None, [], {}, {"models": []}, {"models": {"m": None}}, {"models": {"m": {"tokens": {"prompt": True}}}}],
)
def test_tokens_of_any_shape_are_no_crash(stats: object) -> None:
    answer = answer_of(json.dumps({**WHOLE, "stats": stats}))
    assert (answer.text, answer.tokens_in, answer.tokens_out) == (GOOD, None, None)


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("", "wrote no JSON"),
        ("Loaded cached credentials.\n", "wrote no JSON"),
        (json.dumps(WHOLE)[:-20], "wrote no JSON"),
        ("[" * 100_000, "wrote no JSON"),
        ('{"response": "BUY", "response": "SELL"}', "wrote no JSON"),
        (json.dumps([WHOLE]), "but no object"),
        (json.dumps({"session_id": "s"}), "without a response"),
        (json.dumps({**WHOLE, "response": {"action": "BUY"}}), "without a response"),
        (json.dumps({**WHOLE, "error": {"message": "quota spent"}}), "gemini failed: quota spent"),
        (json.dumps({**WHOLE, "stats": {"tools": {"totalCalls": 1}}}), "used a tool"),
        (json.dumps({**WHOLE, "stats": {"tools": {"totalCalls": "many"}}}), "used a tool"),
    ],
)
def test_what_is_no_answer_is_refused(output: str, told: str) -> None:
    with pytest.raises(ProviderFailed, match=told):
        answer_of(output)


def test_what_went_wrong_is_the_last_object_of_the_complaint_in_the_words_of_the_api() -> None:
    assert fault_in(REFUSED_KEY) == "API key not valid. Please pass a valid API key."
    assert fault_in(error("no sign-in", 41)) == "no sign-in"
    assert fault_in("{\n" * 1000) == ""
    assert fault_in('{"error": "text"}') == ""
    assert fault_in("") == ""


# how it is asked


def test_gemini_is_asked_without_hands(tmp_path: Path) -> None:
    provider = keyed(tmp_path, model="gemini-x")
    opinion = provider.ask(make_briefing(), timeout=20)
    assert (opinion.provider, opinion.model, opinion.action, opinion.local) == ("gemini", "gemini-x", "HOLD", True)
    assert (opinion.tokens_in, opinion.tokens_out, opinion.cost_usd) == (820, 58, None)
    [(arguments, asked, environment, told)] = runs(tmp_path)
    assert arguments == [
        *("-m", "gemini-x", "-p", "Answer with one JSON object.", "--output-format", "json"),
        *("--skip-trust", "--approval-mode", "plan", "-e", "none"),
    ]
    assert asked.startswith("You judge one asset")
    assert "BTCUSD" in asked
    assert told["tools"] == {"core": []}
    assert told["mcpServers"] == {}
    assert told["security"] == {"auth": {"selectedType": "gemini-api-key"}}
    assert told["privacy"] == {"usageStatisticsEnabled": False}
    assert environment["GEMINI_API_KEY"] == KEY
    assert "GOOGLE_GEMINI_BASE_URL" not in environment
    # What it writes about a failed call has the prompt in it: that goes with the call.
    assert not Path(environment["TMPDIR"]).exists()


def test_a_server_of_the_users_own_is_told_without_the_version(tmp_path: Path) -> None:
    keyed(tmp_path, base_url="http://127.0.0.1:8080/v1beta", ca_file="/ca.pem").ask(make_briefing(), timeout=20)
    environment = runs(tmp_path)[0][2]
    assert environment["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:8080"
    assert environment["NODE_EXTRA_CA_CERTS"] == "/ca.pem"


def test_its_settings_are_put_right_before_each_question(tmp_path: Path) -> None:
    provider = keyed(tmp_path)
    provider.ask(make_briefing(), timeout=20)
    (provider.tool.home / SETTINGS).write_text('{"tools": {"core": ["run_shell_command"]}}')
    provider.ask(make_briefing(), timeout=20)
    first, second = (told for *_, told in runs(tmp_path))
    assert first == second
    assert [path.name for path in (provider.tool.home / ".gemini").iterdir()] == ["settings.json"]


def test_its_own_sign_in_is_used_where_there_is_one(tmp_path: Path) -> None:
    provider = gemini(tmp_path)
    file = provider.tool.home / SIGN_IN
    file.parent.mkdir()
    file.write_text("{}", encoding="utf-8")
    provider.ask(make_briefing(), timeout=20)
    [(_, _, environment, told)] = runs(tmp_path)
    assert told["security"]["auth"]["selectedType"] == "oauth-personal"
    assert not [name for name in environment if name.startswith("GEMINI")]


def test_a_gemini_that_is_signed_out_is_not_asked(tmp_path: Path) -> None:
    told = failure(gemini(tmp_path))
    assert told.message == "gemini is not signed in"
    assert told.hint is not None
    assert "/home gemini, or put GEMINI_API_KEY" in told.hint
    assert not (tmp_path / "record").exists()


# how it ends


def test_an_empty_response_is_asked_for_once_more(tmp_path: Path) -> None:
    assert "the reply is empty" in failure(keyed(tmp_path, said="")).message
    assert len(runs(tmp_path)) == 2


def test_a_refused_key_says_where_it_stands(tmp_path: Path) -> None:
    told = failure(keyed(tmp_path, ends(400 % 256, REFUSED_KEY)))
    assert told.message == "gemini ended with code 144: API key not valid. Please pass a valid API key."
    assert told.hint == "check plugins.gemini.api_key"


def test_a_model_that_is_gone_is_told_with_the_setting_that_names_it(tmp_path: Path) -> None:
    gone = error("models/gemini-1.0-pro is not found for API version v1beta", 1)
    assert failure(keyed(tmp_path, ends(1, gone))).hint == "set plugins.gemini.model to one that the API has"


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        (41, "Please set an Auth method in your settings.json", "ended with code 41: Please set an Auth method"),
        (500 % 256, "An internal error", "ended with code 244: An internal error"),
        (429 % 256, "You exceeded your current quota", "rate limited: You exceeded your current quota"),
        (52, "Invalid configuration", "ended with code 52: Invalid configuration"),
    ],
)
def test_an_end_with_a_code_is_told_in_the_words_of_the_tool(
    tmp_path: Path, code: int, message: str, said: str
) -> None:
    assert said in failure(keyed(tmp_path, ends(code, error(message, code)))).message


@pytest.mark.slow
def test_a_tool_that_retries_past_the_deadline_is_ended_and_told_as_rate_limited(tmp_path: Path) -> None:
    storm = (
        "sys.stderr.write('Attempt 1 failed: You exceeded your current quota, please check your plan.\\n"
        "Suggested retry after 41s.. Retrying after 42446ms...\\n'); sys.stderr.flush()\nimport time; time.sleep(60)\n"
    )
    began = time.monotonic()
    told = failure(keyed(tmp_path, storm), timeout=5)
    assert told.message.startswith("gemini is rate limited: gemini gave no answer within 5 s")
    assert time.monotonic() - began < 7


def test_a_tool_that_only_hangs_is_not_rate_limited(tmp_path: Path) -> None:
    told = failure(keyed(tmp_path, "import time; time.sleep(60)\n", timeout=1.0), timeout=20)
    assert told.message == "gemini gave no answer within 1 s"


def test_a_day_that_is_spent_stays_so_until_midnight_in_california(tmp_path: Path) -> None:
    daily = ends(429 % 256, error("You have exhausted your daily quota on this model.", 429))
    assert "there are new ones from 2026-07-02T07:00:00Z" in failure(keyed(tmp_path, daily)).message
    assert "from 2026-07-02T07:00:00Z" in failure(keyed(tmp_path, at=RESET - timedelta(seconds=1))).message
    assert len(runs(tmp_path)) == 1
    assert keyed(tmp_path, at=RESET).ask(make_briefing(), timeout=20).action == "HOLD"


@pytest.mark.parametrize("wrong", [{"model": "--yolo"}, {"command": ""}, {"flags": ["--yolo"]}, {"transport": "ssh"}])
def test_settings_that_could_do_harm_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GeminiSettings(**{"transport": "cli", **wrong})


# check


def looked(provider: GeminiTool, folder: Path) -> Readiness:
    """What ``check`` says; no run of the tool was given a question."""
    seen = provider.check(timeout=10)
    assert [run[0] for run in runs(folder)] == [["--version"]]
    assert KEY not in repr(seen)
    return seen


def test_a_tool_that_is_not_installed_is_not_ready(tmp_path: Path) -> None:
    settings = GeminiSettings(transport="cli", command=str(tmp_path / "absent"))
    seen = GeminiTool.of(settings, make_context(tmp_path, "gemini"), install=INSTALL).check(timeout=5)
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (False, None, False, INSTALL)


def test_a_tool_that_does_not_run_is_not_ready_and_says_why(tmp_path: Path) -> None:
    seen = keyed(tmp_path, "sys.exit('Error: node is too old')\n").check(timeout=5)
    assert (seen.installed, seen.ready) == (False, False)
    assert "node is too old" in seen.detail


def test_a_key_is_enough_to_be_ready(tmp_path: Path) -> None:
    seen = looked(keyed(tmp_path), tmp_path)
    assert (seen.installed, seen.signed_in, seen.ready, seen.hint) == (True, True, True, None)
    assert seen.detail.startswith("0.61.0 at /")


def test_a_sign_in_is_enough_to_be_ready(tmp_path: Path) -> None:
    provider = gemini(tmp_path)
    (provider.tool.home / ".gemini").mkdir()
    (provider.tool.home / SIGN_IN).write_text("{}", encoding="utf-8")
    assert looked(provider, tmp_path).ready


def test_signed_out_is_not_ready(tmp_path: Path) -> None:
    seen = looked(gemini(tmp_path), tmp_path)
    assert (seen.installed, seen.signed_in, seen.ready) == (True, False, False)
    assert seen.hint is not None
    assert "GEMINI_API_KEY" in seen.hint
