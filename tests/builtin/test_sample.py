"""The sample of real stocks: known prices, session days, and a clear word where the package is away."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from datetime import UTC, datetime
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from ffe_core.builtin import sample
from ffe_core.builtin.sample import TICKERS, SampleSource
from ffe_core.domain.assets import Asset, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import FixedClock, from_ms, to_ms
from ffe_core.errors import BadData, NoData, NotConfigured
from ffe_core.market.feed import Feed
from ffe_core.testing import DataSourceContract

installed = pytest.mark.skipif(
    importlib.util.find_spec(sample.PACKAGE) is None, reason="the extra ffe-core[sample] is not installed"
)
GOOG, AAPL = (Asset.parse(name, kind=AssetKind.STOCK) for name in ("GOOG", "AAPL"))
D1 = Timeframe.D1


def every(asset: Asset):
    return SampleSource().candles(asset, D1, start=None, end=None, limit=None)


@installed
class TestContract(DataSourceContract):
    factory = SampleSource
    asset = "GOOG"
    timeframe = D1

    def read(self, source=None, **span):
        limit = span.pop("limit", 60)
        return (source or self.make()).candles(GOOG, D1, **{"start": None, "end": None, **span}, limit=limit)


@installed
def test_prices_are_those_of_the_market() -> None:
    google = every(GOOG)
    # Known from the exchange: the first day's close, and the low of the crisis.
    assert (from_ms(google.time[0]), google.close[0]) == (
        datetime(2004, 8, 19, tzinfo=UTC),
        pytest.approx(100.34, abs=0.01),
    )
    crisis = list(google.time).index(to_ms(datetime(2008, 11, 24, tzinfo=UTC)))
    assert google.close[crisis] == pytest.approx(257.44, abs=0.01)
    assert (len(google), from_ms(google.time[-1])) == (2148, datetime(2013, 3, 1, tzinfo=UTC))
    assert not google.synthetic


@installed
def test_they_equal_another_publishers_bars_of_the_same_stock(market_data: Path) -> None:
    import pandas as pd

    theirs = pd.read_parquet(market_data / "GOOG_1d_20040819_20130301.parquet").set_index("timestamp")
    ours = every(GOOG).frame()
    shared = ours.index.intersection(theirs.index)
    assert len(shared) == len(theirs) == len(ours)
    off = (ours.loc[shared, "close"] / theirs.loc[shared, "close"] - 1).abs()
    # Two publishers differ on the close of a handful of days.
    assert off.max() < 0.01
    assert (off < 0.0001).mean() > 0.99


@installed
def test_a_day_ends_with_new_yorks_session() -> None:
    held = SampleSource().candles(
        GOOG, D1, start=datetime(2012, 7, 2, tzinfo=UTC), end=datetime(2012, 7, 3, tzinfo=UTC), limit=None
    )
    assert held.day_boundary is DayBoundary.SESSION
    assert held.last_close_at == datetime(2012, 7, 2, 20, tzinfo=UTC)


@installed
def test_splits_are_in_the_prices_and_said() -> None:
    apple = every(AAPL)
    at = list(apple.time).index(to_ms(datetime(2005, 2, 28, tzinfo=UTC)))
    assert apple.close[at] / apple.close[at - 1] == pytest.approx(0.5, abs=0.01)
    assert "unadjusted for the split of 2005-02-28" in apple.remarks


@installed
def test_it_holds_five_stocks() -> None:
    held = SampleSource().holdings()
    assert tuple(str(one.asset) for one in held) == TICKERS
    assert {one.asset.kind for one in held} == {AssetKind.STOCK}
    assert sum(one.bars or 0 for one in held) == 3 * 3270 + 2148 + 196


@installed
def test_the_feed_serves_it_as_of_a_session_that_was_over() -> None:
    feed = Feed([("sample", SampleSource())], FixedClock(datetime(2012, 7, 3, 19, 59, tzinfo=UTC)))
    found = feed.series(GOOG)
    assert list(found.sources) == [D1]
    held = found.series[D1]
    assert held is not None
    assert (len(held), from_ms(held.time[-1])) == (500, datetime(2012, 7, 2, tzinfo=UTC))


@installed
def test_only_daily_bars_of_its_stocks_are_there() -> None:
    with pytest.raises(NoData, match="no 1h bars"):
        SampleSource().candles(GOOG, Timeframe.H1, start=None, end=None, limit=5)
    with pytest.raises(NoData, match="no TSLA"):
        SampleSource().candles(Asset.parse("TSLA"), D1, start=None, end=None, limit=5)
    with pytest.raises(NoData, match="in that span"):
        SampleSource().candles(GOOG, D1, start=datetime(2020, 1, 1, tzinfo=UTC), end=None, limit=5)


@installed
def test_a_ticker_whose_kind_is_unknown_is_answered_with_the_setting() -> None:
    with pytest.raises(BadData) as caught:
        SampleSource().candles(Asset.parse("GOOG"), D1, start=None, end=None, limit=5)
    assert caught.value.hint == "say so in the settings: data.kinds.GOOG: stock"


@installed
def test_the_package_is_read_and_never_imported() -> None:
    program = (
        "import sys; from ffe_core.builtin.sample import SampleSource; SampleSource().holdings();"
        "sys.exit(any(name.split('.')[0] in ('bokeh_sampledata', 'pandas', 'shapely') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "find_spec", lambda _: None)
    assert SampleSource().holdings() == []
    with pytest.raises(NotConfigured) as caught:
        SampleSource().candles(GOOG, D1, start=None, end=None, limit=5)
    assert caught.value.hint == "pip install 'ffe-core[sample]'"


HEADER = b"Ticker,Date,Open,High,Low,Close,Volume,Adj Close\n"
DAMAGED = [
    gzip.compress(text, mtime=0)
    for text in (b"Ticker,Open\n", HEADER, HEADER + b"GOOG,2004-", HEADER + b"GOOG,2004-08-19,1,1,1,1,many,1")
]


@pytest.mark.parametrize("content", [b"", b"not gzip", *DAMAGED], ids=lambda content: f"{len(content)} bytes")
def test_a_damaged_package_is_bad_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    (tmp_path / "_data").mkdir()
    (tmp_path / "_data" / "stocks.csv.gz").write_bytes(content)
    spec = ModuleSpec(sample.PACKAGE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(sample, "find_spec", lambda _: spec)
    with pytest.raises(BadData, match="readable"):
        SampleSource().candles(GOOG, D1, start=None, end=None, limit=5)
