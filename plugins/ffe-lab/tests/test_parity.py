"""A backtest beside the live engine: the same decisions, rulings, fills and equity, over real bars.

The engine is stepped by a clock that goes from close to close, on a source that knows what had happened by then and
whose quote is the opening price of the bar that begins now. It decides, executes on paper, and is shown each bar.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from ffe_lab.backtest import run
from ffe_lab.lab import Lab
from ffe_lab.market import Market
from ffe_lab.trades import EXIT_REASONS

from ffe_core import Asset, Candles, Effect, NoData, Quote, SafetyRefusal, Timeframe, from_ms, to_ms
from ffe_core.engine import Engine
from ffe_core.engine.marking import catch_up
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import Settings, load_settings

BARS = 500


@dataclass
class ReplayClock:
    instant: datetime

    def now(self) -> datetime:
        return self.instant


@dataclass
class Replay:
    """The bars of a market as they come to be known; the quote is the open of the bar that begins now."""

    name: str
    candles_: Candles
    clock: ReplayClock
    opens: dict[int, float] = field(init=False)

    def __post_init__(self) -> None:
        self.opens = dict(zip(self.candles_.time.tolist(), self.candles_.open.tolist(), strict=True))

    def serves(self, asset: Asset) -> bool:
        return asset.symbol == self.candles_.asset.symbol

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        if timeframe is not self.candles_.timeframe:
            raise NoData(f"no {timeframe} bars here")
        held = self.candles_.between(start, min(end or self.clock.now(), self.clock.now()))
        return held if limit is None else held.tail(limit)

    def quote(self, asset: Asset) -> Quote:
        now = to_ms(self.clock.now())
        if now not in self.opens:
            raise NoData("no bar begins now")
        price = Decimal(repr(self.opens[now]))
        return Quote(asset, price, price, self.clock.now(), self.name)


@dataclass
class Stepped:
    """What the engine did, in the terms of a backtest."""

    actions: list[tuple[int, str, int]] = field(default_factory=list)
    rulings: dict[int, list[tuple[str, str]]] = field(default_factory=dict)
    equity: list[float] = field(default_factory=list)
    fills: list[tuple[str, Decimal, Decimal, Decimal]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


def step_through(home: Path, candles: Candles, first: int, end: int, providers: tuple[str, ...]) -> Stepped:
    clock = ReplayClock(from_ms(candles.time[first]))
    settings: Settings = load_settings(
        env={"FFE_HOME": str(home), "FFE_DATA__SOURCES": "replay", "FFE_DATA__CACHE_TTL": "0"}
    )
    registry = load_plugins(settings, clock=clock)
    registry.offer("source", "replay", Offer("test", Replay("replay", candles, clock)))
    done = Stepped()
    asset = candles.asset
    with Engine(settings, registry, clock=clock) as engine:
        trading = engine.trading()
        for bar in range(first, end):
            clock.instant = from_ms(candles.close_time(bar))
            catch_up(engine, synthetic=False)
            decision = engine.analyze(asset, providers=providers)
            paper = engine.trading_platform(synthetic=False).portfolio()
            assert paper.equity is not None
            done.equity.append(float(paper.equity))
            done.actions.append((bar, str(decision.action), decision.confidence))
            if decision.effect.is_entry or decision.vetoed:
                done.rulings[bar] = [(one.rule, str(one.outcome)) for one in decision.rulings]
            if decision.effect is Effect.NONE or bar + 1 >= end:
                continue
            opens = from_ms(candles.time[bar + 1])
            if decision.effect.is_exit:
                # A way out waits for the market to open; a way in that waited would be another decision.
                clock.instant = max(clock.instant, opens)
            elif opens != clock.instant:
                continue
            try:
                trading.execute(decision.id)
            except SafetyRefusal:
                continue
        fills = trading.journal.fills()
        done.fills = [(str(one.side), one.quantity, one.price, one.fee) for one in fills]
        done.reasons = [
            one.exit_reason for one in engine.store.outcomes(until=clock.now(), limit=10_000, synthetic=False)
        ]
    return done


def real(real_data: Path, asset: str) -> Candles:
    """Hourly bars of the folder of real candles, under the name of the source that replays them."""
    settings = load_settings(
        env={"FFE_HOME": "/nonexistent", "FFE_PLUGINS__FILES__PATH": str(real_data), "FFE_DATA__SOURCES": "files"}
    )
    lab = Lab.from_settings(settings)
    span = lab.market(Asset.parse(asset), Timeframe.H1, end=datetime(2023, 12, 29, tzinfo=UTC))
    return replace(span.candles, source="replay")


CASES = [
    ("BTCUSD", datetime(2021, 5, 10, tzinfo=UTC), ()),
    ("ETHUSD", datetime(2022, 6, 6, tzinfo=UTC), ()),
    # Four weeks in which first New York and then London change their clocks. The usual panel is silent about so quiet
    # a market, a crossing of means is not.
    ("EURUSD", datetime(2022, 3, 7, tzinfo=UTC), ("sma_cross",)),
]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("name", "start", "providers"), CASES, ids=[case[0] for case in CASES])
def test_a_backtest_does_what_the_engine_does(
    tmp_path: Path, real_data: Path, name: str, start: datetime, providers: tuple[str, ...]
) -> None:
    candles = real(real_data, name)
    first = bisect_left(candles.time, to_ms(start))
    end = first + BARS
    held = candles.slice(0, end)
    stepped = step_through(tmp_path / "live", held, first, end, providers)
    lab = Lab.from_settings(load_settings(env={"FFE_HOME": str(tmp_path / "lab")}))
    made = run(lab, Market(held, first), providers or "ensemble", lab.setup())

    called = {1: "BUY", -1: "SELL", 0: "HOLD"}
    vetoed = {one.bar for one in made.simulation.judged if one.refused and one.refused != "below_threshold"}
    for bar, action, confidence in stepped.actions:
        ours = called[int(made.calls.action[bar])]
        if bar in vetoed:
            continue
        assert (bar, action) == (bar, ours)
        if action != "HOLD":
            assert confidence == int(made.calls.confidence[bar])
    judged = {one.bar: [(each.rule, str(each.outcome)) for each in one.rulings] for one in made.simulation.judged}
    assert judged == {bar: rulings for bar, rulings in stepped.rulings.items() if bar in judged}
    assert set(judged) == set(stepped.rulings) - {end - 1}

    trades = made.trades
    closed = trades.reason != EXIT_REASONS.index("open_at_end")
    assert len(stepped.fills) == len(trades) + int(closed.sum())
    assert len(trades) >= 5
    entries = [fill for fill in stepped.fills if fill[0] == "BUY"]
    exits = [fill for fill in stepped.fills if fill[0] == "SELL"]
    assert [float(fill[1]) for fill in entries] == pytest.approx(trades.quantity.tolist(), rel=1e-9)
    assert [float(fill[2]) for fill in entries] == pytest.approx(trades.entry_price.tolist(), rel=1e-9)
    assert [float(fill[2]) for fill in exits] == pytest.approx(trades.exit_price[closed].tolist(), rel=1e-9)
    assert np.allclose(stepped.equity, made.equity, rtol=1e-9, atol=0.0)
