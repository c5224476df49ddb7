"""Built-in platform: a paper account that fills every market order at the last close, with costs, and never forgets.

One ledger per kind of money: what was opened on synthetic prices lives in an account of its own and is never marked
with real ones. The ledger is a table of fills; cash and positions are sums over it, so that nothing can drift.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ffe_core import (
    Asset,
    AssetKind,
    Effect,
    Fees,
    Fill,
    Instrument,
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
_PRICE_STEP = Decimal("0.00000001")

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS fills (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    client_order_id TEXT NOT NULL UNIQUE,
    symbol TEXT NOT NULL,
    base TEXT NOT NULL,
    quote TEXT NOT NULL,
    kind TEXT NOT NULL,
    side TEXT NOT NULL,
    quantity TEXT NOT NULL,
    price TEXT NOT NULL,
    fee TEXT NOT NULL,
    at_ms INTEGER NOT NULL
)
""",
    """
CREATE TABLE IF NOT EXISTS protections (
    symbol TEXT PRIMARY KEY,
    client_order_id TEXT NOT NULL,
    stop TEXT,
    target TEXT
)
""",
)


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
    opened_ms: int = 0

    def add(self, change: Decimal, price: Decimal, at_ms: int) -> None:
        before, after = self.quantity, self.quantity + change
        if before == 0 or (before > 0) != (after > 0):
            self.entry, self.opened_ms = price, at_ms
        elif abs(after) > abs(before):
            self.entry = (self.entry * abs(before) + price * abs(change)) / abs(after)
        self.quantity = after


