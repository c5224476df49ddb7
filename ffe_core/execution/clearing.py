"""Ending what is still ordered, and saying what was left without a stop. Nothing in here sends an order."""

from __future__ import annotations

from collections.abc import Iterator

from ffe_core.domain.assets import Asset
from ffe_core.domain.trading import OrderState, Portfolio
from ffe_core.errors import FfeError, PlatformError, Refused
from ffe_core.execution.reconcile import TAKEN, Reconciler
from ffe_core.store.orders import FINAL, JournalEntry

#: seconds that a sent order is waited for, that a protection may take to be confirmed, and a cancel
PATIENCE = 10.0


def clear(reconciler: Reconciler, asset: Asset) -> tuple[str, ...]:
    """Ends whatever is still ordered of the asset, its protection first of all; returns what went otherwise.

    Raises ``PlatformError`` where an order may still stand: selling beside it could sell twice.
    """
    platform = reconciler.platform
    for entry in standing(reconciler, asset):
        after = take_back(reconciler, entry)
        if after.state not in FINAL:
            raise PlatformError(
                f"{platform.name} does not confirm that order {after.order.client_order_id} ({after.order.leg}) of "
                f"{asset} is over, so nothing was sold beside it",
                hint=f"`ffe close {asset}` tries again",
            )
    try:
        reconciler.journal.read_fills(reconciler.key, platform.fills)
    except FfeError as error:
        # They are read again by the next pass; a way out does not wait for the books.
        return (f"fills could not be read: {error.message}",)
    return ()


def standing(reconciler: Reconciler, asset: Asset) -> list[JournalEntry]:
    """What was sent of the asset and may still change."""
    return [
        entry
        for entry in reconciler.journal.open(reconciler.key)
        if entry.order.asset.symbol == asset.symbol and entry.state is not OrderState.INTENT
    ]


def take_back(reconciler: Reconciler, entry: JournalEntry) -> JournalEntry:
    """The order cancelled, and the venue's word on its end waited for; it may have been filled instead.

    A cancel whose answer was lost is sent once more: twice is harmless.
    """
    for _ in range(2):
        denied = False
        try:
            reconciler.journal.heard(reconciler.platform.cancel(entry.order))
        except FfeError as error:
            denied = isinstance(error, Refused)
        entry = reconciler.settle(entry.order.client_order_id, within=PATIENCE / 2, ended=True)
        if entry.state in FINAL:
            break
        try:
            entry = reconciler.gone(entry) if denied and entry.state in TAKEN else reconciler.one(entry)
        except FfeError:
            continue
        if entry.state in FINAL:
            break
    return entry


def without_stop(reconciler: Reconciler, held: Portfolio) -> Iterator[str]:
    """Positions that were to have a stop and have none standing: whoever was to place it did not live to do so."""
    guarded = {entry.order.asset.symbol for entry in reconciler.journal.open(reconciler.key) if entry.order.reduce_only}
    newest = {
        entry.order.asset.symbol: entry.order
        for entry in reconciler.journal.of_account(reconciler.key)
        if entry.order.effect.is_entry and entry.filled
    }
    for position in held.positions:
        asset = position.asset
        order = newest.get(asset.symbol)
        if order is None or order.stop_price is None or position.stop_price is not None:
            continue
        if asset.symbol not in guarded:
            yield f"{asset} is held without a stop; `ffe close {asset}` leaves it"
