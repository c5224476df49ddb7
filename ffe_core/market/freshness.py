"""How old market data is, in the sense that matters: how overdue the next bar is.

The newest bar of an hourly series is up to an hour old and still all there is to know, so age counts from the moment
when the next bar should have been complete. The clock is the as-of clock: an analysis of the past asks what was fresh
then.

A market that is closed forms no bars. Up to 4h the overdue time is therefore counted in **open market time**: on a
Saturday, forex data that reach to Friday's close are not overdue at all, data that stop two hours before it are two
hours overdue, and minutes in which a quiet market printed nothing before the close do not grow into days. (That the
market is closed keeps entries out by its own rule.) A daily bar is due at the next trading day's close, and from then
on every hour counts, because it could have been published in any of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ffe_core.domain.assets import AssetKind, Timeframe
from ffe_core.domain.clock import iso, require_utc
from ffe_core.domain.market import Candles, Freshness, Quote
from ffe_core.market.hours import next_daily_close, open_time

if TYPE_CHECKING:
    from ffe_core.settings.sections import FreshnessLimits, FreshnessSettings

#: how far a stamp may lie in the future before it is a wrong clock rather than a late one
FUTURE_TOLERANCE = 10.0
#: data that ended this long ago belong to the past, whatever the limits say
ENDED = timedelta(days=30)

_DAILY_NAMES = frozenset(["daily", "day", "1d", "d"])
_KINDS = {
    "crypto": AssetKind.CRYPTO,
    "forex": AssetKind.FOREX,
    "stock": AssetKind.STOCK,
    "stocks": AssetKind.STOCK,
}


def assess(age_seconds: float, kind: AssetKind, daily: bool, limits: FreshnessSettings) -> Freshness:
    """The verdict on an age in seconds (negative: in the future): warning above ``warn``, critical from ``critical``.

    An asset of unknown kind is held to the limits of crypto.
    """
    if age_seconds < -FUTURE_TOLERANCE:
        ahead = age_text(-age_seconds)
        told = f"CRITICAL: the newest data carry a stamp {ahead} in the future; check the clocks"
        return Freshness(False, "critical", age_seconds, f"{ahead} ahead", told)
    age = max(0.0, age_seconds)
    words, limit = age_text(age), _limits_for(kind, daily, limits)
    if limit.critical is not None and age >= limit.critical * 60:
        told = (
            f"CRITICAL: data are {words} overdue; from {age_text(limit.critical * 60)} on they are too old to enter on"
        )
        return Freshness(False, "critical", age, words, told)
    if age > limit.warn * 60:
        told = f"WARNING: data are {words} overdue, more than {age_text(limit.warn * 60)}"
        return Freshness(True, "warning", age, words, told)
    return Freshness(True, "fresh", age, words, "")


def age_text(seconds: float) -> str:
    """``45.3 seconds`` under a minute, ``7.5 minutes`` under an hour, else ``2.15 hours``."""
    if seconds < 60:
        return f"{seconds:.1f} seconds"
    if seconds < 3600:
        return f"{seconds / 60:.1f} minutes"
    return f"{seconds / 3600:.2f} hours"


def freshness_of(
    series: Mapping[Timeframe, Candles | None],
    now: datetime,
    kind: AssetKind,
    limits: FreshnessSettings,
    quote: Quote | None = None,
) -> Freshness:
    """The verdict on a set of frames at ``now``, by the newest complete bar of the finest one.

    A live quote is judged by its own time, and the worse of the two verdicts stands: a quote of this second does not
    make day-old bars new. Data that ended more than thirty days ago are critical and say how to analyse the past.
    """
    bars = _of_bars(series, now, kind, limits)
    if quote is None:
        return bars
    told = assess((require_utc(now) - quote.at).total_seconds(), kind, False, limits)
    return max(bars, told, key=lambda verdict: _SEVERITY[verdict.level])


def validate_data_freshness(
    timestamp: str, kind: str, timeframe: str, now: datetime, limits: FreshnessSettings
) -> Freshness:
    """The verdict on one ISO 8601 stamp by its plain age; without an offset it is taken for UTC.

    ``kind`` (crypto, forex, stock, stocks) and ``timeframe`` (daily or 1d; anything else is intraday) in any case.
    Raises ``ValueError`` for text that is no time.
    """
    text = timestamp.strip() if isinstance(timestamp, str) else ""
    try:
        stamp = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{timestamp!r} is no ISO 8601 time; write it like 2024-05-01T12:00:00Z") from None
    at = require_utc(stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC))
    age = (require_utc(now) - at).total_seconds()
    known = _KINDS.get(kind.strip().lower(), AssetKind.UNKNOWN)
    return assess(age, known, timeframe.strip().lower() in _DAILY_NAMES, limits)


_SEVERITY = {"fresh": 0, "warning": 1, "unknown": 2, "critical": 3}


def _limits_for(kind: AssetKind, daily: bool, limits: FreshnessSettings) -> FreshnessLimits:
    if kind is AssetKind.FOREX:
        return limits.forex_daily if daily else limits.forex
    if kind is AssetKind.STOCK:
        return limits.stock_daily if daily else limits.stock
    return limits.crypto_daily if daily else limits.crypto


def _of_bars(
    series: Mapping[Timeframe, Candles | None], now: datetime, kind: AssetKind, limits: FreshnessSettings
) -> Freshness:
    moment = require_utc(now)
    held = [bars for bars in series.values() if bars is not None and len(bars)]
    finest = min(held, key=lambda bars: bars.timeframe.milliseconds, default=None)
    closed = None if finest is None else finest.last_close_at
    if finest is None or closed is None:
        return Freshness(False, "unknown", None, "unknown", "CRITICAL: there is no complete bar to judge")
    daily = finest.timeframe is Timeframe.D1
    verdict = assess(_overdue(finest.timeframe, closed, moment, kind), kind, daily, limits)
    if moment - closed <= ENDED:
        return verdict
    return Freshness(
        False,
        "critical",
        verdict.age_seconds,
        verdict.age,
        f"CRITICAL: data end {iso(closed)}, {(moment - closed).days} days ago; use --at to analyse the past",
    )


def _overdue(timeframe: Timeframe, closed: datetime, now: datetime, kind: AssetKind) -> float:
    """Seconds since the next bar should have been complete; negative only for a bar that closes in the future."""
    if closed > now:
        return (now - closed).total_seconds()
    if now - closed > ENDED:
        return (now - closed - timeframe.timedelta).total_seconds()
    if timeframe is not Timeframe.D1 or kind not in (AssetKind.FOREX, AssetKind.STOCK):
        return max(0.0, (open_time(kind, closed, now) - timeframe.timedelta).total_seconds())
    return max(0.0, (now - next_daily_close(kind, closed)).total_seconds())
