"""The data source: candles, and news and figures for who asks for them by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from ffe_alphavantage.answers import Answer
from ffe_alphavantage.api import Api, Premium, api_of
from ffe_alphavantage.macro import figures
from ffe_alphavantage.markets import COMPACT, INTERVALS, NEW_YORK, Market, market_of
from ffe_alphavantage.news import read_news
from ffe_alphavantage.parse import Bar, parse_days, parse_intraday, parse_sheet
from ffe_alphavantage.settings import AlphaVantageSettings
from ffe_core import (
    Asset,
    AssetKind,
    BadData,
    Candles,
    DayBoundary,
    NoData,
    Note,
    PluginContext,
    Timeframe,
)

#: days that an intraday answer without a month reaches back, less a margin
_TRAILING = timedelta(days=27)
#: months asked for in a row, at most, and those without a bar after which nothing older is looked for
_MONTHS, _EMPTY_MONTHS = 36, 2
_MONTH_KEPT = 86_400.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class AlphaVantageSource:
    """Stocks as they traded, not adjusted for splits or dividends; currencies and coins.

    Days of a stock are its sessions, days of coins and currencies those of UTC. The last bar may be incomplete.
    Raises ``NotConfigured`` without a key, ``RateLimited`` where its plan allows no more calls today, ``NoData`` for
    what the service or the plan does not have, and ``SourceFailed`` where it fails.
    """

    name = "alphavantage"
    #: slow to ask: the host keeps what was fetched
    remote = True

    def __init__(self, settings: AlphaVantageSettings, context: PluginContext, *, api: Api | None = None) -> None:
        self._settings = settings
        self._clock = context.clock
        self._api = api or api_of(settings, context)

    def serves(self, asset: Asset) -> bool:
        return self._market(asset) is not None

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        """Bars that open in ``[start, end)``, the last ``limit`` of them, the one that is forming among them."""
        market = self._market(asset)
        if market is None:
            raise NoData(f"alphavantage has no {asset}")
        if start is not None and end is not None and start >= end:
            raise NoData("alphavantage: that span is empty")
        if timeframe is Timeframe.D1:
            found = self._days(asset, market, start, end, limit)
        elif timeframe in INTERVALS:
            found = self._intraday(asset, market, timeframe, start, end, limit)
        else:
            raise NoData(f"alphavantage has no {timeframe} bars; they are made of shorter ones")
        made = found.between(start, end)
        if not len(made):
            raise NoData(f"alphavantage has no {timeframe} bars of {asset} in that span", hint=_first(found))
        return made if limit is None else made.tail(limit)

    def news(self, asset: Asset, since: datetime, until: datetime) -> Sequence[Note]:
        """Articles that were published in ``[since, until)`` and what they come to; untrusted and measured notes."""
        return read_news(self._api, asset, since, until).notes

    def macro(self, until: datetime) -> Sequence[Note]:
        """The newest figure of each indicator that was known at ``until``."""
        return [note for name in self._settings.macro for note in figures(self._api, name, until)]

    def _market(self, asset: Asset) -> Market | None:
        return market_of(asset, self._settings.symbols, extended_hours=self._settings.extended_hours)

    # days

    def _days(
        self, asset: Asset, market: Market, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        now = self._clock.now()
        rows = _rows_back(Timeframe.D1, start, end, limit, now)
        remarks: tuple[str, ...] = ()
        if not market.sized:
            answer = self._ask_days(market, "")
        elif rows is not None and rows <= COMPACT:
            answer = self._ask_days(market, "compact")
        else:
            try:
                answer = self._ask_days(market, "full")
            except Premium:
                answer = self._ask_days(market, "compact")
                remarks = (f"the last {COMPACT} days only: older ones need a premium key",)
        sheet = parse_sheet(answer.body, market.daily[1])
        sheet.require(**market.told)
        return _series(
            asset, Timeframe.D1, parse_days(sheet, market.currency), now, market.require_days(sheet), remarks
        )

    def _ask_days(self, market: Market, size: str) -> Answer:
        function, wanted = market.daily
        params = {"function": function, **market.names, **({"outputsize": size} if size else {})}
        closed = _last_close(market, self._clock.now())
        return self._api.ask(params, wanted, keep=self._settings.keep_days, since=closed)

    # within days

    def _intraday(
        self,
        asset: Asset,
        market: Market,
        timeframe: Timeframe,
        start: datetime | None,
        end: datetime | None,
        limit: int | None,
    ) -> Candles:
        # A session begins at half past, so that its hours are not those of the grid; its half hours are.
        halves = market.kind is AssetKind.STOCK and timeframe is Timeframe.H1 and not self._settings.extended_hours
        asked = Timeframe.M30 if halves else timeframe
        wanted = None if limit is None else (limit + 1) * (2 if halves else 1)
        bars: dict[int, Bar] = {}
        for page in self._pages(market, asked, start, end, wanted):
            for bar in page:
                # The page that was read first is the newer one.
                bars.setdefault(bar.time, bar)
            if wanted is not None and sum(1 for time in bars if end is None or time < _ms(end)) >= wanted:
                break
        ordered = [bars[time] for time in sorted(bars)]
        made = _series(asset, asked, ordered, self._clock.now(), DayBoundary.of(asset.kind))
        return made.resample(timeframe) if halves else made

    def _pages(
        self, market: Market, timeframe: Timeframe, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Iterator[list[Bar]]:
        """Newest first: the trailing answer where the span touches it, then month by month where there are months."""
        now = self._clock.now()
        rows = _rows_back(timeframe, start, end, limit, now)
        brief = rows is not None and rows <= COMPACT
        oldest = now - _TRAILING
        touched = end is None or end > oldest
        if touched or not market.has_months:
            yield self._page(market, timeframe, "compact" if brief else "full", None)
        if (
            brief
            or not market.has_months
            or (start is not None and start >= oldest)
            or (start is None and limit is None)
        ):
            return
        empty = 0
        newest = oldest if touched or end is None else end
        for month in _months_back(newest, start):
            page = self._page(market, timeframe, "full", month)
            yield page
            # Within a span that was asked for, a month without a bar is no end.
            empty = 0 if page or start is not None else empty + 1
            if empty >= _EMPTY_MONTHS:
                return

    def _page(self, market: Market, timeframe: Timeframe, size: str, month: str | None) -> list[Bar]:
        interval = INTERVALS[timeframe]
        params = {
            "function": market.intraday,
            **market.names,
            "interval": interval,
            "outputsize": size,
            **market.intraday_only,
            **({"month": month} if month else {}),
        }
        wanted = market.series.format(interval)
        over = month is not None and month < f"{self._clock.now().astimezone(NEW_YORK):%Y-%m}"
        try:
            answer = self._api.ask(params, wanted, keep=_MONTH_KEPT if over else self._settings.keep_bars)
        except Premium:
            raise
        except NoData:
            # A month before the first, or to come, is refused as a mistake.
            if month is None:
                raise
            return []
        sheet = parse_sheet(answer.body, wanted)
        sheet.require(**market.told, Interval=interval)
        return parse_intraday(sheet, market.currency)


def _rows_back(
    timeframe: Timeframe, start: datetime | None, end: datetime | None, limit: int | None, now: datetime
) -> int | None:
    """Rows from the newest back to the oldest that is wanted, at most; ``None`` where nothing bounds them."""

    def between(since: datetime) -> int:
        return max(0, (now - since) // timeframe.timedelta) + 2

    bounds = [between(start)] if start is not None else []
    if limit is not None:
        bounds.append(limit + (0 if end is None or end >= now else between(end)))
    return min(bounds, default=None)


def _months_back(newest: datetime, start: datetime | None) -> Iterator[str]:
    """``2024-03``, ``2024-02``, ... of the exchange's calendar, down to that of ``start``."""
    last = newest.astimezone(NEW_YORK)
    first = None if start is None else f"{start.astimezone(NEW_YORK):%Y-%m}"
    year, month = last.year, last.month
    for _ in range(_MONTHS if first is None else 12 * 100):
        written = f"{year:04}-{month:02}"
        if first is not None and written < first:
            return
        yield written
        year, month = (year, month - 1) if month > 1 else (year - 1, 12)


