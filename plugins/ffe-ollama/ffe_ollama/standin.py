"""A stand-in for Ollama on loopback, for tests: speaks its API strictly and has no model.

Ollama itself passes over members that it does not know; the stand-in refuses them, so that a misspelt option shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ffe_core.testing.loopback import Canned, Loopback, Request

MODEL = "llama3.2:3b"
DECISION = '{"reasoning": "Price rises above its averages.", "action": "BUY", "confidence": 64, "amount": 0}'

_CHAT = {"model", "messages", "stream", "format", "options", "keep_alive", "think", "truncate", "tools", "logprobs"}
_OPTIONS = {
    *("temperature", "seed", "num_ctx", "num_predict", "top_k", "top_p", "min_p", "stop", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty", "num_keep", "num_batch", "num_gpu", "num_thread"),
}


class OllamaStandIn(Loopback):
    """``answers`` are what the next calls of ``/api/chat`` get; after them, and without any, ``usual`` does.

    ``window`` is the context that models are loaded with; ``thinks``: whether the model knows how to think.
    """

    def __init__(
        self,
        *,
        usual: str | Canned = DECISION,
        models: Iterable[str] = (MODEL,),
        window: int = 8192,
        thinks: bool = True,
    ) -> None:
        self.answers: list[str | Canned] = []
        self.usual = usual
        self.models = tuple(models)
        self.window = window
        self.thinks = thinks
        super().__init__(self._answer)

    @property
    def chats(self) -> list[Any]:
        """The bodies that ``/api/chat`` was sent."""
        return [request.json() for request in self.requests if request.path == "/api/chat"]

    def _answer(self, request: Request) -> Canned:
        match request.method, request.path:
            case "GET", "/":
                return Canned(b"Ollama is running", headers={"Content-Type": "text/plain; charset=utf-8"})
            case "GET", "/api/version":
                return Canned({"version": "0.13.0"})
            case "GET", "/api/tags":
                return Canned({"models": [_card(name) for name in self.models]})
            case "GET", "/api/ps":
                loaded = {"expires_at": "2026-01-02T03:14:05Z", "size_vram": 0, "context_length": self.window}
                return Canned({"models": [_card(name) | loaded for name in self.models]})
            case "POST", "/api/chat":
                return self._chat(request)
            case _:
                return Canned(b"404 page not found", 404, {"Content-Type": "text/plain"})

    def _chat(self, request: Request) -> Canned:
        try:
            body = request.json()
        except ValueError:
            return refused(400, "invalid character looking for beginning of value")
        wrong = self._wrong(body)
        if wrong is not None:
            return wrong
        answer = self.answers.pop(0) if self.answers else self.usual
        return answer if isinstance(answer, Canned) else spoken(answer, request=body)

    def _wrong(self, body: Any) -> Canned | None:
        """What the real one would say to a question that is not as it should be."""
        if not isinstance(body, dict) or not body:
            return refused(400, "missing request body")
        unknown = [*(set(body) - _CHAT), *(set(body.get("options") or {}) - _OPTIONS)]
        if unknown:
            return refused(400, f"unknown member: {sorted(unknown)[0]}")
        model = body.get("model")
        if not model:
            return refused(400, "model is required")
        if model not in self.models:
            return refused(404, f"model '{model}' not found")
        if body.get("think") and not self.thinks:
            return refused(400, f'"{model}" does not support thinking')
        if not isinstance(body.get("format", {}), dict) and body["format"] != "json":
            told = f'invalid format: "{body["format"]}"; expected "json" or a valid JSON Schema object'
            return refused(400, told)
        for message in body.get("messages", ()):
            if message.get("role") not in ("system", "user", "assistant", "tool"):
                return refused(400, f"invalid role: {message.get('role')}")
            if not isinstance(message.get("content"), str):
                return refused(400, "json: cannot unmarshal into Go struct field Message.content of type string")
        return None


def spoken(
    content: str,
    *,
    request: Mapping[str, Any] | None = None,
    done_reason: str | None = "stop",
    **members: Any,
) -> Canned:
    """An answer whose model said ``content``; ``members`` replace those of the answer, ``None`` takes one away."""
    asked = request or {"model": MODEL, "messages": []}
    said = sum(len(message["content"]) for message in asked["messages"])
    answer = {
        "model": asked["model"],
        "created_at": "2026-01-02T03:04:05.416799Z",
        "message": {"role": "assistant", "content": content},
        "done": True,
        "done_reason": done_reason,
        "total_duration": 5_191_566_416,
        "load_duration": 2_154_458,
        "prompt_eval_count": max(1, said // 4) if request else 900,
        "prompt_eval_duration": 383_809_000,
        "eval_count": max(1, len(content) // 4),
        "eval_duration": 4_799_921_000,
    } | members
    whole = {name: value for name, value in answer.items() if value is not None}
    if asked.get("stream", request is not None):
        lines = [{**whole, "done": False}, {**whole, "message": {"role": "assistant", "content": ""}}]
        body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        return Canned(body, headers={"Content-Type": "application/x-ndjson"})
    return Canned(whole)


def refused(status: int, text: str) -> Canned:
    return Canned({"error": text}, status)


def _card(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "modified_at": "2026-01-02T03:04:05.416799Z",
        "size": 2_019_393_189,
        "digest": "a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "llama",
            "families": ["llama"],
            "parameter_size": "3.2B",
            "quantization_level": "Q4_K_M",
        },
    }
