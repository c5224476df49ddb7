"""``ffe analyze``: a decision about an asset, explained and recorded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ffe_core.cli.asking import asked_options, prepare, tape_options
from ffe_core.cli.instants import Instant
from ffe_core.cli.session import Session, command
from ffe_core.errors import FfeError, ProviderFailed

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.decisions import Decision


@command()
@click.argument("assets", nargs=-1, required=True, metavar="ASSET...")
@asked_options
@click.option("--at", type=Instant(), metavar="ISO", help="Decide as of this instant; nothing later is read.")
@click.option(
    "--indicator", "indicators", multiple=True, metavar="NAME", help="Add an indicator of the catalogue; repeatable."
)
@click.option("--anonymise", is_flag=True, help="Hide ticker, dates and price level from the panel.")
@tape_options
@click.option("--show-pulse", is_flag=True, help="Print the reading of every timeframe.")
def analyze(
    session: Session,
    assets: tuple[str, ...],
    providers: tuple[str, ...],
    source: str | None,
    at: datetime | None,
    indicators: tuple[str, ...],
    anonymise: bool,
    cassette: str,
    cassette_dir: Path | None,
    budget_usd: Decimal | None,
    show_pulse: bool,
) -> None:
    """Make a decision about an asset, explained and recorded.

    Any spelling of a pair will do: BTCUSD, btc-usd, BTC/USD. Of several assets the decisions are ranked, those worth
    acting on first; one that fails does not stop the others.
    """
    from ffe_core.domain.assets import AssetKind
    from ffe_core.domain.codec import decision_data
    from ffe_core.engine import rank

    engine = session.engine
    prepare(engine, cassette, cassette_dir, budget_usd, () if at is None else (at,))
    wanted = {engine.asset(text).symbol: engine.asset(text) for text in assets}
    decisions: list[Decision] = []
    errors: list[FfeError] = []
    for number, asset in enumerate(wanted.values(), 1):
        if asset.is_short_name and asset.kind is AssetKind.UNKNOWN:
            session.warn(f"{asset} is shorter than any pair; was a pair such as {asset}USD meant?")
        try:
            analysis = engine.analysis(
                asset,
                at=at,
                source=source,
                providers=providers,
                indicators=indicators,
                anonymise=number if anonymise else None,
            )
        except FfeError as error:
            if len(wanted) == 1:
                raise
            errors.append(error)
            session.warn(f"{asset}: {error.message}")
            continue
        decisions.append(analysis.decision)
        for line in analysis.warnings:
            session.warn(line)
    if not decisions:
        raise errors[0]
    ranked = rank(decisions)
    data = [decision_data(decision) for decision in ranked]
    shown = data[0] if len(wanted) == 1 else {"decisions": data, "errors": [error.message for error in errors]}
    session.emit(shown, lambda console: _print(console, session, ranked, len(wanted) == 1, show_pulse, source))
    if errors:
        session.exit(errors[0].exit_code)
    _fail_without_an_answer(ranked)


def _print(
    console: Console, session: Session, ranked: list[Decision], alone: bool, show_pulse: bool, source: str | None
) -> None:
    from ffe_core.cli.render import print_decision, print_ranking

    if alone:
        threshold = session.settings.decision.threshold
        print_decision(console, ranked[0], show_pulse=show_pulse, threshold=threshold)
    else:
        print_ranking(console, ranked)
    if ranked[0].market.synthetic and source is None:
        console.print("real prices: ffe data import FILE, then ffe config set data.sources files", style="dim")


def _fail_without_an_answer(decisions: list[Decision]) -> None:
    """A stored decision that nobody gave is a failure of the run, told after it was printed."""
    for decision in decisions:
        if decision.ensemble_metadata.get("no_decision"):
            raise ProviderFailed(decision.reasoning, hint="`ffe providers check` says who can be asked")
        if decision.ensemble_metadata["fallback_tier"] == "no_provider":
            failed = decision.ensemble_metadata["providers_failed"]
            reasons = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
            raise ProviderFailed(
                f"every provider failed ({reasons})", hint="`ffe providers check` says what is missing"
            )
