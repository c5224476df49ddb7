"""What may be ordered, and in which words it is refused."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ffe_oanda.standin.account import Account, Json, camel
from ffe_oanda.standin.calls import BadCall, complained
from ffe_oanda.standin.market import INSTRUMENTS

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,10})?")
_EXTENSIONS = {"id", "tag", "comment"}
_COMMON = {
    *("type", "instrument", "units", "timeInForce", "positionFill", "clientExtensions", "tradeClientExtensions"),
    *("stopLossOnFill", "takeProfitOnFill", "trailingStopLossOnFill"),
}
_MEMBERS = {
    "MARKET": {*_COMMON, "priceBound"},
    "LIMIT": {*_COMMON, "price", "gtdTime", "triggerCondition"},
    "STOP": {*_COMMON, "price", "gtdTime", "triggerCondition", "priceBound"},
}
_TIMES = {"MARKET": {"FOK", "IOC"}, "LIMIT": {"GTC", "GTD", "GFD", "FOK", "IOC"}, "STOP": {"GTC", "GTD", "GFD"}}
_ON_FILL = {"price", "distance", "timeInForce", "clientExtensions", "gtdTime", "triggerCondition"}


def create_order(account: Account, body: Any) -> tuple[Json, int]:
    """POST orders. Raises ``BadCall`` for what is refused."""
    order = _well_formed(body)
    reason = _rejection(account, order)
    if reason:
        members = {name: value for name, value in order.items() if name != "type"}
        entry = account.record(f"{order['type']}_ORDER_REJECT", **members, reason="CLIENT_ORDER", rejectReason=reason)
        raise rejected(account, "order", entry)
    order = {"positionFill": "DEFAULT", "timeInForce": "FOK" if order["type"] == "MARKET" else "GTC", **order}
    before = len(account.log)
    created, filled, cancelled = account.place(order, reason="CLIENT_ORDER")
    told = {
        "orderCreateTransaction": created,
        "orderFillTransaction": filled,
        "orderCancelTransaction": cancelled,
    }
    return ended(account, told, before), 201


def ended(account: Account, told: Json, before: int) -> Json:
    """An answer with what every one has."""
    return {name: value for name, value in told.items() if value is not None} | {
        "relatedTransactionIDs": [each["id"] for each in account.log[before:]],
        "lastTransactionID": account.last_id,
    }


def rejected(account: Account, name: str, entry: Json, status: int = 400) -> BadCall:
    reason = entry["rejectReason"]
    return BadCall(
        status,
        {
            f"{name}RejectTransaction": entry,
            "relatedTransactionIDs": [entry["id"]],
            "lastTransactionID": account.last_id,
            "errorCode": reason,
            "errorMessage": f"refused: {reason}",
        },
    )


def _well_formed(body: Any) -> Json:
    if not isinstance(body, dict) or set(body) != {"order"} or not isinstance(body["order"], dict):
        raise complained(400, "Invalid value specified for 'order'")
    order: Json = body["order"]
    members = _MEMBERS.get(order.get("type", "MARKET"))
    if members is None:
        raise complained(400, "Invalid value specified for 'order.type'")
    for name, value in order.items():
        if name not in members:
            raise complained(400, f"Invalid value specified for 'order.{name}'")
        if name in ("units", "price", "priceBound") and not _is_number(value):
            raise complained(400, f"Invalid value specified for 'order.{name}'")
        if name.endswith("OnFill") and not _is_on_fill(value):
            raise complained(400, f"Invalid value specified for 'order.{name}'")
        if name.endswith("lientExtensions") and not (isinstance(value, dict) and set(value) <= _EXTENSIONS):
            raise complained(400, f"Invalid value specified for 'order.{name}'")
    if "instrument" not in order or "units" not in order:
        raise complained(400, "'order.instrument' and 'order.units' are required")
    return {"type": "MARKET", **order}


def _is_number(value: object) -> bool:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _is_on_fill(value: Any) -> bool:
    if not isinstance(value, dict) or not set(value) <= _ON_FILL:
        return False
    return ("price" in value) != ("distance" in value) and _is_number(value.get("price", value.get("distance")))


def _rejection(account: Account, order: Json) -> str:
    """The first reason not to take ``order``; empty for none."""
    rules = INSTRUMENTS.get(order["instrument"])
    if rules is None:
        return "INSTRUMENT_UNKNOWN"
    units = Decimal(order["units"])
    if not units:
        return "UNITS_INVALID"
    if units != units.to_integral_value() or "." in order["units"]:
        return "UNITS_PRECISION_EXCEEDED"
    if abs(units) < rules.smallest:
        return "UNITS_MIMIMUM_NOT_MET"
    if abs(units) > rules.largest:
        return "UNITS_LIMIT_EXCEEDED"
    if order.get("timeInForce", "FOK" if order["type"] == "MARKET" else "GTC") not in _TIMES[order["type"]]:
        return "TIME_IN_FORCE_INVALID"
    if order.get("positionFill", "DEFAULT") not in ("DEFAULT", "REDUCE_FIRST", "REDUCE_ONLY", "OPEN_ONLY"):
        return "ORDER_FILL_POSITION_ACTION_INVALID"
    for holder, name, reason in (
        (order, "price", "PRICE_PRECISION_EXCEEDED"),
        (order, "priceBound", "PRICE_BOUND_PRECISION_EXCEEDED"),
        (order.get("stopLossOnFill", {}), "price", "STOP_LOSS_ON_FILL_PRICE_PRECISION_EXCEEDED"),
        (order.get("takeProfitOnFill", {}), "price", "TAKE_PROFIT_ON_FILL_PRICE_PRECISION_EXCEEDED"),
    ):
        if not fits(holder.get(name, "1"), rules.digits):
            return reason
    if order["type"] != "MARKET" and "price" not in order:
        return "PRICE_MISSING"
    return _client_id_rejection(account, order.get("clientExtensions", {}))


def fits(price: str, digits: int) -> bool:
    return len(price.partition(".")[2]) <= digits


def _client_id_rejection(account: Account, extensions: Json) -> str:
    number = extensions.get("id")
    if number is None:
        return ""
    if not isinstance(number, str) or not 1 <= len(number) <= 128:
        return "CLIENT_ORDER_ID_INVALID"
    # Unique among pending orders only: one that has filled gives its id back.
    taken = {each.get("clientExtensions", {}).get("id") for each in account.pending()}
    return "CLIENT_ORDER_ID_ALREADY_EXISTS" if number in taken else ""


def cancel_order(account: Account, specifier: str) -> Json:
    order = found_order(account, specifier)
    if order is None or order["state"] != "PENDING":
        named = {"clientOrderID": specifier[1:]} if specifier.startswith("@") else {"orderID": specifier}
        entry = account.record("ORDER_CANCEL_REJECT", **named, rejectReason="ORDER_DOESNT_EXIST")
        raise rejected(account, "orderCancel", entry, 404)
    before = len(account.log)
    return ended(account, {"orderCancelTransaction": account.cancel(order, "CLIENT_REQUEST")}, before)


def found_order(account: Account, specifier: str) -> Json | None:
    if not specifier.startswith("@"):
        return account.orders.get(specifier)
    return next(
        (each for each in account.pending() if each.get("clientExtensions", {}).get("id") == specifier[1:]), None
    )


def set_dependents(account: Account, trade_id: str, body: Any) -> Json:
    """PUT trades/ID/orders: what is named is replaced, ``null`` cancels, what is not named stays."""
    trade = account.trades.get(trade_id)
    if trade is None:
        raise complained(404, "The trade ID specified does not exist")
    if not isinstance(body, dict) or not set(body) <= {"stopLoss", "takeProfit", "trailingStopLoss"}:
        raise complained(400, "Invalid value specified for 'body'")
    told: Json = {}
    before = len(account.log)
    digits = INSTRUMENTS[trade.instrument].digits
    for kind in ("STOP_LOSS", "TAKE_PROFIT"):
        name = camel(kind)
        wanted = body.get(name)
        if wanted is not None and not _is_on_fill(wanted):
            raise complained(400, f"Invalid value specified for '{name}'")
        if wanted is not None and not fits(wanted["price"], digits):
            entry = account.record(
                f"{kind}_ORDER_REJECT", tradeID=trade_id, price=wanted["price"], rejectReason="PRICE_PRECISION_EXCEEDED"
            )
            raise rejected(account, f"{name}Order", entry)
    for kind in ("STOP_LOSS", "TAKE_PROFIT"):
        name = camel(kind)
        if name not in body:
            continue
        reason = "CLIENT_REQUEST" if body[name] is None else "CLIENT_REQUEST_REPLACED"
        for order in account.dependents(trade_id, kind):
            told[f"{name}OrderCancelTransaction"] = account.cancel(order, reason)
        if body[name] is not None:
            told[f"{name}OrderTransaction"] = account.depend(trade, kind, body[name], "CLIENT_ORDER")
    account.tick()
    return ended(account, told, before)


def close_position(account: Account, instrument: str, body: Any) -> Json:
    """PUT positions/INSTRUMENT/close: the side that is named must be held."""
    known = {"longUnits", "shortUnits", "longClientExtensions", "shortClientExtensions"}
    if not isinstance(body, dict) or not set(body) <= known or instrument not in INSTRUMENTS:
        raise complained(400, "Invalid value specified for 'body'")
    sides = [side for side in ("long", "short") if body.get(f"{side}Units", "NONE") != "NONE"]
    if not sides:
        raise complained(400, "Close position needs units of the long or of the short side")
    told: Json = {}
    before = len(account.log)
    for side in sides:
        told |= _close_side(account, instrument, side, body)
    return ended(account, told, before)


def _close_side(account: Account, instrument: str, side: str, body: Json) -> Json:
    sign = 1 if side == "long" else -1
    held = sum(
        (each.units for each in account.trades.values() if each.instrument == instrument and each.units * sign > 0),
        Decimal(0),
    )
    wanted = body[f"{side}Units"]
    extensions = body.get(f"{side}ClientExtensions")
    units = abs(held) if wanted == "ALL" else Decimal(wanted)
    reason = "CLOSEOUT_POSITION_DOESNT_EXIST" if not held else ""
    if not reason and units > abs(held):
        reason = "CLOSEOUT_POSITION_UNITS_EXCEED_POSITION_SIZE"
    order: Json = {
        "type": "MARKET",
        "instrument": instrument,
        "units": str(-sign * units),
        "timeInForce": "FOK",
        "positionFill": "REDUCE_ONLY",
        **({"clientExtensions": extensions} if extensions else {}),
    }
    if reason:
        members = {name: value for name, value in order.items() if name != "type"}
        raise rejected(account, f"{side}Order", account.record("MARKET_ORDER_REJECT", **members, rejectReason=reason))
    created, filled, cancelled = account.place(order, reason="POSITION_CLOSEOUT")
    return {
        f"{side}OrderCreateTransaction": created,
        f"{side}OrderFillTransaction": filled,
        f"{side}OrderCancelTransaction": cancelled,
    }
