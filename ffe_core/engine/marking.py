"""Telling a platform that watches no market, such as paper, what its market did: bars, then the newest price.

Real money is told real prices and invented money invented ones, whichever sources there are. Everything is as of the
engine's clock.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Mode, Portfolio
from ffe_core.errors import DataError, FfeError, NoData
from ffe_core.ports import BarFed, MarkToMarket, Platform

if TYPE_CHECKING:
    from ffe_core.engine import Engine
    from ffe_core.engine.decide import DecisionInputs
    from ffe_core.market.feed import Feed

DEMO = "demo"
#: how far a quote's clock may be ahead of ours
AHEAD = timedelta(seconds=10)


def catch_up(engine: Engine, *, synthetic: bool, feed: Feed | None = None) -> tuple[str, ...]:
    """Brings the paper account up to the clock's now: bars trigger what they reached, and the journal hears of it.

    Returns what could not be had, a line each. Elsewhere than on paper nothing happens, and nobody is asked.
    """
    if engine.settings.mode is not Mode.PAPER or engine.registry.store.if_there() is None:
        return ()
    platform = engine.trading_platform(synthetic=synthetic)
    if not isinstance(platform, BarFed):
        return ()
    problems = show_bars(engine, platform, synthetic=synthetic, feed=feed)
    trading = engine.trading()
    venue = trading.venue(synthetic, platform.portfolio())
    if trading.journal.open(venue.key):
        problems += trading.settle(venue).problems
    return problems


def show_bars(engine: Engine, platform: Platform, *, synthetic: bool, feed: Feed | None = None) -> tuple[str, ...]:
    """Shows the platform every complete bar that it waits for; returns what could not be had, a line each."""
    if not isinstance(platform, BarFed):
        return ()
    problems: list[str] = []
    for asset, since in platform.watching().items():
        try:
            for bars in _missed(engine, asset, since, synthetic=synthetic, feed=feed):
                platform.update_bars(bars)
        except FfeError as error:
            problems.append(f"stop and target of {asset} are not up to date: {error.message}")
    return tuple(problems)


def _missed(engine: Engine, asset: Asset, since: datetime, *, synthetic: bool, feed: Feed | None) -> Iterator[Candles]:
    """Bars that opened since then: minutes up to where the first of the decision's own bars begins, then those."""
    now, frame = engine.clock.now(), engine.settings.decision.timeframe
    if now - since < Timeframe.M1.timedelta:
        return

    def asked(timeframe: Timeframe, end: datetime) -> Candles:
        bars = int((end - since) / timeframe.timedelta) + 1
        found = candles_of(engine, asset, timeframe, synthetic=synthetic, feed=feed, end=end, bars=bars)
        return found.between(since, None)

    own = asked(frame, now)
    begins = from_ms(own.time[0]) if len(own) else now
    begins = min(begins, since + frame.timedelta)
    if frame is not Timeframe.M1 and begins - since >= Timeframe.M1.timedelta:
        # Who came in the middle of a bar is not to be without a stop until it ends.
        with contextlib.suppress(DataError):
            yield asked(Timeframe.M1, begins)
    if len(own):
        yield own


def mark(
    engine: Engine, platform: Platform, held: Portfolio, *, synthetic: bool, feed: Feed | None = None
) -> Portfolio:
    """What is held at the newest closes, where the platform is told prices at all. Raises ``DataError``."""
    if not held.positions or not isinstance(platform, MarkToMarket):
        return held
    prices = {one.asset.symbol: last_close(engine, one.asset, synthetic=synthetic, feed=feed) for one in held.positions}
    platform.update_prices(prices)
    return platform.portfolio()


def marked_if_possible(engine: Engine, platform: Platform, *, synthetic: bool) -> Portfolio:
    """What is held, at the newest closes where there are any: a cancel needs no price, and what needs one says so."""
    held = platform.portfolio()
    with contextlib.suppress(DataError):
        held = mark(engine, platform, held, synthetic=synthetic)
    return held


def last_close(engine: Engine, asset: Asset, *, synthetic: bool, feed: Feed | None = None) -> Decimal:
    """The newest close, as the text of the number says it. Raises ``NoData``."""
    candles = candles_of(engine, asset, engine.settings.decision.timeframe, synthetic=synthetic, feed=feed, bars=1)
    return Decimal(repr(candles.close[-1]))


def price_now(engine: Engine, platform: Platform, inputs: DecisionInputs, quote: Quote | None) -> Decimal:
    """The venue's own ``quote``, else what a source quotes, else the last close; paper is told, and fills at it."""
    asset, market = inputs.briefing.asset, inputs.briefing.market
    if quote is None or (engine.settings.mode is Mode.PAPER and quote.synthetic is not market.synthetic):
        quote = quoted(engine, asset, synthetic=market.synthetic, since=market.bar_closed_at)
    price = inputs.entry_price if quote is None else quote.mid
    if isinstance(platform, MarkToMarket):
        platform.update_prices({asset.symbol: price})
    return price


def mark_at_quote(engine: Engine, platform: Platform, asset: Asset, *, synthetic: bool) -> None:
    """Tells a platform that is told prices what the asset costs right now, where a source can say."""
    if not isinstance(platform, MarkToMarket):
        return
    bar = engine.settings.decision.timeframe.timedelta
    quote = quoted(engine, asset, synthetic=synthetic, since=engine.clock.now() - bar)
    if quote is not None:
        platform.update_prices({asset.symbol: quote.mid})


def quoted(engine: Engine, asset: Asset, *, synthetic: bool, since: datetime) -> Quote | None:
    """What a source says that the asset costs right now, where one of them can tell and knows more than ``since``."""
    for feed in _feeds(engine, synthetic, None):
        with contextlib.suppress(DataError):
            quote = feed.quote(asset)
            if quote.synthetic is synthetic and quote.bid > 0 and since <= quote.at <= engine.clock.now() + AHEAD:
                return quote
    return None


def candles_of(
    engine: Engine,
    asset: Asset,
    timeframe: Timeframe,
    *,
    synthetic: bool,
    bars: int,
    end: datetime | None = None,
    feed: Feed | None = None,
) -> Candles:
    """The last bars of a market whose prices are real, or invented, as asked for. Raises ``NoData``."""
    said: list[str] = []
    for one in _feeds(engine, synthetic, feed):
        try:
            found = one.candles(asset, timeframe, end=end, bars=bars)
        except NoData as error:
            said.append(error.message)
            continue
        if found.synthetic is synthetic:
            return found
        said.append(f"the prices of {found.source} are {'synthetic' if found.synthetic else 'real'}")
    raise NoData("; ".join(said))


def _feeds(engine: Engine, synthetic: bool, feed: Feed | None) -> Iterator[Feed]:
    """Where to look, in that order: what the caller reads, what settings name, and the demo market for its own."""
    sources = engine.settings.data.sources
    if feed is not None:
        yield feed
    elif not synthetic or any(_is_at_hand(engine, name) for name in sources):
        # No service invents its prices: none is asked about invented ones.
        yield engine.feed
    if synthetic and feed is None and DEMO not in sources:
        yield engine.feed_of(DEMO)


def _is_at_hand(engine: Engine, source: str) -> bool:
    return getattr(engine.registry.require("source", source), "remote", False) is not True
