"""OANDA for ffe: candles and quotes of forex pairs and metals, and a platform that trades them, by the v20 API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_core import DataSource, Platform, PluginContext
    from ffe_oanda.settings import OandaSettings


@hookimpl
def ffe_settings() -> type[OandaSettings]:
    from ffe_oanda.settings import OandaSettings

    return OandaSettings


@hookimpl
def ffe_data_sources(settings: OandaSettings, context: PluginContext) -> Iterable[DataSource]:
    from ffe_oanda.source import OandaSource

    return [OandaSource(settings, context)]


@hookimpl
def ffe_platforms(settings: OandaSettings, context: PluginContext) -> Iterable[Platform]:
    from ffe_oanda.platform import OandaPlatform

    return [OandaPlatform(settings, context)]
