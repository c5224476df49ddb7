"""The provider: one question, one answer, and one chance to mend it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from ffe_core import (
    Briefing,
    ModelAnswer,
    NotConfigured,
    Opinion,
    Prompt,
    ProviderFailed,
    Readiness,
    SettingsError,
    consult,
    repaired,
    reply_schema,
    time_left,
)
from ffe_core.http import Doors
from ffe_ollama.api import Api, ThinkingRefused, base_url
from ffe_ollama.parse import Answer, is_there
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

    @property
    def per_minute(self) -> int | None:
        return self._settings.per_minute

    @property
    def per_day(self) -> int | None:
        return self._settings.per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        limit = min(timeout, self._settings.timeout)
        if self._settings.model is None:
            raise self._no_model(limit)
        return consult(
            partial(self._answer, second=False),
            briefing,
            provider=self.name,
            model=self.model,
            timeout=limit,
            local=self.local,
            cost_usd=Decimal(0) if self.local else None,
            max_tokens=min(self._settings.num_prompt, self._room),
            again=partial(self._answer, second=True),
            repair=self._repaired,
            # The first answer may have waited for the model to be loaded.
            as_slow=False,
        )

    def check(self, *, timeout: float) -> Readiness:
        end = time.monotonic() + timeout
        where = base_url(self._settings.host)
        try:
            where = f"Ollama {self._api.version(timeout=timeout)} at {where}"
            names = self._api.models(timeout=time_left(end))
        except (ProviderFailed, SettingsError) as error:
            return Readiness(reachable=False, detail=error.message, hint=error.hint or "see plugins.ollama.host")
        if self._settings.model is None:
            missing = _not_set(names)
            return Readiness(reachable=True, model_there=False, detail=f"{where}; {missing.message}", hint=missing.hint)
        if not is_there(self._settings.model, names):
            told, hint = f"{where} has no model {self.model}", f"ollama pull {self.model}"
            return Readiness(reachable=True, model_there=False, detail=told, hint=hint)
        return Readiness(reachable=True, model_there=True, detail=f"{where}; {self.model}")

    @property
    def _room(self) -> int:
        """Tokens of the context that the answer leaves."""
        return self._settings.num_ctx - self._settings.num_predict - TEMPLATE

    def _answer(self, prompt: Prompt, timeout: float, *, second: bool) -> Answer:
        end = time.monotonic() + timeout
        if not second and _tokens(prompt, FEWEST_BYTES) > self._room:
            raise ProviderFailed(
                f"the question and its answer do not fit into {self._settings.num_ctx} tokens",
                hint="raise plugins.ollama.num_ctx",
            )
        answer = self._chat(prompt, end, second=second)
        self._require_whole(answer)
        if not second:
            self._require_uncut(answer, prompt, end)
        return answer

    def _repaired(self, prompt: Prompt, answer: ModelAnswer, error: ProviderFailed) -> Prompt:
        if isinstance(answer, Answer) and answer.thinking and not answer.text.strip():
            # Some models put all they say into the thinking, or lose the schema, unless told the opposite.
            self._think = not self._think
            return prompt
        return repaired(prompt, answer, error)

    def _chat(self, prompt: Prompt, end: float, *, second: bool) -> Answer:
        try:
            return self._api.chat(self._request(prompt, second=second), timeout=time_left(end))
        except ThinkingRefused:
            self._think = None
            return self._api.chat(self._request(prompt, second=second), timeout=time_left(end))

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

    def _require_uncut(self, answer: Answer, prompt: Prompt, end: float) -> None:
        """Fails where the model saw fewer tokens than were sent, unless it may have remembered the rest."""
        seen = answer.tokens_in or 0
        if seen >= _tokens(prompt, MOST_BYTES):
            return
        window = self._api.window(self.model, timeout=time_left(end))
        if window is None or window < _tokens(prompt, FEWEST_BYTES):
            raise ProviderFailed(
                f"the model saw {seen} tokens of a question of about {_tokens(prompt, 4)}: Ollama cut it",
                hint="raise plugins.ollama.num_ctx, and OLLAMA_CONTEXT_LENGTH where the server limits it",
            )

    def _no_model(self, left: float) -> NotConfigured:
        try:
            found = self._api.models(timeout=left)
        except ProviderFailed as error:
            return NotConfigured(
                f"plugins.ollama.model is not set, and {error.message}",
                hint=f"{error.hint or 'is Ollama running?'}, then ffe config set plugins.ollama.model NAME",
            )
        return _not_set(found)


def _not_set(found: Sequence[str]) -> NotConfigured:
    """That no model is set, and which ones there are."""
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
