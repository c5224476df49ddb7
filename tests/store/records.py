"""Decision records for the store's tests: real domain objects through the real codec, cheap to make by the thousand."""

from __future__ import annotations

import copy
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ffe_core.domain.assets import PULSE_TIMEFRAMES, Asset
from ffe_core.domain.clock import iso
from ffe_core.domain.codec import plain
from ffe_core.domain.decisions import Clamp, Decision, Opinion, Outcome, Ruling, RulingOutcome, Sizing
from ffe_core.domain.market import Confluence, Freshness, Market, MarketStatus, Pulse, Regime
from ffe_core.domain.trading import Action, Effect, Mode

START = datetime(2025, 3, 1, tzinfo=UTC)
PAIRS = ("BTCUSD", "ETHUSD", "EURUSD")


def decision(number: int = 0, **changes: Any) -> Decision:
    """A decision made ``number`` minutes after ``START``, by a seeded id, on an asset of ``PAIRS`` in turn."""
    as_of = START + timedelta(minutes=number)
    asset = Asset.parse(PAIRS[number % len(PAIRS)])
    action = list(Action)[number % 3]
    market = Market(
        source="files",
        synthetic=False,
        fingerprint="ab" * 32,
        freshness=Freshness(True, "fresh", 0.0, "0 seconds", "fresh"),
        status=MarketStatus(True, "open", None, None),
        price=27105.0 + number,
        change=0.01,
        volatility=0.03,
        bar_open=27000.0,
        bar_high=27200.5,
        bar_low=26900.25,
        bar_volume=12.5,
        bar_closed_at=as_of,
    )
    opinions = tuple(
        Opinion(name, "rules", action, 80, f"{name} sees it that way: naïve ✓", calibratable=False, local=True)
        for name in ("local", "trend_adx", "rsi_reversion")
    )
    facts: dict[str, Any] = {
        "id": decision_id(number),
        "asset_pair": asset.symbol,
        "asset_type": asset.kind.value,
        "as_of": as_of,
        "created_at": as_of + timedelta(seconds=2),
        "mode": Mode.PAPER,
        "action": action,
        "effect": Effect.NONE if action is Action.HOLD else Effect.OPEN_LONG,
        "effect_reason": "",
        "confidence": 80,
        "raw_confidence": 80,
        "reasoning": "the panel agrees",
        "amount": Decimal("123.45"),
        "position_type": "LONG",
        "entry_price": Decimal("27105"),
        "position_size": Decimal("0.123456789012345678"),
        "sizing": Sizing("risk", Decimal("0.2"), (Clamp("concentration", "25 %", Decimal("0.2"), Decimal("0.12")),)),
        "stop_loss_price": Decimal("26562.9"),
        "stop_loss_fraction": Decimal("0.02"),
        "take_profit_price": Decimal("28460.25"),
        "risk_fraction": Decimal("0.006"),
        "signal_only": False,
        "market": market,
        "pulse": Pulse(
            asset, as_of, dict.fromkeys(PULSE_TIMEFRAMES), Confluence("unknown", 0), PULSE_TIMEFRAMES, "no frames"
        ),
        "regime": Regime.UNKNOWN,
        "opinions": opinions,
        "ensemble_metadata": {"fallback_tier": "weighted_voting"},
        "rulings": (Ruling("max_drawdown", RulingOutcome.PASSED, "flat account"),),
    }
    return Decision(**{**facts, **changes})


def decision_id(number: int) -> str:
    return str(UUID(int=random.Random(number).getrandbits(128), version=4))


def record(number: int = 0, *, inputs: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What the engine hands to the store."""
    return {"schema": 1, "decision": plain(decision(number, **changes)), "inputs": inputs or {"clock": iso(START)}}


def many(count: int, *, filler: int = 0, first: int = 0) -> list[dict[str, Any]]:
    """Records for bulk work, made from one template; ``filler`` is that much more text in each."""
    template = record(0, inputs={"prompt": "x" * filler})
    made = []
    for number in range(first, first + count):
        as_of = START + timedelta(minutes=number)
        one = copy.copy(template)
        one["decision"] = {
            **template["decision"],
            "id": decision_id(number),
            "asset_pair": PAIRS[number % len(PAIRS)],
            "as_of": iso(as_of),
            "created_at": iso(as_of + timedelta(seconds=2)),
        }
        made.append(one)
    return made


def outcome(number: int = 0, **changes: Any) -> Outcome:
    """What came of ``decision(number)`` a day later, when the price had risen by 2 %."""
    made = decision(number)
    sign = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: None}[made.action]
    facts: dict[str, Any] = {
        "decision_id": made.id,
        "asset": Asset.parse(made.asset_pair),
        "resolved_at": made.as_of + timedelta(days=1),
        "action": made.action,
        "gross_return": None if sign is None else sign * 0.02,
        "net_return": None if sign is None else sign * 0.02 - 0.0022,
        "pnl": None if sign is None else Decimal("12.340000000000000001"),
        "exit_reason": "horizon",
        "provider_actions": {"local": made.action, "gemini": Action.BUY},
        "provider_confidences": {"local": 80, "gemini": 61},
        "price_return": 0.02,
        "cost": 0.0022,
        "as_of": made.as_of,
        "calibratable": ("gemini",),
        "verdict_action": made.action,
        "raw_confidence": 70,
    }
    return Outcome(**{**facts, **changes})
