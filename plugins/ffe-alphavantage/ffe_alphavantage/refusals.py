"""What a refusal means. The service answers 200 whatever happened and says it in a sentence; no network in here."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

_MEMBERS = ("Error Message", "Information", "Note")


class Refusal(StrEnum):
    KEY = "the key is missing or not accepted"
    DAY = "today's calls are spent"
    MINUTE = "this minute's calls are spent"
    BURST = "two calls came too close to each other"
    PREMIUM = "it needs a premium key"
    NOTHING = "there is nothing"
    UNKNOWN = "there is no such symbol, or it has no such data"
    FUNCTION = "there is no such function"
    OUTAGE = "it answered nothing"
    STRANGE = "it answered something else"


#: the first that is found decides. A burst's sentence names the daily limit and premium endpoints too, and the old
#: one per minute the daily limit; any quota's sentence advertises premium plans.
_SIGNS: tuple[tuple[str, Refusal], ...] = (
    (r"invalid or missing", Refusal.KEY),
    (r"no articles found", Refusal.NOTHING),
    (r"per second|more sparingly", Refusal.BURST),
    (r"per minute", Refusal.MINUTE),
    (r"per day|daily rate limit", Refusal.DAY),
    (r"premium (endpoint|feature)", Refusal.PREMIUM),
    (r"does not exist", Refusal.FUNCTION),
    (r"invalid (api call|inputs)", Refusal.UNKNOWN),
)


def refusal_of(body: Any, wanted: str) -> Refusal | None:
    """``None`` for an answer that has the member ``wanted``, whatever else it says."""
    if not isinstance(body, dict):
        return Refusal.STRANGE
    if wanted in body:
        return None
    if not body:
        return Refusal.OUTAGE
    said = sentence(body).lower()
    return next((meant for sign, meant in _SIGNS if re.search(sign, said)), Refusal.STRANGE)


def sentence(body: Any) -> str:
    """What the service says in an answer that is none; may hold the key. Empty where it says nothing."""
    if not isinstance(body, dict):
        return ""
    found = next((body[name] for name in _MEMBERS if isinstance(body.get(name), str)), "")
    return " ".join(found.split())
