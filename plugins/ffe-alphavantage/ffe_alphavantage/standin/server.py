"""The one route of the stand-in: who may ask, what is asked, and how it is refused, always with status 200."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

from ffe_alphavantage.standin.market import COINS, CURRENCIES, MINUTES, NOON, STOCKS, Market
from ffe_core.testing.loopback import Canned, Loopback, Request

KEY = "STANDINKEY12345Z"
_BAD_KEY = (
    "the parameter apikey is invalid or missing. Please claim your free API key on (the support page). "
    "It should take less than 20 seconds."
)
_NO_FUNCTION = "This API function ({}) does not exist."
_BAD_CALL = "Invalid API call. Please retry or visit the documentation (the documentation page) for {}."
_NO_ARTICLES = "No articles found. Please adjust the time range or refer to the API documentation."
#: how the service says that something is spent; ``{key}`` is the caller's own
DAY = (
    "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please subscribe "
    "to any of the premium plans to instantly remove all daily rate limits."
)
BURST = (
    "Thank you for using Alpha Vantage! Please consider spreading out your free API requests more sparingly (1 request "
    "per second). You may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day), "
    "raise the per-second burst limit, and instantly unlock all premium endpoints"
)
MINUTE = (
    "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls per day. "
    "Please visit the premium page if you would like to target a higher API call frequency."
)
PREMIUM = (
    "Thank you for using Alpha Vantage! This is a premium endpoint. You may subscribe to any of the premium plans to "
    "instantly unlock all premium endpoints"
)
_MACRO: Mapping[str, tuple[int, Mapping[str, tuple[str, ...]]]] = {
    "CPI": (1, {"interval": ("monthly", "semiannual")}),
    "DURABLES": (1, {}),
    "FEDERAL_FUNDS_RATE": (1, {"interval": ("daily", "weekly", "monthly")}),
    "INFLATION": (12, {}),
    "NONFARM_PAYROLL": (1, {}),
    "REAL_GDP": (3, {"interval": ("quarterly", "annual")}),
    "REAL_GDP_PER_CAPITA": (3, {}),
    "RETAIL_SALES": (1, {}),
    "TREASURY_YIELD": (
        1,
        {
            "interval": ("daily", "weekly", "monthly"),
            "maturity": ("3month", "2year", "5year", "7year", "10year", "30year"),
        },
    ),
    "UNEMPLOYMENT": (1, {}),
}
_SORTS = ("LATEST", "EARLIEST", "RELEVANCE")


class _Refused(Exception):
    """An answer that is none."""

    def __init__(self, member: str, said: str) -> None:
        super().__init__(said)
        self.body = {member: said}


class AlphaVantageStandIn(Loopback):
    """``faults`` are the next answers, whatever is asked. ``premium`` names what the key's plan does not have.

    ``per_day``: calls after which only the refusal comes; ``punctual``: the span of a question for news is kept to.
    """

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self.at = NOON
        self.market = Market(clock or (lambda: self.at))
        self.faults: list[Canned] = []
        self.premium: set[str] = set()
        self.per_day: int | None = None
        self.punctual = True
        self.key = KEY
        self.articles: Callable[[], list[dict[str, Any]]] = self.market.articles
        super().__init__(self._answer)

    @property
    def asked(self) -> list[dict[str, str]]:
        """The questions that arrived, without the key."""
        found = [dict(parse_qsl(each.query)) for each in self.requests]
        return [{name: value for name, value in each.items() if name != "apikey"} for each in found]

    def _answer(self, request: Request) -> Canned:
        if self.faults:
            return self.faults.pop(0)
        if (request.method, request.path) != ("GET", "/query"):
            return Canned(b"<html>404</html>", 404, {"Content-Type": "text/html"})
        try:
            return Canned(self._told(dict(parse_qsl(request.query, strict_parsing=True, keep_blank_values=True))))
        except _Refused as refusal:
            return Canned(refusal.body)

    def _told(self, query: dict[str, str]) -> Mapping[str, Any]:
        function = query.pop("function", "")
        if query.pop("apikey", "") != self.key:
            raise _Refused("Error Message", _BAD_KEY)
        if self.per_day is not None and len(self.requests) > self.per_day:
            raise _Refused("Information", DAY.format(key=self.key))
        if query.pop("datatype", "json") != "json":
            raise _Refused("Error Message", _BAD_CALL.format(function))
        if {function, f"{function} {query.get('outputsize', 'compact')}"} & self.premium:
            raise _Refused("Information", PREMIUM)
        if function in _MACRO:
            return self._figures(Query(function, query))
        if function not in self._functions:
            raise _Refused("Error Message", _NO_FUNCTION.format(function))
        return self._functions[function](self, Query(function, query))

    def _stock_days(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"symbol", "outputsize"})
        symbol, size = ask.one_of("symbol", STOCKS), ask.size()
        rows = _sized(self.market.stock_days(symbol), size)
        meta = ["Daily Prices (open, high, low, close) and Volumes", symbol, next(iter(rows)), size, "US/Eastern"]
        return _sheet(("Information", "Symbol", "Last Refreshed", "Output Size", "Time Zone"), meta, "(Daily)", rows)

    def _stock_bars(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"symbol", "interval", "outputsize", "month", "adjusted", "extended_hours"})
        symbol, interval, size = ask.one_of("symbol", STOCKS), ask.one_of("interval", MINUTES), ask.size()
        ask.one_of("adjusted", ("true", "false"), "true")
        extended = ask.one_of("extended_hours", ("true", "false"), "true") == "true"
        month = ask.month()
        rows = _sized(self.market.stock_bars(symbol, interval, month, extended=extended), size)
        if not rows:
            raise ask.refusal()
        meta = [f"Intraday ({interval}) prices", symbol, next(iter(rows)), interval, size, "US/Eastern"]
        names = ("Information", "Symbol", "Last Refreshed", "Interval", "Output Size", "Time Zone")
        return _sheet(names, meta, f"({interval})", rows)

    def _currency_days(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"from_symbol", "to_symbol", "outputsize"})
        base, quote, size = ask.one_of("from_symbol", CURRENCIES), ask.one_of("to_symbol", CURRENCIES), ask.size()
        rows = _sized(self.market.currency_days(base + quote), size)
        meta = ["Forex Daily Prices (open, high, low, close)", base, quote, size, next(iter(rows)), "UTC"]
        names = ("Information", "From Symbol", "To Symbol", "Output Size", "Last Refreshed", "Time Zone")
        return _sheet(names, meta, "FX (Daily)", rows)

    def _currency_bars(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"from_symbol", "to_symbol", "interval", "outputsize"})
        base, quote, size = ask.one_of("from_symbol", CURRENCIES), ask.one_of("to_symbol", CURRENCIES), ask.size()
        interval = ask.one_of("interval", MINUTES)
        rows = _sized(self.market.bars(base + quote, interval, volume=False), size)
        meta = ["FX Intraday Time Series", base, quote, next(iter(rows)), interval, size, "UTC"]
        names = ("Information", "From Symbol", "To Symbol", "Last Refreshed", "Interval", "Output Size", "Time Zone")
        return _sheet(names, meta, f"FX ({interval})", rows)

    def _coin_days(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"symbol", "market"})
        coin, market = ask.one_of("symbol", COINS), ask.one_of("market", CURRENCIES)
        rows = self.market.coin_days(coin, market)
        meta = ["Daily Prices and Volumes for Digital Currency", coin, "Coin", market, "Money", next(iter(rows)), "UTC"]
        return _sheet((*_COIN_NAMES, "Last Refreshed", "Time Zone"), meta, "(Digital Currency Daily)", rows)

    def _coin_bars(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"symbol", "market", "interval", "outputsize"})
        coin, market, size = ask.one_of("symbol", COINS), ask.one_of("market", CURRENCIES), ask.size()
        interval = ask.one_of("interval", MINUTES)
        rows = _sized(self.market.bars(coin + market, interval, volume=True), size)
        meta = ["Crypto Intraday Time Series", coin, "Coin", market, "Money", next(iter(rows)), interval, size, "UTC"]
        names = (*_COIN_NAMES, "Last Refreshed", "Interval", "Output Size", "Time Zone")
        return _sheet(names, meta, f"Crypto ({interval})", rows)

    def _news(self, ask: Query) -> Mapping[str, Any]:
        ask.require({"tickers", "topics", "time_from", "time_to", "sort", "limit"})
        tickers = [each for each in ask.given.get("tickers", "").split(",") if each]
        first, last = ask.minute("time_from"), ask.minute("time_to")
        sort, limit = ask.one_of("sort", _SORTS, "LATEST"), ask.whole("limit", 50)
        found = []
        for each in self.articles():
            at = datetime.strptime(each["time_published"], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
            named = {one["ticker"] for one in each["ticker_sentiment"]}
            within = not self.punctual or ((first is None or at >= first) and (last is None or at <= last))
            if within and named >= set(tickers):
                found.append(each)
        if not found:
            raise _Refused("Information", _NO_ARTICLES)
        if sort == "EARLIEST":
            found.reverse()
        definition = "x <= -0.35: Bearish; -0.35 < x <= -0.15: Somewhat-Bearish; -0.15 < x < 0.15: Neutral"
        return {
            "items": str(len(found[:limit])),
            "sentiment_score_definition": definition,
            "relevance_score_definition": "0 < x <= 1, with a higher score indicating higher relevance.",
            "feed": found[:limit],
        }

    def _figures(self, ask: Query) -> Mapping[str, Any]:
        months, choices = _MACRO[ask.function]
        ask.require(set(choices))
        for name, allowed in choices.items():
            ask.one_of(name, allowed, allowed[-1])
        return {"name": ask.function, "interval": "monthly", "unit": "percent", "data": self.market.figures(months)}

    _functions: Mapping[str, Callable[[AlphaVantageStandIn, Query], Mapping[str, Any]]] = {
        "TIME_SERIES_DAILY": _stock_days,
        "TIME_SERIES_INTRADAY": _stock_bars,
        "FX_DAILY": _currency_days,
        "FX_INTRADAY": _currency_bars,
        "DIGITAL_CURRENCY_DAILY": _coin_days,
        "CRYPTO_INTRADAY": _coin_bars,
        "NEWS_SENTIMENT": _news,
    }


_COIN_NAMES = (
    "Information",
    "Digital Currency Code",
    "Digital Currency Name",
    "Market Code",
    "Market Name",
)


class Query:
    """The parameters of a call; what is not known there is refused, which shows slips of the pen."""

    def __init__(self, function: str, given: Mapping[str, str]) -> None:
        self.function = function
        self.given = given

    def refusal(self) -> _Refused:
        return _Refused("Error Message", _BAD_CALL.format(self.function))

    def require(self, known: set[str]) -> None:
        if not set(self.given) <= known:
            raise self.refusal()

    def one_of(self, name: str, allowed: Any, default: str = "") -> str:
        value = self.given.get(name, default)
        if value not in allowed:
            raise self.refusal()
        return value

    def size(self) -> str:
        return self.one_of("outputsize", ("compact", "full"), "compact")

    def whole(self, name: str, default: int) -> int:
        value = self.given.get(name, str(default))
        if not re.fullmatch(r"[1-9]\d{0,2}|1000", value):
            raise self.refusal()
        return int(value)

    def month(self) -> str | None:
        value = self.given.get("month")
        if value is not None and not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", value):
            raise self.refusal()
        return value

    def minute(self, name: str) -> datetime | None:
        value = self.given.get(name)
        try:
            return None if value is None else datetime.strptime(value, "%Y%m%dT%H%M").replace(tzinfo=UTC)
        except ValueError:
            raise self.refusal() from None


def _sized(rows: dict[str, dict[str, str]], size: str) -> dict[str, dict[str, str]]:
    return rows if size == "full" else dict(islice(rows.items(), 100))


def _sheet(
    names: tuple[str, ...], values: list[str], series: str, rows: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    meta = {f"{index}. {name}": value for index, (name, value) in enumerate(zip(names, values, strict=True), 1)}
    return {"Meta Data": meta, f"Time Series {series}": rows}
