"""Built-in risk rules, in the order in which they are asked.

They guard entries: exits pass every one of them but ``data_sanity``. All judge the portfolio as it will be after the
trade. What a rule lacks to judge by is ``unavailable``, which is neither good nor bad news: the gate lets no live
entry pass on it. Rules of other plugins are asked after these. What they say beforehand of a whole series of entries
is in ``beforehand``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ffe_core import RiskRule, hookimpl
from ffe_core.builtin.gate import beforehand
from ffe_core.builtin.gate.entry import EntryRule
from ffe_core.builtin.gate.exposure import concentration, correlation, leverage, var
from ffe_core.builtin.gate.losses import cooldown, daily_loss, drawdown, low_profit, stoploss_guard
from ffe_core.builtin.gate.market import DataSanity, freshness, known_positions, market_hours, trading_state
from ffe_core.builtin.gate.proposal import agreement, tradable, volatility

RULES: tuple[RiskRule, ...] = (
    DataSanity(),
    EntryRule("known_positions", known_positions, beforehand.always),
    EntryRule("trading_state", trading_state, beforehand.always),
    EntryRule("market_hours", market_hours, beforehand.market_hours),
    EntryRule("freshness", freshness, beforehand.always),
    EntryRule("drawdown", drawdown, beforehand.drawdown),
    EntryRule("daily_loss", daily_loss, beforehand.daily_loss),
    EntryRule("correlation", correlation, beforehand.always),
    EntryRule("var", var, beforehand.var),
    EntryRule("leverage", leverage, beforehand.leverage),
    EntryRule("concentration", concentration, beforehand.concentration),
    EntryRule("volatility", volatility, beforehand.volatility),
    EntryRule("stoploss_guard", stoploss_guard),
    EntryRule("cooldown", cooldown),
    EntryRule("low_profit", low_profit),
    EntryRule("agreement", agreement, beforehand.agreement),
    EntryRule("tradable", tradable, beforehand.always),
)


@hookimpl
def ffe_risk_rules() -> Iterable[RiskRule]:
    return RULES
