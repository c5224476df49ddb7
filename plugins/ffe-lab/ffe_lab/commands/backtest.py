"""``ffe backtest``: what a provider would have done with an account."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.output import Written
from ffe_core.cli.session import Session, command
from ffe_lab.commands.models import model_options, with_models
from ffe_lab.commands.options import (
    account_options,
    lab_of,
    maker_options,
    market_from,
    market_options,
    params_for,
    provider_from,
    setup_from,
    write,
    write_json,
)
from ffe_lab.commands.shown import hindsight
from ffe_lab.commands.together import refuse_sharing, sharing_options, together

if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest


@command()
@click.argument("assets", metavar="ASSET...", nargs=-1, required=True)
@market_options
@maker_options
@account_options
@model_options
@sharing_options
@click.option(
    "--trials", type=click.IntRange(min=1), help="How many configurations were tried, instead of the ledger's count."
)
@click.option("--fast", is_flag=True, help="Leave out intervals, baselines and cost sensitivity, which take longest.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path), metavar="FILE", help="Write a report that needs no network."
)
@click.option(
    "--output-file", type=click.Path(path_type=Path), metavar="FILE", help="Write what --json prints to a file."
)
def backtest(
    session: Session, assets: tuple[str, ...], page: Path | None, output_file: Path | None, **options: Any
) -> None:
    """Show what a provider would have made of a market, after costs, beside what doing nothing clever brings.

    Rules answer for all bars at once; models are asked at every close what a live decision would ask them, and their
    answers are kept. A panel is combined as a live decision combines it. Percentages are in percent, everything that is
    printed by --json is a fraction.

    Several assets share one account: positions that move alike are made smaller, and a drawdown of all ends the run.
    """
    if len(assets) > 1:
        together(session, assets, page, output_file, options)
        return
    refuse_sharing(options)
    from ffe_lab.backtest import run

    lab = lab_of(session)
    market = market_from(lab, assets[0], options)
    if market.candles.synthetic:
        session.warn("these prices are invented")
    setup = setup_from(lab, options, market.asset.kind)
    provider = provider_from(options["providers"])
    params = params_for(lab, provider, options["params"])
    with with_models(session, lab, options) as asking:
        made = run(asking, market, provider, setup, params=params)
    made = with_trials(made, options["trials"])
    full, alone = not options["fast"], session.json and page is None and output_file is None
    data = made.told(Written(made.points_text()), full=full) if alone else made.data(full=full)
    for line in (*market.candles.remarks, *remarks_on_models(data)):
        session.warn(line)
    if page is not None:
        write(page, report_of(made, data))
    if output_file is not None:
        write_json(output_file, data)
    session.emit(data, lambda console: _show(data, console, page))


def remarks_on_models(data: dict[str, Any]) -> list[str]:
    """What is to be known of a run with models in it, a line each."""
    if "ai" not in data:
        return []
    lines = [f"{name} is left out: {why}" for name, why in data["ai"]["left_out"].items()]
    counts = {name: told["failures"] for name, told in data["ai"]["providers"].items() if told["failures"]}
    lines += [f"{name} gave no usable answer at {count} closes" for name, count in counts.items()]
    tainted, all_of_them = data["hindsight"]["contaminated"]["decisions"], data["ai"]["decisions"]
    if tainted:
        lines.append(
            f"{tainted} of {all_of_them} decisions are of times that a model may have read about: memory, not skill; "
            "ai.cutoffs says when its training ended"
        )
    return lines


def with_trials(made: Backtest, pinned: int | None) -> Backtest:
    """The run after the ledger has counted it: how much of its Sharpe ratio many attempts alone would bring."""
    from ffe_lab.backtest import configuration, measured_again
    from ffe_lab.metrics import sharpe_per_period
    from ffe_lab.returns import daily_rate
    from ffe_lab.trials import Span

    rate = daily_rate(made.basis.risk_free, made.basis.periods_per_year)
    span = Span(int(made.time[0]), int(made.closes[-1]))
    sharpe = sharpe_per_period(made.daily.returns, rate)
    tried = made.lab.ledger.record(made.market.asset.symbol, span, {configuration(made): sharpe}, pinned=pinned)
    return measured_again(made, tried)


def report_of(made: Backtest, data: dict[str, Any]) -> str:
    from ffe_lab.report.page import html_report

    market, first = made.market, made.market.first
    columns = {name: getattr(market, name)[first:].tolist() for name in ("time", "open", "high", "low", "close")}
    return html_report(data, candles=columns, decisions=made.decisions())


def _show(data: dict[str, Any], console: Any, page: Path | None) -> None:
    from ffe_lab.report.terminal import summary

    summary(data, console)
    if "hindsight" in data:
        hindsight(console, data["hindsight"])
    if page is not None:
        console.print(f"report: {page}", markup=False)
