"""Built-in providers: three rules that need no key, no model and no network. Not predictions, and marked so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ffe_core import Action, AIProvider, Briefing, FramePulse, Opinion, ProviderFailed, hookimpl

_AMOUNT = Decimal("0.1")
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class DayChange:
    """Against the day's move: sell after a rise of more than 2 % over 24 hours, buy after a fall of more than 2 %."""

    name: str = "local"
    model: str = "rule:day-change"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        change = briefing.market.change
        if change is None:
            raise ProviderFailed("no close 24 hours before the last one")
        told = f"{change:+.2%} over 24 hours"
        if change > 0.02:
            return _opinion(self, briefing, Action.SELL, 65, f"{told}: take profit")
        if change < -0.02:
            return _opinion(self, briefing, Action.BUY, 70, f"{told}: buy the dip")
        return _opinion(self, briefing, Action.HOLD, 60, f"{told}: within 2 %, nothing to do")


@dataclass(frozen=True, slots=True)
class TrendAdx:
    """With a strong trend: the side of the 20-bar average that the close is on, where ADX(14) is above 25."""

    name: str = "trend_adx"
    model: str = "rule:sma20-adx14"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        frame = _frame(briefing)
        if frame.sma_20 is None or frame.adx is None:
            raise ProviderFailed(f"too few bars for SMA(20) and ADX(14) of {frame.timeframe}")
        confidence = min(100, int(frame.adx * 2))
        told = f"close {frame.price:g}, SMA20 {frame.sma_20:g}, ADX {frame.adx:.1f}"
        if frame.adx <= 25 or frame.price == frame.sma_20:
            return _opinion(self, briefing, Action.HOLD, confidence, f"{told}: no strong trend")
        if frame.price > frame.sma_20:
            return _opinion(self, briefing, Action.BUY, confidence, f"{told}: strong and above its average")
        return _opinion(self, briefing, Action.SELL, confidence, f"{told}: strong and below its average")


@dataclass(frozen=True, slots=True)
class RsiReversion:
    """Against extremes: buy under RSI(14) 30, sell over 70. Confidence grows with the distance from 50."""

    name: str = "rsi_reversion"
    model: str = "rule:rsi14"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        frame = _frame(briefing)
        if frame.rsi is None:
            raise ProviderFailed(f"too few bars for RSI(14) of {frame.timeframe}")
        distance = abs(frame.rsi - 50)
        told = f"RSI {frame.rsi:.1f}"
        if frame.rsi < 30:
            return _opinion(self, briefing, Action.BUY, int(50 + distance), f"{told}: oversold")
        if frame.rsi > 70:
            return _opinion(self, briefing, Action.SELL, int(50 + distance), f"{told}: overbought")
        return _opinion(self, briefing, Action.HOLD, int(70 - distance), f"{told}: between 30 and 70")


@hookimpl
def ffe_ai_providers() -> Iterable[AIProvider]:
    return (DayChange(), TrendAdx(), RsiReversion())


def _frame(briefing: Briefing) -> FramePulse:
    frame = briefing.pulse.frames.get(briefing.timeframe)
    if frame is None:
        raise ProviderFailed(f"no {briefing.timeframe} bars of {briefing.asset}")
    return frame


def _opinion(rule: AIProvider, briefing: Briefing, action: Action, confidence: int, reasoning: str) -> Opinion:
    return Opinion(
        provider=rule.name,
        model=rule.model,
        action=action,
        confidence=confidence,
        reasoning=reasoning,
        amount=_NOTHING if action is Action.HOLD else _AMOUNT,
        horizon=briefing.horizon,
        calibratable=False,
        local=True,
    )
