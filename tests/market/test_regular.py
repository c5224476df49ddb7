"""The quick reading of long CSV files finds what the slow one finds, whatever stands in them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ffe_core.domain.assets import AssetKind, Timeframe
from ffe_core.domain.clock import iso, to_ms
from ffe_core.market import regular
from ffe_core.market.quality import read_file

NOW = datetime(2026, 6, 1, tzinfo=UTC)
BEGINS = datetime(2021, 1, 1, tzinfo=UTC)
HEADER = "timestamp,open,high,low,close,volume"
ROWS = 2_500
SPOILT = 1_700


def row(number, stamp=None, values="2.5,3,1.25,2.5,0.125"):
    return f"{stamp or iso(BEGINS + timedelta(hours=number))},{values}"


def csv(rows=None, header=HEADER, end="\n"):
    return "\n".join((header, *(rows or map(row, range(ROWS))))) + end


def spoilt(**changes):
    return csv([row(number, **(changes if number == SPOILT else {})) for number in range(ROWS)])


def spaced(number):
    return row(number, f"{BEGINS + timedelta(hours=number):%Y-%m-%d %H:%M:%S}+00:00")


TEXTS = {
    "sound": csv(),
    "as pandas writes it": csv(map(spaced, range(ROWS))),
    "other order and names": csv([f"9,{row(number)}" for number in range(ROWS)], f"id,Date,{HEADER[10:]}"),
    "stamps at the end": csv(
        [",".join([*row(number).split(",")[1:], row(number)[:20]]) for number in range(ROWS)],
        "open,high,low,close,volume,timestamp",
    ),
    "a minus before nothing": spoilt(values="2.5,3,1.25,2.5,-0"),
    "too large for a float": spoilt(values="2.5,3,1.25,2.5,1e999"),
    "a whole number too large for a float": spoilt(values=f"2.5,3,1.25,2.5,{'9' * 400}"),
    "numbers as other programs write them": csv([row(at, values="2.5,+3.,1.25,02.5,.125") for at in range(ROWS)]),
    "two numbers in a field": spoilt(values="2.5,3 3,1.25,2.5,0.125"),
    "a column of words": csv([f"{row(at)},word" for at in range(ROWS)], f"{HEADER},note"),
    "no last line end": csv(end=""),
    "a line cut off": csv()[:-9],
    "empty lines": csv().replace("\n", "\n\n"),
    "CRLF": csv().replace("\n", "\r\n"),
    "a byte order mark": "\ufeff" + csv(),
    "quoted": csv().replace("2.5,3,", '"2.5","3",'),
    "a field too few and one too many": spoilt(values="1,2") + spoilt(values="1,2,3,4,5,6,7,8"),
    "a missing column": csv(header=HEADER.replace("low", "lowest")),
    "no header": csv(header=row(0)),
    "semicolons": csv().replace(",", ";"),
    "two formats of stamps": csv([row(number) if number < SPOILT else spaced(number) for number in range(ROWS)]),
    "an offset": spoilt(stamp="2021-03-12T22:00:00+02:00"),
    "no zone": spoilt(stamp="2021-03-12T20:00:00"),
    "a letter": spoilt(stamp="2021-03-12T2O:00:00Z"),
    "another separator": spoilt(stamp="2021/03/12T20:00:00Z"),
    "a thirteenth month": spoilt(stamp="2021-13-12T20:00:00Z"),
    "a thirtieth of February": spoilt(stamp="2021-02-30T20:00:00Z"),
    "a leap second": spoilt(stamp="2016-12-31T23:59:60Z"),
    "the year 1": spoilt(stamp="0001-01-01T00:00:00Z"),
    "before the epoch": spoilt(stamp="1931-01-01T00:00:00Z"),
    "off the grid": spoilt(stamp="2021-03-12T20:30:00Z"),
    "a stamp twice": spoilt(stamp=iso(BEGINS)),
    "epochs": csv([row(number, str(to_ms(BEGINS) + number * 3_600_000)) for number in range(ROWS)]),
    "text": spoilt(values="2.5,3,1.25,about 2,0.125"),
    "nothing": spoilt(values="2.5,3,1.25,,0.125"),
    "not a number": spoilt(values="2.5,3,1.25,nan,0.125"),
    "infinity": spoilt(values="2.5,inf,1.25,2.5,0.125"),
    "an underscore": spoilt(values="2.5,1_0,1.25,2.5,0.125"),
    "spaces": spoilt(values=" 2.5, 3 ,1.25,2.5,0.125"),
    "digits of another script": spoilt(values="2.5,٣,1.25,2.5,0.125"),
    "an open above the high": spoilt(values="3.5,3,1.25,2.5,0.125"),
    "nothing but a header": HEADER + "\n",
}


def reading(path):
    return read_file(path, now=NOW, timeframe=Timeframe.H1, kind=AssetKind.CRYPTO)


@pytest.mark.parametrize("block", [1 << 17, 5000], ids=["in one", "in blocks"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_the_quick_reading_finds_what_the_slow_one_finds(monkeypatch, tmp_path, text, block):
    monkeypatch.setattr(regular, "_BLOCK", block)
    path = tmp_path / "BTCUSD_1h.csv"
    path.write_bytes(text.encode())
    quick = reading(path)
    monkeypatch.setattr(regular, "WORTH_IT", 1 << 60)
    slow = reading(path)
    assert (quick.report, quick.time) == (slow.report, slow.time)
    assert {name: values.tobytes() for name, values in quick.columns.items()} == {
        name: values.tobytes() for name, values in slow.columns.items()
    }


@pytest.mark.parametrize("name", ["sound", "as pandas writes it", "other order and names", "stamps at the end"])
def test_usual_files_are_read_quickly(name):
    lines = regular.Lines.of(TEXTS[name].encode())
    column = next(at for at, field in enumerate(lines.header) if field in ("timestamp", "Date"))
    stamps, numbers = lines.read(column)
    assert stamps[SPOILT] == to_ms(BEGINS + timedelta(hours=SPOILT))
    assert [values[SPOILT] for values in numbers][-5:] == [2.5, 3.0, 1.25, 2.5, 0.125]
