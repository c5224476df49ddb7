"""A stand-in for the Gemini API on loopback, for tests: speaks it strictly and has no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ffe_core.testing.loopback import Canned, Loopback, Request

MODEL = "gemini-3.5-flash"
KEY = "a-key-for-the-stand-in"
DECISION = '{"reasoning": "Price rises above its averages.", "action": "BUY", "confidence": 64, "amount": 0}'

_TYPES = "type.googleapis.com/google.rpc"
_CALL = re.compile(r"/v1(?:beta)?/(models/[A-Za-z0-9._-]+)(:generateContent)?")
_TOP = {"systemInstruction", "contents", "generationConfig", "safetySettings", "tools", "toolConfig", "cachedContent"}
_GENERATION = {
    *("temperature", "topP", "topK", "seed", "maxOutputTokens", "candidateCount", "stopSequences"),
    *("responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig", "presencePenalty"),
}
_THINKING = {"thinkingBudget", "thinkingLevel", "includeThoughts"}


class GeminiStandIn(Loopback):
    """``answers`` are what the next calls get; after them, and without any, ``usual`` does.

    ``takes_schema``: whether the model knows ``responseJsonSchema``.
    """

    def __init__(
        self, *, usual: str | Canned = DECISION, models: Iterable[str] = (MODEL,), takes_schema: bool = True
    ) -> None:
        self.answers: list[str | Canned] = []
        self.usual = usual
        self.models = tuple(models)
        self.takes_schema = takes_schema
        super().__init__(self._answer)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1beta"

    @property
    def asked(self) -> list[Any]:
        """The bodies that were sent."""
        return [request.json() for request in self.requests if request.method == "POST"]

    def _answer(self, request: Request) -> Canned:
        call = _CALL.fullmatch(request.path)
        if call is None or request.method != ("POST" if call.group(2) else "GET"):
            return Canned(b"<!DOCTYPE html><title>Error 404</title>", 404, {"Content-Type": "text/html"})
        if "key=" in request.query:
            return refused(400, "INVALID_ARGUMENT", "the stand-in takes keys in the header only")
        if "x-goog-api-key" not in request.headers:
            return refused(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers.")
        if request.headers["x-goog-api-key"] != KEY:
            reason = {"@type": f"{_TYPES}.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
            return refused(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", reason)
        if call.group(1).removeprefix("models/") not in self.models:
            told = f"{call.group(1)} is not found for API version v1beta, or is not supported for generateContent."
            return refused(404, "NOT_FOUND", told)
        if request.method == "GET":
            return Canned({"name": call.group(1), "supportedGenerationMethods": ["generateContent", "countTokens"]})
        try:
            body = request.json()
        except ValueError:
            return refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        wrong = self._wrong(body)
        if wrong is not None:
            return wrong
        answer = self.answers.pop(0) if self.answers else self.usual
        return answer if isinstance(answer, Canned) else spoken(answer)

    def _wrong(self, body: Any) -> Canned | None:
        """What the real one would say to a question that is not as it should be."""
        if not isinstance(body, dict):
            return refused(400, "INVALID_ARGUMENT", "Invalid JSON payload received.")
        generation = body.get("generationConfig", {})
        for where, holder, known in (
            ("", body, _TOP),
            ("generation_config", generation, _GENERATION),
            ("generation_config.thinking_config", generation.get("thinkingConfig", {}), _THINKING),
        ):
            for name in holder:
                if _camel(name) not in known or (name == "responseJsonSchema" and not self.takes_schema):
                    return unknown_name(name, where)
        if not body.get("contents"):
            return refused(400, "INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified")
        for content in body["contents"]:
            if content.get("role") not in ("user", "model"):
                return refused(400, "INVALID_ARGUMENT", "Please use a valid role: user, model.")
        schemas = {"responseSchema", "responseJsonSchema"} & set(generation)
        if len(schemas) == 2 or (schemas and generation.get("responseMimeType") != "application/json"):
            return refused(400, "INVALID_ARGUMENT", "one schema, and with it the mime type application/json")
        if {"thinkingBudget", "thinkingLevel"} <= set(generation.get("thinkingConfig", {})):
            return refused(400, "INVALID_ARGUMENT", "You can only set one of thinking budget and thinking level.")
        return None


def spoken(text: str, *, finish: str | None = "STOP", **members: Any) -> Canned:
    """An answer whose model said ``text``; ``members`` replace those of the answer, ``None`` takes one away."""
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish, "index": 0}
    usage = {
        "promptTokenCount": 820,
        "candidatesTokenCount": 48,
        "thoughtsTokenCount": 310,
        "totalTokenCount": 1178,
    }
    answer = {
        "candidates": [{name: value for name, value in candidate.items() if value is not None}],
        "usageMetadata": usage,
        "modelVersion": MODEL,
        "responseId": "mQx2aK_bE4Lq7M8P",
    } | members
    return Canned({name: value for name, value in answer.items() if value is not None})


def refused(code: int, status: str, message: str, *details: Mapping[str, Any]) -> Canned:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    return Canned({"error": error | ({"details": list(details)} if details else {})}, code)


def _camel(name: str) -> str:
    """The API takes members by either spelling; Google's own client mixes them."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


def unknown_name(name: str, where: str) -> Canned:
    told = (
        f'Invalid JSON payload received. Unknown name "{name}"{f" at {where!r}" if where else ""}: Cannot find field.'
    )
    violation = {"field": where, "description": told}
    detail = {"@type": f"{_TYPES}.BadRequest", "fieldViolations": [violation]}
    return refused(400, "INVALID_ARGUMENT", told, detail)


def quota(*, day: bool, delay: str | None = None) -> Canned:
    """Too many questions, in this minute or for today; ``delay`` is what the API tells to wait."""
    quota_id = f"GenerateRequestsPer{'Day' if day else 'Minute'}PerProjectPerModel-FreeTier"
    metric = "generativelanguage.googleapis.com/generate_content_free_tier_requests"
    details: list[dict[str, Any]] = [
        {"@type": f"{_TYPES}.QuotaFailure", "violations": [{"quotaMetric": metric, "quotaId": quota_id}]}
    ]
    if delay is not None:
        details.append({"@type": f"{_TYPES}.RetryInfo", "retryDelay": delay})
    return refused(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan.", *details)
