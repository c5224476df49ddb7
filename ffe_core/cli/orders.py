"""``ffe orders``: what was sent, what became of it, and taking it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ffe_core.cli.acting import banner, live_option, order_data, order_table, reconciled
from ffe_core.cli.session import Session, group
from ffe_core.errors import FfeError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.store.orders import JournalEntry


@group(invoke_without_command=True)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="The newest so many.")
@click.pass_context
def orders(ctx: click.Context, session: Session, limit: int) -> None:
    """List orders, newest last, after asking the venue about those whose end is not known.

    A failed question changes nothing: such an order stays as it is, and the run says so.
    """
    if ctx.invoked_subcommand is not None:
        return
    problems = reconciled(session)
    for line in problems:
        session.warn(line)
    entries = session.engine.trading().journal.latest(limit)

    def show(console: Console) -> None:
        banner(session, console)
        console.print(order_table(entries, "orders") if entries else "no orders")

    session.emit({"orders": [order_data(entry) for entry in entries], "problems": problems}, show)


@orders.command()
@click.argument("order_id", metavar="[ID]", required=False)
@click.option("--all", "everything", is_flag=True, help="Every order that is still open.")
@live_option
def cancel(session: Session, order_id: str | None, everything: bool, live: bool) -> None:
    """Take an open order back; an unambiguous beginning of its id is enough. Works in every trading state."""
    if (order_id is None) is not everything:
        raise UsageError("say which order to cancel, or --all")
    trading = session.engine.trading(live=live)
    wanted = [entry for entry in trading.journal.open() if everything or _is_meant(entry, order_id)]
    if not everything and len(wanted) != 1:
        what = "no open order begins" if not wanted else f"{len(wanted)} open orders begin"
        raise UsageError(f"{what} with {order_id}", hint="`ffe orders` lists them")
    done: list[JournalEntry] = []
    failed: list[FfeError] = []
    for entry in wanted:
        try:
            done.append(trading.cancel(entry, trading.venue(entry.key.synthetic)))
        except FfeError as error:
            failed.append(error)
            session.warn(f"{entry.order.client_order_id}: {error.message}")

    def show(console: Console) -> None:
        banner(session, console)
        console.print(order_table(done, "cancelled") if done else "nothing to cancel")

    session.emit({"orders": [order_data(entry) for entry in done], "errors": [e.message for e in failed]}, show)
    if failed:
        raise failed[0]


def _is_meant(entry: JournalEntry, order_id: str | None) -> bool:
    return order_id is not None and entry.order.client_order_id.startswith(order_id.lower())
