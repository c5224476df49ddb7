"""The data source: candles by paging that steps over closed weeks, and quotes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ffe_core import (
    Asset,
    BadData,
    BadStatus,
    Candles,
    DayBoundary,
    HttpError,
    NoData,
    PluginContext,
    Quote,
    SourceFailed,
    Timeframe,
)
from ffe_oanda.api import Api
from ffe_oanda.pages import backward, forward
from ffe_oanda.parse import (
    GRANULARITIES,
    Bar,
    instrument_of,
    parse_candles,
    parse_prices,
    parse_quote,
    served,
)
from ffe_oanda.settings import OandaSettings


class OandaSource:
    """Mid prices, ticks for volume. Up to 4h bars lie on the UTC grid; days of forex end at 17:00 in New York.

    Raises ``NotConfigured`` without a token, ``NoData`` for instruments that the service does not know, and
    ``SourceFailed`` where it fails.
    """

    name = "oanda"
    #: slow to ask: the host keeps what was fetched
    remote = True

    def __init__(self, settings: OandaSettings, context: PluginContext) -> None:
        self._api = Api(settings, context)
        self._clock = context.clock

    def serves(self, asset: Asset) -> bool:
        return served(asset)

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        """Bars that open in ``[start, end)``, the last ``limit`` of them, the one that is forming among them."""
        if not served(asset):
            raise NoData(f"oanda has no {asset}")
        now = self._clock.now()
        bars = self._bars(asset, timeframe, _ms(start), _ms(end), _epoch(now), limit)
        made = _series(asset, timeframe, bars, now).between(start, end)
        if not len(made):
            raise NoData(f"oanda has no {timeframe} bars of {asset} in that span")
        return made if limit is None else made.tail(limit)

    def quote(self, asset: Asset) -> Quote:
        """Best bid and ask with the service's own time, which is old while the market is closed."""
        if not served(asset):
            raise NoData(f"oanda has no {asset}")
        instrument = instrument_of(asset)
        body = self._asked(asset, lambda: self._api.of_account("/pricing", {"instruments": instrument}))
        price = parse_prices(body).get(instrument)
        if price is None:
            raise NoData(f"oanda has no price of {asset}")
        return parse_quote(price, asset, self.name)

    def _bars(
        self, asset: Asset, timeframe: Timeframe, start: int | None, end: int | None, now: int, limit: int | None
    ) -> list[Bar]:
        instrument = instrument_of(asset)
        fixed = {"price": "M", "granularity": GRANULARITIES[timeframe], **_alignment(asset, timeframe)}

        def ask(chosen: dict[str, object]) -> list[Bar]:
            body = self._asked(asset, lambda: self._api.get(f"/instruments/{instrument}/candles", fixed | chosen))
            return parse_candles(body, instrument, timeframe)

        if start is not None and limit is None:
            until = now + 1 if end is None else min(end, now + 1)
            found = list(forward(ask, timeframe, asset.kind, start, until))
        else:
            found = backward(ask, timeframe, start, end, now, limit)
        # A bar whose time is over and which the service still calls incomplete may yet change.
        return [bar for bar in found if bar.complete or timeframe.close_of(bar.time, asset.kind) > now]

    def _asked(self, asset: Asset, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except BadStatus as error:
            raise self._refused(error, asset) from error
        except HttpError as error:
            raise SourceFailed(f"oanda: {error.message}", hint=error.hint) from error

    def _refused(self, error: BadStatus, asset: Asset) -> NoData | SourceFailed:
        said = self._api.complaint(error).message
        if error.status == 401:
            return SourceFailed(
                "oanda: the token in plugins.oanda.api_key is not accepted",
                hint="each token belongs to one environment, practice or live; was it copied whole, or revoked?",
            )
        if error.status == 403:
            return SourceFailed(
                f"oanda: the token may not read this: {said}", hint="is plugins.oanda.account_id yours?"
            )
        if error.status in (400, 404) and "instrument" in said.lower():
            return NoData(f"oanda has no {asset}: {said}")
        return SourceFailed(f"oanda: {error.message}", hint=error.hint)


def _alignment(asset: Asset, timeframe: Timeframe) -> dict[str, object]:
    """Where bars longer than an hour begin; unasked, all of them would follow New York's day."""
    if timeframe is Timeframe.D1 and DayBoundary.of(asset.kind) is DayBoundary.NEW_YORK_17:
        return {"dailyAlignment": 17, "alignmentTimezone": "America/New_York"}
    return {"dailyAlignment": 0, "alignmentTimezone": "UTC"}


def _series(asset: Asset, timeframe: Timeframe, bars: Sequence[Bar], now: datetime) -> Candles:
    for bar in bars:
        if timeframe.open_of(bar.time, asset.kind) != bar.time:
            raise BadData(f"oanda: a {timeframe} bar of {asset} begins beside the grid, at {bar.time} ms")
        if not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
            raise BadData(f"oanda: the {timeframe} bar of {asset} at {bar.time} ms contradicts itself")
    try:
        return Candles.of(
            asset,
            timeframe,
            OandaSource.name,
            time=[bar.time for bar in bars],
            open=[bar.open for bar in bars],
            high=[bar.high for bar in bars],
            low=[bar.low for bar in bars],
            close=[bar.close for bar in bars],
            volume=[bar.volume for bar in bars],
            fetched_at=now,
            day_boundary=DayBoundary.of(asset.kind),
        )
    except ValueError as error:
        raise BadData(str(error)) from None


def _ms(at: datetime | None) -> int | None:
    return None if at is None else _epoch(at)


def _epoch(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
