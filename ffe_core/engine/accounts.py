"""The account that a decision is sized by: what is held, by which rules it may trade, and at which prices."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from ffe_core.domain.assets import Asset
from ffe_core.domain.market import Quote
from ffe_core.domain.trading import Instrument, Mode, Portfolio
from ffe_core.engine.marking import catch_up, last_close
from ffe_core.engine.venues import PAPER, PAPER_SYNTHETIC
from ffe_core.errors import DataError, FfeError, SettingsError
from ffe_core.execution.router import Router
from ffe_core.ports import FlatAccount, FundedAccount, MarkToMarket, Platform

if TYPE_CHECKING:
    from ffe_core.engine import Engine
    from ffe_core.market.feed import Feed


@dataclass(frozen=True, slots=True)
class Account:
    """``quote`` is the venue's own, to compare the price with; ``warnings`` say what could not be had."""

    portfolio: Portfolio | None
    instrument: Instrument
    quote: Quote | None
    #: cash paid in so far, where the platform can tell
    paid_in: Decimal | None
    warnings: tuple[str, ...]


def account_of(
    engine: Engine, asset: Asset, price: Decimal, *, synthetic: bool, hypothetical: bool, feed: Feed
) -> Account:
    """Portfolio and instrument rules. In paper mode the ledger is paper's, whatever venue settings name."""
    venue_name = engine.settings.execution.platform
    live = engine.settings.mode is Mode.LIVE and not hypothetical
    ledger: Platform
    if live:
        ledger = engine.trading_platform(synthetic=False)
    else:
        ledger = engine.registry.require("platform", PAPER_SYNTHETIC if synthetic else PAPER)
    if isinstance(ledger, MarkToMarket):
        ledger.update_prices({asset.symbol: price})
    warnings: list[str] = []
    venue = ledger
    if not hypothetical and not live and not venue_name.startswith(PAPER):
        venue = engine.venues.chosen()
    instrument = _instrument(venue, ledger, asset, warnings)
    if not hypothetical:
        warnings += catch_up(engine, synthetic=synthetic, feed=feed)
    if hypothetical:
        portfolio = ledger.flat() if isinstance(ledger, FlatAccount) else None
    else:
        portfolio = _portfolio(engine, ledger, asset, synthetic, feed, warnings)
    quote, paid_in = None, None
    if isinstance(ledger, FundedAccount) and not hypothetical:
        paid_in = ledger.paid_in()
    if not hypothetical and not isinstance(venue, MarkToMarket):
        try:
            quote = venue.quote(asset)
        except FfeError as error:
            warnings.append(f"no quote to compare the price with: {error.message}")
    return Account(portfolio, instrument, quote, paid_in, tuple(warnings))


def _instrument(venue: Platform, ledger: Platform, asset: Asset, warnings: list[str]) -> Instrument:
    try:
        return venue.instrument(asset)
    except FfeError as error:
        if venue is ledger:
            raise
        warnings.append(f"paper's own order rules are used: {error.message}")
        return ledger.instrument(asset)


def _portfolio(
    engine: Engine, ledger: Platform, asset: Asset, synthetic: bool, feed: Feed, warnings: list[str]
) -> Portfolio:
    """What is held, marked at last closes; a query that failed is an account that is unknown, not a flat one."""
    try:
        if isinstance(ledger, Router):
            joined = ledger.joined(ledger.accounts(), asset)
            warnings += joined.problems
            return joined.portfolio
        portfolio = ledger.portfolio()
    except SettingsError:
        # A key that is missing is the user's to set, and no account that is unknown.
        raise
    except FfeError as error:
        warnings.append(f"positions are unknown: {error.message}")
        return Portfolio(ledger.name, "", "", None, positions_known=False)
    others = [held.asset for held in portfolio.positions if held.asset.symbol != asset.symbol]
    if not others or not isinstance(ledger, MarkToMarket):
        return portfolio
    try:
        prices = {held.symbol: last_close(engine, held, synthetic=synthetic, feed=feed) for held in others}
        ledger.update_prices(prices)
        return ledger.portfolio()
    except DataError as error:
        warnings.append(f"the account cannot be valued: {error.message}")
        return replace(portfolio, stale=True)
