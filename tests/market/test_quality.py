"""Damaged input: repaired with a count, remarked on and kept, or refused with its row; and none of it looks ahead."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import BadData, NoData, UsageError
from ffe_core.market import remarks
from ffe_core.market.quality import REFUSALS, REPAIRS, check_candles, name_of_file, read_file, read_rows
from ffe_core.market.remarks import absent_bars

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BTC = Asset.parse("BTCUSD")
HOUR = Timeframe.H1.milliseconds
CLEAN = "clean_base_BTCUSD_1h.csv"


def ms(*parts):
    return to_ms(datetime(*parts, tzinfo=UTC))


# every damaged file

#: file -> (asset, timeframe that its name does not tell, verdict, what was found how often)
REPAIRED = {
    "duplicate_rows_exact.csv": {"order": 4, "duplicates": 5},
    "descending_order.csv": {"order": 503},
    "unsorted_block.csv": {"order": 10},
    "offset_timestamps.csv": {"offsets": 504},
    "epoch_milliseconds.csv": {"epoch_milliseconds": 504},
    "epoch_seconds.csv": {"epoch_seconds": 504},
    "uppercase_columns.csv": {"column_names": 1},
    "exchange_column_order.csv": {"column_order": 1},
    "bom_and_crlf.csv": {"byte_order_mark": 1, "line_ends": 1},
}
#: file -> (bars that are left of the clean base, counts)
SHORTENED = {
    "truncated_last_line.csv": (503, {"truncated": 1}),
    "future_last_bar.csv": (503, {"future": 1}),
}
#: file -> (asset, timeframe, bars, counts)
REPORTED = {
    "gap_exchange_outage_BTCUSD_1h.csv": ("BTCUSD", None, 93, {"gaps": 3}),
    "stale_tick_then_jump_ETHUSD_5m.csv": ("ETHUSD", None, 85, {"gaps": 576 + 11, "thin": 1, "spikes": 1}),
    "weekend_hole_in_crypto_BTCUSD_5m.csv": ("BTCUSD", None, 96, {"gaps": 576, "thin": 1}),
    "clock_change_EURUSD_1h.csv": ("EURUSD", None, 357, {"gaps": 2}),
    "unadjusted_split_IBM_1d.csv": ("IBM", None, 84, {"splits": 1}),
    "thin_market_ALTBTC_1m.csv": ("ALTBTC", None, 2000, {"gaps": 278, "thin": 1, "flat": 404, "frozen": 18}),
    "gaps_injected.csv": ("BTCUSD", None, 452, {"gaps": 52, "thin": 1}),
    "stale_feed_flatline.csv": ("BTCUSD", None, 504, {"flat": 50, "frozen": 50}),
    "single_bar.csv": ("BTCUSD", Timeframe.H1, 1, {"single_bar": 1}),
}
NOTHING_TO_SAY = {
    CLEAN: ("BTCUSD", 504),
    "weekend_and_holiday_EURUSD_1h.csv": ("EURUSD", 192),
    # Cut after 12 of its 60 minutes, years ago: nothing in the file tells. See the test of a bar that is forming.
    "partial_last_bar_BTCPERP_1h.csv": ("BTCPERP", 15),
}
#: file -> (error, what its line says, counts of refusals)
REFUSED = {
    "duplicate_rows_conflicting.csv": (
        "row 204 column close: 45424.18, but row 201 says 44974.44", {"conflicting_duplicates": 3, "inconsistent": 2},
    ),
    "bad_ticks_spikes.csv": ("row 64 column close: close 555.27 is outside low 55329.72", {"inconsistent": 1}),
    "ohlc_inconsistent.csv": ("row 11 column high: high 57637 is under low 57638", {"inconsistent": 4}),
    "zero_and_negative.csv": ("row 21 column close: 0 is not positive", {"not_positive": 3}),
    "missing_and_text_values.csv": (
        "row 31 column close: nothing stands there", {"text": 2, "missing_values": 5, "not_finite": 1},
    ),
    "naive_timestamps.csv": ("row 1 column timestamp: 2021-05-10 00:00:00 has no time zone", {"naive_stamps": 504}),
    "broker_clock_and_points_USDJPY_1h.csv": ("2012-11-16 12:00:00 has no time zone", {"naive_stamps": 600}),
    "epoch_mixed_units.csv": ("row 253 column timestamp: 1621512000000 is in epoch milliseconds", {"mixed_units": 252}),
    "unparseable_timestamps.csv": ("row 6 column timestamp: '2021-13-45T00:00:00Z' is no time", {"bad_stamps": 3}),
    "off_grid_timestamps.csv": ("row 4 column timestamp: 2021-05-10T03:02:17Z is no 1h bar's open", {"off_grid": 72}),
    "mixed_bar_sizes.csv": ("row 50 column timestamp: 2022-01-10T00:05:00Z comes 5m after", {"mixed_sizes": 287}),
    "crossed_quotes_GBPUSD_1m.csv": ("no column open, high, low, close, volume", {"missing_columns": 1}),
    "missing_volume_column.csv": ("no column volume", {"missing_columns": 1}),
    "missing_close_column.csv": ("no column close", {"missing_columns": 1}),
    "no_header.csv": ("the first line is data", {"no_header": 1}),
    "semicolon_decimal_comma.csv": ("separated by semicolons", {"separator": 1}),
    "empty_file.csv": ("zero bytes", {"unreadable": 1}),
    "broken.parquet": ("is no Parquet file", {"unreadable": 1}),
    "header_only.csv": ("a header and no bars", {"no_bars": 1}),
}  # fmt: skip


def read(folder, name, symbol=None, timeframe=None, **options):
    named = re.search(r"_([A-Z]{3,})_(1m|5m|1h|1d)\.", name)
    kind = Asset.parse(symbol or (named[1] if named else "BTCUSD")).kind
    frame = timeframe or (Timeframe(named[2]) if named else None)
    return read_file(folder / "dirty" / name, now=options.pop("now", NOW), timeframe=frame, kind=kind, **options)


def whole_report(reading, symbol="BTCUSD"):
    asset = Asset.parse(symbol)
    return reading.report.joined(check_candles(reading.candles(asset, "test")))


def test_the_tables_above_speak_of_every_damaged_file(market_data):
    named = {entry["file"] for entry in json.loads((market_data / "dirty" / "manifest.json").read_text())["files"]}
    tables = (REPAIRED, SHORTENED, REPORTED, NOTHING_TO_SAY, REFUSED)
    assert sum(map(len, tables)) == len(named)
    assert {name for table in tables for name in table} == named


@pytest.mark.parametrize("name", REPAIRED)
def test_a_repaired_file_holds_exactly_the_bars_of_the_clean_one(market_data, name):
    reading = read(market_data, name)
    assert reading.candles(BTC, "test") == read(market_data, CLEAN).candles(BTC, "test")
    report = whole_report(reading)
    assert (report.verdict, report.counts()) == ("repaired", REPAIRED[name])


@pytest.mark.parametrize("name", SHORTENED)
def test_a_cut_or_future_last_bar_goes_and_the_others_stay(market_data, name):
    bars, counts = SHORTENED[name]
    reading = read(market_data, name)
    assert reading.candles(BTC, "test") == read(market_data, CLEAN).candles(BTC, "test").slice(0, bars)
    report = whole_report(reading)
    assert (report.verdict, report.counts()) == ("repaired", counts)


@pytest.mark.parametrize("name", REPORTED)
def test_a_strange_but_true_file_is_kept_as_it_is_and_remarked_on(market_data, name):
    symbol, timeframe, bars, counts = REPORTED[name]
    reading = read(market_data, name, symbol, timeframe)
    report = whole_report(reading, symbol)
    assert (report.verdict, len(reading.time), report.counts()) == ("reported", bars, counts)
    assert_is_what_the_file_says(market_data / "dirty" / name, reading)


@pytest.mark.parametrize("name", NOTHING_TO_SAY)
def test_a_sound_file_is_clean_week_ends_and_holidays_included(market_data, name):
    symbol, bars = NOTHING_TO_SAY[name]
    reading = read(market_data, name)
    report = whole_report(reading, symbol)
    assert (report.verdict, len(reading.time), report.counts()) == ("clean", bars, {})
    assert_is_what_the_file_says(market_data / "dirty" / name, reading)


def assert_is_what_the_file_says(path, reading):
    lines = [line.split(",") for line in path.read_text().splitlines()[1:]]
    assert [from_ms(time) for time in reading.time] == [datetime.fromisoformat(line[0]) for line in lines]
    for column, name in enumerate(COLUMNS, start=1):
        assert reading.columns[name].tolist() == [float(line[column]) for line in lines]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_would_need_guessing_is_refused_in_one_line(market_data, name):
    said, counts = REFUSED[name]
    reading = read(market_data, name)
    refused = {kind: count for kind, count in reading.report.counts().items() if kind in REFUSALS}
    assert (reading.report.verdict, refused) == ("refused", counts)
    with pytest.raises(NoData if name == "header_only.csv" else BadData) as caught:
        reading.candles(BTC, "test")
    assert str(caught.value).startswith(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_stamps_without_a_zone_are_read_in_the_one_that_is_named(market_data):
    reading = read(market_data, "naive_timestamps.csv", timezone="UTC")
    assert reading.candles(BTC, "test") == read(market_data, CLEAN).candles(BTC, "test")
    assert reading.report.counts() == {"time_zone": 504}
    athens = read(market_data, "naive_timestamps.csv", timezone="Europe/Athens")
    assert athens.time[0] == ms(2021, 5, 9, 21)


def test_naming_the_zone_of_a_file_in_points_does_not_make_its_prices_true(market_data):
    reading = read(market_data, "broker_clock_and_points_USDJPY_1h.csv", timezone="UTC")
    with pytest.raises(BadData, match="81201 looks like points"):
        reading.candles(Asset.parse("USDJPY"), "test")


def test_an_unknown_zone_is_the_callers_mistake(market_data):
    with pytest.raises(UsageError, match="no time zone"):
        read(market_data, "naive_timestamps.csv", timezone="Atlantis/Capital")


def test_a_bar_that_is_still_forming_is_dropped_while_it_forms(market_data):
    reading = read(market_data, "partial_last_bar_BTCPERP_1h.csv", now=datetime(2022, 1, 20, 14, 12, tzinfo=UTC))
    assert len(reading.time) == 14
    assert reading.report.counts() == {"partial": 1}


def test_every_series_of_the_test_data_is_usable(market_data):
    series = json.loads((market_data / "manifest.json").read_text())["series"]
    stated = {entry["file"]: entry["rows"] for entry in series}
    for path in sorted(market_data.glob("*.parquet")):
        symbol, frame = name_of_file(path)
        asset = Asset.parse(symbol, kind=AssetKind.STOCK if frame is Timeframe.D1 else None)
        reading = read_file(path, now=NOW, timeframe=frame, kind=asset.kind)
        assert reading.report.verdict == "clean", (path.name, reading.report.lines())
        assert len(reading.time) == stated[path.name]


# single traps


def csv(tmp_path, body, name="x.csv", **options):
    path = tmp_path / name
    path.write_bytes(body if isinstance(body, bytes) else body.encode())
    return read_file(path, now=options.pop("now", NOW), **options)


HEADER = "timestamp,open,high,low,close,volume\n"
ROW = "2021-01-01T0{}:00:00Z,1,2,0.5,1.5,10\n"


def refusal(reading):
    with pytest.raises(BadData) as caught:
        reading.candles(BTC, "test")
    return str(caught.value)


@pytest.mark.parametrize("stamp", ["20210510", "202105100000", "20210510000000", "0", "1e9", "-5", "12:00", "9" * 40])
def test_a_number_that_is_no_epoch_is_never_taken_for_one(tmp_path, stamp):
    reading = csv(tmp_path, HEADER + f"{stamp},1,2,0.5,1.5,10\n", timeframe=Timeframe.D1)
    assert reading.report.counts().keys() & {"bad_stamps", "naive_stamps"}
    assert refusal(reading)


@pytest.mark.parametrize(
    "stamp",
    ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-11:00", "+12021-01-01T00:00:00Z", "1066-10-14T00:00:00Z"],
)
def test_years_outside_history_are_no_time(tmp_path, stamp):
    assert refusal(csv(tmp_path, HEADER + f"{stamp},1,2,0.5,1.5,10\n", timeframe=Timeframe.D1))


@pytest.mark.parametrize("value", ["1_5", "0x1", "1,5", "٣x", "--", "True"])
def test_only_plain_numbers_are_numbers(tmp_path, value):
    assert "is no number" in refusal(csv(tmp_path, HEADER + f'2021-01-01T00:00:00Z,1,2,0.5,"{value}",10\n'))


@pytest.mark.parametrize(
    "factor, kind",
    [
        (1, "epoch_seconds"),
        (10**3, "epoch_milliseconds"),
        (10**6, "epoch_microseconds"),
        (10**9, "epoch_nanoseconds"),
    ],
)
def test_every_unit_of_an_epoch_is_told_by_its_size(tmp_path, factor, kind):
    reading = csv(tmp_path, HEADER + f"{1_620_604_800 * factor},1,2,0.5,1.5,10\n", timeframe=Timeframe.H1)
    assert reading.time.tolist() == [ms(2021, 5, 10)]
    assert reading.report.counts() == {kind: 1}


def test_epochs_beside_written_times_are_mixed_units(tmp_path):
    body = HEADER + ROW.format(1) + "1609470000,1,2,0.5,1.5,10\n"
    assert "is in epoch seconds, those before in written out" in refusal(csv(tmp_path, body, timeframe=Timeframe.H1))


@pytest.mark.parametrize("stamp, said", [("2021-11-07 01:30", "exists twice"), ("2021-03-14 02:30", "does not exist")])
def test_a_time_that_the_named_zone_has_twice_or_never_is_not_guessed(tmp_path, stamp, said):
    body = HEADER + f"{stamp},1,2,0.5,1.5,10\n"
    assert said in refusal(csv(tmp_path, body, timeframe=Timeframe.M30, timezone="America/New_York"))


def test_a_row_with_a_field_too_many_in_the_middle_is_refused(tmp_path):
    body = HEADER + ROW.format(1) + ROW.format(2).strip() + ",9\n" + ROW.format(3)
    assert "row 2: 7 fields where the header has 6" in refusal(csv(tmp_path, body))


def test_a_last_line_without_its_end_is_kept_where_it_is_whole_and_said(tmp_path):
    reading = csv(tmp_path, HEADER + ROW.format(1) + ROW.format(2).strip(), timeframe=Timeframe.H1)
    assert len(reading.time) == 2
    assert reading.report.counts() == {"no_line_end": 1}


@pytest.mark.parametrize("body", [b"\xff\xfet\x00i\x00", b"\x00\x01\x02", b"\n\n\n", b"PK\x03\x04zip", b'"' * 99])
def test_what_is_no_table_is_refused_not_raised(tmp_path, body):
    assert not csv(tmp_path, body).report.usable


def test_one_column_that_stands_twice_is_refused(tmp_path):
    assert "more than one column for close" in refusal(csv(tmp_path, "time,open,high,low,close,Close,volume\n"))


def test_other_columns_are_left_aside_and_named(tmp_path):
    reading = csv(tmp_path, "timestamp,open,high,low,close,volume,trades\n2021-01-01T01:00:00Z,1,2,0.5,1.5,10,7\n")
    assert "1 other column left aside (trades)" in reading.report.lines()[0]


def test_a_file_named_for_another_timeframe_is_refused(tmp_path):
    body = HEADER + "".join(f"{1_609_459_200 + hour * 3600},1,2,0.5,1.5,10\n" for hour in range(60))
    assert "named 5m, but bars are 1h apart" in refusal(csv(tmp_path, body, timeframe=Timeframe.M5))


@pytest.mark.parametrize(
    "kind, frame, stamp",
    [
        (AssetKind.CRYPTO, Timeframe.D1, "2021-01-04T22:00:00Z"),
        (AssetKind.FOREX, Timeframe.D1, "2021-01-04T00:00:00Z"),
        (AssetKind.STOCK, Timeframe.D1, "2021-01-04T22:00:00Z"),
        (AssetKind.FOREX, Timeframe.H4, "2021-01-04T22:00:00Z"),
    ],
)
def test_bars_with_another_boundary_are_refused(tmp_path, kind, frame, stamp):
    reading = csv(tmp_path, HEADER + f"{stamp},1,2,0.5,1.5,10\n", kind=kind, timeframe=frame)
    assert reading.report.counts() == {"off_grid": 1}


def parquet(tmp_path, stamps, kind, **changes):
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"timestamp": pa.array(stamps, kind), **{name: pa.array([1.0, 1.0]) for name in COLUMNS}, **changes}
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path)
    return read_file(path, now=NOW, timeframe=Timeframe.H1)


TWO_HOURS = [datetime(2021, 1, 1, 5, tzinfo=UTC), datetime(2021, 1, 1, 6, tzinfo=UTC)]


@pytest.mark.parametrize("unit, zone", [("ns", "UTC"), ("s", "America/New_York"), ("us", "+02:00")])
def test_parquet_of_any_unit_and_zone_is_read_as_the_same_instants(tmp_path, unit, zone):
    import pyarrow as pa

    reading = parquet(tmp_path, TWO_HOURS, pa.timestamp(unit, zone))
    assert reading.time.tolist() == [to_ms(at) for at in TWO_HOURS]


def test_parquet_stamps_without_a_zone_are_refused_too(tmp_path):
    import pyarrow as pa

    reading = parquet(tmp_path, [at.replace(tzinfo=None) for at in TWO_HOURS], pa.timestamp("ms"))
    assert reading.report.counts() == {"naive_stamps": 2}


def test_an_absent_value_in_parquet_is_missing_not_a_number(tmp_path):
    import pyarrow as pa

    reading = parquet(tmp_path, TWO_HOURS, pa.timestamp("ms", "UTC"), close=pa.array([1.0, None]))
    assert reading.report.counts() == {"missing_values": 1}


@pytest.mark.parametrize(
    "column, value",
    [
        ("close", float("nan")),
        ("high", float("inf")),
        ("low", 0.0),
        ("volume", -1.0),
        ("volume", float("inf")),
        ("open", 99.0),
        ("timestamp", ms(2021, 1, 1, 0, 0, 30)),
        ("timestamp", ms(2020, 12, 31, 23, 59)),
        ("timestamp", ms(2021, 1, 1)),
        (None, None),
    ],
)
def test_the_quick_look_at_long_files_finds_what_the_slow_one_finds(monkeypatch, tmp_path, column, value):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ffe_core.market import spotless

    count = spotless.WORTH_IT + 500
    times = [ms(2021, 1, 1) + index * 60_000 for index in range(count)]
    columns = {"timestamp": times, "open": [2.0] * count, "high": [3.0] * count, "low": [1.0] * count}
    columns |= {"close": [2.5] * count, "volume": [0.0] * count}
    if column:
        columns[column][count - 2] = value
    stamps = pa.array(columns.pop("timestamp"), pa.timestamp("ms", "UTC"))
    pq.write_table(pa.table({"timestamp": stamps, **columns}), tmp_path / "x.parquet")
    quick = read_file(tmp_path / "x.parquet", now=NOW, timeframe=Timeframe.M1)
    monkeypatch.setattr("ffe_core.market.quality.is_spotless", lambda *_: False)
    slow = read_file(tmp_path / "x.parquet", now=NOW, timeframe=Timeframe.M1)
    assert (quick.report, quick.time, quick.columns) == (slow.report, slow.time, slow.columns)
    on_another_minute = column == "timestamp" and value % 60_000 == 0
    assert quick.report.usable is (column is None or on_another_minute)


# candles from any source

MONDAY = ms(2021, 1, 4)


def candles(rows, asset=BTC, frame=Timeframe.H1, begins=MONDAY, step=HOUR):
    opens, highs, lows, closes, volumes = zip(*rows, strict=True)
    return Candles.of(
        asset, frame, "test", time=[begins + index * step for index in range(len(rows))],
        open=opens, high=highs, low=lows, close=closes, volume=volumes,
    )  # fmt: skip


@pytest.mark.parametrize(
    "bar, kind, column",
    [
        ((0, 2, 0.5, 1, 1), "not_positive", "open"),
        ((1, 2, -0.5, 1, 1), "not_positive", "low"),
        ((1, 2, 0.5, 1, -1), "not_positive", "volume"),
        ((1, 1, 2, 1, 1), "inconsistent", "high"),
        ((3, 2, 0.5, 1, 1), "inconsistent", "open"),
        ((1, 2, 0.5, 0.4, 1), "inconsistent", "close"),
    ],
)
def test_each_violation_of_a_bar_is_named_with_its_row_and_column(bar, kind, column):
    report = check_candles(candles([(1, 2, 0.5, 1, 1), bar]))
    assert {found.kind: found.count for found in report.refusals} == {kind: 1}
    assert (report.refusals[0].places[0].row, report.refusals[0].places[0].column) == (2, column)


def test_a_step_like_a_split_is_no_split_in_a_market_without_shares():
    rows = [(10, 10.1, 9.9, 10, 1)] * 5 + [(5, 5.05, 4.95, 5, 1)] * 5
    assert check_candles(candles(rows, Asset.parse("IBM"))).counts() == {"splits": 1}
    assert check_candles(candles(rows)).counts() == {"spikes": 1}


@pytest.mark.parametrize(
    "before, after, kind, frame, absent",
    [
        ((2021, 3, 12, 21), (2021, 3, 14, 21), AssetKind.FOREX, Timeframe.H1, 0),  # the clocks change
        ((2021, 11, 5, 20), (2021, 11, 7, 22), AssetKind.FOREX, Timeframe.H1, 0),
        ((2021, 1, 8, 21), (2021, 1, 11, 1), AssetKind.FOREX, Timeframe.H1, 3),  # three hours late on Sunday
        ((2022, 12, 23, 21), (2022, 12, 26, 22), AssetKind.FOREX, Timeframe.H1, 0),  # Christmas on a Sunday
        ((2021, 1, 6, 10), (2021, 1, 6, 14), AssetKind.FOREX, Timeframe.H1, 3),
        ((2021, 1, 9, 10), (2021, 1, 9, 14), AssetKind.CRYPTO, Timeframe.H1, 3),
        ((2021, 1, 7, 22), (2021, 1, 10, 22), AssetKind.FOREX, Timeframe.D1, 0),
        ((2021, 1, 5, 22), (2021, 1, 7, 22), AssetKind.FOREX, Timeframe.D1, 1),
        ((2021, 4, 1), (2021, 4, 5), AssetKind.STOCK, Timeframe.D1, 0),  # Good Friday
        ((2001, 9, 10), (2001, 9, 17), AssetKind.STOCK, Timeframe.D1, 6),
        ((2021, 1, 5, 20), (2021, 1, 6, 15), AssetKind.STOCK, Timeframe.H1, 0),
        ((2021, 1, 5, 15), (2021, 1, 5, 18), AssetKind.STOCK, Timeframe.H1, 2),
    ],
)
def test_only_bars_in_market_hours_are_missed(before, after, kind, frame, absent):
    assert absent_bars(ms(*before), ms(*after), frame, kind) == absent


# no repair looks ahead

PRICES = st.floats(min_value=0.5, max_value=2000, allow_nan=False).map(lambda value: round(value, 3))


@st.composite
def bars(draw):
    low, first, second, high = sorted(draw(st.tuples(PRICES, PRICES, PRICES, PRICES)))
    if draw(st.integers(0, 12)) == 0:
        high, low = low, high
    return first, high, low, second, draw(st.sampled_from([0.0, 1.0, -1.0, 5.5]))


@st.composite
def tables(draw):
    """Rows in any order, doubled, gapped, off the grid, in two zones: whatever files do."""
    rows = []
    for hour in draw(st.lists(st.integers(0, 40), min_size=1, max_size=25)):
        at = datetime(2021, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
        if draw(st.integers(0, 15)) == 0:
            at += timedelta(minutes=draw(st.integers(1, 59)))
        style = draw(st.integers(0, 9))
        stamp = str(to_ms(at)) if style == 0 else at.astimezone().isoformat() if style == 1 else at.isoformat()
        rows.append((stamp, *draw(bars())))
        if draw(st.integers(0, 5)) == 0:
            rows.append(rows[-1])
    return rows


def instant_of(stamp):
    return int(stamp) if stamp.isdigit() else to_ms(datetime.fromisoformat(stamp))


@pytest.mark.slow
@given(rows=tables(), hour=st.integers(0, 42))
@settings(max_examples=300, deadline=None)
def test_what_is_known_at_an_instant_is_what_the_earlier_rows_alone_tell(rows, hour):
    at = ms(2021, 1, 1) + hour * HOUR
    earlier = [row for row in rows if instant_of(row[0]) + HOUR <= at]
    whole = read_rows(rows, origin="x", now=NOW, timeframe=Timeframe.H1, kind=AssetKind.CRYPTO)
    known = read_rows(earlier, origin="x", now=NOW, timeframe=Timeframe.H1, kind=AssetKind.CRYPTO)
    if not earlier:
        assert all(time + HOUR > at for time in whole.time)
        return
    seen = [index for index, time in enumerate(whole.time) if time + HOUR <= at]
    report = whole.report.as_of(at)
    # Of a mixture of units the rows themselves tell which came first, so that only the verdict is compared.
    if not {"mixed_units"} & (whole.report.counts().keys() | known.report.counts().keys()):
        assert report.counts() == {**known.report.as_of(at).counts()}
        assert [whole.time[index] for index in seen] == known.time.tolist()
        for name in COLUMNS:
            assert [whole.columns[name][index] for index in seen] == known.columns[name].tolist()


@pytest.mark.slow
@given(
    rows=st.lists(bars().filter(lambda bar: bar[1] >= bar[2] and bar[4] >= 0), min_size=2, max_size=80), cut=st.data()
)
@settings(max_examples=150, deadline=None)
def test_a_jump_a_gap_or_a_frozen_price_is_told_by_the_past_alone(rows, cut):
    whole = candles(rows, Asset.parse("ABC"))
    at = whole.close_time(cut.draw(st.integers(1, len(rows) - 1)))
    causal = ("spikes", "splits", "gaps", "frozen")
    late, early = check_candles(whole).as_of(at), check_candles(whole.as_of(from_ms(at)))
    for kind in causal:
        assert late.counts().get(kind, 0) == early.counts().get(kind, 0)


@given(rows=st.lists(bars(), min_size=1, max_size=60))
@settings(max_examples=100, deadline=None)
def test_long_series_are_remarked_on_as_short_ones_are(rows):
    whole = candles(rows, Asset.parse("ABC"))
    short = remarks.remarks_on(whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(remarks, "WORTH_NUMPY", 0)
        assert remarks.remarks_on(whole) == short


@given(rows=tables())
@settings(max_examples=150, deadline=None)
def test_what_is_read_is_sorted_unique_sound_and_among_the_rows_that_came(rows):
    reading = read_rows(rows, origin="x", now=NOW, timeframe=Timeframe.H1, kind=AssetKind.CRYPTO)
    assert all(earlier < later for earlier, later in pairwise(reading.time))
    came = {(instant_of(row[0]), *row[1:]) for row in rows}
    for values in zip(reading.time, *(reading.columns[name] for name in COLUMNS), strict=True):
        assert values in came
        _, open_, high, low, close, volume = values
        assert 0 < low <= min(open_, close) <= max(open_, close) <= high
        assert volume >= 0
    assert set(reading.report.counts()) <= {*REPAIRS, *REFUSALS, "no_timeframe"}
