"""Where an account stands: what risk rules want to know besides the market, read before anybody is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import Clock, require_utc
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Portfolio
from ffe_core.engine.decide import DecisionInputs
from ffe_core.errors import DataError, StoreError
from ffe_core.risk.equity import Mark, past_of, read_past
from ffe_core.risk.exposure import Exposure
from ffe_core.risk.returns import BARS, DailyReturns, daily_returns
from ffe_core.risk.states import TradingStates

if TYPE_CHECKING:
    from ffe_core.market.feed import Feed, FeedResult
    from ffe_core.settings import Settings
    from ffe_core.store import Store


def returns_of(found: FeedResult, feed: Feed, held: Iterable[Asset]) -> Mapping[str, DailyReturns]:
    """Daily returns of the asset itself and of what else is held; one whose days nobody has is left out."""
    own = found.series.get(Timeframe.D1)
    made = {} if own is None else {found.asset.symbol: daily_returns(own, found.as_of)}
    for asset in held:
        if asset.symbol == found.asset.symbol:
            continue
        try:
            bars = feed.candles(asset, Timeframe.D1, bars=BARS)
        except DataError:
            # The rules say whose returns they lack.
            continue
        made[asset.symbol] = daily_returns(bars, found.as_of)
    return made


def key_of(portfolio: Portfolio, settings: Settings) -> LedgerKey:
    """Under which an account's past and promises are kept."""
    return LedgerKey(settings.mode, portfolio.platform, portfolio.account, portfolio.synthetic)


@dataclass(frozen=True, slots=True)
class Recollection:
    """What the store remembers of an account, and what it is told about it; without a store nothing ever happened."""

    store: Store | None
    settings: Settings
    clock: Clock

    def of(self, inputs: DecisionInputs, paid_in: Decimal | None) -> DecisionInputs:
        """``inputs`` with trading state, reservations and past; the account's worth of now is written down.

        A trading state that cannot be read is ``None``, which bars entries. Raises ``StoreError``.
        """
        inputs = self._with_state(inputs)
        portfolio = inputs.portfolio
        if portfolio is None:
            return inputs
        key = key_of(portfolio, self.settings)
        if self.store is not None:
            promised = Exposure(self.store.reservations, key, self.clock).open()
            inputs = replace(inputs, reservations=promised)
            inputs = self._with_trades(inputs, self.store, key)
        else:
            inputs = replace(inputs, closed_trades=())
        equity = None if portfolio.stale else portfolio.equity
        return inputs if equity is None else self._with_past(inputs, key, Mark(inputs.briefing.as_of, equity, paid_in))

    def _with_state(self, inputs: DecisionInputs) -> DecisionInputs:
        if self.store is None:
            return inputs
        try:
            standing = TradingStates(self.store.states).current(inputs.briefing.asset)
        except StoreError as error:
            return replace(inputs, state=None, state_reason=error.message)
        return replace(inputs, state=standing.state, state_reason=standing.reason if standing.stops else "")

    def _with_trades(self, inputs: DecisionInputs, store: Store, key: LedgerKey) -> DecisionInputs:
        """The asset's closed trades, where a rule that is on reads them."""
        rules = self.settings.risk.rules
        if not (rules.stoploss_guard or rules.cooldown or rules.low_profit):
            return inputs
        from ffe_core.execution.journal import Journal
        from ffe_core.execution.trades import closed_trades, exit_reasons

        journal, symbol = Journal(store.database), inputs.briefing.asset.symbol
        entries = [entry for entry in journal.of_account(key) if entry.order.asset.symbol == symbol]
        ids = {entry.order.client_order_id for entry in entries}
        fills = [fill for fill in journal.fills() if fill.client_order_id in ids]
        return replace(inputs, closed_trades=tuple(closed_trades(fills, exit_reasons(entries, fills))))

    def _with_past(self, inputs: DecisionInputs, key: LedgerKey, now: Mark) -> DecisionInputs:
        risk = self.settings.risk
        began = day_began(now.at, risk.timezone)
        most = Decimal(repr(risk.max_drawdown)) if risk.rules.drawdown else None
        if self.store is None:
            past = past_of((), now, day_began=began, max_drawdown=most)
        else:
            past = read_past(self.store.marks, key, now, day_began=began, max_drawdown=most)
            if past.mark is not None:
                self.store.marks.append(key, past.mark)
        return replace(inputs, peak_equity=past.peak, day_start_equity=past.day_start, drawdown_until=past.barred_until)


def day_began(now: datetime, zone: str) -> datetime:
    """The last midnight in that zone."""
    local = now.astimezone(ZoneInfo(zone))
    return require_utc(local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0))
