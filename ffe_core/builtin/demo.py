"""Built-in source: an invented market for any asset, so that everything can be tried without a key or a network.

Every bar is a pure function of (seed, asset, time): whoever asks for any window at any date gets the same bars, at a
cost that depends on the window alone. So nothing is summed from an origin. Time is cut into eras of 512 days. Where an
era begins and ends is drawn around the pair's level, which keeps prices realistic for a century; inside it daily
returns follow a stochastic volatility with three regimes (calm, normal, turbulent) and Student-t jumps, pulled to the
era's end as a Brownian bridge in proportion to the variance that has passed. A day's extremes are those of a bridge
between its open and close (inverse of the distribution of a Brownian bridge's maximum), and each bar is then split
into shorter ones in the same way, hours to half-hours down to minutes. One part attains the high, one the low, and
volumes are shared out in whole units, so that minutes add up to every longer bar exactly.

Everything is counted in whole ticks; prices are ticks over a power of ten. Forex has week-ends and days that end at
17:00 New York, stocks have half-hours in New York's session, everything else trades always in days of UTC. Pairs are
invented one by one: EURUSD and USDJPY do not multiply to EURJPY, and there are no holidays.

``DIPUSD``, a coin that does not exist, is there to be bought: it slides by about 3.5 % a day for eight weeks and wins
all of it back on the last day. So the rules ``local`` (fallen by more than 2 % in 24 hours) and ``rsi_reversion`` (RSI
under 30) agree on BUY against ``trend_adx`` at nine instants in ten, whatever the seed, and a newcomer has an entry
to execute.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import accumulate
from random import Random
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from ffe_core import Asset, AssetKind, Candles, Clock, DataSource, Holding, NoData, PluginContext, Timeframe, hookimpl
from ffe_core.builtin.demo_pairs import WELL_KNOWN, Pair, pair_of

DEFAULT_BARS = 500

_MINUTE = 60_000
_HOUR = 3_600_000
_DAY = 86_400_000
_ERA = 512
_SATURDAY = 5

#: days since 1970 between which there is a market: 1900 to 2200
_FIRST_DAY, _END_DAY = -25_567, 84_006

#: (daily volatility against the pair's own, share of days on which the regime ends)
_REGIMES = ((0.55, 0.03), (1.0, 0.04), (1.9, 0.10))
_NEXT_REGIME = ((1, 1, 1, 2), (0, 0, 2, 2), (1, 1, 1, 0))
_JUMP_CHANCE, _JUMP_SCALE = 0.02, 1.6
#: how much more a sliding pair moves within a day than its closes tell
_SLIDING_SWING = 2.5

#: how one bar is split: parts of a half-hour, quarter, five minutes, minute
_SPLITS = ((30 * _MINUTE, 2), (15 * _MINUTE, 2), (5 * _MINUTE, 3), (_MINUTE, 5))

#: variance = range squared / (4 ln 2), Parkinson 1980: a bar's range tells its parts how restless they are. A little
#: less than that, because the range of a part is drawn anew at each split, and its mean square is above its mean's.
_RANGE_TO_DEVIATION = 0.93 / math.sqrt(4 * math.log(2))


class Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=7, description="another number is another market; DIPUSD slides in each")


class Bar(NamedTuple):
    """``time`` is the open in epoch milliseconds, prices are ticks, volume is whole units."""

    time: int
    open: int
    high: int
    low: int
    close: int
    volume: int


@dataclass(frozen=True, slots=True)
class Market:
    """What all bars of an asset depend on."""

    seed: int
    symbol: str
    kind: AssetKind

    def draw(self, what: str, number: int) -> Random:
        """Chance of its own for a part of the market: the same wherever and whenever it is asked."""
        return Random(f"{self.seed}|{self.symbol}|{self.kind.value}|{what}|{number}")

    @property
    def pair(self) -> Pair:
        return pair_of(self.symbol, self.kind)

    def trades_on(self, day: int) -> bool:
        # 1 January 1970 was a Thursday.
        return self.kind not in (AssetKind.FOREX, AssetKind.STOCK) or (day + 3) % 7 < _SATURDAY

    def label_of(self, day: int) -> int:
        """Open of the daily bar of a UTC (forex: New York) date, numbered from 1970."""
        return Timeframe.D1.open_of(day * _DAY, self.kind) if self.kind is AssetKind.FOREX else day * _DAY

    def day_at(self, at: int) -> int:
        """The day whose bar holds the instant ``at``."""
        return (Timeframe.D1.open_of(at, self.kind) + _DAY // 2) // _DAY if self.kind is AssetKind.FOREX else at // _DAY

    @property
    def part(self) -> int:
        """Length of the parts that a day consists of: hours, for stocks half-hours from 09:30 New York."""
        return 30 * _MINUTE if self.kind is AssetKind.STOCK else _HOUR


@dataclass(frozen=True, slots=True)
class DemoSource:
    """Synthetic candles of whatever is asked for."""

    clock: Clock
    seed: int = 7
    name: str = "demo"

    def serves(self, asset: Asset) -> bool:
        return True

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        """Without ``end``: the bars that are complete now. Without ``start`` and ``limit``: the last 500."""
        market = Market(self.seed, asset.symbol, asset.kind)
        until = end or self.clock.now()
        count = DEFAULT_BARS if limit is None and start is None else limit
        bars = list(window(market, timeframe, None if start is None else _ms(start), _ms(until), count))
        made = _series(asset, timeframe, self.name, market.pair, bars)
        if end is None:
            made = made.as_of(until)
        if not len(made):
            raise NoData(
                f"demo has no {timeframe} bars of {asset} in that span: the market was closed, or not yet made"
            )
        return made

    def holdings(self) -> Sequence[Holding]:
        origin = f"synthetic, seed {self.seed}; any other asset too"
        return [Holding(Asset.parse(name), Timeframe.M1, None, None, None, origin) for name in WELL_KNOWN]


def window(market: Market, timeframe: Timeframe, start: int | None, end: int, limit: int | None) -> list[Bar]:
    """Bars that open in ``[start, end)``, at most the last ``limit``; stamps in epoch milliseconds."""
    if (limit is not None and limit <= 0) or (start is not None and start >= end):
        return []
    made = (
        _days(market, start, end, limit)
        if timeframe is Timeframe.D1
        else _intraday(market, timeframe, start, end, limit)
    )
    kept = [bar for bar in made if bar.time < end and (start is None or bar.time >= start)]
    return kept if limit is None else kept[-limit:]


def _days(market: Market, start: int | None, end: int, limit: int | None) -> list[Bar]:
    made: list[Bar] = []
    for day in _back_from(market, start, end):
        bar = day_bar(market, day)
        if bar.time < end:
            made.append(bar)
        if limit is not None and len(made) >= limit:
            break
    return made[::-1]


def _intraday(market: Market, timeframe: Timeframe, start: int | None, end: int, limit: int | None) -> list[Bar]:
    length = timeframe.milliseconds
    parts = _parts(market, start, end, length, limit)
    if length < market.part:
        return [bar for part in parts for bar in shorter(market, part, length)]
    if length == market.part:
        return parts
    grouped = list(_longer(parts, length))
    # Where only a count bounded the walk, the oldest bar may lack its first parts.
    return grouped if limit is None else grouped[-limit:]


def _parts(market: Market, start: int | None, end: int, length: int, limit: int | None) -> list[Bar]:
    """The hours (half-hours) that bars of ``length`` in the span are made of, oldest first."""
    step = max(length, market.part)
    first = None if start is None else start - start % step
    wanted = None if limit is None else (limit + 2) * length // market.part + 2
    made: list[Bar] = []
    for day in _back_from(market, first, end):
        for part in reversed(day_parts(market, day)):
            if first is not None and part.time < first:
                return made[::-1]
            if part.time - part.time % length < end:
                made.append(part)
            if wanted is not None and len(made) >= wanted:
                return made[::-1]
    return made[::-1]


def _back_from(market: Market, start: int | None, end: int) -> Iterator[int]:
    """Trading days that may have a part in the span, newest first; a bar on the UTC grid may reach into the next."""
    last = market.day_at(end) + 1
    first = _FIRST_DAY if start is None else market.day_at(start)
    for day in range(min(last, _END_DAY - 1), max(first, _FIRST_DAY) - 1, -1):
        if market.trades_on(day):
            yield day


def _longer(parts: Sequence[Bar], length: int) -> Iterator[Bar]:
    group: list[Bar] = []
    for part in parts:
        if group and part.time // length != group[0].time // length:
            yield _joined(group, length)
            group = []
        group.append(part)
    if group:
        yield _joined(group, length)


def _joined(bars: Sequence[Bar], length: int) -> Bar:
    return Bar(
        bars[0].time - bars[0].time % length,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
    )


def day_bar(market: Market, day: int) -> Bar:
    return _era(market, day // _ERA)[day % _ERA]._replace(time=market.label_of(day))


@lru_cache(maxsize=64)
def _era(market: Market, era: int) -> tuple[Bar, ...]:
    """The bars of an era's calendar days, not yet stamped; what a closed day moved is the gap that follows it."""
    pair, chance = market.pair, market.draw("era", era)
    deviations = _deviations(market, era, chance)
    path = _path(market, era, deviations, chance)
    bars = []
    for index, deviation in enumerate(deviations):
        opened = path[index] + (0.35 * deviation * _normal(chance) if market.kind is AssetKind.STOCK else 0.0)
        closed = path[index + 1]
        swing = deviation * (_SLIDING_SWING if pair.slide else 1)
        high = _bridge_peak(opened, closed, swing, 1, chance)
        low = _bridge_peak(opened, closed, swing, -1, chance)
        volume = (
            pair.daily_volume
            * math.exp(0.25 * _normal(chance))
            * (0.4 + 0.6 * (high - low) / (1.6 * pair.volatility + pair.slide))
        )
        first, top, bottom, last = (pair.ticks(math.exp(value)) for value in (opened, high, low, closed))
        bars.append(Bar(0, first, top, bottom, last, max(1, round(volume))))
    return tuple(bars)


