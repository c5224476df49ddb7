"""What settings say about sizes and risk, as the sizing and the rules read it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ffe_core.risk.sizing import Exits, Kelly, SizingRules

if TYPE_CHECKING:
    from ffe_core.settings import Settings


def risk_settings(settings: Settings) -> dict[str, Any]:
    """What risk rules find in ``RiskContext.settings``, in JSON's own types, so that a replay reads the same."""
    risk, rules = settings.risk, settings.risk.rules
    stoploss_guard, cooldown, low_profit = risk.stoploss_guard, risk.cooldown, risk.low_profit
    return {
        "rules": {
            "market_hours": rules.market_hours,
            "freshness": rules.freshness,
            "drawdown": rules.drawdown,
            "daily_loss": rules.daily_loss,
            "correlation": rules.correlation,
            "var": rules.var,
            "leverage": rules.leverage,
            "concentration": rules.concentration,
            "volatility": rules.volatility,
            "stoploss_guard": rules.stoploss_guard,
            "cooldown": rules.cooldown,
            "low_profit": rules.low_profit,
        },
        "fail_closed": risk.fail_closed,
        "max_drawdown": risk.max_drawdown,
        "max_daily_loss": risk.max_daily_loss,
        "timezone": risk.timezone,
        "max_correlated_assets": risk.max_correlated_assets,
        "correlation_threshold": risk.correlation_threshold,
        "max_var": risk.max_var,
        "var_confidence": risk.var_confidence,
        "max_volatility": risk.max_volatility,
        "volatile_confidence": risk.volatile_confidence,
        "on_volatile": risk.on_volatile,
        "max_concentration": risk.max_concentration,
        "max_leverage": risk.max_leverage,
        "stoploss_guard": {
            "stops": stoploss_guard.stops,
            "within_hours": stoploss_guard.within_hours,
            "lock_hours": stoploss_guard.lock_hours,
        },
        "cooldown": {
            "bars": cooldown.bars,
        },
        "low_profit": {
            "trades": low_profit.trades,
            "within_days": low_profit.within_days,
            "lock_hours": low_profit.lock_hours,
        },
        "entry_agreement": settings.execution.entry_agreement,
        "decision_timeframe": settings.decision.timeframe.value,
    }


def sizing_rules(settings: Settings) -> SizingRules:
    """Settings as exact decimals: 0.02 means 0.02, not the float next to it."""
    exits, sizing, risk = settings.exits, settings.sizing, settings.risk
    return SizingRules(
        exits=Exits(
            stop=exits.stop,
            atr_multiple=_exact(exits.atr_multiple),
            min=_exact(exits.min),
            max=_exact(exits.max),
            fallback=_exact(exits.fallback),
            target=_exact(exits.target),
        ),
        method=sizing.method,
        risk=_exact(sizing.risk),
        kelly=Kelly(
            win_probability=_exact(sizing.kelly.p),
            payoff=_exact(sizing.kelly.payoff),
            multiplier=_exact(sizing.kelly.multiplier),
            cap=_exact(sizing.kelly.cap),
            max_position=_exact(sizing.kelly.max_position),
        ),
        max_concentration=_exact(risk.max_concentration),
        max_leverage=_exact(risk.max_leverage),
        buying_power=_exact(risk.buying_power),
        fee=_exact(settings.costs.fee),
        allow_short=settings.execution.allow_short,
    )


def round_trip_cost(settings: Settings) -> Decimal:
    """Fee and slippage of a way in and out again, a fraction of the price."""
    return 2 * (_exact(settings.costs.fee) + _exact(settings.costs.slippage))


def _exact(value: float | Decimal) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(value))
