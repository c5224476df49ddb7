"""Candles, quotes and what analysis makes of them. Floats: these numbers are measured, not owed."""

from __future__ import annotations

import hashlib
import math
import operator
import sys
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Self, cast

from ffe_core.domain.assets import Asset, DayBoundary, Timeframe
from ffe_core.domain.clock import from_ms, require_utc, to_ms

if TYPE_CHECKING:
    import pandas as pd

    type Stamps = memoryview[int]
    type Column = memoryview[float]

COLUMNS = ("open", "high", "low", "close", "volume")
#: bars from which a look at all of them at once is worth the import
WORTH_NUMPY = 5_000


def column(values: Iterable[float]) -> Column:
    """A read-only contiguous float64 buffer; ``numpy.frombuffer`` reads it without copying."""
    return cast("Column", memoryview(values if isinstance(values, array) else array("d", values)).toreadonly())


def stamps(values: Iterable[int]) -> Stamps:
    """A read-only contiguous int64 buffer of epoch milliseconds."""
    return memoryview(values if isinstance(values, array) else array("q", values)).toreadonly()


def _increases(times: Stamps) -> bool:
    if len(times) < WORTH_NUMPY:
        return all(map(operator.lt, times, times[1:]))
    import numpy as np

    return bool((np.diff(np.frombuffer(times, np.int64)) > 0).all())


def _is_finite(values: Column) -> bool:
    if len(values) < WORTH_NUMPY:
        # No sum is finite with a value in it that is not; one that is too large says nothing.
        return math.isfinite(sum(values)) or all(map(math.isfinite, values))
    import numpy as np

    return bool(np.isfinite(np.frombuffer(values)).all())


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """A series of bars of one asset and timeframe from one source: sorted, unique, finite, UTC.

    ``time`` holds opens as int64 epoch milliseconds; the others are float64 of the same length. Built with
    ``Candles.of``; any sequence of numbers does. Raises ``ValueError`` for a series that breaks its own rules.
    """

    asset: Asset
    timeframe: Timeframe
    source: str
    time: Stamps
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column
    synthetic: bool = False
    fetched_at: datetime | None = None
    day_boundary: DayBoundary = DayBoundary.UTC
    #: share of each bar's period that data covered, for a series that was resampled; empty where it was not
    coverage: tuple[float, ...] = ()
    #: what was repaired or noticed on the way in, ready to print
    remarks: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        asset: Asset,
        timeframe: Timeframe,
        source: str,
        *,
        time: Iterable[int],
        open: Iterable[float],  # noqa: A002 - the field's own word
        high: Iterable[float],
        low: Iterable[float],
        close: Iterable[float],
        volume: Iterable[float],
        synthetic: bool = False,
        fetched_at: datetime | None = None,
        day_boundary: DayBoundary | None = None,
        coverage: Sequence[float] = (),
        remarks: Sequence[str] = (),
    ) -> Self:
        """A checked series; ``day_boundary`` defaults to the asset kind's own."""
        made = cls(
            asset=asset,
            timeframe=timeframe,
            source=source,
            time=stamps(time),
            open=column(open),
            high=column(high),
            low=column(low),
            close=column(close),
            volume=column(volume),
            synthetic=synthetic,
            fetched_at=None if fetched_at is None else require_utc(fetched_at),
            day_boundary=day_boundary or DayBoundary.of(asset.kind),
            coverage=tuple(coverage),
            remarks=tuple(remarks),
        )
        made._check()
        return made

    @classmethod
    def empty(cls, asset: Asset, timeframe: Timeframe, source: str) -> Self:
        return cls.of(asset, timeframe, source, time=(), open=(), high=(), low=(), close=(), volume=())

    def _check(self) -> None:
        where = f"{self.source} {self.asset} {self.timeframe}"
        if any(len(getattr(self, name)) != len(self.time) for name in COLUMNS):
            raise ValueError(f"{where}: columns differ in length")
        if not _increases(self.time):
            raise ValueError(f"{where}: stamps are not strictly increasing")
        for name in COLUMNS:
            values = getattr(self, name)
            if not _is_finite(values):
                raise ValueError(f"{where}: {name} has a value that is not finite")
        if self.coverage and len(self.coverage) != len(self.time):
            raise ValueError(f"{where}: coverage differs in length")

    def __len__(self) -> int:
        return len(self.time)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Candles) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> tuple[object, ...]:
        # Buffers cannot be pickled; between our own workers the series travels as plain arrays.
        values = {name: array("d", getattr(self, name)) for name in COLUMNS}
        rest = {
            "synthetic": self.synthetic,
            "fetched_at": self.fetched_at,
            "day_boundary": self.day_boundary,
            "coverage": self.coverage,
            "remarks": self.remarks,
        }
        return _restore, (self.asset, self.timeframe, self.source, array("q", self.time), values, rest)

    def slice(self, start: int, stop: int) -> Self:
        """Bars ``start`` up to ``stop`` by position, sharing the buffers."""
        parts = {name: getattr(self, name)[start:stop] for name in ("time", *COLUMNS)}
        return replace(self, **parts, coverage=self.coverage[start:stop])

    def tail(self, bars: int) -> Self:
        return self if bars >= len(self) else self.slice(len(self) - bars, len(self))

    def between(self, start: datetime | None, end: datetime | None) -> Self:
        """Bars that open in ``[start, end)``."""
        first = 0 if start is None else bisect_left(self.time, _not_before(start))
        last = len(self) if end is None else bisect_left(self.time, _not_before(end))
        return self if (first, last) == (0, len(self)) else self.slice(first, max(first, last))

    def as_of(self, at: datetime) -> Self:
        """Only the bars that are complete at ``at``: nothing in the result was unknown then."""
        limit = to_ms(at)
        keep = bisect_right(self.time, limit)
        while keep and self.close_time(keep - 1) > limit:
            keep -= 1
        return self if keep == len(self) else self.slice(0, keep)

    def close_time(self, index: int) -> int:
        """When bar ``index`` closes, epoch milliseconds; negative counts from the end."""
        return self.timeframe.close_of(self.time[index], self.asset.kind)

    @property
    def last_close_at(self) -> datetime | None:
        return from_ms(self.close_time(-1)) if len(self) else None

    @property
    def fingerprint(self) -> str:
        """sha256 over what the bars are, not when they came: asset, frame, source, little-endian columns."""
        digest = hashlib.sha256(
            "|".join(
                (
                    self.asset.symbol,
                    self.asset.kind,
                    self.timeframe,
                    self.source,
                    str(int(self.synthetic)),
                    str(len(self)),
                )
            ).encode()
        )
        for values in (self.time, *(getattr(self, name) for name in COLUMNS)):
            digest.update(values if sys.byteorder == "little" else _swapped(values))
        return digest.hexdigest()

    def resample(self, timeframe: Timeframe) -> Candles:
        """The same market in longer bars; see ``ffe_core.market.candles.resample``."""
        import importlib

        made: Candles = importlib.import_module("ffe_core.market.candles").resample(self, timeframe)
        return made

    def frame(self) -> pd.DataFrame:
        """A DataFrame indexed by UTC open time, for notebooks."""
        import importlib

        made: pd.DataFrame = importlib.import_module("ffe_core.market.candles").frame(self)
        return made

    def _repr_html_(self) -> str:
        import importlib

        made: str = importlib.import_module("ffe_core.engine.notebook").candles_html(self)
        return made


