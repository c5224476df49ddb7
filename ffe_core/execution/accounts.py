"""Accounts of several venues as one. Amounts in different currencies are added by a rate, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ffe_core.domain.trading import ZERO, Portfolio, Position, quote_to_account
from ffe_core.errors import FfeError, PlatformError
from ffe_core.ports import Platform

#: what one unit of the first currency is worth in the second; ``None`` where nobody can tell
type Rate = Callable[[str, str], Decimal | None]


@dataclass(frozen=True, slots=True)
class VenueAccount:
    """What one venue holds; ``problem`` is why there is no portfolio, or what is wrong with it."""

    venue: str
    portfolio: Portfolio | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Joined:
    """All venues as one portfolio, and what could not be added to it, one line each."""

    portfolio: Portfolio
    problems: tuple[str, ...]


def read_account(venue: str, platform: Platform) -> VenueAccount:
    """What the platform holds, positions tagged with the venue; an error is an account that is not known."""
    try:
        found = platform.portfolio()
    except FfeError as error:
        hint = f" ({error.hint})" if error.hint else ""
        return VenueAccount(venue, None, f"{error.message}{hint}")
    tagged = replace(found, positions=tuple(replace(held, venue=venue) for held in found.positions))
    return VenueAccount(venue, tagged, "" if found.positions_known else "does not say what is held")


def join(name: str, account: str, accounts: Sequence[VenueAccount], rate: Rate, *, spending: str = "") -> Joined:
    """One portfolio in the currency of the first account that answered.

    What one venue does not say is missing from the whole: without a venue positions are not known, without a rate
    cash is not. ``spending``: the venue whose buying power counts; empty for all of them together. Raises
    ``PlatformError`` where no venue answered.
    """
    answered = [(each.venue, each.portfolio) for each in accounts if each.portfolio is not None]
    problems = [f"{each.venue}: {each.problem}" for each in accounts if each.problem]
    if not answered:
        raise PlatformError("; ".join(problems))
    currency = answered[0][1].currency
    rates = {held.currency: rate(held.currency, currency) for _, held in answered}
    for venue, held in answered:
        if rates[held.currency] is None:
            problems.append(f"{venue}: no rate from {held.currency} to {currency}, so that nothing is added up")
    whole = len(answered) == len(accounts)
    spent = [held for venue, held in answered if spending in ("", venue)]
    powers = [held.cash if held.buying_power is None else held.buying_power for held in spent]
    says_power = bool(spending) or any(held.buying_power is not None for held in spent)
    portfolio = Portfolio(
        platform=name,
        account=account,
        currency=currency,
        cash=_sum((held.cash, rates[held.currency]) for _, held in answered) if whole else None,
        positions=tuple(
            _valued(one, held, rates[held.currency], currency) for _, held in answered for one in held.positions
        ),
        buying_power=_sum(zip(powers, (rates[held.currency] for held in spent), strict=True)) if says_power else None,
        at=min((held.at for _, held in answered if held.at is not None), default=None),
        positions_known=whole and all(held.positions_known for _, held in answered),
        stale=any(held.stale for _, held in answered),
        synthetic=any(held.synthetic for _, held in answered),
    )
    return Joined(portfolio, tuple(problems))


def _sum(amounts: Iterable[tuple[Decimal | None, Decimal | None]]) -> Decimal | None:
    """Of amounts with their rates; one that is not known leaves the sum unknown."""
    total = ZERO
    for amount, rate in amounts:
        if amount is None or rate is None:
            return None
        total += amount * rate
    return total


def _valued(position: Position, account: Portfolio, rate: Decimal | None, currency: str) -> Position:
    """The position with what its quote currency is worth in ``currency``, where its own account's is another."""
    if account.currency == currency:
        return position
    own = position.rate
    if own is None:
        own = quote_to_account(position.asset, position.price, account.currency)
    return replace(position, rate=None if own is None or rate is None else own * rate)