def _path(market: Market, era: int, deviations: Sequence[float], chance: Random) -> list[float]:
    """Log prices at the ends of the era's days: a walk, bent to end where the next era begins."""
    walk, passed = [0.0], [0.0]
    for deviation in deviations:
        step = deviation * _normal(chance)
        if chance.random() < _JUMP_CHANCE:
            step += _JUMP_SCALE * deviation * _student(chance)
        walk.append(walk[-1] + step)
        passed.append(passed[-1] + deviation * deviation)
    begins, ends = _anchor(market, era), _anchor(market, era + 1)
    bend = (ends - begins - walk[-1]) / passed[-1]
    drifts = map(market.pair.drift, range(era * _ERA, (era + 1) * _ERA + 1))
    return [begins + value + bend * share + drift for value, share, drift in zip(walk, passed, drifts, strict=True)]


def _anchor(market: Market, era: int) -> float:
    pair = market.pair
    spread = max(-2.0, min(2.0, _normal(market.draw("anchor", era))))
    return math.log(pair.level) + 0.35 * pair.volatility * math.sqrt(_ERA) * spread


def _deviations(market: Market, era: int, chance: Random) -> list[float]:
    """Standard deviation of each day's log return: a regime that lasts, and a volatility that wanders within it."""
    regime, wander, made, usual = 1, 0.0, [], market.pair.volatility
    if market.pair.slide:
        # A slide that paused in every restless week would not be there on the day that somebody looks.
        return [usual] * _ERA
    for day in range(era * _ERA, (era + 1) * _ERA):
        level, ends = _REGIMES[regime]
        wander = 0.92 * wander + 0.12 * _normal(chance)
        made.append(usual * level * math.exp(wander) * _weekend_share(market, day))
        if chance.random() < ends:
            regime = _NEXT_REGIME[regime][int(chance.random() * 4)]
    return made