def _not_before(at: datetime) -> int:
    """The first whole millisecond that is not before ``at``."""
    milliseconds = to_ms(at)
    return milliseconds if from_ms(milliseconds) == at else milliseconds + 1


def _restore(
    asset: Asset,
    timeframe: Timeframe,
    source: str,
    time: array[int],
    values: dict[str, array[float]],
    rest: dict[str, object],
) -> Candles:
    return Candles.of(asset, timeframe, source, time=time, **values, **rest)  # type: ignore[arg-type]


def _swapped(values: memoryview[int] | memoryview[float]) -> bytes:
    copy = array(values.format, values.tolist())
    copy.byteswap()
    return copy.tobytes()


@dataclass(frozen=True, slots=True)
class Quote:
    """A live price: ``at`` is the venue's own stamp."""

    asset: Asset
    bid: Decimal
    ask: Decimal
    at: datetime
    source: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_utc(self.at))
        if not (self.bid.is_finite() and self.ask.is_finite()) or self.bid <= 0:
            raise ValueError(f"{self.asset} quote from {self.source}: bid {self.bid}, ask {self.ask} are no prices")
        if self.bid > self.ask:
            raise ValueError(f"{self.asset} quote from {self.source} is crossed: bid {self.bid} above ask {self.ask}")

    @property
    def mid(self) -> Decimal:
        return (self.bid + self.ask) / 2


