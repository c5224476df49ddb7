"""Asking Codex: which flags take every tool away from it, and how it is told what to answer."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import Self

from ffe_codex.parse import answer_of, fault_in, features_in
from ffe_codex.settings import CodexSettings
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
    reply_schema,
    time_left,
)

#: the variable in which a server of the user's own finds its key
KEY = "FFE_CODEX_KEY"
#: the sandbox lets every file be read: without this feature to switch off, a headline could ask for one
SHELL = "shell_tool"
#: what else would give the model hands; names come and go, so only those that this Codex lists are passed
HANDS = (
    "apps browser_use computer_use goals hooks image_generation multi_agent plugins remote_plugin skill_search "
    "sleep_tool tool_suggest unified_exec view_image"
).split()
_ALWAYS = (
    "exec --json --ephemeral --ignore-user-config --ignore-rules --skip-git-repo-check --sandbox read-only "
    "--color never"
).split()
_SIGNED_OUT = re.compile(r"\b401\b|not logged in|unauthori[sz]ed|log ?in again|refresh token", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Codex:
    """Asks ``codex exec``. Its own sign-in lives in the plugin's state folder."""

    settings: CodexSettings = field(repr=False)
    tool: Tool
    name: str = "codex"
    local: bool = True
    #: features by the file and its age: asking for them takes as long as a short answer
    _features: dict[tuple[str, float], frozenset[str]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, settings: CodexSettings, context: PluginContext, *, install: str) -> Self:
        environment = settings.variables(**{KEY if settings.base_url else "CODEX_API_KEY": settings.api_key})
        secrets = tuple(environment.values())
        if settings.ca_file:
            environment |= dict.fromkeys(("CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"), str(settings.ca_file))
        tool = Tool("codex", settings.command, install, context, environment, secrets)
        return cls(settings, tool)

    @property
    def model(self) -> str:
        return self.settings.model or "codex"

    @property
    def per_minute(self) -> int | None:
        return self.settings.per_minute

    @property
    def per_day(self) -> int | None:
        return self.settings.per_day

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        end = time.monotonic() + min(timeout, self.settings.timeout)
        with self.tool.workplace() as place:
            self._require_sign_in(place, end)
            hands = self._hands(place, end)

            def question(prompt: Prompt, left: float) -> ModelAnswer:
                return self._answer(place, prompt, hands, left)

            left = end - time.monotonic()
            return consult(question, briefing, provider=self.name, model=self.model, timeout=left)

    def check(self, *, timeout: float) -> Readiness:
        end = time.monotonic() + timeout
        seen = self.tool.look(timeout=timeout)
        if not seen.ready:
            return seen
        try:
            if self.settings.base_url:
                doors = self.tool.context.http
                return look_at_server(seen, self.name, self.settings, doors, timeout=time_left(end))
            with self.tool.workplace() as place:
                self._require_sign_in(place, end)
        except ProviderFailed as error:
            told = f"{seen.detail}; {error.message}"
            return replace(seen, signed_in=False, detail=told, hint=error.hint)
        how = "a key is set, untried" if self.settings.api_key else "signed in"
        return replace(seen, signed_in=True, detail=f"{seen.detail}; {how}")

    def _require_sign_in(self, place: Workplace, end: float) -> None:
        """Codex that is signed out waits for a network that never comes, so it is asked beforehand."""
        if self.settings.api_key or self.settings.base_url:
            return
        if place.run(["login", "status"], timeout=end - time.monotonic()).code:
            raise ProviderFailed("codex is not signed in", hint=self._how_to_sign_in())

    def _hands(self, place: Workplace, end: float) -> list[str]:
        file = self.tool.found()
        key = (str(file), file.stat().st_mtime)
        if key not in self._features:
            listed = place.run(["features", "list"], timeout=end - time.monotonic())
            if listed.code:
                raise listed.failure()
            self._features[key] = features_in(listed.output)
        if SHELL not in self._features[key]:
            raise ProviderFailed(
                f"this codex cannot be kept from reading files: it has no feature {SHELL} to switch off",
                hint="install the release that this plugin was made for: npm install -g @openai/codex@0.169",
            )
        return [SHELL, *(name for name in HANDS if name in self._features[key])]

    def _answer(self, place: Workplace, prompt: Prompt, hands: list[str], timeout: float) -> ModelAnswer:
        instructions = place.write("instructions.md", prompt.system)
        schema = place.write("schema.json", json.dumps(reply_schema(bounded=False)))
        arguments = [*_ALWAYS, "-C", str(place.cwd), "--output-schema", str(schema)]
        for name in hands:
            arguments += ["--disable", name]
        for line in (
            'web_search="disabled"',
            "project_doc_max_bytes=0",
            f"model_instructions_file={json.dumps(str(instructions))}",
            *self._server(),
        ):
            arguments += ["-c", line]
        if self.settings.model:
            arguments += ["-m", self.settings.model]
        ran = place.run([*arguments, "-"], text=prompt.user, timeout=timeout)
        if ran.code:
            reason = fault_in(ran.output) or ran.reason
            raise ran.failure(reason, hint=self._how_to_sign_in() if _SIGNED_OUT.search(reason) else None)
        return answer_of(ran.output)

    def _server(self) -> list[str]:
        if not self.settings.base_url:
            return []
        # A JSON text is a TOML text, too. Trying again is not Codex's to decide: it knows no deadline.
        members = [
            'name="ffe"',
            f"base_url={json.dumps(self.settings.base_url)}",
            'wire_api="responses"',
            "request_max_retries=0",
            "stream_max_retries=0",
            *([f'env_key="{KEY}"'] if self.settings.api_key else []),
        ]
        return ['model_provider="ffe"', f"model_providers.ffe={{{','.join(members)}}}"]

    def _how_to_sign_in(self) -> str:
        if self.settings.api_key:
            return "check plugins.codex.api_key"
        return f"sign in by {self.tool.in_home('codex login')}, or set FFE_PLUGINS__CODEX__API_KEY"
