"""The market as it was known at any instant: sources whose bars are read once, and digests of all that they knew.

What is put before a model at a close is what a live decision would put before it, six timeframes and all. The same feed
makes it, over sources that are held in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from ffe_core import Asset, AssetKind, Candles, NoData, Timeframe, close_times, from_ms, to_ms
from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.engine import Engine
from ffe_core.market.candles import can_resample
from ffe_core.market.feed import Feed
from ffe_lab.market import array_of, buffer_of
from ffe_lab.trades import Indices

#: finer bars that a feed reads to make longer ones, at most
_MOST_FINER_BARS = 20_000
#: calendar time that so many bars take, next to a market that never closes
_STRETCH = {AssetKind.FOREX: 1.6, AssetKind.STOCK: 6.0}
#: bars that reading begins at a multiple of
_BLOCK = 512
_COLUMNS = ("open", "high", "low", "close", "volume")

type Frames = Mapping[Timeframe, Candles]


@dataclass(frozen=True, eq=False)
class HeldSource:
    """What a source had of one asset, in memory: it answers as the source itself would."""

    name: str
    asset: Asset
    frames: Frames

    def serves(self, asset: Asset) -> bool:
        return asset.symbol == self.asset.symbol

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        held = self.frames.get(timeframe)
        found = None if held is None else held.between(start, end)
        if found is None or not len(found):
            raise NoData(f"no {timeframe} bars of {asset}")
        return found if limit is None else found.tail(limit)


@dataclass(frozen=True, eq=False)
class AsOf:
    """An asset's bars in every timeframe, by source in the order in which a feed asks them."""

    engine: Engine
    asset: Asset
    held: Sequence[HeldSource]

    def feed(self) -> Feed:
        """Answers as of any instant what the sources would have answered then."""
        return Feed([(one.name, one) for one in self.held], self.engine.clock, ttl=0, max_entries=0)

    def digests(self, closes: Indices) -> list[str]:
        """For each of ``closes`` (epoch milliseconds, increasing) one of every bar that was complete by then.

        A running sha256 over each series; what comes after an instant cannot change its digest, and nothing that came
        before it can change without changing it.
        """
        rows = [_prefixes(one.name, series, closes) for one in self.held for series in one.frames.values()]
        return [hashlib.sha256(b"".join(parts)).hexdigest()[:32] for parts in zip(*rows, strict=True)]

    def changed(self, change: Callable[[Candles], Candles]) -> AsOf:
        """The same sources with other bars."""
        made = [
            replace(one, frames={frame: change(series) for frame, series in one.frames.items()}) for one in self.held
        ]
        return replace(self, held=made)


def remember(engine: Engine, asset: Asset, first: datetime, end: datetime | None, source: str | None = None) -> AsOf:
    """Reads every timeframe that decisions as of ``first`` and later look at, up to ``end``.

    The first source that had all timeframes at ``first`` is the last one that a feed would ask, and the last one read.
    Raises ``NoData`` where none has a bar.
    """
    held: list[HeldSource] = []
    missing = set(PULSE_TIMEFRAMES)
    for name in engine.settings.data.sources if source is None else (source,):
        frames = _frames(engine, name, asset, first, end)
        if frames:
            held.append(HeldSource(name, asset, frames))
        missing -= _had(frames, first, asset.kind)
        if not missing:
            break
    if not held:
        raise NoData(f"no source has a bar of {asset} before {first:%Y-%m-%d %H:%M}")
    return AsOf(engine, asset, held)


def _frames(engine: Engine, name: str, asset: Asset, first: datetime, end: datetime | None) -> dict[Timeframe, Candles]:
    """The source's own bars: of finer ones more are read where longer ones have to be made of them."""
    feed = engine.feed_of(name)
    remote = getattr(engine.registry.require("source", name), "remote", False) is True
    found: dict[Timeframe, Candles] = {}
    lacking: set[Timeframe] = set()
    for frame in sorted(PULSE_TIMEFRAMES, key=lambda each: -each.milliseconds):
        longest = max((each.milliseconds for each in lacking), default=frame.milliseconds)
        most = (engine.settings.data.bars + 1) * longest // frame.milliseconds
        most = min(most, max(_MOST_FINER_BARS, engine.settings.data.bars + 1))
        try:
            series = feed.span(asset, frame, start=_memory(frame, most, asset.kind, first), end=end)
            if not remote and len(series.as_of(first)) < most:
                series = feed.span(asset, frame, start=None, end=end)
        except NoData:
            lacking.add(frame)
            continue
        found[frame] = series
        if len(series.as_of(first)):
            lacking = {each for each in lacking if not can_resample(frame, each, asset.kind)}
    return found


def _memory(frame: Timeframe, bars: int, kind: AssetKind, first: datetime) -> datetime:
    """Where reading begins: at a round stamp, so that runs that begin a little apart remember the same."""
    reach = int(bars * frame.milliseconds * _STRETCH.get(kind, 1.02))
    block = _BLOCK * frame.milliseconds
    return from_ms(max(0, (to_ms(first) - reach) // block * block))


def _had(frames: Frames, first: datetime, kind: AssetKind) -> set[Timeframe]:
    """The timeframes of which there was a complete bar at ``first``, or finer bars to make one of."""
    own = {frame for frame, series in frames.items() if len(series.as_of(first))}
    return own | {frame for frame in PULSE_TIMEFRAMES if any(can_resample(finer, frame, kind) for finer in own)}


def _prefixes(source: str, series: Candles, closes: Indices) -> Iterator[bytes]:
    told = (source, series.source, series.asset.symbol, series.asset.kind, series.timeframe, str(series.synthetic))
    running = hashlib.sha256("|".join((*told, *series.remarks)).encode())
    rows = np.empty((len(series), 1 + len(_COLUMNS)), "<f8")
    rows[:, 0].view("<i8")[:] = array_of(series.time, np.int64)
    for place, name in enumerate(_COLUMNS, 1):
        rows[:, place] = array_of(getattr(series, name), np.float64)
    done, digest = 0, running.digest()
    for known in np.searchsorted(close_times(series), closes, side="right").tolist():
        if known > done:
            running.update(rows[done:known])
            done, digest = known, running.copy().digest()
        yield digest


def without_later(series: Candles, at: datetime) -> Candles:
    """Only what was complete at ``at``."""
    return series.as_of(at)


def later_times_ten(series: Candles, at: datetime) -> Candles:
    """Every bar that was not complete at ``at`` with prices and volume times ten."""
    known = len(series.as_of(at))
    columns: dict[str, Any] = {}
    for name in _COLUMNS:
        values = array_of(getattr(series, name), np.float64).copy()
        values[known:] *= 10.0
        columns[name] = buffer_of(values)
    return replace(series, **columns)


__all__ = ["AsOf", "HeldSource", "later_times_ten", "remember", "without_later"]
