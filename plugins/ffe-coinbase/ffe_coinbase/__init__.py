"""A data source and a venue for ffe: Coinbase Advanced Trade, spot or futures, with a CDP key."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_coinbase.settings import CoinbaseSettings
    from ffe_core import DataSource, Platform, PluginContext


@hookimpl
def ffe_settings() -> type[CoinbaseSettings]:
    from ffe_coinbase.settings import CoinbaseSettings

    return CoinbaseSettings


@hookimpl
def ffe_data_sources(settings: CoinbaseSettings, context: PluginContext) -> Iterable[DataSource]:
    from ffe_coinbase.source import CoinbaseSource

    return [CoinbaseSource(settings, context)]


@hookimpl
def ffe_platforms(settings: CoinbaseSettings, context: PluginContext) -> Iterable[Platform]:
    from ffe_coinbase.platform import CoinbasePlatform

    return [CoinbasePlatform(settings, context)]
