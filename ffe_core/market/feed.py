"""The one door to candles: sources in order, each behind its breaker, with a cache in front of them.

Three rules hold whatever the sources do. Nothing later than the as-of instant comes out, whichever way it came in.
Real and invented prices never meet in one answer. A frame that cannot be had is missing and says why; it is never
filled.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import Clock, iso, require_utc
from ffe_core.domain.market import Candles, Quote
from ffe_core.errors import (
    BadData,
    CassetteMiss,
    FfeError,
    NoData,
    PluginError,
    SettingsError,
    SourceFailed,
    StoreError,
    VerificationFailed,
)
from ffe_core.market.candles import can_resample, resample
from ffe_core.net.breaker import CircuitBreaker
from ffe_core.ports import QuoteSource

if TYPE_CHECKING:
    from ffe_core.market.cache import HistoryCache
    from ffe_core.net.state import StateStore
    from ffe_core.ports import DataSource

CACHE_TTL = 300.0
MAX_ENTRIES = 1000
BARS = 500
#: the hint where no source has the asset at all
WHERE_FROM = "`ffe data list` says what there is, `ffe data import` brings in more"

#: finer bars read at once to make longer ones, at most: a year of hours, two weeks of minutes
_MOST_FINER_BARS = 20_000


@dataclass(frozen=True, slots=True)
class FeedResult:
    """All frames of one asset as of one instant.

    ``series`` has every frame asked for, ``None`` where no source had it; ``errors`` then says what each one said.
    ``hits`` and ``misses`` count the frames that came from the cache and those that were asked for.
    """

    asset: Asset
    as_of: datetime
    series: Mapping[Timeframe, Candles | None]
    errors: Mapping[Timeframe, tuple[str, ...]]
    hits: int
    misses: int

    @property
    def sources(self) -> Mapping[Timeframe, str]:
        """Which source each frame came from."""
        return {frame: bars.source for frame, bars in self.series.items() if bars is not None}

    @property
    def missing(self) -> tuple[Timeframe, ...]:
        return tuple(frame for frame, bars in self.series.items() if bars is None)

    @property
    def synthetic(self) -> bool:
        return any(bars.synthetic for bars in self.series.values() if bars is not None)

    @property
    def hit_rate(self) -> float | None:
        """Share of the frames that came from the cache; ``None`` where none was asked for."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@dataclass(frozen=True, slots=True)
class CacheStats:
    entries: int
    hits: int
    misses: int

    @property
    def hit_rate(self) -> float | None:
        asked = self.hits + self.misses
        return self.hits / asked if asked else None


@dataclass(slots=True)
class _Question:
    """One asset at one instant, and what its sources already said while it was asked frame by frame."""

    asset: Asset
    as_of: datetime
    live: bool
    bars: int
    #: a source that has no bars of a frame is not asked for them again to make longer ones
    nothing: dict[tuple[str, Timeframe], NoData] = field(default_factory=dict)

    def key(self, source: str, timeframe: Timeframe) -> _Key:
        return source, self.asset, timeframe, None if self.live else self.as_of, self.bars


type _Key = tuple[str, Asset, Timeframe, datetime | None, int]


