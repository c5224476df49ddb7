"""The real command-line tools, from their registry, asked about a server on this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from ffe_core import AIProvider, CheckedProvider, PluginContext, ProviderFailed
from ffe_core.testing import make_briefing, make_context

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

#: the releases that the plugins were made for
PACKAGES = {
    "codex": "@openai/codex@0.169.0",
    "copilot": "@github/copilot@1.0.102",
    "gemini": "@google/gemini-cli@0.61.0",
    "qwen": "@qwen-code/qwen-code@0.15.10",
}
SAID = '{"reasoning": "calm market", "action": "HOLD", "confidence": 55, "amount": 0}'
KEY = "own-key-0123456789"
#: What Codex keeps whatever it is told; it only works where somebody sits at a terminal.
HARMLESS = {"request_user_input"}


@dataclass
class Server:
    """Speaks as OpenAI's and Gemini's servers do; ``hold`` makes it never answer, ``status`` refuse."""

    asked: list[dict[str, Any]] = field(default_factory=list)
    hold: threading.Event = field(default_factory=threading.Event)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    status: int = 200


def chat(streamed: bool) -> tuple[str, list[dict[str, Any]]]:
    head = {"id": "c1", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    if not streamed:
        choice = {"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}
        return "", [{**head, "object": "chat.completion", "choices": [choice], "usage": usage}]
    first = {"index": 0, "delta": {"role": "assistant", "content": SAID}, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": "stop"}
    chunk = {**head, "object": "chat.completion.chunk"}
    chunks = [{**chunk, "choices": [first]}, {**chunk, "choices": [last]}, {**chunk, "choices": [], "usage": usage}]
    return "data: [DONE]\n\n", chunks


def responses() -> list[dict[str, Any]]:
    text = {"type": "output_text", "text": SAID, "annotations": []}
    item = {"id": "i1", "type": "message", "role": "assistant", "status": "completed", "content": [text]}
    usage = {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 18,
    }
    whole = {"id": "r1", "object": "response", "status": "completed", "model": "m", "output": [item], "usage": usage}
    return [
        {"type": "response.created", "response": {**whole, "status": "in_progress", "output": []}},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": "response.completed", "response": whole},
    ]


def content() -> list[dict[str, Any]]:
    candidate = {"content": {"parts": [{"text": SAID}], "role": "model"}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18}
    return [{"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}]


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._send(json.dumps({"object": "list", "data": [{"id": "m", "object": "model"}]}), "application/json")

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.asked.append(asked)
            if state.hold.is_set():
                state.closing.wait(60)
                return
            if state.status != 200:
                error = {"code": state.status, "message": "the server said no", "status": "REFUSED", "type": "refused"}
                self._send(json.dumps({"error": error}), "application/json", state.status)
                return
            streamed = bool(asked.get("stream")) or ":streamGenerateContent" in self.path
            if self.path.endswith("/responses"):
                end, told = "", responses()
            elif "enerateContent" in self.path:
                end, told = "", content()
            else:
                end, told = chat(streamed)
            if streamed:
                events = (f"event: {each['type']}\n" if "type" in each else "" for each in told)
                lines = (f"{event}data: {json.dumps(each)}\n\n" for event, each in zip(events, told, strict=True))
                self._send("".join(lines) + end, "text/event-stream")
            else:
                self._send(json.dumps(told[-1]), "application/json")

        def _send(self, text: str, kind: str, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
    yield state
    state.closing.set()
    listening.shutdown()
    listening.server_close()
    thread.join()


@dataclass(frozen=True)
class Installed:
    name: str
    command: Path

    def provider(self, context: PluginContext, **settings: Any) -> AIProvider:
        plugin = pytest.importorskip(f"ffe_{self.name}", reason=f"ffe-{self.name} is not installed")
        if self.name == "gemini":
            settings["transport"] = "cli"
        section = plugin.ffe_settings()(command=str(self.command), timeout=120, **settings)
        (provider,) = plugin.ffe_ai_providers(section, context)
        assert isinstance(provider, AIProvider)
        return provider

    def processes(self) -> list[str]:
        """Command lines of what runs from where the tool was installed."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(self.command.parents[2]) in line:
                found.append(line)
        return found


