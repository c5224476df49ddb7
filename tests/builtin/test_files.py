"""The source ``files``: which file answers, in which bars, and never by what a file holds beyond the instant."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffe_core import Asset, AssetKind, BadData, FixedClock, NoData, NotConfigured, Timeframe
from ffe_core.builtin.files import FileSource, FilesSettings, ffe_data_sources
from ffe_core.domain.clock import from_ms, iso
from ffe_core.testing.contracts.sources import DataSourceContract
from ffe_core.testing.samples import make_context

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")
M5, M15, H1, H4, D1 = Timeframe.M5, Timeframe.M15, Timeframe.H1, Timeframe.H4, Timeframe.D1
MONDAY = datetime(2021, 3, 1, tzinfo=UTC)


def write(folder, name, begins, bars, step, price=100.0):
    """A CSV file; its price tells which file a bar came from."""
    rows = ["timestamp,open,high,low,close,volume"]
    for index in range(bars):
        at = iso(begins + index * step)
        rows.append(f"{at},{price},{price + 1 + index % 3},{price - 1},{price + index % 2},{index % 5}")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(rows) + "\n")


def source(folder, now=NOW, **options):
    return FileSource(folder, FixedClock(now), **options)


def ask(held, frame=H1, end=None, asset=BTC, start=None, limit=None):
    return held.candles(asset, frame, start=start, end=end, limit=limit)


HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


class TestConformance(DataSourceContract):
    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        write(tmp_path, "BTCUSD_1h.csv", MONDAY, 80, HOUR)
        type(self).factory = staticmethod(lambda: source(tmp_path))
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "BTCUSD_1h.parquet").write_bytes(b"PAR1 no more PAR1")
        type(self).failing = staticmethod(lambda: source(tmp_path / "broken"))


# which file


def test_the_file_of_the_timeframe_itself_comes_before_a_finer_one(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 48, HOUR, price=100)
    write(tmp_path, "BTCUSD_5m.csv", MONDAY, 48 * 12, 5 * MINUTE, price=500)
    assert set(ask(source(tmp_path), end=MONDAY + 40 * HOUR).open) == {100.0}


def test_where_there_is_none_the_finest_file_is_resampled(tmp_path):
    write(tmp_path, "BTCUSD_15m.csv", MONDAY, 48 * 4, 15 * MINUTE, price=1500)
    write(tmp_path, "BTCUSD_5m.csv", MONDAY, 48 * 12, 5 * MINUTE, price=500)
    bars = ask(source(tmp_path), end=MONDAY + 40 * HOUR)
    assert set(bars.open) == {500.0}
    assert bars.timeframe is H1
    assert set(bars.coverage) == {1.0}


def test_a_file_that_ended_gives_way_to_a_finer_one_that_goes_on(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 24, HOUR, price=100)
    write(tmp_path, "BTCUSD_5m.csv", MONDAY, 48 * 12, 5 * MINUTE, price=500)
    assert set(ask(source(tmp_path), end=MONDAY + 24 * HOUR).open) == {100.0}
    assert set(ask(source(tmp_path), end=MONDAY + 30 * HOUR).open) == {500.0}


def test_of_two_files_that_follow_each_other_the_one_of_that_time_answers(tmp_path):
    write(tmp_path, "BTCUSD_1h_a.csv", MONDAY, 24, HOUR, price=100)
    write(tmp_path, "BTCUSD_1h_b.csv", MONDAY + timedelta(days=30), 24, HOUR, price=200)
    assert set(ask(source(tmp_path), end=MONDAY + timedelta(days=20)).open) == {100.0}
    assert set(ask(source(tmp_path), end=MONDAY + timedelta(days=40)).open) == {200.0}
    assert set(ask(source(tmp_path)).open) == {200.0}


def test_overlapping_files_of_one_timeframe_are_refused_not_merged(tmp_path):
    write(tmp_path, "BTCUSD_1h_a.csv", MONDAY, 24, HOUR)
    write(tmp_path, "BTCUSD_1h_b.csv", MONDAY + 12 * HOUR, 12, HOUR)
    with pytest.raises(BadData, match=r"BTCUSD_1h_a.csv and BTCUSD_1h_b.csv both hold BTCUSD 1h") as caught:
        ask(source(tmp_path))
    assert "\n" not in str(caught.value)
    # Before the second one begins there is no doubt.
    assert len(ask(source(tmp_path), end=MONDAY + 12 * HOUR)) == 12


def test_a_file_of_another_time_does_not_stand_in_for_one_that_is_missing(tmp_path):
    write(tmp_path, "EURUSD_5m.csv", MONDAY - timedelta(days=700), 500, 5 * MINUTE)
    write(tmp_path, "EURUSD_1h.csv", MONDAY, 24, HOUR)
    with pytest.raises(NoData, match=r"no EURUSD 5m bars near"):
        ask(source(tmp_path), M5, MONDAY + 20 * HOUR, EUR)
    assert len(ask(source(tmp_path), M5, MONDAY - timedelta(days=600), EUR))


def test_a_refused_file_of_the_timeframe_is_not_passed_over_in_silence(tmp_path):
    write(tmp_path, "BTCUSD_5m.csv", MONDAY, 48 * 12, 5 * MINUTE)
    (tmp_path / "BTCUSD_1h.csv").write_text("timestamp,open\n")
    with pytest.raises(BadData, match=r"BTCUSD_1h.csv: no column high, low, close, volume"):
        ask(source(tmp_path))


def test_real_files_answer_for_their_own_years(market_data):
    held = source(market_data)
    then = ask(held, H4, datetime(2023, 6, 1, tzinfo=UTC), limit=500)
    assert (len(then), then.last_close_at) == (500, datetime(2023, 6, 1, tzinfo=UTC))
    recent = ask(held, H1, datetime(2026, 2, 12, tzinfo=UTC), EUR)
    assert recent.last_close_at == datetime(2026, 2, 12, tzinfo=UTC)
    assert from_ms(recent.time[0]).year == 2026
    stock = ask(held, D1, datetime(2008, 11, 25, tzinfo=UTC), Asset.parse("GOOG", kind=AssetKind.STOCK), limit=1)
    # The close that the data's own description gives for 2008-11-24.
    assert stock.close.tolist() == [257.44]


# names


@pytest.mark.parametrize("name", ["BTCUSD_1h.csv", "btc-usd_1h_coinbase_2021.csv", "BTCUSD.CSV", "btc-usd.csv"])
def test_a_symbol_is_read_from_any_spelling_of_the_name(tmp_path, name):
    write(tmp_path, name, MONDAY, 24, HOUR)
    held = source(tmp_path)
    assert held.serves(BTC)
    assert len(ask(held)) == 24
    assert [(row.asset, row.timeframe, row.bars, row.origin) for row in held.holdings()] == [(BTC, H1, 24, name)]


@pytest.mark.parametrize("name", ["notes_BTCUSD.csv", "BTCUSD_2h.csv", "BTCUSD_1h.txt", ".BTCUSD_1h.csv"])
def test_files_named_otherwise_are_none_of_ours(tmp_path, name):
    write(tmp_path, name, MONDAY, 24, HOUR)
    held = source(tmp_path)
    assert not held.serves(BTC)
    assert held.holdings() == []


def test_subfolders_are_not_read(tmp_path):
    write(tmp_path / "old", "BTCUSD_1h.csv", MONDAY, 24, HOUR)
    assert not source(tmp_path).serves(BTC)


# spans


def test_a_span_is_range_exact(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 100, HOUR)
    bars = ask(source(tmp_path), start=MONDAY + 10 * HOUR, end=MONDAY + 20 * HOUR)
    assert [from_ms(time) for time in bars.time] == [MONDAY + hour * HOUR for hour in range(10, 20)]
    assert len(ask(source(tmp_path), end=MONDAY + 20 * HOUR, limit=3)) == 3


def test_an_empty_span_is_no_data_and_says_what_there_is(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 24, HOUR)
    with pytest.raises(NoData, match=r"has 2021-03-01T00:00:00Z to 2021-03-01T23:00:00Z"):
        ask(source(tmp_path), start=MONDAY + timedelta(days=9))
    with pytest.raises(NoData, match="no BTCUSD 1h bar is complete at that time"):
        ask(source(tmp_path), end=MONDAY - HOUR)
    with pytest.raises(NoData, match="nothing for EURUSD"):
        ask(source(tmp_path), asset=EUR)
    with pytest.raises(NoData, match=r"cannot be made of BTCUSD_1h\.csv"):
        ask(source(tmp_path), M5)


def test_nothing_opens_after_the_clock(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 100, HOUR)
    for end in (None, NOW):
        bars = ask(source(tmp_path, now=MONDAY + 20 * HOUR), end=end)
        assert from_ms(bars.time[-1]) == MONDAY + 19 * HOUR


def test_repairs_and_gaps_are_told_with_the_bars(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 30, HOUR)
    lines = (tmp_path / "BTCUSD_1h.csv").read_text().splitlines()
    (tmp_path / "BTCUSD_1h.csv").write_text("\n".join([*lines[:6], lines[5], *lines[8:]]) + "\n")
    bars = ask(source(tmp_path))
    assert bars.remarks[0] == "1 exact duplicate removed (row 6)"
    assert bars.remarks[1].startswith("2 bars absent in market hours")
    # Neither was known at five o'clock.
    assert ask(source(tmp_path), end=MONDAY + 4 * HOUR).remarks == ()


def test_a_bad_row_refuses_a_file_from_that_row_on(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 30, HOUR)
    text = (tmp_path / "BTCUSD_1h.csv").read_text().replace("2021-03-01T20:00:00Z,100", "2021-03-01T20:00:00Z,abc")
    (tmp_path / "BTCUSD_1h.csv").write_text(text)
    assert len(ask(source(tmp_path), end=MONDAY + 20 * HOUR)) == 20
    with pytest.raises(BadData, match=r"BTCUSD_1h\.csv row 21 column open: 'abc"):
        ask(source(tmp_path), end=MONDAY + 21 * HOUR)


def test_a_file_that_changed_is_read_again(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 24, HOUR)
    held = source(tmp_path)
    assert len(ask(held)) == 24
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 30, HOUR)
    os.utime(tmp_path / "BTCUSD_1h.csv", (1, 1))
    assert len(ask(held)) == 30


# as of


@st.composite
def folders(draw):
    """Files of three timeframes that begin and end anywhere in ten days."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        frame = draw(st.sampled_from([M15, H1, H4]))
        begins = 4 * draw(st.integers(0, 60))
        bars = draw(st.integers(1, 200)) * 3600_000 // frame.milliseconds
        made.append((f"BTCUSD_{frame}_{number}.csv", begins, max(bars, 1), frame, 100 * (number + 1)))
    return made


