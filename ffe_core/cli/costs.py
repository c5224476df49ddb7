"""``ffe providers costs``: what the asking has cost, beside what it brought."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.engine import Engine
    from ffe_core.learning.expenses import Bill, Expenses

MOST = 1000
CURRENCY = "USD"


@command("costs")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=MOST,
    show_default=True,
    metavar="N",
    help="Look at so many of the newest decisions.",
)
@click.option("--synthetic", is_flag=True, help="Decisions on invented prices instead of real ones.")
def costs(session: Session, limit: int, synthetic: bool) -> None:
    """What models have cost: by provider, by decision, by closed trade, and what trades earned after it.

    Amounts are dollars by the prices of the day in ai.prices. A call whose price or tokens are not known is counted and
    never guessed, and the sum is then a lower bound. The break-even size is what a position must be worth for its
    expected gain to pay for one decision; it takes 30 scored decisions that gained on the mean (`ffe learning update`).
    """
    from ffe_core.ai.cost import Spending

    engine = session.engine
    expenses, elsewhere = _expenses(engine, limit, synthetic=synthetic)
    today = Spending(session.settings.paths.spending).spent(engine.clock.now().date())
    data = _data(expenses, synthetic=synthetic, elsewhere=elsewhere, today=today, budget=session.settings.ai.budget_usd)
    session.emit(data, lambda console: _print(console, expenses, data))


def _expenses(engine: Engine, limit: int, *, synthetic: bool) -> tuple[Expenses, int]:
    """And how many trades were closed in other currencies; without a store nothing was ever asked."""
    from ffe_core.learning.expenses import expenses_of

    store = engine.registry.store.if_there()
    if store is None:
        return expenses_of((), ()), 0
    made = [stored.decision for stored in store.newest(limit)]
    decisions = [decision for decision in made if decision.market.synthetic is synthetic]
    since = min((decision.created_at for decision in decisions), default=None)
    trades = [] if since is None else [one for one in _closed(engine, synthetic) if one.closed_at >= since]
    earned = [one.pnl for one in trades if one.asset.quote == CURRENCY]
    names = {decision.id for decision in decisions}
    outcomes = [one for one in store.outcomes(synthetic=synthetic) if one.decision_id in names]
    return expenses_of(decisions, earned, outcomes), len(trades) - len(earned)


def _closed(engine: Engine, synthetic: bool) -> list[Any]:
    from ffe_core.execution.trades import closed_trades

    journal = engine.trading().journal
    entries = [entry for entry in journal.latest(limit=None) if entry.key.synthetic is synthetic]
    fills, found = journal.fills(), []
    for key in dict.fromkeys(entry.key for entry in entries):
        ids = {entry.order.client_order_id for entry in entries if entry.key == key}
        found += closed_trades([fill for fill in fills if fill.client_order_id in ids])
    return found


def _data(
    expenses: Expenses, *, synthetic: bool, elsewhere: int, today: Decimal, budget: Decimal | None
) -> dict[str, Any]:
    return {
        "synthetic": synthetic,
        "decisions": expenses.decisions,
        "decisions_unpriced": expenses.unpriced,
        "cost_usd": expenses.usd,
        "per_decision_usd": expenses.per_decision,
        "closed_trades": expenses.trades,
        "closed_in_other_currencies": elsewhere,
        "per_trade_usd": expenses.per_trade,
        "pnl_usd": expenses.pnl if expenses.trades else None,
        "pnl_after_costs_usd": expenses.pnl_after,
        "scored": expenses.board.scored,
        "mean_net_return": expenses.board.mean_net,
        "break_even_usd": expenses.break_even,
        "today_usd": today,
        "budget_usd": budget,
        "providers": [_bill_data(bill) for bill in expenses.bills],
    }


def _bill_data(bill: Bill) -> dict[str, Any]:
    return {
        "name": bill.provider,
        "calls": bill.calls,
        "failed": bill.failed,
        "unpriced": bill.unpriced,
        "tokens_in": bill.tokens_in,
        "tokens_out": bill.tokens_out,
        "cost_usd": bill.usd,
    }


def _print(console: Console, expenses: Expenses, data: dict[str, Any]) -> None:
    from rich.text import Text

    for line in _lines(expenses, data):
        console.print(Text(line), soft_wrap=True)
    if expenses.bills:
        from rich.table import Table

        table = Table("provider", "calls", "failed", "unpriced", "tokens in", "tokens out", "cost")
        for bill in expenses.bills:
            counts = (bill.calls, bill.failed, bill.unpriced, bill.tokens_in, bill.tokens_out)
            table.add_row(Text(bill.provider), *(f"{count:,}" for count in counts), _dollars(bill.usd))
        console.print(table)


def _lines(expenses: Expenses, data: dict[str, Any]) -> list[str]:
    prices = "invented" if data["synthetic"] else "real"
    budget = "" if data["budget_usd"] is None else f" of {_dollars(data['budget_usd'])}"
    today = f"billed or set aside today: {_dollars(data['today_usd'])}{budget}"
    if not expenses.decisions:
        return [f"no decisions on {prices} prices", today]
    least = "at least " if expenses.unpriced else ""
    lines = [f"{expenses.decisions:,} decisions on {prices} prices: {least}{_dollars(expenses.usd)}"]
    lines[0] += f", {_dollars(expenses.per_decision)} each"
    if expenses.unpriced:
        lines.append(f"{expenses.unpriced:,} of them hold a call of unknown cost (`ffe config explain ai.prices`)")
    if expenses.trades:
        lines.append(
            f"{expenses.trades:,} closed trades: {_dollars(expenses.per_trade)} of asking each; earned "
            f"{_dollars(expenses.pnl)}, after asking {_dollars(expenses.pnl_after)}"
        )
    if expenses.break_even is not None:
        lines.append(
            f"a decision pays for itself from a position of {_dollars(expenses.break_even)}, by a mean net return of "
            f"{expenses.board.mean_net:+.3%} over {expenses.board.scored:,} decisions"
        )
    return [*lines, today]


def _dollars(amount: Decimal | None) -> str:
    """To the cent, and below a dollar to four digits that matter."""
    if amount is None:
        return "-"
    shown = f"{abs(amount):,.2f}" if abs(amount) >= 1 else f"{abs(amount):.4g}" if amount else "0"
    return f"{'-' if amount < 0 else ''}${shown}"
