"""The paper account as a platform: orders against a ledger, and what bars do to its stops and targets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from ffe_core import (
    AccountLedger,
    Asset,
    AssetKind,
    Candles,
    Effect,
    Fees,
    Fill,
    Instrument,
    LedgerEntry,
    Mode,
    NoData,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    PluginContext,
    Portfolio,
    Position,
    Quote,
    Refused,
    Side,
)
from ffe_core.builtin.paper.account import (
    DEPOSIT,
    EXACT,
    FEE,
    FILL_STEP,
    PRICE_STEP,
    PROTECTION,
    TRADE,
    WATCHED,
    ZERO,
    Account,
    Holding,
    asset_of,
    identity,
    price_of,
    protects,
)
from ffe_core.builtin.paper.settings import PaperSettings
from ffe_core.builtin.paper.triggers import Trigger, first_trigger
from ffe_core.execution.fills import fee_of, market_fill

ONE = Decimal(1)
#: so many bars that reached nothing are written down as seen, lest they are read again for ever
_SEEN_AT_ONCE = 100


@dataclass
class PaperPlatform:
    """``initial_cash`` and a ledger of what became of it.

    Marks come from ``update_prices``; what happened between two looks comes from ``update_bars``.
    """

    name: str
    account: str
    settings: PaperSettings
    context: PluginContext
    synthetic: bool
    marks: dict[str, Decimal] = field(default_factory=dict)

    @property
    def ledger(self) -> AccountLedger:
        # Pretended money, whatever the run trades with.
        return self.context.ledger(self.account, synthetic=self.synthetic, mode=Mode.PAPER)

    # what is held

    def portfolio(self) -> Portfolio:
        account = Account.of(self.ledger.read(), self.settings)
        free = account.free(self.marks, self.settings.forex_margin)
        return Portfolio(
            platform=self.name,
            account=self.account,
            currency=account.currency,
            cash=account.cash,
            positions=tuple(map(self._position, account.held)),
            buying_power=None if free == account.cash else free,
            at=self.context.clock.now(),
            synthetic=self.synthetic,
        )

    def _position(self, holding: Holding) -> Position:
        stop, target = holding.levels
        return Position(
            asset=holding.asset,
            quantity=holding.quantity,
            entry_price=holding.entry.quantize(FILL_STEP, ROUND_HALF_EVEN),
            price=self.marks.get(holding.asset.symbol, holding.entry),
            opened_at=holding.opened_at,
            stop_price=stop,
            target_price=target,
        )

    def flat(self) -> Portfolio:
        return Portfolio(
            platform=self.name,
            account="as-of",
            currency=self.settings.currency,
            cash=self.settings.initial_cash,
            synthetic=self.synthetic,
        )

    def paid_in(self) -> Decimal:
        """Deposits so far; before the first trade books one, the cash that it will be."""
        entries = self.ledger.read()
        paid = sum((entry.amount for entry in entries if entry.kind == DEPOSIT), ZERO)
        return paid if entries else self.settings.initial_cash

    def update_prices(self, prices: Mapping[str, Decimal]) -> None:
        self.marks.update(prices)

    # what happened to it

    def watching(self) -> Mapping[Asset, datetime]:
        account = Account.of(self.ledger.read(), self.settings)
        return {
            holding.asset: holding.watched_since
            for holding in account.held
            if holding.is_protected and holding.watched_since is not None
        }

    def update_bars(self, bars: Candles) -> None:
        """Fills the stop or the target that a bar reached, whole, as of that bar.

        Which bars count is decided by the ledger and the clock alone, and a fill is booked under the protection's own
        id with every other writer waiting: whoever shows the same bars again, here or elsewhere, changes nothing.
        Raises ``ValueError`` for prices of the other kind.
        """
        if bars.synthetic is not self.synthetic:
            raise ValueError(f"{self.name} was shown prices of {bars.source}, which are of the other kind")
        if not self._news(Account.of(self.ledger.read(), self.settings), bars):
            return
        with self.ledger.locked() as book:
            entries = book.entries()
            book.append(self._news(Account.of(entries, self.settings), bars))

    def _news(self, account: Account, bars: Candles) -> list[LedgerEntry]:
        """What the bars leave to be booked."""
        holding = account.holdings.get(bars.asset.symbol)
        if holding is None or not holding.quantity or not holding.is_protected:
            return []
        unseen = bars.between(holding.watched_since, None).as_of(self.context.clock.now())
        reached = first_trigger(holding, unseen, self.context.costs.slippage)
        if reached is not None:
            return self._left(holding, reached, account.currency)
        seen_until = unseen.last_close_at
        if seen_until is None or len(unseen) < _SEEN_AT_ONCE:
            return []
        return [
            LedgerEntry(
                at=seen_until,
                kind=WATCHED,
                amount=ZERO,
                currency=account.currency,
                asset=holding.asset.symbol,
                detail=identity(holding.asset),
            )
        ]

    def _left(self, holding: Holding, reached: Trigger, currency: str) -> list[LedgerEntry]:
        """The whole position, out of it at the trigger."""
        assert holding.protection is not None  # noqa: S101 - nothing else has levels
        order_id = str(holding.protection.order_id)
        trade = self._movement(holding.asset, -holding.quantity, reached.price, reached.at, order_id, currency)
        return [trade, self._fee(trade)]

    # what may be traded

    def instrument(self, asset: Asset) -> Instrument:
        forex = asset.kind is AssetKind.FOREX
        mark = self.marks.get(asset.symbol)
        if forex:
            price_step = Decimal("0.001") if asset.quote == "JPY" else Decimal("0.00001")
        else:
            price_step = Decimal("0.01") if mark is not None and mark >= 1 else PRICE_STEP
        whole = forex or asset.kind is AssetKind.STOCK
        return Instrument(
            asset=asset,
            quantity_increment=ONE if whole else Decimal("0.00000001"),
            price_increment=price_step,
            minimum_quantity=ONE if whole else Decimal("0.00000001"),
            minimum_notional=ONE,
            quote_currency=asset.quote or self.settings.currency,
            can_short=forex,
            margin_rate=self._margin(asset),
            fees=Fees(self.context.costs.fee, self.context.costs.fee, self.context.costs.commission),
        )

    def quote(self, asset: Asset) -> Quote:
        mark = self._mark(asset)
        return Quote(asset, mark, mark, self.context.clock.now(), self.name, synthetic=self.synthetic)

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        return {"account": self.account}

    def submit(self, order: Order) -> OrderReport:
        """Fills a market order at the mark with slippage against it, as far as there is anything to be had.

        What is not filled is cancelled. The same client id never fills twice.
        """
        with self.ledger.locked() as book:
            # Looked up under the lock: nobody else can send the same order between here and the booking.
            entries = book.entries()
            known = self._filled(entries, order.client_order_id)
            if known is not None:
                return known
            account = Account.of(entries, self.settings)
            trade = self._trade(order, account)
            fee = self._fee(trade)
            self._refuse_impossible(order, trade, fee, account)
            opening = () if entries else (self._opening(),)
            *_, trade, fee = book.append([*opening, trade, fee])
        return self._report(trade, fee)

    def find(self, order: Order) -> OrderReport | None:
        return self._found(self.ledger.read(), order.client_order_id)

    def cancel(self, order: Order) -> OrderReport:
        """Takes a standing protection back; what is filled stays filled. Raises ``Refused`` for an unknown order."""
        with self.ledger.locked() as book:
            entries = book.entries()
            known = self._found(entries, order.client_order_id)
            if known is None:
                raise Refused("paper knows no such order")
            if known.state is not OrderState.ACCEPTED:
                return known
            standing = next(entry for entry in entries if protects(entry, order.client_order_id))
            book.append(
                [
                    replace(
                        standing,
                        at=self.context.clock.now(),
                        fill_id=f"{standing.fill_id}:off",
                        detail=_off(standing),
                        seq=0,
                    )
                ]
            )
        return replace(known, state=OrderState.CANCELLED, at=self.context.clock.now())

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        """Trades the whole position away; never more than is held."""
        held = self.portfolio().position(position.asset)
        if held is None:
            raise Refused(f"no position in {position.asset}")
        order = Order(
            client_order_id=client_order_id,
            decision_id="",
            leg="close",
            asset=position.asset,
            side=Side.SELL if held.is_long else Side.BUY,
            quantity=min(abs(position.quantity), abs(held.quantity)),
            effect=Effect.CLOSE,
            reduce_only=True,
        )
        return self.submit(order)

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        """Puts stop and target in the place of those before. Raises ``Refused`` where the id stands for others."""
        asset = position.asset
        with self.ledger.locked() as book:
            entries = book.entries()
            account = Account.of(entries, self.settings)
            if not account.quantity(asset):
                raise Refused(f"no position in {asset} to protect")
            standing = account.holdings[asset.symbol].protection
            entry = LedgerEntry(
                at=self.context.clock.now(),
                kind=PROTECTION,
                amount=ZERO,
                currency=account.currency,
                asset=asset.symbol,
                fill_id=client_order_id,
                order_id=client_order_id,
                detail={**identity(asset), "stop": _text(stop), "target": _text(target)},
            )
            known = next((old for old in entries if protects(old, client_order_id)), None)
            if known is None:
                book.append([entry])
            elif known is not standing or known.detail != entry.detail:
                raise Refused(f"{client_order_id} already stands for another protection")
        return OrderReport(client_order_id, client_order_id, OrderState.ACCEPTED, at=self.context.clock.now())

    def open_orders(self) -> Sequence[OrderReport]:
        account = Account.of(self.ledger.read(), self.settings)
        standing = [holding.protection for holding in account.held if holding.is_protected]
        ids = [protection.order_id for protection in standing if protection is not None]
        return [OrderReport(order_id, order_id, OrderState.ACCEPTED) for order_id in ids if order_id is not None]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        after = int(since) if since else 0
        entries = self.ledger.read(after=after)
        fees = {entry.fill_id: entry for entry in entries if entry.kind == FEE}
        fills = [self._fill(entry, fees[entry.fill_id]) for entry in entries if entry.kind == TRADE]
        return fills, str(entries[-1].seq if entries else after)

    def check(self) -> Mapping[str, bool]:
        balance = self.portfolio().cash is not None
        return {
            "api_auth": True,
            "account_active": True,
            "trading_enabled": True,
            "balance_available": balance,
            "market_data": bool(self.marks),
        }

    # what is booked

    def _opening(self) -> LedgerEntry:
        return LedgerEntry(
            at=self.context.clock.now(),
            kind=DEPOSIT,
            amount=self.settings.initial_cash,
            currency=self.settings.currency,
        )

    def _trade(self, order: Order, account: Account) -> LedgerEntry:
        """The asset against its price in cash."""
        asset = order.asset
        if order.type is not OrderType.MARKET:
            raise Refused(f"paper fills market orders only, not {order.type}")
        if asset.quote not in (account.currency, ""):
            raise Refused(f"{asset} is paid in {asset.quote}, and this paper account holds {account.currency} only")
        step = self.instrument(asset).quantity_increment
        if order.quantity % step:
            raise Refused(f"paper trades {asset} in steps of {step:f}, not {order.quantity}")
        price = market_fill(self._mark(asset), order.side.sign, self.context.costs.slippage)
        quantity = self._to_be_had(order, price, step)
        now = self.context.clock.now()
        trade = self._movement(asset, order.side.sign * quantity, price, now, order.client_order_id, account.currency)
        return replace(trade, detail={**trade.detail, "ordered": f"{order.quantity:f}"})

    def _to_be_had(self, order: Order, price: Decimal, step: Decimal) -> Decimal:
        if self.settings.liquidity is None:
            return order.quantity
        found = min(order.quantity, self.settings.liquidity / price // step * step)
        if not found:
            raise Refused(f"not one step of {order.asset} is to be had at {price:f}")
        return found

    def _movement(
        self, asset: Asset, quantity: Decimal, price: Decimal, at: datetime, order_id: str, currency: str
    ) -> LedgerEntry:
        price = price.quantize(FILL_STEP, ROUND_HALF_EVEN)
        with localcontext(prec=EXACT):
            return LedgerEntry(
                at=at,
                kind=TRADE,
                amount=-quantity * price,
                currency=currency,
                asset=asset.symbol,
                quantity=quantity,
                price=price,
                fill_id=order_id,
                order_id=order_id,
                detail=identity(asset),
            )

    def _fee(self, trade: LedgerEntry) -> LedgerEntry:
        costs = self.context.costs
        fee = fee_of(abs(trade.quantity), price_of(trade), costs.fee, costs.commission)
        fee = fee.quantize(PRICE_STEP, ROUND_HALF_EVEN)
        return LedgerEntry(
            at=trade.at,
            kind=FEE,
            amount=-fee,
            currency=trade.currency,
            fill_id=trade.fill_id,
            order_id=trade.order_id,
        )

    def _refuse_impossible(self, order: Order, trade: LedgerEntry, fee: LedgerEntry, account: Account) -> None:
        now = account.quantity(order.asset)
        reducing = now * order.side.sign < 0 and order.quantity <= abs(now)
        with localcontext(prec=EXACT):
            needed = abs(trade.amount) * self._margin(order.asset) - fee.amount
            free = account.free(self.marks, self.settings.forex_margin)
        if order.reduce_only and not reducing:
            raise Refused(f"reduce-only: {order.side} {order.quantity} does not reduce {now}")
        if not reducing and order.side is Side.SELL and not self.instrument(order.asset).can_short:
            raise Refused(f"{order.asset} cannot be sold short")
        if not reducing and needed > free:
            raise Refused(f"{needed:f} needed, {free:f} there")

    def _margin(self, asset: Asset) -> Decimal:
        return self.settings.forex_margin if asset.kind is AssetKind.FOREX else ONE

    def _mark(self, asset: Asset) -> Decimal:
        if asset.symbol not in self.marks:
            raise NoData(
                f"paper has no price of {asset}", hint="analyse the asset first, so that its last close is known"
            )
        return self.marks[asset.symbol]

    # what is read back

    def _found(self, entries: Sequence[LedgerEntry], order_id: str) -> OrderReport | None:
        """A filled order, or a protection: it stands until another one, a cancellation or the end of its position."""
        filled = self._filled(entries, order_id)
        if filled is not None:
            return filled
        placed = next((entry for entry in entries if protects(entry, order_id)), None)
        if placed is None:
            return None
        holding = Account.of(entries, self.settings).holdings[asset_of(placed).symbol]
        stands = holding.quantity != 0 and holding.protection == placed
        state = OrderState.ACCEPTED if stands else OrderState.CANCELLED
        return OrderReport(order_id, order_id, state, at=placed.at)

    def _filled(self, entries: Iterable[LedgerEntry], order_id: str) -> OrderReport | None:
        legs = [entry for entry in entries if entry.fill_id == order_id and entry.kind in (TRADE, FEE)]
        return self._report(*legs) if legs else None

    def _fill(self, trade: LedgerEntry, fee: LedgerEntry) -> Fill:
        return Fill(
            venue=self.name,
            venue_fill_id=str(trade.seq),
            client_order_id=str(trade.order_id),
            asset=asset_of(trade),
            side=Side.BUY if trade.quantity > 0 else Side.SELL,
            quantity=abs(trade.quantity),
            price=price_of(trade),
            fee=-fee.amount,
            fee_currency=fee.currency,
            at=trade.at,
        )

    def _report(self, trade: LedgerEntry, fee: LedgerEntry) -> OrderReport:
        fill = self._fill(trade, fee)
        whole = fill.quantity >= Decimal(trade.detail.get("ordered", "0"))
        return OrderReport(
            client_order_id=fill.client_order_id,
            venue_order_id=f"{self.name}-{fill.venue_fill_id}",
            state=OrderState.FILLED if whole else OrderState.CANCELLED,
            filled_quantity=fill.quantity,
            average_price=fill.price,
            fills=(fill,),
            reason="" if whole else "the rest was not to be had",
            at=fill.at,
        )


def _off(protection: LedgerEntry) -> dict[str, Any]:
    return {**protection.detail, "stop": None, "target": None}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
