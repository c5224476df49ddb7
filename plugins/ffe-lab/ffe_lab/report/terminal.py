"""A backtest as a screenful: what it made, against what, how sure that is, and what was taken for granted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ffe_core.domain.text import clean
from ffe_lab.report.plot import plot
from ffe_lab.report.run import BUY_AND_HOLD, Run
from ffe_lab.report.tables import chance
from ffe_lab.report.told import fingerprints_of, lead, span, title_of, warnings
from ffe_lab.report.trade_list import exit_reasons
from ffe_lab.report.wording import FIGURES, between, decisive, money, name_of, number, percent, reason_missing, worded

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHOWN = (
    "final_value",
    "total_return",
    "annual_return",
    "annual_volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "total_trades",
    "win_rate",
    "profit_factor",
    "total_fees",
    "exposure",
    "psr",
    "dsr",
)
#: assumptions that are shown at most; the others are in the page and in JSON
ASSUMED = 8
_WIDEST, _HEIGHT = 100, 8


def summary(data: Mapping[str, Any], console: Console) -> None:
    """Prints a run: ``data`` is the ``data`` object of ``ffe backtest --json``, or that of ``html_report``.

    The equity is plotted as wide as the terminal; where that knows no UTF-8, all of the frame is ASCII.
    """
    from rich.text import Text

    run = Run.of(data, None)
    for word, why in warnings(data):
        console.print(Text(f"{word}: {clean(why)}", style="bold magenta"))
    console.print(Text(clean(title_of(data)), style="bold"))
    console.print(Text(clean(span(data)), style="dim"))
    console.print(Text(lead(run)))
    for line in plot(
        run.equity, width=min(console.width, _WIDEST), height=_HEIGHT, ascii_only=console.options.ascii_only
    ):
        console.print(Text(line), no_wrap=True, crop=True)
    console.print(_metrics(run))
    for line in chance(run):
        console.print(Text(clean(line)))
    if run.trades:
        console.print(_endings(run))
    if data.get("cost_sensitivity"):
        console.print(_costs(data))
    _print_assumptions(console, data)
    basis = run.basis
    console.print(
        Text(f"metrics: {basis.frequency}, {basis.periods_per_year} a year, risk-free {percent(basis.risk_free)}")
    )
    for told in fingerprints_of(data):
        console.print(Text(f"data {clean(told)}", style="dim"))


def _table(*heads: str, title: str) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for at, head in enumerate(heads):
        table.add_column(head, justify="right" if at else "left", overflow="fold")
    return table


def _metrics(run: Run) -> Table:
    """The headline metrics; a column of intervals or of buy and hold only where there are any."""
    held = run.baselines.get(BUY_AND_HOLD)
    heads = ["metric", "this run", *(["95 % interval"] if run.intervals else []), *(["buy and hold"] if held else [])]
    table = _table(*heads, title="metrics")
    for key in (key for key in _SHOWN if key in run.metrics):
        value = run.metrics[key]
        told = worded(key, value)
        if number(value) is None:
            told = f"{told}: {reason_missing(key, run.data, len(run.days))}"
        cells = [FIGURES[key].label, told]
        cells += [between(key, run.intervals.get(key)) or ""] if run.intervals else []
        cells += [worded(key, held.get(key))] if held else []
        table.add_row(*cells)
    return table


def _endings(run: Run) -> Table:
    table = _table("how trades ended", "trades", "net result", title="trades")
    for reason, count, result in exit_reasons(run.trades):
        table.add_row(clean(reason), f"{count:,}", money(result))
    return table


def _costs(data: Mapping[str, Any]) -> Table:
    table = _table("costs", "fee", "slippage", "total return", title="what costs do to it")
    for row in data["cost_sensitivity"]:
        fee, slippage = (number(row.get(key)) for key in ("fee", "slippage"))
        rates = ("-" if rate is None else percent(rate, sign=False, digits=3) for rate in (fee, slippage))
        table.add_row(
            clean(name_of(row["name"])), *rates, worded("total_return", (row.get("metrics") or {}).get("total_return"))
        )
    return table


def _print_assumptions(console: Console, data: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    told = data["assumptions"]
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.title, grid.title_justify = "assumptions", "left"
    grid.add_column(justify="right")
    grid.add_column(overflow="fold")
    shown = decisive(told, ASSUMED)
    for at, line in shown:
        grid.add_row(f"{at}.", Text(clean(line)))
    if len(told) > len(shown):
        grid.add_row("", Text(f"and {len(told) - len(shown)} more: --html FILE or --json", style="dim"))
    console.print(grid)
