"""``ffe compare``: whether one way of deciding is better than another, and what each part contributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_lab.commands.models import model_options, with_models
from ffe_lab.commands.options import (
    account_options,
    lab_of,
    maker_options,
    market_from,
    market_options,
    provider_from,
    remark,
    setup_from,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ffe_lab.compare import Compared
    from ffe_lab.lab import Lab
    from ffe_lab.market import Market


@command()
@click.argument("asset")
@click.option(
    "--by", type=click.Choice(("provider", "rule", "debate")), default="provider", show_default=True,
    help="provider: each against each and against the panel; rule: the account without each risk rule; debate: the "
    "panel as it votes and as it debates.",
)  # fmt: skip
@market_options
@maker_options
@account_options
@model_options
def compare(session: Session, asset: str, by: str, **options: Any) -> None:
    """Say whether one decision maker is better than another on the same closes, or that it is not shown.

    Hits are compared by McNemar's exact test, probabilities by the test of Diebold and Mariano on Brier scores, all of
    them corrected by Holm. What models said is taken from the cassette, however it is combined.
    """
    lab = lab_of(session)
    market = market_from(lab, asset, options)
    remark(session, market)
    if options["params"]:
        raise click.UsageError("parameters are those of one provider, and here several are compared")
    with with_models(session, lab, options) as asking:
        found = _found(asking, market, by, options)
    session.emit(found.data(), lambda console: _show(found, console))


def _found(lab: Lab, market: Market, by: str, options: dict[str, Any]) -> Compared:
    from ffe_lab import compare as comparing

    setup = setup_from(lab, options, market.asset.kind)
    names, seed = options["providers"], options["seed"]
    if by == "rule":
        return comparing.by_rule(lab, market, provider_from(names), setup, seed=seed)
    if by == "debate":
        return comparing.by_debate(lab, market, names, setup)
    return comparing.by_provider(lab, market, names, setup, seed=seed)


def _show(found: Compared, console: Console) -> None:
    console.print(_runs(found))
    for pair in found.pairs:
        brier = "" if pair.adjusted_brier is None else f", Brier p {pair.adjusted_brier:.3f}"
        console.print(
            f"{pair.first} against {pair.second}: {pair.relation} ({pair.pairs} decisions, hits p "
            f"{pair.adjusted_hits:.3f}{brier})",
            markup=False,
        )
    if found.contributions:
        console.print(_contributions(found))


def _runs(found: Compared) -> Table:
    from rich.table import Table

    table = Table(title=f"by {found.by}", title_justify="left")
    for head in ("", "return", "drawdown", "trades", "hit rate"):
        table.add_column(head, justify="right" if head else "left")
    for row in found.data()["runs"]:
        rate = "not shown" if row["hit_rate"] is None else f"{row['hit_rate']:.1%} of {row['called']}"
        table.add_row(
            row["name"], f"{row['total_return']:+.2%}", f"{row['max_drawdown']:.2%}", str(row["total_trades"]), rate
        )
    return table


def _contributions(found: Compared) -> Table:
    from rich.table import Table

    table = Table(title="without it", title_justify="left")
    for head in ("", "acted", "return", "95 %", "drawdown", "95 %", "trades"):
        table.add_column(head, justify="right" if head else "left")
    for each in found.contributions:
        table.add_row(
            each.without,
            "" if each.acted is None else str(each.acted),
            f"{each.total_return:+.2%}",
            _between(each.total_return_interval),
            f"{each.max_drawdown:+.2%}",
            _between(each.max_drawdown_interval),
            f"{each.trades:+d}",
        )
    return table


def _between(interval: tuple[float, float] | None) -> str:
    return "not shown" if interval is None else f"{interval[0]:+.2%} to {interval[1]:+.2%}"
