"""``ffe pbo``: how likely it is that the best of several backtests was chosen for its luck."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command
from ffe_core.errors import BadData, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_lab.pbo import Overfitting


@command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--blocks", type=int, default=16, show_default=True, help="Even number of blocks that days are cut into.")
def pbo(session: Session, files: tuple[Path, ...], blocks: int) -> None:
    """Say how likely it is that picking the best of several backtests picks an overfitted one.

    FILE... are results of `ffe backtest --json` over one market and span. Each half of the blocks chooses the best of
    them by its Sharpe ratio, and the other half says how good that choice was.
    """
    from ffe_lab.pbo import aligned, probability_of_overfitting

    held = aligned([_read(path) for path in files])
    try:
        found = probability_of_overfitting(held.returns, blocks)
    except ValueError as error:
        raise UsageError(str(error)) from error
    session.emit(asdict(found), lambda console: _show(found, console))


def _read(path: Path) -> dict[str, Any]:
    """Raises ``BadData`` for a file that is no object of JSON."""
    try:
        made = json.loads(path.read_bytes())
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadData(f"{path} is no JSON", hint="write it by ffe backtest ... --json") from error
    if not isinstance(made, dict) or not isinstance(made.get("data", made), dict):
        raise BadData(f"{path} is no backtest of ffe", hint="write it by ffe backtest ... --json")
    return made


def _show(found: Overfitting, console: Console) -> None:
    slope = "not shown" if found.slope is None else f"{found.slope:+.2f}"
    for line in (
        f"probability of backtest overfitting {found.pbo:.1%}",
        f"probability of a loss out of sample {found.loss_probability:.1%}",
        f"slope of the Sharpe ratio out of sample on the one in sample {slope}",
        f"{found.splits:,} splits of {found.rows:,} days in {found.blocks} blocks, {found.candidates} backtests",
    ):
        console.print(line, markup=False)
