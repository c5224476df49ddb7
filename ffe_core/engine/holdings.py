"""What is held, account by account, at the newest prices: what people look at, and what closing goes by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ffe_core.domain.trading import Mode, Portfolio
from ffe_core.engine.marking import catch_up, mark
from ffe_core.errors import FfeError
from ffe_core.execution.accounts import Joined, VenueAccount
from ffe_core.execution.router import UNIFIED, Router
from ffe_core.ports import FlatAccount, Platform

if TYPE_CHECKING:
    from ffe_core.engine import Engine


@dataclass(frozen=True, slots=True)
class Holdings:
    """One account as it is now; ``problem`` is why there is no portfolio, or why its prices are old."""

    platform: str
    synthetic: bool
    portfolio: Portfolio | None
    problem: str = ""


def holdings(engine: Engine, *, insists: bool = False) -> list[Holdings]:
    """What is held, at the newest prices: in paper mode real and synthetic money apart, in live mode by venue.

    An account that cannot be had, or cannot be valued, says why; the others are there all the same. ``insists``:
    a venue that is left alone for a while is asked all the same, because somebody wants to get out.
    """
    if engine.settings.mode is Mode.LIVE:
        return holdings_of(engine, engine.trading_platform(synthetic=False, insists=insists))
    (real,) = holdings_of(engine, engine.trading_platform(synthetic=False))
    (pretended,) = holdings_of(engine, engine.trading_platform(synthetic=True), synthetic=True)
    return [real, pretended] if _was_used(engine, pretended) else [real]


def holdings_of(engine: Engine, platform: Platform, *, synthetic: bool = False) -> list[Holdings]:
    """What a platform holds, venue by venue where it stands for several."""
    if not isinstance(platform, Router):
        return [_holdings(engine, platform, synthetic)]
    return [Holdings(each.venue, synthetic, each.portfolio, each.problem) for each in platform.accounts()]


def together(engine: Engine, held: Sequence[Holdings]) -> Joined | None:
    """The accounts of all venues as one, by the venues' own rates; ``None`` where they do not stand together."""
    names = engine.venues.names()
    if engine.settings.execution.platform != UNIFIED or tuple(each.platform for each in held) != names:
        return None
    platform = engine.venues.chosen()
    if not isinstance(platform, Router) or not any(each.portfolio for each in held):
        return None
    return platform.joined([VenueAccount(each.platform, each.portfolio, each.problem) for each in held])


def _was_used(engine: Engine, held: Holdings) -> bool:
    platform, portfolio = engine.trading_platform(synthetic=held.synthetic), held.portfolio
    if portfolio is None or portfolio.positions or not isinstance(platform, FlatAccount):
        return True
    return portfolio.cash != platform.flat().cash


def _holdings(engine: Engine, platform: Platform, synthetic: bool) -> Holdings:
    try:
        behind = catch_up(engine, synthetic=synthetic)
        portfolio = platform.portfolio()
    except FfeError as error:
        return Holdings(platform.name, synthetic, None, error.message)
    try:
        marked = mark(engine, platform, portfolio, synthetic=synthetic)
    except FfeError as error:
        return Holdings(platform.name, synthetic, replace(portfolio, stale=True), error.message)
    return Holdings(platform.name, synthetic, marked, "; ".join(behind))
