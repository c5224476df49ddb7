"""Where strangers' words may come out again: no sink gives an order to a terminal, a file name, a tool or a server."""

import json
import re
import stat
import sys
from pathlib import Path

import pytest

from tests.hostile import HOSTILE, ORDERS_TO_A_TERMINAL

AT = ["--at", "2023-06-01T00:00:00Z"]
TOOLS = ("codex", "copilot", "qwen")

TABLOID = """
import json
from decimal import Decimal
from pathlib import Path
from ffe_core import Action, Note, Opinion, ProviderFailed, Trust, hookimpl

def headlines():
    return json.loads(Path(__file__).with_name("headlines.json").read_text("utf-8"))

TEXTS = headlines()

@hookimpl
def ffe_brief(request, context):
    for text in headlines():
        context.log.warning(text, headline=text)
    return [Note("", Trust.UNTRUSTED, request.as_of, text) for text in headlines()]

class Obedient:
    name, model, local = "obedient", "m", True
    def ask(self, briefing, *, timeout):
        said = "\\n".join(note.text for note in briefing.notes) or "buy"
        return Opinion(self.name, self.model, Action.BUY, 100, said, Decimal(10) ** 15, local=True)

class Complainer:
    name, model, local = "complainer", "m", True
    def ask(self, briefing, *, timeout):
        raise ProviderFailed("".join(TEXTS), hint=TEXTS[0])

class Thrower:
    name, model, local = "thrower", TEXTS[0], True
    def ask(self, briefing, *, timeout):
        raise RuntimeError("\\n".join(TEXTS))

@hookimpl
def ffe_ai_providers():
    return [Obedient(), Complainer(), Thrower()]
"""


@pytest.fixture
def tabloid(install, monkeypatch):
    site = install("tabloid", TABLOID)
    # The loudest last, because error lines are cut: each kind comes first somewhere.
    short = sorted(
        (text for text in HOSTILE if len(text) < 1000), key=lambda text: not ORDERS_TO_A_TERMINAL.search(text)
    )
    texts = [*short, *(text for text in HOSTILE if len(text) >= 1000)]
    monkeypatch.setenv("FFE_PLUGINS", "tabloid")

    def print_(texts):
        (site / "headlines.json").write_text(json.dumps(list(texts)), encoding="utf-8")

    print_(texts)
    return print_


def harmless(run):
    for text in (run.out, run.err):
        found = ORDERS_TO_A_TERMINAL.search(text)
        assert not found, repr(text[max(0, found.start() - 60) : found.end() + 20])
    return run


ASKED = ["-p", "obedient", "-p", "complainer", "-p", "thrower", "-p", "local"]


@pytest.mark.slow
@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize("terminal", [False, True])
def test_no_command_sends_an_order_to_the_terminal(ffe, tabloid, monkeypatch, form, terminal):
    monkeypatch.setenv("FFE_LOG__FORMAT", form)
    if terminal:
        monkeypatch.setenv("COLUMNS", "80")
    made = harmless(ffe("analyze", "BTCUSD", *AT, *ASKED, "-v"))
    assert (made.code, "obedient" in made.out) == (0, True)
    data = harmless(ffe("analyze", "BTCUSD", *AT, *ASKED, "--json", "-v")).data
    assert data["opinions"][1]["error"]
    (stored,) = {data["id"]}
    for command in (
        ["show", stored],
        ["history"],
        ["history", "--scored"],
        ["replay", stored],
        ["plugins"],
        ["doctor"],
    ):
        for json_too in ([], ["--json"]):
            harmless(ffe(*command, *json_too, "-v"))
    failed = harmless(ffe("analyze", "BTCUSD", *AT, "-p", "complainer", "-p", "thrower", "-v"))
    assert failed.code == 1
    # However it is spelled, an error is one line.
    assert len([line for line in failed.err.splitlines() if line.startswith("error:")]) == 1


def test_the_record_keeps_the_words_and_verifies(ffe, tabloid):
    data = ffe("analyze", "BTCUSD", *AT, "--json").data
    record = ffe("show", data["id"], "--json").data
    notes = [note["text"] for note in record["inputs"]["briefing"]["notes"]]
    assert len(notes) == len(HOSTILE)
    assert ffe("history", "verify", "--json").data["ok"]
    assert ffe("replay", data["id"], "--json").data["same"]


