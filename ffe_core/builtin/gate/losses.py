"""Rules on what the account has been through: drawdown, a bad day, and trades that went wrong lately.

A supposed account (an analysis as of an earlier instant) has been through nothing, so these do not apply to it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from ffe_core import ClosedTrade, Proposal, RiskContext, Ruling, Timeframe
from ffe_core.builtin.gate.entry import exact, not_applicable, passed, percent, unavailable, vetoed

SUPPOSED = "a supposed account has no past"
UNKNOWN_TRADES = "the account's closed trades are unknown"
#: what an order that a stop sent is called, in the trade that it closed
STOP = "stop"


def drawdown(proposal: Proposal, context: RiskContext) -> Ruling:
    """No entry while equity is more than ``risk.max_drawdown`` below its peak of 30 days, and for 24 hours after."""
    if context.supposed:
        return not_applicable(SUPPOSED)
    if context.drawdown_until is not None and context.now < context.drawdown_until:
        return vetoed(f"a drawdown passed its limit; no entries until {_stamp(context.drawdown_until)}")
    return _fall(context, context.peak_equity, exact(context.settings["max_drawdown"]), "its peak of 30 days")


def daily_loss(proposal: Proposal, context: RiskContext) -> Ruling:
    """No entry on a day that has cost more than ``risk.max_daily_loss`` of the equity that it began with."""
    if context.supposed:
        return not_applicable(SUPPOSED)
    zone = context.settings["timezone"]
    most = exact(context.settings["max_daily_loss"])
    return _fall(context, context.day_start_equity, most, f"what it was when the day ({zone}) began")


def _fall(context: RiskContext, reference: Decimal | None, most: Decimal, what: str) -> Ruling:
    before = context.before
    equity = before.equity if before is not None and not before.stale else None
    if equity is None or reference is None or reference <= 0:
        return unavailable("the account's equity, or what it was, is unknown")
    share = 1 - equity / reference
    inputs = {"equity": equity, "reference": reference, "fall": share, "limit": most}
    if share > most:
        return vetoed(f"equity is {percent(share)} below {what}; {percent(most)} is allowed", inputs)
    return passed("", inputs)


def stoploss_guard(proposal: Proposal, context: RiskContext) -> Ruling:
    """A lock on an asset whose stops were hit ``stops`` times within ``within_hours``, for ``lock_hours``."""
    rules = context.settings["stoploss_guard"]
    return _lock(
        proposal,
        context,
        lambda trades: _when_stopped(trades, int(rules["stops"]), timedelta(hours=rules["within_hours"])),
        timedelta(hours=rules["lock_hours"]),
        f"{rules['stops']} stops within {rules['within_hours']:g} hours",
    )


def _when_stopped(trades: Sequence[ClosedTrade], count: int, within: timedelta) -> datetime | None:
    stops = [trade.closed_at for trade in trades if trade.exit_reason == STOP]
    ends = [last for first, last in zip(stops, stops[count - 1 :], strict=False) if last - first < within]
    return ends[-1] if ends else None


def cooldown(proposal: Proposal, context: RiskContext) -> Ruling:
    """A pause of ``bars`` decision bars after leaving an asset."""
    bars = int(context.settings["cooldown"]["bars"])
    bar = Timeframe(context.settings["decision_timeframe"]).timedelta
    return _lock(
        proposal, context, lambda trades: trades[-1].closed_at if trades else None, bars * bar, "it was just left"
    )


def low_profit(proposal: Proposal, context: RiskContext) -> Ruling:
    """A lock on an asset whose last trades, at least ``trades`` within ``within_days``, lost money together."""
    rules = context.settings["low_profit"]
    return _lock(
        proposal,
        context,
        lambda trades: _when_losing(trades, int(rules["trades"]), timedelta(days=rules["within_days"])),
        timedelta(hours=rules["lock_hours"]),
        f"a loss over the trades of {rules['within_days']:g} days",
    )


def _when_losing(trades: Sequence[ClosedTrade], count: int, within: timedelta) -> datetime | None:
    if not trades:
        return None
    last = trades[-1].closed_at
    recent = [trade.pnl for trade in trades if last - trade.closed_at < within]
    return last if len(recent) >= count and sum(recent, Decimal(0)) < 0 else None


def _lock(
    proposal: Proposal,
    context: RiskContext,
    begins: Callable[[Sequence[ClosedTrade]], datetime | None],
    lasts: timedelta,
    why: str,
) -> Ruling:
    """A veto for ``lasts`` from the moment that ``begins`` finds in the asset's trades, oldest first."""
    if context.supposed:
        return not_applicable(SUPPOSED)
    if context.closed_trades is None:
        return unavailable(UNKNOWN_TRADES)
    own = [trade for trade in context.closed_trades if trade.asset.symbol == proposal.asset.symbol]
    began = begins(sorted(own, key=lambda trade: trade.closed_at))
    if began is None or context.now >= began + lasts:
        return passed("", {"trades": len(own)})
    return vetoed(f"{proposal.asset} is locked until {_stamp(began + lasts)}: {why}", {"trades": len(own)})


def _stamp(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
