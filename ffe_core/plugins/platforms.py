"""Platforms as the engine sees them: what may have moved an order is definite or unknown, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe_core.domain.assets import Asset
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Fill, Instrument, Order, OrderReport, Portfolio, Position
from ffe_core.errors import NoData, PlatformError, Refused, SettingsError, Unknown
from ffe_core.plugins.accept import accept
from ffe_core.plugins.guard import BadAnswer
from ffe_core.plugins.guarded import Guarded, failure_of, quote_of

_platform_failed = failure_of(PlatformError)
_unknown = failure_of(Unknown)


class GuardedPlatform(Guarded):
    """Reads raise ``PlatformError``. What may have moved an order raises ``Refused``, else ``Unknown``, and no more.

    An order whose outcome is unknown is never a failed order: a timeout, a crash and an answer that makes no sense all
    leave it open until the venue has been asked.
    """

    kind = "platform"

    def _read[T](self, method: str, *args: Any, check: Callable[[Any], T]) -> T:
        return self._guard.call(
            self._what(method),
            getattr(self._bare, method),
            *args,
            deadline=self._guard.patience,
            passing=(PlatformError, SettingsError, NoData),
            failure=_platform_failed,
            check=check,
        )

    def _order(self, method: str, order_id: str, /, *args: Any, **kwargs: Any) -> OrderReport:
        return self._guard.call(
            self._what(method),
            getattr(self._bare, method),
            *args,
            deadline=self._guard.patience,
            passing=(Refused, Unknown),
            failure=_unknown,
            check=lambda answer: _report_on(order_id, answer),
            **kwargs,
        )

    def portfolio(self) -> Portfolio:
        return self._read("portfolio", check=lambda answer: accept(Portfolio, answer))

    def instrument(self, asset: Asset) -> Instrument:
        def check(answer: object) -> Instrument:
            instrument = accept(Instrument, answer)
            if instrument.asset.symbol != asset.symbol:
                raise BadAnswer(f"asked for {asset}, answered {instrument.asset}")
            return instrument

        return self._read("instrument", asset, check=check)

    def quote(self, asset: Asset) -> Quote:
        return self._read("quote", asset, check=lambda answer: quote_of(asset, answer))

    def prepare(self, order: Order) -> Mapping[str, str]:
        return self._read("prepare", order, check=lambda answer: accept(dict[str, str], answer))

    def submit(self, order: Order) -> OrderReport:
        return self._order("submit", order.client_order_id, order)

    def find(self, order: Order) -> OrderReport | None:
        def check(answer: object) -> OrderReport | None:
            return None if answer is None else _report_on(order.client_order_id, answer)

        return self._read("find", order, check=check)

    def cancel(self, order: Order) -> OrderReport:
        return self._order("cancel", order.client_order_id, order)

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return self._order("close", client_order_id, position, client_order_id=client_order_id)

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        return self._order("protect", client_order_id, position, stop, target, client_order_id=client_order_id)

    def open_orders(self) -> Sequence[OrderReport]:
        return self._read(
            "open_orders", check=lambda answer: tuple(_report(report) for report in accept(tuple[Any, ...], answer))
        )

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        return self._read("fills", since, check=lambda answer: accept(tuple[tuple[Fill, ...], str], answer))

    def check(self) -> Mapping[str, bool]:
        return self._read("check", check=lambda answer: accept(dict[str, bool], answer))


def _report(answer: object) -> OrderReport:
    report = accept(OrderReport, answer)
    if report.filled_quantity < 0 or (report.average_price is not None and report.average_price <= 0):
        raise BadAnswer(f"answered a fill of {report.filled_quantity} at {report.average_price}")
    if any(fill.quantity <= 0 or fill.price <= 0 for fill in report.fills):
        raise BadAnswer("answered a fill without a quantity or a price above zero")
    return report


def _report_on(client_order_id: str, answer: object) -> OrderReport:
    report = _report(answer)
    if report.client_order_id != client_order_id:
        raise BadAnswer(f"asked about order {client_order_id}, answered about {report.client_order_id}")
    return report


class WithMarks(GuardedPlatform):
    def update_prices(self, prices: Mapping[str, Decimal]) -> None:
        self._read("update_prices", prices, check=lambda _answer: None)


class WithBars(GuardedPlatform):
    def watching(self) -> Mapping[Asset, datetime]:
        return self._read("watching", check=lambda answer: accept(dict[Asset, datetime], answer))

    def update_bars(self, bars: Candles) -> None:
        self._read("update_bars", bars, check=lambda _answer: None)


class WithFlat(GuardedPlatform):
    def flat(self) -> Portfolio:
        return self._read("flat", check=lambda answer: accept(Portfolio, answer))


class WithFunding(GuardedPlatform):
    def paid_in(self) -> Decimal:
        return self._read("paid_in", check=lambda answer: accept(Decimal, answer))
