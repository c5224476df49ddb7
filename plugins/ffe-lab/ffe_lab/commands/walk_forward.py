"""``ffe walk-forward``: parameters chosen on one part of the past and judged on the next."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_lab.commands.options import (
    asked,
    executor_from,
    experiment_options,
    progress_bar,
    remark_on_models,
    space_from,
    space_options,
)

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_lab.market import Market
    from ffe_lab.windows import Lengths

_STYLES = {"NONE": "green", "LOW": "green", "MEDIUM": "yellow", "HIGH": "bold red"}


@command("walk-forward")
@click.argument("asset")
@experiment_options
@space_options
@click.option(
    "--ratio", "--train-ratio", "ratio", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.7,
    show_default=True, help="Share of the span that is for training; lengths of windows follow from it.",
)  # fmt: skip
@click.option("--train-days", type=click.IntRange(min=1), help="Days of training in each window.")
@click.option("--test-days", type=click.IntRange(min=1), help="Days of test in each window.")
@click.option("--step-days", type=click.IntRange(min=1), help="Days from one window to the next.")
@click.option(
    "--embargo-days", type=click.IntRange(min=0), default=1, show_default=True, help="Days between training and test."
)
@click.option(
    "--purge-days", type=click.IntRange(min=0), default=0, show_default=True,
    help="Days at the end of the training that are not learned from.",
)  # fmt: skip
@click.option("--draws", type=click.IntRange(min=1), help="Try so many combinations by lot instead of all.")
@click.option("--trials", type=click.IntRange(min=1), help="How many were tried, instead of the ledger's count.")
def walk_forward(session: Session, asset: str, **options: Any) -> None:
    """Choose parameters on one part of the past and judge them on the next, window after window.

    Without --space half, once and twice each number of the provider are tried, of a panel the ways to vote. The
    headline is the tests, stitched together; what training shows is IN-SAMPLE.
    """
    from ffe_lab.walkforward import walk_over

    with executor_from(session, options) as executor:
        of = asked(session, asset, options)
        with progress_bar(session, "windows") as progress:
            made = walk_over(
                of.lab, of.market, of.provider, of.setup, space_from(options["space"]),
                lengths=lengths_from(of.market, options), draws=options["draws"], trials=options["trials"],
                params=of.params, executor=executor, progress=progress, maker=of.maker,
            )  # fmt: skip
    data = made.data()
    remark_on_models(session, data)
    session.emit(data, lambda console: _show(data, console))


def lengths_from(market: Market, options: dict[str, Any]) -> Lengths:
    """From days where any were typed, else from the ratio. Raises ``UsageError`` for a span that is too short."""
    from ffe_lab.walkforward import days_of
    from ffe_lab.windows import Lengths, lengths_of

    given = {name: options[f"{name}_days"] for name in ("train", "test", "step") if options[f"{name}_days"]}
    apart = {"embargo": options["embargo_days"], "purge": options["purge_days"]}
    if given:
        return replace(Lengths(), **given, **apart)
    first, last = days_of(market)
    return lengths_of((last - first).days, options["ratio"], **apart)


def _show(data: dict[str, Any], console: Console) -> None:
    from ffe_lab.commands import shown

    shown.title(console, data, f"walk-forward, {len(data['windows'])} windows")
    rows = [
        (
            each["test"]["start"][:10], each["test"]["end"][:10], shown.point(each["params"]),
            shown.ratio(each["train"]["sharpe"]), shown.ratio(each["test"]["sharpe"]),
            shown.percent(each["test"]["metrics"]["total_return"]), shown.percent(each["test"]["metrics"]["win_rate"]),
        )
        for each in data["windows"]
    ]  # fmt: skip
    heads = ("test from", "to", "chosen", "train Sharpe (IN-SAMPLE)", "test Sharpe", "test return", "test win rate")
    shown.columns(console, heads, rows)
    metrics, found = data["metrics"], data["overfitting"]
    shown.pairs(
        console,
        [
            ("Stitched tests, return", shown.percent(metrics["total_return"])),
            ("Stitched tests, Sharpe", shown.ratio(metrics["sharpe"])),
            ("Stitched tests, drawdown", shown.percent(metrics["max_drawdown"])),
            ("Deflated Sharpe ratio", f"{shown.percent(metrics['dsr'])} after {metrics['trials']} tried"),
            ("Average test Sharpe", shown.ratio(data["average_test_sharpe"])),
            ("Average test return", shown.percent(data["average_test_return"])),
            ("Average test win rate", shown.percent(data["average_test_win_rate"])),
        ],
    )
    shown.note(console, f"Overfitting: {found['severity']}. {found['recommendation']}", _STYLES[found["severity"]])
