"""``ffe data``: list, check, import, candles."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ffe_core.domain.clock import iso

MONDAY = datetime(2021, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def write(path, bars=48, begins=MONDAY, step=HOUR, price=100.0):
    rows = ["timestamp,open,high,low,close,volume"]
    rows += [
        f"{iso(begins + index * step)},{price},{price + 2},{price - 1},{price + 1},{index}" for index in range(bars)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def folder(home):
    """The data folder of a fresh home."""
    return home / "data" / "candles"


# check


def test_check_says_what_is_repaired_and_answers_zero(ffe, tmp_path):
    path = write(tmp_path / "BTCUSD_1h.csv")
    path.write_text(path.read_text() + path.read_text().splitlines()[-1] + "\n")
    run = ffe("data", "check", str(path))
    assert run.code == 0
    assert "repaired" in run.out
    assert "1 exact duplicate removed (row 49)" in run.out


def test_check_answers_one_where_a_file_is_refused_and_still_reports_the_others(ffe, tmp_path):
    good = write(tmp_path / "BTCUSD_1h.csv")
    bad = write(tmp_path / "ETHUSD_1h.csv")
    bad.write_text(bad.read_text().replace("Z,100.0", ",100.0"))
    run = ffe("data", "check", str(good), str(bad), "--json")
    assert run.code == 1
    assert run.object["data"]["refused"] == 1
    first, second = run.object["data"]["files"]
    assert (first["asset_pair"], first["timeframe"], first["bars"], first["verdict"]) == ("BTCUSD", "1h", 48, "clean")
    assert first["first"] == "2021-03-01T00:00:00Z"
    assert (second["verdict"], second["usable"], second["bars"]) == ("refused", False, None)
    (refusal,) = second["refusals"]
    assert (refusal["kind"], refusal["count"], refusal["row"], refusal["column"]) == (
        "naive_stamps",
        48,
        1,
        "timestamp",
    )


def test_check_reads_naive_stamps_in_the_zone_that_is_named(ffe, tmp_path):
    path = write(tmp_path / "ETHUSD_1h.csv")
    path.write_text(path.read_text().replace("Z,100.0", ",100.0"))
    assert ffe("data", "check", str(path)).code == 1
    assert ffe("data", "check", str(path), "--timezone", "UTC").code == 0
    assert ffe("data", "check", str(path), "--timezone", "Atlantis").code == 2


def test_check_of_a_folder_looks_at_its_candle_files_only(ffe, tmp_path):
    write(tmp_path / "BTCUSD_1h.csv")
    (tmp_path / "README.md").write_text("no candles")
    assert len(ffe("data", "check", str(tmp_path), "--json").data["files"]) == 1


def test_check_without_a_path_looks_at_the_data_folder(ffe, folder):
    write(folder / "BTCUSD_1h.csv")
    assert ffe("data", "check", "--json").data["files"][0]["asset_pair"] == "BTCUSD"


@pytest.mark.parametrize("name, code", [("absent.csv", 2), ("notes.txt", 2), ("empty", 1)])
def test_check_of_what_is_no_candle_file_is_one_line(ffe, tmp_path, name, code):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "empty").mkdir()
    run = ffe("data", "check", str(tmp_path / name))
    assert run.code == code
    assert run.line.startswith("error: ")


def test_check_meets_every_damaged_file_of_the_test_data(ffe, market_data):
    run = ffe("data", "check", str(market_data / "dirty"), "--json")
    verdicts = {row["file"].rpartition("/")[2]: row["verdict"] for row in run.object["data"]["files"]}
    assert len(verdicts) == 42
    assert sorted(verdicts.values()).count("refused") == run.object["data"]["refused"] == 19
    assert verdicts["descending_order.csv"] == "repaired"
    assert verdicts["weekend_and_holiday_EURUSD_1h.csv"] == "clean"
    assert verdicts["unadjusted_split_IBM_1d.csv"] == "reported"


# import


def test_import_puts_checked_bars_where_files_finds_them(ffe, folder, tmp_path):
    given = write(tmp_path / "some export.csv")
    stored = ffe("data", "import", str(given), "--asset", "btc-usd", "--timeframe", "1h", "--json").data
    assert stored["path"] == str(folder / "BTCUSD_1h_20210301_20210302.parquet")
    assert stored["bars"] == 48
    (row,) = ffe("data", "list", "--source", "files", "--json").data
    assert (row["asset_pair"], row["timeframe"], row["bars"]) == ("BTCUSD", "1h", 48)
    assert (row["first"], row["last"]) == ("2021-03-01T00:00:00Z", "2021-03-02T23:00:00Z")
    bars = ffe("data", "candles", "BTCUSD", "--source", "files", "--timeframe", "1h", "--json").data
    assert bars["fingerprint"] == stored["fingerprint"]
    assert [entry.name for entry in folder.iterdir()] == ["BTCUSD_1h_20210301_20210302.parquet"]


def test_import_tells_asset_and_timeframe_from_the_name(ffe, folder, tmp_path):
    ffe("data", "import", str(write(tmp_path / "coinbase_BTCUSD_1h.csv")))
    assert (folder / "BTCUSD_1h_20210301_20210302.parquet").is_file()


def test_import_without_an_asset_says_how_to_name_it(ffe, tmp_path):
    run = ffe("data", "import", str(write(tmp_path / "some_export.csv")))
    assert run.code == 2
    assert "--asset BTCUSD" in run.line


def test_import_of_a_refused_file_stores_nothing(ffe, folder, tmp_path):
    given = write(tmp_path / "BTCUSD_1h.csv")
    given.write_text(given.read_text().replace(",47\n", ",many\n"))
    run = ffe("data", "import", str(given))
    assert run.code == 1
    assert run.line == "error: BTCUSD_1h.csv row 48 column volume: 'many' is no number"
    assert not folder.exists()


def test_import_does_not_overlap_what_is_there_unless_it_replaces_it(ffe, folder, tmp_path):
    ffe("data", "import", str(write(tmp_path / "BTCUSD_1h.csv")))
    longer = write(tmp_path / "more" / "BTCUSD_1h.csv", bars=72, price=200.0)
    refused = ffe("data", "import", str(longer))
    assert refused.code == 1
    assert "overlaps" in refused.line
    assert "--replace" in refused.line
    done = ffe("data", "import", str(longer), "--replace", "--json").data
    assert done["replaced"] == [str(folder / "BTCUSD_1h_20210301_20210302.parquet")]
    assert [entry.name for entry in folder.iterdir()] == ["BTCUSD_1h_20210301_20210303.parquet"]


def test_import_never_replaces_a_file_that_holds_more(ffe, folder, tmp_path):
    ffe("data", "import", str(write(tmp_path / "BTCUSD_1h.csv", bars=72)))
    run = ffe("data", "import", str(write(tmp_path / "less" / "BTCUSD_1h.csv", bars=48)), "--replace")
    assert run.code == 1
    assert "more than the new bars do" in run.line
    assert [entry.name for entry in folder.iterdir()] == ["BTCUSD_1h_20210301_20210303.parquet"]


def test_import_beside_what_is_there_needs_no_permission(ffe, folder, tmp_path):
    ffe("data", "import", str(write(tmp_path / "BTCUSD_1h.csv")))
    later = write(tmp_path / "later" / "BTCUSD_1h.csv", begins=MONDAY + timedelta(days=5))
    assert ffe("data", "import", str(later)).code == 0
    assert len(list(folder.iterdir())) == 2


# candles


@pytest.fixture
def hourly(folder):
    return write(folder / "BTCUSD_1h.csv", bars=96)


CANDLES = ("data", "candles", "BTCUSD", "--source", "files", "--timeframe", "1h", "--json")


def test_candles_have_exactly_the_documented_shape(ffe, hourly):
    bars = ffe(*CANDLES, "--limit", "2").data
    assert list(bars) == ["asset_pair", "timeframe", "source", "synthetic", "fingerprint", "candles"]
    assert (bars["asset_pair"], bars["timeframe"], bars["source"], bars["synthetic"]) == (
        "BTCUSD",
        "1h",
        "files",
        False,
    )
    assert len(bars["fingerprint"]) == 64
    assert bars["candles"] == [
        {
            "time": f"2021-03-04T{hour}:00:00Z",
            "open": 100.0,
            "high": 102.0,
            "low": 99.0,
            "close": 101.0,
            "volume": volume,
        }
        for hour, volume in ((22, 94.0), (23, 95.0))
    ]


def test_a_date_without_an_hour_means_that_whole_day(ffe, hourly):
    times = [bar["time"] for bar in ffe(*CANDLES, "--start", "2021-03-02", "--end", "2021-03-03").data["candles"]]
    assert (times[0], times[-1], len(times)) == ("2021-03-02T00:00:00Z", "2021-03-03T23:00:00Z", 48)


def test_an_instant_ends_the_span_to_the_hour(ffe, hourly):
    bars = ffe(*CANDLES, "--start", "2021-03-02T05:00:00+02:00", "--end", "2021-03-02T06:00:00Z").data["candles"]
    assert [bar["time"] for bar in bars] == [f"2021-03-02T0{hour}:00:00Z" for hour in (3, 4, 5)]


def test_longer_bars_are_made_of_the_files_bars(ffe, hourly):
    bars = ffe("data", "candles", "BTCUSD", "--source", "files", "--timeframe", "4h", "--limit", "1", "--json").data
    assert bars["candles"][0]["volume"] == 92 + 93 + 94 + 95


@pytest.mark.parametrize(
    "options, code",
    [
        (("--start", "2021-03-03", "--end", "2021-03-01"), 2),
        (("--start", "2999-01-01"), 2),
        (("--start", "2021-03-01T00:00:00"), 2),
        (("--end", "yesterday"), 2),
        (("--limit", "0"), 2),
        (("--timeframe", "2h"), 2),
        (("--source", "nobody"), 2),
        (("--start", "2022-01-01"), 1),
        (("--end", "2020-01-01"), 1),
        (("--timeframe", "5m"), 1),
    ],
)
def test_a_span_or_source_that_cannot_be_is_one_line_and_never_an_empty_success(ffe, hourly, options, code):
    run = ffe(*CANDLES, *options)
    assert run.code == code
    assert run.line.startswith("error: ")
    assert run.error["message"]


def test_repairs_are_warned_of_on_standard_error_only(ffe, hourly):
    hourly.write_text(hourly.read_text() + hourly.read_text().splitlines()[-1] + "\n")
    run = ffe(*CANDLES)
    assert "warning: 1 exact duplicate removed" in run.err
    assert run.data["candles"]


def test_tables_are_printed_for_people(ffe, hourly):
    run = ffe(*CANDLES[:-1], "--limit", "3")
    assert "BTCUSD 1h from files, 3 bars" in run.out
    assert "2021-03-04 23:00" in run.out
    assert "BTCUSD_1h.csv" in ffe("data", "list").out


def test_invented_candles_say_so(ffe):
    assert "SYNTHETIC" in ffe("data", "candles", "BTCUSD", "--limit", "2").out
    assert ffe("data", "candles", "BTCUSD", "--limit", "2", "--json").data["synthetic"] is True


def test_a_folder_of_the_users_own_is_read_and_imported_into(ffe, tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(mine))
    ffe("data", "import", str(write(tmp_path / "BTCUSD_1h.csv")))
    assert [entry.name for entry in mine.iterdir()] == ["BTCUSD_1h_20210301_20210302.parquet"]
    assert ffe("data", "list", "--source", "files", "--json").data[0]["asset_pair"] == "BTCUSD"
