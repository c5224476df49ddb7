"""What is to be sent, before it is sent, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from ffe_core.domain.decisions import Decision, Proposal, Ruling
from ffe_core.domain.trading import Action, Effect, Fill, Instrument, Order, OrderState, Side
from ffe_core.errors import UsageError
from ffe_core.store.orders import JournalEntry


@dataclass(frozen=True, slots=True)
class Change:
    """What an approval changes: the size in base units, stop and target as fractions of the fill price."""

    quantity: Decimal | None = None
    stop_fraction: Decimal | None = None
    target_fraction: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be sent now, judged by the account as it is now."""

    decision: Decision
    order: Order
    platform: str
    price: Decimal
    #: what the fill will cost by the venue's fees, and what is lost with them when the stop is hit; quote currency
    fee: Decimal
    worst_loss: Decimal | None
    stop_fraction: Decimal | None
    target_fraction: Decimal | None
    rulings: tuple[Ruling, ...]


@dataclass(frozen=True, slots=True)
class Executed:
    """What became of an order and of the protection of what it opened."""

    order: JournalEntry | None
    fills: tuple[Fill, ...] = ()
    protection: JournalEntry | None = None
    #: what went otherwise than planned, one line each
    remarks: tuple[str, ...] = ()

    @property
    def state(self) -> OrderState | None:
        return None if self.order is None else self.order.state


def side_of(proposal: Proposal) -> Side:
    if proposal.is_exit:
        return Side.BUY if proposal.action is Action.BUY else Side.SELL
    return Side.SELL if proposal.effect is Effect.OPEN_SHORT else Side.BUY


def changed(proposal: Proposal, change: Change, instrument: Instrument) -> Proposal:
    """The proposal as an approval wants it."""
    sign = -1 if proposal.effect is Effect.OPEN_SHORT else 1
    entry = proposal.entry_price
    made = proposal
    if change.quantity is not None:
        if instrument.round_quantity(change.quantity) != change.quantity:
            raise UsageError(f"{proposal.asset} is traded in steps of {instrument.quantity_increment:f}")
        made = replace(made, quantity=change.quantity)
    if change.stop_fraction is not None:
        stop = instrument.round_price(entry * (1 - sign * change.stop_fraction))
        made = replace(made, stop_fraction=change.stop_fraction, stop_price=stop)
    if change.target_fraction is not None:
        made = replace(made, target_price=instrument.round_price(entry * (1 + sign * change.target_fraction)))
    return made


def levels(plan: Plan, price: Decimal, instrument: Instrument) -> tuple[Decimal | None, Decimal | None]:
    sign = -1 if plan.order.effect is Effect.OPEN_SHORT else 1
    stop = None if plan.stop_fraction is None else instrument.round_price(price * (1 - sign * plan.stop_fraction))
    target = None if plan.target_fraction is None else instrument.round_price(price * (1 + sign * plan.target_fraction))
    return stop, target
