"""What settings say about sizes, as exact decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ffe_core.risk.sizing import Exits, Kelly, SizingRules

if TYPE_CHECKING:
    from ffe_core.settings import Settings


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


def _exact(value: float | Decimal) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(repr(value))
