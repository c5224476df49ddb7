"""Candles of whole spans on disk, for sources that are slow to ask: one Parquet file for each question.

An entry is only ever a shortcut: one that is stale, damaged or of another question is a miss, and a folder that
cannot be written is a cache that keeps nothing. What has become a miss for ever is removed by the next entry.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.clock import Clock, iso, require_utc
from ffe_core.domain.market import COLUMNS, Candles

if TYPE_CHECKING:
    import pyarrow as pa

INTRADAY_TTL = 600.0
DAILY_TTL = 86_400.0

_META = b"ffe"
_WRITING = ".writing-"


class HistoryCache:
    """Spans of candles under ``folder``, kept for ten minutes, daily bars for a day, by ``clock``."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock

    def get(
        self, source: str, asset: Asset, timeframe: Timeframe, start: datetime | None, end: datetime | None
    ) -> Candles | None:
        """The candles kept for exactly this question, or ``None``."""
        question = _question(source, asset, timeframe, start, end)
        path = self._path(question)
        if not path.is_file():
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(path).read()
            facts = json.loads(table.schema.metadata[_META])
            if facts["question"] != question or not self._is_fresh(facts["stored_at"], timeframe):
                return None
            return _candles(table, facts, source, asset, timeframe)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            # Damaged, cut off, or written by another version: asking the source again mends it.
            return None

    def put(self, candles: Candles, start: datetime | None, end: datetime | None) -> bool:
        """Keeps ``candles`` as the answer to this question; ``False`` where the folder cannot be written."""
        question = _question(candles.source, candles.asset, candles.timeframe, start, end)
        table = _table(candles, {"question": question, "stored_at": iso(self._clock.now())})
        try:
            self._write(table, self._path(question))
            self._sweep()
        except OSError:
            return False
        return True

    def _sweep(self) -> None:
        """Removes entries that have become a miss for ever, and what processes left that died while they wrote."""
        for path in self._folder.iterdir():
            # Another process may be sweeping, too.
            with suppress(OSError):
                if path.name.startswith(_WRITING) or path.suffix == ".parquet":
                    self._remove_where_old(path)

    def _remove_where_old(self, path: Path) -> None:
        if self._clock.now().timestamp() - path.stat().st_mtime >= DAILY_TTL:
            path.unlink()

    def _write(self, table: pa.Table, path: Path) -> None:
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_WRITING)
        try:
            with os.fdopen(handle, "wb") as file:
                pq.write_table(table, file, compression="zstd")
            stored_at = self._clock.now().timestamp()
            os.utime(name, (stored_at, stored_at))
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _path(self, question: list[str]) -> Path:
        digest = hashlib.sha256(json.dumps(question).encode()).hexdigest()
        return self._folder / f"{digest[:32]}.parquet"

    def _is_fresh(self, stored_at: str, timeframe: Timeframe) -> bool:
        age = (self._clock.now() - require_utc(datetime.fromisoformat(stored_at))).total_seconds()
        return 0 <= age < (DAILY_TTL if timeframe is Timeframe.D1 else INTRADAY_TTL)


def _question(
    source: str, asset: Asset, timeframe: Timeframe, start: datetime | None, end: datetime | None
) -> list[str]:
    ends = ("" if at is None else iso(at) for at in (start, end))
    return [source, asset.symbol, asset.kind.value, timeframe.value, *ends]


def _table(candles: Candles, facts: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    more = {
        "synthetic": candles.synthetic,
        "day_boundary": candles.day_boundary.value,
        "fetched_at": None if candles.fetched_at is None else iso(candles.fetched_at),
        "remarks": candles.remarks,
        "fingerprint": candles.fingerprint,
    }
    columns = {"time": pa.array(candles.time.tolist(), pa.timestamp("ms", "UTC"))}
    columns |= {name: pa.array(getattr(candles, name).tolist(), pa.float64()) for name in COLUMNS}
    if candles.coverage:
        columns["coverage"] = pa.array(candles.coverage, pa.float64())
    return pa.table(columns).replace_schema_metadata({_META: json.dumps({**facts, **more})})


def _candles(table: pa.Table, facts: dict[str, Any], source: str, asset: Asset, timeframe: Timeframe) -> Candles:
    import pyarrow as pa

    fetched_at = facts["fetched_at"]
    made = Candles.of(
        asset,
        timeframe,
        source,
        time=table["time"].cast(pa.int64()).to_pylist(),
        **{name: table[name].to_pylist() for name in COLUMNS},
        synthetic=bool(facts["synthetic"]),
        fetched_at=None if fetched_at is None else datetime.fromisoformat(fetched_at),
        day_boundary=DayBoundary(facts["day_boundary"]),
        coverage=table["coverage"].to_pylist() if "coverage" in table.column_names else (),
        remarks=facts["remarks"],
    )
    if made.fingerprint != facts["fingerprint"]:
        raise ValueError("the bars are not those that were written")
    return made
