"""Which functions tell of an asset, and what they are asked; no network in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from ffe_alphavantage.parse import Sheet
from ffe_core import Asset, AssetKind, BadData, DayBoundary, Timeframe

NEW_YORK = ZoneInfo("America/New_York")
INTERVALS = {
    Timeframe.M1: "1min",
    Timeframe.M5: "5min",
    Timeframe.M15: "15min",
    Timeframe.M30: "30min",
    Timeframe.H1: "60min",
}
#: rows of an answer that is not asked for in full
COMPACT = 100


@dataclass(frozen=True, slots=True)
class Market:
    """One asset as the service has it. ``currency`` chooses among prices that are told in several."""

    kind: AssetKind
    #: what names it in every question, and the meta data that repeat it
    names: Mapping[str, str]
    told: Mapping[str, str]
    daily: tuple[str, str]
    intraday: str
    #: the member that holds bars of an interval, to be formatted
    series: str
    currency: str = ""
    #: whether daily bars can be had in full or in brief
    sized: bool = True
    #: further parameters of intraday questions
    intraday_only: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_months(self) -> bool:
        """Whether intraday bars of a past month can be asked for."""
        return self.kind is AssetKind.STOCK

    def require_days(self, sheet: Sheet) -> DayBoundary:
        """Where this market's daily bars end. Raises ``BadData`` where the answer counts days in another zone."""
        zone = sheet.zone
        if self.kind is AssetKind.STOCK:
            if zone not in (NEW_YORK, ZoneInfo("US/Eastern")):
                raise BadData(f"alphavantage: days of another exchange's zone, {zone}, cannot be told from New York's")
            return DayBoundary.SESSION
        if str(zone).upper() != "UTC":
            raise BadData(f"alphavantage: days in the zone {zone} where days of UTC are due")
        return DayBoundary.UTC


def market_of(asset: Asset, symbols: Mapping[str, str], *, extended_hours: bool = False) -> Market | None:
    """``None`` for what the service does not have, by kind. A bare ticker counts as a stock."""
    if asset.kind is AssetKind.STOCK or (
        asset.kind is AssetKind.UNKNOWN and not asset.quote and asset.symbol.isalpha()
    ):
        symbol = symbols.get(asset.symbol, asset.symbol)
        return Market(
            kind=AssetKind.STOCK,
            names={"symbol": symbol},
            told={"Symbol": symbol},
            daily=("TIME_SERIES_DAILY", "Time Series (Daily)"),
            intraday="TIME_SERIES_INTRADAY",
            series="Time Series ({})",
            # As traded, like the daily bars: an adjusted past knows of splits and dividends to come.
            intraday_only={"adjusted": "false", "extended_hours": str(extended_hours).lower()},
        )
    if not asset.quote:
        return None
    if asset.kind is AssetKind.FOREX:
        return Market(
            kind=AssetKind.FOREX,
            names={"from_symbol": asset.base, "to_symbol": asset.quote},
            told={"From_Symbol": asset.base, "To_Symbol": asset.quote},
            daily=("FX_DAILY", "Time Series FX (Daily)"),
            intraday="FX_INTRADAY",
            series="Time Series FX ({})",
        )
    if asset.kind is AssetKind.CRYPTO:
        return Market(
            kind=AssetKind.CRYPTO,
            names={"symbol": asset.base, "market": asset.quote},
            told={"Digital_Currency_Code": asset.base, "Market_Code": asset.quote},
            daily=("DIGITAL_CURRENCY_DAILY", "Time Series (Digital Currency Daily)"),
            intraday="CRYPTO_INTRADAY",
            series="Time Series Crypto ({})",
            currency=asset.quote,
            sized=False,
        )
    return None
