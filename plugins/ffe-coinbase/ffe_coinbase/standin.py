"""A stand-in for Advanced Trade on loopback, for tests: strict about tokens, shapes and steps.

    with CoinbaseStandIn() as venue:
        venue.exchange.move("BTC-USD", 21_000)

``faults`` are what happens to the next calls: see ``Fault``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote

import jwt

from ffe_coinbase.exchange import LIVE, Exchange, Invalid, Market, Rejected, Row
from ffe_coinbase.keypairs import Keys, ecdsa_keys
from ffe_coinbase.listings import CONTRACT, future, plain, spot, stamp
from ffe_core.testing.loopback import Canned, Loopback, Request

PREFIX = "/api/v3/brokerage"
PORTFOLIO = "7c0f6f0e-3f2b-4c51-9d36-0d8f0f1f6a11"
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)
PRICE = Decimal(20_000)
SECONDS = {
    "ONE_MINUTE": 60,
    "FIVE_MINUTE": 300,
    "FIFTEEN_MINUTE": 900,
    "THIRTY_MINUTE": 1800,
    "ONE_HOUR": 3600,
    "TWO_HOUR": 7200,
    "FOUR_HOUR": 14400,
    "SIX_HOUR": 21600,
    "ONE_DAY": 86400,
}
#: rows of a page, at most, whatever a caller asks for
LARGEST_PAGE = 250


@dataclass(slots=True)
class Fault:
    """What befalls the next ``times`` calls whose path ends with ``path``.

    ``after``: the call is carried out and only its answer is lost or spoilt; else nothing is done. Without ``answer``
    the connection is reset; ``delay`` and ``cut`` spoil the true answer.
    """

    path: str
    answer: Canned | None = None
    after: bool = False
    method: str = ""
    times: int = 1
    delay: float = 0.0
    cut: int | None = None

    def befalls(self, request: Request) -> bool:
        return self.times > 0 and request.path.endswith(self.path) and self.method in ("", request.method)

    def spoil(self, true: Canned) -> Canned:
        if self.delay or self.cut is not None:
            return Canned(true.raw, true.status, delay=self.delay, cut=self.cut)
        return self.answer or Canned(reset=True)


TOO_MANY = Canned(
    {"errors": [{"id": "rate_limit_exceeded", "message": "Too many requests"}]}, 429, {"Retry-After": "0"}
)
BROKEN = Canned(b"<html><body>502 Bad Gateway</body></html>", 502, {"Content-Type": "text/html"})
INTERNAL = Canned({"error": "INTERNAL", "message": "internal error", "error_details": ""}, 500)


@dataclass
class Bars:
    """A market's history: seeded by its name, from ``first`` on; ``quiet`` buckets (epoch seconds) had no trade."""

    first: int = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp())
    quiet: set[int] = field(default_factory=set)

    def row(self, product: str, start: int, seconds: int) -> dict[str, str] | None:
        if start < self.first or start in self.quiet:
            return None
        drawn = hashlib.sha256(f"{product}|{start}|{seconds}".encode()).digest()
        low = 20_000 + drawn[0]
        open_, close, high = low + drawn[1] % 50, low + drawn[2] % 50, low + 50 + drawn[3] % 9
        volume = f"{drawn[4]}.{drawn[5]:03d}00001"
        row = {"low": low, "high": high, "open": open_, "close": close}
        return {"start": str(start), **{name: f"{value}.25" for name, value in row.items()}, "volume": volume}


