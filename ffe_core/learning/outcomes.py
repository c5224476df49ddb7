"""What came of decisions: the return over their horizon, net of costs, beside what always buying would have made."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from ffe_core.domain.assets import AssetKind, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Action, Costs

#: Fewer scored decisions than this say nothing about the rest.
ENOUGH = 30
# The 97.5 % point of the normal distribution.
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class ForwardReturn:
    """Returns over a horizon as fractions of the price at the decision, before and after a round trip's costs.

    ``gross`` and ``net`` are signed by the action and ``None`` for HOLD; ``long_gross`` and ``long_net`` are what
    buying would have made over the same bars. ``resolved_at`` is when the last bar closed (UTC).
    """

    resolved_at: datetime
    exit_price: float
    gross: float | None
    net: float | None
    long_gross: float
    long_net: float

    @property
    def cost(self) -> float:
        """Of the round trip, a fraction."""
        return self.long_gross - self.long_net


@dataclass(frozen=True, slots=True)
class Scored:
    """One call of a direction with its returns as fractions, beside those of buying over the same bars."""

    asset_pair: str
    as_of: datetime
    resolved_at: datetime
    gross: float
    net: float
    long_gross: float
    long_net: float

    @classmethod
    def of(cls, asset_pair: str, as_of: datetime, forward: ForwardReturn) -> Self:
        """Raises ``ValueError`` for a HOLD, which claims no direction."""
        if forward.gross is None or forward.net is None:
            raise ValueError(f"a HOLD of {asset_pair} has no direction to score")
        return cls(
            asset_pair, as_of, forward.resolved_at, forward.gross, forward.net, forward.long_gross, forward.long_net
        )


@dataclass(frozen=True, slots=True)
class Scoreboard:
    """The headline of many scored decisions; everything but the counts is ``None`` below ``ENOUGH`` of them.

    A hit is a decision whose net return is above zero. ``base_rate`` and ``base_net`` are the hit rate and mean net
    return of always buying at the same decisions, ``share_up`` how often the price rose. ``independent`` counts
    decisions whose horizons do not overlap; ``hit_interval`` is the Wilson 95 % interval for that many.
    """

    scored: int
    independent: int
    hit_rate: float | None
    hit_interval: tuple[float, float] | None
    mean_gross: float | None
    mean_net: float | None
    base_rate: float | None
    base_net: float | None
    share_up: float | None


def forward_return(
    action: Action,
    as_of: datetime,
    price: float,
    *,
    horizon: int,
    timeframe: Timeframe,
    candles: Candles,
    costs: Costs,
) -> ForwardReturn | None:
    """From ``price`` to the close of the ``horizon``-th bar that closes after ``as_of``; ``None`` until it is there.

    ``candles`` are complete bars of ``timeframe`` that reach back to ``as_of``; hours in which the market is closed
    have no bars and do not count. A round trip costs fee and slippage on the way in and, on the price then, on the
    way out; the fixed commission depends on the size and is left out. Raises ``ValueError`` for other candles.
    """
    if candles.timeframe is not timeframe:
        raise ValueError(f"candles of {candles.timeframe} cannot score a decision on {timeframe}")
    if price <= 0:
        raise ValueError(f"price {price} is not above zero")
    last = _last_bar(candles, to_ms(as_of), horizon)
    if last is None:
        return None
    move = candles.close[last] / price - 1
    cost = float(costs.fee + costs.slippage) * (2 + move)
    sign = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}[action]
    return ForwardReturn(
        from_ms(candles.close_time(last)),
        candles.close[last],
        sign * move if sign else None,
        sign * move - cost if sign else None,
        move,
        move - cost,
    )


def _last_bar(candles: Candles, as_of_ms: int, horizon: int) -> int | None:
    """The position of the ``horizon``-th bar that was not complete yet; ``None`` where data do not reach it."""
    first = bisect_right(candles.time, as_of_ms)
    while first and candles.close_time(first - 1) > as_of_ms:
        first -= 1
    last = first + horizon - 1
    if last >= len(candles):
        return None
    length = candles.timeframe.milliseconds
    # Data that begin later, or a hole in a market that never closes, would score other bars than those that followed.
    if first == 0 and candles.time[0] >= as_of_ms + length:
        return None
    opened = candles.timeframe.open_of(as_of_ms, candles.asset.kind)
    if candles.asset.kind is AssetKind.CRYPTO and candles.close_time(last) != opened + horizon * length:
        return None
    return last


def scoreboard(scored: Iterable[Scored]) -> Scoreboard:
    """Sums up directional calls."""
    rows = list(scored)
    nets = [row.net for row in rows]
    independent = independent_of((row.asset_pair, row.as_of, row.resolved_at) for row in rows)
    if len(rows) < ENOUGH:
        return Scoreboard(len(rows), independent, None, None, None, None, None, None, None)
    longs = [row.long_net for row in rows]
    hit_rate = _share_above_zero(nets)
    return Scoreboard(
        len(rows),
        independent,
        hit_rate,
        wilson(hit_rate, independent),
        _mean([row.gross for row in rows]),
        _mean(nets),
        _share_above_zero(longs),
        _mean(longs),
        _share_above_zero([row.long_gross for row in rows]),
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % score interval of a share seen in ``count`` trials (Wilson 1927, J. Am. Stat. Assoc. 22:209)."""
    if count < 1:
        raise ValueError("an interval needs a trial")
    squared = _Z95**2
    middle = share + squared / (2 * count)
    half = _Z95 * math.sqrt(share * (1 - share) / count + squared / (4 * count**2))
    scale = 1 + squared / count
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)


def independent_of(spans: Iterable[tuple[str, datetime, datetime]]) -> int:
    """How many spans (asset, from, to) follow one another without sharing a bar, asset by asset: the most there are."""
    count = 0
    free_from: dict[str, datetime] = {}
    for asset, begun, ended in sorted(spans, key=lambda span: (span[2], span[1])):
        if asset not in free_from or begun >= free_from[asset]:
            count += 1
            free_from[asset] = ended
    return count


def _share_above_zero(values: Sequence[float]) -> float:
    return sum(value > 0 for value in values) / len(values)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
