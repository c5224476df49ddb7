"""Notes for a briefing, all of them within one short time; what fails leaves a warning and no note."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from ffe_alphavantage.api import Api, api_of
from ffe_alphavantage.macro import figures
from ffe_alphavantage.news import read_news, ticker_of
from ffe_alphavantage.settings import AlphaVantageSettings
from ffe_core import BriefRequest, FfeError, NotConfigured, Note, PluginContext, RateLimited

#: the span of news ends after the instant itself
_MOMENT = timedelta(microseconds=1)


def notes_for(
    request: BriefRequest,
    settings: AlphaVantageSettings,
    context: PluginContext,
    *,
    api: Api | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> list[Note]:
    """News of the asset, then the figures. Raises nothing that ``Api`` does: each failure is one warning."""
    asked = api or api_of(settings, context)
    until = monotonic() + settings.brief_timeout
    notes: list[Note] = []
    for what, read in _questions(request, settings, asked):
        left = until - monotonic()
        if left <= 0:
            context.log.warning(f"alphavantage: no time was left for {what}; the next run goes on from here")
            break
        try:
            notes += read(left)
        except FfeError as error:
            context.log.warning(f"no {what}: {error.message}")
            if isinstance(error, NotConfigured | RateLimited):
                # What comes next would be refused as well.
                break
    return notes


def _questions(
    request: BriefRequest, settings: AlphaVantageSettings, api: Api
) -> list[tuple[str, Callable[[float], tuple[Note, ...]]]]:
    reserve = settings.reserve

    def news(timeout: float) -> tuple[Note, ...]:
        since = request.as_of - timedelta(hours=settings.news.max_age)
        found = read_news(api, request.asset, since, request.as_of + _MOMENT, timeout=timeout, reserve=reserve)
        return found.notes

    def figure(name: str) -> Callable[[float], tuple[Note, ...]]:
        return lambda timeout: figures(api, name, request.as_of, timeout=timeout, reserve=reserve)

    asked: list[tuple[str, Callable[[float], tuple[Note, ...]]]] = []
    if settings.news.limit and ticker_of(request.asset, settings.symbols) is not None:
        asked.append((f"news of {request.asset}", news))
    return [*asked, *((name.lower().replace("_", " "), figure(name)) for name in settings.macro)]
