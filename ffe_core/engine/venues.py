"""The platforms that settings name, as orders and analyses use them: behind their breakers, alone or as one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffe_core.domain.trading import Mode
from ffe_core.errors import PlatformError, SafetyRefusal, SettingsError, UnknownName
from ffe_core.execution.router import UNIFIED, Router

if TYPE_CHECKING:
    from ffe_core.domain.assets import Asset
    from ffe_core.domain.ledger import LedgerKey
    from ffe_core.domain.trading import Order, Portfolio, Position
    from ffe_core.engine.answers import Answers
    from ffe_core.execution.reconcile import Reconciler
    from ffe_core.net.breaker import CircuitBreaker
    from ffe_core.ports import Platform

PAPER = "paper"
PAPER_SYNTHETIC = "paper_synthetic"


@dataclass(slots=True)
class Venue:
    """Where orders go, and whose account it is."""

    platform: Platform
    key: LedgerKey
    reconciler: Reconciler
    portfolio: Portfolio
    #: what it could not be told of its market, a line each
    untold: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Venues:
    """Platforms by name. ``insists``: for orders, whose reads an open breaker does not bar."""

    answers: Answers

    def chosen(self, *, insists: bool = False) -> Platform:
        """What ``execution.platform`` names. Raises ``UnknownName``, ``SettingsError``, ``RequiredPluginFailed``."""
        name = self.answers.settings.execution.platform
        return self._router(insists) if name == UNIFIED else self.named(name, insists=insists)

    def named(self, name: str, *, insists: bool = False) -> Platform:
        """Raises ``UnknownName``, ``RequiredPluginFailed``."""
        from ffe_core.execution.breakers import with_breakers

        bare: Platform = self.answers.registry.require("platform", name)
        if name.startswith(PAPER):
            # Its ledger is the user's own store: there is no service that could be down.
            return bare
        return with_breakers(bare, self.answers.clock, self.answers.state, insists=insists)

    def _router(self, insists: bool) -> Router:
        settings = self.answers.settings
        routes = settings.execution.venues
        if not routes:
            raise SettingsError(
                "execution.platform is unified, and execution.venues names no venue",
                hint="execution: {venues: {crypto: coinbase, forex: oanda}}",
            )
        for kind, name in routes.items():
            key = f"execution.venues.{kind}"
            if name == UNIFIED:
                raise SettingsError(f"{key}: unified is made of venues and is none itself")
            if settings.mode is Mode.LIVE and name.startswith(PAPER):
                raise SafetyRefusal(f"no venue for {kind}: {key} is {name}, and the mode is live")
            try:
                self.answers.registry.require("platform", name)
            except UnknownName as error:
                raise SettingsError(f"{settings.origin(key)} {key}: {error.message}", hint=error.hint) from error
        return Router(routes, lambda name: self.named(name, insists=insists))

    def names(self) -> tuple[str, ...]:
        """The platforms behind ``execution.platform``, whether or not they are there."""
        execution = self.answers.settings.execution
        if execution.platform != UNIFIED:
            return (execution.platform,)
        return tuple(dict.fromkeys(execution.venues.values()))

    def breakers(self) -> list[CircuitBreaker]:
        from ffe_core.execution.breakers import ORDERING, READING, platform_breaker

        return [
            platform_breaker(name, capability, self.answers.clock, self.answers.state)
            for name in self.names()
            if not name.startswith(PAPER)
            for capability in (READING, ORDERING)
        ]


def held_at(platform: Platform, asset: Asset, venue: str = "") -> Position | None:
    """The position as its venue tells it now, asking nobody else. Raises ``PlatformError`` where that is not known."""
    if isinstance(platform, Router):
        portfolio = platform.portfolio_at(venue or platform.venue_of(asset))
    else:
        portfolio = platform.portfolio()
    position = portfolio.position(asset)
    if position is None and not portfolio.positions_known:
        raise PlatformError(f"{venue or platform.name} does not say what is held")
    return position


def answering(platform: Platform, order: Order) -> Platform:
    """The venue that an order goes to."""
    return platform.answering(order) if isinstance(platform, Router) else platform
