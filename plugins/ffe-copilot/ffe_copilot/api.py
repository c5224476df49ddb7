"""Asking Copilot: which flags take every tool away from it, and how it is told where to ask."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from typing import Self

from ffe_copilot.parse import answer_of
from ffe_copilot.settings import CopilotSettings
from ffe_core import (
    Briefing,
    ModelAnswer,
    Opinion,
    PluginContext,
    Prompt,
    Readiness,
    Tool,
    Workplace,
    consult,
    look_at_server,
)

#: A list of tools that names none of them. An empty list would leave all of them in.
_NO_TOOLS = "--available-tools=none"
_ALWAYS = (
    "--silent --output-format json --no-custom-instructions --disable-builtin-mcps --no-ask-user --no-auto-update "
    f"--no-remote-export --disable-client-telemetry --no-color --stream off {_NO_TOOLS}"
).split()
#: where Copilot keeps who signed in, below its home; the token itself may lie in the system's keyring
CONFIG = ".copilot/config.json"
_SIGNED_IN = re.compile(r'"logged_?in_?users"\s*:\s*\[\s*\{', re.IGNORECASE)
#: variables in which it looks for a token
TOKENS = ("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN")
_SIGNED_OUT = re.compile(r"no authentication|authentication failed|\b401\b|unauthori[sz]ed|/login", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Copilot:
    """Asks ``copilot``. Its own sign-in lives in the plugin's state folder."""

    settings: CopilotSettings = field(repr=False)
    tool: Tool
    name: str = "copilot"
    local: bool = True

    @classmethod
    def of(cls, settings: CopilotSettings, context: PluginContext, *, install: str) -> Self:
        environment = settings.variables(COPILOT_GITHUB_TOKEN=settings.token, COPILOT_PROVIDER_API_KEY=settings.api_key)
        secrets = tuple(environment.values())
        if settings.base_url and settings.model:
            environment |= {
                "COPILOT_OFFLINE": "true",
                "COPILOT_PROVIDER_BASE_URL": settings.base_url,
                "COPILOT_MODEL": settings.model,
            }
        if settings.ca_file:
            environment["NODE_EXTRA_CA_CERTS"] = str(settings.ca_file)
        return cls(settings, Tool("copilot", settings.command, install, context, environment, secrets))

    @property
    def model(self) -> str:
        return self.settings.model or "copilot"

    @property
    def per_minute(self) -> int | None:
        return self.settings.per_minute

    @property
    def per_day(self) -> int | None:
        return self.settings.per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
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
        if any(name in self.tool.environment for name in TOKENS):
            return replace(seen, signed_in=True, detail=f"{seen.detail}; a token is set, untried")
        if self._has_sign_in():
            return replace(seen, signed_in=True, detail=f"{seen.detail}; has a sign-in")
        told = f"{seen.detail}; copilot is not signed in"
        return replace(seen, signed_in=False, detail=told, hint=self._how_to_sign_in())

    def _has_sign_in(self) -> bool:
        """Whether somebody signed in in its home; whether that still holds only a question would tell."""
        try:
            return _SIGNED_IN.search((self.tool.home / CONFIG).read_text("utf-8", "replace")) is not None
        except OSError:
            return False

    def _answer(self, place: Workplace, prompt: Prompt, timeout: float) -> ModelAnswer:
        arguments = [*_ALWAYS, "-C", str(place.cwd)]
        if self.settings.model and not self.settings.base_url:
            arguments += ["--model", self.settings.model]
        # Instructions of one's own are not to be had on standard input: both parts are one text.
        ran = place.run(arguments, text=prompt.text, timeout=timeout)
        if ran.code:
            raise ran.failure(hint=self._how_to_sign_in() if _SIGNED_OUT.search(ran.reason) else None)
        return answer_of(ran.output)

    def _how_to_sign_in(self) -> str:
        if self.settings.base_url:
            return "check plugins.copilot.api_key"
        if self.settings.token:
            return "check plugins.copilot.token"
        return f"sign in by {self.tool.in_home('copilot login')}, or set FFE_PLUGINS__COPILOT__TOKEN"