def _last_close(market: Market, now: datetime) -> datetime:
    """When the newest complete day ended: what was told before knows nothing of it."""
    kind = AssetKind.STOCK if market.kind is AssetKind.STOCK else AssetKind.CRYPTO
    at = _ms(now)
    label = Timeframe.D1.open_of(at, kind)
    closed = Timeframe.D1.close_of(label, kind)
    while closed > at:
        label = Timeframe.D1.open_of(label - 1, AssetKind.CRYPTO)
        closed = Timeframe.D1.close_of(label, kind)
    return _EPOCH + timedelta(milliseconds=closed)


def _series(
    asset: Asset,
    timeframe: Timeframe,
    bars: Sequence[Bar],
    now: datetime,
    boundary: DayBoundary,
    remarks: Sequence[str] = (),
) -> Candles:
    for bar in bars:
        if timeframe is not Timeframe.D1 and timeframe.open_of(bar.time) != bar.time:
            raise BadData(f"alphavantage: a {timeframe} bar of {asset} begins beside the grid, at {bar.time} ms")
    try:
        return Candles.of(
            asset,
            timeframe,
            AlphaVantageSource.name,
            time=[bar.time for bar in bars],
            open=[bar.open for bar in bars],
            high=[bar.high for bar in bars],
            low=[bar.low for bar in bars],
            close=[bar.close for bar in bars],
            volume=[bar.volume for bar in bars],
            fetched_at=now,
            day_boundary=boundary,
            remarks=remarks,
        )
    except ValueError as error:
        raise BadData(str(error)) from None


def _first(found: Candles) -> str | None:
    if not len(found):
        return None
    told = f"its first is of {_EPOCH + timedelta(milliseconds=found.time[0]):%Y-%m-%d}"
    return "; ".join((told, *found.remarks))


def _ms(at: datetime) -> int:
    """Rounded up: the first whole millisecond that is not before ``at``."""
    return -((_EPOCH - at) // timedelta(milliseconds=1))
