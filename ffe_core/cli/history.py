"""``ffe history``: what was decided, how it turned out, and whether the record is whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.session import Session, group
from ffe_core.errors import StoreError, UsageError, VerificationFailed

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.store import DecisionSummary, Removal, Store
    from ffe_core.store.chain import ChainReport

MEGABYTE = 1_000_000
ACTION_STYLES = {"BUY": "green", "SELL": "red", "HOLD": "yellow"}


@group(invoke_without_command=True)
@click.option(
    "-l", "--limit", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="At most this many."
)
@click.option("-a", "--asset", metavar="ASSET", help="Only decisions about this asset, in any spelling.")
@click.option(
    "--scored", is_flag=True, help="What came of them: return at the horizon, net of cost, and its base rate."
)
@click.pass_context
def history(ctx: click.Context, session: Session, limit: int, asset: str | None, scored: bool) -> None:
    """List recorded decisions, newest first.

    The subcommands prove that the record is whole and remove its oldest part.
    """
    if ctx.invoked_subcommand is not None:
        return
    symbol = None if asset is None else canonical(asset)
    if scored:
        from ffe_core.cli.scored import print_scored, score_history

        result = score_history(session.engine, limit, symbol)
        session.emit(result.data(), lambda console: print_scored(console, result))
        return
    with open_store(session) as store:
        rows = store.latest(limit, symbol)
    if not rows and not session.json:
        # Without the library that draws tables: there is none to draw.
        session.printer.text("no decisions")
        return
    session.emit([_listed(row) for row in rows], lambda console: _print_list(console, rows))


def open_store(session: Session) -> Store:
    from ffe_core.store import Store

    return Store.open(session.settings)


def canonical(asset: str) -> str:
    """The symbol that records use. Raises ``UsageError``."""
    from ffe_core.domain.assets import Asset

    try:
        return Asset.parse(asset).symbol
    except ValueError as error:
        raise UsageError(str(error)) from None


def _listed(row: DecisionSummary) -> dict[str, Any]:
    return {
        "id": row.id,
        "created_at": row.created_at,
        "as_of": row.as_of,
        "asset_pair": row.asset_pair,
        "action": row.action,
        "confidence": row.confidence,
        "executed": row.executed,
        "mode": row.mode,
    }


def _print_list(console: Console, rows: Sequence[DecisionSummary]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("decision", "made (UTC)", "as of (UTC)", "asset", "action", "confidence", "executed", "mode")
    for row in rows:
        table.add_row(
            row.id,
            f"{row.created_at:%Y-%m-%d %H:%M:%S}",
            f"{row.as_of:%Y-%m-%d %H:%M}",
            row.asset_pair,
            Text(row.action, style=ACTION_STYLES.get(row.action, "")),
            str(row.confidence),
            "yes" if row.executed else "vetoed" if row.vetoed else "",
            f"{row.mode}, synthetic" if row.synthetic else row.mode,
        )
    console.print(table)


# Whole?


@history.command()
def verify(session: Session) -> None:
    """Prove that the chain of records is whole.

    Every record's hash is computed again, from the first one or from the checkpoint of those that were removed.
    Exit code 6 where the chain breaks, with the first broken record.
    """
    from ffe_core.store.chain import verify as verify_chain

    with open_store(session) as store:
        report = verify_chain(store)
    broken = report.broken
    data = {
        "ok": report.ok,
        "checked": report.checked,
        "removed": report.removed,
        "head": report.head,
        "broken": None if broken is None else {"seq": broken.seq, "id": broken.id, "why": broken.why},
    }
    session.emit(data, lambda console: None if broken else _print_whole(console, report))
    if broken is not None:
        raise VerificationFailed(
            f"record {broken.seq}{f' ({broken.id})' if broken.id else ''}: {broken.why}",
            hint=f"{report.checked:,} records before it hold; `ffe db restore` puts a backup in place",
        )


def _print_whole(console: Console, report: ChainReport) -> None:
    behind = f" behind {report.removed:,} removed ones" if report.removed else ""
    held = "1 record holds" if report.checked == 1 else f"{report.checked:,} records hold"
    console.print(f"{held}{behind}; head {report.head}", soft_wrap=True)


# Remove


@history.command()
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the newest N decisions.")
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what is older than this.")
@click.option("--max-mb", type=click.FloatRange(min=0), metavar="MB", help="Remove until the records fit in this.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def prune(
    session: Session, keep: int | None, older_than: float | None, max_mb: float | None, dry_run: bool, yes: bool
) -> None:
    """Remove the oldest decisions.

    Always from the oldest on, never one in the middle: a checkpoint stands for what is gone, and the chain goes on
    from it. Outcomes and money rows stay.
    """
    if keep is None and older_than is None and max_mb is None:
        raise UsageError("nothing says what may go", hint="--keep N, --older-than DAYS or --max-mb MB")
    limits = {"keep": keep, "older_than": older_than, "max_bytes": None if max_mb is None else int(max_mb * MEGABYTE)}
    _remove(session, limits, dry_run, yes)


@history.command()
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
def wipe(session: Session, dry_run: bool, yes: bool) -> None:
    """Remove every decision.

    A checkpoint remains, from which the chain goes on. Outcomes and money rows stay.
    """
    _remove(session, {"keep": 0}, dry_run, yes)


def _remove(session: Session, limits: dict[str, Any], dry_run: bool, yes: bool) -> None:
    with open_store(session) as store:
        removal = store.retain(**limits, dry_run=True)
        if removal.decisions and not dry_run:
            if not yes:
                click.confirm(f"Remove {_amount(removal)} and keep {removal.remaining:,}?", abort=True, err=True)
            # What was asked about and nothing newer: decisions may have been made meanwhile.
            removal = store.remove_first(removal.upto)
            try:
                store.database.compact()
            except StoreError as error:
                session.warn(f"the decisions are gone, the room they took is not given back yet: {error.message}")
    data = {
        "removed": removal.decisions,
        "bytes": removal.bytes,
        "remaining": removal.remaining,
        "dry_run": dry_run,
    }
    verb = "would remove" if dry_run else "removed"
    session.emit(data, lambda console: console.print(f"{verb} {_amount(removal)}, {removal.remaining:,} remain"))


def _amount(removal: Removal) -> str:
    noun = "decision" if removal.decisions == 1 else "decisions"
    return f"{removal.decisions:,} {noun} ({removal.bytes / MEGABYTE:,.2f} MB of records)"
