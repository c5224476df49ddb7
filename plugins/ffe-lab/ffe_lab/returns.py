"""Equity day by day, and what a day is: the one frequency at which every ratio of the lab is measured.

Times are epoch milliseconds, UTC. A trading day of crypto (and of what nobody can classify) ends at midnight UTC, of
forex at 17:00 in New York from Monday to Friday, of a stock at 16:00 in New York on days that have bars.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from ffe_core import AssetKind

type Floats = NDArray[np.float64]
type Indices = NDArray[np.int64]

_DAY = 86_400_000
_NEW_YORK = ZoneInfo("America/New_York")
_DAY_ENDS = {AssetKind.FOREX: time(17, 0), AssetKind.STOCK: time(16, 0)}
_PERIODS = {AssetKind.FOREX: 260, AssetKind.STOCK: 252}
_SATURDAY = 5
_DUST = 1e-12
#: a span reaches from the day that its first bar ended in to the next day with a boundary: Friday's evening is Monday's
_LONGEST_GAP = timedelta(days=4)


@dataclass(frozen=True, slots=True, eq=False)
class Daily:
    """Equity at the end of each trading day.

    ``days`` int64[d] epoch milliseconds of the boundaries, the last one may lie ahead of the last bar. ``equity``
    float64[d + 1] in account currency, ``equity[0]`` is what the run began with. ``returns`` float64[d] are simple,
    fractions: ``returns[i] = equity[i + 1] / equity[i] - 1``, and 0 for every day that began with nothing left.
    """

    days: Indices
    equity: Floats
    returns: Floats

    def __len__(self) -> int:
        return len(self.days)


@dataclass(frozen=True, slots=True)
class MetricsBasis:
    """How ratios were annualised: printed beside them, because two bases cannot be compared.

    ``risk_free`` is the annual rate, a fraction; ``formula`` names all of it, like ``sharpe_daily_365_rf0``.
    """

    periods_per_year: int
    risk_free: float
    frequency: str
    formula: str

    @classmethod
    def of(cls, kind: AssetKind, risk_free: float = 0.0) -> MetricsBasis:
        periods = periods_per_year(kind)
        return cls(periods, risk_free, "daily", f"sharpe_daily_{periods}_rf{risk_free:g}")


def periods_per_year(kind: AssetKind) -> int:
    """Trading days of a year: 365 for crypto and the unknown, 260 for forex (weekdays), 252 for stocks (sessions)."""
    return _PERIODS.get(kind, 365)


def daily_rate(annual: float, periods: int) -> float:
    """The rate that compounds to ``annual`` over ``periods``: rf_d = (1 + rf)^(1 / A) - 1, fractions.

    Raises ``ValueError`` for a year that loses everything.
    """
    if annual <= -1.0:
        raise ValueError(f"a risk-free rate of {annual} leaves nothing; write a fraction such as 0.02")
    return float((1.0 + annual) ** (1.0 / periods) - 1.0)


def day_boundaries(kind: AssetKind, first_ms: int, last_ms: int) -> Indices:
    """Every day's end from the first one at or after ``first_ms`` to the first one at or after ``last_ms``.

    int64[d], epoch milliseconds, strictly increasing, at least one. For stocks every weekday has one: which of them
    were holidays only bars can tell. Raises ``ValueError`` for a span that ends before it begins.
    """
    if last_ms < first_ms:
        raise ValueError("a span of days ends before it begins")
    if kind not in _DAY_ENDS:
        return np.arange(-(-first_ms // _DAY), -(-last_ms // _DAY) + 1, dtype=np.int64) * _DAY
    return _new_york_boundaries(_DAY_ENDS[kind], first_ms, last_ms)


def daily_equity(closes: Indices, equity: Floats, kind: AssetKind, initial_balance: float, *, lag: int = 0) -> Daily:
    """Samples bar equity at each day's end: the last bar that had closed by then.

    ``closes`` int64[n] increasing epoch milliseconds at which bars were complete, ``equity`` float64[n] in account
    currency at those instants; ``lag`` is added to every close, which saves making a column of closes out of opens. The
    first day's return is against ``initial_balance``, and the last day counts whether it is over or not. A day without
    bars repeats the equity before it; for stocks it is no day, since exchanges keep holidays. Costs d searches among n,
    whatever n is. Raises ``ValueError`` for columns of different lengths and a balance that is not positive.
    """
    if len(closes) != len(equity):
        raise ValueError(f"{len(closes)} closes and {len(equity)} values of equity are no series")
    if not initial_balance > 0:
        raise ValueError(f"an initial balance of {initial_balance} measures nothing; it must be positive")
    if not len(closes):
        return Daily(np.empty(0, np.int64), np.array([initial_balance]), np.empty(0))
    days = day_boundaries(kind, int(closes[0]) + lag, int(closes[-1]) + lag)
    last = np.searchsorted(closes, days - lag, side="right") - 1
    if kind is AssetKind.STOCK:
        traded = np.diff(last, prepend=-1) > 0
        days, last = days[traded], last[traded]
    sampled = np.empty(len(days) + 1)
    sampled[0] = initial_balance
    np.take(equity, last, out=sampled[1:])
    return Daily(days, sampled, simple_returns(sampled))


def simple_returns(equity: Floats) -> Floats:
    """``equity[i + 1] / equity[i] - 1`` as fractions, float64[d] of float64[d + 1].

    Who has nothing left, or owes, earns nothing any more: a return on that is 0, never infinite. Nothing is also what
    rounding leaves: a trillionth of ``equity[0]``.
    """
    before, after = equity[:-1], equity[1:]
    dust = equity[0] * _DUST
    if equity.min() > dust:
        return after / before - 1.0
    return np.divide(after - before, before, out=np.zeros(len(before)), where=before > dust)


def _new_york_boundaries(at: time, first_ms: int, last_ms: int) -> Indices:
    first = datetime.fromtimestamp(first_ms / 1000, UTC).date() - timedelta(days=1)
    last = datetime.fromtimestamp(last_ms / 1000, UTC).date() + _LONGEST_GAP
    known = np.concatenate([_year_of_boundaries(at, year) for year in range(first.year, last.year + 1)])
    begin = int(np.searchsorted(known, first_ms, side="left"))
    end = int(np.searchsorted(known, last_ms, side="left"))
    return known[begin : end + 1]


@lru_cache(maxsize=256)
def _year_of_boundaries(at: time, year: int) -> Indices:
    day, found = date(year, 1, 1), []
    while day.year == year:
        if day.weekday() < _SATURDAY:
            found.append(int(datetime.combine(day, at, _NEW_YORK).timestamp()) * 1000)
        day += timedelta(days=1)
    return np.array(found, dtype=np.int64)
