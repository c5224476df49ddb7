"""What the lab's commands ask for alike: a market, a decision maker, an account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.instants import Instant
from ffe_core.errors import UsageError
from ffe_lab.commands.models import MODELS, with_models

if TYPE_CHECKING:
    from ffe_core import Executor
    from ffe_core.cli.session import Session
    from ffe_core.engine import Engine
    from ffe_lab.costs import Costs
    from ffe_lab.lab import Lab
    from ffe_lab.makers import Maker
    from ffe_lab.market import Market
    from ffe_lab.simulate import Setup
    from ffe_lab.terms import Account

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
    """With a remark where nobody said what kind of asset it is.

    Raises ``UsageError`` for dates that are no span, ``NoData`` where nothing is in it.
    """
    from ffe_core import AssetKind, Timeframe
    from ffe_lab.machine import COMPILED_PAYS_FROM

    start, end = options["start"], options["end"]
    require_span(start, end)
    market = lab.market(
        lab.engine.asset(asset), timeframe_of(options["timeframe"], Timeframe), start=start, end=end,
        source=options["source"],
    )  # fmt: skip
    if market.asset.kind is AssetKind.UNKNOWN:
        market = replace(market, candles=replace(market.candles, remarks=(*market.candles.remarks, _kind(market))))
    return market.as_compiled() if len(market.candles) >= COMPILED_PAYS_FROM else market


def _kind(market: Market) -> str:
    name = market.asset.symbol
    return (
        f"nobody says what {name} is: its days are taken for those of UTC, 365 a year; "
        f"say data.kinds.{name}: stock (or crypto, forex)"
    )


def remark(session: Session, market: Market) -> None:
    """What is to be known of the bars, a line each on standard error."""
    if market.candles.synthetic:
        session.warn("these prices are invented")
    for line in market.candles.remarks:
        session.warn(line)


def remark_on_models(session: Session, data: Mapping[str, Any]) -> None:
    from ffe_lab.commands.backtest import remarks_on_models

    for line in remarks_on_models(dict(data)):
        session.warn(line)


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
    return lab.setup(**account_from(lab, options, kind))


def account_from(lab: Lab, options: Mapping[str, Any], kind: Any) -> Account:
    return {
        "costs": costs_from(lab, options, kind),
        "sizing": options["sizing"],
        "gate": options["gate"],
        "stop": _share(options["stop_loss_percentage"]),
        "target": _share(options["take_profit_percentage"]),
        "initial_balance": options["initial_balance"],
        "allow_short": options["allow_short"],
        "leverage": options["leverage"],
        "seed": options["seed"],
    }


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


def write(path: Path, text: str) -> None:
    """Raises ``UsageError`` where there is no place for it."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    import json

    write(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


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
    if not params:
        return {}
    from ffe_lab.space import number

    return {name: number(text) for name, text in params.items()}


def provider_from(providers: tuple[str, ...]) -> str | tuple[str, ...]:
    from ffe_lab.lab import ENSEMBLE

    return ENSEMBLE if not providers else providers[0] if len(providers) == 1 else providers


_SPREAD = (
    click.option("--executor", metavar="NAME", help="What spreads the work, such as processes or dask; else threads."),
    click.option("--workers", type=click.IntRange(1, 1024), help="How many of the executor's workers."),
    click.option("--address", metavar="ADDRESS", help="Where the executor's cluster is."),
)
_SPACE = (
    click.option(
        "--space", "space", multiple=True, metavar="NAME=VALUES",
        help="What to try: fast=5,10,20 or slow=20:100:10; also stop, target, risk (fractions); of a panel strategy "
        "and weight.NAME; repeatable.",
    ),
)  # fmt: skip
space_options = options(_SPACE)
#: what every experiment beside the single backtest takes
experiment_options = options(_MARKET, _MAKER, _ACCOUNT, MODELS, _SPREAD)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: who decides with which parameters, on which market, with which account.

    ``maker`` is who decides; models have said by now what they say.
    """

    lab: Lab
    market: Market
    provider: str | tuple[str, ...]
    params: dict[str, Any]
    setup: Setup
    maker: Maker


def asked(session: Session, asset: str, options: Mapping[str, Any]) -> Asked:
    """Raises like ``market_from`` and ``maker_of``, and ``UsageError`` for what is no account or no parameter."""
    from ffe_lab.makers import maker_of

    lab = lab_of(session)
    market = market_from(lab, asset, options)
    remark(session, market)
    provider = provider_from(options["providers"])
    params = params_for(lab, provider, options["params"])
    setup = setup_from(lab, options, market.asset.kind)
    with with_models(session, lab, options) as asking:
        maker = maker_of(asking, market, provider, params)
    return Asked(asking, market, provider, params, setup, maker)


def params_for(lab: Lab, provider: str | tuple[str, ...], texts: tuple[str, ...]) -> dict[str, Any]:
    """What was typed, over what settings give this provider."""
    typed_ones = typed(params_from(texts))
    return typed_ones if not isinstance(provider, str) else {**lab.params_of(provider), **typed_ones}


def space_from(texts: tuple[str, ...]) -> Any:
    """``None`` where nothing was typed. Raises ``UsageError``."""
    from ffe_lab.space import parsed

    return parsed(texts) if texts else None


@contextmanager
def executor_from(session: Session, options: Mapping[str, Any]) -> Iterator[Executor | None]:
    """The executor that was asked for, ended afterwards; ``None`` for none. Raises ``UnknownName``, ``UsageError``."""
    name = options["executor"]
    own = {key: options[key] for key in ("workers", "address") if options[key] is not None}
    if name is None:
        if own:
            raise UsageError(f"--{next(iter(own))} is an executor's", hint="--executor processes")
        yield None
        return
    registry = session.engine.registry
    if not own:
        yield registry.executor(name)
        return
    # Made anew with other settings: those of the plugin that has it.
    registry.executor(name)
    with closing(_engine_with(session, registry.executors[name].plugin, own)) as engine:
        yield engine.registry.executor(name)


def _engine_with(session: Session, plugin: str, own: Mapping[str, Any]) -> Engine:
    import os

    from ffe_core.engine import Engine
    from ffe_core.settings import load_settings

    variables = {f"FFE_PLUGINS__{plugin.upper()}__{key.upper()}": str(value) for key, value in own.items()}
    return Engine.from_settings(load_settings(config=session.config, env={**os.environ, **variables}))


@contextmanager
def progress_bar(session: Session, what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, where that is a terminal; what it yields is told what is done, and of how much."""
    from rich.progress import Progress

    from ffe_core.cli.session import stderr_is_terminal

    hidden = session.quiet or session.json or not stderr_is_terminal()
    with Progress(console=session.error_console, transient=True, disable=hidden) as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)
