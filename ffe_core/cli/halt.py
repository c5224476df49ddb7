"""``ffe halt`` and ``ffe arm``: stopping what trades, at once and for every process, and letting it go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.output import clean
from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from ffe_core.risk.states import Standing, TradingStates


@command()
@click.argument("asset", required=False)
@click.option("--reduce-only", is_flag=True, help="Let what makes positions smaller through.")
@click.option("--reason", default="by hand", show_default=True, metavar="TEXT", help="What is put on record.")
def halt(session: Session, asset: str | None, reduce_only: bool, reason: str) -> None:
    """Stop sending orders, in every process that uses this store, until `ffe arm`.

    Cancels pass, and so does `ffe close`. With an ASSET only that one is stopped. It survives restarts.
    """
    states = _states(session)
    wanted = session.engine.asset(asset) if asset else None
    change = states.reduce if reduce_only else states.halt
    change(reason, wanted)
    _tell(session, states)


@command()
@click.argument("asset", required=False)
@click.option("--reason", required=True, metavar="TEXT", help="Why trading may go on: put on record.")
def arm(session: Session, asset: str | None, reason: str) -> None:
    """Let orders through again, for everything or for one ASSET.

    What was stopped for one asset stays so until that asset is armed by name.
    """
    states = _states(session)
    states.arm(reason, session.engine.asset(asset) if asset else None)
    _tell(session, states)


def _states(session: Session) -> TradingStates:
    from ffe_core.risk.states import TradingStates

    return TradingStates(session.engine.store.states)


def standing_data(standing: Standing) -> dict[str, Any]:
    return {
        "asset_pair": standing.asset or None,
        "state": standing.state,
        "reason": standing.reason,
        "since": standing.since,
    }


def _tell(session: Session, states: TradingStates) -> None:
    standing = states.all()
    lines = [clean(str(each)) for each in standing] or ["trading is ACTIVE"]
    session.emit(
        {"state": states.current().state, "stopped": [standing_data(each) for each in standing]},
        lambda console: console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True),
    )