def _weekend_share(market: Market, day: int) -> float:
    if not market.trades_on(day):
        return 0.15
    return 0.75 if market.kind is AssetKind.CRYPTO and (day + 3) % 7 >= _SATURDAY else 1.0


@lru_cache(maxsize=2048)
def day_parts(market: Market, day: int) -> tuple[Bar, ...]:
    """The hours (half-hours) of a trading day, oldest first."""
    bar = day_bar(market, day)
    weights = _activity(market)
    if market.kind is AssetKind.STOCK:
        begins = Timeframe.D1.close_of(bar.time, market.kind) - len(weights) * market.part
    else:
        begins = bar.time
        shift = begins // _HOUR % 24
        weights = weights[shift:] + weights[:shift]
    return tuple(_split(market.pair, bar._replace(time=begins), market.part, weights, market.draw("day", day)))


def _activity(market: Market) -> tuple[float, ...]:
    """Share of a day's movement by part: forex by the hours of London and New York, stocks busiest at both ends."""
    if market.kind is AssetKind.STOCK:
        return tuple(0.6 + ((part - 6) / 6) ** 2 for part in range(13))
    if market.kind is AssetKind.FOREX:
        return tuple(1.7 if 12 <= hour < 17 else 1.2 if 7 <= hour < 20 else 0.5 for hour in range(24))
    return tuple(1.3 if 13 <= hour < 21 else 0.85 for hour in range(24))


