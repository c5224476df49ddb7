"""The engine as a user runs it, on the loopback exchange: a platform over HTTP, a panel that buys, a flat market."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Self

from ffe_core import (
    Action,
    Asset,
    Candles,
    Decision,
    Effect,
    Fill,
    Instrument,
    Order,
    OrderReport,
    OrderType,
    PlatformError,
    Portfolio,
    Position,
    Quote,
    Refused,
    Side,
    Timeframe,
    Unknown,
)
from ffe_core.domain.codec import plain, restore
from ffe_core.engine import Engine
from ffe_core.engine.trading import Trading
from ffe_core.http import BadStatus, Door, HttpError, Reply
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings
from ffe_core.testing import FakeProvider, make_candles
from tests.execution.exchange import BTC, IMPATIENCE, NAME, PRICE, RULES, Fault
from tests.store.records import START

#: sleeping takes this share of the time that it seems to take
HASTE = 0.02


class QuickClock:
    """A clock that sleeping moves: what seems to take seconds takes milliseconds."""

    def __init__(self, instant: datetime = START) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds * HASTE)
        self.instant += timedelta(seconds=seconds)


class ExchangePlatform:
    """Speaks to ``Exchange``. ``away``: the next orders and cancels, each with how the line is dead, or ``None``."""

    name = NAME

    def __init__(self, url: str) -> None:
        self._door = Door(url, name=NAME, retries=0, timeout=5.0)
        self._dead = {
            # Nothing listens on the port of TCP's own service, and the name is kept free for this.
            Fault.REFUSED: Door("http://127.0.0.1:1", retries=0),
            Fault.DNS: Door("https://exchange.invalid", retries=0),
        }
        self.away: list[Fault | None] = []
        #: how the line is dead for every call, until somebody mends it
        self.dark: Fault | None = None

    def close_doors(self) -> None:
        for door in (self._door, *self._dead.values()):
            door.close()

    def portfolio(self) -> Portfolio:
        return restore(Portfolio, self._get("/account"))

    def instrument(self, asset: Asset) -> Instrument:
        return RULES

    def quote(self, asset: Asset) -> Quote:
        return Quote(asset, PRICE, PRICE, START, NAME)

    def prepare(self, order: Order) -> Mapping[str, str]:
        return {"product": order.asset.symbol}

    def submit(self, order: Order) -> OrderReport:
        what = f"order {order.client_order_id}"
        try:
            return restore(OrderReport, self._call("POST", "/orders", json=plain(order)).json())
        except BadStatus as error:
            if error.status == 422:
                raise Refused(error.message) from error
            if error.status == 409:
                return self._standing(order, error)
            raise Unknown(f"{what} may have been taken: {error.message}") from error
        except (HttpError, ValueError) as error:
            raise Unknown(f"{what} may have been taken: {error}") from error

    def _standing(self, order: Order, error: BadStatus) -> OrderReport:
        found = self.find(order)
        if found is None:
            raise Unknown(f"order {order.client_order_id} is a duplicate and is not shown") from error
        return found

    def find(self, order: Order) -> OrderReport | None:
        try:
            return restore(OrderReport, self._call("GET", f"/orders/{order.client_order_id}").json())
        except BadStatus as error:
            if error.status == 404:
                return None
            raise PlatformError(error.message) from error
        except HttpError as error:
            raise PlatformError(error.message) from error

    def cancel(self, order: Order) -> OrderReport:
        try:
            return restore(OrderReport, self._call("DELETE", f"/orders/{order.client_order_id}").json())
        except BadStatus as error:
            if error.status == 404:
                raise Refused(f"the exchange knows no order {order.client_order_id}") from error
            raise Unknown(error.message) from error
        except HttpError as error:
            raise Unknown(error.message) from error

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return self.submit(_exit(position, client_order_id))

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        order = _exit(position, client_order_id)
        return self.submit(replace(order, type=OrderType.BRACKET, stop_price=stop, target_price=target))

    def open_orders(self) -> Sequence[OrderReport]:
        return [restore(OrderReport, each) for each in self._get("/open")]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        told = self._get(f"/fills?since={since or 0}")
        return [restore(Fill, each) for each in told["fills"]], told["cursor"]

    def check(self) -> Mapping[str, bool]:
        keys = ("api_auth", "account_active", "trading_enabled", "balance_available", "market_data")
        return dict.fromkeys(keys, True)

    def _get(self, path: str) -> Any:
        where, _, query = path.partition("?")
        name, _, value = query.partition("=")
        try:
            return self._call("GET", where, params={name: value} if name else None).json()
        except HttpError as error:
            raise PlatformError(error.message) from error

    def _call(self, method: str, path: str, **options: Any) -> Reply:
        fault = self.dark
        if fault is None and self.away and method != "GET":
            fault = self.away.pop(0)
        door = self._door if fault is None else self._dead[fault]
        return door.request(method, path, timeout=None if method == "GET" else IMPATIENCE, **options)


def _exit(position: Position, client_order_id: str) -> Order:
    return Order(
        client_order_id=client_order_id,
        decision_id="",
        leg="exit",
        asset=position.asset,
        side=Side.SELL if position.is_long else Side.BUY,
        quantity=abs(position.quantity),
        effect=Effect.CLOSE,
        reduce_only=True,
    )


class FlatMarket:
    """A real market that stands still."""

    name = "flat"

    def __init__(self, clock: QuickClock) -> None:
        self._clock = clock

    def serves(self, asset: Asset) -> bool:
        return True

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        price = float(PRICE)
        made = make_candles(asset, timeframe, bars=60, end=self._clock.now(), volatility=0.0004, price=price)
        scale = price / made.close[-1]
        rows: dict[str, Any] = {
            name: [value * scale for value in getattr(made, name)] for name in ("open", "high", "low", "close")
        }
        whole = Candles.of(
            asset, timeframe, self.name, time=made.time, volume=made.volume, **rows, fetched_at=self._clock.now()
        )
        found = whole.between(start, end)
        return found if limit is None else found.tail(limit)


class ExchangeDesk:
    """One start of ffe on the exchange at ``url``, with the store at ``store`` (``None``: the embedded one)."""

    def __init__(self, url: str, store: str | None, clock: QuickClock | None = None) -> None:
        self.clock = clock or QuickClock()
        self.platform_url = url
        self.platform = ExchangePlatform(url)
        self.settings = Settings.model_validate(
            {
                "mode": "live",
                "execution": {"platform": NAME},
                "ai": {"providers": ["teller"]},
                "ensemble": {"min_local_providers": 0},
                "data": {"sources": ["flat"], "cache_ttl": 0},
                "store": {"url": store},
            }
        )
        registry = load_plugins(self.settings, clock=self.clock)
        self.teller = FakeProvider((Action.BUY, 90), name="teller")
        registry.offer("provider", "teller", Offer("test", self.teller))
        registry.offer("platform", NAME, Offer("test", self.platform))
        registry.offer("source", "flat", Offer("test", FlatMarket(self.clock)))
        self.engine = Engine(self.settings, registry, clock=self.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()
        self.platform.close_doors()

    @property
    def trading(self) -> Trading:
        return replace(self.engine.trading(live=True), sleep=self.clock.sleep)

    def decide(self) -> Decision:
        return self.engine.analyze(BTC)
