"""Built-in risk rules, in the order in which they are asked.

They guard entries; exits pass every one of them but ``data_sanity``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from ffe_core import Proposal, RiskContext, RiskRule, Ruling, RulingOutcome, hookimpl

_FOR_EXITS = "exits always pass"


@dataclass(frozen=True, slots=True)
class DataSanity:
    """A price is a finite number above zero and lies inside the bar that it came from."""

    name: str = "data_sanity"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        price, market = proposal.entry_price, context.market
        if not price.is_finite() or price <= 0:
            return _veto(self, f"{price} is no price")
        if not Decimal(repr(market.bar_low)) <= price <= Decimal(repr(market.bar_high)):
            return _veto(self, f"{price} lies outside its own bar {market.bar_low:g} to {market.bar_high:g}")
        return _pass(self)


@dataclass(frozen=True, slots=True)
class KnownPositions:
    """An entry needs to know what is held: a failed query is never read as flat."""

    name: str = "known_positions"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if context.before is None or not context.before.positions_known:
            return _veto(self, "the account's positions are unknown")
        return _pass(self)


@dataclass(frozen=True, slots=True)
class MarketHours:
    """No entry while the market is closed, or close to the week's end and beginning where that applies."""

    name: str = "market_hours"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if proposal.is_exit:
            return _pass(self, _FOR_EXITS)
        status = context.status
        if context.instrument is not None and not context.instrument.tradeable:
            return _veto(self, "the venue says that it does not trade now")
        if not status.is_open:
            return _veto(self, f"market closed ({status.session})")
        if not status.entries_allowed:
            return _veto(self, f"no entries around the weekly close ({status.session})")
        return _pass(self, status.warning)


@dataclass(frozen=True, slots=True)
class DataFreshness:
    """No entry on data that is critically old or from the future."""

    name: str = "freshness"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if proposal.is_exit:
            return _pass(self, _FOR_EXITS)
        freshness = context.freshness
        if not freshness.is_fresh:
            return _veto(self, freshness.message)
        return _pass(self, freshness.message)


@dataclass(frozen=True, slots=True)
class Agreement:
    """An entry needs enough of the panel's weight behind it (``execution.entry_agreement``)."""

    name: str = "agreement"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        needed = float(context.settings["entry_agreement"])
        inputs = {"agreement": proposal.agreement, "needed": needed}
        if proposal.agreement < needed:
            reason = f"{proposal.agreement:.0%} of the weight agrees, {needed:.0%} is needed"
            return Ruling(self.name, RulingOutcome.VETOED, reason, inputs=inputs)
        return Ruling(self.name, RulingOutcome.PASSED, inputs=inputs)


@dataclass(frozen=True, slots=True)
class Tradable:
    """An entry with a known balance needs a size that a venue would take."""

    name: str = "tradable"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if proposal.signal_only:
            return Ruling(self.name, RulingOutcome.NOT_APPLICABLE, "no known balance, so no size")
        if proposal.quantity is None or proposal.quantity <= 0:
            return _veto(self, proposal.sizing.unavailable or "nothing tradable is left")
        return _pass(self)


@hookimpl
def ffe_risk_rules() -> Iterable[RiskRule]:
    return (DataSanity(), KnownPositions(), MarketHours(), DataFreshness(), Agreement(), Tradable())


def _pass(rule: RiskRule, reason: str = "") -> Ruling:
    return Ruling(rule.name, RulingOutcome.PASSED, reason)


def _veto(rule: RiskRule, reason: str) -> Ruling:
    return Ruling(rule.name, RulingOutcome.VETOED, reason)
