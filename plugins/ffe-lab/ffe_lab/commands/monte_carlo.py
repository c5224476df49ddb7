"""``ffe monte-carlo``: what an account might have ended with, had the past come a little otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_lab.commands.options import (
    asked,
    executor_from,
    experiment_options,
    lab_of,
    progress_bar,
    provider_from,
    remark_on_models,
)

if TYPE_CHECKING:
    from rich.console import Console


@command("monte-carlo")
@click.argument("asset")
@experiment_options
@click.option("--simulations", type=click.IntRange(min=1), default=1000, show_default=True, help="How many paths.")
@click.option(
    "--method", type=click.Choice(("noise", "bootstrap", "shuffle")), default="noise", show_default=True,
    help="Noisy bars, moves drawn in blocks, or the trades in another order.",
)  # fmt: skip
@click.option(
    "--noise-std", type=click.FloatRange(0, 1, max_open=True), default=0.001, show_default=True,
    help="Standard deviation of the factor that moves a bar, a fraction.",
)  # fmt: skip
@click.option(
    "--block", type=click.FloatRange(min=1), default=24.0, show_default=True, help="Bars of a drawn block, on average."
)
def monte_carlo(session: Session, asset: str, **options: Any) -> None:
    """Run a provider over many other courses of a market: how much of its result hangs on how things happened to come.

    The same seed gives the same answer, whatever executes it and with however many workers.
    """
    from ffe_lab.backtest import run
    from ffe_lab.montecarlo import Variation, paths_of, require_rules

    variation = Variation(options["method"], options["noise_std"], options["block"], options["seed"])
    require_rules(lab_of(session), provider_from(options["providers"]), variation)
    with executor_from(session, options) as executor:
        of = asked(session, asset, options)
        market = of.market.as_compiled()
        base = run(of.lab, market, of.provider, of.setup, params=of.params, calls=of.maker.calls(market, {}))
        with progress_bar(session, "paths") as progress:
            made = paths_of(base, of.provider, variation, options["simulations"], executor=executor, progress=progress)
    data = made.data()
    remark_on_models(session, data)
    session.emit(data, lambda console: _show(data, console))


def _show(data: dict[str, Any], console: Console) -> None:
    from ffe_lab.commands import shown

    shown.title(console, data, f"Monte Carlo, {data['simulations']} paths by {data['method']}, seed {data['seed']}")
    finals = [(f"Final balance, {name}", shown.amount(value)) for name, value in data["percentiles"].items()]
    falls = [(f"Drawdown, {name}", shown.percent(value)) for name, value in data["drawdown_percentiles"].items()]
    shown.pairs(
        console,
        [
            ("Initial balance", shown.amount(data["initial_balance"])),
            ("Base final balance", shown.amount(data["base_final_balance"])),
            *finals,
            ("Expected return", shown.amount(data["expected_return"])),
            ("VaR 95 %", shown.amount(data["var_95"])),
            ("Worst", shown.amount(data["worst"])),
            ("Best", shown.amount(data["best"])),
            ("Standard deviation", shown.amount(data["std"])),
            ("Probability of a loss", shown.percent(data["loss_probability"])),
            *falls,
        ],
    )
