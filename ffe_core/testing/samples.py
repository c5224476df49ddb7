"""Seeded samples of everything that ports take: the same arguments give the same bytes on every machine."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset, Timeframe
from ffe_core.domain.clock import Clock, FixedClock, from_ms, to_ms
from ffe_core.domain.decisions import Agenda, Ballot, Briefing, Opinion, Proposal, RiskContext, Sizing
from ffe_core.domain.market import (
    Candles,
    Confluence,
    FramePulse,
    Freshness,
    Market,
    MarketStatus,
    Pulse,
    Regime,
    Trend,
    VolatilityClass,
)
from ffe_core.domain.trading import (
    Action,
    Effect,
    Fees,
    Instrument,
    Mode,
    Order,
    Portfolio,
    Position,
    Side,
    TradingState,
)
from ffe_core.hookspecs import PluginContext
from ffe_core.http import Doors
from ffe_core.testing.ledger import MemoryLedgers

#: what risk rules find in their context where nothing is set
RISK_SETTINGS: Mapping[str, Any] = {
    "rules": {
        **dict.fromkeys(
            ("market_hours", "freshness", "drawdown", "daily_loss", "correlation", "var", "leverage"), True
        ),
        **dict.fromkeys(("concentration", "volatility"), True),
        **dict.fromkeys(("stoploss_guard", "cooldown", "low_profit"), False),
    },
    "fail_closed": "live",
    "max_drawdown": 0.05,
    "max_daily_loss": 0.03,
    "timezone": "UTC",
    "max_correlated_assets": 2,
    "correlation_threshold": 0.7,
    "max_var": 0.05,
    "var_confidence": 0.95,
    "max_volatility": 0.05,
    "volatile_confidence": 0.8,
    "on_volatile": "clamp",
    "stoploss_guard": {"stops": 4, "within_hours": 24.0, "lock_hours": 4.0},
    "cooldown": {"bars": 1},
    "low_profit": {"trades": 4, "within_days": 7.0, "lock_hours": 24.0},
    "max_concentration": 0.25,
    "max_leverage": 5.0,
    "entry_agreement": 0.6,
    "decision_timeframe": "1h",
}
NOON = datetime(2024, 3, 6, 12, 0, tzinfo=UTC)
PRICE = 20_000.0


def as_asset(asset: Asset | str) -> Asset:
    return asset if isinstance(asset, Asset) else Asset.parse(asset)


def make_candles(
    asset: Asset | str = "BTCUSD",
    timeframe: Timeframe = Timeframe.H1,
    bars: int = 500,
    *,
    end: datetime = NOON,
    seed: int = 0,
    price: float = PRICE,
    drift: float = 0.0,
    volatility: float = 0.004,
    source: str = "fake",
) -> Candles:
    """A seeded random walk of ``bars`` bars, the last of which is complete at ``end``.

    ``drift`` and ``volatility`` are fractions per bar; ``price`` is the first open. The grid has no gaps, whatever
    the asset. Marked synthetic.
    """
    asset = as_asset(asset)
    last = timeframe.open_of(to_ms(end), asset.kind) - timeframe.milliseconds
    rng = random.Random(f"{asset}|{timeframe}|{seed}")
    rows: list[tuple[int, float, float, float, float, float]] = []
    level = price
    for index in range(bars):
        close = level * (1 + drift + rng.gauss(0, volatility))
        high = max(level, close) * (1 + abs(rng.gauss(0, volatility / 2)))
        low = min(level, close) * (1 - abs(rng.gauss(0, volatility / 2)))
        rows.append((last - (bars - 1 - index) * timeframe.milliseconds, level, high, low, close, rng.uniform(1, 50)))
        level = close
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 6
    time, open_, high_, low_, close_, volume = columns
    return Candles.of(
        asset,
        timeframe,
        source,
        time=time,
        open=open_,
        high=high_,
        low=low_,
        close=close_,
        volume=volume,
        synthetic=True,
        fetched_at=end,
    )


def make_market(
    *, price: float = PRICE, at: datetime = NOON, change: float | None = 0.0, volatility: float | None = 0.02
) -> Market:
    """A fresh, open market at ``price``."""
    return Market(
        source="fake",
        synthetic=True,
        fingerprint="0" * 64,
        freshness=Freshness(True, "fresh", 0.0, "0 s", "fresh"),
        status=MarketStatus(True, "open", None, None),
        price=price,
        change=change,
        volatility=volatility,
        bar_open=price,
        bar_high=price * 1.002,
        bar_low=price * 0.998,
        bar_volume=10.0,
        bar_closed_at=at,
    )


def make_pulse(
    asset: Asset | str = "BTCUSD",
    *,
    at: datetime = NOON,
    price: float = PRICE,
    missing: Sequence[Timeframe] = (),
    **readings: Any,
) -> Pulse:
    """Six frames with the same neutral readings; ``readings`` (``rsi=25.0``, ``trend=…``) replace fields in all."""
    neutral = FramePulse(
        timeframe=Timeframe.H1,
        closed_at=at,
        bars=500,
        price=price,
        trend=Trend.RANGING,
        strength=20,
        signal_strength=20,
        rsi=50.0,
        macd=0.0,
        macd_signal=0.0,
        macd_histogram=0.0,
        bb_upper=price * 1.02,
        bb_middle=price,
        bb_lower=price * 0.98,
        bb_percent_b=50.0,
        adx=20.0,
        plus_di=20.0,
        minus_di=20.0,
        atr=price * 0.01,
        sma_20=price,
        sma_50=price,
        volatility_class=VolatilityClass.MEDIUM,
    )
    frames = {
        timeframe: None if timeframe in missing else replace(neutral, timeframe=timeframe, **readings)
        for timeframe in PULSE_TIMEFRAMES
    }
    return Pulse(as_asset(asset), at, frames, Confluence("mixed", 50), tuple(missing), "Six neutral frames.")


def make_briefing(asset: Asset | str = "BTCUSD", **changes: Any) -> Briefing:
    """A briefing at noon of a neutral day in March 2024; ``changes`` replace its fields."""
    asset = as_asset(asset)
    neutral = Briefing(
        candles=make_candles(asset),
        asset=asset,
        as_of=NOON,
        mode=Mode.PAPER,
        timeframe=Timeframe.H1,
        horizon=24,
        market=make_market(),
        pulse=make_pulse(asset),
        regime=Regime.LOW_VOLATILITY_RANGING,
        position=Decimal(0),
    )
    return replace(neutral, **changes)


def make_opinion(provider: str = "fake", action: Action = Action.BUY, confidence: int = 70, **changes: Any) -> Opinion:
    made = Opinion(provider, "scripted", action, confidence, f"{provider} says {action}", horizon=24, local=True)
    return replace(made, **changes)


def make_agenda(**changes: Any) -> Agenda:
    """A panel of p0, p1 and p2, of whom the last needs a network, with 500 at stake."""
    made = Agenda(make_briefing(), ("p0", "p1", "p2"), ("p0", "p1"), Decimal(500), premium_left=3)
    return replace(made, **changes)


def make_ballot(
    *votes: tuple[Action, int] | Opinion,
    failed: Sequence[Opinion] = (),
    weights: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Ballot:
    """A ballot of ``votes`` by ``p0``, ``p1``, … in panel order, weighted equally unless told."""
    opinions = tuple(
        vote if isinstance(vote, Opinion) else make_opinion(f"p{index}", *vote) for index, vote in enumerate(votes)
    )
    equal = {opinion.provider: 1 / len(opinions) for opinion in opinions}
    return Ballot(
        asset=Asset.parse("BTCUSD"),
        as_of=NOON,
        opinions=opinions,
        failed=tuple(failed),
        weights=equal if weights is None else weights,
        seed=seed,
    )


def make_instrument(asset: Asset | str = "BTCUSD", **changes: Any) -> Instrument:
    asset = as_asset(asset)
    neutral = Instrument(
        asset=asset,
        quantity_increment=Decimal("0.0001"),
        price_increment=Decimal("0.01"),
        minimum_quantity=Decimal("0.001"),
        minimum_notional=Decimal(1),
        quote_currency=asset.quote or "USD",
        fees=Fees(taker=Decimal("0.001"), maker=Decimal("0.001")),
    )
    return replace(neutral, **changes)


def make_portfolio(*positions: Position, cash: Decimal = Decimal(10_000), **changes: Any) -> Portfolio:
    return replace(Portfolio("fake", "test", "USD", cash, positions, at=NOON), **changes)


def make_proposal(
    effect: Effect = Effect.OPEN_LONG, quantity: Decimal | None = Decimal("0.1"), **changes: Any
) -> Proposal:
    """An entry (or, with an exit effect, the way out) at 20,000 with a two per cent stop."""
    entry = Decimal(20_000)
    leaves_long = effect in (Effect.CLOSE, Effect.REDUCE, Effect.OPEN_SHORT)
    made = Proposal(
        asset=Asset.parse("BTCUSD"),
        action=Action.SELL if leaves_long else Action.BUY,
        effect=effect,
        effect_reason="",
        confidence=75,
        entry_price=entry,
        quantity=quantity,
        stop_price=None if effect.is_exit else entry * Decimal("0.98"),
        stop_fraction=None if effect.is_exit else Decimal("0.02"),
        target_price=None,
        risk_fraction=None if effect.is_exit else Decimal("0.01"),
        signal_only=False,
        sizing=Sizing("risk", quantity),
    )
    return replace(made, **changes)


def make_risk_context(proposal: Proposal | None = None, **changes: Any) -> RiskContext:
    """A calm account of 10,000 in an open market, with every input there, for ``proposal`` (default: an entry)."""
    proposal = proposal or make_proposal()
    held = Position(proposal.asset, Decimal("0.1"), Decimal(19_500), Decimal(20_000))
    traded = proposal.quantity or Decimal(0)
    before = make_portfolio(held, cash=Decimal(8_000)) if proposal.is_exit else make_portfolio()
    if proposal.is_exit:
        left = replace(held, quantity=held.quantity - min(traded, held.quantity))
        after = make_portfolio(*((left,) if left.quantity else ()), cash=Decimal(8_000) + traded * proposal.entry_price)
    else:
        opened = Position(proposal.asset, traded, proposal.entry_price, proposal.entry_price)
        after = make_portfolio(*((opened,) if traded else ()), cash=Decimal(10_000) - traded * proposal.entry_price)
    rng = random.Random("daily returns")
    start = to_ms(NOON) - 90 * Timeframe.D1.milliseconds
    days = [f"{from_ms(start + day * Timeframe.D1.milliseconds):%Y-%m-%d}" for day in range(90)]
    market = make_market()
    neutral = RiskContext(
        now=NOON,
        mode=Mode.PAPER,
        state=TradingState.ACTIVE,
        before=before,
        after=after,
        instrument=make_instrument(proposal.asset),
        market=market,
        freshness=market.freshness,
        status=market.status,
        daily_returns={proposal.asset.symbol: [(day, rng.gauss(0, 0.02)) for day in days]},
        peak_equity=before.equity,
        day_start_equity=before.equity,
        closed_trades=(),
        # A rule that writes into what it is shown must not be heard of in the next test.
        settings=deepcopy(RISK_SETTINGS),
    )
    return replace(neutral, **changes)


def make_order(
    side: Side = Side.BUY,
    quantity: Decimal = Decimal("0.1"),
    *,
    asset: Asset | str = "BTCUSD",
    id: str = "order-1",  # noqa: A002 - what every venue calls it
    **changes: Any,
) -> Order:
    """A market order: a purchase opens a long, a sale closes one, unless ``changes`` say otherwise."""
    buys = side is Side.BUY
    made = Order(
        client_order_id=id,
        decision_id="decision-1",
        leg="entry" if buys else "exit",
        asset=as_asset(asset),
        side=side,
        quantity=quantity,
        effect=Effect.OPEN_LONG if buys else Effect.CLOSE,
        reduce_only=not buys,
        created_at=NOON,
        sent_at=NOON,
    )
    return replace(made, **changes)


@dataclass
class HeardLog:
    """A log that keeps what was said: ``(level, event, facts)``."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def debug(self, event: str, **facts: Any) -> None:
        self.lines.append(("debug", event, facts))

    def info(self, event: str, **facts: Any) -> None:
        self.lines.append(("info", event, facts))

    def warning(self, event: str, **facts: Any) -> None:
        self.lines.append(("warning", event, facts))

    def error(self, event: str, **facts: Any) -> None:
        self.lines.append(("error", event, facts))


def make_context(root: Path, plugin: str = "test", *, clock: Clock | None = None, **changes: Any) -> PluginContext:
    """What the host would lend ``plugin``: folders under ``root``, the clock standing at noon, ledgers in memory.

    ``changes`` replace its fields.
    """
    neutral = PluginContext(
        plugin=plugin,
        clock=clock or FixedClock(NOON),
        state_root=root / "state",
        cache_root=root / "cache",
        log=HeardLog(),
        rng=random.Random(plugin),
        data_root=root / "data",
        http=Doors(plugin, clock or FixedClock(NOON)),
        ledger=MemoryLedgers(plugin),
    )
    return replace(neutral, **changes)
