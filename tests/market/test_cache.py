"""Spans on disk: how long they hold, and that a damaged one is only ever a miss."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.domain.market import Candles
from ffe_core.market.cache import HistoryCache
from ffe_core.market.feed import Feed

NOW = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)
BTC = Asset.parse("BTCUSD")
START, END = NOW - timedelta(hours=4), NOW - timedelta(hours=1)
H1, D1 = Timeframe.H1, Timeframe.D1


@dataclass
class HandClock:
    at: datetime = NOW

    def now(self) -> datetime:
        return self.at


def made(timeframe: Timeframe = H1, source: str = "venue", count: int = 3) -> Candles:
    times = [to_ms(START) + index * timeframe.milliseconds for index in range(count)]
    price = [0.1 + index for index in range(count)]
    return Candles.of(
        BTC,
        timeframe,
        source,
        time=times,
        open=price,
        high=[value + 0.7 for value in price],
        low=price,
        close=price,
        volume=price,
        fetched_at=NOW,
        day_boundary=DayBoundary.UTC,
        coverage=[1.0, 0.5, 1.0][:count],
        remarks=["one bar repaired"],
    )


def cache(folder: Path, clock: HandClock | None = None) -> HistoryCache:
    return HistoryCache(folder, clock or HandClock())


def test_what_was_put_comes_back_bit_for_bit_with_its_facts(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    assert kept.put(made(), START, END)
    found = kept.get("venue", BTC, H1, START, END)
    assert found is not None
    assert found.fingerprint == made().fingerprint
    assert (found.coverage, found.remarks, found.fetched_at) == (made().coverage, made().remarks, NOW)


def test_every_part_of_the_question_counts(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.put(made(), START, END)
    assert kept.get("other", BTC, H1, START, END) is None
    assert kept.get("venue", Asset.parse("ETHUSD"), H1, START, END) is None
    assert kept.get("venue", BTC, Timeframe.M1, START, END) is None
    assert kept.get("venue", BTC, H1, START, END + timedelta(hours=1)) is None
    assert kept.get("venue", BTC, H1, None, END) is None


@pytest.mark.parametrize(("timeframe", "seconds"), [(H1, 600), (Timeframe.M1, 600), (D1, 86_400)])
def test_intraday_bars_hold_ten_minutes_and_daily_ones_a_day(
    tmp_path: Path, timeframe: Timeframe, seconds: int
) -> None:
    clock = HandClock()
    kept = cache(tmp_path, clock)
    kept.put(made(timeframe), START, END)
    for age, held in ((seconds - 1, True), (seconds, False), (-1, False)):
        clock.at = NOW + timedelta(seconds=age)
        assert (kept.get("venue", BTC, timeframe, START, END) is not None) is held


def the_file(folder: Path) -> Path:
    (only,) = folder.iterdir()
    return only


def test_a_damaged_entry_is_a_miss_and_is_mended_by_the_next_answer(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.put(made(), START, END)
    whole = the_file(tmp_path).read_bytes()
    for broken in (b"", b"PAR1", whole[:-9], whole[: len(whole) // 2], whole[:40] + b"\xff" * 40 + whole[80:]):
        the_file(tmp_path).write_bytes(broken)
        assert kept.get("venue", BTC, H1, START, END) is None
    kept.put(made(), START, END)
    assert kept.get("venue", BTC, H1, START, END) is not None


def test_a_foreign_parquet_file_is_a_miss(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = cache(tmp_path)
    kept.put(made(), START, END)
    pq.write_table(pa.table({"time": [1]}), the_file(tmp_path))
    assert kept.get("venue", BTC, H1, START, END) is None


def test_a_write_leaves_one_whole_file_and_no_scraps(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    for _ in range(3):
        kept.put(made(), START, END)
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]


def test_what_nobody_can_get_any_more_is_removed_by_the_next_entry(tmp_path: Path) -> None:
    clock = HandClock()
    kept = cache(tmp_path, clock)
    kept.put(made(), START, END)
    scrap = tmp_path / ".writing-of-a-process-that-died"
    scrap.write_bytes(b"PAR1")
    mine = tmp_path / "notes.txt"
    mine.write_text("not of the cache")
    for each in (scrap, mine):
        os.utime(each, (NOW.timestamp(), NOW.timestamp()))

    clock.at = NOW + timedelta(seconds=86_399)
    kept.put(made(D1), START, END)
    assert len(list(tmp_path.iterdir())) == 4
    clock.at = NOW + timedelta(days=1)
    kept.put(made(D1, source="other"), START, END)

    assert mine in tmp_path.iterdir()
    assert not scrap.exists()
    assert len(list(tmp_path.glob("*.parquet"))) == 2
    assert kept.get("venue", BTC, D1, START, END) is not None


def test_a_folder_that_cannot_be_written_keeps_nothing_and_stops_nobody(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("in the way")
    kept = cache(place)
    assert not kept.put(made(), START, END)
    assert kept.get("venue", BTC, H1, START, END) is None


@dataclass
class Venue:
    remote: bool
    name: str = "venue"
    asked: list[Timeframe] = field(default_factory=list)

    def serves(self, asset: Asset) -> bool:
        return True

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        self.asked.append(timeframe)
        return made(timeframe).between(start, end)


@pytest.mark.parametrize(("remote", "questions"), [(True, 1), (False, 3)])
def test_only_spans_of_remote_sources_are_kept(tmp_path: Path, remote: bool, questions: int) -> None:
    clock, venue = HandClock(), Venue(remote)
    feed = Feed([("venue", venue)], clock, history=cache(tmp_path, clock))
    answers = {feed.span(BTC, H1, start=START, end=END).fingerprint for _ in range(3)}
    assert answers == {made().fingerprint}
    assert len(venue.asked) == questions
