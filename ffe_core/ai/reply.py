"""What a model answered, turned into an opinion or refused: a reply is a stranger's text until the schema accepts it.

Nothing of a reply is ever more than one of three words, two bounded numbers and a cleaned text. What cannot be read
for certain is refused, because a guess would trade money, and a second question is cheap.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Annotated, Any, TypeGuard

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from ffe_core.ai.objects import Found, Unreadable, add_member, objects_in
from ffe_core.ai.prompt import ANSWER_FORM, Prompt, quoted
from ffe_core.domain.decisions import Opinion
from ffe_core.domain.text import clean
from ffe_core.domain.trading import Action
from ffe_core.errors import ProviderFailed

#: more is no answer to a question that asks for three sentences; thinking included
MOST_BYTES = 64 * 1024
REASONING_LENGTH = 2000
_QUOTED_LENGTH = 1024
_ERROR_LENGTH = 300
#: how deep in wrappers such as {"decision": {…}} an answer is looked for
_WRAPPERS = 3
_MOST_AMOUNT = Decimal(10) ** 15
_AMOUNT_STEP = Decimal("1E-8")

_THINKING = re.compile(r"<(/?)(?:think|thinking|thought)\s*+>", re.IGNORECASE)
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.0{1,6})?\s*(?:%|percent|/\s*100)?", re.ASCII | re.IGNORECASE)
_DECIMAL = re.compile(r"-?[0-9]{1,30}(?:\.[0-9]{1,30})?", re.ASCII)
_CONFIDENCE_WORDS = {
    "very low": 15,
    "low": 25,
    "medium low": 35,
    "medium": 50,
    "moderate": 50,
    "medium high": 65,
    "high": 75,
    "very high": 90,
}
#: what the form of the answer says in place of a reason
_FORM_REASONING = "two or three sentences"
_ECHO = "the reply repeats the prompt instead of answering it"
_REPAIR_HEAD = "Your last answer could not be used."


def _action(value: object) -> Action:
    word = value.strip().upper() if isinstance(value, str) and value.isascii() else ""
    if word not in Action.__members__:
        raise ValueError(f"{_quote(value)} is none of BUY, SELL, HOLD")
    return Action(word)


def _confidence(value: object) -> int:
    if isinstance(value, str):
        return _confidence_of_text(value)
    if not _is_number(value):
        raise ValueError(f"{_quote(value)} is no whole number")
    if not 0 <= value <= 100:
        raise ValueError(f"{_quote(value)} is not within 0-100")
    if 0 < value < 1:
        raise ValueError(f"{_quote(value)} may be a share or a percentage; 0-100 is asked for")
    if value != int(value):
        raise ValueError(f"{_quote(value)} is no whole number")
    return int(value)


def _confidence_of_text(text: str) -> int:
    number = _PERCENT.fullmatch(text.strip())
    if number:
        return _confidence(int(number.group(1)))
    words = " ".join(re.split(r"[\s_-]+", text.strip().casefold())).removesuffix(" confidence")
    if words not in _CONFIDENCE_WORDS:
        raise ValueError(f"{_quote(text)} is no whole number")
    return _CONFIDENCE_WORDS[words]


def _amount(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        value = Decimal(value.strip())
    if not _is_number(value):
        raise ValueError(f"{_quote(value)} is no number")
    # A number such as 1e999 is legal JSON and useless as an amount; so is one that would take a page to print.
    if not 0 <= value <= _MOST_AMOUNT:
        raise ValueError(f"{_quote(value)} is not within 0 and {_MOST_AMOUNT:.0e}")
    return abs(Decimal(str(value)).quantize(_AMOUNT_STEP))


def _is_number(value: object) -> TypeGuard[int | float | Decimal]:
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _reasoning(value: object) -> str:
    if not isinstance(value, str | Mapping | Sequence):
        raise ValueError(f"{_quote(value)} is no text")
    told = clean_reasoning("; ".join(_flat(value)))
    if not told:
        raise ValueError("is blank")
    if told.casefold() == _FORM_REASONING or (told[0] == "<" and told[-1] == ">"):
        raise ValueError("repeats the form of the answer instead of filling it in")
    return told


def _flat(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield f"{name}: {', '.join(_flat(item))}"
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            yield from _flat(item)
    elif value is not None:
        yield str(value)


def clean_reasoning(text: str) -> str:
    """One line of at most 2,000 characters without escapes, controls, direction marks or anything else unseen."""
    told = clean(text[: 20 * REASONING_LENGTH])
    seen = "".join(char for char in told if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co"))
    return " ".join(seen.split())[:REASONING_LENGTH].rstrip()


def _quote(value: object) -> str:
    return repr(clean_reasoning(value)[:40]) if isinstance(value, str) else f"{value!s:.40}"


class Reply(BaseModel):
    """The one schema of an answer; whatever else a model writes is ignored."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, allow_inf_nan=False)

    reasoning: Annotated[str, BeforeValidator(_reasoning), Field(min_length=1, max_length=REASONING_LENGTH)]
    action: Annotated[Action, BeforeValidator(_action)]
    confidence: Annotated[int, BeforeValidator(_confidence), Field(ge=0, le=100)]
    amount: Annotated[Decimal | None, BeforeValidator(_amount)] = None


