"""``ffe execute``, ``ffe approve`` and ``ffe close``: from a decision to an order, and out again."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.acting import (
    Amount,
    banner,
    executed_data,
    fail_in_doubt,
    live_option,
    plainly,
    print_executed,
)
from ffe_core.cli.output import clean
from ffe_core.cli.session import Session, command
from ffe_core.errors import FfeError, PlatformError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.engine.plans import Change, Executed, Plan

#: decisions that the picker offers
OFFERED = 10


@command()
@click.argument("decision_id", metavar="[ID]", required=False)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, what it costs and may lose, and send nothing.")
@click.option("--below-threshold", is_flag=True, help="Act on an entry although it is less sure than the threshold.")
@live_option
def execute(session: Session, decision_id: str | None, dry_run: bool, below_threshold: bool, live: bool) -> None:
    """Send the order that a decision means, and protect what it opens.

    Paper unless real money is armed by all three: `mode: live`, --live, and credentials that the venue accepts. The
    account, the price and every risk rule are looked at again first. Without an ID it asks which decision is meant.
    """
    trading = session.engine.trading(live=live)
    wanted = decision_id or _picked(session)
    if dry_run:
        plan = trading.plan(wanted, below_threshold=below_threshold)
        session.emit(_plan_data(plan), lambda console: _print_plan(session, console, plan))
        return
    _finish(session, trading.execute(wanted, below_threshold=below_threshold))


@command()
@click.argument("decision_id", metavar="ID")
@click.argument("answer", type=click.Choice(["yes", "no", "modify"]), default="no")
@click.option("--quantity", type=Amount(), metavar="X", help="modify: this size, in base units.")
@click.option("--stop-loss", type=Amount(), metavar="F", help="modify: the stop, as a fraction of the fill price.")
@click.option("--take-profit", type=Amount(), metavar="F", help="modify: the target, as a fraction of the fill price.")
@live_option
def approve(
    session: Session,
    decision_id: str,
    answer: str,
    quantity: Decimal | None,
    stop_loss: Decimal | None,
    take_profit: Decimal | None,
    live: bool,
) -> None:
    """Say yes or no to a decision, or change it: what is executed is what was approved.

    `no` is put on record and sends nothing. `modify` takes another size, stop or target; where a limit does not allow
    it, it is vetoed rather than made smaller.
    """
    from ffe_core.engine.plans import Change

    changed = any(value is not None for value in (quantity, stop_loss, take_profit))
    if changed is not (answer == "modify"):
        raise UsageError("modify wants --quantity, --stop-loss or --take-profit, and yes and no want none of them")
    for name, value in (("--stop-loss", stop_loss), ("--take-profit", take_profit)):
        if value is not None and value >= 1:
            raise UsageError(f"{name} is a fraction: 0.02 is 2 %")
    store = session.engine.store
    stored = store.get(decision_id)
    if answer == "no":
        store.add_event(stored.id, "approved", {"answer": "no"})
        data = {"decision_id": stored.id, "answer": answer, **_nothing()}
        session.emit(data, lambda console: console.print(f"decision {stored.id[:8]} is not approved; nothing is sent"))
        return
    change = Change(quantity, stop_loss, take_profit)
    trading = session.engine.trading(live=live)
    # Planned first: an approval that no limit allows is refused before it goes on record.
    trading.plan(stored.id, change=change)
    detail = {name: str(value) for name, value in _changes(change).items() if value is not None}
    store.add_event(stored.id, "modified" if changed else "approved", {"answer": answer, **detail})
    _finish(session, trading.execute(stored.id, change=change), decision_id=stored.id, answer=answer)


@command()
@click.argument("asset", required=False)
@click.option("--all", "everything", is_flag=True, help="Leave every position.")
@live_option
def close(session: Session, asset: str | None, everything: bool, live: bool) -> None:
    """Leave a position, or all of them: protection off, then a reduce-only order for what is left.

    Works in every trading state and whatever the risk rules say of entries. Each position is tried, whatever becomes of
    the others; the run fails where one of them could not be left.
    """
    from ffe_core.engine.holdings import holdings

    if (asset is None) is not everything:
        raise UsageError("say which asset to leave, or --all")
    trading = session.engine.trading(live=live)
    wanted = None if asset is None else session.engine.asset(asset).symbol
    accounts = holdings(session.engine, insists=True)
    unknown = [PlatformError(f"{each.platform}: {each.problem}") for each in accounts if each.portfolio is None]
    held = [
        (position.asset, account.synthetic)
        for account in accounts
        if account.portfolio is not None
        for position in account.portfolio.positions
        if wanted in (None, position.asset.symbol)
    ]
    if not held and unknown:
        # A failed query is never read as flat.
        raise unknown[0]
    if not held:
        raise UsageError(f"no position in {wanted}" if wanted else "no position is held", hint="ffe positions")
    done: list[Executed] = []
    # Whoever leaves one position needs to know of no other.
    failed: list[FfeError] = [*unknown] if everything else []
    for one, synthetic in held:
        try:
            done.append(trading.close(one, synthetic=synthetic))
        except FfeError as error:
            failed.append(error)
            session.warn(f"{one}: {error.message}")
    data = {"closed": [executed_data(each) for each in done], "errors": [error.message for error in failed]}

    def show(console: Console) -> None:
        banner(session, console)
        for each in done:
            print_executed(console, each)

    session.emit(data, show)
    for each in done:
        fail_in_doubt(each)
    if failed:
        raise failed[0]


def _finish(session: Session, done: Executed, **facts: Any) -> None:
    def show(console: Console) -> None:
        banner(session, console)
        print_executed(console, done)

    session.emit({**facts, **executed_data(done)}, show)
    fail_in_doubt(done)


def _nothing() -> dict[str, Any]:
    return {"order": None, "fills": [], "protection": None, "remarks": []}


def _changes(change: Change) -> dict[str, Decimal | None]:
    return {
        "quantity": change.quantity,
        "stop_fraction": change.stop_fraction,
        "target_fraction": change.target_fraction,
    }


def _picked(session: Session) -> str:
    """The decision that the user points at. Raises ``UsageError`` where nobody can be asked."""
    import sys

    store = session.engine.store
    offered = [
        held
        for held in store.latest(50)
        if not held.executed and not held.vetoed and held.effect != "none" and held.mode == session.settings.mode.value
    ][:OFFERED]
    if not offered:
        raise UsageError("there is no decision to execute", hint="ffe analyze ASSET")
    if session.json or not (sys.stdin is not None and sys.stdin.isatty()):
        raise UsageError("which decision? say its ID", hint="`ffe history` lists them")
    for number, held in enumerate(offered, 1):
        session.console.print(
            f"{number:>2}  {held.id[:8]}  {held.asset_pair} {held.action} {held.confidence}  "
            f"as of {held.as_of:%Y-%m-%d %H:%M} UTC",
            highlight=False,
        )
    number = click.prompt("which one", type=click.IntRange(1, len(offered)), err=True)
    return offered[number - 1].id


def _plan_data(plan: Plan) -> dict[str, Any]:
    order = plan.order
    return {
        "decision_id": plan.decision.id,
        "platform": plan.platform,
        "asset_pair": order.asset.symbol,
        "side": order.side,
        "quantity": order.quantity,
        "effect": order.effect,
        "price": plan.price,
        "stop_price": order.stop_price,
        "target_price": order.target_price,
        "fee": plan.fee,
        "worst_loss": plan.worst_loss,
        "rulings": [
            {
                "rule": held.rule,
                "outcome": held.outcome,
                "reason": held.reason,
                "before": held.before,
                "after": held.after,
            }
            for held in plan.rulings
        ],
    }


def _print_plan(session: Session, console: Console, plan: Plan) -> None:
    banner(session, console)
    order = plan.order
    console.print(f"would send: {order.side} {plainly(order.quantity)} {order.asset} on {plan.platform}", style="bold")
    console.print(f"at about {plainly(plan.price)}, fee {plainly(plan.fee.quantize(Decimal('0.01')))}")
    if order.stop_price is not None and plan.worst_loss is not None:
        lost = plainly(plan.worst_loss.quantize(Decimal("0.01")))
        console.print(f"stop {plainly(order.stop_price)}: at most about {lost} lost there, fees included")
    if order.target_price is not None:
        console.print(f"target {plainly(order.target_price)}")
    for held in plan.rulings:
        console.print(f"{held.rule}: {held.outcome.value} {clean(held.reason)}".rstrip(), highlight=False)
