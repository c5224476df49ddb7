"""The provider: one question, one answer, and one chance to mend it."""

from __future__ import annotations

import time
from datetime import datetime
from functools import cached_property, partial
from typing import Any

from ffe_core import (
    Briefing,
    ModelAnswer,
    Opinion,
    PluginContext,
    Prompt,
    ProviderFailed,
    consult,
    reply_schema,
    time_left,
)
from ffe_gemini.api import Api, SchemaRefused, SpentForTheDay
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
        until = self._quota.spent_until(self._context.clock.now())
        if until is not None:
            raise _spent(self.model, until)
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

    @cached_property
    def _quota(self) -> Quota:
        key = self._settings.api_key.get_secret_value() if self._settings.api_key else ""
        return Quota(self._context.state_dir, self.model, key)

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


def _spent(model: str, until: datetime) -> ProviderFailed:
    return ProviderFailed(
        f"today's questions to {model} are spent; there are new ones from {until:%Y-%m-%dT%H:%M:%SZ}",
        hint="another plugins.gemini.model has its own, and a paid key has more",
    )
