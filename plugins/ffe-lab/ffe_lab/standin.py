"""Stand-ins for tests of models in experiments: one that counts its questions, and a market that was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ffe_core import Action, Asset, Briefing, Candles, NoData, Opinion, ProviderFailed, Timeframe
from ffe_core.ai.cassette import Tape
from ffe_core.domain.clock import SystemClock
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import load_settings
from ffe_lab.interview import Interview
from ffe_lab.lab import Lab

BTC = Asset.parse("BTCUSD")


@dataclass
class Counting:
    """Buys, sells or holds by the last digits of the price, and remembers when it was asked."""

    name: str = "counting"
    model: str = "counting-1"
    local: bool = False
    asked: list[datetime] = field(default_factory=list)
    #: questions after which it raises, and what
    fails_after: int | None = None
    error: BaseException = field(default_factory=lambda: ProviderFailed("out of order"))

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            raise self.error
        self.asked.append(briefing.as_of)
        last = round(briefing.market.price * 1000)
        action = (Action.BUY, Action.SELL, Action.HOLD)[last % 3]
        return Opinion(
            self.name, self.model, action, 60 + last % 40, "by the last digits", tokens_in=100, tokens_out=10,
            prompt="asked", raw_reply="{}", latency_ms=1.0 + len(self.asked),
        )  # fmt: skip


@dataclass(frozen=True)
class Bars:
    """A source of bars of one asset that were given to it, in whatever timeframes."""

    name: str
    frames: Mapping[Timeframe, Candles]

    def serves(self, asset: Asset) -> bool:
        return any(asset.symbol == held.asset.symbol for held in self.frames.values())

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        if timeframe not in self.frames:
            raise NoData(f"no {timeframe} bars here")
        held = self.frames[timeframe].between(start, end)
        if not len(held):
            raise NoData("nothing in that span")
        return held if limit is None else held.tail(limit)


def bench(home: Path, bars: Bars | tuple[Bars, ...], *models: Counting, **variables: str) -> Lab:
    """A bench of a newcomer but for ``variables``, with other sources and other providers."""
    sources = bars if isinstance(bars, tuple) else (bars,)
    names = ",".join(source.name for source in sources)
    settings = load_settings(env={"FFE_HOME": str(home), "FFE_DATA__SOURCES": names, **variables})
    registry = load_plugins(settings, clock=SystemClock())
    for source in sources:
        registry.offer("source", source.name, Offer("tests", source))
    for model in models:
        registry.offer("provider", model.name, Offer("tests", model))
    return Lab(Engine(settings, registry))


def taped(lab: Lab, tape: Tape | None, folder: Path) -> Lab:
    """The bench of another process: the same settings and plugins, and a cassette that begins at its first line."""
    return Lab(Engine(lab.settings, lab.engine.registry), Interview(tape, folder))
