"""Copilot as a provider for ffe: asked on standard input, without tools, files or the user's environment."""

from __future__ import annotations

from collections.abc import Iterable

from ffe_copilot.settings import CopilotSettings
from ffe_core import AIProvider, PluginContext, hookimpl

INSTALL = "npm install -g @github/copilot"
#: what ``ffe plugins doctor`` looks for
TOOLS = {"copilot": INSTALL}


@hookimpl
def ffe_settings() -> type[CopilotSettings]:
    return CopilotSettings


@hookimpl
def ffe_ai_providers(settings: CopilotSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_copilot.api import Copilot

    return [Copilot.of(settings, context, install=INSTALL)]
