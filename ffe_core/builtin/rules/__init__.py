"""Built-in providers: rules that need no key, no model and no network. Not predictions, and marked so.

Each answers for a moment, as any provider does, and for a whole series at once, which is what a backtest asks for.
A bar on which a rule has nothing to say yet is HOLD with confidence 0; asked about that moment it abstains.
"""

from __future__ import annotations

from collections.abc import Iterable

from ffe_core import VectorProvider, hookimpl
from ffe_core.builtin.rules.crossings import Bollinger, Macd, SmaCross
from ffe_core.builtin.rules.readings import DayChange, RsiReversion, TrendAdx
from ffe_core.builtin.rules.yardsticks import AlwaysHold, BuyAndHold, RandomEntry

RULES: tuple[VectorProvider, ...] = (
    DayChange(),
    TrendAdx(),
    RsiReversion(),
    SmaCross(),
    Macd(),
    Bollinger(),
    BuyAndHold(),
    AlwaysHold(),
    RandomEntry(),
)


@hookimpl
def ffe_ai_providers() -> Iterable[VectorProvider]:
    return RULES
