"""What the Gemini API answers, checked member by member; no network in here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ffe_core import ModelAnswer, ProviderFailed
from ffe_core.http import decode_json

TEXT_LENGTH = 200
RETRY_INFO = "google.rpc.RetryInfo"
#: what becomes of a question, beyond the words for it that the API may yet invent
_FINISHES = {
    "MAX_TOKENS": "the answer was cut off: its thoughts and words exceed plugins.gemini.max_output",
    "SAFETY": "the model refused to answer (SAFETY)",
    "RECITATION": "the model was stopped because it recited a source (RECITATION)",
}


@dataclass(frozen=True, slots=True)
class Complaint:
    """An error of the API. ``reasons`` are the machine's words for it; ``wait`` in seconds, ``None`` if not told."""

    status: str = ""
    message: str = ""
    reasons: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    wait: float | None = None
    names_a_field: bool = False

    @property
    def is_for_the_day(self) -> bool:
        return any("perday" in quota.casefold() for quota in self.quotas)


def parse_answer(body: Any) -> ModelAnswer:
    """The answer of ``generateContent``, with what is billed as tokens: thoughts and words.

    Raises ``ProviderFailed`` for anything but one that the model finished.
    """
    answer = _object(body, "the answer")
    candidates = answer.get("candidates")
    if not candidates:
        blocked = _word(_object(answer.get("promptFeedback", {}), "the feedback").get("blockReason"))
        raise ProviderFailed(
            f"the question was refused ({blocked})" if blocked else "the API answered without a candidate"
        )
    if not isinstance(candidates, list):
        raise ProviderFailed("the API's candidates are no list")
    first = _object(candidates[0], "the candidate")
    finish = _word(first.get("finishReason"))
    if finish != "STOP":
        raise ProviderFailed(_FINISHES.get(finish, f"the model did not finish its answer ({finish or 'no reason'})"))
    usage = _object(answer.get("usageMetadata", {}), "the usage")
    words, thoughts = _count(usage, "candidatesTokenCount"), _count(usage, "thoughtsTokenCount")
    return ModelAnswer(
        text=_text(first),
        tokens_in=_count(usage, "promptTokenCount"),
        tokens_out=None if words is None and thoughts is None else (words or 0) + (thoughts or 0),
        tokens_cached=_count(usage, "cachedContentTokenCount"),
    )


def parse_complaint(body: bytes) -> Complaint:
    """What an error says; an empty complaint where it cannot be read."""
    try:
        found = decode_json(body)
    except ValueError:
        return Complaint()
    if isinstance(found, list) and found:
        found = found[0]
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return Complaint()
    details = [each for each in _listed(error, "details") if isinstance(each, Mapping)]
    message = " ".join(str(error.get("message") or "").split())[:TEXT_LENGTH]
    return Complaint(
        status=_word(error.get("status")),
        message=message,
        reasons=frozenset(_word(each.get("reason")) for each in details) - {""},
        quotas=tuple(_quotas(details)),
        wait=next((wait for each in details if (wait := _wait(each)) is not None), None),
        names_a_field="Unknown name" in message or any("fieldViolations" in each for each in details),
    )


def _quotas(details: list[Mapping[str, Any]]) -> Iterator[str]:
    for each in details:
        for violation in _listed(each, "violations"):
            if isinstance(violation, Mapping):
                yield f"{violation.get('quotaId', '')} {violation.get('quotaMetric', '')}"


def _wait(detail: Mapping[str, Any]) -> float | None:
    """``retryDelay``: seconds with a fraction and an s, such as 41.5s."""
    written = detail.get("retryDelay")
    if RETRY_INFO not in str(detail.get("@type", "")) or not isinstance(written, str):
        return None
    number = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*s?\s*", written, re.ASCII)
    return float(number.group(1)) if number else None


def _text(candidate: Mapping[str, Any]) -> str:
    """All that was said and not only thought; a model that only thought has said nothing."""
    content = _object(candidate.get("content", {}), "the content")
    said: list[str] = []
    for part in _listed(content, "parts"):
        if isinstance(part, Mapping) and part.get("thought") is not True:
            text = part.get("text", "")
            if not isinstance(text, str):
                raise ProviderFailed(f"the API sent something else where text should be: {text!r:.60}")
            said.append(text)
    return "".join(said)


def _listed(holder: Mapping[str, Any], name: str) -> list[Any]:
    value = holder.get(name)
    return value if isinstance(value, list) else []


def _word(value: object) -> str:
    return value if isinstance(value, str) and re.fullmatch(r"[A-Z0-9_]{1,60}", value) else ""


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ProviderFailed(f"the API sent something else where {what} should be: {value!r:.60}")
    return value


def _count(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ProviderFailed(f"the API's {name} is no count: {value!r:.60}")
    return value


def wait_asked(complaint: Complaint) -> float | None:
    """Seconds to wait before asking again; infinite where today's questions are spent, whatever else is said."""
    return math.inf if complaint.is_for_the_day else complaint.wait
