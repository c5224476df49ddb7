"""Alpha Vantage for ffe: candles of stocks, currencies and coins, news with their sentiment, macro figures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ffe_core import hookimpl

if TYPE_CHECKING:
    from ffe_alphavantage.settings import AlphaVantageSettings
    from ffe_core import BriefRequest, DataSource, Note, PluginContext


@hookimpl
def ffe_settings() -> type[AlphaVantageSettings]:
    from ffe_alphavantage.settings import AlphaVantageSettings

    return AlphaVantageSettings


@hookimpl
def ffe_data_sources(settings: AlphaVantageSettings, context: PluginContext) -> Iterable[DataSource]:
    from ffe_alphavantage.source import AlphaVantageSource

    return [AlphaVantageSource(settings, context)]


@hookimpl
def ffe_brief(request: BriefRequest, settings: AlphaVantageSettings, context: PluginContext) -> Iterable[Note]:
    # Without a key nothing is asked, and nothing is said about it: the source says so where it is wanted.
    if not settings.key:
        return []
    from ffe_alphavantage.brief import notes_for

    return notes_for(request, settings, context)
