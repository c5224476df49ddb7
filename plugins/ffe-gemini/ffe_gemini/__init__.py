"""A provider for ffe: a model of Google's, through the Gemini API with a key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_core import AIProvider, PluginContext
    from ffe_gemini.settings import GeminiSettings


@hookimpl
def ffe_settings() -> type[GeminiSettings]:
    from ffe_gemini.settings import GeminiSettings

    return GeminiSettings


@hookimpl
def ffe_ai_providers(settings: GeminiSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_gemini.provider import Gemini

    return [Gemini(settings, context)]
