"""What a simulation reads: bars as arrays, the longer bars that stops and rules look at, and where trading begins."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import (
    Asset,
    AssetKind,
    BadData,
    Candles,
    CandleSeries,
    DayBoundary,
    NoData,
    Timeframe,
    UsageError,
    close_times,
)
from ffe_lab.returns import day_boundaries
from ffe_lab.stops import stop_distance, volatility
from ffe_lab.trades import Floats, Indices

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("open", "high", "low", "close", "volume")
_HOUR = 3_600_000
#: how far two daily stock bars may lie apart without a session missing between them: a long week-end
_LONG_WEEKEND = 5 * 24 * _HOUR
_DST_DAY = 25 * _HOUR


def array_of(column: memoryview[Any], kind: type) -> NDArray[Any]:
    """A column of candles as a read-only array, without copying."""
    return np.frombuffer(column, kind)


@dataclass(frozen=True)
class Unread:
    """A longer frame that its source is asked for when somebody looks at it, which most runs without stops never do."""

    ask: Callable[[], Candles | None]

    @cached_property
    def candles(self) -> Candles | None:
        return self.ask()


@dataclass(frozen=True)
class Market:
    """Bars of one asset and timeframe. Those before ``first`` are read for warm-up and never traded.

    ``daily`` and ``four_hour`` are the longer frames where a source has its own; else they are made of these bars.
    """

    candles: Candles
    first: int = 0
    daily: Candles | Unread | None = None
    four_hour: Candles | Unread | None = None
    compiled: bool = False
    #: sources that invent prices say so
    synthetic: bool = field(default=False)

    @property
    def asset(self) -> Asset:
        return self.candles.asset

    @property
    def timeframe(self) -> Timeframe:
        return self.candles.timeframe

    def __len__(self) -> int:
        """Bars that are traded."""
        return len(self.candles) - self.first

    @cached_property
    def time(self) -> Indices:
        return array_of(self.candles.time, np.int64)

    @cached_property
    def open(self) -> Floats:
        return array_of(self.candles.open, np.float64)

    @cached_property
    def high(self) -> Floats:
        return array_of(self.candles.high, np.float64)

    @cached_property
    def low(self) -> Floats:
        return array_of(self.candles.low, np.float64)

    @cached_property
    def close(self) -> Floats:
        return array_of(self.candles.close, np.float64)

    @cached_property
    def volume(self) -> Floats:
        return array_of(self.candles.volume, np.float64)

    @cached_property
    def closes(self) -> Indices:
        """When each bar is complete, epoch milliseconds."""
        return close_times(self.candles)

    @cached_property
    def stamps(self) -> tuple[Indices, int]:
        """A column and what is to be added to it for the closes: nothing has to be made where all bars are as long."""
        kind, frame = self.asset.kind, self.timeframe
        if frame is not Timeframe.D1 or DayBoundary.of(kind) is DayBoundary.UTC:
            return self.time, frame.milliseconds
        return self.closes, 0

    @cached_property
    def series(self) -> CandleSeries:
        """Indicators of the bars, shared by all who ask."""
        return CandleSeries(self.candles, compiled=self.compiled)

    @property
    def longest_gap(self) -> int:
        """Milliseconds between two opens from which on the market was closed in between."""
        if self.timeframe is Timeframe.D1:
            return {AssetKind.STOCK: _LONG_WEEKEND, AssetKind.FOREX: _DST_DAY}.get(
                self.asset.kind, self.timeframe.milliseconds
            )
        return self.timeframe.milliseconds

    @cached_property
    def has_pauses(self) -> bool:
        """Whether the market was closed anywhere between two bars."""
        if self.compiled:
            from ffe_lab import walk
            from ffe_lab.machine import compiled

            return bool(compiled(walk)["pauses"](self.time[1:], self.time, self.longest_gap))
        return bool((np.diff(self.time) > self.longest_gap).any())

    @cached_property
    def days(self) -> Candles | None:
        """Daily bars that end where the asset's days do; ``None`` where none can be made of these bars."""
        return self._longer(Timeframe.D1, self.longer_frames[0])

    @cached_property
    def four_hours(self) -> Candles | None:
        return self._longer(Timeframe.H4, self.longer_frames[1])

    @property
    def longer_frames(self) -> tuple[Candles | None, Candles | None]:
        """``daily`` and ``four_hour`` as the source has them."""
        return _read(self.daily), _read(self.four_hour)

    def _longer(self, timeframe: Timeframe, given: Candles | None) -> Candles | None:
        if given is not None:
            return given
        if timeframe is self.timeframe:
            return self.candles
        return longer(self.candles, timeframe)

    def known(self, frame: Candles) -> Indices:
        """For each bar the last bar of ``frame`` that was complete when it closed; -1 before the first."""
        held = self._known.get(frame.timeframe)
        if held is None or held[0] is not frame:
            places = np.searchsorted(close_times(frame), self.closes, side="right") - 1
            held = self._known[frame.timeframe] = frame, places
        return held[1]

    @cached_property
    def _known(self) -> dict[Timeframe, tuple[Candles, Indices]]:
        return {}

    @cached_property
    def stop_distance(self) -> Floats:
        """``stops.stop_distance``, made once for all runs on these bars."""
        return stop_distance(self)

    @cached_property
    def volatility(self) -> Floats:
        """``stops.volatility``, made once for all runs on these bars."""
        return volatility(self)

    def kept[Made](self, name: str, by: object, make: Callable[[], Made]) -> Made:
        """What was made of these bars under that name; made anew where ``by`` is another than the last time."""
        held = self._kept.get(name)
        if held is None or held[0] != by:
            held = self._kept[name] = by, make()
        made: Made = held[1]
        return made

    def listed(self, name: str) -> list[Any]:
        """A column as the interpreter passes over it; nobody writes into it."""
        made: list[Any] = self.kept(name, None, getattr(self, name).tolist)
        return made

    @cached_property
    def _kept(self) -> dict[str, tuple[object, Any]]:
        return {}

    def as_compiled(self) -> Market:
        return self if self.compiled else replace(self, compiled=True)