@dataclass
class PaperPlatform:
    """``initial_cash`` and a ledger file of fills; marks come from ``update_prices``."""

    name: str
    account: str
    settings: PaperSettings
    context: PluginContext
    synthetic: bool
    marks: dict[str, Decimal] = field(default_factory=dict)

    # what is held

    def portfolio(self) -> Portfolio:
        cash, holdings = self._read()
        return Portfolio(
            platform=self.name,
            account=self.account,
            currency=self.settings.currency,
            cash=cash,
            positions=tuple(
                Position(
                    asset=held.asset,
                    quantity=held.quantity,
                    entry_price=held.entry.quantize(_PRICE_STEP, ROUND_HALF_EVEN),
                    price=self.marks.get(symbol, held.entry),
                    stop_price=stop,
                    target_price=target,
                )
                for symbol, held, stop, target in holdings
            ),
            at=self.context.clock.now(),
            synthetic=self.synthetic,
        )

    def flat(self) -> Portfolio:
        return Portfolio(
            platform=self.name,
            account="as-of",
            currency=self.settings.currency,
            cash=self.settings.initial_cash,
            synthetic=self.synthetic,
        )

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
        known = self.find(order)
        if known is not None:
            return known
        if order.type is not OrderType.MARKET:
            raise Refused(f"paper fills market orders only, not {order.type}")
        step = self.instrument(order.asset).quantity_increment
        if order.quantity % step:
            raise Refused(f"paper trades {order.asset} in steps of {step:f}, not {order.quantity}")
        mark = self._mark(order.asset)
        slip = self.context.costs.slippage * order.side.sign
        price = (mark * (ONE + slip)).quantize(_PRICE_STEP, ROUND_HALF_EVEN)
        fee = (price * order.quantity * self.context.costs.fee + self.context.costs.commission).quantize(
            _PRICE_STEP, ROUND_HALF_EVEN
        )
        self._book(order, price, fee)
        report = self.find(order)
        if report is None:
            raise Refused("the paper ledger did not keep the fill")
        return report

    def find(self, order: Order) -> OrderReport | None:
        with self._ledger() as ledger:
            row = ledger.execute("SELECT * FROM fills WHERE client_order_id = ?", (order.client_order_id,)).fetchone()
        return None if row is None else self._report(row)

    def cancel(self, order: Order) -> OrderReport:
        known = self.find(order)
        if known is None:
            raise Refused("paper knows no such order")
        return known

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
        if self.portfolio().position(position.asset) is None:
            raise Refused(f"no position in {position.asset} to protect")
        with self._ledger() as ledger:
            ledger.execute(
                "INSERT OR REPLACE INTO protections VALUES (?, ?, ?, ?)",
                (position.asset.symbol, client_order_id, _text(stop), _text(target)),
            )
        return OrderReport(client_order_id, client_order_id, OrderState.ACCEPTED, at=self.context.clock.now())

    def open_orders(self) -> Sequence[OrderReport]:
        with self._ledger() as ledger:
            rows = ledger.execute("SELECT client_order_id FROM protections ORDER BY symbol").fetchall()
        return [OrderReport(row[0], row[0], OrderState.ACCEPTED) for row in rows]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        after = int(since) if since else 0
        with self._ledger() as ledger:
            rows = ledger.execute("SELECT * FROM fills WHERE seq > ? ORDER BY seq", (after,)).fetchall()
        return [self._fill(row) for row in rows], str(rows[-1]["seq"] if rows else after)

    def check(self) -> Mapping[str, bool]:
        balance = self.portfolio().cash is not None
        return {
            "api_auth": True,
            "account_active": True,
            "trading_enabled": True,
            "balance_available": balance,
            "market_data": bool(self.marks),
        }

    # the ledger

    @property
    def path(self) -> Path:
        return self.context.state_dir / f"{self.account}.db"

    @contextmanager
    def _ledger(self) -> Iterator[sqlite3.Connection]:
        """One transaction, committed at the end: a crash leaves all of it or none."""
        ledger = sqlite3.connect(self.path, timeout=5, isolation_level=None)
        try:
            ledger.row_factory = sqlite3.Row
            ledger.execute("PRAGMA synchronous=FULL")
            # The lock comes first: a statement that has to upgrade from reading to writing does not wait its turn.
            ledger.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                ledger.execute(table)
            yield ledger
            ledger.execute("COMMIT")
        finally:
            ledger.close()

    def _book(self, order: Order, price: Decimal, fee: Decimal) -> None:
        asset, now = order.asset, self.context.clock.now()
        with self._ledger() as ledger:
            # Looked up again under the lock: another writer may have sent the same order since.
            if ledger.execute("SELECT 1 FROM fills WHERE client_order_id = ?", (order.client_order_id,)).fetchone():
                return
            self._refuse_impossible(ledger, order, price, fee)
            ledger.execute(
                "INSERT INTO fills (client_order_id, symbol, base, quote, kind, side, quantity, price, fee, "
                "at_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    order.client_order_id,
                    asset.symbol,
                    asset.base,
                    asset.quote,
                    asset.kind.value,
                    order.side.value,
                    _text(order.quantity),
                    _text(price),
                    _text(fee),
                    int(now.timestamp() * 1000),
                ),
            )
            held = _sum_up(ledger.execute("SELECT * FROM fills ORDER BY seq"), self.settings.initial_cash)[1]
            if held[asset.symbol].quantity == 0:
                ledger.execute("DELETE FROM protections WHERE symbol = ?", (asset.symbol,))

    def _refuse_impossible(self, ledger: sqlite3.Connection, order: Order, price: Decimal, fee: Decimal) -> None:
        cash, held = _sum_up(ledger.execute("SELECT * FROM fills ORDER BY seq"), self.settings.initial_cash)
        now = held[order.asset.symbol].quantity if order.asset.symbol in held else ZERO
        reducing = now * order.side.sign < 0 and order.quantity <= abs(now)
        if order.reduce_only and not reducing:
            raise Refused(f"reduce-only: {order.side} {order.quantity} does not reduce {now}")
        if not reducing and order.side is Side.BUY and price * order.quantity + fee > cash:
            raise Refused(f"{price * order.quantity + fee:f} needed, {cash:f} there")
        if not reducing and order.side is Side.SELL and not self.instrument(order.asset).can_short:
            raise Refused(f"{order.asset} cannot be sold short")

    def _read(self) -> tuple[Decimal, list[tuple[str, _Holding, Decimal | None, Decimal | None]]]:
        if not self.path.exists():
            return self.settings.initial_cash, []
        with self._ledger() as ledger:
            cash, held = _sum_up(ledger.execute("SELECT * FROM fills ORDER BY seq"), self.settings.initial_cash)
            guards = {row["symbol"]: row for row in ledger.execute("SELECT * FROM protections")}
        listed = []
        for symbol, holding in sorted(held.items()):
            if holding.quantity:
                guard = guards.get(symbol)
                listed.append(
                    (
                        symbol,
                        holding,
                        _decimal(guard["stop"]) if guard else None,
                        _decimal(guard["target"]) if guard else None,
                    )
                )
        return cash, listed

    def _mark(self, asset: Asset) -> Decimal:
        if asset.symbol not in self.marks:
            raise NoData(
                f"paper has no price of {asset}", hint="analyse the asset first, so that its last close is known"
            )
        return self.marks[asset.symbol]

    def _fill(self, row: sqlite3.Row) -> Fill:
        return Fill(
            venue=self.name,
            venue_fill_id=str(row["seq"]),
            client_order_id=row["client_order_id"],
            asset=_asset(row),
            side=Side(row["side"]),
            quantity=Decimal(row["quantity"]),
            price=Decimal(row["price"]),
            fee=Decimal(row["fee"]),
            fee_currency=row["quote"] or self.settings.currency,
            at=datetime.fromtimestamp(row["at_ms"] / 1000, UTC),
        )

    def _report(self, row: sqlite3.Row) -> OrderReport:
        fill = self._fill(row)
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


def _sum_up(rows: Iterable[sqlite3.Row], cash: Decimal) -> tuple[Decimal, dict[str, _Holding]]:
    """Cash and holdings after every fill: exact, because nothing here rounds."""
    held: dict[str, _Holding] = {}
    with localcontext(prec=80):  # digits enough that no product or sum of real amounts is ever rounded
        for row in rows:
            sign = Side(row["side"]).sign
            quantity, price = Decimal(row["quantity"]), Decimal(row["price"])
            cash -= sign * quantity * price + Decimal(row["fee"])
            held.setdefault(row["symbol"], _Holding(_asset(row))).add(sign * quantity, price, row["at_ms"])
    return cash, held


def _asset(row: sqlite3.Row) -> Asset:
    return Asset(row["symbol"], row["base"], row["quote"], AssetKind(row["kind"]))


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
