"""Built-in platform: a paper account that fills every market order at the last close, with costs, and never forgets.

One ledger per kind of prices: what was opened on synthetic ones lives in an account of its own and is never marked
with real ones. The ledger, in the user's store, has every movement; cash and positions are sums over it, so that
nothing can drift. It begins with a deposit of the initial cash; a fill is two entries, the trade (asset against cash)
and its fee; a protection is an entry without money that holds until the next one or until the position is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ffe_core import (
    AccountLedger,
    Asset,
    AssetKind,
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
    Platform,
    PluginContext,
    Portfolio,
    Position,
    Quote,
    Refused,
    Side,
    hookimpl,
)

ZERO = Decimal(0)
ONE = Decimal(1)
#: kinds of ledger entries
DEPOSIT, TRADE, FEE, PROTECTION = "deposit", "trade", "fee", "protection"
_PRICE_STEP = Decimal("0.00000001")
#: digits enough that no product or sum of real amounts is ever rounded
_EXACT = 80


class PaperSettings(BaseModel):
    """Section ``plugins.paper``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    initial_cash: Decimal = Field(default=Decimal(10_000), gt=0, description="cash of a new paper account")
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3,5}$", description="currency of the paper account")


@dataclass
class _Holding:
    asset: Asset
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    opened_at: datetime | None = None
    protection: LedgerEntry | None = None

    @property
    def is_protected(self) -> bool:
        return _levels(self.protection) != (None, None)

    def add(self, change: Decimal, price: Decimal, at: datetime) -> None:
        before, after = self.quantity, self.quantity + change
        if before == 0 or (before > 0) != (after > 0):
            self.entry, self.opened_at, self.protection = price, at, None
        elif abs(after) > abs(before):
            self.entry = (self.entry * abs(before) + price * abs(change)) / abs(after)
        self.quantity = after


@dataclass
class _Account:
    """What the entries of a ledger add up to: exact, because nothing here rounds."""

    cash: Decimal
    currency: str
    holdings: dict[str, _Holding] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[LedgerEntry], settings: PaperSettings) -> _Account:
        if not entries:
            return cls(settings.initial_cash, settings.currency)
        account = cls(ZERO, entries[0].currency)
        with localcontext(prec=_EXACT):
            for entry in entries:
                account._add(entry)
        return account

    def _add(self, entry: LedgerEntry) -> None:
        self.cash += entry.amount
        if entry.kind == TRADE:
            asset = _asset(entry)
            self.holdings.setdefault(asset.symbol, _Holding(asset)).add(entry.quantity, _price(entry), entry.at)
        elif entry.kind == PROTECTION:
            self.holdings[_asset(entry).symbol].protection = entry

    @property
    def held(self) -> list[_Holding]:
        return [holding for _, holding in sorted(self.holdings.items()) if holding.quantity]

    def quantity(self, asset: Asset) -> Decimal:
        holding = self.holdings.get(asset.symbol)
        return ZERO if holding is None else holding.quantity


