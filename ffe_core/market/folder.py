"""The folder of candle files that ``files`` reads: how its files are named, and how one is put there whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ffe_core.domain.assets import AssetKind, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import BadData, NoData
from ffe_core.market.quality import name_of_file, read_file
from ffe_core.market.tables import END_OF_TIME, SUFFIXES, TIME


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a series: the new file, and the files whose place it took."""

    path: Path
    replaced: tuple[Path, ...]


def candle_files(folder: Path) -> list[Path]:
    """The files of ``folder`` that could hold candles, in order of name; subfolders are not entered."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def store_candles(folder: Path, candles: Candles, *, replace: bool = False) -> Stored:
    """Writes ``candles`` as ``SYMBOL_TIMEFRAME_FIRST_LAST.parquet`` (UTC days), whole or not at all.

    Files of the same asset and timeframe that overlap it are refused (``BadData``) unless ``replace``; then they go,
    once the new one is there, and one that reaches beyond the new span is refused all the same, because its bars
    would be lost. Raises ``NoData`` for an empty series.
    """
    if not len(candles):
        raise NoData(f"no {candles.asset} {candles.timeframe} bar to store")
    path = folder / _name_of(candles)
    overlapping = _overlapping(folder, candles)
    for other, first, last in overlapping:
        span = f"{other.name} holds {from_ms(first):%Y-%m-%d} to {from_ms(last):%Y-%m-%d}"
        if not replace:
            raise BadData(f"{span}, which overlaps the new bars", hint="--replace puts the new ones in its place")
        if first < candles.time[0] or last > candles.time[-1]:
            raise BadData(f"{span}, more than the new bars do", hint=f"move {other.name} away if it is not needed")
    folder.mkdir(parents=True, exist_ok=True)
    _write_whole(path, candles)
    gone = tuple(other for other, _, _ in overlapping if other != path)
    for other in gone:
        other.unlink()
    return Stored(path, tuple(other for other, _, _ in overlapping))


def _name_of(candles: Candles) -> str:
    first, last = from_ms(candles.time[0]), from_ms(candles.time[-1])
    return f"{candles.asset}_{candles.timeframe}_{first:%Y%m%d}_{last:%Y%m%d}.parquet"


def _overlapping(folder: Path, candles: Candles) -> Sequence[tuple[Path, int, int]]:
    """(file, first, last bar) of each file of the same series whose span touches that of ``candles``."""
    found = []
    for path in candle_files(folder):
        symbol, frame = name_of_file(path)
        if symbol != candles.asset.symbol or frame not in (candles.timeframe, None):
            continue
        first, last = _span_of(path, frame, candles.asset.kind, candles.timeframe)
        if first <= candles.time[-1] and last >= candles.time[0]:
            found.append((path, first, last))
    return found


def _span_of(path: Path, frame: Timeframe | None, kind: AssetKind, wanted: Timeframe) -> tuple[int, int]:
    reading = read_file(path, now=END_OF_TIME, timeframe=frame, kind=kind, timezone="UTC")
    if not len(reading.time):
        raise BadData(f"{path.name} is of the same series and cannot be read", hint="move it out of the folder")
    # A file of another timeframe under a plain name is no rival.
    return (reading.time[0], reading.time[-1]) if reading.timeframe in (wanted, None) else (1, 0)


def _write_whole(path: Path, candles: Candles) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = {TIME: pa.array(candles.time.tolist(), pa.timestamp("ms", "UTC"))}
    fields |= {name: pa.array(getattr(candles, name).tolist(), pa.float64()) for name in COLUMNS}
    descriptor, name = tempfile.mkstemp(prefix=".import-", suffix=".part", dir=path.parent)
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            pq.write_table(pa.table(fields), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