def shorter(market: Market, part: Bar, length: int) -> list[Bar]:
    """The bars of ``length`` milliseconds that an hour (half-hour) consists of."""
    chance, bars = market.draw("part", part.time), [part]
    for step, parts in _SPLITS:
        if step >= market.part:
            continue
        even = (1.0,) * parts
        bars = [piece for bar in bars for piece in _split(market.pair, bar, step, even, chance)]
        if step == length:
            break
    return bars


def _split(pair: Pair, bar: Bar, length: int, weights: Sequence[float], chance: Random) -> list[Bar]:
    """``bar`` in parts of ``length``: a bridge from its open to its close, kept inside its range, that fills it."""
    roots, shares = _roots_and_shares(tuple(weights))
    deviation = _sliding_deviation(bar) if pair.slide else (bar.high - bar.low) * _RANGE_TO_DEVIATION
    ends = _bridge(bar, deviation, roots, shares, chance)
    highs, lows = _extremes(bar, ends, [deviation * root for root in roots], chance)
    volumes = _shared_out(bar.volume, [weight * (0.5 + chance.random()) for weight in weights])
    times = range(bar.time, bar.time + len(weights) * length, length)
    return list(map(Bar, times, ends, highs, lows, ends[1:], volumes))


def _sliding_deviation(bar: Bar) -> float:
    """Restlessness apart from the move from open to close, which would make most of a sliding bar's range.

    Rogers and Satchell 1991: variance = (high - close)(high - open) + (low - close)(low - open), whatever the drift.
    """
    above = (bar.high - bar.close) * (bar.high - bar.open)
    below = (bar.low - bar.close) * (bar.low - bar.open)
    return math.sqrt(above + below)


