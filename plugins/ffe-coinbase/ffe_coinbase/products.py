"""Which product of the venue an asset is, and back. No network in here.

A spot product is BASE-QUOTE. A contract has three parts (``BIP-20DEC30-CDE``); as an asset it is called by its letters
(``BIP20DEC30CDE``), or by the pair that settings say it stands for.
"""

from __future__ import annotations

import re

from ffe_coinbase.settings import CoinbaseSettings
from ffe_core import Asset, AssetKind

#: quotes that the venue has, besides other coins
QUOTES = frozenset("USD USDC USDT EUR GBP BTC ETH".split())
_CONTRACT = re.compile(r"([A-Z0-9]{2,6})(\d{2}(?:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC)\d{2})([A-Z]{3})")


def contract_id(asset: Asset, settings: CoinbaseSettings) -> str | None:
    """The contract that ``asset`` means; ``None`` where it means none."""
    if asset.symbol in settings.contracts:
        return settings.contracts[asset.symbol]
    parts = _CONTRACT.fullmatch(asset.symbol)
    return "-".join(parts.groups()) if parts else None


def spot_id(asset: Asset) -> str | None:
    """The spot product of a pair; ``None`` for what is no pair of the venue's kind."""
    if not asset.quote or _CONTRACT.fullmatch(asset.symbol):
        return None
    return f"{asset.base}-{asset.quote}"


def product_id(asset: Asset, settings: CoinbaseSettings) -> str | None:
    """What ``asset`` is where ``settings.product`` is traded; ``None`` where there is no such thing."""
    return contract_id(asset, settings) if settings.product == "futures" else spot_id(asset)


def asset_of(product: str, settings: CoinbaseSettings) -> Asset:
    """The asset that a product of the venue is called here."""
    for symbol, contract in settings.contracts.items():
        if contract == product:
            return Asset.parse(symbol)
    parts = product.split("-")
    return pair(*parts) if len(parts) == 2 else Asset.parse(product)


def pair(base: str, quote: str) -> Asset:
    """As ``Asset.parse`` would have it where it can tell the halves, and these halves where it cannot."""
    parsed = Asset.parse(f"{base}-{quote}")
    if (parsed.base, parsed.quote) == (base, quote):
        return parsed
    return Asset(parsed.symbol, base, quote, AssetKind.CRYPTO)


def serves(asset: Asset, settings: CoinbaseSettings) -> bool:
    """Whether the venue may have it: coins against what it settles in, and contracts. No currencies, no shares."""
    if settings.product == "futures":
        return contract_id(asset, settings) is not None
    if asset.kind in (AssetKind.FOREX, AssetKind.STOCK):
        return False
    return spot_id(asset) is not None and (asset.kind is AssetKind.CRYPTO or asset.quote in QUOTES)
