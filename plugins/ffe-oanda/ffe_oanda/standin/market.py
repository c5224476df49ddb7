"""A market that is open from Sunday to Friday, 17:00 in New York: prices that are a function of time, and candles.

Its hours and the grid of its candles are worked out here on their own, so that tests compare two derivations.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
MINUTES = {"M1": 1, "M5": 5, "M15": 15, "M30": 30, "H1": 60, "H4": 240, "D": 1440}
#: of a hundred minutes so many have no tick, and therefore no candle
QUIET = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """An instrument. ``spread`` and ``price`` in quote currency; ``margin_rate`` is the instrument's own."""

    name: str
    price: float
    digits: int
    spread: str
    margin_rate: str = "0.05"
    smallest: int = 1
    largest: int = 100_000_000

    @property
    def pip_location(self) -> int:
        return 1 - self.digits


INSTRUMENTS = {
    rules.name: rules
    for rules in (
        Rules("EUR_USD", 1.1, 5, "0.00016", "0.0333"),
        Rules("GBP_USD", 1.27, 5, "0.0002", "0.05"),
        Rules("EUR_GBP", 0.86, 5, "0.0002"),
        Rules("USD_JPY", 150.0, 3, "0.016", "0.04"),
        Rules("USD_CHF", 0.88, 5, "0.0002"),
        Rules("XAU_USD", 2300.0, 3, "0.4", "0.05"),
    )
}