@lru_cache(maxsize=32)
def _roots_and_shares(weights: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """For each part the root of its share of the variance, and the share that has passed when it ends."""
    total = sum(weights)
    roots = tuple(math.sqrt(weight / total) for weight in weights)
    return roots, tuple(passed / total for passed in accumulate(weights))


def _bridge(bar: Bar, deviation: float, roots: Sequence[float], shares: Sequence[float], chance: Random) -> list[int]:
    """Ticks at the ends of the parts, from the bar's open to its close."""
    draw, height, walk = chance.random, 0.0, []
    for root in roots:
        # Three uniform numbers are near enough to a normal one for a step inside a bar, and much cheaper.
        height += root * (draw() + draw() + draw() - 1.5)
        walk.append(2 * deviation * height)
    bend = bar.close - bar.open - walk[-1]
    inner = [round(bar.open + value + bend * share) for value, share in zip(walk[:-1], shares[:-1], strict=True)]
    return [bar.open, *(_folded(value, bar.low, bar.high) for value in inner), bar.close]


def _extremes(
    bar: Bar, ends: Sequence[int], deviations: Sequence[float], chance: Random
) -> tuple[list[int], list[int]]:
    """Highs and lows of the parts, within the bar's; one part attains each of the two."""
    highs, lows = [], []
    for opened, closed, deviation in zip(ends[:-1], ends[1:], deviations, strict=True):
        highs.append(min(bar.high, round(_bridge_peak(opened, closed, deviation, 1, chance))))
        lows.append(max(bar.low, round(_bridge_peak(opened, closed, deviation, -1, chance))))
    highs[highs.index(max(highs))] = bar.high
    lows[lows.index(min(lows))] = bar.low
    return highs, lows


def _folded(value: int, low: int, high: int) -> int:
    """``value`` mirrored into ``[low, high]``: a path that would leave the range turns back at its edge."""
    if low <= value <= high:
        return value
    mirrored = 2 * (high if value > high else low) - value
    return min(high, max(low, mirrored))


def _bridge_peak(opened: float, closed: float, deviation: float, side: int, chance: Random) -> float:
    """Highest (``side`` 1) or lowest (-1) point of a Brownian bridge, by inversion of P(max > m) for one uniform draw.

    P(max > m) = exp(-2 (m - open)(m - close) / variance); Karatzas and Shreve, Brownian Motion, 4.3.40.
    """
    spread = math.sqrt((closed - opened) ** 2 - 2 * deviation * deviation * math.log(1.0 - chance.random()))
    return (opened + closed + side * spread) / 2


def _shared_out(volume: int, weights: Sequence[float]) -> list[int]:
    """Whole units in proportion to ``weights``, without one lost or added."""
    total, passed, given, made = sum(weights), 0.0, 0, []
    for weight in weights[:-1]:
        passed += weight
        upto = int(volume * passed / total)
        made.append(upto - given)
        given = upto
    return [*made, volume - given]


def _normal(chance: Random) -> float:
    # Box and Muller 1958; the library's own gauss() is not promised to stay the same between versions.
    return math.sqrt(-2 * math.log(1.0 - chance.random())) * math.cos(2 * math.pi * chance.random())


def _student(chance: Random) -> float:
    """Student's t with three degrees of freedom."""
    square = sum(_normal(chance) ** 2 for _ in range(3))
    return _normal(chance) / math.sqrt(square / 3)


def _ms(at: datetime) -> int:
    return int(at.timestamp() // 1) * 1000 + at.microsecond // 1000


def _series(asset: Asset, timeframe: Timeframe, source: str, pair: Pair, bars: Sequence[Bar]) -> Candles:
    def prices(ticks: Iterable[int]) -> list[float]:
        return [tick / pair.scale for tick in ticks]

    times, opens, highs, lows, closes, volumes = zip(*bars, strict=True) if bars else ((),) * 6
    return Candles.of(
        asset,
        timeframe,
        source,
        time=times,
        open=prices(opens),
        high=prices(highs),
        low=prices(lows),
        close=prices(closes),
        volume=map(float, volumes),
        synthetic=True,
    )


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return Settings


@hookimpl
def ffe_data_sources(settings: Settings, context: PluginContext) -> Iterable[DataSource]:
    return [DemoSource(context.clock, settings.seed)]
