"""Why a stored decision is not acted on, before anybody is asked anything. Exits are never too late."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ffe_core.domain.clock import iso
from ffe_core.domain.decisions import Decision
from ffe_core.domain.trading import Action, Effect, Mode
from ffe_core.errors import SafetyRefusal

if TYPE_CHECKING:
    from ffe_core.settings.sections import DecisionSettings

#: a decision is acted on within this, or within one of its bars, whichever is shorter
MOST_AGE = timedelta(seconds=900)
#: an entry is refused when the price has gone this share of the way to the stop
DRIFT = Decimal("0.25")


def refuse_what_cannot_be_acted_on(decision: Decision, mode: Mode, *, executed: bool) -> None:
    """Raises ``SafetyRefusal`` for what was done already, and for what never could be."""
    if executed:
        raise SafetyRefusal(f"decision {decision.id} was already executed", hint="`ffe orders` shows its orders")
    if decision.vetoed:
        raise SafetyRefusal("the decision was vetoed", hint=f"ffe show {decision.id[:8]}")
    if decision.action is Action.HOLD or decision.effect is Effect.NONE:
        why = f" ({decision.effect_reason})" if decision.effect_reason else ""
        raise SafetyRefusal(f"there is nothing to execute: the decision is to do nothing{why}")
    if decision.mode is not mode:
        raise SafetyRefusal(f"the decision was made in {decision.mode} mode, and this is {mode} mode")
    if decision.signal_only and decision.effect.is_entry:
        raise SafetyRefusal("the decision is a signal only: it has no size", hint="analyse with a known balance")
    if mode is Mode.LIVE and decision.market.synthetic:
        raise SafetyRefusal("synthetic prices in live mode")


def refuse_late_entry(
    decision: Decision,
    price: Decimal,
    now: datetime,
    settings: DecisionSettings,
    *,
    is_short: bool,
    below_threshold: bool,
) -> None:
    """Raises ``SafetyRefusal`` for an entry that is too old, too unsure, or that ``price`` has left behind."""
    allowed = min(MOST_AGE, settings.timeframe.timedelta)
    if now - decision.as_of > allowed:
        raise SafetyRefusal(
            f"the decision has expired: it is as of {iso(decision.as_of)}, and {allowed.total_seconds():.0f} s are "
            "allowed",
            hint="analyse again",
        )
    if Decimal(decision.confidence) / 100 < Decimal(repr(settings.threshold)) and not below_threshold:
        raise SafetyRefusal(
            f"confidence {decision.confidence} is below the threshold of {settings.threshold:.0%}",
            hint="--below-threshold, or `ffe approve`",
        )
    before, stop = decision.entry_price, decision.stop_loss_fraction
    if before is None or stop is None:
        return
    moved = (price - before) / before
    against = moved if is_short else -moved
    if against >= stop:
        raise SafetyRefusal(f"the price is at {price}, already beyond the stop")
    if abs(moved) > stop * DRIFT:
        raise SafetyRefusal(
            f"the price moved {moved:+.2%} since the decision, more than a quarter of the way to its stop",
            hint="analyse again",
        )
