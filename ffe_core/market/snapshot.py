"""What the market looks like at the decision bar: the numbers that every decision starts from."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from ffe_core.analysis.regime import daily_volatility
from ffe_core.analysis.shape import candle_shape
from ffe_core.domain.assets import NEW_YORK, AssetKind, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles, Freshness, Market, MarketStatus, Quote
from ffe_core.errors import NoData
from ffe_core.market.feed import WHERE_FROM, FeedResult

_DAY = 86_400_000
#: a forex Monday looks back over the week-end; beyond this a "day's change" would be a story about something else
_LONGEST_LOOK_BACK = 7 * _DAY


def snapshot(found: FeedResult, timeframe: Timeframe, freshness: Freshness, status: MarketStatus) -> Market:
    """The market by the last complete bar of ``timeframe``.

    Raises ``NoData`` where that frame has no complete bar, with what each source said and which frames there are.
    """
    series = found.series
    candles = series.get(timeframe)
    if candles is None or not len(candles):
        held = [name.value for name, bars in series.items() if bars is not None and len(bars)]
        said = "; ".join(found.errors.get(timeframe, ())) or "none was asked for"
        raise NoData(
            f"no complete {timeframe} bar of {found.asset}: {said}",
            hint=f"there are bars of {', '.join(held)}: FFE_DECISION__TIMEFRAME={held[-1]}" if held else WHERE_FROM,
        )
    last = len(candles) - 1
    return Market(
        source=candles.source,
        synthetic=candles.synthetic,
        fingerprint=candles.fingerprint,
        freshness=freshness,
        status=status,
        price=candles.close[last],
        change=day_change(candles),
        volatility=daily_volatility(series),
        bar_open=candles.open[last],
        bar_high=candles.high[last],
        bar_low=candles.low[last],
        bar_volume=candles.volume[last],
        bar_closed_at=from_ms(candles.close_time(last)),
        shape=candle_shape(candles.open[last], candles.high[last], candles.low[last], candles.close[last]),
        remarks=candles.remarks,
    )


def day_change(candles: Candles) -> float | None:
    """Last close over the close 24 hours earlier, minus one; for a stock over the previous session's close."""
    if not len(candles):
        return None
    last = len(candles) - 1
    closed = candles.close_time(last)
    if candles.asset.kind is AssetKind.STOCK:
        before = _last_of_previous_session(candles)
    else:
        before = bisect_right(candles.time, closed - _DAY) - 1
        while before >= 0 and candles.close_time(before) > closed - _DAY:
            before -= 1
    if before < 0 or closed - candles.close_time(before) > _LONGEST_LOOK_BACK:
        return None
    base = candles.close[before]
    return candles.close[last] / base - 1 if base > 0 else None


def _last_of_previous_session(candles: Candles) -> int:
    zone = ZoneInfo(NEW_YORK)

    def session(index: int) -> object:
        # Just before the close is inside the session, whichever way the label was written.
        return from_ms(candles.close_time(index) - 1).astimezone(zone).date()

    index = len(candles) - 1
    today = session(index)
    while index >= 0 and session(index) == today:
        index -= 1
    return index


def with_divergence(market: Market, quote: Quote | None, limit: float) -> Market:
    """The market with how far the platform's own price is from the source's, remarked on above ``limit``."""
    if quote is None or quote.mid <= 0:
        return market
    divergence = abs(Decimal(repr(market.price)) / quote.mid - 1)
    remarks = market.remarks
    if divergence > Decimal(repr(limit)):
        remarks += (f"price differs from {quote.source} by {divergence:.2%}",)
    return replace(market, price_divergence=float(divergence), remarks=remarks)
