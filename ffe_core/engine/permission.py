"""What must be allowed before an order leaves: the trading state, and room beside what others were promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import Clock
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Effect, Order, OrderState, quote_to_account
from ffe_core.errors import SafetyRefusal
from ffe_core.execution.journal import Journal
from ffe_core.execution.reconcile import NEVER_BOOKED
from ffe_core.risk.exposure import Account, Exposure
from ffe_core.risk.states import TradingStates
from ffe_core.store import Store
from ffe_core.store.orders import FINAL, JournalEntry

#: so many orders left by dead processes, within this, are no accident any more
MOST_ORPHANS = 3
ORPHANS_WITHIN = timedelta(minutes=15)
#: nobody waits for an answer this long
_NOBODY_WAITS = timedelta(seconds=60)
#: newest orders that are looked at
_LOOK_BACK = 50


@dataclass(frozen=True, slots=True)
class Permission:
    """Of one account. Raises ``SafetyRefusal`` for whatever is not allowed, ``StoreError``."""

    store: Store
    key: LedgerKey
    clock: Clock

    @property
    def states(self) -> TradingStates:
        return TradingStates(self.store.states)

    def require(self, effect: Effect, asset: Asset) -> None:
        """That a decision with this effect may be carried out in the present trading state."""
        self.states.require(effect, asset)

    def stop_crash_loop(self, journal: Journal) -> str:
        """HALTED where processes die over and over while their orders are out; says why, or nothing."""
        orphans = self._orphans(journal)
        if len(orphans) < MOST_ORPHANS:
            return ""
        minutes = ORPHANS_WITHIN.seconds // 60
        told = f"{len(orphans)} orders were left within {minutes} minutes by processes that died"
        return str(self.states.halt(told))

    def _orphans(self, journal: Journal) -> list[JournalEntry]:
        """Orders of late whose process died before the answer was written down, since trading was last armed."""
        now = self.clock.now()
        since = max(now - ORPHANS_WITHIN, self.states.current().since or now - ORPHANS_WITHIN)
        return [
            entry
            for entry in journal.latest(_LOOK_BACK)
            if entry.key == self.key and entry.sent_at is not None and since <= entry.sent_at and _is_orphan(entry, now)
        ]

    def entry(self, order: Order, account: Account, send: Callable[[], JournalEntry]) -> JournalEntry:
        """Sends an entry with its notional promised, so that nobody else uses the same room meanwhile.

        The promise ends with the order. Where nobody knows what became of that, the promise stands until it runs out.
        """
        portfolio, price = account.portfolio, account.price
        rate = quote_to_account(order.asset, price, portfolio.currency)
        if rate is None:
            raise SafetyRefusal(f"{order.asset} cannot be valued in {portfolio.currency}")
        exposure = Exposure(self.store.reservations, self.key, self.clock)
        exposure.reserve(order.decision_id, order.asset, order.quantity * price * rate, account)
        try:
            # The last look: whoever pulled the lever since the plan was made is heard.
            self.require(order.effect, order.asset)
            entry = send()
        except BaseException:
            exposure.release(order.decision_id)
            raise
        if entry.state in FINAL:
            exposure.release(order.decision_id)
        return entry


def _is_orphan(entry: JournalEntry, now: datetime) -> bool:
    if any(event.reason == NEVER_BOOKED for event in entry.events):
        return True
    return entry.state is OrderState.SENT and entry.sent_at is not None and now - entry.sent_at > _NOBODY_WAITS