@given(files=folders(), hour=st.integers(1, 260), frame=st.sampled_from([M15, H1, H4, D1]))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_answer_never_depends_on_what_any_file_holds_after_the_instant(tmp_path_factory, files, hour, frame):
    until = MONDAY + hour * HOUR
    whole, cut = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cut")
    for name, begins, bars, length, price in files:
        first = MONDAY + begins * HOUR
        write(whole, name, first, bars, length.timedelta, price)
        complete = min(bars, max(0, (until - first) // length.timedelta))
        if complete:
            write(cut, name, first, complete, length.timedelta, price)
    assert answer(whole, frame, until) == answer(cut, frame, until)


def answer(folder, frame, until):
    try:
        bars = ask(source(folder), frame, until).as_of(until)
    except NoData:
        return "no data"
    except BadData as error:
        return str(error)
    return bars.fingerprint if len(bars) else "no data", bars.remarks, bars.coverage


# settings


def test_the_folder_is_the_one_that_is_set_else_candles_in_the_data_folder(tmp_path):
    context = make_context(tmp_path, "files")
    (held,) = ffe_data_sources(FilesSettings(), context)
    assert held.folder == tmp_path / "data" / "candles"
    (held,) = ffe_data_sources(FilesSettings(path=tmp_path / "mine"), context)
    assert held.folder == tmp_path / "mine"


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    held = source(tmp_path / "absent")
    assert held.holdings() == []
    assert not held.serves(BTC)


def test_without_any_folder_the_line_that_sets_one_is_named():
    with pytest.raises(NotConfigured, match=r"plugins.files.path"):
        source(None).serves(BTC)


def test_naive_stamps_are_read_in_the_zone_of_the_settings(tmp_path):
    write(tmp_path, "BTCUSD_1h.csv", MONDAY, 24, HOUR)
    text = (tmp_path / "BTCUSD_1h.csv").read_text().replace("Z,", ",")
    (tmp_path / "BTCUSD_1h.csv").write_text(text)
    with pytest.raises(BadData, match="no time zone"):
        ask(source(tmp_path))
    assert from_ms(ask(source(tmp_path, timezone="Europe/Athens")).time[0]) == MONDAY - 2 * HOUR
    with pytest.raises(ValidationError, match="no time zone"):
        FilesSettings(timezone="Atlantis")
