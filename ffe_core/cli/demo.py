"""``ffe demo``: a first decision on an invented market, and where to go from there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.decisions import Decision
    from ffe_core.engine import Engine

SOURCE = "demo"
#: the panel of the tour, whatever the settings ask for: three rules that need neither a key nor a network
PANEL = ("local", "trend_adx", "rsi_reversion")
#: looked at in turn until one is worth acting on; the first one usually is
PAIRS = ("DIPUSD", "BTCUSD", "ETHUSD", "SOLUSD")


@command()
@click.option("--asset", metavar="ASSET", help="Look at this pair instead; any pair exists on the invented market.")
def demo(session: Session, asset: str | None) -> None:
    """A tour on an invented market: no keys, no network.

    Three rules vote on a pair, and the decision is sized, checked, recorded and explained like any other. Always in
    paper mode, always marked SYNTHETIC.
    """
    from ffe_core.domain.codec import decision_data

    with _engine(session) as engine:
        looked_at: list[Decision] = []
        for pair in (asset,) if asset is not None else PAIRS:
            analysis = engine.analysis(pair, source=SOURCE, providers=PANEL)
            looked_at.append(analysis.decision)
            for line in analysis.warnings:
                session.warn(line)
            if analysis.decision.effect.is_entry:
                break
        # Where none is: the first is as good as any, and it is what the hints below speak of.
        shown = next((each for each in looked_at if each.effect.is_entry), looked_at[0])
        location = engine.store.database.location
        threshold = engine.settings.decision.threshold
    steps = _steps(shown)
    data = {
        "synthetic": True,
        "decision": decision_data(shown),
        "looked_at": [
            {"id": each.id, "asset_pair": each.asset_pair, "action": each.action, "confidence": each.confidence}
            for each in looked_at
        ],
        "recorded_in": location,
        "next": [{"command": line, "does": does} for line, does in steps],
    }
    session.emit(data, lambda console: _print(console, shown, looked_at, location, steps, threshold))


def _engine(session: Session) -> Engine:
    """The user's engine on paper, with built-in plugins alone: whatever is installed, nothing goes out."""
    from ffe_core.domain.trading import Mode
    from ffe_core.engine import Engine

    settings = session.settings
    tour = {
        "mode": Mode.PAPER,
        "execution": settings.execution.model_copy(update={"platform": "paper"}),
        "plugins": settings.plugins.model_copy(update={"enabled": [], "disabled": []}),
    }
    return Engine.from_settings(settings.model_copy(update=tour))


def _steps(decision: Decision) -> list[tuple[str, str]]:
    short = decision.id[:8]
    return [
        (f"ffe show {short}", "everything the decision was made of"),
        (f"ffe replay {short}", "compute it again from its record, and compare byte for byte"),
        ("ffe history verify", "prove that no record was changed"),
        (f"ffe execute {short}", "act on it with pretended money, protected by a stop"),
        ("ffe positions", "what is held then; `ffe close --all` leaves it again"),
        ("ffe data import FILE", "bring real prices: a CSV or Parquet file of bars"),
        ("ffe config set plugins.files.path FOLDER", "or name the folder that they lie in"),
        ("ffe config set data.sources files", "then decide on real prices"),
        ("ffe analyze BTCUSD", "a decision of your own"),
        ("ffe doctor", "what is in place, what is missing, how to add an AI model"),
        ("ffe plugins new NAME", "write a source, a provider, a rule or a platform"),
    ]


def _print(
    console: Console,
    decision: Decision,
    looked_at: list[Decision],
    location: str,
    steps: list[tuple[str, str]],
    threshold: float,
) -> None:
    from rich.table import Table
    from rich.text import Text

    from ffe_core.cli.render import print_decision

    print_decision(console, decision, threshold=threshold)
    console.print()
    done = [*_what_happened(decision), f"The decision is recorded in {location}, chained to the one before it."]
    before = [f"{each.asset_pair} {each.action.value}" for each in looked_at if each is not decision]
    if before:
        done.append(f"Also looked at and recorded: {', '.join(before)}.")
    console.print(Text("What happened", style="bold"))
    for line in done:
        console.print(Text(f"  {line}"), soft_wrap=True)
    console.print()
    console.print(Text("What next", style="bold"))
    table = Table(show_header=False, box=None, padding=(0, 2))
    for line, does in steps:
        table.add_row(Text(line, style="bold", no_wrap=True), Text(does, style="dim"))
    console.print(table)


def _what_happened(decision: Decision) -> list[str]:
    frames = len(decision.pulse.frames) - len(decision.pulse.missing)
    votes = sum(opinion.is_vote for opinion in decision.opinions)
    then = (
        f"became one verdict, the verdict was sized, and {len(decision.rulings)} risk rules looked at it."
        if decision.rulings
        else "became one verdict, which asks for no trade."
    )
    return [
        f"An invented market gave bars of {frames} timeframes of {decision.asset_pair}; no network was used.",
        f"{votes} rules voted, the votes {then}",
    ]
