"""What an action means for the position that is held."""

from __future__ import annotations

from decimal import Decimal

from ffe_core.domain.trading import Action, Effect


def effect_of(action: Action, position: Decimal | None, *, can_short: bool, allow_short: bool) -> tuple[Effect, str]:
    """The effect and, where nothing is to be done, why.

    ``position`` is the signed quantity held; ``None`` (unknown) is judged like flat: an entry, which the gate then
    refuses, because an unknown position is never read as zero.
    """
    held = position or Decimal(0)
    if action is Action.HOLD:
        return Effect.NONE, "hold"
    if action is Action.BUY:
        if held > 0:
            return Effect.NONE, "already_long"
        return (Effect.CLOSE, "") if held < 0 else (Effect.OPEN_LONG, "")
    if held > 0:
        return Effect.CLOSE, ""
    if held < 0:
        return Effect.NONE, "already_short"
    if not allow_short:
        return Effect.NONE, "shorts_not_allowed"
    return (Effect.OPEN_SHORT, "") if can_short else (Effect.NONE, "shorts_not_possible")


def position_type(effect: Effect, position: Decimal | None) -> str | None:
    """LONG or SHORT: of what is opened, or of what is closed."""
    if effect in (Effect.OPEN_LONG, Effect.ADD_LONG):
        return "LONG"
    if effect is Effect.OPEN_SHORT:
        return "SHORT"
    if effect.is_exit and position:
        return "LONG" if position > 0 else "SHORT"
    return None
