"""The account's log as reports and fills: what became of an order stands there, whatever became of its answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe_core import Fill, OrderReport, OrderState, Side
from ffe_oanda.parse import amount, asset_of, instant, maybe_amount, objects, text

ZERO = Decimal(0)
VENUE = "oanda"
#: what ``protect`` hangs on each trade: the caller's id, and which of them it is
_PART = re.compile(r"(?P<owner>.+)\.(?:stop|target)\.\d+")

type Transaction = Mapping[str, Any]


def part_id(owner: str, kind: str, trade_id: str) -> str:
    """The client id of one trade's stop or target."""
    return f"{owner}.{kind}.{trade_id}"


def owner_of(number: str) -> str:
    """The caller's id of what ``protect`` made, and any other as it is."""
    found = _PART.fullmatch(number)
    return found["owner"] if found else number


def client_id_of(holder: Transaction) -> str:
    """The client id that an order or a transaction has, or empty."""
    told = holder.get("clientOrderID")
    if not isinstance(told, str):
        extensions = holder.get("clientExtensions")
        told = extensions.get("id") if isinstance(extensions, Mapping) else None
    return told if isinstance(told, str) else ""


def report_of(number: str, log: Iterable[Transaction], currency: str) -> OrderReport | None:
    """What became of the order with that client id, by the log; ``None`` where it is not there."""
    mine: list[Transaction] = [each for each in log if owner_of(client_id_of(each)) == number]
    created = [each for each in mine if _kind(each) == "ORDER"]
    fills = [made for each in mine if _kind(each) == "FILL" for made in fills_of([each], currency)]
    ended = [each for each in mine if _kind(each) in ("CANCEL", "REJECT")]
    if not mine or not (created or fills or ended):
        return None
    filled = sum((fill.quantity for fill in fills), ZERO)
    last = mine[-1]
    return OrderReport(
        client_order_id=number,
        venue_order_id=_order_id(created, mine),
        state=_state(created, fills, ended),
        filled_quantity=filled,
        average_price=sum((fill.quantity * fill.price for fill in fills), ZERO) / filled if filled else None,
        fills=tuple(fills),
        reason="" if fills or not ended else _reason(ended[-1]),
        at=instant(last, "time"),
    )


def fills_of(log: Iterable[Transaction], currency: str) -> list[Fill]:
    """The executions in a piece of the log, whoever ordered them: stops that OANDA worked are among them."""
    return [_fill(each, currency) for each in log if _kind(each) == "FILL" and amount(each, "units")]


def resting_report(order: Mapping[str, Any]) -> OrderReport:
    """A pending order, by the caller's id where ``protect`` made it, by the venue's where nobody gave one."""
    number = client_id_of(order)
    venue_id = text(order, "id")
    return OrderReport(
        client_order_id=owner_of(number) if number else f"{VENUE}-{venue_id}",
        venue_order_id=venue_id,
        state=OrderState.ACCEPTED,
        reason=text(order, "type"),
        at=instant(order, "createTime"),
    )


def transactions_of(body: Mapping[str, Any]) -> list[Transaction]:
    return list(objects(body, "transactions"))


def last_id(log: Sequence[Transaction], default: int) -> int:
    return int(amount(log[-1], "id")) if log else default


def first_time(log: Sequence[Transaction]) -> datetime | None:
    return instant(log[0], "time") if log else None


def _kind(transaction: Transaction) -> str:
    kind = str(transaction.get("type", ""))
    if kind == "ORDER_FILL":
        return "FILL"
    if kind == "ORDER_CANCEL":
        return "CANCEL"
    if kind.endswith("_ORDER_REJECT"):
        return "REJECT"
    return "ORDER" if kind.endswith("_ORDER") else ""


def _state(created: Sequence[Transaction], fills: Sequence[Fill], ended: Sequence[Transaction]) -> OrderState:
    asked = sum((abs(maybe_amount(each, "units") or ZERO) for each in created), ZERO)
    filled = sum((fill.quantity for fill in fills), ZERO)
    waits = any(each.get("type") != "MARKET_ORDER" for each in created) and not ended
    if fills:
        return OrderState.PARTIAL if waits and filled < asked else OrderState.FILLED
    if any(_kind(each) == "CANCEL" for each in ended):
        # Of several that hang on trades, some may still be there.
        gone = {each.get("orderID") for each in ended}
        return OrderState.ACCEPTED if any(each.get("id") not in gone for each in created) else OrderState.CANCELLED
    return OrderState.REJECTED if ended and not created else OrderState.ACCEPTED


def _reason(transaction: Transaction) -> str:
    return str(transaction.get("rejectReason") or transaction.get("reason") or "")


def _order_id(created: Sequence[Transaction], mine: Sequence[Transaction]) -> str | None:
    if created:
        return text(created[0], "id")
    return next((str(each["orderID"]) for each in mine if "orderID" in each), None)


def _fill(transaction: Transaction, currency: str) -> Fill:
    units = amount(transaction, "units")
    number = client_id_of(transaction)
    return Fill(
        venue=VENUE,
        venue_fill_id=text(transaction, "id"),
        client_order_id=owner_of(number) if number else f"{VENUE}-{text(transaction, 'orderID')}",
        asset=asset_of(text(transaction, "instrument")),
        side=Side.BUY if units > 0 else Side.SELL,
        quantity=abs(units),
        price=_price(transaction, abs(units)),
        fee=(maybe_amount(transaction, "commission") or ZERO)
        + (maybe_amount(transaction, "guaranteedExecutionFee") or ZERO),
        fee_currency=currency,
        at=instant(transaction, "time"),
    )


def _price(transaction: Transaction, units: Decimal) -> Decimal:
    """The average over the trades that it opened and closed, each of which has its official price."""
    parts = [transaction.get("tradeOpened"), transaction.get("tradeReduced"), *(transaction.get("tradesClosed") or ())]
    told = [(abs(amount(each, "units")), maybe_amount(each, "price")) for each in parts if isinstance(each, Mapping)]
    if told and all(price is not None for _, price in told) and sum(size for size, _ in told) == units:
        return sum((size * price for size, price in told if price is not None), ZERO) / units
    return amount(transaction, "price")
