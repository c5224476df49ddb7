"""``ffe dashboard``: accounts, positions, open orders and the newest decisions on one screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.acting import banner, order_data, order_table, reconciled
from ffe_core.cli.halt import standing_data
from ffe_core.cli.output import clean
from ffe_core.cli.positions import account_data, print_accounts, print_total, total_of
from ffe_core.cli.session import Session, command
from ffe_core.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.engine.holdings import Holdings
    from ffe_core.risk.states import Standing
    from ffe_core.store import DecisionSummary
    from ffe_core.store.orders import JournalEntry

#: decisions that are shown
NEWEST = 5


@command()
@click.option("--watch", type=click.IntRange(1, 3600), metavar="SECONDS", help="Look again every so many seconds.")
def dashboard(session: Session, watch: int | None) -> None:
    """Accounts, positions, open orders and the newest decisions at a glance.

    Each look asks the venues about open orders first. An account that cannot be had says so, and the others are shown.
    --watch goes on until Ctrl-C.
    """
    if watch is not None and session.json:
        raise UsageError("--watch draws a screen, and --json prints one object", hint="leave one of them out")
    if watch is None:
        look = _Look(session)
        session.emit(look.data(), look.draw)
        return
    while True:
        look = _Look(session)
        session.console.clear()
        look.draw(session.console)
        time.sleep(watch)


class _Look:
    """One look at everything."""

    def __init__(self, session: Session) -> None:
        from ffe_core.engine.holdings import holdings
        from ffe_core.risk.states import TradingStates

        self._session = session
        trading, store = session.engine.trading(), session.engine.store
        self.problems = reconciled(session)
        self.accounts: list[Holdings] = holdings(session.engine)
        self.total = total_of(session.engine, self.accounts)
        self.orders: list[JournalEntry] = trading.journal.open()
        self.decisions: list[DecisionSummary] = store.latest(NEWEST)
        self.stopped: list[Standing] = list(TradingStates(store.states).all())

    def data(self) -> dict[str, Any]:
        return {
            "mode": self._session.settings.mode,
            "stopped": [standing_data(each) for each in self.stopped],
            "problems": self.problems,
            "accounts": [account_data(held) for held in self.accounts],
            "total": self.total,
            "orders": [order_data(entry) for entry in self.orders],
            "decisions": [
                {
                    "id": made.id,
                    "as_of": made.as_of,
                    "asset_pair": made.asset_pair,
                    "action": made.action,
                    "confidence": made.confidence,
                    "executed": made.executed,
                }
                for made in self.decisions
            ],
        }

    def draw(self, console: Console) -> None:
        from rich.table import Table

        banner(self._session, console)
        for each in self.stopped:
            console.print(clean(str(each)), style="bold red", markup=False)
        for line in self.problems:
            console.print(clean(line), style="yellow", highlight=False, markup=False)
        print_accounts(console, self.accounts)
        print_total(console, self.total)
        if self.orders:
            console.print(order_table(self.orders, "open orders"))
        if self.decisions:
            table = Table("decision", "as of (UTC)", "asset", "action", "confidence", "", title="newest decisions")
            table.title_justify = "left"
            for made in self.decisions:
                table.add_row(
                    made.id[:8],
                    f"{made.as_of:%Y-%m-%d %H:%M}",
                    made.asset_pair,
                    made.action,
                    str(made.confidence),
                    "executed" if made.executed else "",
                )
            console.print(table)
