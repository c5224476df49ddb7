"""Copilot as a provider for ffe: asked on standard input, without tools, files or the user's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import hookimpl

# The rest is imported by who needs it: every command that uses plugins imports this module.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ffe_copilot.settings import CopilotSettings
    from ffe_core import AIProvider, PluginContext

INSTALL = "npm install -g @github/copilot"
#: what ``ffe plugins doctor`` looks for
TOOLS = {"copilot": INSTALL}


@hookimpl
def ffe_settings() -> type[CopilotSettings]:
    from ffe_copilot.settings import CopilotSettings

    return CopilotSettings


@hookimpl
def ffe_ai_providers(settings: CopilotSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_copilot.api import Copilot

    return [Copilot.of(settings, context, install=INSTALL)]
