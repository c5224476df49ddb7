"""Qwen Code as a provider for ffe: asked on standard input, without tools, files or the user's environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import hookimpl

# The rest is imported by who needs it: every command that uses plugins imports this module.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ffe_core import AIProvider, PluginContext
    from ffe_qwen.settings import QwenSettings

INSTALL = "npm install -g @qwen-code/qwen-code"
#: what ``ffe plugins doctor`` looks for
TOOLS = {"qwen": INSTALL}


@hookimpl
def ffe_settings() -> type[QwenSettings]:
    from ffe_qwen.settings import QwenSettings

    return QwenSettings


@hookimpl
def ffe_ai_providers(settings: QwenSettings, context: PluginContext) -> Iterable[AIProvider]:
    from ffe_qwen.api import Qwen

    return [Qwen.of(settings, context, install=INSTALL)]
