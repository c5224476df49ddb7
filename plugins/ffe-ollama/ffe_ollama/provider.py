"""The provider: one question, one answer, and one chance to mend it."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

from ffe_core import (
    Briefing,
    NotConfigured,
    Opinion,
    Prompt,
    ProviderFailed,
    read_reply,
    render_prompt,
    repair_prompt,
    reply_schema,
)
from ffe_core.http import Doors
from ffe_ollama.api import Api, ThinkingRefused
from ffe_ollama.parse import Answer
from ffe_ollama.settings import OllamaSettings

#: temperature 0 would give the same wrong answer again
SECOND_TEMPERATURE = 0.3
#: fewest bytes of our prompts that any tokenizer in use makes one token of, and most
FEWEST_BYTES, MOST_BYTES = 3, 5
#: small models copy the form of the answer word for word; a reason with more characters cannot be the form's
SHORTEST_REASON = 40
#: what a chat template adds around the messages, in tokens
TEMPLATE = 64


class Ollama:
    """Raises ``NotConfigured`` without a model; any other failure is ``ProviderFailed``, within the deadline."""

    name = "ollama"

    def __init__(self, settings: OllamaSettings, doors: Doors) -> None:
        self._settings = settings
        self._api = Api(settings, doors)
        self._think: bool | str | None = settings.think

    @property
    def model(self) -> str:
        return self._settings.model or "not set"

    @property
    def local(self) -> bool:
        """Ollama also passes questions on to its own cloud, for models whose tag says so."""
        return not self.model.endswith(("-cloud", ":cloud"))

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        ends = time.monotonic() + min(timeout, self._settings.timeout)
        if self._settings.model is None:
            raise self._no_model(_left(ends))
        prompt = self._prompt(briefing)
        answer = self._chat(prompt, ends, second=False)
        self._require_whole(answer)
        self._require_uncut(answer, prompt, ends)
        try:
            return self._read(answer, prompt, briefing.horizon)
        except ProviderFailed as error:
            told = error
        asked = replace(prompt, user=f"{prompt.user}\n\n{repair_prompt(answer.text, told)}")
        if not answer.text.strip() and answer.thinking:
            # Some models put all they say into the thinking, or lose the schema, unless told the opposite.
            asked, self._think = prompt, not self._think
        again = self._chat(asked, ends, second=True)
        self._require_whole(again)
        return self._read(_sum(answer, again), asked, briefing.horizon)

    def _prompt(self, briefing: Briefing) -> Prompt:
        room = self._settings.num_ctx - self._settings.num_predict - TEMPLATE
        prompt = render_prompt(briefing, max_tokens=min(self._settings.num_prompt, room))
        if _tokens(prompt, FEWEST_BYTES) > room:
            raise ProviderFailed(
                f"the question and its answer do not fit into {self._settings.num_ctx} tokens",
                hint="raise plugins.ollama.num_ctx",
            )
        return prompt

    def _chat(self, prompt: Prompt, ends: float, *, second: bool) -> Answer:
        try:
            return self._api.chat(self._request(prompt, second=second), timeout=_left(ends))
        except ThinkingRefused:
            self._think = None
            return self._api.chat(self._request(prompt, second=second), timeout=_left(ends))

    def _request(self, prompt: Prompt, *, second: bool) -> dict[str, Any]:
        own = self._settings
        request: dict[str, Any] = {
            "model": own.model,
            "stream": False,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "format": _schema(),
            "options": {
                "temperature": max(own.temperature, SECOND_TEMPERATURE) if second else own.temperature,
                "seed": own.seed + 1 if second else own.seed,
                "num_ctx": own.num_ctx,
                "num_predict": own.num_predict,
            },
            "keep_alive": int(own.keep_alive) if own.keep_alive.lstrip("-").isdigit() else own.keep_alive,
            # Without it a question that is too long loses its beginning, and nothing says so.
            "truncate": False,
        }
        if self._think is not None:
            request["think"] = self._think
        return request

    def _require_whole(self, answer: Answer) -> None:
        if answer.done_reason == "length":
            raise ProviderFailed(
                f"the answer was cut off after {self._settings.num_predict} tokens",
                hint="raise plugins.ollama.num_predict",
            )
        if answer.done_reason != "stop":
            raise ProviderFailed(f"the model did not finish its answer: {answer.done_reason[:60]}")

    def _require_uncut(self, answer: Answer, prompt: Prompt, ends: float) -> None:
        """Fails where the model saw fewer tokens than were sent, unless it may have remembered the rest."""
        seen = answer.tokens_in or 0
        if seen >= _tokens(prompt, MOST_BYTES):
            return
        window = self._api.window(self.model, timeout=_left(ends))
        if window is None or window < _tokens(prompt, FEWEST_BYTES):
            raise ProviderFailed(
                f"the model saw {seen} tokens of a question of about {_tokens(prompt, 4)}: Ollama cut it",
                hint="raise plugins.ollama.num_ctx, and OLLAMA_CONTEXT_LENGTH where the server limits it",
            )

    def _read(self, answer: Answer, prompt: Prompt, horizon: int) -> Opinion:
        return read_reply(
            answer.text,
            provider=self.name,
            model=self.model,
            horizon=horizon,
            prompt=prompt,
            local=self.local,
            tokens_in=answer.tokens_in,
            tokens_out=answer.tokens_out,
            cost_usd=Decimal(0) if self.local else None,
        )

    def _no_model(self, left: float) -> NotConfigured:
        try:
            found = self._api.models(timeout=left)
        except ProviderFailed as error:
            return NotConfigured(
                f"plugins.ollama.model is not set, and {error.message}",
                hint=f"{error.hint or 'is Ollama running?'}, then ffe config set plugins.ollama.model NAME",
            )
        if not found:
            return NotConfigured(
                "plugins.ollama.model is not set, and Ollama has no model: ollama pull llama3.2",
                hint="then ffe config set plugins.ollama.model llama3.2",
            )
        listed = ", ".join(found[:10]) + (f" and {len(found) - 10} more" if len(found) > 10 else "")
        return NotConfigured(
            f"plugins.ollama.model is not set; installed: {listed}",
            hint=f"ffe config set plugins.ollama.model {found[0]}",
        )


def _schema() -> dict[str, Any]:
    schema = reply_schema()
    schema["properties"]["reasoning"]["minLength"] = SHORTEST_REASON
    return schema


def _tokens(prompt: Prompt, bytes_each: int) -> int:
    return len((prompt.system + prompt.user).encode()) // bytes_each


def _sum(first: Answer, second: Answer) -> Answer:
    """The second answer, with what both took."""
    return replace(
        second,
        tokens_in=_added(first.tokens_in, second.tokens_in),
        tokens_out=_added(first.tokens_out, second.tokens_out),
    )


def _added(first: int | None, second: int | None) -> int | None:
    return None if first is None and second is None else (first or 0) + (second or 0)


def _left(ends: float) -> float:
    # To the hundredth, because errors say it.
    left = round(ends - time.monotonic(), 2)
    if left <= 0:
        raise ProviderFailed("no answer in time")
    return left
