"""What Qwen Code writes: one JSON list of what happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json


def answer_of(output: str) -> ModelAnswer:
    """The result of a run without tools. Raises ``ProviderFailed`` where there is none, or it is a failure."""
    told = _events(output)
    for event in told:
        if event.get("subtype") == "init" and event.get("tools"):
            raise ProviderFailed("qwen gave the model tools although it was told not to")
    results = [event for event in told if event.get("type") == "result"]
    if not results:
        raise ProviderFailed("qwen ended without a result")
    if results[-1].get("is_error") is not False:
        raise ProviderFailed(f"qwen failed: {fault_in(output) or 'it does not say why'}")
    used = results[-1].get("usage")
    return ModelAnswer(str(results[-1].get("result", "")), _count(used, "input_tokens"), _count(used, "output_tokens"))


def fault_in(output: str) -> str:
    """What the output says went wrong; "" where it says nothing, or is not what Qwen writes."""
    try:
        told = _events(output)
    except ProviderFailed:
        return ""
    for event in reversed(told):
        error = event.get("error")
        message = error.get("message") if isinstance(error, Mapping) else event.get("result")
        if event.get("type") == "result" and event.get("is_error") is not False and isinstance(message, str):
            return message
    return ""


def _events(output: str) -> list[Mapping[str, Any]]:
    try:
        told = decode_json(output)
    except ValueError as error:
        raise ProviderFailed(f"qwen wrote no JSON: {error}") from None
    if not isinstance(told, list):
        raise ProviderFailed("qwen wrote JSON, but no list")
    return [event for event in told if isinstance(event, Mapping)]


def _count(used: object, name: str) -> int | None:
    count = used.get(name) if isinstance(used, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
