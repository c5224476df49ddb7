"""Built-in source: real daily bars of five US stocks, from a package that the extra ``ffe-core[sample]`` brings.

The bars are the file ``stocks.csv.gz`` of ``bokeh_sampledata`` (BSD-3-Clause; the prices are those of Quandl WIKI,
which declared them public domain): AAPL, IBM and MSFT from 2000-03-01, GOOG from its first day 2004-08-19, FB from
2012-05-18, all to 2013-03-01. Open, high, low, close and volume are **unadjusted**: AAPL falls by half on 2005-02-28
because its shares were split, not because anybody lost money. The file's adjusted closes are not used, because they
know of splits and dividends long after the day they stand beside.

The file is read where it lies; the package itself is never imported.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ffe_core import (
    Asset,
    AssetKind,
    BadData,
    Candles,
    DataSource,
    DayBoundary,
    Holding,
    NoData,
    NotConfigured,
    Timeframe,
    hookimpl,
)

PACKAGE = "bokeh_sampledata"
TICKERS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")

_COLUMNS = ("Open", "High", "Low", "Close", "Volume")
_SPLITS = {
    "AAPL": (date(2000, 6, 21), date(2005, 2, 28)),
    "MSFT": (date(2003, 2, 18),),
}


@dataclass(frozen=True, slots=True)
class SampleSource:
    """Daily candles of ``TICKERS``, labelled with midnight UTC of the session's date."""

    name: str = "sample"

    def serves(self, asset: Asset) -> bool:
        return asset.symbol in TICKERS

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        if not self.serves(asset):
            raise NoData(f"sample has no {asset}", hint=f"it has {', '.join(TICKERS)}")
        if timeframe is not Timeframe.D1:
            raise NoData(f"sample has daily bars of {asset}, no {timeframe} bars")
        if asset.kind is not AssetKind.STOCK:
            raise BadData(f"{asset} of sample is a stock", hint=f"say so in the settings: data.kinds.{asset}: stock")
        found = _candles(asset, self.name, _file()).between(start, end)
        found = found if limit is None else found.tail(max(0, limit))
        if not len(found):
            raise NoData(f"sample has no {asset} in that span", hint="it has 2000-03-01 to 2013-03-01")
        return found

    def holdings(self) -> Sequence[Holding]:
        """Nothing where the extra is not installed."""
        place = _place()
        return [] if place is None else [_holding(ticker, place) for ticker in TICKERS]


def _place() -> Path | None:
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "_data" / "stocks.csv.gz"


def _file() -> Path:
    place = _place()
    if place is None:
        raise NotConfigured("the sample data are not installed", hint="pip install 'ffe-core[sample]'")
    return place


def _holding(ticker: str, place: Path) -> Holding:
    made = _candles(Asset.parse(ticker, kind=AssetKind.STOCK), "sample", place)
    first, last = (datetime.fromtimestamp(made.time[index] / 1000, UTC) for index in (0, -1))
    return Holding(made.asset, Timeframe.D1, len(made), first, last, f"{PACKAGE}, unadjusted prices")


@lru_cache(maxsize=16)
def _candles(asset: Asset, source: str, place: Path) -> Candles:
    rows = _rows(place)[asset.symbol]
    days, opens, highs, lows, closes, volumes = zip(*rows, strict=True)
    return Candles.of(
        asset,
        Timeframe.D1,
        source,
        time=map(_midnight, days),
        open=opens,
        high=highs,
        low=lows,
        close=closes,
        volume=volumes,
        day_boundary=DayBoundary.SESSION,
        remarks=[f"unadjusted for the split of {day}" for day in _SPLITS.get(asset.symbol, ())],
    )


def _midnight(day: str) -> int:
    return int(datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()) * 1000


type _Row = tuple[str, float, float, float, float, float]


@lru_cache(maxsize=1)
def _rows(place: Path) -> dict[str, list[_Row]]:
    """Date, open, high, low, close and volume by ticker, in the file's order, which is the calendar's."""
    try:
        with gzip.open(place, "rt", encoding="utf-8", newline="") as file:
            return _read(csv.DictReader(file))
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{PACKAGE} is installed without a readable stocks.csv.gz: {error!r}") from error


def _read(lines: Iterable[dict[str, str]]) -> dict[str, list[_Row]]:
    made: dict[str, list[_Row]] = {ticker: [] for ticker in TICKERS}
    for line in lines:
        opened, high, low, close, volume = (float(line[name]) for name in _COLUMNS)
        made[line["Ticker"]].append((line["Date"], opened, high, low, close, volume))
    if not all(made.values()):
        raise ValueError("not every stock is there")
    return made


@hookimpl
def ffe_data_sources() -> Iterable[DataSource]:
    return [SampleSource()]
