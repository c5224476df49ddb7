"""What the lab's commands ask for alike: a market, a decision maker, an account."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.instants import Instant
from ffe_core.errors import UsageError

if TYPE_CHECKING:
    from ffe_core.cli.session import Session
    from ffe_lab.costs import Costs
    from ffe_lab.lab import Lab
    from ffe_lab.market import Market
    from ffe_lab.simulate import Setup

SIZINGS = ("risk", "fixed_fraction", "fixed_amount", "kelly", "all_in")

_MARKET = (
    click.option("--source", metavar="NAME", help="Read bars from this source alone."),
    click.option(
        "--start", "--start-date", "start", type=Instant("first"), metavar="DATE", help="First bar that is traded."
    ),
    click.option(
        "--end", "--end-date", "end", type=Instant("after"), metavar="DATE", help="Last day (UTC), or an instant."
    ),
    click.option("--timeframe", metavar="TF", help="Bars that decisions are made on; default decision.timeframe."),
)
_MAKER = (
    click.option(
        "--provider", "providers", multiple=True, metavar="NAME",
        help="Who decides; repeatable for a panel, `ensemble` is the configured one.",
    ),
    click.option(
        "--param", "params", multiple=True, metavar="NAME=VALUE", help="A parameter of the provider; repeatable."
    ),
)  # fmt: skip
_PERCENT = click.FloatRange(min=0, max=50, max_open=True)
_ACCOUNT = (
    click.option("--initial-balance", type=click.FloatRange(min=0, min_open=True), help="What there is at the start."),
    click.option("--fee-percentage", type=_PERCENT, help="Fee per fill, in percent of its value."),
    click.option("--slippage-percentage", type=_PERCENT, help="How much worse than quoted a fill is, in percent."),
    click.option("--commission-per-trade", type=click.FloatRange(min=0), help="Fixed amount per fill."),
    click.option("--fee-tiers", is_flag=True, help="Taker and maker fees of the asset's usual venue."),
    click.option("--execution", type=click.Choice(("basic", "realistic")), help="The model of slippage and latency."),
    click.option(
        "--stop-loss-percentage", type=click.FloatRange(min=0, max=100, max_open=True),
        help="Fixed stop, in percent of the fill price; 0 for none.",
    ),
    click.option(
        "--take-profit-percentage", type=click.FloatRange(min=0),
        help="Target, in percent of the fill price; 0 for none.",
    ),
    click.option("--sizing", type=click.Choice(SIZINGS), help="How much goes into an entry."),
    click.option("--gate/--no-gate", default=None, help="Whether the risk rules judge every entry."),
    click.option("--allow-short", is_flag=True, default=None, help="Let a SELL without a position open a short one."),
    click.option("--leverage", type=click.FloatRange(1, 100), default=1.0, help="1 borrows nothing."),
    click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn."),
)  # fmt: skip


def options(*groups: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        for option in reversed([each for group in groups for each in group]):
            function = option(function)
        return function

    return decorate


market_options = options(_MARKET)
maker_options = options(_MAKER)
account_options = options(_ACCOUNT)


def lab_of(session: Session) -> Lab:
    from ffe_lab.lab import Lab

    return Lab(session.engine)


def market_from(lab: Lab, asset: str, options: Mapping[str, Any]) -> Market:
    """Raises ``UsageError`` for dates that are no span, ``NoData`` where nothing is in it."""
    from ffe_core import Timeframe
    from ffe_lab.machine import COMPILED_PAYS_FROM

    start, end = options["start"], options["end"]
    require_span(start, end)
    market = lab.market(
        lab.engine.asset(asset), timeframe_of(options["timeframe"], Timeframe), start=start, end=end,
        source=options["source"],
    )  # fmt: skip
    return market.as_compiled() if len(market.candles) >= COMPILED_PAYS_FROM else market


def require_span(start: datetime | None, end: datetime | None, now: datetime | None = None) -> None:
    """Raises ``UsageError`` for a start at or after the end, and for one that lies in the future."""
    if start is not None and end is not None and start >= end:
        raise UsageError(f"the span ends ({end:%Y-%m-%d %H:%M}) before it starts ({start:%Y-%m-%d %H:%M})")
    if start is not None and start > (now or datetime.now(UTC)):
        raise UsageError(f"the span starts in the future ({start:%Y-%m-%d})")


def timeframe_of(text: str | None, kind: Any) -> Any:
    if text is None:
        return None
    try:
        return kind(text.strip().lower())
    except ValueError:
        known = ", ".join(each.value for each in kind)
        raise UsageError(f"{text!r} is no timeframe; there are {known}") from None


def setup_from(lab: Lab, options: Mapping[str, Any], kind: Any) -> Setup:
    return lab.setup(
        costs=costs_from(lab, options, kind),
        sizing=options["sizing"],
        gate=options["gate"],
        stop=_share(options["stop_loss_percentage"]),
        target=_share(options["take_profit_percentage"]),
        initial_balance=options["initial_balance"],
        allow_short=options["allow_short"],
        leverage=options["leverage"],
        seed=options["seed"],
    )


def costs_from(lab: Lab, options: Mapping[str, Any], kind: Any) -> Costs:
    from ffe_lab.costs import Costs

    base = Costs.of(lab.settings)
    if options["fee_tiers"]:
        base = Costs.tiered(kind, slippage=base.slippage, commission=base.commission)
    given = {
        "fee": _share(options["fee_percentage"]),
        "slippage": _share(options["slippage_percentage"]),
        "commission": options["commission_per_trade"],
        "model": options["execution"] or lab.own.execution,
    }
    if given["fee"] is not None:
        given["maker"] = given["fee"]
    return replace(base, **{name: value for name, value in given.items() if value is not None})


def _share(percent: float | None) -> float | None:
    """A fraction that reads like the percentage that was typed: 0.1 % is 0.001, not the float next to it."""
    return None if percent is None else float(f"{percent / 100:.12g}")


def params_from(texts: tuple[str, ...]) -> dict[str, str]:
    """Raises ``UsageError`` for what is no NAME=VALUE, and for a name given twice."""
    made: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name or not value:
            raise UsageError(f"{text!r} is no parameter; write it like fast=10")
        if name in made:
            raise UsageError(f"parameter {name} is given twice")
        made[name] = value
    return made


def typed(params: Mapping[str, str]) -> dict[str, Any]:
    """Numbers as numbers, for what is printed."""
    return {name: _number(text) for name, text in params.items()}


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def provider_from(providers: tuple[str, ...]) -> str | tuple[str, ...]:
    from ffe_lab.lab import ENSEMBLE

    return ENSEMBLE if not providers else providers[0] if len(providers) == 1 else providers
