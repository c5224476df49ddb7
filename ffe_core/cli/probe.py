"""``ffe probe``: does a provider judge the market, or does it remember the asset?"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ffe_core.cli.asking import asked_options, prepare, tape_options
from ffe_core.cli.instants import Instant
from ffe_core.cli.session import Session, command
from ffe_core.errors import ProviderFailed

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.engine.probe import Probe


@command()
@click.argument("asset", metavar="ASSET")
@asked_options
@click.option("--at", type=Instant(), multiple=True, metavar="ISO", help="Ask about this instant; repeatable.")
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Draws how far the instants are moved."
)
@tape_options
def probe(
    session: Session,
    asset: str,
    providers: tuple[str, ...],
    source: str | None,
    at: tuple[datetime, ...],
    seed: int,
    cassette: str,
    cassette_dir: Path | None,
    budget_usd: Decimal | None,
) -> None:
    """Ask providers about an asset twice: as it is, and under a mask.

    The mask hides ticker, dates and price level, and changes nothing else. Whose action flips did not judge the market
    alone. The flip rate comes with its 95 % interval; rules have none. Nothing is stored.
    """
    engine = session.engine
    prepare(engine, cassette, cassette_dir, budget_usd, at)
    done = engine.probe(asset, at=at, source=source, providers=providers, seed=seed)
    for name, reason in done.left_out.items():
        session.warn(f"{name} is left out: {reason}")
    session.emit(done.data(), lambda console: _print(console, done))
    if not any(each.compared for each in done.providers):
        reasons = "; ".join(f"{each.provider}: {each.failures[0]}" for each in done.providers if each.failures)
        raise ProviderFailed(
            f"nobody answered both ways ({reasons or 'nobody was asked'})", hint="`ffe doctor` says what is missing"
        )


def _print(console: Console, done: Probe) -> None:
    from rich.table import Table
    from rich.text import Text

    from ffe_core.cli.output import clean

    mask = done.masks[0]
    table = Table("provider", "model", "compared", "flips", "flip rate", "95 % interval", "failed")
    for each in done.providers:
        interval = each.interval
        table.add_row(
            Text(clean(each.provider)),
            Text(clean(each.model)),
            str(each.compared),
            str(each.flips),
            "-" if each.rate is None else f"{each.rate:.1%}",
            "-" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}",
            Text(clean(f"{len(each.failures)}: {each.failures[0]}" if each.failures else "")),
        )
    left_out = sum(len(held.withheld) for held in done.masks)
    console.print(
        f"{done.asset} at {len(done.instants)} instants, as it is and as {mask.name}: {mask.weeks} weeks earlier, "
        f"prices from 100, {left_out} notes left out",
        soft_wrap=True,
    )
    console.print(table)