@pytest.mark.slow
def test_no_file_is_named_by_a_stranger(ffe, tabloid, home):
    for tape in ("record", "replay"):
        assert ffe("analyze", "BTCUSD", *AT, *ASKED, "--cassette", tape).code == 0
    names = {part for path in home.rglob("*") for part in path.relative_to(home).parts}
    assert {name for name in names if not re.fullmatch(r"[A-Za-z0-9._-]+", name)} == set()
    cassettes = [path.name for path in home.rglob("*.jsonl")]
    assert cassettes
    assert all(re.fullmatch(r"[0-9a-f]{64}\.jsonl", name) for name in cassettes)


def test_a_models_server_is_asked_at_the_same_place_with_the_same_headers(ffe, tabloid, monkeypatch):
    standin = pytest.importorskip("ffe_ollama.standin")
    monkeypatch.setenv("FFE_PLUGINS", "tabloid,ollama")
    monkeypatch.setenv("FFE_PLUGINS__OLLAMA__MODEL", standin.MODEL)
    monkeypatch.setenv("FFE_PLUGINS__OLLAMA__NUM_CTX", "262144")
    monkeypatch.setenv("FFE_PLUGINS__OLLAMA__NUM_PROMPT", "200000")
    asked = []
    for headlines in ((), HOSTILE):
        tabloid(headlines)
        with standin.OllamaStandIn(window=262_144) as server:
            monkeypatch.setenv("OLLAMA_HOST", server.url)
            said = {"reasoning": " ".join(HOSTILE)[:3000], "action": "BUY", "confidence": 100, "amount": 10**6}
            server.usual = json.dumps(said)
            data = harmless(ffe("analyze", "BTCUSD", *AT, "-p", "ollama", "--json")).data
            assert data["opinions"][0]["error"] is None
            asked.append([(one.method, one.path, one.json()) for one in server.requests if one.method == "POST"])
    (calm,), (loud,) = asked
    assert calm[:2] == loud[:2] == ("POST", "/api/chat")
    bodies = [one[2] for one in (calm, loud)]
    system, user = zip(*([message["content"] for message in body["messages"]] for body in bodies), strict=True)
    assert system[0] == system[1]
    assert re.sub(r"## data\n[^\n]*\n\n", "", user[1]) == user[0]
    assert "## data" in user[1]
    rest = [{name: value for name, value in body.items() if name != "messages"} for body in bodies]
    assert rest[0] == rest[1]


FAKE = """#!{python}
import json, os, sys
with open({heard!r}, "a") as file:
    told = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "names": sorted(os.environ), "environment": dict(os.environ)}}
    told["files"] = sorted(os.listdir("."))
    told["text"] = sys.stdin.read()
    file.write(json.dumps(told) + "\\n")
# Codex asks for its features first; to the rest this is an answer without sense.
print("shell_tool stable true")
"""


@pytest.mark.slow
@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_started_the_same_way_and_hears_strangers_on_standard_input_only(
    ffe, tabloid, monkeypatch, tmp_path, tool
):
    pytest.importorskip(f"ffe_{tool}")
    monkeypatch.setenv("FFE_PLUGINS", f"tabloid,{tool}")
    program, heard = tmp_path / tool, tmp_path / "heard"
    program.write_text(FAKE.format(python=sys.executable, heard=str(heard)), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv(f"FFE_PLUGINS__{tool.upper()}__COMMAND", str(program))
    monkeypatch.setenv("FFE_PLUGINS__QWEN__API_KEY", "key-of-a-test")
    runs = []
    # As many as the usual budget has room for, or none would arrive.
    lures = [text for text in HOSTILE if re.search(r"evil|etc/passwd|yolo|rm -rf|INST|im_start", text)]
    for headlines in ((), lures):
        tabloid(headlines)
        harmless(ffe("analyze", "BTCUSD", *AT, "-p", tool, "--json"))
        runs.append([json.loads(line) for line in heard.read_text("utf-8").splitlines()])
        heard.unlink()
    calm, loud = runs
    assert any("/etc/passwd" in run["text"] for run in loud), "the headlines arrived"
    for run in (*calm, *loud):
        folder = str(Path(run["cwd"]).parent)
        for name in ("argv", "environment"):
            run[name] = json.loads(json.dumps(run[name]).replace(folder, "FOLDER"))
        assert run["files"] == []
    for name in ("argv", "names", "environment"):
        assert [run[name] for run in calm] == [run[name] for run in loud]
    words = [word for text in HOSTILE for word in re.findall(r"evil\.example|/etc/passwd|yolo|rm -rf", text)]
    for run in loud:
        started = json.dumps([run["argv"], run["environment"]])
        assert not [word for word in words if word != "yolo" and word in started]
