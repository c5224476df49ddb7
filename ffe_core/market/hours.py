"""When a market trades: crypto always, forex from Sunday to Friday 17:00 New York, stocks in New York's session.

All hours come from the time-zone database, so the weeks in which New York has changed its clocks and London has not
are right. Public holidays are not known: on one of them a venue's own word (``tradeable``) decides.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ffe_core.domain.assets import FOREX_DAY_ENDS, NEW_YORK, STOCK_SESSION_ENDS, Asset, AssetKind
from ffe_core.domain.clock import from_ms, require_utc, to_ms
from ffe_core.domain.market import MarketStatus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STOCK_SESSION_BEGINS = time(9, 30)
OFFICE_BEGINS, OFFICE_ENDS = time(8, 0), time(17, 0)

#: no forex entries at the edges of the week, where spreads are widest and the gap cannot be stopped out
MINUTES_BEFORE_WEEKLY_CLOSE = 30
MINUTES_AFTER_WEEKLY_OPEN = 10

_FRIDAY, _SATURDAY, _SUNDAY = 4, 5, 6
_MINUTE = timedelta(minutes=1)
_NOTHING = timedelta(0)


def market_status(asset: Asset, at: datetime, *, tradeable: bool | None = None) -> MarketStatus:
    """Whether ``asset`` trades at ``at`` (aware), and how many whole minutes until that changes, rounded up.

    A venue that says ``tradeable=False`` overrides the calendar; ``True`` does not open a market that is closed. An
    asset of unknown kind is taken for one that always trades.
    """
    now = require_utc(at)
    status = _by_calendar(asset.kind, now)
    if tradeable is False:
        return MarketStatus(
            False, status.session, None, None, warning="the venue does not trade it now", entries_allowed=False
        )
    return status


def market_status_at_ms(asset: Asset, epoch_ms: int, *, tradeable: bool | None = None) -> MarketStatus:
    """The same for an epoch in milliseconds."""
    return market_status(asset, from_ms(epoch_ms), tradeable=tradeable)


def entries_allowed(kind: AssetKind, at: NDArray[np.int64]) -> NDArray[np.bool_]:
    """``is_open and entries_allowed`` of ``market_status`` at each of ascending epochs in milliseconds."""
    import numpy as np

    if kind not in (AssetKind.FOREX, AssetKind.STOCK):
        return np.ones(len(at), np.bool_)
    allowed = np.zeros(len(at), np.bool_)
    early, late = (MINUTES_AFTER_WEEKLY_OPEN, MINUTES_BEFORE_WEEKLY_CLOSE) if kind is AssetKind.FOREX else (0, 0)
    begin = 0
    while begin < len(at):
        opens, closes = map(to_ms, _session_around_or_after(kind, from_ms(int(at[begin]))))
        end = int(np.searchsorted(at, closes))
        inside = at[begin:end]
        allowed[begin:end] = (inside >= opens + early * 60_000) & (inside < closes - late * 60_000)
        begin = end
    return allowed


def open_time(kind: AssetKind, start: datetime, end: datetime) -> timedelta:
    """How long the market was open between two aware instants; nothing where ``end`` is not after ``start``."""
    now, until = require_utc(start), require_utc(end)
    if kind not in (AssetKind.FOREX, AssetKind.STOCK):
        return max(_NOTHING, until - now)
    total = _NOTHING
    while now < until:
        opens, closes = _session_around_or_after(kind, now)
        total += max(_NOTHING, min(until, closes) - max(now, opens))
        now = closes
    return total


def next_session(kind: AssetKind, at: datetime) -> datetime:
    """The first instant from ``at`` on at which a market that closes is open: ``at`` itself inside a session."""
    now = require_utc(at)
    if kind not in (AssetKind.FOREX, AssetKind.STOCK):
        return now
    return max(now, _session_around_or_after(kind, now)[0])


def next_daily_close(kind: AssetKind, after: datetime) -> datetime:
    """When the next daily bar of a market that closes is complete: strictly after ``after``, on a trading day."""
    zone = ZoneInfo(NEW_YORK)
    ends = FOREX_DAY_ENDS if kind is AssetKind.FOREX else STOCK_SESSION_ENDS
    day = require_utc(after).astimezone(zone).date()
    while True:
        closes = require_utc(datetime.combine(day, ends, zone))
        if closes > after and day.weekday() <= _FRIDAY:
            return closes
        day += timedelta(days=1)


def _by_calendar(kind: AssetKind, now: datetime) -> MarketStatus:
    if kind not in (AssetKind.FOREX, AssetKind.STOCK):
        quiet = now.weekday() in (_SATURDAY, _SUNDAY)
        return MarketStatus(True, "Open", None, None, warning="Weekend Low Liquidity" if quiet else "")
    opens, closes = _session_around_or_after(kind, now)
    if now < opens:
        return MarketStatus(False, "Closed", None, _minutes(opens - now), entries_allowed=False)
    if kind is AssetKind.STOCK:
        return MarketStatus(True, "Open", _minutes(closes - now), None)
    since, left = now - opens, closes - now
    early, late = since < MINUTES_AFTER_WEEKLY_OPEN * _MINUTE, left <= MINUTES_BEFORE_WEEKLY_CLOSE * _MINUTE
    warning = "the week has just opened" if early else "the week is about to close" if late else ""
    return MarketStatus(
        True, _forex_session(now), _minutes(left), None, warning=warning, entries_allowed=not (early or late)
    )


def _minutes(span: timedelta) -> int:
    return -(-span // _MINUTE)


def _forex_session(now: datetime) -> str:
    def working(zone: str) -> bool:
        return OFFICE_BEGINS <= now.astimezone(ZoneInfo(zone)).time() < OFFICE_ENDS

    london, new_york = working("Europe/London"), working(NEW_YORK)
    if london and new_york:
        return "Overlap"
    return "London" if london else "New York" if new_york else "Asian"


def _session_around_or_after(kind: AssetKind, now: datetime) -> tuple[datetime, datetime]:
    """Open and close of the session (forex: the week) that holds ``now``, else of the next one."""
    zone = ZoneInfo(NEW_YORK)
    day = now.astimezone(zone).date()
    if kind is AssetKind.FOREX:
        friday = day + timedelta(days=(_FRIDAY - day.weekday()) % 7)
        opens, closes = _forex_week(friday.toordinal())
        return (opens, closes) if now < closes else _forex_week(friday.toordinal() + 7)
    while True:
        opens, closes = _stock_session(day.toordinal())
        if day.weekday() <= _FRIDAY and now < closes:
            return opens, closes
        day += timedelta(days=1)


@lru_cache(maxsize=4096)
def _forex_week(friday: int) -> tuple[datetime, datetime]:
    closes = datetime.combine(datetime.fromordinal(friday), FOREX_DAY_ENDS, ZoneInfo(NEW_YORK))
    # Wall-clock arithmetic: five days earlier on the calendar, whatever the clocks did in between.
    return require_utc(closes - timedelta(days=5)), require_utc(closes)


@lru_cache(maxsize=4096)
def _stock_session(day: int) -> tuple[datetime, datetime]:
    date, zone = datetime.fromordinal(day), ZoneInfo(NEW_YORK)
    return (
        require_utc(datetime.combine(date, STOCK_SESSION_BEGINS, zone)),
        require_utc(datetime.combine(date, STOCK_SESSION_ENDS, zone)),
    )
