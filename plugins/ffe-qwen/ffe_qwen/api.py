"""Asking Qwen Code: which flags take every tool away from it, and how it is told where to ask."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import Self

from ffe_core import (
    Briefing,
    ModelAnswer,
    Opinion,
    PluginContext,
    Prompt,
    ProviderFailed,
    Readiness,
    Tool,
    Workplace,
    consult,
    look_at_server,
)
from ffe_qwen.parse import answer_of, fault_in
from ffe_qwen.settings import QwenSettings

#: The list of tools ends where another option begins, so one has to follow it.
_ALWAYS = (
    *"--bare --output-format json --chat-recording=false --exclude-tools read_file edit run_shell_command".split(),
    *("--system-prompt", "You judge one asset at one instant."),
    *("-p", "Answer with one JSON object."),
)
#: Qwen's own sign-in, below its home
SIGN_IN = ".qwen/oauth_creds.json"
#: a server without keys is still asked with one
_NO_KEY = "none"
_SIGNED_OUT = re.compile(r"no auth type|\b401\b|unauthori[sz]ed|api key|log ?in", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Qwen:
    """Asks ``qwen``, by a server that speaks like OpenAI's or by its own sign-in in the plugin's state folder."""

    settings: QwenSettings = field(repr=False)
    tool: Tool
    name: str = "qwen"
    local: bool = True

    @classmethod
    def of(cls, settings: QwenSettings, context: PluginContext, *, install: str) -> Self:
        environment = settings.variables(OPENAI_API_KEY=settings.api_key)
        secrets = tuple(environment.values())
        if settings.base_url and settings.model:
            environment.setdefault("OPENAI_API_KEY", _NO_KEY)
            environment |= {"OPENAI_BASE_URL": settings.base_url, "OPENAI_MODEL": settings.model}
        if settings.ca_file:
            environment["NODE_EXTRA_CA_CERTS"] = str(settings.ca_file)
        return cls(settings, Tool("qwen", settings.command, install, context, environment, secrets))

    @property
    def model(self) -> str:
        return self.settings.model or "qwen"

    @property
    def per_minute(self) -> int | None:
        return self.settings.per_minute

    @property
    def per_day(self) -> int | None:
        return self.settings.per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        self.tool.found()
        self._require_sign_in()
        with self.tool.workplace() as place:

            def question(prompt: Prompt, left: float) -> ModelAnswer:
                return self._answer(place, prompt, left)

            limit = min(timeout, self.settings.timeout)
            return consult(question, briefing, provider=self.name, model=self.model, timeout=limit)

    def check(self, *, timeout: float) -> Readiness:
        end = time.monotonic() + timeout
        seen = self.tool.look(timeout=timeout)
        if not seen.ready:
            return seen
        if self.settings.base_url:
            left = max(0.1, end - time.monotonic())
            return look_at_server(seen, self.name, self.settings, self.tool.context.http, timeout=left)
        try:
            self._require_sign_in()
        except ProviderFailed as error:
            told = f"{seen.detail}; {error.message}"
            return replace(seen, signed_in=False, detail=told, hint=error.hint)
        how = "a key is set, untried" if "OPENAI_API_KEY" in self.tool.environment else "has a sign-in"
        return replace(seen, signed_in=True, detail=f"{seen.detail}; {how}")

    def _require_sign_in(self) -> None:
        """Qwen that is signed out would wait for somebody at a browser, so its sign-in is looked for."""
        if "OPENAI_API_KEY" not in self.tool.environment and not (self.tool.home / SIGN_IN).is_file():
            raise ProviderFailed("qwen is not signed in", hint=self._how_to_sign_in())

    def _answer(self, place: Workplace, prompt: Prompt, timeout: float) -> ModelAnswer:
        kind = "openai" if "OPENAI_API_KEY" in self.tool.environment else "qwen-oauth"
        arguments = ["--auth-type", kind, *_ALWAYS]
        if self.settings.model:
            arguments += ["--model", self.settings.model]
        ran = place.run(arguments, text=prompt.text, timeout=timeout)
        if ran.code:
            reason = fault_in(ran.output) or ran.reason
            raise ran.failure(reason, hint=self._how_to_sign_in() if _SIGNED_OUT.search(reason) else None)
        return answer_of(ran.output)

    def _how_to_sign_in(self) -> str:
        if self.settings.api_key:
            return "check plugins.qwen.api_key"
        return f"sign in by {self.tool.in_home('qwen')}, or set FFE_PLUGINS__QWEN__API_KEY"
