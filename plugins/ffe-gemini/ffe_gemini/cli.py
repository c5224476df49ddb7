"""Asking Google's command-line tool: how every tool is taken away from it, and what its ends mean."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
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
    ToolLate,
    ToolRun,
    Workplace,
    consult,
)
from ffe_gemini.output import answer_of, fault_in
from ffe_gemini.quota import Quota, spent
from ffe_gemini.settings import BASE_URL, GeminiSettings

_ALWAYS = (
    *("-p", "Answer with one JSON object."),
    *"--output-format json --skip-trust --approval-mode plan -e none".split(),
)
#: below the tool's home: what it is told, and what signing in leaves there
SETTINGS, SIGN_IN = ".gemini/settings.json", ".gemini/oauth_creds.json"
#: the tool's exit code where it is told no way to sign in; those of the API are statuses modulo 256
NO_SIGN_IN = 41
_STATUSES = {status % 256: status for status in (400, 401, 403, 404, 429, 500, 503)}
_DAILY = re.compile(r"daily quota|perday", re.IGNORECASE)
_LIMITED = re.compile(
    r"exceeded your current quota|resource_exhausted|rate.limit|(status|code)\W{1,3}429", re.IGNORECASE
)
_SIGNED_OUT = re.compile(r"api[_ ]key|auth method|\b401\b|\b403\b|unauthenticated|log ?in", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GeminiTool:
    """Asks ``gemini``, with a key or by its own sign-in in the plugin's state folder.

    The tool asks a newer model in place of some that it is told, and says nothing of it: the opinion names the model
    that was asked for.
    """

    settings: GeminiSettings = field(repr=False)
    tool: Tool
    name: str = "gemini"
    local: bool = True

    @classmethod
    def of(cls, settings: GeminiSettings, context: PluginContext, *, install: str) -> Self:
        environment = {name: value.get_secret_value() for name, value in settings.environment.items()}
        if settings.key:
            environment["GEMINI_API_KEY"] = settings.key
        secrets = tuple(environment.values())
        if settings.base_url != BASE_URL:
            # The tool adds the version itself.
            environment["GOOGLE_GEMINI_BASE_URL"] = re.sub(r"/v1(beta)?/?$", "", settings.base_url)
        if settings.ca_file:
            environment["NODE_EXTRA_CA_CERTS"] = str(settings.ca_file)
        return cls(settings, Tool("gemini", settings.command, install, context, environment, secrets))

    @property
    def model(self) -> str:
        return self.settings.model

    @property
    def per_minute(self) -> int | None:
        return self.settings.most_per_minute

    @property
    def per_day(self) -> int | None:
        return self.settings.most_per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        until = self._quota.spent_until(self.tool.context.clock.now())
        if until is not None:
            raise spent(self.model, until)
        self.tool.found()
        self._require_sign_in()
        self._tell_it()
        with self.tool.workplace() as place:

            def question(prompt: Prompt, left: float) -> ModelAnswer:
                return self._answer(place, prompt, left)

            return consult(
                question,
                briefing,
                provider=self.name,
                model=self.model,
                timeout=min(timeout, self.settings.timeout),
                max_tokens=self.settings.max_prompt,
            )

    def check(self, *, timeout: float) -> Readiness:
        seen = self.tool.look(timeout=timeout)
        if not seen.ready:
            return seen
        try:
            self._require_sign_in()
        except ProviderFailed as error:
            told = f"{seen.detail}; {error.message}"
            return replace(seen, signed_in=False, detail=told, hint=error.hint)
        how = "a key is set, untried" if self._has_key else "has a sign-in"
        return replace(seen, signed_in=True, detail=f"{seen.detail}; {how}")

    @property
    def _has_key(self) -> bool:
        return "GEMINI_API_KEY" in self.tool.environment

    @property
    def _quota(self) -> Quota:
        return Quota(self.tool.context.state_dir, self.model, self.tool.environment.get("GEMINI_API_KEY", ""))

    def _require_sign_in(self) -> None:
        """A tool that is signed out would open a browser, so its sign-in is looked for."""
        if not self._has_key and not (self.tool.home / SIGN_IN).is_file():
            raise ProviderFailed("gemini is not signed in", hint=self._how_to_sign_in())

    def _tell_it(self) -> None:
        """Its settings, which alone can empty its list of tools; they name the way to sign in, or it takes another."""
        settings = {
            "security": {"auth": {"selectedType": "gemini-api-key" if self._has_key else "oauth-personal"}},
            "tools": {"core": []},
            "mcpServers": {},
            "general": {"enableAutoUpdate": False},
            "privacy": {"usageStatisticsEnabled": False},
        }
        path, text = self.tool.home / SETTINGS, json.dumps(settings)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            if not path.is_file() or path.read_text("utf-8", "replace") != text:
                _write_whole(path, text)
        except OSError as error:
            raise ProviderFailed(f"{path} cannot be written: {error.strerror}") from error

    def _answer(self, place: Workplace, prompt: Prompt, timeout: float) -> ModelAnswer:
        try:
            ran = place.run(["-m", self.model, *_ALWAYS], text=prompt.text, timeout=timeout)
        except ToolLate as error:
            # It waits and asks again for longer than anybody waits for a decision.
            if _LIMITED.search(error.complaint):
                raise ProviderFailed(f"gemini is rate limited: {error.message}") from error
            raise
        if ran.code:
            raise self._failure(ran)
        return answer_of(ran.output)

    def _failure(self, ran: ToolRun) -> ProviderFailed:
        reason = fault_in(ran.complaint)
        told = f"{reason} {ran.reason}"
        status = _STATUSES.get(ran.code)
        if _DAILY.search(f"{told} {ran.complaint}") and (status == 429 or _LIMITED.search(ran.complaint)):
            return spent(self.model, self._quota.spend(self.tool.context.clock.now()))
        if status == 429 or _LIMITED.search(told):
            return ran.failure(f"rate limited: {reason or ran.reason}")
        if status == 404 or "is not found for API version" in told:
            return ran.failure(reason, hint="set plugins.gemini.model to one that the API has")
        if ran.code == NO_SIGN_IN or status in (401, 403) or _SIGNED_OUT.search(told):
            return ran.failure(reason, hint=self._how_to_sign_in())
        return ran.failure(reason)

    def _how_to_sign_in(self) -> str:
        if self._has_key:
            return "check plugins.gemini.api_key"
        return f"sign in by {self.tool.in_home('gemini')}, or put GEMINI_API_KEY=... into .env"


def _write_whole(path: Path, text: str) -> None:
    """Another run may be reading."""
    import os
    import tempfile

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
