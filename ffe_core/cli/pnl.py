"""``ffe pnl``: what closed trades have earned, net of fees, by day, week, month or asset."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.acting import reconciled
from ffe_core.cli.instants import Instant
from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.trading import ClosedTrade

COLUMNS = (
    "venue",
    "synthetic",
    "asset_pair",
    "side",
    "opened_at",
    "closed_at",
    "quantity",
    "entry_price",
    "exit_price",
    "pnl",
    "exit_reason",
)


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed trade with the account that made it."""

    venue: str
    synthetic: bool
    closed: ClosedTrade

    def data(self) -> dict[str, Any]:
        closed = self.closed
        return {
            "venue": self.venue,
            "synthetic": self.synthetic,
            "asset_pair": closed.asset.symbol,
            "side": closed.side,
            "opened_at": closed.opened_at,
            "closed_at": closed.closed_at,
            "quantity": closed.quantity,
            "entry_price": closed.entry_price,
            "exit_price": closed.exit_price,
            "pnl": closed.pnl,
            "exit_reason": closed.exit_reason,
        }


@command()
@click.option("--by", type=click.Choice(["day", "week", "month", "asset"]), default="day", show_default=True)
@click.option(
    "--since", type=Instant("first"), metavar="ISO", help="Trades that closed at or after this; a date: 00:00 UTC."
)
@click.option(
    "--csv", "file", type=click.Path(path_type=Path), metavar="FILE", help="Write the trades to this file, too."
)
def pnl(session: Session, by: str, since: datetime | None, file: Path | None) -> None:
    """What closed trades earned, net of their fees, in the quote currency.

    Days and weeks are those of UTC. What was traded on synthetic prices is listed apart and never added to the rest.
    """
    trades = [trade for trade in _trades(session) if since is None or trade.closed.closed_at >= since]
    rows = _rows(trades, by)
    if file is not None:
        _write(file, trades)
    data = {"by": by, "rows": rows, "trades": [trade.data() for trade in trades], "file": file}
    session.emit(data, lambda console: _print(console, rows, by))


def _trades(session: Session) -> list[Trade]:
    """Every reduction of a position, account by account, oldest first."""
    from ffe_core.execution.trades import closed_trades, exit_reasons

    for line in reconciled(session):
        session.warn(line)
    journal = session.engine.trading().journal
    entries, fills = journal.latest(limit=None), journal.fills()
    found: list[Trade] = []
    for key in dict.fromkeys(entry.key for entry in entries):
        ours = {entry.order.client_order_id: entry for entry in entries if entry.key == key}
        told = [fill for fill in fills if fill.client_order_id in ours]
        made = closed_trades(told, exit_reasons(ours.values(), told))
        found += [Trade(key.platform, key.synthetic, one) for one in made]
    return sorted(found, key=lambda trade: trade.closed.closed_at)


def _rows(trades: Iterable[Trade], by: str) -> list[dict[str, Any]]:
    groups: dict[tuple[str, bool, str, str], list[Decimal]] = {}
    for trade in trades:
        key = (trade.venue, trade.synthetic, trade.closed.asset.quote, _bucket(trade.closed, by))
        groups.setdefault(key, []).append(trade.closed.pnl)
    return [
        {
            "venue": venue,
            "synthetic": synthetic,
            "currency": currency,
            by: bucket,
            "trades": len(earned),
            "wins": sum(one > 0 for one in earned),
            "pnl": sum(earned, Decimal(0)),
            "best": max(earned),
            "worst": min(earned),
        }
        for (venue, synthetic, currency, bucket), earned in sorted(groups.items())
    ]


def _bucket(trade: ClosedTrade, by: str) -> str:
    at = trade.closed_at
    match by:
        case "asset":
            return trade.asset.symbol
        case "week":
            year, week, _ = at.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return f"{at:%Y-%m}"
        case _:
            return f"{at:%Y-%m-%d}"


def _write(file: Path, trades: Iterable[Trade]) -> None:
    """All of it or nothing: a report that is half there looks like a whole one."""
    import io

    from ffe_core.ai.files import replace_whole
    from ffe_core.cli.output import jsonable

    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(jsonable(trade.data()) for trade in trades)
    replace_whole(file, text.getvalue().encode())


def _print(console: Console, rows: list[dict[str, Any]], by: str) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        console.print("no closed trades")
        return
    table = Table("account", by, "trades", "wins", "earned", "", "best", "worst")
    for row in rows:
        earned: Decimal = row["pnl"]
        table.add_row(
            row["venue"] + (" (SYNTHETIC)" if row["synthetic"] else ""),
            row[by],
            str(row["trades"]),
            str(row["wins"]),
            Text(f"{earned:+,.2f}", style="green" if earned > 0 else "red" if earned < 0 else ""),
            row["currency"],
            f"{row['best']:+,.2f}",
            f"{row['worst']:+,.2f}",
        )
    console.print(table)
