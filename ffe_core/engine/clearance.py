"""What must be allowed before an order leaves: the trading state, and room beside what others were promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import Clock
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Effect, Order, quote_to_account
from ffe_core.errors import SafetyRefusal
from ffe_core.risk.exposure import Account, Exposure
from ffe_core.risk.states import TradingStates
from ffe_core.store import Store
from ffe_core.store.orders import FINAL, JournalEntry


@dataclass(frozen=True, slots=True)
class Clearance:
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
