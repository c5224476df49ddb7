from decimal import Decimal

import pytest

from ffe_core import Action, Effect
from ffe_core.risk.effect import effect_of, position_type


@pytest.mark.parametrize(
    ("action", "position", "can_short", "allow_short", "effect", "why"),
    [
        ("BUY", "0", False, False, Effect.OPEN_LONG, ""),
        ("BUY", "1", False, False, Effect.NONE, "already_long"),
        ("BUY", "-1", True, True, Effect.CLOSE, ""),
        ("SELL", "1", False, False, Effect.CLOSE, ""),
        ("SELL", "1", True, True, Effect.CLOSE, ""),
        ("SELL", "0", False, False, Effect.NONE, "shorts_not_allowed"),
        ("SELL", "0", True, False, Effect.NONE, "shorts_not_allowed"),
        ("SELL", "0", False, True, Effect.NONE, "shorts_not_possible"),
        ("SELL", "0", True, True, Effect.OPEN_SHORT, ""),
        ("SELL", "-1", True, True, Effect.NONE, "already_short"),
        ("HOLD", "0", False, False, Effect.NONE, "hold"),
        ("HOLD", "1", False, False, Effect.NONE, "hold"),
        ("BUY", None, False, False, Effect.OPEN_LONG, ""),
    ],
)
def test_effect_follows_from_action_position_and_shorts(action, position, can_short, allow_short, effect, why):
    held = None if position is None else Decimal(position)
    assert effect_of(Action(action), held, can_short=can_short, allow_short=allow_short) == (effect, why)


def test_position_type_follows_the_effect():
    assert position_type(Effect.OPEN_LONG, None) == "LONG"
    assert position_type(Effect.OPEN_SHORT, Decimal(0)) == "SHORT"
    assert position_type(Effect.CLOSE, Decimal(-2)) == "SHORT"
    assert position_type(Effect.NONE, Decimal(2)) is None