class Feed:
    """Candles from ``sources``, tried in the order given; safe to share between threads.

    A call without an as-of instant is live: it asks as of the clock's now, and what it finds is reused by live calls
    for ``ttl`` seconds. A call as of an instant reuses only what was found for that same instant. The cache
    holds ``max_entries`` series; the least recently used leave first.

    A source whose attribute ``remote`` is true is slow to ask: its spans (``Feed.span``) are kept in ``history``, and
    its breaker in ``state``, so that the next command remembers that it is down.
    """

    def __init__(
        self,
        sources: Sequence[tuple[str, DataSource]],
        clock: Clock,
        *,
        ttl: float = CACHE_TTL,
        max_entries: int = MAX_ENTRIES,
        breakers: Mapping[str, CircuitBreaker] | None = None,
        history: HistoryCache | None = None,
        state: StateStore | None = None,
    ) -> None:
        self._sources = tuple(sources)
        self._clock = clock
        self._cache = _Cache(clock, ttl, max_entries)
        own = {
            # A folder that was just mended is to be asked at once; a service that is down stays down for a while.
            name: source_breaker(name, clock, state if getattr(source, "remote", False) is True else None)
            for name, source in self._sources
        }
        self._breakers = {**own, **(breakers or {})}
        self._history = history

    @property
    def breakers(self) -> Mapping[str, CircuitBreaker]:
        return self._breakers

    @property
    def cache_stats(self) -> CacheStats:
        """Since the feed was made."""
        return self._cache.stats()

    def candles(self, asset: Asset, timeframe: Timeframe, *, end: datetime | None = None, bars: int = BARS) -> Candles:
        """The last ``bars`` bars that were complete at ``end`` (``None``: live) from the first source that has any.

        Raises ``NoData`` with what each source said where none has.
        """
        question = self._question(asset, end, bars)
        found, said, _ = self._first(question, timeframe)
        if found is None:
            raise _nobody_has(asset, timeframe, said)
        return found

    def series(
        self,
        asset: Asset,
        as_of: datetime | None = None,
        bars: int = BARS,
        timeframes: Sequence[Timeframe] = PULSE_TIMEFRAMES,
    ) -> FeedResult:
        """The last ``bars`` complete bars of each frame as of ``as_of`` (``None``: live).

        A frame that fails is ``None`` and leaves the others as they are. Where some frames are real and others
        synthetic, the synthetic ones are dropped.
        """
        question = self._question(asset, as_of, bars)
        series: dict[Timeframe, Candles | None] = {}
        errors: dict[Timeframe, tuple[str, ...]] = {}
        hits = 0
        for timeframe in timeframes:
            found, said, hit = self._first(question, timeframe)
            series[timeframe] = found
            hits += hit
            if found is None:
                errors[timeframe] = said
        _drop_invented_beside_real(series, errors)
        return FeedResult(asset, question.as_of, series, errors, hits, len(series) - hits)

    def span(self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None) -> Candles:
        """All bars that open in ``[start, end)`` and are complete now: what a backtest reads.

        Raises ``NoData`` with what each source said where none has any.
        """
        said: list[str] = []
        for name, source in self._sources:
            try:
                if not source.serves(asset):
                    said.append(f"{name}: does not have {asset}")
                    continue
                return self._span_from(name, source, asset, timeframe, start, end)
            except FfeError as error:
                self._raise_what_nobody_can_mend(error)
                said.append(_said(name, error))
        raise _nobody_has(asset, timeframe, tuple(said))

    def quote(self, asset: Asset) -> Quote:
        """The present bid and ask from the first source that has them. Raises ``NoData`` with what each source said."""
        said: list[str] = []
        for name, source in self._sources:
            try:
                if isinstance(source, QuoteSource) and source.serves(asset):
                    return self._breakers[name].call(source.quote, asset)
                said.append(f"{name}: quotes no {asset}")
            except FfeError as error:
                self._raise_what_nobody_can_mend(error)
                said.append(_said(name, error))
        raise NoData(f"no quote of {asset}: {'; '.join(said)}")

    def _raise_what_nobody_can_mend(self, error: FfeError) -> None:
        # A replay must not go on with another source; a setting that the only source lacks is the user's to set.
        if isinstance(error, CassetteMiss | VerificationFailed | StoreError) or (
            isinstance(error, SettingsError) and len(self._sources) == 1
        ):
            raise error

    def _question(self, asset: Asset, as_of: datetime | None, bars: int) -> _Question:
        if bars < 1:
            raise ValueError(f"{bars} bars are no series; ask for at least one")
        return _Question(asset, self._clock.now() if as_of is None else require_utc(as_of), as_of is None, bars)

    def _first(self, question: _Question, timeframe: Timeframe) -> tuple[Candles | None, tuple[str, ...], bool]:
        """The first source's candles, what the sources before it said, and whether the cache had them."""
        said: list[str] = []
        for name, source in self._sources:
            try:
                if not source.serves(question.asset):
                    said.append(f"{name}: does not have {question.asset}")
                    continue
                kept = self._cache.get(question.key(name, timeframe), question.as_of)
                if kept is not None:
                    return kept, tuple(said), True
                found = self._from(name, source, question, timeframe)
            except FfeError as error:
                self._raise_what_nobody_can_mend(error)
                said.append(_said(name, error))
                continue
            self._cache.put(question.key(name, timeframe), question.as_of, found)
            return found, tuple(said), False
        return None, tuple(said), False

    def _from(self, name: str, source: DataSource, question: _Question, timeframe: Timeframe) -> Candles:
        """``timeframe`` as the source has it, else made of its finer bars. Raises ``NoData`` for neither."""
        try:
            return self._asked(name, source, question, timeframe, question.bars)
        except NoData:
            made = self._resampled(name, source, question, timeframe)
            if made is None:
                raise
            return made

    def _resampled(self, name: str, source: DataSource, question: _Question, timeframe: Timeframe) -> Candles | None:
        finer = [frame for frame in Timeframe if can_resample(frame, timeframe, question.asset.kind)]
        for frame in sorted(finer, key=lambda each: -each.milliseconds):
            ratio = timeframe.milliseconds // frame.milliseconds
            wanted = min(_MOST_FINER_BARS, (question.bars + 1) * ratio)
            try:
                found = self._asked(name, source, question, frame, wanted)
                made = _as_of(resample(found, timeframe), question.as_of, question.bars)
            except NoData:
                continue
            return made
        return None

    def _asked(self, name: str, source: DataSource, question: _Question, timeframe: Timeframe, bars: int) -> Candles:
        if (name, timeframe) in question.nothing:
            raise question.nothing[name, timeframe]
        try:
            # One more than wanted: the newest is usually still forming.
            found = self._breakers[name].call(
                source.candles, question.asset, timeframe, start=None, end=question.as_of, limit=bars + 1
            )
            _require_own_days(found, question.asset)
            return _as_of(found, question.as_of, bars)
        except NoData as error:
            question.nothing[name, timeframe] = error
            raise

    def _span_from(
        self,
        name: str,
        source: DataSource,
        asset: Asset,
        timeframe: Timeframe,
        start: datetime | None,
        end: datetime | None,
    ) -> Candles:
        history = self._history if getattr(source, "remote", False) is True else None
        kept = history.get(name, asset, timeframe, start, end) if history is not None else None
        if kept is not None:
            return kept
        found = self._breakers[name].call(source.candles, asset, timeframe, start=start, end=end, limit=None)
        _require_own_days(found, asset)
        found = found.between(start, end).as_of(self._clock.now())
        if not len(found):
            raise NoData(f"no complete {timeframe} bar of {asset} in that span")
        if history is not None:
            history.put(found, start, end)
        return found