def reply_schema(*, bounded: bool = True) -> dict[str, Any]:
    """JSON Schema to ask a model for: flat, closed, all required, the reasoning first because models think in order.

    Numbers are whole, because grammars hold the bounds of whole numbers only. ``bounded=False`` leaves out lengths
    and bounds, which some services refuse; ``read_reply`` holds them in either case.
    """
    text: dict[str, Any] = {"type": "string", "description": "two or three sentences, facts from the data only"}
    confidence: dict[str, Any] = {"type": "integer", "description": "probability in percent, 0 to 100"}
    amount: dict[str, Any] = {"type": "integer", "description": "0 or more; noted and never traded; 0 for HOLD"}
    if bounded:
        text["maxLength"] = 600
        confidence |= {"minimum": 0, "maximum": 100}
        amount |= {"minimum": 0, "maximum": 1_000_000}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["reasoning", "action", "confidence", "amount"],
        "properties": {
            "reasoning": text,
            "action": {"type": "string", "enum": [action.value for action in (Action.BUY, Action.SELL, Action.HOLD)]},
            "confidence": confidence,
            "amount": amount,
        },
    }


def read_reply(
    text: str,
    *,
    provider: str,
    model: str,
    horizon: int,
    prompt: Prompt | str | None = None,
    local: bool = False,
    tokens_in: int | None = None,
    tokens_out: int | None = None,
    tokens_cached: int | None = None,
    cost_usd: Decimal | None = None,
) -> Opinion:
    """The opinion in a model's reply. Raises ``ProviderFailed``: what is wrong, in one line, with prompt and reply.

    Thinking is cut off, prose and fences are passed over. Exactly one decision must remain: two that disagree, a list
    of them, a reply that is cut off, or an object that stood in ``prompt`` already are refused. ``horizon`` in bars.
    """
    sent = prompt.text if isinstance(prompt, Prompt) else prompt
    try:
        reply, ignored = _one_decision(_checked(text), _quotable(sent or ""))
    except Unreadable as error:
        failed = ProviderFailed(clean_reasoning(str(error))[:_ERROR_LENGTH])
        failed.prompt, failed.reply = sent, text
        raise failed from error
    return Opinion(
        provider=provider,
        model=model,
        action=reply.action,
        confidence=reply.confidence,
        reasoning=reply.reasoning,
        amount=reply.amount,
        horizon=horizon,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_cached=tokens_cached,
        cost_usd=cost_usd,
        local=local,
        prompt=sent,
        raw_reply=text,
        ignored_members=ignored,
    )


def repair_prompt(text: str, error: str | Exception) -> str:
    """What to say to a model whose reply could not be read, once: the reason, the beginning of it, and the form."""
    reason = clean_reasoning(str(error))[:_ERROR_LENGTH]
    quoted = json.dumps(clean(text[:_QUOTED_LENGTH]), ensure_ascii=False)
    return f"{_REPAIR_HEAD} Reason: {reason}\nIt began with {quoted}\n{ANSWER_FORM}"


def _checked(text: object) -> str:
    if not isinstance(text, str):
        raise Unreadable("the reply is no text")
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise Unreadable("the reply is no valid text") from error
    if size > MOST_BYTES:
        raise Unreadable(f"the reply has {size} bytes, more than {MOST_BYTES}")
    if not text.strip():
        raise Unreadable("the reply is empty")
    return text


def _quotable(prompt: str) -> str:
    """The prompt without what a second question quotes: repeating one's own answer is no echo."""
    asked, head, _ = prompt.rpartition(_REPAIR_HEAD)
    return asked if head else prompt


@dataclass(frozen=True, slots=True)
class _Candidate:
    members: Mapping[str, Any]
    ignored: int