def _read(frame: Candles | Unread | None) -> Candles | None:
    return frame.candles if isinstance(frame, Unread) else frame


def longer(candles: Candles, timeframe: Timeframe) -> Candles | None:
    """``candles`` in longer bars, as ``Candles.resample`` makes them, in passes over whole columns.

    ``None`` where bars of that length cannot be made of these. Stock sessions leave bars out, so they go the long way.
    """
    kind = candles.asset.kind
    if not len(candles):
        return None
    if timeframe is Timeframe.D1 and DayBoundary.of(kind) is not DayBoundary.UTC:
        if kind is AssetKind.STOCK or candles.timeframe.milliseconds > _HOUR:
            return _resampled(candles, timeframe)
        return _grouped(candles, timeframe, _every_day(day_boundaries(kind, candles.time[0] + 1, candles.time[-1] + 1)))
    if timeframe.milliseconds % candles.timeframe.milliseconds or timeframe is candles.timeframe:
        return None
    first, last, length = candles.time[0], candles.time[-1], timeframe.milliseconds
    ends = np.arange(first - first % length, last + 1, length, dtype=np.int64) + length
    return _grouped(candles, timeframe, ends)


def _every_day(weekdays: Indices) -> Indices:
    """With the ends of Saturdays and Sundays: clocks change on Sunday nights, which no two neighbours enclose."""
    day = 24 * _HOUR
    return np.unique(np.concatenate((weekdays - day, weekdays, weekdays + day)))


def _resampled(candles: Candles, timeframe: Timeframe) -> Candles | None:
    try:
        return candles.resample(timeframe)
    except BadData:
        return None


def _grouped(candles: Candles, timeframe: Timeframe, ends: Indices) -> Candles | None:
    """One bar for each period that holds bars and began inside the data; ``ends`` are the periods' ends."""
    time = array_of(candles.time, np.int64)
    period = np.searchsorted(ends, time, side="right")
    starts = np.flatnonzero(np.diff(period, prepend=-1))
    labels = _labels(time[starts], timeframe, candles.asset.kind)
    if labels[0] < time[0]:
        starts, labels = starts[1:], labels[1:]
    if not len(starts):
        return None
    stops = np.append(starts[1:], len(time))
    columns = {name: array_of(getattr(candles, name), np.float64) for name in _COLUMNS}
    return replace(
        candles,
        timeframe=timeframe,
        time=buffer_of(labels),
        open=buffer_of(columns["open"][starts]),
        high=buffer_of(np.maximum.reduceat(columns["high"], starts)),
        low=buffer_of(np.minimum.reduceat(columns["low"], starts)),
        close=buffer_of(columns["close"][stops - 1]),
        volume=buffer_of(np.add.reduceat(columns["volume"], starts)),
        day_boundary=DayBoundary.of(candles.asset.kind),
        coverage=(),
    )


def _labels(at: Indices, timeframe: Timeframe, kind: AssetKind) -> Indices:
    """``Timeframe.open_of`` of each instant."""
    if timeframe is Timeframe.D1 and DayBoundary.of(kind) is not DayBoundary.UTC:
        return np.array([timeframe.open_of(each, kind) for each in at.tolist()], np.int64)
    made: Indices = at - at % timeframe.milliseconds
    return made