def source_breaker(name: str, clock: Clock, store: StateStore | None = None) -> CircuitBreaker:
    """A breaker that counts a source's failures, not its honest word that it has nothing or that input is bad."""
    return CircuitBreaker(f"source {name}", clock, counts=(SourceFailed, PluginError), store=store)


class _Entry(NamedTuple):
    stored_at: datetime
    as_of: datetime
    candles: Candles


class _Cache:
    def __init__(self, clock: Clock, ttl: float, max_entries: int) -> None:
        self._clock = clock
        self._ttl = ttl
        self._max_entries = max_entries
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    def get(self, key: _Key, as_of: datetime) -> Candles | None:
        with self._lock:
            entry = self._entries.get(key)
            if entry is None or not self._holds(entry, as_of):
                self._misses += 1
                return None
            self._entries.move_to_end(key)
            self._hits += 1
            return entry.candles

    def put(self, key: _Key, as_of: datetime, candles: Candles) -> None:
        with self._lock:
            self._entries[key] = _Entry(self._clock.now(), as_of, candles)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)

    def stats(self) -> CacheStats:
        with self._lock:
            return CacheStats(len(self._entries), self._hits, self._misses)

    def _holds(self, entry: _Entry, as_of: datetime) -> bool:
        # After a clock went backwards the entry lies in the future: what it knows was not known yet.
        age = (self._clock.now() - entry.stored_at).total_seconds()
        return 0 <= age < self._ttl and entry.as_of <= as_of


def _as_of(candles: Candles, as_of: datetime, bars: int) -> Candles:
    complete = candles.as_of(as_of).tail(bars)
    if not len(complete):
        raise NoData(f"no {candles.timeframe} bar of {candles.asset} that was complete at {iso(as_of)}")
    return complete


def _require_own_days(candles: Candles, asset: Asset) -> None:
    """Days that end at another hour are other bars under the same name."""
    own = DayBoundary.of(asset.kind)
    if candles.timeframe is not Timeframe.D1 or candles.day_boundary is own:
        return
    raise BadData(
        f"its days of {asset} end at {candles.day_boundary}, those of {asset.kind} assets at {own}",
        hint=f"if {asset} is a stock, say so: data.kinds.{asset}: stock" if asset.kind is AssetKind.UNKNOWN else None,
    )


def _drop_invented_beside_real(
    series: dict[Timeframe, Candles | None], errors: dict[Timeframe, tuple[str, ...]]
) -> None:
    held = [bars for bars in series.values() if bars is not None]
    if all(bars.synthetic for bars in held):
        return
    for timeframe, bars in series.items():
        if bars is not None and bars.synthetic:
            series[timeframe] = None
            errors[timeframe] = (f"{bars.source}: its prices are invented, and other frames are real",)


def _said(name: str, error: FfeError) -> str:
    said = str(error).removeprefix(f"{name}: ")
    return f"{name}: {said}" + (f" ({error.hint})" if error.hint else "")


def _nobody_has(asset: Asset, timeframe: Timeframe, said: Sequence[str]) -> NoData:
    return NoData(f"no {timeframe} candles of {asset}: " + ("; ".join(said) or "no source is set up"), hint=WHERE_FROM)
