"""``execution.platform: unified``: one platform made of several, where each asset goes to the venue of its kind.

Which venue an order went to is prepared with it and stored with the intent, so that recovery asks that one whatever
settings say by then. A venue that does not answer takes nothing away from the others, and never reads as flat.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.market import Quote
from ffe_core.domain.trading import Fill, Instrument, Order, OrderReport, Portfolio, Position
from ffe_core.errors import FfeError, PlatformError, Refused, SafetyRefusal, UsageError
from ffe_core.execution.accounts import Joined, VenueAccount, join, read_account
from ffe_core.ports import Platform

UNIFIED = "unified"
#: the account that all venues are together; it stays the same when settings name others
ACCOUNT = "venues"
#: under which an order's venue is prepared
VENUE = "venue"

_log = logging.getLogger(__name__)


class Router:
    """A platform over others. ``routes`` name a platform per kind of asset, ``named`` finds it, also a former one.

    Reads of the whole go on without a venue that fails, as far as that is honest: ``portfolio`` then does not know the
    positions, ``fills`` keeps that venue's cursor where it was and lists it in ``silent``.
    """

    name = UNIFIED

    def __init__(self, routes: Mapping[AssetKind, str], named: Callable[[str], Platform]) -> None:
        self._routes = dict(routes)
        self._find = named
        self._silent: dict[str, str] = {}

    # which venue

    @property
    def venues(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self._routes.values()))

    @property
    def silent(self) -> Mapping[str, str]:
        """The venues whose fills could not be read the last time, and why."""
        return self._silent

    def venue_of(self, asset: Asset) -> str:
        """Raises ``SafetyRefusal``: what has no venue is never sent to another one, paper least of all."""
        venue = self._routes.get(asset.kind)
        if venue is not None:
            return venue
        hint = f"set execution.venues.{asset.kind} to a venue"
        if asset.kind is AssetKind.UNKNOWN:
            hint = f"say what {asset} is: data.kinds.{asset}: stock (or crypto, forex)"
        raise SafetyRefusal(f"no venue for {asset.kind} ({asset})", hint=hint)

    def answering(self, order: Order) -> Platform:
        """The platform that an order was prepared for, or would be. Raises ``PlatformError``, ``SafetyRefusal``."""
        return self._named(order.prepared.get(VENUE) or self.venue_of(order.asset))

    def _of(self, asset: Asset) -> Platform:
        return self._named(self.venue_of(asset))

    def _named(self, venue: str) -> Platform:
        try:
            return self._find(venue)
        except UsageError as error:
            raise PlatformError(f"{venue} cannot be asked: {error.message}", hint=error.hint) from error

    def _sending(self, find: Callable[[], Platform]) -> Platform:
        """Where there is nobody to send to, nothing was sent."""
        try:
            return find()
        except FfeError as error:
            raise Refused(error.message, hint=error.hint) from error

    # what there is

    def accounts(self) -> tuple[VenueAccount, ...]:
        """Every venue's own account, in the order of settings."""
        return tuple(read_account(venue, self._named(venue)) for venue in self.venues)

    def joined(self, accounts: Sequence[VenueAccount], asset: Asset | None = None) -> Joined:
        """``accounts`` as one; with ``asset`` only what its venue lets one spend is buying power."""
        spending = self._routes.get(asset.kind, "") if asset is not None else ""
        return join(self.name, ACCOUNT, accounts, self._rate, spending=spending)

    def portfolio(self) -> Portfolio:
        """Raises ``PlatformError`` where no venue answers; where some do, positions are not known."""
        return self.joined(self.accounts()).portfolio

    def portfolio_at(self, venue: str) -> Portfolio:
        """One venue's own account. Raises what that platform does."""
        found = self._named(venue).portfolio()
        return replace(found, positions=tuple(replace(held, venue=venue) for held in found.positions))

    def instrument(self, asset: Asset) -> Instrument:
        return replace(self._of(asset).instrument(asset), venue=self.venue_of(asset))

    def quote(self, asset: Asset) -> Quote:
        return self._of(asset).quote(asset)

    def check(self) -> Mapping[str, bool]:
        """What holds for every venue; see ``checks``."""
        made: dict[str, bool] = {}
        for found in self.checks().values():
            for name, fine in found.items():
                made[name] = made.get(name, True) and fine
        return made

    def checks(self) -> Mapping[str, Mapping[str, bool]]:
        """Every venue's own results."""
        return {venue: self._named(venue).check() for venue in self.venues}

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        """What the venue prepares, and which one it is: that of the position to leave, else that of the asset."""
        venue = order.prepared.get(VENUE) or self.venue_of(order.asset)
        return {**self._named(venue).prepare(_own(order)), VENUE: venue}

    def submit(self, order: Order) -> OrderReport:
        return self._sending(lambda: self.answering(order)).submit(_own(order))

    def find(self, order: Order) -> OrderReport | None:
        return self.answering(order).find(_own(order))

    def cancel(self, order: Order) -> OrderReport:
        return self.answering(order).cancel(_own(order))

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        platform = self._sending(lambda: self._holder(position))
        return platform.close(_bare(position), client_order_id=client_order_id)

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        platform = self._sending(lambda: self._holder(position))
        return platform.protect(_bare(position), stop, target, client_order_id=client_order_id)

    def _holder(self, position: Position) -> Platform:
        return self._named(position.venue or self.venue_of(position.asset))

    def open_orders(self) -> Sequence[OrderReport]:
        """Of all venues. Raises where one does not answer: a list that lacks some would pass for all."""
        return [report for venue in self.venues for report in self._named(venue).open_orders()]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        """Raises ``PlatformError`` where no venue answers. The cursor is a JSON object of the venues' own cursors."""
        cursors: dict[str, str] = json.loads(since) if since else {}
        told: list[Fill] = []
        silent: dict[str, str] = {}
        asked = [*self.venues, *(venue for venue in cursors if venue not in self.venues)]
        for venue in asked:
            try:
                found, cursors[venue] = self._named(venue).fills(cursors.get(venue))
            except FfeError as error:
                silent[venue] = error.message
                _log.info("fills of %s could not be read: %s", venue, error.message)
                continue
            told += found
        self._silent = silent
        if len(silent) == len(asked):
            raise PlatformError("; ".join(f"{venue}: {why}" for venue, why in silent.items()))
        return told, json.dumps(cursors, sort_keys=True)

    # money

    def _rate(self, source: str, target: str) -> Decimal | None:
        """By the venues' own quote of the pair, either way round."""
        if source == target:
            return Decimal(1)
        for pair, turned in ((source + target, False), (target + source, True)):
            try:
                mid = self.quote(Asset.parse(pair)).mid
            except (FfeError, ValueError):
                continue
            if mid > 0:
                return 1 / mid if turned else mid
        return None


def where_held(position: Position) -> dict[str, str]:
    """What an order that leaves or protects ``position`` is prepared with: the venue that holds it."""
    return {VENUE: position.venue} if position.venue else {}


def _own(order: Order) -> Order:
    """The order as its venue prepared it."""
    return replace(order, prepared={name: text for name, text in order.prepared.items() if name != VENUE})


def _bare(position: Position) -> Position:
    """The position as its venue knows it; its rate was into the currency of the whole."""
    return replace(position, venue="", rate=None)
