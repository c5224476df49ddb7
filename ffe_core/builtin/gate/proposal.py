"""Rules on the proposal itself: sure enough for a wild market, enough of the panel behind it, a size that trades."""

from __future__ import annotations

from decimal import Decimal

from ffe_core import Proposal, RiskContext, Ruling
from ffe_core.builtin.gate.entry import clamped, exact, not_applicable, passed, percent, unavailable, vetoed

HALF = Decimal("0.5")


def volatility(proposal: Proposal, context: RiskContext) -> Ruling:
    """In a wild market an unsure entry is halved, or vetoed where settings say so.

    Volatility is the daily ATR(14) over the close, a fraction; wild is above ``risk.max_volatility``, unsure below
    ``risk.volatile_confidence``.
    """
    if context.market.volatility is None:
        return unavailable("volatility is unknown: too few daily, 4h and 1h bars")
    found, most = exact(context.market.volatility), exact(context.settings["max_volatility"])
    sure = exact(context.settings["volatile_confidence"])
    inputs = {"volatility": context.market.volatility, "confidence": proposal.confidence}
    if found <= most or Decimal(proposal.confidence) / 100 >= sure:
        return passed("", inputs)
    reason = (
        f"a daily range of {percent(found)} is above {percent(most)}, "
        f"and a confidence of {proposal.confidence} is under {sure * 100:.0f}"
    )
    if context.settings["on_volatile"] == "veto":
        return vetoed(reason, inputs)
    if proposal.quantity is None:
        return not_applicable(f"{reason}, but there is no size to halve")
    return clamped(reason, proposal.quantity, proposal.quantity * HALF, inputs)


def agreement(proposal: Proposal, context: RiskContext) -> Ruling:
    """An entry needs enough of the panel's weight behind it (``execution.entry_agreement``)."""
    needed = float(context.settings["entry_agreement"])
    inputs = {"agreement": proposal.agreement, "needed": needed}
    if proposal.agreement < needed:
        return vetoed(f"{proposal.agreement:.0%} of the weight agrees, {needed:.0%} is needed", inputs)
    return passed("", inputs)


def tradable(proposal: Proposal, context: RiskContext) -> Ruling:
    """An entry with a known balance needs a size that a venue would take."""
    if proposal.signal_only:
        return not_applicable("no known balance, so no size")
    if proposal.quantity is None or proposal.quantity <= 0:
        return vetoed(proposal.sizing.unavailable or "nothing tradable is left")
    return passed()
