"""Asking a model: the question, what it said, and one chance to mend what cannot be read.

Every provider that asks a model asks it this way, over a network or through a program; what differs is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from ffe_core.ai.prompt import Prompt, render_prompt
from ffe_core.ai.reply import read_reply, repair_prompt
from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.errors import ProviderFailed

#: most tokens of a question, unless a provider says otherwise
MAX_TOKENS = 3000
#: seconds that have to be left beside those that a second answer takes
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What a model said, and the tokens that this took; ``None`` where nobody told.

    ``tokens_cached`` of ``tokens_in`` were kept from an earlier question.
    """

    text: str
    tokens_in: int | None = None
    tokens_out: int | None = None
    tokens_cached: int | None = None


#: is given a prompt and the seconds that are left; raises ``ProviderFailed``
type Asks = Callable[[Prompt, float], ModelAnswer]


def repaired(prompt: Prompt, answer: ModelAnswer, error: ProviderFailed) -> Prompt:
    """The prompt once more, with what is wrong with the answer to it."""
    return replace(prompt, user=f"{prompt.user}\n\n{repair_prompt(answer.text, error)}")


def consult(
    ask: Asks,
    briefing: Briefing,
    *,
    provider: str,
    model: str,
    timeout: float,
    local: bool = True,
    cost_usd: Decimal | None = None,
    max_tokens: int = MAX_TOKENS,
    again: Asks | None = None,
    repair: Callable[[Prompt, ModelAnswer, ProviderFailed], Prompt] = repaired,
    as_slow: bool = True,
) -> Opinion:
    """The opinion of a model that ``ask`` asks, within ``timeout`` seconds.

    An answer that cannot be read is asked for once more: with the prompt that ``repair`` makes of the first one, the
    answer and its fault, and through ``again`` where a second question is asked in another way. ``as_slow``: only
    where there is time for a second answer as slow as the first, which may have been slow for reasons of its own.
    ``max_tokens`` is the size of the question. Raises ``ProviderFailed``, with the prompt and the reply that was
    refused where there was one.
    """
    began = time.monotonic()

    def read(answer: ModelAnswer, prompt: Prompt) -> Opinion:
        return read_reply(
            answer.text,
            provider=provider,
            model=model,
            horizon=briefing.horizon,
            prompt=prompt,
            local=local,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            tokens_cached=answer.tokens_cached,
            cost_usd=cost_usd,
        )

    prompt = render_prompt(briefing, max_tokens=max_tokens)
    first = ask(prompt, timeout)
    took = time.monotonic() - began
    try:
        return read(first, prompt)
    except ProviderFailed as error:
        refused = error
    # To the hundredth, because errors say it.
    left = round(timeout - took, 2)
    if left < (took if as_slow else 0.0) + _PATIENCE:
        raise refused
    prompt = repair(prompt, first, refused)
    try:
        second = (again or ask)(prompt, left)
    except ProviderFailed as error:
        # Why there is no second answer is the failure, and the first one all that there is to show for it.
        error.prompt, error.reply = refused.prompt, refused.reply
        raise
    return read(_with_both(first, second), prompt)


def time_left(end: float) -> float:
    """Seconds until ``end`` of the monotonic clock. Raises ``ProviderFailed`` where there are none."""
    left = round(end - time.monotonic(), 2)
    if left <= 0:
        raise ProviderFailed("no answer in time")
    return left


def _with_both(first: ModelAnswer, second: ModelAnswer) -> ModelAnswer:
    """The second answer, with what both took; unknown where either is."""
    return replace(
        second,
        tokens_in=_sum(first.tokens_in, second.tokens_in),
        tokens_out=_sum(first.tokens_out, second.tokens_out),
        tokens_cached=_sum(first.tokens_cached, second.tokens_cached),
    )


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
