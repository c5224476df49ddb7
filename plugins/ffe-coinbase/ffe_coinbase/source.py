"""Candles and quotes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from ffe_coinbase.api import Api, complaint, explain, part
from ffe_coinbase.parse import Bar, parse_book, parse_candles
from ffe_coinbase.products import product_id, serves
from ffe_coinbase.settings import CoinbaseSettings
from ffe_core import Asset, BadData, Candles, NoData, PluginContext, Quote, SourceFailed, Timeframe
from ffe_core.http import BadStatus, HttpError

GRANULARITY = {
    Timeframe.M1: "ONE_MINUTE",
    Timeframe.M5: "FIVE_MINUTE",
    Timeframe.M15: "FIFTEEN_MINUTE",
    Timeframe.M30: "THIRTY_MINUTE",
    Timeframe.H1: "ONE_HOUR",
    Timeframe.H4: "FOUR_HOUR",
    Timeframe.D1: "ONE_DAY",
}
#: bars of one call; the venue refuses more than 350
MOST = 300
#: calls in a row without a bar, after which nothing older is looked for
EMPTY_CALLS = 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CoinbaseSource:
    """Bars of the market that ``product`` names. A bucket without a trade is a gap, as the venue has it.

    The last bar may be incomplete: the venue does not mark it, its close tells. Without ``start`` and ``limit`` the
    last 300 bars come.
    """

    name = "coinbase"

    def __init__(self, settings: CoinbaseSettings, context: PluginContext) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context.http, context.clock)

    def serves(self, asset: Asset) -> bool:
        return serves(asset, self._settings)

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        product = self._product(asset)
        now = self._context.clock.now()
        # Nothing opens after now, whatever the venue says.
        last = min(end, now + timedelta(milliseconds=1)) if end is not None else now + timedelta(milliseconds=1)
        most = MOST if limit is None and start is None else limit
        bars: dict[int, Bar] = {}
        for page in self._pages(product, timeframe, start, last):
            for bar in page:
                # The page that was read first is the newer; what two have in common is alike but for the newest bar.
                bars.setdefault(bar[0], bar)
            if most is not None and len(_within(bars, start, last)) >= most:
                break
        times = _within(bars, start, last)
        kept = [bars[time] for time in (times if most is None else times[len(times) - min(most, len(times)) :])]
        if not kept:
            raise NoData(f"coinbase has no {timeframe} candles of {asset} in that span")
        return _candles(asset, timeframe, kept, now)

    def quote(self, asset: Asset) -> Quote:
        product = self._product(asset)
        try:
            found = read_quote(self._api, asset, product, self.name)
        except HttpError as error:
            raise self._failure(error, product) from error
        if found is None:
            raise NoData(f"coinbase has no bid and ask of {product}")
        return found

    def _product(self, asset: Asset) -> str:
        product = product_id(asset, self._settings)
        if product is None or not self.serves(asset):
            hint = "name its contract in plugins.coinbase.contracts" if self._settings.product == "futures" else None
            raise NoData(f"coinbase has no {self._settings.product} market of {asset}", hint=hint)
        return product

    def _pages(self, product: str, timeframe: Timeframe, start: datetime | None, end: datetime) -> Iterator[list[Bar]]:
        """Backwards from ``end``. Whether the venue counts the end of a span to it or not, no bar is missed.

        Two spans share the stamp where they meet: it is in one of them at least.
        """
        length = timeframe.milliseconds // 1000
        newest = -(-_seconds(end) // length) * length
        oldest = None if start is None else -(-_seconds(start) // length) * length
        empty = 0
        while (oldest is None or newest > oldest) and newest > 0 and empty < EMPTY_CALLS:
            first = newest - (MOST - 1) * length
            first = max(first, 0 if oldest is None else oldest)
            page = self._page(product, timeframe, first, newest)
            yield page
            # Within a span that was asked for, holes are no end.
            empty = 0 if page or oldest is not None else empty + 1
            newest = first

    def _page(self, product: str, timeframe: Timeframe, first: int, last: int) -> list[Bar]:
        asked = {"start": str(first), "end": str(last), "granularity": GRANULARITY[timeframe], "limit": MOST}
        try:
            return parse_candles(self._api.market(f"/products/{part(product)}/candles", asked))
        except HttpError as error:
            raise self._failure(error, product) from error

    def _failure(self, error: HttpError, product: str) -> NoData | SourceFailed:
        if isinstance(error, BadStatus) and is_unknown_product(error):
            return NoData(f"coinbase has no market {product}")
        message, hint = explain(error, ed25519=self._api.uses_ed25519)
        return SourceFailed(message, hint=hint)


def read_quote(api: Api, asset: Asset, product: str, source: str) -> Quote | None:
    """The best bid and ask; ``None`` where there is no such product or one of both is missing. Raises ``HttpError``."""
    try:
        if api.has_key:
            body = api.get("/best_bid_ask", {"product_ids": [product]})
        else:
            body = api.public("/market/product_book", {"product_id": product, "limit": 1})
    except BadStatus as error:
        if is_unknown_product(error):
            return None
        raise
    return parse_book(asset, product, body, source, api.clock.now())


def is_unknown_product(error: BadStatus) -> bool:
    if error.status == 404:
        return True
    said = complaint(error).lower()
    return error.status == 400 and "product" in said and "invalid" in said


def _within(bars: dict[int, Bar], start: datetime | None, end: datetime) -> list[int]:
    first = 0 if start is None else _milliseconds(start)
    return sorted(time for time in bars if first <= time < _milliseconds(end))


def _candles(asset: Asset, timeframe: Timeframe, bars: list[Bar], now: datetime) -> Candles:
    time, open_, high, low, close, volume = zip(*bars, strict=True)
    length = timeframe.milliseconds
    for stamp, *prices in bars:
        _require_sound(asset, stamp, length, prices)
    return Candles.of(
        asset,
        timeframe,
        "coinbase",
        time=time,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        fetched_at=now,
    )


def _require_sound(asset: Asset, stamp: int, length: int, bar: list[float]) -> None:
    open_, high, low, close, volume = bar
    at = f"{_EPOCH + timedelta(milliseconds=stamp):%Y-%m-%dT%H:%MZ}"
    if stamp % length:
        raise BadData(f"coinbase: the bar of {asset} at {at} is off the grid of its timeframe")
    if not (0 < low <= min(open_, close) and max(open_, close) <= high < float("inf") and volume >= 0):
        raise BadData(f"coinbase: the bar of {asset} at {at} is inconsistent: {bar}")


def _milliseconds(at: datetime) -> int:
    """Rounded up: the first whole millisecond that is not before ``at``."""
    return -((_EPOCH - at) // timedelta(milliseconds=1))


def _seconds(at: datetime) -> int:
    return -((_EPOCH - at) // timedelta(seconds=1))