def _one_decision(text: str, prompt: str) -> tuple[Reply, int]:
    told, found = _objects(text)
    broken = [held.fault for held in found if held.fault and _matters(told[held.start : held.end])]
    if broken:
        raise Unreadable(broken[0])
    candidates: list[_Candidate] = []
    echoes = False
    for held in found:
        source = told[held.start : held.end]
        inside = list(_candidates(held.value, 0, 0))
        if inside and _is_echo(source, prompt):
            echoes = True
            continue
        candidates += inside
    if not candidates:
        raise Unreadable(_ECHO if echoes else _nothing_in(told, found))
    return _agreed(candidates)


def _objects(text: str) -> tuple[str, list[Found]]:
    """The objects of the reply, and the text in which they stand: whole, or without the thinking."""
    stripped = text.strip()
    if stripped[0] == "{" and _THINKING.search(stripped):
        # A text inside the answer may speak of thinking tags: only what is not one object as a whole is cut.
        try:
            whole = objects_in(stripped)
        except Unreadable:
            whole = []
        if len(whole) == 1 and whole[0].end == len(stripped) and not whole[0].fault:
            return stripped, whole
    told = _without_thinking(stripped)
    return told, objects_in(told)


def _without_thinking(text: str) -> str:
    """What is left beside ``<think>…</think>``; a closing tag alone ends thinking that began before the reply."""
    kept: list[str] = []
    at, thinking = 0, False
    for tag in _THINKING.finditer(text):
        closing = bool(tag.group(1))
        if not closing and not thinking:
            kept.append(text[at : tag.start()])
            thinking = True
        elif closing:
            if not thinking:
                kept.clear()
            at, thinking = tag.end(), False
    if thinking:
        raise Unreadable("the reply ends while still thinking")
    kept.append(text[at:])
    return "\n".join(kept)


def _matters(source: str) -> bool:
    """Whether a broken object may have been the answer, and not the form that the prompt shows."""
    return not _is_form(source) and re.search(r"[\"']action[\"']", source, re.IGNORECASE) is not None


def _is_form(source: str) -> bool:
    return " ".join(source.split()) in ANSWER_FORM


def _is_echo(source: str, prompt: str) -> bool:
    """Whether an object stood in the prompt, as it is or escaped inside a text that a stranger wrote."""
    if not prompt:
        return False
    spellings: tuple[Callable[[str], str], ...] = (quoted, partial(json.dumps, ensure_ascii=False), json.dumps)
    return source in prompt or any(spell(source)[1:-1] in prompt for spell in spellings)


def _candidates(value: Any, depth: int, ignored: int) -> Iterator[_Candidate]:
    """Objects with an action: this one, or those that it wraps."""
    if isinstance(value, list):
        if any(True for item in value for _ in _candidates(item, depth + 1, 0)):
            raise Unreadable("the reply is a list instead of one object")
    elif isinstance(value, dict) and depth <= _WRAPPERS:
        members = _folded(value)
        if "action" in members:
            known = sum(name in Reply.model_fields for name in members)
            yield _Candidate(members, ignored + len(members) - known)
            return
        for item in members.values():
            yield from _candidates(item, depth + 1, ignored + len(members) - 1)


def _folded(value: Mapping[str, Any]) -> dict[str, Any]:
    """Members by their names in lower case; one that is there twice must say the same twice."""
    members: dict[str, Any] = {}
    for name, item in value.items():
        add_member(members, name.strip().lower(), item)
    return members


def _nothing_in(text: str, found: Sequence[Found]) -> str:
    if text.lstrip().startswith("["):
        return "the reply is a list instead of one object"
    faults = [held for held in found if held.fault]
    if faults:
        return _ECHO if any(_is_form(text[held.start : held.end]) for held in faults) else faults[0].fault
    return "the reply's JSON object has no action" if found else "the reply has no JSON object"


def _agreed(candidates: Sequence[_Candidate]) -> tuple[Reply, int]:
    """The one decision of all that fit the schema."""
    read: list[tuple[Reply, int]] = []
    errors: list[str] = []
    for candidate in candidates:
        try:
            read.append((Reply.model_validate(candidate.members), candidate.ignored))
        except ValidationError as error:
            errors.append(_said(error))
    if not read:
        raise Unreadable(errors[0])
    if len({(reply.action, reply.confidence, reply.amount) for reply, _ in read}) > 1:
        raise Unreadable("the reply holds decisions that disagree")
    return read[0]


def _said(error: ValidationError) -> str:
    """All that is wrong with an answer, by member, in one line."""
    lines = []
    for fault in error.errors(include_url=False, include_input=False):
        name = ".".join(str(part) for part in fault["loc"]) or "reply"
        raised = fault.get("ctx", {}).get("error")
        text = "is missing" if fault["type"] == "missing" else str(raised or fault["msg"])
        lines.append(f"{name} {text}")
    return "; ".join(lines)
