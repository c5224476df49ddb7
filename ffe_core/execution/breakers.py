"""A platform behind two breakers, one for reading and one for ordering, shared by every process.

What counts against a venue is that it could not be reached or broke (transport, status 500 and above), never its
definite word. The way out is never barred: a breaker keeps entries and looks from a venue that is down, and lets
cancels, closes, protections and questions about orders through to it. What became of an order is told as it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import Clock
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Fill, Instrument, Order, OrderReport, Portfolio, Position
from ffe_core.errors import (
    BadStatus,
    CircuitOpen,
    DataError,
    HttpError,
    NoAnswer,
    NotReached,
    PlatformError,
    Refused,
    SafetyRefusal,
    SettingsError,
    Unknown,
)
from ffe_core.net.breaker import CircuitBreaker
from ffe_core.net.state import StateStore
from ffe_core.ports import BarFed, FlatAccount, FundedAccount, MarkToMarket, Platform

READING, ORDERING = "reading", "ordering"


def platform_breaker(platform: str, capability: str, clock: Clock, store: StateStore | None = None) -> CircuitBreaker:
    return CircuitBreaker(f"platform {platform} {capability}", clock, store=store)


def speaks_against(error: BaseException) -> bool:
    """Whether the venue could not be reached, or broke; what it or the settings say definitely does not."""
    if isinstance(error, Refused | DataError | SettingsError):
        return False
    for cause in _chain(error):
        if isinstance(cause, BadStatus):
            return cause.status >= 500
        if isinstance(cause, HttpError):
            return isinstance(cause, NotReached | NoAnswer)
        if isinstance(cause, TimeoutError | OSError):
            return True
    return isinstance(error, Unknown)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from; a deadline that passed is told ``from None``, so that context counts too."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


class BreakerPlatform:
    """``bare`` behind its breakers. ``insists``: an open reading breaker is told of calls, and bars none.

    While the ordering breaker is open, ``prepare`` of an entry raises ``SafetyRefusal``: before an intent is written
    and before anything is sent. Of the calls that ask after its rest one may go, in whichever process.
    """

    def __init__(self, bare: Platform, reading: CircuitBreaker, ordering: CircuitBreaker, *, insists: bool) -> None:
        self._bare = bare
        self._reading = reading
        self._ordering = ordering
        self._insists = insists

    @property
    def name(self) -> str:
        return self._bare.name

    # reading

    def portfolio(self) -> Portfolio:
        return self._read(self._bare.portfolio)

    def instrument(self, asset: Asset) -> Instrument:
        return self._read(lambda: self._bare.instrument(asset))

    def quote(self, asset: Asset) -> Quote:
        return self._read(lambda: self._bare.quote(asset))

    def open_orders(self) -> Sequence[OrderReport]:
        return self._read(self._bare.open_orders)

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        return self._read(lambda: self._bare.fills(since))

    def find(self, order: Order) -> OrderReport | None:
        return self._read(lambda: self._bare.find(order), barred=False)

    def check(self) -> Mapping[str, bool]:
        # A look at the venue itself: it says False rather than fails, and is never spared.
        return self._bare.check()

    # ordering

    def prepare(self, order: Order) -> Mapping[str, str]:
        if order.reduce_only:
            return self._bare.prepare(order)
        try:
            self._ordering.enter()
        except CircuitOpen as error:
            raise SafetyRefusal(error.message, hint="`ffe close` and `ffe orders cancel` work all the same") from error
        # How it ended is told by ``submit``; one that never comes gives way to the next after a rest.
        try:
            return self._bare.prepare(order)
        except BaseException as error:
            _tell(self._ordering, error)
            raise

    def submit(self, order: Order) -> OrderReport:
        return self._order(lambda: self._bare.submit(order), entered=not order.reduce_only)

    def cancel(self, order: Order) -> OrderReport:
        return self._order(lambda: self._bare.cancel(order))

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return self._order(lambda: self._bare.close(position, client_order_id=client_order_id))

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        return self._order(lambda: self._bare.protect(position, stop, target, client_order_id=client_order_id))

    # through the breakers

    def _read[T](self, ask: Callable[[], T], *, barred: bool = True) -> T:
        try:
            self._reading.enter()
        except CircuitOpen as error:
            if barred and not self._insists:
                raise PlatformError(error.message, hint="`ffe status` shows every breaker") from error
        return _told(self._reading, ask)

    def _order(self, send: Callable[[], OrderReport], *, entered: bool = False) -> OrderReport:
        if not entered:
            with contextlib.suppress(CircuitOpen):
                self._ordering.enter()
        return _told(self._ordering, send)


def _told[T](breaker: CircuitBreaker, call: Callable[[], T]) -> T:
    try:
        answer = call()
    except BaseException as error:
        _tell(breaker, error)
        raise
    breaker.praise()
    return answer


def _tell(breaker: CircuitBreaker, error: BaseException) -> None:
    if speaks_against(error):
        breaker.blame(str(error) or type(error).__name__)
    elif isinstance(error, Refused | DataError):
        # It answered.
        breaker.praise()
    else:
        breaker.let_go()


class _WithMarks(BreakerPlatform):
    _bare: Any

    def update_prices(self, prices: Mapping[str, Decimal]) -> None:
        self._bare.update_prices(prices)


class _WithBars(BreakerPlatform):
    _bare: Any

    def watching(self) -> Mapping[Asset, datetime]:
        watched: Mapping[Asset, datetime] = self._bare.watching()
        return watched

    def update_bars(self, bars: Candles) -> None:
        self._bare.update_bars(bars)


class _WithFlat(BreakerPlatform):
    _bare: Any

    def flat(self) -> Portfolio:
        found: Portfolio = self._bare.flat()
        return found


class _WithFunding(BreakerPlatform):
    _bare: Any

    def paid_in(self) -> Decimal:
        paid: Decimal = self._read(self._bare.paid_in)
        return paid


_ABILITIES: tuple[tuple[type, type[BreakerPlatform]], ...] = (
    (MarkToMarket, _WithMarks),
    (BarFed, _WithBars),
    (FlatAccount, _WithFlat),
    (FundedAccount, _WithFunding),
)


@cache
def _kind(abilities: tuple[type[BreakerPlatform], ...]) -> type[BreakerPlatform]:
    return type("BreakerPlatform", (*abilities, BreakerPlatform), {}) if abilities else BreakerPlatform


def with_breakers(bare: Platform, clock: Clock, store: StateStore, *, insists: bool) -> BreakerPlatform:
    """``bare`` behind its breakers, with the optional capabilities that it has."""
    kind = _kind(tuple(ability for port, ability in _ABILITIES if isinstance(bare, port)))
    reading, ordering = (platform_breaker(bare.name, each, clock, store) for each in (READING, ORDERING))
    return kind(bare, reading, ordering, insists=insists)
