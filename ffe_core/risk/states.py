"""The trading state: what may be traded, for everything or for one asset, shared by every process on one store.

ACTIVE lets everything through. REDUCING lets through what makes a position smaller, and cancels. HALTED lets through
cancels, and what the user closes by hand; nothing that ffe decided by itself is sent, a way out neither, because
whoever pulls that lever does not trust the machine. A state that cannot be read is treated like REDUCING.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import iso
from ffe_core.domain.trading import Effect, TradingState
from ffe_core.errors import SafetyRefusal, StoreError, UsageError
from ffe_core.store.risk import StateEntry, StateLog

_ORDER = (TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)
EVERYTHING = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """The state in force for an asset, and the change that put it there; ``asset`` is empty where it is general."""

    state: TradingState
    reason: str = ""
    since: datetime | None = None
    asset: str = EVERYTHING

    @property
    def stops(self) -> bool:
        return self.state is not TradingState.ACTIVE

    def __str__(self) -> str:
        where = f" for {self.asset}" if self.asset else ""
        why = f": {self.reason}" if self.reason else ""
        return f"trading is {self.state}{where}{why}" + (f" (since {iso(self.since)})" if self.since else "")


class TradingStates:
    """Reads and changes the trading state in the store. Every method may raise ``StoreError``."""

    def __init__(self, log: StateLog) -> None:
        self._log = log

    def current(self, asset: Asset | None = None) -> Standing:
        """The strictest of what holds for everything and for ``asset``; without one, for everything alone.

        Raises ``StoreError`` where a state is written that this version does not know.
        """
        wanted = {EVERYTHING, asset.symbol if asset else EVERYTHING}
        found = [_standing(entry) for entry in self._log.standing() if entry.asset in wanted]
        return max(found, key=_strictness, default=Standing(TradingState.ACTIVE))

    def all(self) -> Sequence[Standing]:
        """Whatever is not ACTIVE, the general state first."""
        found = (_standing(entry) for entry in sorted(self._log.standing(), key=lambda entry: entry.asset))
        return [standing for standing in found if standing.stops]

    def halt(self, reason: str, asset: Asset | None = None) -> Standing:
        return self._change(TradingState.HALTED, reason, asset)

    def reduce(self, reason: str, asset: Asset | None = None) -> Standing:
        return self._change(TradingState.REDUCING, reason, asset)

    def arm(self, reason: str, asset: Asset | None = None) -> Standing:
        """Back to ACTIVE. What was stopped for one asset stays so until that asset is armed by name."""
        return self._change(TradingState.ACTIVE, reason, asset)

    def _change(self, state: TradingState, reason: str, asset: Asset | None) -> Standing:
        told = " ".join(reason.split())
        if not told:
            raise UsageError("a change of the trading state needs a reason", hint="--reason TEXT")
        return _standing(self._log.append(asset.symbol if asset else EVERYTHING, state.value, told))

    def require(self, effect: Effect, asset: Asset, *, by_hand: bool = False) -> None:
        """Raises ``SafetyRefusal`` where an order with this effect may not be sent now.

        ``by_hand``: the user closes a position, rather than ffe carrying out a decision. Cancels need not ask.
        """
        if effect.is_exit and by_hand:
            return
        try:
            standing = self.current(asset)
        except StoreError as error:
            if effect.is_exit:
                return
            raise SafetyRefusal(f"the trading state cannot be read: {error.message}", hint=error.hint) from error
        if not standing.stops or (effect.is_exit and standing.state is TradingState.REDUCING):
            return
        name = f" {standing.asset}" if standing.asset else ""
        way_out = f"`ffe close {asset}` works in every state; " if effect.is_exit else ""
        raise SafetyRefusal(str(standing), hint=f"{way_out}`ffe arm{name}` lets orders through again")


def _strictness(standing: Standing) -> int:
    return _ORDER.index(standing.state)


def _standing(entry: StateEntry) -> Standing:
    try:
        state = TradingState(entry.state)
    except ValueError:
        raise StoreError(f"trading state {entry.state!r} is none that this version knows") from None
    return Standing(state, entry.reason, entry.at, entry.asset)