@dataclass
class PaperPlatform:
    """``initial_cash`` and a ledger of what became of it; marks come from ``update_prices``."""

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
        account = _Account.of(self.ledger.read(), self.settings)
        return Portfolio(
            platform=self.name,
            account=self.account,
            currency=account.currency,
            cash=account.cash,
            positions=tuple(map(self._position, account.held)),
            at=self.context.clock.now(),
            synthetic=self.synthetic,
        )

    def _position(self, holding: _Holding) -> Position:
        stop, target = _levels(holding.protection)
        return Position(
            asset=holding.asset,
            quantity=holding.quantity,
            entry_price=holding.entry.quantize(_PRICE_STEP, ROUND_HALF_EVEN),
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

    # what may be traded

    def instrument(self, asset: Asset) -> Instrument:
        forex = asset.kind is AssetKind.FOREX
        mark = self.marks.get(asset.symbol)
        if forex:
            price_step = Decimal("0.001") if asset.quote == "JPY" else Decimal("0.00001")
        else:
            price_step = Decimal("0.01") if mark is not None and mark >= 1 else _PRICE_STEP
        whole = forex or asset.kind is AssetKind.STOCK
        return Instrument(
            asset=asset,
            quantity_increment=ONE if whole else Decimal("0.00000001"),
            price_increment=price_step,
            minimum_quantity=ONE if whole else Decimal("0.00000001"),
            minimum_notional=ONE,
            quote_currency=asset.quote or self.settings.currency,
            can_short=forex,
            fees=Fees(self.context.costs.fee, self.context.costs.fee, self.context.costs.commission),
        )

    def quote(self, asset: Asset) -> Quote:
        mark = self._mark(asset)
        return Quote(asset, mark, mark, self.context.clock.now(), self.name, synthetic=self.synthetic)

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        return {"account": self.account}

    def submit(self, order: Order) -> OrderReport:
        """Fills a market order whole, at the mark with slippage against it. The same client id never fills twice."""
        with self.ledger.locked() as book:
            # Looked up under the lock: nobody else can send the same order between here and the booking.
            entries = book.entries()
            known = self._filled(entries, order.client_order_id)
            if known is not None:
                return known
            account = _Account.of(entries, self.settings)
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
            standing = next(entry for entry in entries if _protects(entry, order.client_order_id))
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
            account = _Account.of(entries, self.settings)
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
                detail={**_identity(asset), "stop": _text(stop), "target": _text(target)},
            )
            known = next((old for old in entries if _protects(old, client_order_id)), None)
            if known is None:
                book.append([entry])
            elif known is not standing or known.detail != entry.detail:
                raise Refused(f"{client_order_id} already stands for another protection")
        return OrderReport(client_order_id, client_order_id, OrderState.ACCEPTED, at=self.context.clock.now())

    def open_orders(self) -> Sequence[OrderReport]:
        account = _Account.of(self.ledger.read(), self.settings)
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

    def _trade(self, order: Order, account: _Account) -> LedgerEntry:
        """The asset against its price in cash."""
        asset = order.asset
        if order.type is not OrderType.MARKET:
            raise Refused(f"paper fills market orders only, not {order.type}")
        if asset.quote not in (account.currency, ""):
            raise Refused(f"{asset} is paid in {asset.quote}, and this paper account holds {account.currency} only")
        step = self.instrument(asset).quantity_increment
        if order.quantity % step:
            raise Refused(f"paper trades {asset} in steps of {step:f}, not {order.quantity}")
        slip = self.context.costs.slippage * order.side.sign
        price = (self._mark(asset) * (ONE + slip)).quantize(_PRICE_STEP, ROUND_HALF_EVEN)
        with localcontext(prec=_EXACT):
            quantity = order.side.sign * order.quantity
            return LedgerEntry(
                at=self.context.clock.now(),
                kind=TRADE,
                amount=-quantity * price,
                currency=account.currency,
                asset=asset.symbol,
                quantity=quantity,
                price=price,
                fill_id=order.client_order_id,
                order_id=order.client_order_id,
                detail=_identity(asset),
            )

    def _fee(self, trade: LedgerEntry) -> LedgerEntry:
        costs = self.context.costs
        fee = (abs(trade.amount) * costs.fee + costs.commission).quantize(_PRICE_STEP, ROUND_HALF_EVEN)
        return LedgerEntry(
            at=trade.at,
            kind=FEE,
            amount=-fee,
            currency=trade.currency,
            fill_id=trade.fill_id,
            order_id=trade.order_id,
        )

    def _refuse_impossible(self, order: Order, trade: LedgerEntry, fee: LedgerEntry, account: _Account) -> None:
        now = account.quantity(order.asset)
        reducing = now * order.side.sign < 0 and order.quantity <= abs(now)
        with localcontext(prec=_EXACT):
            needed = -(trade.amount + fee.amount)
        if order.reduce_only and not reducing:
            raise Refused(f"reduce-only: {order.side} {order.quantity} does not reduce {now}")
        if not reducing and order.side is Side.BUY and needed > account.cash:
            raise Refused(f"{needed:f} needed, {account.cash:f} there")
        if not reducing and order.side is Side.SELL and not self.instrument(order.asset).can_short:
            raise Refused(f"{order.asset} cannot be sold short")

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
        placed = next((entry for entry in entries if _protects(entry, order_id)), None)
        if placed is None:
            return None
        holding = _Account.of(entries, self.settings).holdings[_asset(placed).symbol]
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
            asset=_asset(trade),
            side=Side.BUY if trade.quantity > 0 else Side.SELL,
            quantity=abs(trade.quantity),
            price=_price(trade),
            fee=-fee.amount,
            fee_currency=fee.currency,
            at=trade.at,
        )

    def _report(self, trade: LedgerEntry, fee: LedgerEntry) -> OrderReport:
        fill = self._fill(trade, fee)
        return OrderReport(
            client_order_id=fill.client_order_id,
            venue_order_id=f"{self.name}-{fill.venue_fill_id}",
            state=OrderState.FILLED,
            filled_quantity=fill.quantity,
            average_price=fill.price,
            fills=(fill,),
            at=fill.at,
        )


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return PaperSettings


@hookimpl
def ffe_platforms(settings: Any, context: PluginContext) -> Iterable[Platform]:
    return (
        PaperPlatform("paper", "main", settings, context, synthetic=False),
        PaperPlatform("paper_synthetic", "synthetic", settings, context, synthetic=True),
    )


def _identity(asset: Asset) -> dict[str, str]:
    """What tells an asset besides its symbol."""
    return {"base": asset.base, "quote": asset.quote, "kind": asset.kind.value}


def _asset(entry: LedgerEntry) -> Asset:
    detail = entry.detail
    return Asset(str(entry.asset), detail["base"], detail["quote"], AssetKind(detail["kind"]))


def _price(trade: LedgerEntry) -> Decimal:
    if trade.price is None:
        raise ValueError(f"entry {trade.seq} is a trade without a price")
    return trade.price


def _levels(protection: LedgerEntry | None) -> tuple[Decimal | None, Decimal | None]:
    if protection is None:
        return None, None
    stop, target = (protection.detail[name] for name in ("stop", "target"))
    return None if stop is None else Decimal(stop), None if target is None else Decimal(target)


def _protects(entry: LedgerEntry, order_id: str) -> bool:
    return entry.kind == PROTECTION and entry.fill_id == order_id


def _off(protection: LedgerEntry) -> dict[str, Any]:
    return {**protection.detail, "stop": None, "target": None}


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")
