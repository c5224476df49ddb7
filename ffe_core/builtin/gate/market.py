"""Rules on what is known and what is open: prices, positions, the trading state, hours, the age of the data."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from ffe_core import Clearance, Proposal, Prospect, RiskContext, Ruling, RulingOutcome, TradingState
from ffe_core.builtin.gate.beforehand import data_sanity
from ffe_core.builtin.gate.entry import passed, vetoed


@dataclass(frozen=True, slots=True)
class DataSanity:
    """A price is a finite number above zero and lies inside the bar that it came from. Exits are held to it too."""

    name: str = "data_sanity"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        price, market = proposal.entry_price, context.market
        if not price.is_finite() or price <= 0:
            return self._veto(f"{price} is no price")
        if not Decimal(repr(market.bar_low)) <= price <= Decimal(repr(market.bar_high)):
            return self._veto(f"{price} lies outside its own bar {market.bar_low:g} to {market.bar_high:g}")
        return Ruling(self.name, RulingOutcome.PASSED)

    def clearance(self, prospect: Prospect) -> Clearance:
        return data_sanity(prospect)

    def _veto(self, reason: str) -> Ruling:
        return Ruling(self.name, RulingOutcome.VETOED, reason)


def known_positions(proposal: Proposal, context: RiskContext) -> Ruling:
    """An entry needs to know what is held: a failed query is never read as flat."""
    if context.before is None or not context.before.positions_known:
        return vetoed("the account's positions are unknown")
    return passed()


def trading_state(proposal: Proposal, context: RiskContext) -> Ruling:
    """Entries need ACTIVE; a state that cannot be read is not ACTIVE, on paper neither."""
    if context.state is TradingState.ACTIVE:
        return passed()
    if context.state is None:
        return vetoed("the trading state cannot be read")
    why = f": {context.state_reason}" if context.state_reason else ""
    return vetoed(f"trading is {context.state}{why}", {"state": context.state.value})


def market_hours(proposal: Proposal, context: RiskContext) -> Ruling:
    """No entry while the market is closed, or close to the week's end and beginning where that applies."""
    status = context.status
    if context.instrument is not None and not context.instrument.tradeable:
        return vetoed("the venue says that it does not trade now")
    if not status.is_open:
        return vetoed(f"market closed ({status.session})")
    if not status.entries_allowed:
        return vetoed(f"no entries around the weekly close ({status.session})")
    return passed(status.warning)


def freshness(proposal: Proposal, context: RiskContext) -> Ruling:
    """No entry on data that is critically old or from the future."""
    found = context.freshness
    return passed(found.message) if found.is_fresh else vetoed(found.message)
