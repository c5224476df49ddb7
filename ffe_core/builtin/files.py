"""Built-in source: candles from a folder of the user's own Parquet and CSV files.

A file is named ``SYMBOL_TIMEFRAME.parquet`` (or ``.csv``; more may follow after an underscore, such as the span), or
plainly ``SYMBOL.csv``, where its bars tell the timeframe. Symbols are written as the user likes (``BTC-USD_1h.csv``).
Subfolders are not read. Which file answers is decided by what could be known at the end of the span asked for, never
by what a file holds beyond it: the one whose complete bars reach furthest, among equals the one of the exact timeframe,
else the finest, whose bars are then resampled. One file answers, never two joined; two of one timeframe that reach
equally far are refused. A file that ended more than a long weekend before others of its asset is not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, NoReturn
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ffe_core import (
    Asset,
    BadData,
    Candles,
    Clock,
    DataSource,
    Holding,
    NoData,
    NotConfigured,
    PluginContext,
    Timeframe,
    hookimpl,
)
from ffe_core.market.quality import (
    END_OF_TIME,
    SUFFIXES,
    QualityReport,
    name_of_file,
    read_file,
    remarks_on,
)

NAME = "files"
FOLDER = "candles"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KEPT_SERIES = 64
#: The longest that a market closes; a file of the same market that is further behind does not cover the instant.
_LONG_WEEKEND = timedelta(days=4) // timedelta(milliseconds=1)
_HINT = "bring some with `ffe data import`, or set plugins.files.path to a folder of yours"


class FilesSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path | None = Field(
        default=None, description="folder of candle files; unset: `candles` in the data folder of ffe"
    )
    timezone: str | None = Field(
        default=None, description="zone of stamps that name none, such as Europe/Athens; unset: such files are refused"
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (KeyError, ValueError, OSError):
                raise ValueError(f"{name!r} is no time zone; write an IANA name such as UTC or Europe/Athens") from None
        return name


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return FilesSettings


@hookimpl
def ffe_data_sources(settings: FilesSettings, context: PluginContext) -> Iterable[DataSource]:
    return [FileSource(folder_of(settings, context.data_root), context.clock, settings.timezone)]


def folder_of(settings: FilesSettings, data_root: Path | None) -> Path | None:
    """Where the files are: the folder that is set, else ``candles`` under ``data_root``."""
    folder = settings.path or (data_root / FOLDER if data_root else None)
    return folder.expanduser().absolute() if folder else None


class _File(NamedTuple):
    """One file by its name: whose it is, and its timeframe where the name tells."""

    path: Path
    symbol: str
    frame: Timeframe | None


@dataclass(frozen=True, slots=True)
class _Series:
    """What a file says in one timeframe; ``bars`` is ``None`` where it cannot say anything in it."""

    file: _File
    own: Timeframe | None
    bars: Candles | None
    report: QualityReport

    def reach(self, at: datetime) -> int | None:
        """When the newest bar that was complete at ``at`` closed, epoch milliseconds."""
        known = None if self.bars is None else self.bars.as_of(at)
        return known.close_time(-1) if known else None


@dataclass(frozen=True, slots=True)
class FileSource:
    """Bars of the files in ``folder``."""

    folder: Path | None
    clock: Clock
    timezone: str | None = None
    name: str = NAME

    def serves(self, asset: Asset) -> bool:
        return any(file.symbol == asset.symbol for file in self._files())

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        """Bars of the one file that answers for ``end`` (unset or later: for now), resampled where it is finer.

        Raises ``NoData`` where no file has a bar in the span, ``BadData`` where the file is refused or two files
        answer alike.
        """
        files = [file for file in self._files() if file.symbol == asset.symbol]
        if not files:
            raise NoData(f"files: nothing for {asset} in {self.folder}", hint=_HINT)
        now = self.clock.now()
        until = now if end is None else min(end, now)
        chosen = self._choose(asset, timeframe, files, until)
        # What was found in later rows is not known at that instant, neither a repair nor a refusal.
        known = chosen.report.as_of(_to_ms(until))
        known.require_usable(chosen.file.path.name)
        bars = chosen.bars
        found = None if bars is None else bars.between(start, until)
        if not found:
            raise NoData(f"files: no {asset} {timeframe} bars in the span asked for; {_span(chosen)}")
        wanted = found if limit is None else found.tail(limit)
        seen = remarks_on(wanted.as_of(until))
        remarks = tuple(finding.line() for finding in (*known.repairs, *known.remarks, *seen))
        return replace(wanted, remarks=remarks)

    def holdings(self) -> Sequence[Holding]:
        """One per file that can be read, in order of name."""
        held = []
        for file in self._files():
            asset = Asset.parse(file.symbol)
            series = self._read(file, asset, None)
            if series.bars:
                bars = series.bars
                first, last = _from_ms(bars.time[0]), _from_ms(bars.time[-1])
                held.append(Holding(asset, bars.timeframe, len(bars), first, last, file.path.name))
        return held

    def _files(self) -> list[_File]:
        """The candle files of the folder in order of name; files that are named otherwise are none of ours."""
        if self.folder is None:
            raise NotConfigured("plugins.files.path is not set", hint="set plugins.files.path to a folder of candles")
        if not self.folder.is_dir():
            return []
        paths = sorted(path for path in self.folder.iterdir() if path.suffix.lower() in SUFFIXES)
        return [file for file in map(_by_name, paths) if file]

    def _read(self, file: _File, asset: Asset, timeframe: Timeframe | None) -> _Series:
        try:
            facts = file.path.stat()
        except OSError as error:
            raise BadData(f"{file.path.name}: {error.strerror or 'cannot be read'}") from None
        return _load(file, (facts.st_mtime_ns, facts.st_size), asset, self.timezone, timeframe)

    def _choose(self, asset: Asset, timeframe: Timeframe, files: list[_File], until: datetime) -> _Series:
        candidates = [self._read(file, asset, timeframe) for file in files if file.frame in (timeframe, None)]
        for series in candidates:
            # Shorter bars never stand in for a file of the timeframe that is there but cannot be trusted.
            series.report.as_of(_to_ms(until)).require_usable(series.file.path.name)
        current = timeframe.open_of(_to_ms(until), asset.kind)
        if not any((series.reach(until) or 0) >= current for series in candidates):
            # No file of the timeframe itself is up to that instant: perhaps shorter bars are.
            candidates += [
                self._read(file, asset, timeframe)
                for file in files
                if file.frame and file.frame.milliseconds < timeframe.milliseconds
            ]
        ranked = sorted(
            ((_rank(series, reach, timeframe), series) for series in candidates if (reach := series.reach(until))),
            key=lambda entry: entry[0],
        )
        if not ranked:
            _refuse_all(asset, timeframe, candidates, files)
        best = [series for rank, series in ranked if rank == ranked[-1][0]]
        if len(best) > 1:
            names = " and ".join(series.file.path.name for series in best)
            raise BadData(
                f"files: {names} both hold {asset} {timeframe} up to {_iso(until)}, and ffe does not choose",
                hint="move one of them out of the folder",
            )
        self._require_covered(asset, timeframe, files, until, best[0])
        return best[0]

    def _require_covered(
        self, asset: Asset, timeframe: Timeframe, files: list[_File], until: datetime, chosen: _Series
    ) -> None:
        """A file that ended long before others of the asset is of another time than they."""
        reach = chosen.reach(until) or 0
        if _to_ms(until) - reach <= _LONG_WEEKEND:
            return
        others = (self._read(file, asset, None).reach(until) or 0 for file in files)
        if max(others) - reach > _LONG_WEEKEND + timeframe.milliseconds:
            raise NoData(f"files: no {asset} {timeframe} bars near {_iso(until)}; {_span(chosen)}")


def _rank(series: _Series, reach: int, timeframe: Timeframe) -> tuple[int, bool, int]:
    own = series.own or timeframe
    return reach, own is timeframe, -own.milliseconds


def _refuse_all(asset: Asset, timeframe: Timeframe, candidates: list[_Series], files: list[_File]) -> NoReturn:
    """No candidate has a bar that was complete: because of what is in them, or because there is none."""
    for series in candidates:
        series.report.require_usable(series.file.path.name)
    spans = "; ".join(_span(series) for series in candidates if series.bars)
    if spans:
        raise NoData(f"files: no {asset} {timeframe} bar is complete at that time; {spans}")
    unknown = [series.file.path.name for series in candidates if series.own is None]
    if unknown:
        raise BadData(f"{unknown[0]}: too few bars to tell their timeframe", hint="name the file SYMBOL_TIMEFRAME.csv")
    names = ", ".join(file.path.name for file in files)
    raise NoData(f"files: {asset} {timeframe} cannot be made of {names}", hint=_HINT)


def _span(series: _Series) -> str:
    bars = series.bars
    if not bars:
        return f"{series.file.path.name} has none"
    return f"{series.file.path.name} has {_iso(_from_ms(bars.time[0]))} to {_iso(_from_ms(bars.time[-1]))}"


def _from_ms(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _to_ms(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _by_name(path: Path) -> _File | None:
    symbol, frame = name_of_file(path)
    return _File(path, symbol, frame) if symbol else None


@lru_cache(maxsize=_KEPT_SERIES)
def _load(
    file: _File, version: tuple[int, int], asset: Asset, timezone: str | None, timeframe: Timeframe | None
) -> _Series:
    """The whole file in ``timeframe`` (``None``: its own), read once per version of it (time of change and size)."""
    if timeframe is None:
        reading = read_file(file.path, now=END_OF_TIME, timeframe=file.frame, kind=asset.kind, timezone=timezone)
        bars = None if reading.timeframe is None else reading.sound_candles(asset, NAME)
        return _Series(file, reading.timeframe, bars, reading.report)
    series = _load(file, version, asset, timezone, None)
    if series.bars is None or series.own is timeframe:
        return series
    try:
        return replace(series, bars=series.bars.resample(timeframe))
    except BadData:
        return replace(series, bars=None)
