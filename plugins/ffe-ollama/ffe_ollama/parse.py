"""What Ollama answers, checked member by member; no network in here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json

ERROR_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Answer(ModelAnswer):
    """``tokens_in`` is ``None`` where Ollama left it out, as it does for a prompt that it remembers."""

    thinking: str = ""
    done_reason: str = ""


def parse_answer(body: Any) -> Answer:
    """The answer of ``/api/chat`` without streaming. Raises ``ProviderFailed`` for anything else."""
    answer = _object(body, "the answer")
    if "error" in answer:
        raise ProviderFailed(f"Ollama answered with an error: {answer['error']!s:.{ERROR_LENGTH}}")
    if answer.get("done") is not True:
        raise ProviderFailed("Ollama's answer is not done")
    message = _object(answer.get("message"), "the message")
    return Answer(
        text=_text(message, "content"),
        thinking=_text(message, "thinking", needed=False),
        done_reason=_text(answer, "done_reason"),
        tokens_in=_count(answer, "prompt_eval_count"),
        tokens_out=_count(answer, "eval_count"),
    )


def parse_models(body: Any) -> Sequence[str]:
    """Names in ``/api/tags``, in order of the alphabet."""
    listed = _object(body, "the list of models").get("models")
    if not isinstance(listed, list):
        raise ProviderFailed("Ollama's list of models is no list")
    return sorted(_text(_object(each, "a model"), "name") for each in listed)


def parse_version(body: Any) -> str:
    """``version`` of ``/api/version``."""
    return _text(_object(body, "the version"), "version")[:40]


def parse_window(body: Any, model: str) -> int | None:
    """``context_length`` of ``model`` in ``/api/ps``; ``None`` where it is not told."""
    loaded = _object(body, "the list of loaded models").get("models")
    for each in loaded if isinstance(loaded, list) else ():
        if isinstance(each, Mapping) and _tagged(str(each.get("name", ""))) == _tagged(model):
            return _count(each, "context_length")
    return None


def parse_error(body: bytes) -> str:
    """The text of ``{"error": text}``; empty where there is none."""
    try:
        found = decode_json(body)
    except ValueError:
        return ""
    said = found.get("error") if isinstance(found, dict) else None
    return " ".join(said.split())[:ERROR_LENGTH] if isinstance(said, str) else ""


def is_there(model: str, names: Sequence[str]) -> bool:
    """Whether ``model`` is one of ``names``, where a name without a tag means its latest."""
    return _tagged(model) in map(_tagged, names)


def _tagged(model: str) -> str:
    return model if ":" in model else f"{model}:latest"


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProviderFailed(f"Ollama sent something else where {what} should be: {value!r:.60}")
    return value


def _text(holder: Mapping[str, Any], name: str, *, needed: bool = True) -> str:
    value = holder.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str):
        raise ProviderFailed(f"Ollama's {name} is no text: {value!r:.60}")
    return value


def _count(holder: Mapping[str, Any], name: str) -> int | None:
    """A number of tokens. Ollama leaves out what is zero."""
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProviderFailed(f"Ollama's {name} is no count: {value!r:.60}")
    return value
