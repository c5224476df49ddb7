"""``ffe optimize``: the parameters that would have done best."""

from __future__ import annotations

from pathlib import Path
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

    from ffe_lab.optimise import Optimisation

_FILE = click.Path(path_type=Path, dir_okay=False)
_FRONT = 10


@command()
@click.argument("asset")
@experiment_options
@space_options
@click.option(
    "--search", type=click.Choice(("grid", "random", "tpe")),
    help="How to look; default tpe where Optuna is installed, else random.",
)  # fmt: skip
@click.option("--n-trials", type=click.IntRange(min=1), default=50, show_default=True, help="How many to try.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), help="Seconds after which to stop looking.")
@click.option("--optimize-weights", is_flag=True, help="Try the weights of a panel's members too, 0.1 to 1 each.")
@click.option("--multi-objective", is_flag=True, help="Look for shallow drawdowns too, and show the Pareto front.")
@click.option("--best", "best_file", type=_FILE, metavar="FILE", help="Write the best as settings for --config.")
@click.option("--history", "history_file", type=_FILE, metavar="FILE", help="Write all trials, as .csv or .json.")
def optimize(session: Session, asset: str, best_file: Path | None, history_file: Path | None, **options: Any) -> None:
    """Look for the parameters of a provider and of the account that would have done best.

    What is found is IN-SAMPLE: it is the best of many, and its deflated Sharpe ratio says what that is worth. Without
    --space the provider's numbers are tried from half to twice their value, of a panel the way it votes, and stops,
    targets and risk around the usual.
    """
    from ffe_lab.optimise import optimize_over

    with executor_from(session, options) as executor:
        of = asked(session, asset, options)
        with progress_bar(session, "trials") as progress:
            made = optimize_over(
                of.lab, of.market, of.provider, of.setup, space_from(options["space"]),
                trials=options["n_trials"], search=options["search"], multi_objective=options["multi_objective"],
                params=of.params, executor=executor, seed=options["seed"], timeout=options["timeout"],
                weights=options["optimize_weights"], progress=progress, maker=of.maker,
            )  # fmt: skip
    _write(made, best_file, history_file)
    data = made.data()
    remark_on_models(session, data)
    session.emit(data, lambda console: _show(made, console, best_file))


def _write(made: Optimisation, best_file: Path | None, history_file: Path | None) -> None:
    from ffe_lab.commands.options import write

    if best_file is not None:
        write(best_file, made.config_text())
    if history_file is not None:
        write(history_file, history_text(made, history_file.suffix))


def history_text(made: Optimisation, suffix: str) -> str:
    """All trials as CSV where the file is named so, else as JSON."""
    import json

    if suffix.lower() == ".csv":
        return made.frame().to_csv()
    return json.dumps(made.history(), indent=1, allow_nan=False) + "\n"


def _show(made: Optimisation, console: Console, best_file: Path | None) -> None:
    from ffe_lab.commands import shown

    data = made.data()
    shown.title(console, data, f"the best of {data['trials']} trials ({data['search']}, seed {data['seed']})")
    shown.note(console, "IN-SAMPLE: looked for in the very span that it is measured on", "bold yellow")
    rows = [
        (
            shown.point(each["params"]), shown.ratio(each["sharpe"]), shown.percent(each["total_return"]),
            shown.percent(each["max_drawdown"]), str(each["total_trades"]),
        )
        for each in data["front"][:_FRONT]
    ]  # fmt: skip
    shown.columns(console, ("parameters", "Sharpe", "return", "drawdown", "trades"), rows)
    metrics = data["metrics"]
    shown.pairs(
        console,
        [
            ("Deflated Sharpe ratio", f"{shown.percent(metrics['dsr'])} after {metrics['trials']} tried"),
            ("Trials that failed", str(data["failed"])),
        ],
    )
    if best_file is None:
        shown.note(console, made.config_text().rstrip())
    else:
        shown.note(console, f"settings: {best_file}; use them with ffe --config {best_file}")
