"""``ffe learning``: what came of decisions, brought in, given out, counted, and held against what was promised."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.history import canonical, open_store
from ffe_core.cli.instants import Instant
from ffe_core.cli.session import Session, group

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from ffe_core.domain.decisions import Outcome
    from ffe_core.learning.exchange import Read
    from ffe_core.learning.standing import Standing

#: rows that are named one by one before the rest is counted
_NAMED = 50
#: the panel as one voice, among the forecasters
VERDICT = "verdict"
FILE = click.Path(path_type=Path, dir_okay=False)


@group()
def learning(_session: Session) -> None:
    """Keep what came of decisions, and see what it says of who made them.

    Outcomes on invented prices are kept apart from those on real ones and never teach anything about them.
    """


# Files


@learning.command("import")
@click.argument("path", metavar="FILE", type=FILE)
@click.option("--skip-bad", is_flag=True, help="Import the good rows although there are bad ones.")
def import_(session: Session, path: Path, skip_bad: bool) -> None:
    """Read outcomes from FILE: JSON Lines as `export` writes them, or CSV where the name ends in .csv.

    A row that cannot be read, or that contradicts what is known, is named by its line; then nothing is imported. In
    CSV each provider's word has columns of its own: opinions.NAME.action, opinions.NAME.confidence and
    opinions.NAME.calibratable. Returns and costs are fractions; times have an offset.
    """
    from ffe_core.domain.clock import SystemClock
    from ffe_core.errors import BadData
    from ffe_core.learning.exchange import Read, read_file

    rows = read_file(path, now=SystemClock().now())
    good = [(row.line, row.outcome) for row in rows if row.outcome is not None]
    bad: list[Read] = []

    def refuse(found: Sequence[Read]) -> None:
        bad.extend(found)
        if found and not skip_bad:
            raise BadData(
                f"nothing was imported from {path}: {_rows(len(found))} of {len(rows):,} bad, {_first(found)}",
                hint="--skip-bad imports the others",
            )

    def contradicting(told: Mapping[int, str]) -> None:
        refuse([Read(good[position][0], None, why) for position, why in told.items()])

    try:
        refuse([row for row in rows if row.outcome is None])
        with open_store(session) as store:
            new = len(store.record_outcomes((outcome for _, outcome in good), on_conflict=contradicting))
    finally:
        bad.sort(key=lambda row: row.line)
        _name(path, bad)
    known = len(rows) - len(bad) - new
    session.emit(
        {
            "path": path.absolute(),
            "rows": len(rows),
            "new": new,
            "known": known,
            "bad": [{"line": row.line, "why": row.why} for row in bad],
        },
        lambda console: _say(console, f"{new:,} new, {known:,} known already, {len(bad):,} bad"),
    )


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _first(bad: Sequence[Read]) -> str:
    first = min(bad, key=lambda row: row.line)
    return f"the first in line {first.line}"


def _name(path: Path, bad: Sequence[Read]) -> None:
    """One line on standard error for each, up to so many."""
    from ffe_core.cli.output import foreign, line_on_stderr

    for row in bad[:_NAMED]:
        line_on_stderr(foreign(f"{path}:{row.line} {row.why}"))
    if len(bad) > _NAMED:
        line_on_stderr(f"{path}: {_rows(len(bad) - _NAMED)} more")


@learning.command()
@click.argument("path", metavar="[FILE]", type=FILE, required=False)
def export(session: Session, path: Path | None) -> None:
    """Write every outcome as JSON Lines into the new file FILE, or to standard output.

    Oldest first; `import` reads it back, and the same outcomes give the same bytes.
    """
    from ffe_core.learning.exchange import as_data, spelled

    with open_store(session) as store:
        outcomes = store.outcomes()[::-1]
    if path is not None:
        _write_new(path, spelled(outcomes))
        session.emit(
            {"path": path.absolute(), "count": len(outcomes), "outcomes": None},
            lambda console: _say(console, f"{path}: {len(outcomes):,} outcomes"),
        )
    elif session.json:
        listed = [as_data(outcome) for outcome in outcomes]
        session.printer.object({"schema": 1, "data": {"path": None, "count": len(listed), "outcomes": listed}})
    elif outcomes:
        session.printer.text(spelled(outcomes).removesuffix("\n"))


def _write_new(path: Path, text: str) -> None:
    from ffe_core.errors import UsageError

    try:
        # Private, like the store that it comes from.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{path} is already there", hint="name a file that does not exist yet") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


# Scores


@learning.command()
def update(session: Session) -> None:
    """Score every decision whose horizon has passed, and keep what came of it.

    HOLDs too: each provider's own call is judged by the price's return and the cost. Costs are those of the settings
    now, as in `ffe history --scored`. Run again, it does what is left.
    """
    from ffe_core.cli.scored import costs_of, span_of
    from ffe_core.learning.scoring import update as bring_up_to_date

    engine = session.engine
    done = bring_up_to_date(engine.store, span_of(engine), now=engine.clock.now(), costs=costs_of(engine.settings))
    waiting = sorted(done.waiting.items(), key=lambda item: (-item[1], item[0]))
    data = {"resolved": len(done.resolved), "waiting": [{"why": why, "decisions": n} for why, n in waiting]}

    def show(console: Console) -> None:
        _say(console, f"{len(done.resolved):,} resolved, {sum(n for _, n in waiting):,} not")
        for why, count in waiting:
            _say(console, f"  {count:,}: {why}")

    session.emit(data, show)


@learning.command()
@click.option("--synthetic", is_flag=True, help="Outcomes on invented prices instead of real ones.")
def status(session: Session, synthetic: bool) -> None:
    """How each provider has done, beside always buying at the same decisions.

    A hit is a call whose direction made money after costs. Fewer than 30 of them show no rate. The interval is for
    calls whose horizons share no bar. The weight is what the strategy `hedge` would give now.
    """
    from ffe_core.learning.outcomes import ENOUGH
    from ffe_core.learning.standing import one_each, standings

    everything = session.engine.store.outcomes()
    outcomes = [outcome for outcome in everything if outcome.synthetic is synthetic]
    found = standings(outcomes)
    weights = _hedge_weights(session, [standing.provider for standing in found], synthetic=synthetic)
    kinds = Counter(outcome.kind.value for outcome in outcomes)
    data = {
        "synthetic": synthetic,
        "outcomes": len(outcomes),
        "others": len(everything) - len(outcomes),
        "decisions": len(one_each(outcomes)),
        "kinds": {"horizon": kinds["horizon"], "trade": kinds["trade"]},
        "first": outcomes[-1].resolved_at if outcomes else None,
        "last": outcomes[0].resolved_at if outcomes else None,
        "needed": ENOUGH,
        "providers": [_standing_data(standing, weights.get(standing.provider)) for standing in found],
    }
    session.emit(data, lambda console: _print_status(console, data))


def _hedge_weights(session: Session, providers: Sequence[str], *, synthetic: bool) -> Mapping[str, float]:
    """Empty where there is no such strategy, or it knows nothing yet."""
    from ffe_core.errors import FfeError
    from ffe_core.learning.standing import skill_weights
    from ffe_core.ports import Learner

    engine = session.engine
    offer = engine.registry.strategies.get("hedge")
    if offer is None or not isinstance(offer.object, Learner):
        return {}
    now = engine.clock.now()
    history: list[Outcome] = engine.store.outcomes(until=now, limit=offer.object.history, synthetic=synthetic)
    try:
        return skill_weights(offer.object, providers, history, now=now, first=engine.settings.ensemble.weights)
    except (FfeError, ValueError) as error:
        session.warn(f"no hedge weights: {error}")
        return {}


def _standing_data(standing: Standing, weight: float | None) -> dict[str, Any]:
    board = standing.board
    return {
        "provider": standing.provider,
        "outcomes": standing.outcomes,
        "holds": standing.holds,
        "unscorable": standing.unscorable,
        "scored": board.scored,
        "independent": board.independent,
        "hit_rate": board.hit_rate,
        "hit_rate_interval_95": board.hit_interval,
        "base_rate": board.base_rate,
        "mean_net_return": board.mean_net,
        "base_mean_net_return": board.base_net,
        "hedge_weight": weight,
    }


def _print_status(console: Console, data: Mapping[str, Any]) -> None:
    prices = "invented" if data["synthetic"] else "real"
    if data["outcomes"]:
        span = f"{data['first']:%Y-%m-%d} to {data['last']:%Y-%m-%d}"
        _say(console, f"outcomes on {prices} prices: {data['outcomes']:,}, of {data['decisions']:,} decisions, {span}")
    else:
        _say(console, f"no outcomes on {prices} prices; `ffe learning update` scores recorded decisions")
    if data["others"]:
        other = "without --synthetic" if data["synthetic"] else "with --synthetic"
        _say(console, f"{data['others']:,} more {other}")
    if not data["providers"]:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table("provider", "calls", "HOLDs", "hit rate", "95 %", "always buying", "mean net", "always, net", "hedge")
    for one in data["providers"]:
        shown = one["hit_rate"] is not None
        table.add_row(
            Text(one["provider"]),
            f"{one['scored']:,}",
            f"{one['holds']:,}",
            _share(one["hit_rate"]) if shown else f"needs {data['needed']}",
            _interval(one["hit_rate_interval_95"]),
            _share(one["base_rate"]),
            _signed(one["mean_net_return"]),
            _signed(one["base_mean_net_return"]),
            _share(one["hedge_weight"]),
        )
    console.print(table)


@learning.command()
@click.option("--bins", type=click.IntRange(1, 100), default=10, show_default=True, metavar="N", help="Bins over 0-1.")
@click.option("--provider", metavar="NAME", help="Only this provider, or `verdict`.")
@click.option("-a", "--asset", metavar="ASSET", help="Only decisions about this asset, in any spelling.")
@click.option("--at", type=Instant(), metavar="ISO", help="Only what was known of decisions at this instant.")
@click.option("--synthetic", is_flag=True, help="Outcomes on invented prices instead of real ones.")
def calibration(
    session: Session, bins: int, provider: str | None, asset: str | None, at: datetime | None, synthetic: bool
) -> None:
    """Whether confidence is a probability: what was promised beside what happened.

    A call of BUY or SELL promises with p = confidence / 100 to make money after costs over its horizon. HOLDs promise
    nothing and rules claim no probability; both are counted and left out. Below 30 outcomes there is no score.
    Beside it stand two who know nothing: one that always says the base rate, and one that always says BUY. From 30 on
    a curve says what a confidence has come to mean: a logistic one, and from 200 on an isotonic one.
    """
    from ffe_core.cli.calibration import Judged, calibration_data, print_calibration
    from ffe_core.domain.clock import SystemClock
    from ffe_core.errors import UnknownName
    from ffe_core.learning.calibration import forecasts_of, verdict_forecasts

    symbol = None if asset is None else canonical(asset)
    with open_store(session) as store:
        outcomes = store.outcomes(until=at, synthetic=synthetic, asset=symbol)
    known_at = at or SystemClock().now()
    providers = sorted({name for outcome in outcomes for name in outcome.provider_actions})
    if provider is not None and outcomes and provider not in (*providers, VERDICT):
        raise UnknownName("provider", provider, (*providers, VERDICT))
    said = {name: forecasts_of(outcomes, name) for name in providers if provider in (None, name)}
    if provider in (None, VERDICT):
        said[VERDICT] = verdict_forecasts(outcomes)
    judged = [Judged.of(name, sifted, bins=bins, as_of=known_at) for name, sifted in said.items()]
    session.emit(
        calibration_data(judged, bins=bins, synthetic=synthetic), lambda console: print_calibration(console, judged)
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"


def _interval(value: tuple[float, float] | None) -> str:
    return "-" if value is None else f"{value[0]:.0%} to {value[1]:.0%}"


def _say(console: Console, line: str) -> None:
    from rich.text import Text

    console.print(Text(line), soft_wrap=True)
