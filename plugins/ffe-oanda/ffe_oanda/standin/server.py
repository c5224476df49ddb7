"""The routes of the stand-in: who may ask, what is asked, and what goes wrong on the way."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qsl, unquote
from zoneinfo import ZoneInfo

from ffe_core.testing.loopback import Canned, Loopback, Request
from ffe_oanda.standin.account import Account, Json
from ffe_oanda.standin.calls import BadCall, Query, complained
from ffe_oanda.standin.market import INSTRUMENTS, MINUTES, Market, stamp
from ffe_oanda.standin.trading import cancel_order, close_position, create_order, found_order, set_dependents

TOKEN = "a-token-for-the-stand-in"  # noqa: S105 - opens nothing
ACCOUNT = "101-001-1234567-001"
#: a Wednesday in winter, noon in London
_MINE = "/accounts/(?P<account>[^/]+)"
OPEN_DAY = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with the next call whose method and path begin so, once.

    ``acts``: the service does what was asked before ``spoil`` takes its answer.
    """

    call: str
    spoil: Callable[[Canned], Canned]
    acts: bool = False

    def meets(self, request: Request) -> bool:
        return re.match(self.call, f"{request.method} {request.path}") is not None


class OandaStandIn(Loopback):
    """``faults`` befall the next calls that they meet; ``at`` is the service's time, which stands still."""

    def __init__(self, at: datetime = OPEN_DAY) -> None:
        self.at = at
        self.market = Market(lambda: self.at)
        self.account = Account(ACCOUNT, self.market)
        self.faults: list[Fault] = []
        #: transactions that one answer to sinceid holds at most
        self.most = 1000
        self._writing = threading.Lock()
        super().__init__(self._answer)

    def move(self, instrument: str, mid: str) -> None:
        """The market goes there, and orders that it meets are worked."""
        self.market.fixed[instrument] = Decimal(mid)
        self.account.tick()

    def asked(self, call: str) -> list[Request]:
        """The requests whose method and path begin so."""
        return [each for each in self.requests if re.match(call, f"{each.method} {each.path}")]

    def _answer(self, request: Request) -> Canned:
        fault = next((each for each in self.faults if each.meets(request)), None)
        if fault is not None:
            self.faults.remove(fault)
            if not fault.acts:
                return self._dated(fault.spoil(Canned({})))
        try:
            answer = Canned(*self._routed(request))
        except BadCall as refusal:
            answer = Canned(dict(refusal.body), refusal.status)
        return self._dated(fault.spoil(answer) if fault else answer)

    def _dated(self, canned: Canned) -> Canned:
        headers = {"Date": format_datetime(self.at, usegmt=True), "RequestID": "42", **canned.headers}
        return replace(canned, headers=headers)

    def _routed(self, request: Request) -> tuple[Any, int]:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            raise complained(401, "Insufficient authorization to perform request.")
        if request.body and request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise complained(415, "The request's content type is not supported.")
        query = dict(parse_qsl(request.query, strict_parsing=True)) if request.query else {}
        for method, pattern, route in self._routes:
            found = re.fullmatch(f"/v3{pattern}", unquote(request.path))
            if found and method == request.method:
                parts = found.groupdict()
                if parts.pop("account", ACCOUNT) != ACCOUNT:
                    raise complained(403, "The provided request was forbidden.")
                with self._writing:
                    # Written out at once: the state goes on changing.
                    answer = json.loads(json.dumps(route(self, query, request, **parts)))
                return (answer[0], answer[1]) if isinstance(answer, list) else (answer, 200)
        raise complained(404, "No such endpoint.")

    # what is known without an account

    def _accounts(self, query: dict[str, str], request: Request) -> Any:
        return {"accounts": [{"id": ACCOUNT, "tags": []}]}

    def _candles(self, query: dict[str, str], request: Request, instrument: str) -> Any:
        ask = Query(query, {"price", "granularity", "count", "from", "to", "includeFirst", *_ALIGNMENT})
        if instrument not in INSTRUMENTS:
            raise complained(400, "Invalid value specified for 'instrument'")
        granularity = ask.one_of("granularity", MINUTES, "S5")
        ask.one_of("price", ("M",), "M")
        first, last, now = ask.instant("from"), ask.instant("to"), self.at
        if "count" in query and first is not None and last is not None:
            raise complained(400, "'count' cannot be specified when both 'from' and 'to' are")
        if "includeFirst" in query and first is None:
            raise complained(400, "Invalid value specified for 'includeFirst'")
        count = ask.whole("count", 500)
        if not 1 <= count <= 5000:
            raise complained(400, "Maximum value for 'count' exceeded")
        for name, at in (("from", first), ("to", last)):
            if at is not None and at > now:
                raise complained(400, f"Invalid value specified for '{name}'. Time is in the future")
        if first is not None and last is not None:
            count = int((last - first).total_seconds() // 60 // MINUTES[granularity]) + 1
            if count > 5000:
                raise complained(400, "Maximum value for 'count' exceeded")
        candles = self.market.candles(
            instrument,
            granularity,
            count=count,
            first=first,
            last=last,
            include_first=ask.one_of("includeFirst", ("true", "false", "True", "False"), "true").lower() == "true",
            hour=ask.whole("dailyAlignment", 17),
            zone=ZoneInfo(query.get("alignmentTimezone", "America/New_York")),
        )
        return {"instrument": instrument, "granularity": granularity, "candles": candles}

    def _pricing(self, query: dict[str, str], request: Request) -> Any:
        ask = Query(query, {"instruments", "since", "includeUnitsAvailable", "includeHomeConversions"})
        names = ask.instruments()
        answer: Json = {"prices": [self.market.price(name) for name in names], "time": stamp(self.at)}
        if query.get("includeHomeConversions") == "true":
            currencies = sorted({part for name in names for part in name.split("_")} - {"XAU"})
            answer["homeConversions"] = [self._conversion(currency) for currency in currencies]
        return answer

    def _conversion(self, currency: str) -> Json:
        rate = format(self.market.rate(currency, self.account.currency), ".8f")
        return {"currency": currency, "accountGain": rate, "accountLoss": rate, "positionValue": rate}

    # the account

    def _ended(self, **members: Any) -> Json:
        return {**members, "lastTransactionID": self.account.last_id}

    def _whole(self, query: dict[str, str], request: Request) -> Json:
        return self._ended(account=self.account.whole())

    def _summary(self, query: dict[str, str], request: Request) -> Json:
        return self._ended(account=self.account.summary())

    def _instruments(self, query: dict[str, str], request: Request) -> Json:
        names = Query(query, {"instruments"}).instruments() if query else sorted(INSTRUMENTS)
        return self._ended(instruments=[_instrument(name) for name in names])

    def _create(self, query: dict[str, str], request: Request) -> tuple[Json, int]:
        return create_order(self.account, _body(request))

    def _pending(self, query: dict[str, str], request: Request) -> Json:
        return self._ended(orders=self.account.pending())

    def _order(self, query: dict[str, str], request: Request, order: str) -> Json:
        found = found_order(self.account, order)
        if found is None:
            raise complained(404, "The order ID specified does not exist")
        return self._ended(order=found)

    def _cancel(self, query: dict[str, str], request: Request, order: str) -> Json:
        return cancel_order(self.account, order)

    def _trades(self, query: dict[str, str], request: Request) -> Json:
        return self._ended(trades=[self.account.trade(each) for each in self.account.trades.values()])

    def _dependents(self, query: dict[str, str], request: Request, trade: str) -> Json:
        return set_dependents(self.account, trade, _body(request))

    def _positions(self, query: dict[str, str], request: Request) -> Json:
        return self._ended(positions=[self.account.position(name) for name in self.account.instruments()])

    def _position(self, query: dict[str, str], request: Request, instrument: str) -> Json:
        return self._ended(position=self.account.position(instrument))

    def _close(self, query: dict[str, str], request: Request, instrument: str) -> Json:
        return close_position(self.account, instrument, _body(request))

    # the log

    def _since(self, query: dict[str, str], request: Request) -> Json:
        first = Query(query, {"id", "type"}).whole("id", 0)
        if not 1 <= first <= len(self.account.log):
            raise complained(416, "The Transaction ID specified is out of range")
        return self._ended(transactions=self.account.log[first : first + self.most])

    def _range(self, query: dict[str, str], request: Request) -> Json:
        ask = Query(query, {"from", "to", "type"})
        first, last = ask.whole("from", 0), ask.whole("to", 0)
        if not 1 <= first <= last <= len(self.account.log) or last - first >= 1000:
            raise complained(416, "The Transaction IDs specified are out of range")
        return self._ended(transactions=self.account.log[first - 1 : last])

    _routes: tuple[tuple[str, str, Callable[..., Any]], ...] = (
        ("GET", "/accounts", _accounts),
        ("GET", "/instruments/(?P<instrument>[^/]+)/candles", _candles),
        ("GET", f"{_MINE}/pricing", _pricing),
        ("GET", _MINE, _whole),
        ("GET", f"{_MINE}/summary", _summary),
        ("GET", f"{_MINE}/instruments", _instruments),
        ("POST", f"{_MINE}/orders", _create),
        ("GET", f"{_MINE}/pendingOrders", _pending),
        ("GET", f"{_MINE}/orders/(?P<order>[^/]+)", _order),
        ("PUT", f"{_MINE}/orders/(?P<order>[^/]+)/cancel", _cancel),
        ("GET", f"{_MINE}/openTrades", _trades),
        ("PUT", f"{_MINE}/trades/(?P<trade>[^/]+)/orders", _dependents),
        ("GET", f"{_MINE}/openPositions", _positions),
        ("GET", f"{_MINE}/positions/(?P<instrument>[^/]+)", _position),
        ("PUT", f"{_MINE}/positions/(?P<instrument>[^/]+)/close", _close),
        ("GET", f"{_MINE}/transactions/sinceid", _since),
        ("GET", f"{_MINE}/transactions/idrange", _range),
    )


_ALIGNMENT = ("dailyAlignment", "alignmentTimezone", "weeklyAlignment", "smooth")


def _body(request: Request) -> Any:
    try:
        return request.json()
    except ValueError:
        raise complained(400, "Invalid JSON") from None


def _instrument(name: str) -> Json:
    rules = INSTRUMENTS[name]
    return {
        "name": name,
        "type": "METAL" if name.startswith("XAU") else "CURRENCY",
        "displayName": name.replace("_", "/"),
        "pipLocation": rules.pip_location,
        "displayPrecision": rules.digits,
        "tradeUnitsPrecision": 0,
        "minimumTradeSize": str(rules.smallest),
        "maximumOrderUnits": str(rules.largest),
        "maximumPositionSize": "0",
        "marginRate": rules.margin_rate,
    }