class Trend(StrEnum):
    UPTREND = "uptrend"
    DOWNTREND = "downtrend"
    RANGING = "ranging"
    UNKNOWN = "unknown"


class VolatilityClass(StrEnum):
    """By ATR over price: low under 1 %, medium under 2.5 %, else high."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    UNKNOWN = "unknown"


class Regime(StrEnum):
    TRENDING_BULL = "trending_bull"
    TRENDING_BEAR = "trending_bear"
    HIGH_VOLATILITY_CHOP = "high_volatility_chop"
    LOW_VOLATILITY_RANGING = "low_volatility_ranging"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class FramePulse:
    """The reading of one timeframe at its last complete bar. ``None`` where there are too few bars to say.

    Prices and ATR in quote currency; RSI, ADX, DI and ``bb_percent_b`` in 0-100 (``bb_percent_b`` may leave it).
    """

    timeframe: Timeframe
    closed_at: datetime
    bars: int
    price: float
    trend: Trend
    strength: int
    signal_strength: int
    rsi: float | None
    macd: float | None
    macd_signal: float | None
    macd_histogram: float | None
    bb_upper: float | None
    bb_middle: float | None
    bb_lower: float | None
    bb_percent_b: float | None
    adx: float | None
    plus_di: float | None
    minus_di: float | None
    atr: float | None
    sma_20: float | None
    sma_50: float | None
    volatility_class: VolatilityClass
    #: further indicators asked for by name, from the catalogue or from plugins (``plugin.name``)
    extra: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confluence:
    """How far the frames agree: ``score`` is the share of weight (0-100) behind ``direction``."""

    direction: str  # uptrend | downtrend | mixed | unknown
    score: int
    conflicts: tuple[Timeframe, ...] = ()
    entry_signal: str = "neutral"  # bullish | bearish | neutral
    entry_reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulse:
    """The six frames of one asset at one instant, one object from the producer to the prompt."""

    asset: Asset
    as_of: datetime
    frames: Mapping[Timeframe, FramePulse | None]
    confluence: Confluence
    missing: tuple[Timeframe, ...]
    summary: str

    def best(self, *timeframes: Timeframe) -> FramePulse | None:
        """The first of ``timeframes`` that has a reading."""
        return next((frame for name in timeframes if (frame := self.frames.get(name)) is not None), None)

    def frame(self) -> pd.DataFrame:
        """A DataFrame with a row a timeframe, for notebooks; a frame without data is a row without values."""
        import importlib

        made: pd.DataFrame = importlib.import_module("ffe_core.engine.notebook").pulse_frame(self)
        return made

    def _repr_html_(self) -> str:
        import importlib

        made: str = importlib.import_module("ffe_core.engine.notebook").pulse_html(self)
        return made


@dataclass(frozen=True, slots=True)
class Freshness:
    """``age``: how overdue the next bar is, in words; ``level`` fresh, warning, critical or unknown."""

    is_fresh: bool
    level: str
    age_seconds: float | None
    age: str
    message: str


@dataclass(frozen=True, slots=True)
class MarketStatus:
    """Whether the asset can be traded now; minutes are whole and ``None`` where they have no meaning."""

    is_open: bool
    session: str
    time_to_close: int | None
    time_to_open: int | None
    warning: str = ""
    #: entries are kept out around the weekly close and open although the market trades
    entries_allowed: bool = True


@dataclass(frozen=True, slots=True)
class CandleShape:
    """Anatomy of one bar: ranges in price, fractions of the close; ``close_position`` 0 at the low, 1 at the high."""

    price_range: float
    price_range_fraction: float
    body_size: float
    body_fraction: float
    upper_wick: float
    lower_wick: float
    trend: str  # bullish | bearish | neutral
    is_bullish: bool
    close_position: float


@dataclass(frozen=True, slots=True)
class Market:
    """What the decision bar says: the price is the last complete close; change and volatility are fractions."""

    source: str
    synthetic: bool
    fingerprint: str
    freshness: Freshness
    status: MarketStatus
    price: float
    #: last complete close over the close 24 hours earlier (a stock: over the previous session's), minus one
    change: float | None
    #: daily ATR(14) / close; ``None`` where no frame can give it
    volatility: float | None
    bar_open: float
    bar_high: float
    bar_low: float
    bar_volume: float
    bar_closed_at: datetime
    shape: CandleShape | None = None
    #: how far the platform's own price is away, a fraction; ``None`` where it has none of its own
    price_divergence: float | None = None
    remarks: tuple[str, ...] = ()
