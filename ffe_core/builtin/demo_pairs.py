"""What the invented market takes for granted about a pair: its price level, how much it moves, how finely it ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from ffe_core import Asset, AssetKind

#: pairs that are worth trying first
WELL_KNOWN = ("BTCUSD", "ETHUSD", "SOLUSD", "EURUSD", "GBPUSD", "USDJPY", "DIPUSD")

#: log return of a day's slide for coins that do little else, and the days from one recovery to the next
_SLIDES = {"DIP": 0.036}
SLIDE_CYCLE = 56

#: rough worth in US dollars, for the right order of magnitude and nothing else
_WORTH = {
    "BTC": 45_000.0, "ETH": 2_500.0, "SOL": 110.0, "AVAX": 32.0, "MATIC": 0.8, "ADA": 0.5, "DOT": 7.0, "LINK": 15.0,
    "UNI": 7.0, "AAVE": 100.0, "CRV": 0.6, "SUSHI": 1.2, "COMP": 55.0, "MKR": 1_500.0, "SNX": 3.0, "YFI": 8_000.0,
    "XRP": 0.6, "LTC": 75.0, "BCH": 250.0, "DOGE": 0.1, "SAND": 0.45, "MANA": 0.45,
    "USDT": 1.0, "USDC": 1.0, "DAI": 1.0, "BUSD": 1.0,
    "USD": 1.0, "EUR": 1.09, "GBP": 1.27, "JPY": 0.0067, "CHF": 1.13, "AUD": 0.66, "CAD": 0.74, "NZD": 0.61,
    "CNY": 0.139, "INR": 0.012, "MXN": 0.055, "BRL": 0.19, "ZAR": 0.054, "TRY": 0.031, "RUB": 0.011, "SGD": 0.74,
    "HKD": 0.128, "NOK": 0.095, "SEK": 0.096, "DKK": 0.146, "PLN": 0.25,
}  # fmt: skip
_CALM_COINS = {"BTC": 0.026, "ETH": 0.032, "DIP": 0.003}
_STABLE = frozenset(["USDT", "USDC", "DAI", "BUSD", "USD"])


@dataclass(frozen=True, slots=True)
class Pair:
    """``level`` in quote currency, ``volatility`` of a normal day's log return, ``scale`` ticks to one of the quote.

    ``slide`` is what the log price loses on each day but the last of a cycle, which wins all of it back; 0 for nearly
    every pair.
    """

    level: float
    volatility: float
    scale: int
    daily_volume: float
    slide: float = 0.0

    def ticks(self, price: float) -> int:
        return max(1, round(price * self.scale))

    def drift(self, day: int) -> float:
        """How far the slide has the log price above or below its level as a day (numbered from 1970) begins."""
        return self.slide * ((SLIDE_CYCLE - 1) / 2 - day % SLIDE_CYCLE)


@lru_cache(maxsize=256)
def pair_of(symbol: str, kind: AssetKind) -> Pair:
    asset = Asset.parse(symbol)
    level = _level(asset, kind)
    return Pair(
        level,
        _volatility(asset, kind),
        10 ** _decimals(level, kind),
        _daily_volume(asset, level, kind),
        _SLIDES.get(asset.base, 0.0),
    )


def _level(asset: Asset, kind: AssetKind) -> float:
    if kind is not AssetKind.STOCK and asset.base in _WORTH and asset.quote in _WORTH:
        return _WORTH[asset.base] / _WORTH[asset.quote]
    # Unknown names get a level of their own between 5 and 500.
    return float(round(5 * 100 ** Random(asset.symbol).random(), 2))


def _volatility(asset: Asset, kind: AssetKind) -> float:
    if asset.base in _STABLE and asset.quote in _STABLE:
        return 0.0006
    if kind is AssetKind.FOREX:
        return 0.0052
    if kind is AssetKind.STOCK:
        return 0.016
    return _CALM_COINS.get(asset.base, 0.042)


def _decimals(level: float, kind: AssetKind) -> int:
    """Ticks fine enough that a quiet minute still moves by several of them, and never more than eight decimals."""
    if kind is AssetKind.STOCK:
        return 2
    digits = 5 if kind is AssetKind.FOREX else 6
    return min(8, max(2, digits - math.floor(math.log10(level) + 0.05)))


def _daily_volume(asset: Asset, level: float, kind: AssetKind) -> float:
    """Coins for the money that changes hands in a day, ticks for forex, shares for stocks."""
    if kind is AssetKind.FOREX:
        return 90_000.0
    money = {"BTC": 9e8, "ETH": 6e8}.get(asset.base, 1.2e8)
    return max(20_000.0, money / (level * _WORTH.get(asset.quote, 1.0)))
