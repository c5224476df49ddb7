"""Options that every command which asks providers shares: whom, on whose prices, from which tape, at what cost."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ffe_core.engine import Engine

type Decorated = Callable[..., Any]


class Dollars(click.ParamType[Decimal]):
    """An amount of dollars, exact."""

    name = "dollars"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Decimal:
        try:
            amount = Decimal(str(value))
        except ArithmeticError:
            amount = Decimal("nan")
        if not (amount.is_finite() and amount >= 0):
            self.fail(f"{value!r} is no amount of dollars; write it like 0.50", param, ctx)
        return amount


class OfferName(click.ParamType[str]):
    """The name of a source or a provider, in any case: their own names have small letters only."""

    name = "name"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value).lower()


def asked_options(function: Decorated) -> Decorated:
    """``providers`` and ``source``."""
    for option in (
        click.option("--source", type=OfferName(), metavar="NAME", help="Take market data from this source alone."),
        click.option(
            "-p",
            "--provider",
            "providers",
            type=OfferName(),
            multiple=True,
            metavar="NAME",
            help="Ask this provider; repeatable. `ensemble` is the configured panel.",
        ),
    ):
        function = option(function)
    return function


def tape_options(function: Decorated) -> Decorated:
    """``cassette``, ``cassette_dir`` and ``budget_usd``: hand them to ``prepare``."""
    for option in (
        click.option(
            "--budget-usd",
            type=Dollars(),
            metavar="X",
            help="Ask nobody once models would cost more than this on one day (UTC); prices come from ai.prices.",
        ),
        click.option(
            "--cassette-dir",
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="Keep the recorded answers here.",
        ),
        click.option(
            "--cassette",
            type=click.Choice(["off", "record", "replay", "auto"]),
            default="off",
            help="Record what sources and models answer, replay it without asking anyone, or ask for what is missing "
            "only. A replay needs the --at of its recording: without --at every run is about its own now.",
        ),
    ):
        function = option(function)
    return function


def prepare(
    engine: Engine, cassette: str, folder: Path | None, budget_usd: Decimal | None, at: Iterable[datetime]
) -> None:
    """What the options say, done to the engine. Raises ``UsageError``, also for an instant still to come."""
    for instant in at:
        if instant > engine.clock.now():
            raise UsageError(f"--at {instant.isoformat()} is still to come", hint="leave it out to decide as of now")
    if cassette != "off":
        from ffe_core.ai.cassette import Tape

        engine.tape(Tape(cassette), folder)
    elif folder is not None:
        raise UsageError("--cassette-dir without --cassette", hint="say record, replay or auto")
    if budget_usd is not None:
        engine.answers.budget_usd = budget_usd
