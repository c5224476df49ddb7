"""A decision on the user's own files knows nothing of the rows that came after its instant, whatever they hold."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from ffe_core.domain.clock import from_ms
from ffe_core.errors import NoData
from ffe_core.settings import Settings
from tests.engine.deciding import bytes_of, record_of_decision

HOUR = timedelta(hours=1)
REAL = "BTCUSD_1h_20200101_20231231.parquet"
HEADER = "timestamp,open,high,low,close,volume"


def readings(candles):
    return {"until": candles.time[-1] / 1000, "sum": sum(candles.close)}


def decide(folder, at):
    settings = Settings(data={"sources": ["files"]}, plugins={"files": {"path": str(folder)}})
    return bytes_of(record_of_decision(settings, at, hooks={"ffe_indicators": readings}))


# real candles


@pytest.fixture(scope="module")
def real(market_data):
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(market_data / REAL)


def cut(real, folder, at):
    """A folder of the file alone as it stood at ``at``: the bar that was running then is its last row."""
    from pyarrow import compute, parquet, scalar

    folder.mkdir()
    known = compute.less(real["timestamp"], scalar(at, real.schema.field("timestamp").type))
    parquet.write_table(real.filter(known), folder / REAL)
    return folder


def check(real, market_data, tmp_path, number, seed):
    rng = random.Random(seed)
    opens = real["timestamp"].cast("int64").to_pylist()
    for count in range(number):
        at = from_ms(rng.choice(opens[1_000:]) + rng.choice([0, 0, 1, 3_599_999, rng.randrange(3_600_000)]))
        folder = cut(real, tmp_path / str(count), at)
        assert decide(folder, at) == decide(market_data, at), f"cut at {at}"


@pytest.mark.slow
def test_a_decision_on_real_candles_is_the_same_without_the_years_that_follow(real, market_data, tmp_path, home):
    check(real, market_data, tmp_path, number=12, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_at_many_instants_what_follows_in_real_files_changes_no_decision(real, market_data, tmp_path, home):
    check(real, market_data, tmp_path, number=150, seed=2)


# dirty rows that are still to come

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)


def rows(number, seed=3):
    """Lines of an hourly file whose prices wander."""
    rng = random.Random(seed)
    price, made = 100.0, []
    for index in range(number):
        opens, price = price, round(price * (1 + rng.gauss(0, 0.004)), 4)
        high, low = round(max(opens, price) * 1.001, 4), round(min(opens, price) * 0.999, 4)
        made.append(f"{(BEGIN + index * HOUR).isoformat()},{opens},{high},{low},{price},{rng.randrange(1, 900)}")
    return made


def with_price(line, factor):
    stamp, *values, volume = line.split(",")
    return ",".join([stamp, *(f"{float(value) * factor:.4f}" for value in values), volume])


def with_text(line):
    return ",".join([*line.split(",")[:-2], "n/a", "1"])


#: what may be wrong with later rows: each takes the lines and where the first that was not complete stands
DAMAGES = {
    "an exact duplicate": lambda lines, later: [*lines[: later + 3], lines[later + 2], *lines[later + 3 :]],
    "a spike": lambda lines, later: [*lines[: later + 3], with_price(lines[later + 3], 10), *lines[later + 4 :]],
    "a spike in the running bar": lambda lines, later: [
        *lines[:later], with_price(lines[later], 10), *lines[later + 1 :]
    ],
    "a gap": lambda lines, later: [*lines[: later + 2], *lines[later + 30 :]],
    "a gap at once": lambda lines, later: [*lines[:later], *lines[later + 30 :]],
    "a step to another price": lambda lines, later: [
        *lines[: later + 1], *(with_price(line, 0.5) for line in lines[later + 1 :])
    ],
    "frozen prices": lambda lines, later: [
        *lines[: later + 1], *(",".join([line.split(",")[0], *["100"] * 4, "0"]) for line in lines[later + 1 :])
    ],
    "rows in disorder": lambda lines, later: [*lines[: later + 1], *reversed(lines[later + 1 :])],
    "a row that contradicts another": lambda lines, later: [
        *lines[: later + 3], with_price(lines[later + 2], 1.5), *lines[later + 3 :]
    ],
    "text in place of a price": lambda lines, later: [
        *lines[: later + 3], with_text(lines[later + 3]), *lines[later + 4 :]
    ],
    "a price below zero": lambda lines, later: [*lines[: later + 3], with_price(lines[later + 3], -1)],
    "bars of another length": lambda lines, later: [
        *lines[: later + 3], lines[later + 2].replace(":00:00+", ":30:00+"), *lines[later + 3 :]
    ],
    "half-hourly bars from then on": lambda lines, later: [
        *lines[: later + 2],
        *(line.replace(":00:00+", f":{at}:00+") for line in lines[later + 2 :] for at in ("00", "30")),
    ],
    "a last line that was cut": lambda lines, later: [*lines[:-1], lines[-1][:40]],
    "nothing": lambda lines, later: lines,
}  # fmt: skip


#: long files are read by whole columns, as long as nothing is wrong with them
LONG = ["an exact duplicate", "a spike", "a gap", "text in place of a price", "nothing"]


@pytest.mark.slow
@pytest.mark.parametrize(("damage", "number"), [*((name, 700) for name in DAMAGES), *((name, 2_300) for name in LONG)])
def test_dirt_that_is_still_to_come_changes_no_decision(damage, number, tmp_path, home):
    lines, later = rows(number), number - 60
    at = BEGIN + later * HOUR + timedelta(minutes=20)
    records = []
    for name, held in (("then", lines[: later + 1]), ("later", DAMAGES[damage](lines, later))):
        folder = tmp_path / name
        folder.mkdir()
        end = "" if damage == "a last line that was cut" and name == "later" else "\n"
        (folder / "BTCUSD_1h.csv").write_text("\n".join([HEADER, *held]) + end)
        records.append(decide(folder, at))
    assert records[0] == records[1]


@pytest.mark.parametrize("number", [30, 700])
def test_a_file_of_another_length_than_its_name_is_refused_however_many_bars_follow(number, tmp_path, home):
    stamps = ((BEGIN + index * timedelta(minutes=5)).isoformat() for index in range(number))
    lines = [",".join([stamp, *line.split(",")[1:]]) for stamp, line in zip(stamps, rows(number), strict=True)]
    (tmp_path / "BTCUSD_1h.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    with pytest.raises(NoData, match=r"BTCUSD_1h\.csv.* 5m "):
        decide(tmp_path, BEGIN + 2 * HOUR)


def test_the_comparison_would_see_dirt_that_was_known(tmp_path, home):
    lines, later = rows(700), 640
    at = BEGIN + later * HOUR
    seen = set()
    for damage in ("an exact duplicate", "a spike", "a gap", "nothing"):
        folder = tmp_path / damage
        folder.mkdir()
        (folder / "BTCUSD_1h.csv").write_text("\n".join([HEADER, *DAMAGES[damage](lines, later - 40)]) + "\n")
        seen.add(decide(folder, at))
    assert len(seen) == 4
