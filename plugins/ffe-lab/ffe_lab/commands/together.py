"""``ffe backtest`` of several assets on shared cash."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session
from ffe_core.errors import UsageError
from ffe_lab.commands.models import with_models
from ffe_lab.commands.options import (
    account_from,
    lab_of,
    market_from,
    params_for,
    provider_from,
    remark_on_models,
    write,
    write_json,
)
from ffe_lab.commands.shown import amount, columns, hindsight, note, percent

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_lab.portfolio import Portfolio
    from ffe_lab.shared_run import Sharing

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
_ALONE = {"trials": None, "leverage": 1.0}


def sharing_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def refuse_sharing(options: Mapping[str, Any]) -> None:
    """Raises ``UsageError`` where an option of several assets was given for one."""
    for name in _NAMES:
        if options[name] is not None:
            raise UsageError(f"--{name.replace('_', '-')} is for several assets")


def together(
    session: Session, assets: tuple[str, ...], page: Path | None, output_file: Path | None, options: Mapping[str, Any]
) -> None:
    from ffe_lab.portfolio import portfolio

    for name, usual in _ALONE.items():
        if options[name] != usual:
            raise UsageError(f"--{name.replace('_', '-')} is for one asset", hint="several share one account")
    lab = lab_of(session)
    markets = [market_from(lab, asset, options) for asset in assets]
    provider = provider_from(options["providers"])
    params, sharing = params_for(lab, provider, options["params"]), _sharing(options)
    account = account_from(lab, options, markets[0].asset.kind)
    with with_models(session, lab, options) as asking:
        made = portfolio(markets, provider, params=params, sharing=sharing, lab=asking, **account)
    data = made.data(full=not options["fast"])
    if data["synthetic"]:
        session.warn("these prices are invented")
    for market in markets:
        for line in market.candles.remarks:
            session.warn(f"{market.asset}: {line}")
    remark_on_models(session, data)
    if page is not None:
        write(page, report_of(made, data))
    if output_file is not None:
        write_json(output_file, data)
    session.emit(data, lambda console: _show(data, console, page))


def _sharing(options: Mapping[str, Any]) -> Sharing:
    from ffe_lab.shared_run import Sharing

    given = {to: options[name] for name, to in _NAMES.items() if options[name] is not None}
    if "stop" in given:
        given["stop"] = float(f"{given['stop'] / 100:.12g}")
    return Sharing(**given)


def report_of(made: Portfolio, data: Mapping[str, Any]) -> str:
    from ffe_lab.backtest import isos
    from ffe_lab.report.page import html_report

    course = zip(isos(made.closes), made.held().tolist(), strict=True)
    held = {"buy_and_hold": [{"time": at, "value": value} for at, value in course]}
    return html_report(
        {**data, "baseline_equity": held}, candles=None, decisions=made.decisions(), charts=made.columns()
    )


def _show(data: Mapping[str, Any], console: Console, page: Path | None) -> None:
    from ffe_lab.report.terminal import summary

    summary(data, console)
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
    if "hindsight" in data:
        hindsight(console, data["hindsight"])
    if page is not None:
        note(console, f"report: {page}")
