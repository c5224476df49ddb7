"""Rules on the portfolio as it will be: what moves together, what it may lose in a day, how much of it there is.

Values are shares of equity in account currency. The trade is filled at its entry price, which leaves equity as it is;
what is promised to other decisions counts as held.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

from ffe_core import Portfolio, Proposal, RiskContext, Ruling
from ffe_core.builtin.gate.entry import clamped, exact, not_applicable, passed, percent, unavailable, vetoed
from ffe_core.builtin.gate.measures import (
    LEAST_SCENARIOS,
    ZERO,
    exposures,
    moves_since,
    scenarios,
    tie,
    value_at_risk,
)

CORRELATION_DAYS = timedelta(days=30)
#: across venues a weaker tie is worth a remark
CROSS_VENUE = 0.5
NO_SIZE = "without a size the portfolio stays as it is"
NO_VALUE = "the portfolio after the trade cannot be valued"


@dataclass(frozen=True, slots=True)
class _Book:
    """The portfolio after the trade: signed worth by symbol, and the equity that it is measured by."""

    values: Mapping[str, Decimal]
    equity: Decimal
    after: Portfolio


def _book(proposal: Proposal, context: RiskContext) -> _Book | Ruling:
    if proposal.quantity is None:
        return not_applicable(NO_SIZE)
    before, after = context.before, context.after
    if before is None or after is None or before.stale:
        return unavailable(NO_VALUE)
    values, equity = exposures(after), before.equity
    if values is None or equity is None or equity <= 0:
        return unavailable(NO_VALUE)
    return _Book(values, equity, after)


def correlation(proposal: Proposal, context: RiskContext) -> Ruling:
    """Not too many holdings that move as one: more than ``risk.max_correlated_assets`` in tied pairs are too many.

    Pearson's correlation of daily returns over 30 days; a pair is tied from ``risk.correlation_threshold`` on, in
    either direction. Holdings of different venues are compared too, for a remark.
    """
    book = _book(proposal, context)
    if isinstance(book, Ruling):
        return book
    if len(book.values) < 2:
        return not_applicable("fewer than two holdings")
    returns = context.daily_returns or {}
    since = (context.now - CORRELATION_DAYS).date().isoformat()
    most = int(context.settings["max_correlated_assets"])
    threshold = float(context.settings["correlation_threshold"])
    groups = _venues(book.after)
    moves = {symbol: moves_since(returns.get(symbol, ()), since) for symbol in sorted(book.values)}
    found = {(one, other): tie(moves[one], moves[other]) for one, other in combinations(moves, 2)}
    inputs = {"correlations": {f"{one} {other}": rho for (one, other), (_, rho) in found.items() if rho is not None}}
    unmeasured: set[str] = set()
    for venue, symbols in sorted(groups.items()):
        # Of one venue they are all of them.
        within = found
        if len(groups) > 1:
            within = {pair: known for pair, known in found.items() if symbols.issuperset(pair)}
        tied: set[str] = set()
        unknown: set[str] = set()
        for pair, (measured, rho) in within.items():
            if not measured:
                unknown.update(pair)
            elif rho is not None and abs(rho) >= threshold:
                tied.update(pair)
        if len(tied) > most:
            return vetoed(f"{', '.join(sorted(tied))} move as one on {venue}; {most} are allowed", inputs)
        if len(tied | unknown) > most:
            unmeasured |= unknown
    if unmeasured:
        return unavailable(f"too few daily returns of {', '.join(sorted(unmeasured))}", inputs)
    return passed("; ".join(_across(found, groups)), inputs)


def _venues(after: Portfolio) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for held in after.positions:
        if held.quantity:
            found.setdefault(held.venue or after.platform, set()).add(held.asset.symbol)
    return found


def _across(
    found: Mapping[tuple[str, str], tuple[bool, float | None]], groups: Mapping[str, set[str]]
) -> Iterator[str]:
    if len(groups) < 2:
        return
    for (one, other), (_, rho) in found.items():
        apart = not any({one, other} <= symbols for symbols in groups.values())
        if apart and rho is not None and abs(rho) > CROSS_VENUE:
            yield f"{one} and {other} move together ({rho:+.2f}) on different venues"


def var(proposal: Proposal, context: RiskContext) -> Ruling:
    """What the portfolio would have lost on its bad days: the value at risk may not exceed ``risk.max_var``.

    Each of the last 60 days that every holding has is a scenario: the sum of signed worth times return, over equity.
    """
    book = _book(proposal, context)
    if isinstance(book, Ruling):
        return book
    if not book.values:
        return not_applicable("nothing is held after the trade")
    returns = context.daily_returns or {}
    missing = sorted(symbol for symbol in book.values if not returns.get(symbol))
    if missing:
        return unavailable(f"no daily returns of {', '.join(missing)}")
    weights = {symbol: float(value / book.equity) for symbol, value in book.values.items()}
    days = scenarios(weights, returns)
    if len(days) < LEAST_SCENARIOS:
        return unavailable(f"{len(days)} common daily returns, {LEAST_SCENARIOS} are needed")
    most, confidence = float(context.settings["max_var"]), exact(context.settings["var_confidence"])
    found, tail = value_at_risk(days, confidence)
    inputs = {"var": found, "cvar": tail, "days": len(days), "weights": weights}
    if found > most:
        return vetoed(
            f"a bad day would cost {percent(found)} of equity ({percent(confidence)} of days cost less), "
            f"{percent(most)} is allowed",
            inputs,
        )
    return passed("", inputs)


def leverage(proposal: Proposal, context: RiskContext) -> Ruling:
    """All that is held, long and short added up, over equity: at most ``risk.max_leverage``."""
    book = _book(proposal, context)
    if isinstance(book, Ruling):
        return book
    gross = sum((abs(value) for value in book.values.values()), ZERO) + _promised(context, None)
    return _limit(proposal, book, gross, exact(context.settings["max_leverage"]), "exposure over equity")


def concentration(proposal: Proposal, context: RiskContext) -> Ruling:
    """One asset's share of equity: at most ``risk.max_concentration``."""
    book = _book(proposal, context)
    if isinstance(book, Ruling):
        return book
    symbol = proposal.asset.symbol
    here = abs(book.values.get(symbol, ZERO)) + _promised(context, symbol)
    return _limit(proposal, book, here, exact(context.settings["max_concentration"]), f"share of equity in {symbol}")


def _promised(context: RiskContext, symbol: str | None) -> Decimal:
    held: Sequence[Decimal] = [one.notional for one in context.reservations if symbol in (None, one.asset.symbol)]
    return sum(held, ZERO)


def _limit(proposal: Proposal, book: _Book, total: Decimal, most: Decimal, what: str) -> Ruling:
    """Room for less is a smaller size; no room at all is a veto."""
    share = total / book.equity
    inputs = {"share": share, "limit": most}
    excess = total - most * book.equity
    quantity = proposal.quantity
    if excess <= 0 or not quantity:
        return passed("", inputs)
    held = book.after.position(proposal.asset)
    value = held.value_in(book.after.currency) if held else None
    if held is None or not value:
        return unavailable(NO_VALUE)
    left = quantity - excess / abs(value / held.quantity)
    reason = f"{what}: {share:.4g} is above {most:.4g}"
    return clamped(reason, quantity, left, inputs) if left > 0 else vetoed(reason, inputs)
