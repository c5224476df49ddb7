"""``ffe show``: one decision with everything that it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.store import StoredRecord


@command()
@click.argument("decision_id", metavar="ID")
def show(session: Session, decision_id: str) -> None:
    """Print the whole record of a decision.

    An unambiguous beginning of the id is enough. With --json everything that is stored: prompts, replies, account,
    settings.
    """
    from ffe_core.cli.history import open_store

    with open_store(session) as store:
        stored = store.get(decision_id)
    session.emit(_data(stored), lambda console: _print(console, stored))


def _data(stored: StoredRecord) -> dict[str, Any]:
    return {
        **stored.record,
        "id": stored.id,
        "seq": stored.seq,
        "hash": stored.hash,
        "previous_hash": stored.previous_hash,
        "executed": stored.executed,
        "events": [{"kind": event.kind, "at": event.at, "detail": event.detail} for event in stored.events],
    }


def _print(console: Console, stored: StoredRecord) -> None:
    from rich.table import Table
    from rich.text import Text

    from ffe_core.cli.circumstances import hindsight_row
    from ffe_core.cli.output import clean
    from ffe_core.cli.render import print_decision
    from ffe_core.domain.clock import iso

    decision = stored.decision
    print_decision(console, decision, show_pulse=True)
    table = Table(title="record", title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column()
    rows = [("made", iso(decision.created_at))]
    rows += [(event.kind, f"{iso(event.at)} {_brief(event.detail)}") for event in stored.events]
    rows += [(name, _brief(value)) for name, value in stored.record.items() if name not in ("schema", "decision")]
    rows += hindsight_row(decision)
    rows += [("number", f"{stored.seq}"), ("hash", stored.hash), ("previous hash", stored.previous_hash)]
    for name, value in rows:
        table.add_row(clean(name), Text(clean(value)))
    console.print(table)
    console.print(f"`ffe show {stored.id[:8]} --json` prints all of it, `ffe replay {stored.id[:8]}` computes it again")


def _brief(value: Any, room: int = 300) -> str:
    """A part of the record on a few lines: its leaves while they fit, else what it holds."""
    if value in ({}, [], None):
        return "none"
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= room:
        return text
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_count(held)}" for name, held in value.items())
    return _count(value) or text[:room]


def _count(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({len(value)} fields)"
    if isinstance(value, list):
        return f"({len(value)} entries)"
    text = str(value)
    return text if len(text) <= 40 else f"({len(text)} characters)"
