"""Codex as a provider for ffe: asked on standard input, without tools, files or the user's environment."""

from __future__ import annotations

from collections.abc import Iterable

from ffe_codex.settings import CodexSettings
from ffe_core import AIProvider, PluginContext, hookimpl

INSTALL = "npm install -g @openai/codex"
#: what ``ffe plugins doctor`` looks for
TOOLS = {"codex": INSTALL}


@hookimpl
def ffe_settings() -> type[CodexSettings]:
    return CodexSettings


@hookimpl
def ffe_ai_providers(settings: CodexSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_codex.api import Codex

    return [Codex.of(settings, context, install=INSTALL)]
