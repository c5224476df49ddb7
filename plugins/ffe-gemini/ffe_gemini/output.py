"""What Google's command-line tool writes: one JSON object, on standard output or, where it failed, after complaints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json
from ffe_gemini.parse import parse_complaint

#: complaints may have many braces; the last few are enough
_MOST_TRIES = 20


def answer_of(output: str) -> ModelAnswer:
    """The response, with the tokens of every model that took part. Raises ``ProviderFailed`` where there is none."""
    try:
        told = decode_json(output)
    except ValueError as error:
        raise ProviderFailed(f"gemini wrote no JSON: {error}") from None
    if not isinstance(told, Mapping):
        raise ProviderFailed("gemini wrote JSON, but no object")
    if isinstance(told.get("error"), Mapping):
        raise ProviderFailed(f"gemini failed: {_message(told['error']) or 'it does not say why'}")
    if not isinstance(told.get("response"), str):
        raise ProviderFailed("gemini ended without a response")
    stats = _object(told, "stats")
    if _object(stats, "tools").get("totalCalls", 0) != 0:
        raise ProviderFailed("gemini used a tool instead of answering")
    used = [_object(model, "tokens") for model in _object(stats, "models").values() if isinstance(model, Mapping)]
    return ModelAnswer(
        told["response"], _sum(used, "prompt"), _sum(used, "candidates", "thoughts"), _sum(used, "cached")
    )


def fault_in(complaint: str) -> str:
    """The message of the last object in what it complained about; "" where there is none."""
    starts = [match.start() for match in re.finditer(r"^\{", complaint, re.MULTILINE)]
    for start in reversed(starts[-_MOST_TRIES:]):
        try:
            told = decode_json(complaint[start:])
        except ValueError:
            continue
        error = told.get("error") if isinstance(told, Mapping) else None
        if isinstance(error, Mapping):
            return _message(error)
    return ""


def _message(error: Mapping[str, Any]) -> str:
    """Its message; where that is an error of the API as JSON, the words in there."""
    message = error.get("message")
    if not isinstance(message, str):
        return ""
    inner = parse_complaint(message.encode("utf-8", "replace"))
    return inner.message or " ".join(message.split())


def _object(holder: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = holder.get(name)
    return value if isinstance(value, Mapping) else {}


def _sum(used: list[Mapping[str, Any]], *names: str) -> int | None:
    """Of counts that are there; unknown where one is no count, or nobody tells."""
    counts = [tokens.get(name) for tokens in used for name in names]
    whole = [count for count in counts if isinstance(count, int) and not isinstance(count, bool) and count >= 0]
    return sum(whole) if whole and len(whole) == len(counts) else None
