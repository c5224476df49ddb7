"""The folder of candle files: a series is there whole or not at all."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.domain.market import Candles
from ffe_core.errors import BadData, NoData
from ffe_core.market.folder import candle_files, store_candles
from ffe_core.market.quality import END_OF_TIME, read_file

BTC = Asset.parse("BTCUSD")


def hours(count, price=100.0):
    begins = to_ms(datetime(2021, 3, 1, tzinfo=UTC))
    flat = [price] * count
    return Candles.of(
        BTC, Timeframe.H1, "files", time=[begins + index * Timeframe.H1.milliseconds for index in range(count)],
        open=flat, high=flat, low=flat, close=flat, volume=flat,
    )  # fmt: skip


def test_what_is_stored_is_read_back_to_the_last_bit(tmp_path):
    bars = hours(30, price=0.1 + 0.2)
    path = store_candles(tmp_path / "new", bars).path
    assert read_file(path, now=END_OF_TIME, timeframe=Timeframe.H1).candles(BTC, "files") == bars


def test_a_write_that_fails_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    import pyarrow.parquet as pq

    kept = store_candles(tmp_path, hours(30)).path
    before = kept.read_bytes()

    def half(_table, file, **_options):
        file.write(b"PAR1 half of it")
        raise OSError("no space left on device")

    monkeypatch.setattr(pq, "write_table", half)
    with pytest.raises(OSError, match="no space"):
        store_candles(tmp_path, hours(30, price=7.0), replace=True)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_bytes() == before


def test_a_file_of_the_series_that_cannot_be_read_is_not_written_beside(tmp_path):
    (tmp_path / "BTCUSD_1h.csv").write_text("timestamp,open\n")
    with pytest.raises(BadData, match=r"BTCUSD_1h\.csv is of the same series and cannot be read"):
        store_candles(tmp_path, hours(3))


def test_other_series_are_no_rivals(tmp_path):
    store_candles(tmp_path, hours(30))
    (tmp_path / "ETHUSD_1h.csv").write_text("anything")
    (tmp_path / "BTCUSD_5m.csv").write_text("anything")
    assert store_candles(tmp_path, hours(30), replace=True).replaced


def test_nothing_is_not_stored(tmp_path):
    with pytest.raises(NoData):
        store_candles(tmp_path, hours(0))
    assert candle_files(tmp_path / "absent") == []
