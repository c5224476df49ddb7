"""What the asking has cost, beside what it brought: by decision, by provider, by closed trade.

Amounts are US dollars, exact. A call whose cost nobody knows is counted and never guessed, so that a sum is a lower
bound wherever there is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal

from ffe_core.domain.decisions import Decision, Opinion, Outcome
from ffe_core.domain.trading import Action
from ffe_core.learning.outcomes import Scoreboard, scoreboard
from ffe_core.learning.standing import one_each, scored_call

ZERO = Decimal(0)
_STEP = Decimal("1E-8")


@dataclass(frozen=True, slots=True)
class Bill:
    """What one provider's calls took. ``unpriced`` of them have no known cost, failed ones among them."""

    provider: str
    calls: int = 0
    failed: int = 0
    unpriced: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: Decimal = ZERO

    def with_call(self, opinion: Opinion) -> Bill:
        """The bill with one more call on it."""
        return replace(
            self,
            calls=self.calls + 1,
            failed=self.failed + (not opinion.is_vote),
            unpriced=self.unpriced + (opinion.cost_usd is None),
            tokens_in=self.tokens_in + (opinion.tokens_in or 0),
            tokens_out=self.tokens_out + (opinion.tokens_out or 0),
            usd=self.usd + (opinion.cost_usd or ZERO),
        )


@dataclass(frozen=True, slots=True)
class Expenses:
    """The bills of ``decisions``, of which ``unpriced`` hold a call of unknown cost, and what trades have earned.

    ``trades`` closed for ``pnl`` dollars net of fees, before the asking is paid. ``board`` scores the decisions whose
    horizon has passed, each at one unit of size.
    """

    decisions: int
    unpriced: int
    bills: tuple[Bill, ...]
    trades: int
    pnl: Decimal
    board: Scoreboard

    @property
    def usd(self) -> Decimal:
        return sum((bill.usd for bill in self.bills), ZERO)

    @property
    def per_decision(self) -> Decimal | None:
        return _ratio(self.usd, self.decisions)

    @property
    def per_trade(self) -> Decimal | None:
        """All that was asked for one trade that came and went: what was asked in vain is part of its price."""
        return _ratio(self.usd, self.trades)

    @property
    def pnl_after(self) -> Decimal | None:
        """What trades earned less what all asking cost; ``None`` where nothing was closed."""
        return self.pnl - self.usd if self.trades else None

    @property
    def break_even(self) -> Decimal | None:
        """How large a position must be for its expected gain to pay for one decision: cost / mean net return.

        ``None`` where too few decisions are scored to expect anything, and where following them loses.
        """
        edge = self.board.mean_net
        if edge is None or edge <= 0 or self.per_decision is None:
            return None
        return (self.per_decision / Decimal(repr(edge))).quantize(_STEP, ROUND_HALF_EVEN)


def expenses_of(decisions: Iterable[Decision], earned: Sequence[Decimal], outcomes: Iterable[Outcome] = ()) -> Expenses:
    """``earned``: dollars of each closed trade; ``outcomes`` that say what following the decisions would have made."""
    count = unpriced = 0
    bills: dict[str, Bill] = {}
    for decision in decisions:
        count += 1
        asked = [opinion for opinion in decision.opinions if opinion.asked]
        unpriced += any(opinion.cost_usd is None for opinion in asked)
        for opinion in asked:
            bills[opinion.provider] = bills.get(opinion.provider, Bill(opinion.provider)).with_call(opinion)
    calls = [(outcome, outcome.action) for outcome in one_each(outcomes) if outcome.action is not Action.HOLD]
    scored = [made for outcome, action in calls if (made := scored_call(outcome, action)) is not None]
    ranked = sorted(bills.values(), key=lambda bill: (-bill.usd, bill.provider))
    return Expenses(count, unpriced, tuple(ranked), len(earned), sum(earned, ZERO), scoreboard(scored))


def _ratio(amount: Decimal, count: int) -> Decimal | None:
    return (amount / count).quantize(_STEP, ROUND_HALF_EVEN) if count else None