def buffer_of(values: NDArray[Any]) -> memoryview[Any]:
    """An array as a read-only column of candles."""
    held = np.ascontiguousarray(values)
    held = held.view()
    held.flags.writeable = False
    return held.data


def candles_of(
    frame: pd.DataFrame | Candles,
    *,
    asset: Asset | str | None = None,
    timeframe: Timeframe | str | None = None,
    source: str = "frame",
    synthetic: bool = False,
) -> Candles:
    """A DataFrame of open, high, low, close and (where there is one) volume as candles, its columns not copied.

    Columns in any case, indexed by the time at which bars open; an index without a time zone is taken for UTC. The
    timeframe is the usual distance between two bars unless given. Raises ``BadData`` for bars that no market makes,
    ``NoData`` for none, ``UsageError`` where it is no such frame.
    """
    if isinstance(frame, Candles):
        return frame
    held = asset if isinstance(asset, Asset) else Asset.parse(asset or "FRAME")
    time = _opens(frame)
    if not len(time):
        raise NoData(f"no bars of {held}")
    columns = {name: _column(frame, name) for name in _COLUMNS}
    length = _usual(time) if timeframe is None else Timeframe(timeframe)
    _require_sound(held, time, columns)
    opens, highs, lows, closes, volumes = (buffer_of(columns[name]) for name in _COLUMNS)
    return Candles(
        asset=held,
        timeframe=length,
        source=source,
        time=buffer_of(time),
        open=opens,
        high=highs,
        low=lows,
        close=closes,
        volume=volumes,
        synthetic=synthetic,
        day_boundary=DayBoundary.of(held.kind),
    )


def _opens(frame: pd.DataFrame) -> Indices:
    import pandas as pd

    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise UsageError("bars are indexed by time", hint="frame.index = pandas.to_datetime(...)")
    # Of an aware index these are UTC already.
    made: Indices = (index if index.unit == "ms" else index.as_unit("ms")).asi8
    return made


def _column(frame: pd.DataFrame, name: str) -> Floats:
    found = [column for column in frame.columns if str(column).lower() == name]
    if not found and name == "volume":
        return np.zeros(len(frame))
    if len(found) != 1:
        raise UsageError(f"one column {name} is needed; there are {', '.join(map(str, frame.columns)) or 'none'}")
    return np.ascontiguousarray(frame[found[0]].to_numpy(), dtype=np.float64)


def _usual(time: Indices) -> Timeframe:
    known = {frame.milliseconds: frame for frame in Timeframe}
    usual = int(np.median(np.diff(time[:1001]))) if len(time) > 1 else Timeframe.H1.milliseconds
    if usual not in known:
        frames = ", ".join(frame.value for frame in Timeframe)
        raise UsageError(f"bars lie {usual / 60_000:g} minutes apart, and ffe knows {frames}", hint="timeframe=...")
    return known[usual]


def _first_unsound(time: Indices, columns: dict[str, Floats]) -> int:
    """All in one pass where the compiler is loaded anyway."""
    from ffe_lab import walk
    from ffe_lab.machine import compiled

    views = [time.view(), *(columns[name].view() for name in _COLUMNS)]
    for view in views:
        view.flags.writeable = False
    return int(compiled(walk)["first_unsound"](*views))


#: rows that are checked at a time: what stays in the processor's cache
_BLOCK = 32_768


def _require_sound(asset: Asset, time: Indices, columns: dict[str, Floats]) -> None:
    """Sorted, finite, positive and consistent. Raises ``BadData`` with the first bar that is not."""
    if "numba" in sys.modules and _first_unsound(time, columns) < 0:
        return
    for begin in range(0, len(time), _BLOCK):
        bars = slice(begin, begin + _BLOCK)
        open_, high, low, close, volume = (columns[name][bars] for name in _COLUMNS)
        # NaN compares false with everything, so that what is asked for is never found in it.
        sound = (low > 0) & (low <= open_) & (low <= close) & (high >= open_) & (high >= close)
        sound &= (high < np.inf) & (volume >= 0) & (volume < np.inf)
        follows = np.diff(time[begin : begin + _BLOCK + 1]) > 0
        if not sound.all():
            at = begin + int(np.argmin(sound))
            values = ", ".join(f"{name} {columns[name][at]:g}" for name in _COLUMNS)
            raise BadData(f"{asset}: bar {at} is no bar: {values}", hint="ffe data check says more")
        if not follows.all():
            raise BadData(f"{asset}: bar {begin + int(np.argmin(follows)) + 1} does not come after the one before it")
