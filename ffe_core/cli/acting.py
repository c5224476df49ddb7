"""What commands that send orders share: options, the banner of real money, orders and fills as data and tables."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.output import clean
from ffe_core.errors import FfeError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.cli.session import Session
    from ffe_core.domain.trading import Fill
    from ffe_core.engine.plans import Executed
    from ffe_core.store.orders import JournalEntry

live_option = click.option(
    "--live", is_flag=True, help="Use real money: needs `mode: live` and accepted credentials besides."
)


class Amount(click.ParamType[Decimal]):
    """A number above zero, exact."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            amount = Decimal("nan")
        if not (amount.is_finite() and amount > 0):
            self.fail(f"{value!r} is no number above zero", param, ctx)
        return amount


def banner(session: Session, console: Console) -> None:
    """Real money is announced on every screen that moves it."""
    from ffe_core.domain.trading import Mode

    if session.settings.mode is Mode.LIVE:
        console.print(" LIVE: REAL MONEY ", style="bold white on red")


def reconciled(session: Session) -> list[str]:
    """Asks about every account of this mode that has an open order; what could not be had, a line each.

    Without a store there is none, and nobody is asked.
    """
    engine = session.engine
    if engine.registry.store.if_there() is None:
        return []
    problems: list[str] = []
    trading = engine.trading()
    open_ = {entry.key.synthetic for entry in trading.journal.open() if entry.key.mode is engine.settings.mode}
    for synthetic in sorted(open_):
        try:
            problems += trading.reconcile(synthetic).problems
        except FfeError as error:
            problems.append(error.message)
    return problems


def order_data(entry: JournalEntry) -> dict[str, Any]:
    order, last = entry.order, entry.events[-1]
    return {
        "client_order_id": order.client_order_id,
        "decision_id": order.decision_id,
        "leg": order.leg,
        "platform": entry.key.platform,
        "asset_pair": order.asset.symbol,
        "side": order.side,
        "type": order.type,
        "quantity": order.quantity,
        "stop_price": order.stop_price,
        "target_price": order.target_price,
        "state": entry.state,
        "filled": entry.filled,
        "average_price": last.price,
        "venue_order_id": last.venue_order_id,
        "reason": last.reason,
        "created_at": entry.events[0].at,
        "changed_at": last.at,
    }


def fill_data(fill: Fill) -> dict[str, Any]:
    return {
        "venue_fill_id": fill.venue_fill_id,
        "side": fill.side,
        "quantity": fill.quantity,
        "price": fill.price,
        "fee": fill.fee,
        "fee_currency": fill.fee_currency,
        "at": fill.at,
    }


def executed_data(done: Executed) -> dict[str, Any]:
    return {
        "order": None if done.order is None else order_data(done.order),
        "fills": [fill_data(fill) for fill in done.fills],
        "protection": None if done.protection is None else order_data(done.protection),
        "remarks": list(done.remarks),
    }


def print_executed(console: Console, done: Executed) -> None:
    for fill in done.fills:
        console.print(
            f"{fill.side} {plainly(fill.quantity)} {fill.asset} at {plainly(fill.price)}, "
            f"fee {plainly(fill.fee)} {fill.fee_currency}"
        )
    if done.order is not None and not done.fills:
        console.print(f"order {done.order.order.client_order_id[:8]} is {done.order.state}")
    if done.protection is not None:
        order = done.protection.order
        levels = [f"stop {plainly(order.stop_price)}" if order.stop_price else ""]
        levels.append(f"target {plainly(order.target_price)}" if order.target_price else "")
        console.print(f"protected: {', '.join(filter(None, levels))} ({done.protection.state})")
    for remark in done.remarks:
        console.print(clean(remark), style="yellow")


def fail_in_doubt(done: Executed) -> None:
    """An order whose end is not known is neither done nor failed: the run says so and ends with 1."""
    from ffe_core.domain.trading import OrderState
    from ffe_core.errors import PlatformError

    if done.state in (OrderState.UNKNOWN, OrderState.SENT, OrderState.INTENT):
        assert done.order is not None  # noqa: S101 - only an order has a state
        raise PlatformError(
            f"nobody knows yet what became of order {done.order.order.client_order_id}: {done.order.events[-1].reason}",
            hint="`ffe orders` asks the venue; until it has answered, nothing more is opened in that asset",
        )


def order_table(entries: Iterable[JournalEntry], title: str) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("order", "leg", "asset", "side", "quantity", "filled", "price", "state", "why", title=title)
    table.title_justify = "left"
    for entry in entries:
        order, last = entry.order, entry.events[-1]
        table.add_row(
            order.client_order_id[:8],
            order.leg,
            order.asset.symbol,
            order.side.value,
            plainly(order.quantity),
            plainly(entry.filled),
            "-" if last.price is None else plainly(last.price),
            entry.state.value,
            Text(clean(last.reason)),
        )
    return table


def plainly(value: Decimal) -> str:
    """Without an exponent and without zeros that say nothing."""
    return f"{value.normalize():f}"
