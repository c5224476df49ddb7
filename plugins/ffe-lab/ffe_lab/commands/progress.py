"""``ffe progress``: whether a trader learns, by the trades that it has closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_core.errors import NoData, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core import Outcome


@command()
@click.option("-a", "--asset", "--asset-pair", "asset", metavar="ASSET", help="Only trades of this asset.")
@click.option("--synthetic", is_flag=True, help="Trades at invented prices instead of real ones.")
def progress(session: Session, asset: str | None, synthetic: bool) -> None:
    """Measure whether results get better from trade to trade, and whose word is followed.

    Closed trades count, in the order of their closing, from 20 on; what needs more is not shown. Regret is what the
    best provider, known in hindsight, would have made more. A trade follows the surest of those who called for it.
    """
    from dataclasses import asdict

    from ffe_lab import progress as measures

    outcomes, others = _outcomes(session, asset, synthetic=synthetic)
    try:
        closed = measures.Closed.of(outcomes)
    except NoData as error:
        raise NoData(error.message, hint=_hint(others, synthetic=synthetic)) from None
    found = measures.progress(closed.pnl, closed.providers)
    data = {
        "synthetic": synthetic,
        "asset_pair": asset and _symbol(session, asset),
        "currency": closed.currency,
        "in_other_currencies": closed.elsewhere,
        "first": closed.first,
        "last": closed.last,
        "needed": {
            "sample_efficiency": measures.ROLLING,
            "learning_speed": 2 * measures.ROLLING,
            "concept_drift": measures.FEWEST_FOR_DRIFT,
            "learning_curve": measures.FEWEST_FOR_CURVE,
        },
        **asdict(found),
    }
    session.emit(data, lambda console: _show(data, console))


def _outcomes(session: Session, asset: str | None, *, synthetic: bool) -> tuple[list[Outcome], int]:
    """Closed trades, and how many more there are at the other kind of prices."""
    from ffe_core.store import Store
    from ffe_lab.progress import is_closed

    symbol = None if asset is None else _symbol(session, asset)
    with Store.open(session.settings) as store:
        found = [one for one in store.outcomes(asset=symbol) if is_closed(one)]
    own = [one for one in found if one.synthetic is synthetic]
    return own, len(found) - len(own)


def _symbol(session: Session, asset: str) -> str:
    from ffe_core import Asset

    try:
        return Asset.parse(asset).symbol
    except ValueError as error:
        raise UsageError(str(error)) from None


def _hint(others: int, *, synthetic: bool) -> str:
    if others:
        return f"{others:,} trades more {'without' if synthetic else 'with'} --synthetic"
    return "`ffe execute` and `ffe close` make trades, and `ffe learning import` reads them"


def _show(data: Mapping[str, Any], console: Console) -> None:
    from ffe_lab.commands import shown

    prices = "invented" if data["synthetic"] else "real"
    what = f"{data['trades']:,} trades at {prices} prices, {data['first']:%Y-%m-%d} to {data['last']:%Y-%m-%d}"
    shown.note(console, f"{data['asset_pair'] + ': ' if data['asset_pair'] else ''}{what}", "bold")
    if data["in_other_currencies"]:
        told = f"{data['in_other_currencies']:,} trades in other currencies than {data['currency']} are left out"
        shown.note(console, told, "dim")
    shown.pairs(console, [*_efficiency(data), *_regret(data), *_drift(data), *_followed(data), *_curve(data)])


def _efficiency(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found, needed = data["sample_efficiency"], data["needed"]["learning_speed"]
    first = "not yet" if found["trades"] is None else f"{found['trades']:,} trades"
    speed = f"needs {needed} trades" if found["speed"] is None else f"{found['speed'] * 100:+.2f} points"
    return [("Until 60 % of 20 were won", first), ("Win rate gained a hundred trades", speed)]


def _regret(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    from ffe_lab.commands import shown

    return [("Cumulative regret", f"{shown.amount(data['cumulative_regret'])} {data['currency']}")]


def _drift(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = data["concept_drift"]
    if found is None:
        return [("Concept drift", f"needs {data['needed']['concept_drift']} trades")]
    rates = ", ".join(f"{rate:.0%}" for rate in found["win_rates"])
    return [("Concept drift", f"{found['severity']} (deviation {found['deviation']:.3f})"), ("Win rates", rates)]


def _followed(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    from ffe_lab.commands import shown

    found = data["exploration"]
    return [
        ("Followed most", found["favourite"]),
        ("Exploration, others followed", shown.percent(found["rate"])),
        ("Convergence, of the last 50", shown.percent(found["convergence"])),
    ]


def _curve(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    from ffe_lab.commands import shown

    found = data["learning_curve"]
    if found is None:
        return [("Learning curve", f"needs {data['needed']['learning_curve']} trades")]
    low, high = found["gain_interval_95"]
    rates = f"{shown.percent(found['early_win_rate'])} to {shown.percent(found['late_win_rate'])}"
    return [
        ("Learning", "yes" if found["learning"] else "no"),
        ("Win rate, first to last quarter", rates),
        ("Its gain, 95 %", f"{low * 100:+.1f} to {high * 100:+.1f} points"),
        ("Mean result, first to last quarter", f"{found['early_pnl']:,.2f} to {found['late_pnl']:,.2f}"),
    ]
