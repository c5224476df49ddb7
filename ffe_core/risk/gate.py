"""The risk gate: every rule judges the portfolio after the trade; entries may be shrunk or vetoed, exits never are.

A rule that fails is an answer too: ``unavailable``, which bars a live entry and is noted on paper.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from ffe_core.domain.decisions import Proposal, RiskContext, Ruling, RulingOutcome
from ffe_core.domain.trading import Effect, Instrument, Mode, Portfolio, Position, quote_to_account
from ffe_core.errors import FfeError
from ffe_core.ports import RiskRule
from ffe_core.risk.sizing import risk_of

#: the one rule that may stop an exit: nobody can trade on a price that is no price
DATA_SANITY = "data_sanity"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The proposal after every clamp, the rulings in order, and whether one of them forbids it."""

    proposal: Proposal
    rulings: tuple[Ruling, ...]
    vetoed: bool

    @property
    def veto_reasons(self) -> tuple[str, ...]:
        return tuple(f"{held.rule}: {held.reason}" for held in self.rulings if held.outcome is RulingOutcome.VETOED)


def judge(proposal: Proposal, context: RiskContext, rules: Iterable[RiskRule]) -> Judgement:
    """Every rule's ruling, in order; all are asked even after a veto, so that every reason is on record."""
    if proposal.effect is Effect.NONE:
        return Judgement(proposal, (), False)
    rulings: list[Ruling] = []
    for rule in rules:
        ruling = _ruling(rule, proposal, context)
        rulings.append(ruling)
        if ruling.outcome is RulingOutcome.CLAMPED and ruling.after is not None:
            proposal = shrink(proposal, ruling.after, context)
            context = replace(context, after=after_trade(context.before, proposal, context.instrument))
    return Judgement(proposal, tuple(rulings), any(held.outcome is RulingOutcome.VETOED for held in rulings))


def _ruling(rule: RiskRule, proposal: Proposal, context: RiskContext) -> Ruling:
    if proposal.is_exit and rule.name != DATA_SANITY:
        return Ruling(rule.name, RulingOutcome.PASSED, "exits always pass")
    try:
        ruling = rule.check(proposal, context)
        if not isinstance(ruling, Ruling):
            raise TypeError("answered no ruling")  # noqa: TRY301 - one place turns every failure into a ruling
        if ruling.rule != rule.name:
            ruling = replace(ruling, rule=rule.name)
        if ruling.outcome is RulingOutcome.CLAMPED:
            _check_clamp(ruling, proposal)
    except (FfeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        ruling = Ruling(rule.name, RulingOutcome.UNAVAILABLE, f"the rule failed: {error}")
    if ruling.outcome is RulingOutcome.UNAVAILABLE and _fails_closed(context):
        return replace(
            ruling, outcome=RulingOutcome.VETOED, reason=f"{ruling.reason} ({context.mode} entries fail closed)"
        )
    return ruling


def _fails_closed(context: RiskContext) -> bool:
    return context.mode is Mode.LIVE or context.settings.get("fail_closed") == "always"


def _check_clamp(ruling: Ruling, proposal: Proposal) -> None:
    if proposal.quantity is None:
        raise ValueError("clamped a proposal that has no size")
    if ruling.after is None or not ruling.after.is_finite() or not 0 <= ruling.after <= proposal.quantity:
        raise ValueError(f"clamped {proposal.quantity} to {ruling.after}")


def shrink(proposal: Proposal, quantity: Decimal, context: RiskContext) -> Proposal:
    """The proposal at a smaller size, rounded down to the increment, with its risk computed anew."""
    instrument = context.instrument
    rounded = instrument.round_quantity(quantity) if instrument else quantity
    before = context.before
    rate = quote_to_account(proposal.asset, proposal.entry_price, before.currency) if before else None
    return replace(
        proposal,
        quantity=rounded,
        risk_fraction=risk_of(
            rounded, proposal.entry_price, proposal.stop_fraction, rate, before.equity if before else None
        ),
    )


def is_tradable(quantity: Decimal | None, entry: Decimal, instrument: Instrument) -> bool:
    """Whether a venue would take an order of this size."""
    return (
        quantity is not None
        and quantity > 0
        and quantity >= instrument.minimum_quantity
        and quantity * entry >= instrument.minimum_notional
    )


def after_trade(before: Portfolio | None, proposal: Proposal, instrument: Instrument | None = None) -> Portfolio | None:
    """The portfolio once the proposal is filled at its entry price, costs left out; ``None`` where unknown."""
    if before is None or not before.positions_known or before.cash is None or proposal.quantity is None:
        return None
    if proposal.effect is Effect.NONE or proposal.quantity == 0:
        return before
    held = before.position(proposal.asset)
    now = held.quantity if held else Decimal(0)
    change = _signed(proposal, now)
    rate = held.rate if held else None
    if rate is None:
        rate = quote_to_account(proposal.asset, proposal.entry_price, before.currency)
    if rate is None:
        return None
    others = tuple(position for position in before.positions if position is not held)
    left = now + change
    price = proposal.entry_price
    venue = held.venue if held else instrument.venue if instrument else ""
    entry = held.entry_price if held else price
    kept = (Position(proposal.asset, left, entry, price, venue=venue, rate=rate),) if left else ()
    return replace(before, cash=before.cash - change * price * rate, positions=others + kept, buying_power=None)


def _signed(proposal: Proposal, held: Decimal) -> Decimal:
    quantity = proposal.quantity or Decimal(0)
    if proposal.is_exit:
        return -quantity if held > 0 else quantity
    return -quantity if proposal.effect is Effect.OPEN_SHORT else quantity
