"""How the experiments' results look on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ffe_core.domain.text import clean

if TYPE_CHECKING:
    from rich.console import Console

NOT_SHOWN = "not shown"


def title(console: Console, data: Mapping[str, Any], what: str) -> None:
    from rich.text import Text

    if data["synthetic"]:
        console.print(Text("SYNTHETIC: these prices are invented", style="bold magenta"))
    made = f"{data['asset_pair']} {data['timeframe']} {data['provider']}: {what}"
    console.print(Text(clean(made), style="bold"))
    console.print(Text(f"{data['start'][:10]} to {data['end'][:10]}, {data['metrics_basis']['formula']}", style="dim"))


def pairs(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows:
        table.add_row(name, clean(value))
    console.print(table)


def columns(console: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(clean(name), justify="right")
    for row in rows:
        table.add_row(*map(clean, row))
    console.print(table)


def note(console: Console, text: str, style: str = "") -> None:
    from rich.text import Text

    console.print(Text(clean(text), style=style))


def hindsight(console: Console, told: Mapping[str, Any]) -> None:
    """What models said of times that they may have read about beside what they said of times that came after."""
    for side in ("clean", "contaminated"):
        column = told[side]
        shown = {name: _signed(column[name]) for name in ("mean_net_return", "total_return")}
        note(
            console,
            f"{side}: {column['decisions']} decisions, {column['actions']} actions, mean net return "
            f"{shown['mean_net_return']}; {column['days']} days, return {shown['total_return']}, "
            f"{column['trades']} trades",
        )
    note(console, f"alpha decay {_signed(told['alpha_decay'])}")


def _signed(value: float | None) -> str:
    return NOT_SHOWN if value is None else f"{value:+.2%}"


def amount(value: float | None) -> str:
    return NOT_SHOWN if value is None else f"{value:,.2f}"


def ratio(value: float | None) -> str:
    return NOT_SHOWN if value is None else f"{value:.2f}"


def percent(value: float | None) -> str:
    return NOT_SHOWN if value is None else f"{value * 100:.2f} %"


def point(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "nothing to choose"
