"""``ffe lookahead``: whether what is called at a close depends on what came after it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_lab.commands.models import on_timeframe
from ffe_lab.commands.options import lab_of, maker_options, market_from, market_options, params_from, remark

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core import AIProvider
    from ffe_lab.lab import Lab
    from ffe_lab.lookahead import Lookahead

#: leaks that are printed; --json has them all
_SHOWN = 10
LEAKED = 6


@command()
@click.argument("asset")
@market_options
@maker_options
@click.option("--samples", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Closes that are tried.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Which closes.")
def lookahead(session: Session, asset: str, samples: int, seed: int, **options: Any) -> None:
    """Look for knowledge of the future: in what rules call, and in what would be asked of models.

    Sampled closes are decided once with all bars, once without a later one, and once with all later ones times ten; any
    difference is a leak, and the exit code is 6. No model is asked anything.
    """
    from ffe_lab.lookahead import lookahead as look

    lab = on_timeframe(lab_of(session), options["timeframe"])
    market = market_from(lab, asset, options)
    remark(session, market)
    panel = _panel(lab, options["providers"], params_from(options["params"]))
    found = look(lab, market, panel, samples=samples, seed=seed, source=options["source"])
    session.emit(found.data(), lambda console: _show(found, console))
    if found.leaks:
        session.exit(LEAKED)


def _panel(lab: Lab, names: tuple[str, ...], params: dict[str, str]) -> dict[str, AIProvider]:
    if params and len(names) == 1:
        return {names[0]: lab.provider(names[0], params)}
    if params:
        raise click.UsageError("parameters are those of one provider: --provider NAME, once")
    return lab.panel(names)


def _show(found: Lookahead, console: Console) -> None:
    who = ", ".join(found.providers)
    if not found.leaks:
        console.print(
            f"{who}: no leak at {len(found.instants)} closes of {found.asset} {found.timeframe}", markup=False
        )
        return
    for leak in found.leaks[:_SHOWN]:
        console.print(f"leak: {leak}", markup=False, soft_wrap=True)
    if len(found.leaks) > _SHOWN:
        console.print(f"and {len(found.leaks) - _SHOWN} more; --json lists them", markup=False)