@pytest.fixture(scope="module", params=sorted(PACKAGES))
def tool(request: pytest.FixtureRequest) -> Iterator[Installed]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    # Hundreds of megabytes: pytest would keep them for three runs.
    folder = Path(tempfile.mkdtemp(prefix="ffe-real-tool-"))
    try:
        command = [npm, "install", "--no-fund", "--no-audit", "--prefix", str(folder), PACKAGES[request.param]]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        if ran.returncode:
            pytest.skip(f"npm cannot install {PACKAGES[request.param]}: {ran.stderr.strip()[-200:]}")
        yield Installed(request.param, folder / "node_modules" / ".bin" / request.param)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    place = tmp_path / "system-temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield
    assert list(place.iterdir()) == []


def tools_in(asked: dict[str, Any]) -> set[str]:
    """Names of the tools that a request gives the model, in either vendor's form."""
    named = [each for tool in asked.get("tools") or () for each in tool.get("functionDeclarations", [tool])]
    return {each.get("name") or each.get("function", {}).get("name") for each in named}


def test_it_answers_without_tools_and_without_the_users_secrets(
    tool: Installed, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COINBASE_API_SECRET", "canary-of-the-venue")
    context = make_context(tmp_path)
    provider = tool.provider(context, base_url=server.url, model="m", api_key=SecretStr(KEY))
    opinion = provider.ask(make_briefing(), timeout=120)
    assert (opinion.action, opinion.confidence, opinion.reasoning) == ("HOLD", 55, "calm market")
    asked = server.asked[-1]
    assert "BTCUSD" in json.dumps(asked)
    assert "canary-of-the-venue" not in json.dumps(asked)
    assert tools_in(asked) <= HARMLESS
    assert list((context.state_dir / "home").iterdir()), "the tool kept its state somewhere else"
    assert tool.processes() == []


def test_signed_out_it_says_so_and_how_to_sign_in(tool: Installed, tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed) as caught:
        tool.provider(make_context(tmp_path)).ask(make_briefing(), timeout=60)
    assert "not signed in" in str(caught.value) or "No authentication information" in str(caught.value)
    assert caught.value.hint is not None
    assert f"sign in by HOME={tmp_path}" in caught.value.hint
    assert tool.processes() == []


def test_it_says_whether_it_is_ready_and_asks_nobody(tool: Installed, server: Server, tmp_path: Path) -> None:
    release = PACKAGES[tool.name].rpartition("@")[2]
    out = tool.provider(make_context(tmp_path / "out"))
    ready = tool.provider(make_context(tmp_path / "in"), base_url=server.url, model="m", api_key=SecretStr(KEY))
    for provider, signed_in in ((out, False), (ready, True)):
        assert isinstance(provider, CheckedProvider)
        seen = provider.check(timeout=60)
        assert (seen.installed, seen.signed_in, seen.ready) == (True, signed_in, signed_in)
        assert release in seen.detail
    assert not server.asked
    assert tool.processes() == []


def failure(provider: AIProvider, server: Server) -> ProviderFailed:
    """How a question ended that reached the server, in its time.

    A busy machine is asked again with more of it: a tool may need most of a deadline to start, and while the machine
    stands still nobody runs who could end it. Whoever never keeps a deadline fails.
    """
    late = 0.0
    for deadline in (10.0, 20.0, 40.0):
        began = time.monotonic()
        with pytest.raises(ProviderFailed) as caught:
            provider.ask(make_briefing(), timeout=deadline)
        late = time.monotonic() - began - deadline
        if server.asked and late < 1.0:
            return caught.value
    pytest.fail(f"asked {len(server.asked)} times within {deadline:g} s and {late:.1f} s late: {caught.value}")


@pytest.mark.parametrize("status", [404, 429, 500])
def test_a_server_that_refuses_is_a_failure_within_the_deadline(
    tool: Installed, server: Server, tmp_path: Path, status: int
) -> None:
    server.status = status
    provider = tool.provider(make_context(tmp_path), base_url=server.url, model="m", api_key=SecretStr(KEY))
    failed = failure(provider, server)
    assert "\n" not in failed.message
    assert KEY not in f"{failed.message} {failed.hint}"
    assert tool.processes() == []


def test_it_ends_at_the_deadline_with_all_that_it_started(tool: Installed, server: Server, tmp_path: Path) -> None:
    server.hold.set()
    provider = tool.provider(make_context(tmp_path), base_url=server.url, model="m", api_key=SecretStr(KEY))
    assert "no answer within" in failure(provider, server).message
    assert tool.processes() == []