@dataclass
class Market:
    """``now`` is the service's clock. ``fixed`` prices take the place of the wave where a test sets them."""

    now: Callable[[], datetime]
    fixed: dict[str, Decimal] = field(default_factory=dict)
    halted: bool = False
    #: when candles begin
    began: datetime = datetime(2022, 1, 3, tzinfo=UTC)
    #: how long after its end a candle is called incomplete
    late: timedelta = timedelta(0)
    #: whether a page of candles spans its count of periods rather than its count of candles
    windowed: bool = False

    def is_open(self, at: datetime) -> bool:
        """Whether the week is on: not from Friday 17:00 to Sunday 17:00 in New York."""
        here = at.astimezone(NEW_YORK)
        day, hour = here.weekday(), here.hour
        return not ((day == 4 and hour >= 17) or day == 5 or (day == 6 and hour < 17))

    @property
    def tradeable(self) -> bool:
        return not self.halted and self.is_open(self.now())

    def wave(self, name: str, at: datetime) -> float:
        hours = at.timestamp() / 3600
        swing = math.sin(hours / 31) * 0.012 + math.sin(hours / 3.7) * 0.003 + math.sin(hours * 5) * 0.0004
        return INSTRUMENTS[name].price * (1 + swing)

    def mid(self, name: str) -> Decimal:
        if name in self.fixed:
            return self.fixed[name]
        return Decimal(format(self.wave(name, self.now()), f".{INSTRUMENTS[name].digits}f"))

    def bid(self, name: str) -> Decimal:
        return self._rounded(name, self.mid(name) - Decimal(INSTRUMENTS[name].spread) / 2)

    def ask(self, name: str) -> Decimal:
        return self._rounded(name, self.mid(name) + Decimal(INSTRUMENTS[name].spread) / 2)

    def _rounded(self, name: str, price: Decimal) -> Decimal:
        return price.quantize(Decimal(1).scaleb(-INSTRUMENTS[name].digits))

    def rate(self, currency: str, home: str) -> Decimal:
        """What a unit of ``currency`` is worth in ``home``, directly or through the dollar."""
        if currency == home:
            return Decimal(1)
        if f"{currency}_{home}" in INSTRUMENTS:
            return self.mid(f"{currency}_{home}")
        if f"{home}_{currency}" in INSTRUMENTS:
            return 1 / self.mid(f"{home}_{currency}")
        return self.rate(currency, "USD") * self.rate("USD", home)

    def price(self, name: str) -> dict[str, object]:
        now = stamp(self.now())
        bid, ask = str(self.bid(name)), str(self.ask(name))
        return {
            "type": "PRICE",
            "instrument": name,
            "time": now,
            "status": "tradeable" if self.tradeable else "non-tradeable",
            "tradeable": self.tradeable,
            "bids": [{"price": bid, "liquidity": 10_000_000}],
            "asks": [{"price": ask, "liquidity": 10_000_000}],
            "closeoutBid": bid,
            "closeoutAsk": ask,
        }

    # candles

    def candles(
        self,
        name: str,
        granularity: str,
        *,
        count: int,
        first: datetime | None,
        last: datetime | None,
        include_first: bool,
        hour: int,
        zone: ZoneInfo,
    ) -> list[dict[str, object]]:
        """``count`` candles from ``first`` on, or the last ones before ``last``, or all between them."""
        grid = Grid(MINUTES[granularity], hour, zone)
        window = timedelta(minutes=MINUTES[granularity]) * count if self.windowed else None
        found: list[tuple[datetime, datetime]] = []
        if first is not None:
            until = min(last or self.now(), self.now())
            if window is not None:
                until = min(until, first + window)
            periods = grid.from_(max(first, self.began))
            for opens, closes in periods:
                if opens >= until or len(found) == count:
                    break
                if (include_first or opens > first) and self._traded(granularity, opens, closes):
                    found.append((opens, closes))
        else:
            end = last or self.now()
            for opens, closes in grid.back_from(end):
                begun = window is not None and opens < end - window
                if opens < self.began or begun or len(found) == count:
                    break
                if opens < end and self._traded(granularity, opens, closes):
                    found.append((opens, closes))
            found.reverse()
        return [self._candle(name, opens, closes) for opens, closes in found]

    def _traded(self, granularity: str, opens: datetime, closes: datetime) -> bool:
        if granularity == "M1" and int(opens.timestamp() // 60) * 2_654_435_761 % 100 < QUIET:
            return False
        # Openings and closings fall on full hours, so that every hour of a bar tells.
        step = timedelta(hours=1)
        at = opens
        while at < closes:
            if self.is_open(at):
                return True
            at += step
        return False

    def _candle(self, name: str, opens: datetime, closes: datetime) -> dict[str, object]:
        now = self.now()
        seen = [self.wave(name, opens + (closes - opens) * part / 4) for part in range(5)]
        digits = INSTRUMENTS[name].digits
        o, h, low, c = (format(value, f".{digits}f") for value in (seen[0], max(seen), min(seen), seen[-1]))
        return {
            "complete": closes + self.late <= now,
            "volume": 50 + int(opens.timestamp() // 60) % 400,
            "time": stamp(opens),
            "mid": {"o": o, "h": h, "l": low, "c": c},
        }


@dataclass(frozen=True, slots=True)
class Grid:
    """Where candles of ``minutes`` begin: up to an hour on the clock, longer ones counted from ``hour`` in ``zone``."""

    minutes: int
    hour: int
    zone: ZoneInfo

    def from_(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Periods from the one that holds ``at`` on."""
        day = self._day(at)
        while True:
            for opens, closes in self._of_day(day):
                if closes > at:
                    yield opens, closes
            day = self._next(day)

    def back_from(self, at: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Periods from the one that holds ``at`` back."""
        day = self._day(at)
        while True:
            for opens, closes in reversed(list(self._of_day(day))):
                if opens <= at:
                    yield opens, closes
            day = self._day(day - timedelta(hours=1))

    def _day(self, at: datetime) -> datetime:
        """When the day that holds ``at`` began."""
        here = at.astimezone(self.zone)
        date = here.date() if here.hour >= self.hour else here.date() - timedelta(days=1)
        return datetime(date.year, date.month, date.day, self.hour, tzinfo=self.zone).astimezone(UTC)

    def _next(self, day: datetime) -> datetime:
        return self._day(day + timedelta(hours=26))

    def _of_day(self, day: datetime) -> Iterator[tuple[datetime, datetime]]:
        ends, step = self._next(day), timedelta(minutes=self.minutes)
        opens = day
        while opens < ends:
            closes = ends if self.minutes == MINUTES["D"] else min(opens + step, ends)
            yield opens, closes
            opens = closes


def stamp(at: datetime) -> str:
    """RFC 3339 with nine digits."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