class CoinbaseStandIn(Loopback):
    """``end_counts``: whether the end of a span of candles belongs to it; the vendor does not say."""

    def __init__(
        self,
        *,
        keys: Keys | None = None,
        clock: Callable[[], datetime] = lambda: NOON,
        rights: Mapping[str, bool] | None = None,
        end_counts: bool = True,
        nonces_once: bool = False,
    ) -> None:
        self.keys = keys or ecdsa_keys()
        self.clock = clock
        self.rights = {"can_view": True, "can_trade": True, "can_transfer": False, **(rights or {})}
        self.end_counts = end_counts
        self.nonces_once = nonces_once
        self.largest_page = LARGEST_PAGE
        self.bars = Bars()
        self.faults: list[Fault] = []
        self.tokens: list[Mapping[str, Any]] = []
        self.skew = timedelta(0)
        self.exchange = Exchange(clock=clock)
        self.exchange.wallets = {"USD": [Decimal(10_000), Decimal(0)], "EUR": [Decimal(0), Decimal(0)]}
        self.exchange.margin_cash = Decimal(10_000)
        self.offer(spot("BTC-USD"), PRICE)
        self.offer(spot("BTC-USDC", alias="BTC-USD"), PRICE)
        self.offer(spot("DOGE-USD", base_increment="0.1", price_increment="0.00001", base_min_size="1"), Decimal("0.1"))
        self.offer(future(CONTRACT), PRICE)
        super().__init__(self._answer)

    def offer(self, raw: dict[str, Any], price: Decimal) -> None:
        self.exchange.markets[raw["product_id"]] = Market(raw, price, price)

    def posts(self, path: str = "/orders") -> list[Any]:
        """The bodies that were posted there."""
        return [each.json() for each in self.requests if each.method == "POST" and each.path == PREFIX + path]

    # the door

    def _answer(self, request: Request) -> Canned:
        fault = next((each for each in self.faults if each.befalls(request)), None)
        if fault is None:
            return self._route(request)
        fault.times -= 1
        if not fault.after and not fault.delay and fault.cut is None:
            return fault.spoil(Canned())
        return fault.spoil(self._route(request))

    def _route(self, request: Request) -> Canned:
        query = parse_qs(request.query)
        path = request.path.removeprefix(PREFIX)
        if path == request.path:
            return Canned(b"<!DOCTYPE html><title>404</title>", 404, {"Content-Type": "text/html"})
        public = path == "/time" or path.startswith("/market/")
        if not public and not self._knows(request):
            return Canned(b"Unauthorized\n", 401, {"Content-Type": "text/plain"})
        needs = "can_trade" if request.method == "POST" else "can_view"
        if not public and not self.rights[needs]:
            return wrong(403, "PERMISSION_DENIED", "Missing required scopes")
        path = path.removeprefix("/market")
        for method, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if found and method == request.method:
                try:
                    return Canned(answer(self, request, query, *(unquote(each) for each in found.groups())))
                except Invalid as error:
                    return wrong(400, "INVALID_ARGUMENT", str(error))
                except KeyError as error:
                    return wrong(404, "NOT_FOUND", str(error.args[0]))
        return wrong(404, "NOT_FOUND", "no such endpoint")

    def _knows(self, request: Request) -> bool:
        """Whether the token is as it must be, for this very call."""
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(
                token,
                self.keys.public,
                algorithms=["ES256", "EdDSA"],
                issuer="cdp",
                options={"verify_exp": False, "verify_nbf": False, "require": ["sub", "iss", "nbf", "exp", "uri"]},
            )
        except jwt.PyJWTError:
            return False
        now = (self.clock() + self.skew).timestamp()
        nonce = header.get("nonce", "")
        fresh = nonce and not (self.nonces_once and any(nonce == each["nonce"] for each in self.tokens))
        self.tokens.append({**header, **claims})
        return bool(
            fresh
            and header.get("typ") == "JWT"
            and header.get("kid") == claims["sub"] == self.keys.name
            and claims["uri"] == f"{request.method} {request.headers['host']}{request.path}"
            and claims["exp"] - claims["nbf"] <= 120
            and claims["nbf"] <= now <= claims["exp"]
            and "aud" not in claims
        )

    # reads

    def _time(self, request: Request, query: Query) -> Any:
        now = self.clock() + self.skew
        milliseconds = int(now.timestamp() * 1000)
        return {"iso": stamp(now), "epochSeconds": str(milliseconds // 1000), "epochMillis": str(milliseconds)}

    def _permissions(self, request: Request, query: Query) -> Any:
        return {**self.rights, "portfolio_uuid": PORTFOLIO, "portfolio_type": "DEFAULT"}

    def _accounts(self, request: Request, query: Query) -> Any:
        rows = [
            {
                "uuid": hashlib.sha256(currency.encode()).hexdigest()[:32],
                "name": f"{currency} Wallet",
                "currency": currency,
                "available_balance": {"value": plain(available), "currency": currency},
                "default": True,
                "active": True,
                "type": "ACCOUNT_TYPE_FIAT" if currency in ("USD", "EUR") else "ACCOUNT_TYPE_CRYPTO",
                "ready": True,
                "hold": {"value": plain(hold), "currency": currency},
                "retail_portfolio_id": PORTFOLIO,
            }
            for currency, (available, hold) in sorted(self.exchange.wallets.items())
        ]
        page, cursor = self._page(rows, query, 49)
        return {"accounts": page, "has_next": bool(cursor), "cursor": cursor, "size": len(page)}

    def _products(self, request: Request, query: Query) -> Any:
        kind, ids = query.get("product_type", [""])[0], query.get("product_ids", [])
        rows = [
            self._product(request, query, name)
            for name, market in sorted(self.exchange.markets.items())
            if (not kind or market.raw["product_type"] == kind) and (not ids or name in ids)
        ]
        return {"products": rows, "num_products": len(rows)}

    def _product(self, request: Request, query: Query, name: str) -> Any:
        market = self._market(name)
        return {**market.raw, "price": plain((market.bid + market.ask) / 2)}

    def _candles(self, request: Request, query: Query, name: str) -> Any:
        self._market(name)
        seconds = SECONDS.get(query.get("granularity", [""])[0])
        try:
            start, end = (int(query[key][0]) for key in ("start", "end"))
        except (KeyError, ValueError):
            raise Invalid("start and end are unix seconds") from None
        if seconds is None:
            raise Invalid("granularity is unsupported")
        now = int(self.clock().timestamp())
        last = end if self.end_counts else end - 1
        stamps = range(-(-start // seconds) * seconds, last + 1, seconds)
        if len(stamps) > 350:
            raise Invalid("start and end argument is invalid - number of candles requested should be less than 350")
        rows = [row for at in reversed(stamps) if at <= now and (row := self.bars.row(name, at, seconds))]
        return {"candles": rows[: int(query.get("limit", ["350"])[0])]}

    def _books(self, request: Request, query: Query) -> Any:
        return {"pricebooks": [self._book_of(name) for name in query.get("product_ids", sorted(self.exchange.markets))]}

    def _book(self, request: Request, query: Query) -> Any:
        return {"pricebook": self._book_of(query.get("product_id", [""])[0])}

    def _book_of(self, name: str) -> Any:
        market = self._market(name)
        sides = {"bids": market.bid, "asks": market.ask}
        levels = {side: [{"price": plain(price), "size": "1.5"}] for side, price in sides.items()}
        return {"product_id": name, **levels, "time": stamp(self.clock())}

    def _summary(self, request: Request, query: Query) -> Any:
        tier = {"pricing_tier": "Advanced 1", "taker_fee_rate": "0.006", "maker_fee_rate": "0.004"}
        return {"total_volume": 1234.5, "total_fees": 7.25, "fee_tier": tier}

    def _balance(self, request: Request, query: Query) -> Any:
        exchange, unrealised, margin = self.exchange, Decimal(0), Decimal(0)
        for name, held in exchange.positions.items():
            market = exchange.markets[name]
            unrealised += held.count * market.unit * (market.bid - held.entry)
            margin += abs(held.count) * market.unit * market.bid / 4
        money = {
            "futures_buying_power": exchange.margin_cash + unrealised - margin,
            "total_usd_balance": exchange.margin_cash,
            "cbi_usd_balance": Decimal(0),
            "cfm_usd_balance": exchange.margin_cash,
            "unrealized_pnl": unrealised,
            "daily_realized_pnl": Decimal(0),
            "initial_margin": margin,
            "available_margin": exchange.margin_cash + unrealised - margin,
        }
        return {"balance_summary": {name: {"value": plain(value), "currency": "USD"} for name, value in money.items()}}

    def _positions(self, request: Request, query: Query) -> Any:
        rows = []
        for name, held in sorted(self.exchange.positions.items()):
            market = self.exchange.markets[name]
            if held.count:
                rows.append(
                    {
                        "product_id": name,
                        "expiration_time": "2030-12-20T16:00:00Z",
                        "side": "LONG" if held.count > 0 else "SHORT",
                        "number_of_contracts": plain(abs(held.count)),
                        "current_price": plain(market.bid),
                        "avg_entry_price": plain(held.entry),
                        "unrealized_pnl": plain(held.count * market.unit * (market.bid - held.entry)),
                        "daily_realized_pnl": "0",
                    }
                )
        return {"positions": rows}

    # orders

    def _create(self, request: Request, query: Query) -> Any:
        return self._placed(request, self.exchange.create)

    def _close(self, request: Request, query: Query) -> Any:
        return self._placed(request, self.exchange.close_position)

    def _placed(self, request: Request, place: Callable[[Mapping[str, Any]], Row]) -> Any:
        try:
            body = json.loads(request.body)
        except ValueError:
            raise Invalid("invalid JSON") from None
        if not isinstance(body, dict):
            raise Invalid("invalid JSON")
        try:
            row = place(body)
        except Rejected as no:
            error = {
                "error": no.code,
                "message": no.said,
                "error_details": "",
                "preview_failure_reason": no.preview or "UNKNOWN_PREVIEW_FAILURE_REASON",
                "new_order_failure_reason": "UNKNOWN_FAILURE_REASON",
            }
            return {"success": False, "error_response": error, "order_configuration": body.get("order_configuration")}
        answer = {
            "order_id": row.id,
            "product_id": row.product_id,
            "side": row.side,
            "client_order_id": row.client_id,
            "attached_order_id": "",
        }
        return {"success": True, "success_response": answer, "order_configuration": {row.kind: row.terms}}

    def _cancel(self, request: Request, query: Query) -> Any:
        ids = request.json().get("order_ids")
        if not isinstance(ids, list) or not 0 < len(ids) <= 100:
            raise Invalid("order_ids")
        results = []
        for order_id in ids:
            success, reason = self.exchange.cancel(order_id)
            results.append({"success": success, "failure_reason": reason, "order_id": order_id})
        return {"results": results}

    def _order(self, request: Request, query: Query, order_id: str) -> Any:
        row = self.exchange.order(order_id)
        if row is None or self._shy(row):
            raise KeyError("order with this orderID was not found")
        return {"order": self._told(row)}

    def _orders(self, request: Request, query: Query) -> Any:
        wanted = query.get("order_status", [])
        if "OPEN" in wanted and len(wanted) > 1:
            raise Invalid("OPEN goes with no other status")
        start = query.get("start_date", [""])[0]
        rows = [
            self._told(row)
            for row in reversed(self.exchange.orders)
            if not self._shy(row)
            and (not wanted or row.status in wanted)
            and row.product_id in query.get("product_ids", [row.product_id])
            and (not start or row.created >= datetime.fromisoformat(start))
        ]
        page, cursor = self._page(rows, query, LARGEST_PAGE)
        return {"orders": page, "sequence": "0", "has_next": bool(cursor), "cursor": cursor}

    def _fills(self, request: Request, query: Query) -> Any:
        start = query.get("start_sequence_timestamp", [""])[0]
        rows = [
            fill
            for fill in reversed(self.exchange.fills)
            if fill["order_id"] in query.get("order_ids", [fill["order_id"]])
            and fill["product_id"] in query.get("product_ids", [fill["product_id"]])
            and (not start or datetime.fromisoformat(fill["sequence_timestamp"]) >= datetime.fromisoformat(start))
        ]
        page, cursor = self._page(rows, query, 100)
        # Without has_next, unlike the other lists.
        return {"fills": page, "cursor": cursor}

    # parts

    def _told(self, row: Row) -> dict[str, Any]:
        return told(row, self.exchange.markets[row.product_id].unit)

    def _market(self, name: str) -> Market:
        if name not in self.exchange.markets:
            raise Invalid("ProductID is invalid")
        return self.exchange.markets[name]

    @staticmethod
    def _shy(row: Row) -> bool:
        """Orders show themselves to readers a moment after they were taken."""
        row.hidden -= 1
        return row.hidden >= 0

    def _page(self, rows: list[Any], query: Query, usual: int) -> tuple[list[Any], str]:
        asked = int(query.get("limit", [str(usual)])[0])
        if asked > 1000:
            raise Invalid("limit")
        first = int(query.get("cursor", ["0"])[0])
        last = first + min(asked, self.largest_page)
        return rows[first:last], str(last) if last < len(rows) else ""


type Query = dict[str, list[str]]

_ROUTES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ("GET", "/time", CoinbaseStandIn._time),
    ("GET", "/key_permissions", CoinbaseStandIn._permissions),
    ("GET", "/accounts", CoinbaseStandIn._accounts),
    ("GET", "/products", CoinbaseStandIn._products),
    ("GET", "/products/([^/]+)", CoinbaseStandIn._product),
    ("GET", "/products/([^/]+)/candles", CoinbaseStandIn._candles),
    ("GET", "/best_bid_ask", CoinbaseStandIn._books),
    ("GET", "/product_book", CoinbaseStandIn._book),
    ("GET", "/transaction_summary", CoinbaseStandIn._summary),
    ("GET", "/cfm/balance_summary", CoinbaseStandIn._balance),
    ("GET", "/cfm/positions", CoinbaseStandIn._positions),
    ("POST", "/orders", CoinbaseStandIn._create),
    ("POST", "/orders/close_position", CoinbaseStandIn._close),
    ("POST", "/orders/batch_cancel", CoinbaseStandIn._cancel),
    ("GET", "/orders/historical/batch", CoinbaseStandIn._orders),
    ("GET", "/orders/historical/fills", CoinbaseStandIn._fills),
    ("GET", "/orders/historical/([^/]+)", CoinbaseStandIn._order),
)


def wrong(status: int, error: str, details: str) -> Canned:
    return Canned({"error": error, "error_details": details, "message": details}, status)


def told(row: Row, unit: Decimal) -> dict[str, Any]:
    """An order as the API tells of it; ``unit``: base units of one of its own."""
    average = row.value / row.filled / unit if row.filled else Decimal(0)
    return {
        "order_id": row.id,
        "product_id": row.product_id,
        "user_id": "u",
        "order_configuration": {row.kind: row.terms},
        "side": row.side,
        "client_order_id": row.client_id,
        "status": row.status,
        "time_in_force": "IMMEDIATE_OR_CANCEL" if "ioc" in row.kind else "GOOD_UNTIL_CANCELLED",
        "created_time": stamp(row.created),
        "completion_percentage": plain(row.filled / row.size * 100),
        "filled_size": plain(row.filled),
        "average_filled_price": plain(average),
        "fee": "",
        "number_of_fills": str(row.fills),
        "filled_value": plain(row.value),
        "total_fees": plain(row.fees),
        "pending_cancel": False,
        "size_in_quote": "quote_size" in row.terms,
        "size_inclusive_of_fees": "quote_size" in row.terms,
        "total_value_after_fees": plain(row.value + (row.fees if row.buys else -row.fees)),
        "trigger_status": "INVALID_ORDER_TYPE",
        "order_type": row.kind.split("_")[0].upper(),
        "reject_reason": row.reject or "REJECT_REASON_UNSPECIFIED",
        "settled": row.status not in LIVE,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": "User requested cancel" if row.status == "CANCELLED" else "",
        "outstanding_hold_amount": plain(row.held),
        "last_fill_time": stamp(row.touched) if row.touched else None,
    }
