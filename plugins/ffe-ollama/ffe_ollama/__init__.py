"""A provider for ffe: a language model on the user's own machine, under Ollama. It never pulls a model by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_core import AIProvider, PluginContext
    from ffe_ollama.settings import OllamaSettings


@hookimpl
def ffe_settings() -> type[OllamaSettings]:
    from ffe_ollama.settings import OllamaSettings

    return OllamaSettings


@hookimpl
def ffe_ai_providers(settings: OllamaSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_ollama.provider import Ollama

    return [Ollama(settings, context.http)]
