"""Daily returns, as the rules on value at risk and correlation read them."""

from __future__ import annotations

from datetime import datetime, timedelta

from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles

#: how far back a day may lie to count
LOOK_BACK = timedelta(days=60)
#: bars that hold that many returns
BARS = LOOK_BACK.days + 1

type DailyReturns = tuple[tuple[str, float], ...]


def daily_returns(candles: Candles, as_of: datetime) -> DailyReturns:
    """``(2024-03-06, 0.012)``, oldest first: close over the close before, minus one, of bars complete at ``as_of``.

    The day is the UTC one in which the bar ended, so that markets that close at different hours meet on one calendar.
    """
    seen = candles.as_of(as_of)
    earliest = (as_of - LOOK_BACK).date().isoformat()
    made = (
        # A bar that ends at midnight belongs to the day that ends there.
        (f"{from_ms(seen.close_time(index) - 1):%Y-%m-%d}", seen.close[index] / seen.close[index - 1] - 1)
        for index in range(max(1, len(seen) - BARS), len(seen))
    )
    return tuple((day, value) for day, value in made if day >= earliest)
