"""What a series shows without being wrong: gaps in market hours, thin trade, frozen prices, jumps, splits.

Gaps, frozen runs, jumps and splits are told bar by bar from that bar and the ones before it, so that later bars never
change them; how thin and how flat a series is, is a share of the bars that it is asked about.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from statistics import median
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ffe_core.domain.assets import FOREX_DAY_ENDS, NEW_YORK, AssetKind, Timeframe
from ffe_core.domain.clock import from_ms, iso, to_ms
from ffe_core.domain.market import Candles
from ffe_core.market.report import Finding, Findings, Place

if TYPE_CHECKING:
    from ffe_core.domain.market import Stamps

WORTH_NUMPY = 2_000
TEXTS = {
    "single_bar": "one bar only: too short for any indicator",
    "gaps": "{count} bar{s} absent in market hours",
    "thin": "thin: fewer than 95 % of the bars are there",
    "flat": "{count} bar{s} without any movement",
    "frozen": "{count} bar{s} in frozen runs: one price five times and more",
    "spikes": "{count} jump{s} away from the bars before",
    "splits": "{count} price step{s} like that of a share split",
}
KINDS = tuple(TEXTS)

FROZEN_RUN = 5
THIN_BELOW = 0.95
FLAT_SHARE = 0.05
#: A jump is at least this far, and this many usual ranges, from the bars before.
JUMP_AT_LEAST = 0.10
JUMP_RANGES = 20.0
RECENT_CLOSES = 5
RANGE_MEMORY = 50
RANGE_CAP = 3.0
SPLIT_RATIOS = (1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 20.0, 50.0)
SPLIT_TOLERANCE = 0.04
#: The longest that exchanges close for a weekend and a holiday beside it.
LONG_WEEKEND = timedelta(days=4) // timedelta(milliseconds=1)
_HOUR = 3_600_000


def remarks_on(candles: Candles) -> tuple[Finding, ...]:
    """Every remark on ``candles``."""
    found = Findings(TEXTS)
    if len(candles) == 1:
        found.add("single_bar", Place(candles.close_time(0)))
    _gaps(candles, found)
    _flat(candles, found)
    _jumps(candles, found)
    return found.finish(KINDS)


def _gaps(candles: Candles, found: Findings) -> None:
    times = candles.time
    absent = 0
    for index in _after_gaps(times, candles.timeframe.milliseconds):
        before, after = times[index - 1], times[index]
        missing = absent_bars(before, after, candles.timeframe, candles.asset.kind)
        if missing:
            absent += missing
            known = candles.close_time(index)
            hole = f"after {iso(from_ms(before))}, until {iso(from_ms(after))}"
            found.add("gaps", Place(known, detail=hole, weight=missing))
    if len(candles) > 1 and len(candles) < THIN_BELOW * (len(candles) + absent):
        share = f"{len(candles)} of {len(candles) + absent}"
        found.add("thin", Place(candles.close_time(-1), detail=share))


def absent_bars(before: int, after: int, timeframe: Timeframe, kind: AssetKind) -> int:
    """How many bars the market could have had between the bars that open at ``before`` and ``after``."""
    step = timeframe.milliseconds
    if timeframe is Timeframe.D1:
        return _absent_days(before, after, kind)
    if kind is AssetKind.STOCK:
        # A session that is missing as a whole is a holiday as far as anybody can tell from the file.
        return (
            0 if after - before <= LONG_WEEKEND and not _same_session(before, after) else _count(after - before, step)
        )
    if kind is not AssetKind.FOREX:
        return _count(after - before, step)
    return sum(1 for opens in range(before + step, after, step) if not _forex_closed(opens, opens + step))


def _count(span: int, step: int) -> int:
    return max(0, round(span / step) - 1)


def _absent_days(before: int, after: int, kind: AssetKind) -> int:
    days = _count(after - before, Timeframe.D1.milliseconds)
    if kind is AssetKind.CRYPTO:
        return days
    if kind is AssetKind.FOREX:
        opens = (before + day * Timeframe.D1.milliseconds for day in range(1, days + 1))
        return sum(1 for at in opens if not _forex_closed(at + _HOUR, at + 2 * _HOUR))
    return 0 if after - before <= LONG_WEEKEND else days


def _same_session(before: int, after: int) -> bool:
    zone = ZoneInfo(NEW_YORK)
    return from_ms(before).astimezone(zone).date() == from_ms(after).astimezone(zone).date()


def _forex_closed(begins: int, ends: int) -> bool:
    """Whether no part of the span lies in forex hours."""
    closures = _closures(from_ms(begins).year)
    index = bisect_right(closures, (begins, math.inf)) - 1
    return index >= 0 and closures[index][1] >= ends


@lru_cache(maxsize=64)
def _closures(year: int) -> tuple[tuple[int, float], ...]:
    """Weekends, Christmas and New Year of ``year`` and its edges, joined where they touch, in order."""
    spans = sorted((*_weekends(year), *_holidays(year)))
    joined: list[tuple[int, float]] = []
    for begins, ends in spans:
        if joined and begins <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ends))
        else:
            joined.append((begins, ends))
    return tuple(joined)


def _weekends(year: int) -> Iterator[tuple[int, int]]:
    first = date(year, 1, 1) - timedelta(days=14)
    friday = first + timedelta(days=(4 - first.weekday()) % 7)
    while friday.year <= year:
        yield _evening(friday), _evening(friday + timedelta(days=2))
        friday += timedelta(days=7)


def _holidays(year: int) -> Iterator[tuple[int, int]]:
    for eve in (date(year - 1, 12, 31), date(year, 12, 24), date(year, 12, 31)):
        day = eve + timedelta(days=1)
        # Christmas on a Sunday is kept on the Monday.
        kept = timedelta(days=2) if day.month == 12 and day.weekday() == 6 else timedelta(days=1)
        yield _evening(eve), _evening(eve + kept)


def _evening(day: date) -> int:
    return to_ms(datetime.combine(day, time(FOREX_DAY_ENDS.hour), ZoneInfo(NEW_YORK)))


def _flat(candles: Candles, found: Findings) -> None:
    flat = _without_range(candles)
    run = 0
    for at, index in enumerate(flat):
        follows = at > 0 and flat[at - 1] == index - 1 and candles.high[index - 1] == candles.high[index]
        run = run + 1 if follows else 1
        if run == FROZEN_RUN:
            since = f"from {iso(from_ms(candles.time[index - FROZEN_RUN + 1]))}"
            found.add("frozen", Place(candles.close_time(index), detail=since, weight=FROZEN_RUN))
        elif run > FROZEN_RUN:
            found.add("frozen", Place(candles.close_time(index)))
    if len(flat) > FLAT_SHARE * len(candles) and len(candles) > 1:
        found.add("flat", Place(candles.close_time(-1), weight=len(flat)))


def _jumps(candles: Candles, found: Findings) -> None:
    """A bar whose high or low is far from the median of the five closes before it, in the usual ranges of the past."""
    may_split = candles.asset.kind in (AssetKind.STOCK, AssetKind.UNKNOWN)
    suspects = _far_from_before(candles)
    if not suspects:
        return
    opens, highs, lows, closes = (getattr(candles, name) for name in ("open", "high", "low", "close"))
    wild: list[tuple[int, float]] = []
    for index in suspects:
        before = closes[index - 1]
        ratio = opens[index] / before if before > 0 else 1.0
        if may_split and _is_split(ratio):
            detail = f"{iso(from_ms(candles.time[index]))}: {before:g} to {opens[index]:g}"
            found.add("splits", Place(candles.close_time(index), detail=detail))
        elif highs[index] > before * (1 + JUMP_AT_LEAST) or lows[index] < before * (1 - JUMP_AT_LEAST):
            level = median(closes[max(0, index - RECENT_CLOSES) : index])
            if _is_far(highs[index], lows[index], level, JUMP_AT_LEAST):
                wild.append((index, level))
    # What is usual takes a walk over all bars before; most series have nothing that would have to be held against it.
    usual = _usual_ranges(candles, wild[-1][0]) if wild else []
    for index, level in wild:
        high, low = highs[index], lows[index]
        if _is_far(high, low, level, max(JUMP_AT_LEAST, JUMP_RANGES * usual[index])):
            detail = f"{iso(from_ms(candles.time[index]))}: {low:g} to {high:g} after {level:g}"
            found.add("spikes", Place(candles.close_time(index), detail=detail))


def _is_far(high: float, low: float, level: float, share: float) -> bool:
    return high > level * (1 + share) or low < level * max(0.0, 1 - share)


def _usual_ranges(candles: Candles, last: int) -> list[float]:
    """For each bar up to ``last`` the mean range of those before it, a share of the close, which forgets in time."""
    extents, usual, before = _ranges(candles, last), 0.0, []
    for index, extent in enumerate(extents[:RANGE_MEMORY]):
        before.append(usual)
        # One wild bar must not widen what counts as usual for the next fifty.
        most = RANGE_CAP * usual
        counted = most if index > RECENT_CLOSES and most < extent else extent
        usual += (counted - usual) * (1 / (index + 1))
    share = 1 / RANGE_MEMORY
    for extent in extents[RANGE_MEMORY:]:
        before.append(usual)
        most = RANGE_CAP * usual
        usual += ((most if most < extent else extent) - usual) * share
    return [*before, usual]


def _is_split(ratio: float) -> bool:
    if ratio <= 0 or 1 / SPLIT_RATIOS[0] * (1 + SPLIT_TOLERANCE) < ratio < SPLIT_RATIOS[0] * (1 - SPLIT_TOLERANCE):
        return False
    step = max(ratio, 1 / ratio)
    return any(abs(step / known - 1) <= SPLIT_TOLERANCE for known in SPLIT_RATIOS)


# Whole columns at a glance: most bars end here. Long series are looked at by numpy, with the same comparisons.


def _after_gaps(times: Stamps, step: int) -> Sequence[int]:
    """Where a bar opens more than ``step`` after the one before."""
    if len(times) < WORTH_NUMPY:
        steps = map(operator.sub, times[1:], times)
        return [index for index, length in enumerate(steps, start=1) if length > step]
    import numpy as np

    after: list[int] = (np.flatnonzero(np.diff(np.frombuffer(times, np.int64)) > step) + 1).tolist()
    return after


def _without_range(candles: Candles) -> Sequence[int]:
    """Where high and low are one price."""
    if len(candles) < WORTH_NUMPY:
        return [index for index, one in enumerate(map(operator.le, candles.high, candles.low)) if one]
    import numpy as np

    flat: list[int] = np.flatnonzero(np.frombuffer(candles.high) <= np.frombuffer(candles.low)).tolist()
    return flat


def _far_from_before(candles: Candles) -> Sequence[int]:
    """Bars that leave the close before them so far that they could be a jump or a split."""
    up, down = 1 + JUMP_AT_LEAST, 1 - JUMP_AT_LEAST
    if len(candles) < WORTH_NUMPY:
        bars = zip(candles.open[1:], candles.high[1:], candles.low[1:], candles.close, strict=False)
        return [
            index
            for index, (open_, high, low, before) in enumerate(bars, start=1)
            if high > before * up or low < before * down or not before * down <= open_ <= before * up
        ]
    import numpy as np

    opens, highs, lows = (np.frombuffer(getattr(candles, name))[1:] for name in ("open", "high", "low"))
    before = np.frombuffer(candles.close)[:-1]
    most, least = before * up, before * down
    far: list[int] = (
        np.flatnonzero((highs > most) | (lows < least) | ~((least <= opens) & (opens <= most))) + 1
    ).tolist()
    return far


def _ranges(candles: Candles, count: int) -> Sequence[float]:
    """High less low as a share of the close, of the first ``count`` bars."""
    columns = candles.high[:count], candles.low[:count], candles.close[:count]
    if len(candles) < WORTH_NUMPY:
        return [(high - low) / close if close > 0 else 0.0 for high, low, close in zip(*columns, strict=True)]
    import numpy as np

    high, low, close = map(np.frombuffer, columns)
    ranges: list[float] = np.divide(high - low, close, out=np.zeros(len(close)), where=close > 0).tolist()
    return ranges
