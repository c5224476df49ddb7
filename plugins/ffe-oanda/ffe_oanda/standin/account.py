"""An account: its log of transactions, and the orders and trades that come of it. Amounts are in home currency."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from ffe_oanda.standin.market import INSTRUMENTS, Market, stamp

ZERO = Decimal(0)
DEPENDENT = ("STOP_LOSS", "TAKE_PROFIT")

type Json = dict[str, Any]


@dataclass
class Trade:
    """``units`` is signed and shrinks as the trade is closed."""

    id: str
    instrument: str
    units: Decimal
    initial: Decimal
    price: Decimal
    opened: datetime
    extensions: Json | None = None


@dataclass
class Account:
    """``leverage``: the account's own margin rate. ``fifo``: whether trades are bound by the rule of that name."""

    id: str
    market: Market
    currency: str = "USD"
    balance: Decimal = Decimal("100000.0000")
    margin_rate: Decimal = Decimal("0.02")
    fifo: bool = False
    commission: Decimal = ZERO
    log: list[Json] = field(default_factory=list)
    orders: dict[str, Json] = field(default_factory=dict)
    trades: dict[str, Trade] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.record("CREATE", homeCurrency=self.currency)
        self.record("TRANSFER_FUNDS", amount=money(self.balance), accountBalance=money(self.balance))

    @property
    def last_id(self) -> str:
        return str(self.log[-1]["id"])

    def record(self, kind: str, **members: Any) -> Json:
        number = str(len(self.log) + 1)
        entry = {
            "id": number,
            "type": kind,
            "time": stamp(self.market.now()),
            "accountID": self.id,
            "userID": 1234567,
            "batchID": number,
            **{name: value for name, value in members.items() if value is not None},
        }
        self.log.append(entry)
        return entry

    # worth

    def rate(self, instrument: str) -> Decimal:
        """Home currency for a unit of the instrument's quote currency."""
        return self.market.rate(instrument.partition("_")[2], self.currency)

    def closing_price(self, instrument: str, units: Decimal) -> Decimal:
        return self.market.bid(instrument) if units > 0 else self.market.ask(instrument)

    def unrealised(self, trade: Trade) -> Decimal:
        price = self.closing_price(trade.instrument, trade.units)
        return trade.units * (price - trade.price) * self.rate(trade.instrument)

    def margin_of(self, instrument: str, units: Decimal) -> Decimal:
        share = max(self.margin_rate, Decimal(INSTRUMENTS[instrument].margin_rate))
        return abs(units) * self.market.mid(instrument) * self.rate(instrument) * share

    @property
    def nav(self) -> Decimal:
        return self.balance + sum(map(self.unrealised, self.trades.values()), ZERO)

    @property
    def margin_used(self) -> Decimal:
        return sum((self.margin_of(name, self.net(name)) for name in self.instruments()), ZERO)

    def net(self, instrument: str) -> Decimal:
        return sum((trade.units for trade in self.trades.values() if trade.instrument == instrument), ZERO)

    def instruments(self) -> list[str]:
        return sorted({trade.instrument for trade in self.trades.values()})

    # orders

    def place(self, order: Json, **why: Any) -> tuple[Json, Json | None, Json | None]:
        """The transactions of an order that was taken: created, filled, cancelled."""
        created = self.record(
            f"{order['type']}_ORDER", **{name: value for name, value in order.items() if name != "type"}, **why
        )
        order = {"id": created["id"], "createTime": created["time"], "state": "PENDING", **order}
        self.orders[created["id"]] = order
        if order["type"] == "MARKET":
            filled, cancelled = self.work(order, None)
            return created, filled, cancelled
        self.tick()
        filled = next(
            (each for each in self.log if each["type"] == "ORDER_FILL" and each["orderID"] == order["id"]), None
        )
        return created, filled, None

    def work(self, order: Json, limit: Decimal | None) -> tuple[Json | None, Json | None]:
        """Fills ``order`` at the market, or cancels it with the reason why not."""
        units = self.fillable(order)
        name = order["instrument"]
        price = self.market.ask(name) if units > 0 else self.market.bid(name)
        refusal = self._why_not(order, units, price)
        if refusal:
            return None, self.cancel(order, refusal)
        return self.fill(order, units, price), None

    def fillable(self, order: Json) -> Decimal:
        """Units that may be filled: an order that only reduces has no more than the position."""
        units = Decimal(order["units"])
        if order.get("positionFill") != "REDUCE_ONLY":
            return units
        held = self.net(order["instrument"])
        if held * units >= 0:
            return ZERO
        return min(abs(units), abs(held)) * (1 if units > 0 else -1)

    def _why_not(self, order: Json, units: Decimal, price: Decimal) -> str:
        if not self.market.tradeable:
            return "MARKET_HALTED"
        if not units:
            # Which word the service has for this is not known: nothing may hang on it.
            return "POSITION_CLOSEOUT_FAILED"
        bound = order.get("priceBound")
        if bound is not None and (price - Decimal(bound)) * units > 0:
            return "BOUNDS_VIOLATION"
        sign = 1 if units > 0 else -1
        for name, side in (("stopLoss", 1), ("takeProfit", -1)):
            level = order.get(f"{name}OnFill", {}).get("price")
            if level is not None and (price - Decimal(level)) * sign * side <= 0:
                return {"stopLoss": "STOP_LOSS", "takeProfit": "TAKE_PROFIT"}[name] + "_ON_FILL_LOSS"
        if self.fifo and any(
            each.instrument == order["instrument"] and each.units == units for each in self.trades.values()
        ):
            return "FIFO_VIOLATION"
        after = self.margin_used - self.margin_of(order["instrument"], self.net(order["instrument"]))
        after += self.margin_of(order["instrument"], self.net(order["instrument"]) + units)
        if after > self.nav and after > self.margin_used:
            return "INSUFFICIENT_MARGIN"
        return ""

    def cancel(self, order: Json, reason: str) -> Json:
        order["state"] = "CANCELLED"
        return self.record("ORDER_CANCEL", orderID=order["id"], clientOrderID=client_id(order), reason=reason)

    def fill(self, order: Json, units: Decimal, price: Decimal) -> Json:
        """Closes what lies against it, the oldest first, and opens a trade with what is left."""
        order["state"] = "FILLED"
        name, left, gained = order["instrument"], units, ZERO
        closed: list[Json] = []
        reduced: Json | None = None
        for trade in self.against(name, units, order.get("tradeID")):
            if not left:
                break
            part = min(abs(left), abs(trade.units)) * (1 if left > 0 else -1)
            pl = -part * (price - trade.price) * self.rate(name)
            gained += pl
            left -= part
            trade.units += part
            told = {
                "tradeID": trade.id,
                "units": str(part),
                "price": str(price),
                "realizedPL": money(pl),
                "financing": "0.0000",
            }
            if trade.units:
                reduced = told
            else:
                closed.append(told)
        commission = self.commission
        self.balance += gained - commission
        entry = self.record(
            "ORDER_FILL",
            orderID=order["id"],
            clientOrderID=client_id(order),
            instrument=name,
            units=str(units),
            price=str(price),
            fullVWAP=str(price),
            pl=money(gained),
            financing="0.0000",
            commission=money(commission),
            guaranteedExecutionFee="0.0000",
            accountBalance=money(self.balance),
            tradesClosed=closed or None,
            tradeReduced=reduced,
            reason=f"{order['type']}_ORDER",
        )
        if left:
            trade = Trade(entry["id"], name, left, left, price, self.market.now(), order.get("tradeClientExtensions"))
            self.trades[trade.id] = trade
            entry["tradeOpened"] = {"tradeID": trade.id, "units": str(left), "price": str(price)}
            for kind in DEPENDENT:
                wanted = order.get(f"{camel(kind)}OnFill")
                if wanted:
                    self.depend(trade, kind, wanted, "ON_FILL")
        for told in closed:
            del self.trades[told["tradeID"]]
            for dependent in self.dependents(told["tradeID"]):
                self.cancel(dependent, "LINKED_TRADE_CLOSED")
        return entry

    def against(self, name: str, units: Decimal, only: str | None) -> Iterator[Trade]:
        for trade in list(self.trades.values()):
            if trade.instrument == name and trade.units * units < 0 and only in (None, trade.id):
                yield trade

    # orders that hang on a trade

    def dependents(self, trade_id: str, kind: str | None = None) -> list[Json]:
        return [
            order
            for order in self.pending()
            if order.get("tradeID") == trade_id and (kind is None or order["type"] == kind)
        ]

    def depend(self, trade: Trade, kind: str, wanted: Json, reason: str) -> Json:
        order = {"type": kind, "tradeID": trade.id, "timeInForce": "GTC", "triggerCondition": "DEFAULT", **wanted}
        created = self.record(
            f"{kind}_ORDER", reason=reason, **{name: value for name, value in order.items() if name != "type"}
        )
        self.orders[created["id"]] = {
            "id": created["id"],
            "createTime": created["time"],
            "state": "PENDING",
            **order,
        }
        return created

    def pending(self) -> list[Json]:
        return [order for order in self.orders.values() if order["state"] == "PENDING"]

    def tick(self) -> None:
        """Works the orders whose price the market has met."""
        for order in self.pending():
            if order["state"] != "PENDING" or not self.market.tradeable:
                continue
            if order["type"] in DEPENDENT:
                self._tick_dependent(order)
            elif self._is_met(order):
                self.work(order, Decimal(order["price"]))

    def _tick_dependent(self, order: Json) -> None:
        trade = self.trades[order["tradeID"]]
        price = self.closing_price(trade.instrument, trade.units)
        beyond = (price - Decimal(order["price"])) * (1 if trade.units > 0 else -1)
        if beyond <= 0 if order["type"] == "STOP_LOSS" else beyond >= 0:
            self.fill({**order, "instrument": trade.instrument}, -trade.units, price)
            order["state"] = "FILLED"

    def _is_met(self, order: Json) -> bool:
        units = Decimal(order["units"])
        price = self.market.ask(order["instrument"]) if units > 0 else self.market.bid(order["instrument"])
        beyond = (price - Decimal(order["price"])) * (1 if units > 0 else -1)
        return beyond <= 0 if order["type"] == "LIMIT" else beyond >= 0

    # as the service writes it

    def summary(self) -> Json:
        used, nav = self.margin_used, self.nav
        return {
            "id": self.id,
            "alias": "Stand-in",
            "currency": self.currency,
            "balance": money(self.balance),
            "NAV": money(nav),
            "unrealizedPL": money(nav - self.balance),
            "pl": "0.0000",
            "marginUsed": money(used),
            "marginAvailable": money(max(ZERO, nav - used)),
            "marginCloseoutPercent": format(used / 2 / nav, ".5f"),
            "marginRate": str(self.margin_rate),
            "openTradeCount": len(self.trades),
            "openPositionCount": len(self.instruments()),
            "pendingOrderCount": len(self.pending()),
            "hedgingEnabled": False,
            "positionValue": "0.0000",
            "lastTransactionID": self.last_id,
        }

    def whole(self) -> Json:
        return self.summary() | {
            "orders": self.pending(),
            "trades": [self.trade(each, brief=True) for each in self.trades.values()],
            "positions": [self.position(name) for name in sorted(INSTRUMENTS) if self.was_traded(name)],
        }

    def was_traded(self, name: str) -> bool:
        return any(each["type"] == "ORDER_FILL" and each["instrument"] == name for each in self.log)

    def trade(self, trade: Trade, *, brief: bool = False) -> Json:
        found: Json = {
            "id": trade.id,
            "instrument": trade.instrument,
            "price": str(trade.price),
            "openTime": stamp(trade.opened),
            "state": "OPEN",
            "initialUnits": str(trade.initial),
            "currentUnits": str(trade.units),
            "realizedPL": "0.0000",
            "unrealizedPL": money(self.unrealised(trade)),
            "financing": "0.0000",
        }
        if trade.extensions:
            found["clientExtensions"] = trade.extensions
        for order in self.dependents(trade.id):
            name = camel(order["type"])
            found |= {f"{name}OrderID": order["id"]} if brief else {f"{name}Order": order}
        return found

    def position(self, name: str) -> Json:
        return {
            "instrument": name,
            "pl": "0.0000",
            "unrealizedPL": money(
                sum((self.unrealised(each) for each in self.trades.values() if each.instrument == name), ZERO)
            ),
            "long": self._side(name, lambda units: units > 0),
            "short": self._side(name, lambda units: units < 0),
        }

    def _side(self, name: str, mine: Callable[[Decimal], bool]) -> Json:
        trades = [each for each in self.trades.values() if each.instrument == name and mine(each.units)]
        units = sum((each.units for each in trades), ZERO)
        if not trades:
            return {"units": "0", "pl": "0.0000", "unrealizedPL": "0.0000"}
        average = sum((each.units * each.price for each in trades), ZERO) / units
        return {
            "units": str(units),
            "averagePrice": format(average, f".{INSTRUMENTS[name].digits}f"),
            "tradeIDs": [each.id for each in trades],
            "pl": "0.0000",
            "unrealizedPL": money(sum(map(self.unrealised, trades), ZERO)),
        }


def client_id(order: Json) -> str | None:
    found = order.get("clientExtensions", {}).get("id")
    return found if found is None else str(found)


def money(value: Decimal) -> str:
    return format(value, ".4f")


def camel(kind: str) -> str:
    first, *rest = kind.lower().split("_")
    return first + "".join(part.capitalize() for part in rest)
