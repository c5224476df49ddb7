"""A provider for ffe: a model of Google's, through the Gemini API with a key or through the command-line tool."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_core import AIProvider, PluginContext
    from ffe_gemini.settings import GeminiSettings


INSTALL = "npm install -g @google/gemini-cli"


@hookimpl
def ffe_settings() -> type[GeminiSettings]:
    from ffe_gemini.settings import GeminiSettings

    return GeminiSettings


@hookimpl
def ffe_ai_providers(settings: GeminiSettings, context: PluginContext) -> Iterable[AIProvider]:
    if settings.transport == "cli":
        from ffe_gemini.cli import GeminiTool

        return [GeminiTool.of(settings, context, install=INSTALL)]
    from ffe_gemini.provider import Gemini

    return [Gemini(settings, context)]
