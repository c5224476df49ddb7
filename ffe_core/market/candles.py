"""Bars of bars: the same market in a longer timeframe, and as a DataFrame for notebooks."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from ffe_core.domain.assets import NEW_YORK, STOCK_SESSION_ENDS, AssetKind, DayBoundary, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles
from ffe_core.errors import BadData

if TYPE_CHECKING:
    import pandas as pd

SESSION_BEGINS = time(9, 30)
#: bars from which whole columns are quicker than one bar after the other
WORTH_NUMPY = 2_000
_HALF_HOUR = Timeframe.M30.milliseconds


class _Period(NamedTuple):
    """One longer bar: its label, the span that its data come from (epoch milliseconds), and which bars fall into it."""

    label: int
    begins: int
    ends: int
    first: int
    stop: int


def resample(candles: Candles, timeframe: Timeframe) -> Candles:
    """``candles`` in longer bars: first open, highest high, lowest low, last close, summed volume.

    Up to 4h the bars stand on the UTC grid; a day is the asset kind's own (UTC midnight, 17:00 New York, the stock
    session). A bar is made wherever its period begins inside the data: one that began before the first bar is left
    out, one that misses some of its bars is not, and ``coverage`` says what share of the period they filled. The
    last bar may still be forming; ``Candles.as_of`` hides it until its period has ended.
    Raises ``BadData`` where longer bars cannot be made of these: a shorter timeframe, or bars across a day's end.
    """
    if timeframe is candles.timeframe:
        return candles
    _require_divisible(candles, timeframe)
    made = _by_columns(candles, timeframe) or _bar_by_bar(candles, timeframe)
    label, open_, high, low, close, volume, coverage = made
    return Candles.of(
        candles.asset,
        timeframe,
        candles.source,
        time=label,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        synthetic=candles.synthetic,
        fetched_at=candles.fetched_at,
        day_boundary=DayBoundary.of(candles.asset.kind),
        coverage=coverage,
        remarks=candles.remarks,
    )


def _bar_by_bar(candles: Candles, timeframe: Timeframe) -> tuple[Sequence[Any], ...]:
    """Columns of the longer bars: labels, prices, volumes, coverage."""
    columns = {name: getattr(candles, name).tolist() for name in COLUMNS}
    opens, highs, lows, closes, volumes = (columns[name] for name in COLUMNS)
    made: list[tuple[int, float, float, float, float, float, float]] = []
    for period in _periods(candles, timeframe):
        first, stop = period.first, period.stop
        bars = slice(first, stop)
        made.append(
            (
                period.label,
                opens[first],
                max(highs[bars]),
                min(lows[bars]),
                closes[stop - 1],
                math.fsum(volumes[bars]),
                _coverage(candles, period),
            )
        )
    return tuple(zip(*made, strict=True)) if made else ((),) * 7


def _by_columns(candles: Candles, timeframe: Timeframe) -> tuple[Sequence[Any], ...] | None:
    """The same of a long and usual series on the grid, in passes over whole columns; ``None`` of any other."""
    on_grid = timeframe is not Timeframe.D1 or DayBoundary.of(candles.asset.kind) is DayBoundary.UTC
    if len(candles) < WORTH_NUMPY or not on_grid or candles.coverage:
        return None
    import numpy as np

    length, step = timeframe.milliseconds, candles.timeframe.milliseconds
    time = np.frombuffer(candles.time, np.int64)
    opens, highs, lows, closes = (np.frombuffer(getattr(candles, name)) for name in ("open", "high", "low", "close"))
    labels = time - time % length
    first = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    stop = np.append(first[1:], len(time))
    # More bars than a period holds, or prices that are none, are told apart bar by bar.
    if (stop - first).max() > length // step or lows.min() <= 0:
        return None
    if labels[0] < time[0]:
        first, stop = first[1:], stop[1:]
    if not len(first):
        return None
    volumes = candles.volume.tolist()
    sums = [math.fsum(volumes[begin:end]) for begin, end in zip(first.tolist(), stop.tolist(), strict=True)]
    prices = (opens[first], np.maximum.reduceat(highs, first), np.minimum.reduceat(lows, first), closes[stop - 1])
    coverage = np.minimum(1.0, (stop - first) * step / length).tolist()
    return array("q", labels[first].tobytes()), *(array("d", each.tobytes()) for each in prices), sums, coverage


def can_resample(candles_of: Timeframe, timeframe: Timeframe, kind: AssetKind) -> bool:
    """Whether bars of ``timeframe`` can be made of bars of ``candles_of`` for assets of ``kind``."""
    if timeframe.milliseconds % candles_of.milliseconds or timeframe is candles_of:
        return False
    if timeframe is not Timeframe.D1:
        return True
    # 17:00 in New York is a whole hour of UTC but no multiple of four, and the stock session begins at half past.
    longest = {DayBoundary.NEW_YORK_17: Timeframe.H1.milliseconds, DayBoundary.SESSION: _HALF_HOUR}
    return candles_of.milliseconds <= longest.get(DayBoundary.of(kind), Timeframe.H4.milliseconds)


def _require_divisible(candles: Candles, timeframe: Timeframe) -> None:
    if timeframe.milliseconds < candles.timeframe.milliseconds:
        raise BadData(f"{candles.asset}: {timeframe} bars cannot be made of {candles.timeframe} bars, which are longer")
    if not can_resample(candles.timeframe, timeframe, candles.asset.kind):
        raise BadData(
            f"{candles.asset}: a {candles.asset.kind} day does not begin and end with a {candles.timeframe} bar",
            hint="bring daily bars, or bars of 30 minutes and less",
        )


def _coverage(candles: Candles, period: _Period) -> float:
    length = candles.timeframe.milliseconds
    if candles.coverage:
        filled = math.fsum(candles.coverage[period.first : period.stop]) * length
    else:
        filled = (period.stop - period.first) * length
    return min(1.0, filled / (period.ends - period.begins))


def _periods(candles: Candles, timeframe: Timeframe) -> Iterator[_Period]:
    """The periods that hold bars, oldest first, without the one that began before the first bar."""
    if not len(candles):
        return
    kind = candles.asset.kind
    if timeframe is not Timeframe.D1 or DayBoundary.of(kind) is DayBoundary.UTC:
        periods = _grid_periods(candles.time.tolist(), timeframe.milliseconds, candles.timeframe.milliseconds)
    elif kind is AssetKind.FOREX:
        periods = _forex_days(candles.time.tolist())
    else:
        periods = _sessions(candles.time.tolist())
    oldest = candles.time[0]
    yield from (period for period in periods if period.begins >= oldest)


def _grid_periods(times: list[int], length: int, step: int) -> Iterator[_Period]:
    at, count, most = 0, len(times), length // step
    while at < count:
        label = times[at] - times[at] % length
        stop = bisect_left(times, label + length, at, min(count, at + most))
        yield _Period(label, label, label + length, at, stop)
        at = stop


def _forex_days(times: list[int]) -> Iterator[_Period]:
    at = 0
    while at < len(times):
        label = Timeframe.D1.open_of(times[at], AssetKind.FOREX)
        ends = Timeframe.D1.close_of(label, AssetKind.FOREX)
        stop = bisect_left(times, ends, at)
        yield _Period(label, label, ends, at, stop)
        at = stop


def _sessions(times: list[int]) -> Iterator[_Period]:
    """Stock days: what traded before or after the session is no part of its bar."""
    at = 0
    while at < len(times):
        label = Timeframe.D1.open_of(times[at], AssetKind.STOCK)
        day = from_ms(label).date()
        begins = to_ms(datetime.combine(day, SESSION_BEGINS, ZoneInfo(NEW_YORK)))
        ends = to_ms(datetime.combine(day, STOCK_SESSION_ENDS, ZoneInfo(NEW_YORK)))
        first, stop = bisect_left(times, begins, at), bisect_left(times, ends, at)
        if first < stop:
            yield _Period(label, begins, ends, first, stop)
        midnight = to_ms(
            datetime.combine(from_ms(label + Timeframe.D1.milliseconds).date(), time(), ZoneInfo(NEW_YORK))
        )
        at = bisect_left(times, midnight, stop)


def frame(candles: Candles) -> pd.DataFrame:
    """A DataFrame of open, high, low, close and volume, indexed by the UTC time at which each bar opens."""
    import numpy as np
    import pandas as pd

    index = pd.DatetimeIndex(np.frombuffer(candles.time, "i8").view("M8[ms]"), name="time").tz_localize("UTC")
    return pd.DataFrame({name: np.array(getattr(candles, name)) for name in COLUMNS}, index=index)
