"""Exposure reservations: what is promised between approval and fill counts against the limits in every process.

Whoever is about to send an entry reserves its notional first. Under the store's one writer lock the limits are checked
again with everything that others have reserved, so two approvals that fit alone and not together end in one refusal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.clock import Clock
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Instrument, Portfolio, Reservation
from ffe_core.errors import SafetyRefusal
from ffe_core.risk.sizing import SizingRules, limits
from ffe_core.store.risk import Promise, Reservations

#: seconds after which a reservation that nobody released holds no longer
TTL = 300.0


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the limits see it. ``asked_at``: the instant before the platform was asked for the portfolio."""

    portfolio: Portfolio
    asked_at: datetime
    instrument: Instrument
    price: Decimal
    rules: SizingRules


class Exposure:
    """The reservations of one account, in account currency."""

    def __init__(self, reservations: Reservations, key: LedgerKey, clock: Clock) -> None:
        self._reservations = reservations
        self._key = key
        self._clock = clock

    def open(self) -> tuple[Reservation, ...]:
        """What is promised now. Raises ``StoreError``."""
        return tuple(map(_reservation, self._reservations.open(self._key, self._clock.now())))

    def reserve(
        self, decision_id: str, asset: Asset, notional: Decimal, account: Account, *, ttl: float = TTL
    ) -> Reservation:
        """Promises ``notional`` to a decision for ``ttl`` seconds, if every limit still holds with it.

        A reservation that was released after the portfolio was asked for still counts, because its fill may not be in
        that portfolio yet. Raises ``SafetyRefusal`` where a limit would be passed, and where the decision
        holds a reservation already.
        """
        if not notional.is_finite() or notional <= 0:
            raise ValueError(f"a reservation of {notional} is none")
        now = self._clock.now()
        expires = now + timedelta(seconds=ttl)
        promise = Promise(decision_id, asset.symbol, asset.base, asset.quote, asset.kind.value, notional, now, expires)

        def check(others: Sequence[Promise]) -> None:
            _require_room(account, asset, notional, [_reservation(other) for other in others])

        self._reservations.add(self._key, promise, check, released_since=account.asked_at)
        return _reservation(promise)

    def release(self, decision_id: str) -> bool:
        """Ends a reservation, filled or not; whether there was one. Raises ``StoreError``."""
        return self._reservations.release(decision_id, self._clock.now())


def _require_room(account: Account, asset: Asset, notional: Decimal, others: Sequence[Reservation]) -> None:
    for name, room in limits(account.portfolio, account.instrument, account.rules, others):
        if notional > room:
            promised = sum((other.notional for other in others), Decimal(0))
            raise SafetyRefusal(
                f"{notional:.2f} of {asset} would pass the limit on {name.replace('_', ' ')}: "
                f"{max(room, Decimal(0)):.2f} is left, with {promised:.2f} promised to other decisions",
                hint="analyse again once they are filled",
            )


def _reservation(promise: Promise) -> Reservation:
    asset = Asset(promise.asset, promise.base, promise.quote, AssetKind(promise.kind))
    return Reservation(promise.decision_id, asset, promise.notional, promise.expires_at)
