"""The stand-in itself, driven by Google's own client: what it answers is what the client understands."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from ffe_gemini.standin import DECISION, KEY, MODEL, GeminiStandIn, quota, refused

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("google") is None or importlib.util.find_spec("google.genai") is None,
        reason="Google's own client is not installed",
    ),
]

ASK = """
import json, sys
from google import genai
from google.genai import errors, types
def ask(key=sys.argv[2], model=sys.argv[3], **changes):
    options = types.HttpOptions(base_url=sys.argv[1], timeout=10_000)
    config = types.GenerateContentConfig(**{
        **dict(system_instruction="Judge.", temperature=0, seed=1, max_output_tokens=4096, candidate_count=1,
               response_mime_type="application/json", response_json_schema={"type": "object"},
               thinking_config=types.ThinkingConfig(thinking_budget=0)), **changes})
    client = genai.Client(api_key=key, http_options=options)
    try:
        return client.models.generate_content(model=model, contents="BUY, SELL or HOLD?", config=config)
    except errors.APIError as error:
        return [error.code, error.status, error.message]
whole = ask()
usage = whole.usage_metadata
print(json.dumps({
    "text": whole.text,
    "finish": whole.candidates[0].finish_reason.name,
    "usage": [usage.prompt_token_count, usage.candidates_token_count, usage.thoughts_token_count],
    "key": ask(key="another-key"),
    "model": ask(model="gemini-1.0-pro")[:2],
    "busy": ask(),
    "day": ask()[:2],
    "schema": ask(response_mime_type="text/plain")[:2],
}))
"""


def test_googles_own_client_understands_every_answer() -> None:
    with GeminiStandIn() as server:
        server.answers = [DECISION, refused(503, "UNAVAILABLE", "The model is overloaded."), quota(day=True)]
        ran = subprocess.run(
            [sys.executable, "-c", ASK, server.url, KEY, MODEL], capture_output=True, text=True, timeout=90, check=False
        )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told == {
        "text": DECISION,
        "finish": "STOP",
        "usage": [820, 48, 310],
        "key": [400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."],
        "model": [404, "NOT_FOUND"],
        "busy": [503, "UNAVAILABLE", "The model is overloaded."],
        "day": [429, "RESOURCE_EXHAUSTED"],
        "schema": [400, "INVALID_ARGUMENT"],
    }
