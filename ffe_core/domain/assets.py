"""What is traded, and how long a bar of it lasts."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

from ffe_core.domain.clock import from_ms, to_ms

NEW_YORK = "America/New_York"
FOREX_DAY_ENDS = time(17, 0)
STOCK_SESSION_ENDS = time(16, 0)

FIAT = frozenset("EUR GBP JPY AUD CAD CHF NZD USD CNY INR MXN BRL ZAR SGD HKD NOK SEK DKK PLN TRY RUB".split())
COINS = frozenset(
    "BTC ETH SOL AVAX MATIC ADA DOT LINK UNI AAVE CRV SUSHI COMP MKR SNX YFI XRP LTC BCH DOGE SAND MANA".split()
)
STABLECOINS = frozenset("USDT USDC DAI BUSD".split())
_BASES = sorted(COINS | STABLECOINS | FIAT, key=lambda code: (-len(code), code))
SHORTEST_PAIR = 6
#: letters of most bases; shorter ones are taken for one only where nothing else fits
SHORTEST_BASE = 3
#: letters and digits of a name, at most; the longest instruments that venues list have about thirty
LONGEST_NAME = 64
#: canonical letters and digits, or the mask that stands for an asset whose name is not to be known
_SYMBOL = r"[A-Z0-9]+|ASSET_[0-9]+"


class AssetKind(StrEnum):
    CRYPTO = "crypto"
    FOREX = "forex"
    STOCK = "stock"
    UNKNOWN = "unknown"


class DayBoundary(StrEnum):
    """Where a daily bar ends: a source declares it, and two that differ are never mixed."""

    UTC = "utc"
    NEW_YORK_17 = "new_york_17"
    SESSION = "session"

    @classmethod
    def of(cls, kind: AssetKind) -> DayBoundary:
        return {AssetKind.FOREX: cls.NEW_YORK_17, AssetKind.STOCK: cls.SESSION}.get(kind, cls.UTC)


@dataclass(frozen=True, slots=True, order=True)
class Asset:
    """A tradable pair or ticker: ``symbol`` is canonical (``BTCUSD``), ``quote`` is empty for a bare ticker."""

    symbol: str
    base: str
    quote: str
    kind: AssetKind = AssetKind.UNKNOWN

    def __post_init__(self) -> None:
        if not re.fullmatch(_SYMBOL, self.symbol):
            raise ValueError(f"{self.symbol!r} is not a canonical symbol: upper-case letters and digits only")

    @classmethod
    def parse(cls, text: str, *, kind: AssetKind | None = None) -> Self:
        """The asset that any spelling names: ``btc-usd``, ``BTC/USD`` and ``BTCUSD`` are one.

        ``kind`` overrides the classifier, which knows pairs only (a ticker such as GOOG is ``unknown`` to it).
        Raises ``ValueError`` where no letter or digit is left, and for what nobody types: control characters, and
        more letters than any name has.
        """
        if not isinstance(text, str):
            raise ValueError("an asset is named by text such as BTCUSD")
        if any(unicodedata.category(letter).startswith("C") for letter in text.strip()):
            raise ValueError(f"{text[:LONGEST_NAME]!r} holds control characters; write an asset like BTCUSD or eur/usd")
        symbol = re.sub(r"[^A-Z0-9]", "", text.upper())
        if len(symbol) > LONGEST_NAME:
            raise ValueError(f"{symbol[:LONGEST_NAME]}... is longer than any asset's name; write it like BTCUSD")
        if not symbol:
            raise ValueError(f"{text!r} names no asset; write it like BTCUSD or eur/usd")
        base, quote = split_symbol(symbol)
        return cls(symbol, base, quote, kind or classify(base, quote))

    @property
    def is_short_name(self) -> bool:
        """Fewer letters than any pair has: likely a typing slip, worth a warning, not a refusal."""
        return len(self.symbol) < SHORTEST_PAIR

    def __str__(self) -> str:
        return self.symbol


def split_symbol(symbol: str) -> tuple[str, str]:
    """``(base, quote)`` by the longest known base, else by the longest quote that leaves a name, else no quote."""
    for base in _BASES:
        rest = symbol[len(base) :]
        if symbol.startswith(base) and rest and (rest in FIAT or rest in COINS or rest in STABLECOINS):
            return base, rest
    quotes = sorted(FIAT | STABLECOINS | {"BTC", "ETH"}, key=lambda code: (-len(code), code))
    fitting = [quote for quote in quotes if symbol.endswith(quote)] if len(symbol) >= SHORTEST_PAIR else []
    if fitting:
        # BNBUSD is BNB in USD: few names have two letters, and none that has three is taken for one of them.
        quote = next((each for each in fitting if len(symbol) - len(each) >= SHORTEST_BASE), fitting[0])
        return symbol[: -len(quote)], quote
    return symbol, ""


def classify(base: str, quote: str) -> AssetKind:
    """Crypto first, then forex, else unknown."""
    if base in COINS and (quote in FIAT or quote in COINS or quote in STABLECOINS):
        return AssetKind.CRYPTO
    if base in FIAT and quote in FIAT:
        return AssetKind.FOREX
    return AssetKind.UNKNOWN


def is_canonical_pair(symbol: str, *, shortest: int = SHORTEST_PAIR) -> bool:
    """Whether ``symbol`` is already in the one form that records use."""
    return len(symbol) >= shortest and re.fullmatch(r"[A-Z0-9]+", symbol) is not None


def describe_pair(symbol: str) -> tuple[bool, str]:
    """``(plausible, remark)``: an unknown code is only remarked on; a quote with digits cannot be a currency."""
    base, quote = split_symbol(symbol)
    if not quote:
        base, quote = symbol[:3], symbol[3:]
    if not quote.isalpha():
        return False, f"quote {quote!r} of {symbol} is not alphabetic"
    unknown = [code for code in (base, quote) if code not in COINS | FIAT | STABLECOINS]
    return True, f"unknown currency {', '.join(unknown)}" if unknown else ""


_MINUTE = 60_000


class Timeframe(StrEnum):
    """The length of a bar. A bar is labelled by its open and visible once it has closed."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H4 = "4h"
    D1 = "1d"

    @property
    def milliseconds(self) -> int:
        """Nominal length; a daily forex bar may be an hour shorter or longer."""
        return _LENGTHS[self.value] * _MINUTE

    @property
    def timedelta(self) -> timedelta:
        return timedelta(milliseconds=self.milliseconds)

    def close_of(self, open_ms: int, kind: AssetKind = AssetKind.CRYPTO) -> int:
        """When the bar that opens at ``open_ms`` is complete (both epoch milliseconds, UTC).

        Up to 4h a bar ends its length later. A day of crypto ends at the next midnight UTC, of forex at the next
        17:00 in New York (23, 24 or 25 hours on), of a stock at 16:00 New York on the date of its label.
        """
        if self is not Timeframe.D1 or DayBoundary.of(kind) is DayBoundary.UTC:
            return open_ms + self.milliseconds
        if kind is AssetKind.FOREX:
            return _next_new_york(open_ms, FOREX_DAY_ENDS)
        return _session_close(from_ms(open_ms).date())

    def open_of(self, at_ms: int, kind: AssetKind = AssetKind.CRYPTO) -> int:
        """The label of the bar whose period holds the instant ``at_ms``."""
        if self is not Timeframe.D1 or DayBoundary.of(kind) is DayBoundary.UTC:
            return at_ms - at_ms % self.milliseconds
        if kind is AssetKind.FOREX:
            return _previous_new_york(at_ms, FOREX_DAY_ENDS)
        midnight = datetime.combine(from_ms(at_ms).astimezone(ZoneInfo(NEW_YORK)).date(), time(0), UTC)
        return to_ms(midnight)


_LENGTHS = {"1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "4h": 240, "1d": 1440}

#: The six frames of a pulse, finest first.
PULSE_TIMEFRAMES = (Timeframe.M1, Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1)


def _at_new_york(day: date, at: time) -> int:
    return to_ms(datetime.combine(day, at, ZoneInfo(NEW_YORK)))


@lru_cache(maxsize=4096)
def _session_close(day: date) -> int:
    return _at_new_york(day, STOCK_SESSION_ENDS)


def _next_new_york(after_ms: int, at: time) -> int:
    day = from_ms(after_ms).astimezone(ZoneInfo(NEW_YORK)).date()
    today = _at_new_york(day, at)
    return today if today > after_ms else _at_new_york(day + timedelta(days=1), at)


def _previous_new_york(until_ms: int, at: time) -> int:
    day = from_ms(until_ms).astimezone(ZoneInfo(NEW_YORK)).date()
    today = _at_new_york(day, at)
    return today if today <= until_ms else _at_new_york(day - timedelta(days=1), at)
