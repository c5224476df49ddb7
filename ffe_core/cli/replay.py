"""``ffe replay``: compute a decision again from its record, offline, and compare byte for byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ffe_core.cli.output import foreign
from ffe_core.cli.session import Session, command
from ffe_core.errors import VerificationFailed

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.engine.replay import Replayed


@command()
@click.argument("decision_id", metavar="ID")
def replay(session: Session, decision_id: str) -> None:
    """Compute a decision again from its record and compare.

    Verdict, size and rulings are recomputed from the recorded answers, account and settings; nothing is looked up.
    An unambiguous beginning of the id is enough. Exit code 6 where anything differs.
    """
    done = session.engine.replay(decision_id)
    session.emit(
        {
            "id": done.decision_id,
            "same": done.same,
            "differences": [
                {"path": found.path, "recorded": found.recorded, "replayed": found.replayed}
                for found in done.differences
            ],
        },
        lambda console: _print(console, done),
    )
    if not done.same:
        raise VerificationFailed(f"{len(done.differences)} fields of {done.decision_id} came out differently")


def _print(console: Console, done: Replayed) -> None:
    if done.same:
        console.print(f"{done.decision_id}: the same, byte for byte")
        return
    from rich.table import Table

    table = Table("field", "recorded", "replayed", title=done.decision_id, title_justify="left")
    for found in done.differences:
        table.add_row(foreign(found.path), foreign(found.recorded), foreign(found.replayed))
    console.print(table)
