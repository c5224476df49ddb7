"""What Codex writes: a line of JSON for each thing that happens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json

#: what may happen in a turn that answers; anything else means that a tool was used
_HARMLESS = frozenset({"agent_message", "error", "reasoning", "todo_list"})


def answer_of(output: str) -> ModelAnswer:
    """The last message of a turn that was completed. Raises ``ProviderFailed`` where none was, or a tool was used."""
    text: str | None = None
    for event in _events(output):
        kind = event.get("type")
        item = event.get("item")
        if isinstance(item, Mapping):
            if item.get("type") not in _HARMLESS:
                raise ProviderFailed(f"codex used a tool ({item.get('type')!s:.40}) instead of answering")
            if kind == "item.completed" and item.get("type") == "agent_message":
                text = str(item.get("text", ""))
        if kind == "turn.failed":
            break
        if kind == "turn.completed":
            if text is None:
                raise ProviderFailed("codex completed its turn without an answer")
            used = event.get("usage")
            return ModelAnswer(
                text,
                _count(used, "input_tokens"),
                _count(used, "output_tokens"),
                _count(used, "cached_input_tokens"),
            )
    raise ProviderFailed(f"codex did not complete its turn: {fault_in(output) or 'its output breaks off'}")


def fault_in(output: str) -> str:
    """What the output says went wrong last; "" where it says nothing."""
    fault = ""
    for event in _events(output):
        error = event.get("error")
        told = error.get("message") if isinstance(error, Mapping) else event.get("message")
        if event.get("type") in ("error", "turn.failed") and isinstance(told, str):
            fault = told
    return fault


def features_in(listing: str) -> frozenset[str]:
    """Names of the features that ``codex features list`` tells, one a line."""
    return frozenset(line.split()[0] for line in listing.splitlines() if line.strip())


def _events(output: str) -> Iterator[Mapping[str, Any]]:
    for line in output.splitlines():
        try:
            event = decode_json(line)
        except ValueError:
            # Something else than Codex may write a line; without a completed turn nothing of it counts.
            continue
        if isinstance(event, Mapping):
            yield event


def _count(used: object, name: str) -> int | None:
    count = used.get(name) if isinstance(used, Mapping) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
