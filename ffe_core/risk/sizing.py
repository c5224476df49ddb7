"""How much: stop distance first, then a size that loses a fixed share of equity at the stop, then the limits.

Fractions throughout (0.01 is 1 %), prices in quote currency, quantities in base units, equity in account currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Clamp, Proposal, Sizing, Verdict
from ffe_core.domain.market import Pulse
from ffe_core.domain.trading import Effect, Instrument, Portfolio, Reservation, quote_to_account
from ffe_core.execution.fills import all_in_units
from ffe_core.risk.effect import effect_of

ZERO = Decimal(0)
ONE = Decimal(1)
SMALLEST_STOP = Decimal("0.005")
USUAL_RISK = Decimal("0.01")
LARGEST_RISK = Decimal("0.10")
_FRACTION_STEP = Decimal("0.000001")
_WORKING_STEP = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class Exits:
    """``stop`` is ``atr`` or ``fixed``; ``target`` 0 means no target."""

    stop: str = "atr"
    atr_multiple: Decimal = Decimal(2)
    min: Decimal = Decimal("0.01")
    max: Decimal = Decimal("0.05")
    fallback: Decimal = Decimal("0.02")
    target: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Kelly:
    """Inputs of the Kelly fraction: win probability, payoff (average win over average loss), how much of it to use."""

    win_probability: Decimal = Decimal("0.55")
    payoff: Decimal = Decimal(100) / Decimal(75)
    multiplier: Decimal = Decimal("0.25")
    cap: Decimal = Decimal("0.25")
    floor: Decimal = Decimal("0.001")
    max_position: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class SizingRules:
    """What settings say about size; all limits are shares of equity but ``max_leverage``, a multiple of it."""

    exits: Exits
    method: str
    risk: Decimal
    kelly: Kelly
    max_concentration: Decimal
    max_leverage: Decimal
    buying_power: Decimal
    fee: Decimal
    allow_short: bool
    #: what ``fixed_amount`` puts into a position, in account currency; never more than a tenth of equity
    amount: Decimal = Decimal(1000)


def position_size(equity: Decimal, risk: Decimal, entry: Decimal, stop: Decimal, rate: Decimal = ONE) -> Decimal:
    """``equity x risk / (entry x stop x rate)`` in base units; ``rate`` converts quote to account currency.

    A stop nearer than 0.5 % is read as 0.5 %, a risk outside (0, 10 %] as 1 %; without equity or a price it is 0.
    """
    if equity <= 0 or entry <= 0 or rate <= 0:
        return ZERO
    share = risk if 0 < risk <= LARGEST_RISK else USUAL_RISK
    return equity * share / (entry * max(stop, SMALLEST_STOP) * rate)


def kelly_fraction(kelly: Kelly) -> Decimal:
    """Share of equity to hold: Kelly (1956), f = (b p - q) / b, capped, damped, floored, limited; 0 without an edge."""
    if kelly.payoff <= 0:
        return ZERO
    raw = (kelly.payoff * kelly.win_probability - (ONE - kelly.win_probability)) / kelly.payoff
    if raw <= 0:
        return ZERO
    return min(max(min(raw, kelly.cap) * kelly.multiplier, kelly.floor), kelly.max_position)


def stop_fraction(exits: Exits, price: Decimal, pulse: Pulse) -> Decimal:
    """Distance of the stop: ATR of the daily frame, else of 4h, times the multiple, within its limits."""
    if exits.stop == "fixed":
        return exits.fallback
    frame = next(
        (held for name in (Timeframe.D1, Timeframe.H4) if (held := pulse.frames.get(name)) and held.atr is not None),
        None,
    )
    if frame is None or frame.atr is None or price <= 0:
        return exits.fallback
    return atr_stop(Decimal(repr(frame.atr)), price, exits)


def atr_stop(atr: Decimal, price: Decimal, exits: Exits) -> Decimal:
    distance = (atr * exits.atr_multiple / price).quantize(_FRACTION_STEP, ROUND_HALF_EVEN)
    return min(max(distance, exits.min), exits.max)


def propose(
    asset: Asset,
    verdict: Verdict,
    *,
    entry: Decimal,
    pulse: Pulse,
    portfolio: Portfolio | None,
    instrument: Instrument,
    rules: SizingRules,
    reservations: Sequence[Reservation] = (),
) -> Proposal:
    """The verdict as a sized intention on this portfolio."""
    held = portfolio.position(asset) if portfolio and portfolio.positions_known else None
    quantity_held = None if portfolio is None or not portfolio.positions_known else held.quantity if held else ZERO
    effect, why = effect_of(
        verdict.action, quantity_held, can_short=instrument.can_short, allow_short=rules.allow_short
    )
    if effect.is_entry:
        return _entry(asset, verdict, effect, entry, pulse, portfolio, instrument, rules, reservations)
    quantity = abs(held.quantity) if effect.is_exit and held else None
    return Proposal(
        asset=asset,
        action=verdict.action,
        effect=effect,
        effect_reason=why,
        confidence=verdict.confidence,
        entry_price=entry,
        quantity=quantity,
        stop_price=None,
        stop_fraction=None,
        target_price=None,
        risk_fraction=None,
        signal_only=False,
        sizing=Sizing("close" if effect.is_exit else "none", quantity),
        agreement=verdict.agreement,
    )


def _entry(
    asset: Asset,
    verdict: Verdict,
    effect: Effect,
    entry: Decimal,
    pulse: Pulse,
    portfolio: Portfolio | None,
    instrument: Instrument,
    rules: SizingRules,
    reservations: Sequence[Reservation],
) -> Proposal:
    stop = stop_fraction(rules.exits, entry, pulse)
    sign = -1 if effect is Effect.OPEN_SHORT else 1
    equity = portfolio.equity if portfolio and not portfolio.stale else None
    known = equity is not None and equity > 0
    sizing, quantity, rate = Sizing("signal_only", None), None, None
    if known and portfolio and equity is not None:
        rate = quote_to_account(asset, entry, portfolio.currency)
        sizing, quantity = _size(equity, entry, stop, rate, portfolio, instrument, rules, reservations)
    sized = quantity is not None and known
    target = rules.exits.target
    return Proposal(
        asset=asset,
        action=verdict.action,
        effect=effect,
        effect_reason="" if known else "no_known_balance",
        confidence=verdict.confidence,
        entry_price=entry,
        quantity=quantity,
        stop_price=instrument.round_price(entry * (ONE - sign * stop)) if sized and stop > 0 else None,
        stop_fraction=stop if sized and stop > 0 else None,
        target_price=instrument.round_price(entry * (ONE + sign * target)) if sized and target > 0 else None,
        risk_fraction=risk_of(quantity, entry, stop, rate, equity),
        signal_only=not known,
        sizing=sizing,
        agreement=verdict.agreement,
    )


def risk_of(
    quantity: Decimal | None, entry: Decimal, stop: Decimal | None, rate: Decimal | None, equity: Decimal | None
) -> Decimal | None:
    """The share of equity lost if the stop fills at its price."""
    if quantity is None or stop is None or rate is None or not equity:
        return None
    return (quantity * entry * stop * rate / equity).quantize(_FRACTION_STEP, ROUND_HALF_EVEN)


def _size(
    equity: Decimal,
    entry: Decimal,
    stop: Decimal,
    rate: Decimal | None,
    portfolio: Portfolio,
    instrument: Instrument,
    rules: SizingRules,
    reservations: Sequence[Reservation],
) -> tuple[Sizing, Decimal | None]:
    if rate is None:
        why = f"no rate from {instrument.asset.quote} to {portfolio.currency}"
        return Sizing(rules.method, None, unavailable=why), None
    unit = entry * rate
    wanted = _wanted(equity, entry, stop, rate, rules)
    wanted = wanted.quantize(_WORKING_STEP, ROUND_HALF_EVEN)
    clamps: list[Clamp] = []
    quantity = wanted
    for name, limit in limits(portfolio, instrument, rules, reservations):
        most = (max(limit, ZERO) / unit).quantize(_WORKING_STEP, ROUND_FLOOR)
        if quantity > most:
            clamps.append(Clamp(name, _LIMIT_WORDS[name], quantity, most))
            quantity = most
    rounded = instrument.round_quantity(quantity)
    if rounded < instrument.minimum_quantity or rounded * entry < instrument.minimum_notional or rounded <= 0:
        why = f"{rounded.normalize():f} is under the smallest order"
        return Sizing(rules.method, wanted, tuple(clamps), unavailable=why), None
    return Sizing(rules.method, wanted, tuple(clamps)), rounded


def _wanted(equity: Decimal, entry: Decimal, stop: Decimal, rate: Decimal, rules: SizingRules) -> Decimal:
    """Base units by the method, before any limit. Settings know ``risk`` and ``kelly``; simulations try the others."""
    if rules.method == "kelly":
        return equity * kelly_fraction(rules.kelly) / (entry * rate)
    if rules.method == "fixed_fraction":
        return equity * rules.risk / (entry * rate)
    if rules.method == "fixed_amount":
        return min(rules.amount, equity / 10) / (entry * rate)
    if rules.method == "all_in":
        return all_in_units(equity, entry * rate, rules.fee)
    return position_size(equity, rules.risk, entry, stop, rate)


_LIMIT_WORDS = {
    "concentration": "share of equity in one asset",
    "leverage": "gross exposure over equity",
    "buying_power": "cash net of fees",
}


def limits(
    portfolio: Portfolio, instrument: Instrument, rules: SizingRules, reservations: Sequence[Reservation] = ()
) -> list[tuple[str, Decimal]]:
    """How much more of the asset may be held by each limit, in account currency, in the order of their use.

    Nothing may be added (0) where equity is unknown, or a position cannot be valued in account currency.
    """
    equity, asset = portfolio.equity, instrument.asset
    worth = [(held.asset.symbol, held.value_in(portfolio.currency)) for held in portfolio.positions]
    known = [(symbol, abs(value)) for symbol, value in worth if value is not None]
    if equity is None or len(known) < len(worth):
        return [(name, ZERO) for name in _LIMIT_WORDS]
    here = sum((value for symbol, value in known if symbol == asset.symbol), ZERO)
    gross = sum((value for _, value in known), ZERO)
    promised_here = sum((held.notional for held in reservations if held.asset.symbol == asset.symbol), ZERO)
    promised = sum((held.notional for held in reservations), ZERO)
    spendable = portfolio.buying_power if portfolio.buying_power is not None else portfolio.cash or ZERO
    share = rules.buying_power if instrument.margin_rate == 1 else ONE
    return [
        ("concentration", equity * rules.max_concentration - here - promised_here),
        ("leverage", equity * rules.max_leverage - gross - promised),
        (
            "buying_power",
            (spendable - promised * instrument.margin_rate) * share / (instrument.margin_rate + rules.fee),
        ),
    ]
