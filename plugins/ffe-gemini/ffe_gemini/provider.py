"""The provider: one question, one answer, and one chance to mend it."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from ffe_core import (
    Briefing,
    ModelAnswer,
    Opinion,
    PluginContext,
    Prompt,
    Readiness,
    consult,
    reply_schema,
    time_left,
)
from ffe_gemini.api import Api, SchemaRefused, SpentForTheDay
from ffe_gemini.quota import Quota, spent
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

    @property
    def per_minute(self) -> int | None:
        return self._settings.most_per_minute

    @property
    def per_day(self) -> int | None:
        return self._settings.most_per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        until = self._quota.spent_until(self._context.clock.now())
        if until is not None:
            raise spent(self.model, until)
        return consult(
            partial(self._generate, second=False),
            briefing,
            provider=self.name,
            model=self.model,
            timeout=min(timeout, self._settings.timeout),
            local=self.local,
            max_tokens=self._settings.max_prompt,
            again=partial(self._generate, second=True),
            as_slow=False,
        )

    def check(self, *, timeout: float) -> Readiness:
        seen = self._api.look(timeout=timeout)
        until = self._quota.spent_until(self._context.clock.now())
        if until is None or not seen.ready:
            return seen
        return replace(seen, detail=f"{seen.detail}; {spent(self.model, until).message}")

    @cached_property
    def _quota(self) -> Quota:
        return Quota(self._context.state_dir, self.model, self._settings.key)

    def _generate(self, prompt: Prompt, timeout: float, *, second: bool) -> ModelAnswer:
        end = time.monotonic() + timeout
        try:
            try:
                return self._api.generate(self._request(prompt, second=second), timeout=time_left(end))
            except SchemaRefused:
                if not self._schema:
                    raise
                # The prompt shows the form of the answer too, and the answer is checked in either case.
                self._schema = False
                return self._api.generate(self._request(prompt, second=second), timeout=time_left(end))
        except SpentForTheDay as error:
            raise spent(self.model, self._quota.spend(self._context.clock.now())) from error

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
