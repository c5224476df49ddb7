"""``ffe backtest`` of several assets on shared cash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session
from ffe_core.errors import UsageError
from ffe_lab.commands.options import (
    lab_of,
    market_from,
    params_for,
    provider_from,
    setup_from,
    write_json,
)
from ffe_lab.commands.shown import amount, columns, note, pairs, percent, ratio

if TYPE_CHECKING:
    from rich.console import Console

_OPTIONS = (
    click.option("--join", type=click.Choice(("intersection", "union")), help="Several assets: on whose dates."),
    click.option(
        "--correlation-threshold", type=click.FloatRange(0, 1), help="Several assets: from here on positions shrink."
    ),
    click.option("--max-positions", type=click.IntRange(min=1), help="Several assets: how many may be held at a time."),
    click.option(
        "--portfolio-stop-percentage", type=click.FloatRange(0, 100, max_open=True),
        help="Several assets: the drawdown that closes everything; 0 for none.",
    ),
)  # fmt: skip
_NAMES = {
    "join": "join",
    "correlation_threshold": "threshold",
    "max_positions": "most_positions",
    "portfolio_stop_percentage": "stop",
}
#: options that say how one asset is traded
_ALONE = {"sizing": None, "gate": None, "trials": None, "leverage": 1.0, "cassette": "off", "live_ai": False}


def sharing_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_sharing(options: Mapping[str, Any]) -> None:
    """Raises ``UsageError`` where an option of several assets was given for one."""
    for name in _NAMES:
        if options[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for several assets")


def together(session: Session, assets: tuple[str, ...], output_file: Path | None, options: Mapping[str, Any]) -> None:
    from ffe_lab.portfolio import Sharing, portfolio

    for name, usual in _ALONE.items():
        # Without the gate is how several are simulated, whether it is said or not.
        if options[name] != usual and not (name == "gate" and options[name] is False):
            raise UsageError(f"--{name.replace('_', '-')} is for one asset", hint="several share one account")
    lab = lab_of(session)
    markets = [market_from(lab, asset, options) for asset in assets]
    given = {to: options[name] for name, to in _NAMES.items() if options[name] is not None}
    if "stop" in given:
        given["stop"] = float(f"{given['stop'] / 100:.12g}")
    # What is left of the account's options means the same for one asset and for several.
    setup = setup_from(lab, {**options, "gate": False}, markets[0].asset.kind)
    provider = provider_from(options["providers"])
    made = portfolio(
        markets,
        provider,
        params=params_for(lab, provider, options["params"]),
        sharing=Sharing(**given),
        costs=setup.costs,
        stop=None if options["stop_loss_percentage"] is None else float(setup.exits.fallback),
        target=float(setup.exits.target),
        initial_balance=setup.initial_balance,
        allow_short=setup.sizing.allow_short,
        lab=lab,
    )
    data = made.data()
    if data["synthetic"]:
        session.warn("these prices are invented")
    for market in markets:
        for line in market.candles.remarks:
            session.warn(f"{market.asset}: {line}")
    if output_file is not None:
        write_json(output_file, data)
    session.emit(data, lambda console: _show(data, console))


def _show(data: Mapping[str, Any], console: Console) -> None:
    metrics = data["metrics"]
    note(console, f"{', '.join(data['asset_pairs'])} {data['timeframe']} {data['provider']}: a shared account", "bold")
    note(console, f"{data['start'][:10]} to {data['end'][:10]}, {data['metrics_basis']['formula']}", "dim")
    pairs(
        console,
        (
            ("final value", amount(metrics["final_value"])),
            ("total return", percent(metrics["total_return"])),
            ("Sharpe ratio", ratio(metrics["sharpe"])),
            ("largest drawdown", percent(metrics["max_drawdown"])),
            ("trades", f"{metrics['total_trades']:,}"),
            ("win rate", percent(metrics["win_rate"])),
        ),
    )
    rows = [
        (
            name,
            amount(float(each["pnl"])),
            f"{each['trades']:,}",
            percent(each["win_rate"]),
            percent(each["contribution"]),
        )
        for name, each in data["attribution"].items()
    ]
    columns(console, ("asset", "net result", "trades", "win rate", "of the whole"), rows)
    if data["portfolio_stop"]:
        note(console, f"the portfolio stop closed everything at {data['end']}")
    for line in data["assumptions"]:
        note(console, line, "dim")
