"""The provider: one question, one answer, and one chance to mend it."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from ffe_core import (
    Briefing,
    Opinion,
    PluginContext,
    Prompt,
    ProviderFailed,
    read_reply,
    render_prompt,
    repair_prompt,
    reply_schema,
)
from ffe_gemini.api import Api, SchemaRefused, SpentForTheDay
from ffe_gemini.parse import Answer
from ffe_gemini.quota import Quota
from ffe_gemini.settings import GeminiSettings

#: temperature 0 would give much the same wrong answer again
SECOND_TEMPERATURE = 0.3


class Gemini:
    """Raises ``NotConfigured`` without a key; any other failure is ``ProviderFailed``, within the deadline.

    The cost is left unknown: prices change, and those that the user believes stand in the settings of ffe.
    """

    name = "gemini"
    local = False

    def __init__(self, settings: GeminiSettings, context: PluginContext) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context.http)
        self._schema = True

    @property
    def model(self) -> str:
        return self._settings.model

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        ends = time.monotonic() + min(timeout, self._settings.timeout)
        until = self._quota.spent_until(self._context.clock.now())
        if until is not None:
            raise _spent(self.model, until)
        prompt = render_prompt(briefing, max_tokens=self._settings.max_prompt)
        answer = self._generate(prompt, ends, second=False)
        try:
            return self._read(answer, prompt, briefing.horizon)
        except ProviderFailed as error:
            asked = replace(prompt, user=f"{prompt.user}\n\n{repair_prompt(answer.text, error)}")
        again = self._generate(asked, ends, second=True)
        return self._read(_sum(answer, again), asked, briefing.horizon)

    @cached_property
    def _quota(self) -> Quota:
        key = self._settings.api_key.get_secret_value() if self._settings.api_key else ""
        return Quota(self._context.state_dir, self.model, key)

    def _generate(self, prompt: Prompt, ends: float, *, second: bool) -> Answer:
        try:
            try:
                return self._api.generate(self._request(prompt, second=second), timeout=_left(ends))
            except SchemaRefused:
                if not self._schema:
                    raise
                # The prompt shows the form of the answer too, and the answer is checked in either case.
                self._schema = False
                return self._api.generate(self._request(prompt, second=second), timeout=_left(ends))
        except SpentForTheDay as error:
            raise _spent(self.model, self._quota.spend(self._context.clock.now())) from error

    def _request(self, prompt: Prompt, *, second: bool) -> dict[str, Any]:
        own = self._settings
        generation: dict[str, Any] = {
            "temperature": max(own.temperature, SECOND_TEMPERATURE) if second else own.temperature,
            "seed": own.seed + 1 if second else own.seed,
            "maxOutputTokens": own.max_output,
            "candidateCount": 1,
            "responseMimeType": "application/json",
        }
        if self._schema:
            generation["responseJsonSchema"] = reply_schema()
        if own.thinking_budget is not None:
            generation["thinkingConfig"] = {"thinkingBudget": own.thinking_budget}
        elif own.thinking_level is not None:
            generation["thinkingConfig"] = {"thinkingLevel": own.thinking_level}
        return {
            "systemInstruction": {"parts": [{"text": prompt.system}]},
            "contents": [{"role": "user", "parts": [{"text": prompt.user}]}],
            "generationConfig": generation,
        }

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
        )


def _spent(model: str, until: datetime) -> ProviderFailed:
    return ProviderFailed(
        f"today's questions to {model} are spent; there are new ones from {until:%Y-%m-%dT%H:%M:%SZ}",
        hint="another plugins.gemini.model has its own, and a paid key has more",
    )


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
