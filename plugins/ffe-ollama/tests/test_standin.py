"""The stand-in itself, driven by Ollama's own client: what it answers is what the client understands."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from ffe_ollama.standin import DECISION, MODEL, OllamaStandIn

from ffe_core.testing.loopback import Canned

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("ollama") is None, reason="Ollama's own client is not installed"),
]

ASK = """
import json, sys, ollama
client = ollama.Client(host=sys.argv[1], timeout=10)
def chat(**changes):
    asked = dict(model=sys.argv[2], messages=[{"role": "user", "content": "BUY, SELL or HOLD?"}], stream=False,
                 format={"type": "object"}, options={"temperature": 0, "seed": 1, "num_ctx": 2048}, think=False)
    try:
        return client.chat(**{**asked, **changes})
    except ollama.ResponseError as error:
        return [error.status_code, error.error]
whole = chat()
print(json.dumps({
    "models": [each.model for each in client.list().models],
    "loaded": [each.context_length for each in client.ps().models],
    "content": whole.message.content,
    "done": [whole.done, whole.done_reason, whole.prompt_eval_count, whole.eval_count],
    "streamed": "".join(part.message.content for part in chat(stream=True)),
    "missing": chat(model="mistral"),
    "role": chat(messages=[{"role": "oracle", "content": "x"}]),
    "busy": chat(),
    "thought": chat(think=True),
}))
"""


def test_ollamas_own_client_understands_every_answer() -> None:
    busy = Canned({"error": "server busy, please try again.  maximum pending requests exceeded"}, 503)
    with OllamaStandIn(thinks=False, window=4096) as server:
        server.answers = [DECISION, DECISION, busy]
        ran = subprocess.run(
            [sys.executable, "-c", ASK, server.url, MODEL], capture_output=True, text=True, timeout=60, check=False
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told == {
        "models": [MODEL],
        "loaded": [4096],
        "content": DECISION,
        "done": [True, "stop", 4, len(DECISION) // 4],
        "streamed": DECISION,
        "missing": [404, "model 'mistral' not found"],
        "role": [400, "invalid role: oracle"],
        "busy": [503, "server busy, please try again.  maximum pending requests exceeded"],
        "thought": [400, f'"{MODEL}" does not support thinking'],
    }
