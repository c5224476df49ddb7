"""What Copilot writes: a line of JSON for each thing that happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json


def answer_of(output: str) -> ModelAnswer:
    """The last message of the assistant in a run that came to its result.

    Raises ``ProviderFailed`` where there is none, or where the model called for a tool.
    """
    message: Mapping[str, Any] | None = None
    ended = False
    for event in _events(output):
        kind = str(event.get("type"))
        if kind.startswith("tool."):
            raise ProviderFailed("copilot used a tool instead of answering")
        data = event.get("data")
        if kind == "assistant.message" and isinstance(data, Mapping):
            if data.get("toolRequests"):
                raise ProviderFailed("copilot used a tool instead of answering")
            message = data
        ended = ended or kind == "result"
    if message is None:
        raise ProviderFailed("copilot ended without an answer")
    if not ended:
        raise ProviderFailed("the output of copilot breaks off")
    return ModelAnswer(str(message.get("content", "")), tokens_out=_count(message.get("outputTokens")))


def _events(output: str) -> Iterator[Mapping[str, Any]]:
    for line in output.splitlines():
        try:
            event = decode_json(line)
        except ValueError:
            # Something else than Copilot may write a line; without a result nothing of it counts.
            continue
        if isinstance(event, Mapping):
            yield event


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
