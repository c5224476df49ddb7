"""OANDA for ffe: candles and quotes of forex pairs and metals, through the v20 API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_core import DataSource, PluginContext
    from ffe_oanda.settings import OandaSettings


@hookimpl
def ffe_settings() -> type[OandaSettings]:
    from ffe_oanda.settings import OandaSettings

    return OandaSettings


@hookimpl
def ffe_data_sources(settings: OandaSettings, context: PluginContext) -> Iterable[DataSource]:
    from ffe_oanda.source import OandaSource

    return [OandaSource(settings, context)]
