"""Made-up series for the analysis tests: seeded walks, and bars from closes."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.market import Candles

START_MS = 1_609_459_200_000  # 2021-01-01T00:00:00Z, the open of a bar in every timeframe


def bars_from(
    closes: Sequence[float],
    *,
    timeframe: Timeframe = Timeframe.H1,
    symbol: str = "BTCUSD",
    spread: float = 0.003,
    start: int = START_MS,
) -> Candles:
    """Bars that open where the last one closed, with wicks of ``spread`` on both sides."""
    opens = [closes[0], *closes[:-1]] if closes else []
    return Candles.of(
        Asset.parse(symbol),
        timeframe,
        "test",
        time=[start + i * timeframe.milliseconds for i in range(len(closes))],
        open=opens,
        high=[max(pair) * (1 + spread) for pair in zip(opens, closes, strict=True)],
        low=[min(pair) * (1 - spread) for pair in zip(opens, closes, strict=True)],
        close=closes,
        volume=[1.0 + i % 7 for i in range(len(closes))],
    )


def walk_of(
    bars: int, *, seed: int = 1, start: float = 100.0, volatility: float = 0.01, drift: float = 0.0
) -> list[float]:
    """Closes of a geometric random walk."""
    chance = random.Random(seed)
    closes = [start]
    while len(closes) < bars:
        closes.append(closes[-1] * math.exp(drift + chance.gauss(0.0, volatility)))
    return closes[:bars]
