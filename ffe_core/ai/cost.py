"""What asking costs: a price by model and day, an estimate before the call, the bill after it, a budget for the day.

Prices are the user's own (``ai.prices``); ffe knows none. Where there is none for a model, its cost is unknown, which
is neither zero nor a guess. Amounts are US dollars, exact.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from ffe_core.ai.files import only_writer, replace_whole
from ffe_core.ai.panel import Asking
from ffe_core.ai.prompt import render_prompt, tokens
from ffe_core.domain.clock import Clock
from ffe_core.domain.codec import canonical_json, decimal_text, restore
from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.errors import BudgetSpent, StoreError
from ffe_core.ports import AIProvider

if TYPE_CHECKING:
    from ffe_core.settings.sections import Price

MILLION = 1_000_000
#: tokens that an answer is supposed to take before it is there, thinking included
ANSWER_TOKENS = 2_000
FREE = Decimal(0)


def price_of(prices: Iterable[Price], model: str, on: date) -> Price | None:
    """The newest price of ``model`` that was in force ``on`` that day; ``None`` where nobody said."""
    in_force = [price for price in prices if price.model == model and price.since <= on]
    return max(in_force, key=lambda price: price.since, default=None)


def cost_of(
    price: Price | None, tokens_in: int | None, tokens_out: int | None, tokens_cached: int | None = None
) -> Decimal | None:
    """Dollars for so many tokens; ``None`` where the price or a number of tokens is not known.

    ``tokens_cached`` of ``tokens_in`` cost what the price says of them, and as much as any other where it says nothing.
    """
    if price is None or tokens_in is None or tokens_out is None:
        return None
    less = price.cached_input_usd_per_million
    kept = 0 if less is None else min(tokens_in, tokens_cached or 0)
    sent = (tokens_in - kept) * price.input_usd_per_million + kept * (less or FREE)
    return (sent + tokens_out * price.output_usd_per_million) / MILLION


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts what a panel costs, and keeps it within ``budget`` dollars for the UTC day (``None``: without end)."""

    prices: Sequence[Price]
    spending: Spending
    clock: Clock
    budget: Decimal | None = None

    def over(self, ask: Asking) -> Asking:
        """``ask``, paid for: every opinion with its cost where that is known.

        Raises ``BudgetSpent``, before anybody is asked, where the whole panel would cost more than is left.
        """

        def answers(panel: Mapping[str, AIProvider], briefing: Briefing) -> tuple[Opinion, ...]:
            today = self.clock.now().date()
            estimates = self._estimates(panel, briefing, today)
            place = self.spending.reserve(today, estimates, self.budget) if estimates else None
            opinions = tuple(self._priced(opinion, panel[opinion.provider], today) for opinion in ask(panel, briefing))
            if place is not None:
                self.spending.settle(today, place, {opinion.provider: opinion.cost_usd for opinion in opinions})
            return opinions

        return answers

    def _estimates(self, panel: Mapping[str, AIProvider], briefing: Briefing, on: date) -> dict[str, Decimal]:
        """What each provider with a price may cost, on the high side."""
        prices = {name: price_of(self.prices, provider.model, on) for name, provider in panel.items()}
        if not any(prices.values()):
            return {}
        prompt = render_prompt(briefing)
        sent = tokens(prompt.system) + tokens(prompt.user)
        costs = {name: cost_of(price, sent, ANSWER_TOKENS) for name, price in prices.items()}
        return {name: cost for name, cost in costs.items() if cost is not None}

    def _priced(self, opinion: Opinion, provider: AIProvider, on: date) -> Opinion:
        if opinion.cost_usd is not None:
            return opinion
        if is_rule(opinion):
            return replace(opinion, cost_usd=FREE)
        # An alias is answered by the model behind it, and billed by either name.
        price = price_of(self.prices, opinion.model, on) or price_of(self.prices, provider.model, on)
        return replace(opinion, cost_usd=cost_of(price, opinion.tokens_in, opinion.tokens_out, opinion.tokens_cached))


def is_rule(opinion: Opinion) -> bool:
    """Whether it was computed here, without a model: nothing was sent, nothing is owed."""
    return opinion.is_vote and opinion.local and opinion.prompt is None and opinion.tokens_in is None


@dataclass(frozen=True, slots=True)
class _Day:
    """Dollars by provider: billed, and set aside for calls that have no bill yet."""

    spent: Mapping[str, Decimal] = field(default_factory=dict)
    open: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)

    @property
    def total(self) -> Decimal:
        return sum((amount for bills in (self.spent, *self.open.values()) for amount in bills.values()), FREE)


class Spending:
    """The bill of each UTC day, one file a day in ``folder``, shared by every process.

    What a call may cost is set aside before it. Where it ends without a bill, because it failed or the process died,
    that stays counted: whoever asked may still have to pay. Raises ``StoreError`` for a file that cannot be read or
    written: a budget that cannot be counted is no budget.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def spent(self, day: date) -> Decimal:
        """Everything billed or set aside on ``day``."""
        return self._read(day).total

    def reserve(self, day: date, estimates: Mapping[str, Decimal], budget: Decimal | None) -> str:
        """Sets ``estimates`` (by provider) aside; returns what ``settle`` wants. Raises ``BudgetSpent``."""
        with only_writer(self._folder):
            before = self._read(day)
            wanted = sum(estimates.values(), FREE)
            if budget is not None and before.total + wanted > budget:
                raise BudgetSpent(
                    f"asking {', '.join(estimates)} may cost ${decimal_text(wanted)}, and "
                    f"${decimal_text(before.total)} of today's ${decimal_text(budget)} is spent",
                    hint="raise --budget-usd or ai.budget_usd, or ask others; a new day begins at 00:00 UTC",
                )
            place = str(1 + max(map(int, before.open), default=0))
            self._write(day, replace(before, open={**before.open, place: estimates}))
        return place

    def settle(self, day: date, place: str, bills: Mapping[str, Decimal | None]) -> None:
        """Puts what was billed in the place of what was set aside; ``None`` leaves the estimate."""
        with only_writer(self._folder):
            before = self._read(day)
            estimates = before.open[place]
            owed = {**estimates, **{name: bill for name, bill in bills.items() if bill is not None}}
            spent = {name: before.spent.get(name, FREE) + owed.get(name, FREE) for name in {**before.spent, **owed}}
            still = {other: calls for other, calls in before.open.items() if other != place}
            self._write(day, _Day(spent, still))

    def _path(self, day: date) -> Path:
        return self._folder / f"{day.isoformat()}.json"

    def _read(self, day: date) -> _Day:
        path = self._path(day)
        try:
            return restore(_Day, json.loads(path.read_bytes()))
        except FileNotFoundError:
            return _Day()
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, AttributeError) as error:
            raise StoreError(
                f"{path} does not say what was spent that day: {error}",
                hint="mend the file, or remove it to count anew",
            ) from error

    def _write(self, day: date, accounts: _Day) -> None:
        replace_whole(self._path(day), canonical_json(accounts) + b"\n")
