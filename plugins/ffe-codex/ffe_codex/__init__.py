"""Codex as a provider for ffe: asked on standard input, without tools, files or the user's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import hookimpl

# The rest is imported by who needs it: every command that uses plugins imports this module.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ffe_codex.settings import CodexSettings
    from ffe_core import AIProvider, PluginContext

INSTALL = "npm install -g @openai/codex"
#: what ``ffe plugins doctor`` looks for
TOOLS = {"codex": INSTALL}


@hookimpl
def ffe_settings() -> type[CodexSettings]:
    from ffe_codex.settings import CodexSettings

    return CodexSettings


@hookimpl
def ffe_ai_providers(settings: CodexSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_codex.api import Codex

    return [Codex.of(settings, context, install=INSTALL)]
