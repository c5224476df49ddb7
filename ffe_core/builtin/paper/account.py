"""What the entries of a paper ledger add up to: exact, because nothing here rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, localcontext

from ffe_core import Asset, AssetKind, LedgerEntry
from ffe_core.builtin.paper.settings import PaperSettings

ZERO = Decimal(0)
#: kinds of ledger entries; ``WATCHED`` says up to when a protection was held against bars
DEPOSIT, TRADE, FEE, PROTECTION, WATCHED = "deposit", "trade", "fee", "protection", "watched"
PRICE_STEP = Decimal("0.00000001")
#: what a fill is rounded to: a coin at 0.00001 keeps seven digits of the slippage, a pair near 1 all that a float has
FILL_STEP = Decimal("0.000000000001")
#: digits enough that no product or sum of real amounts is ever rounded
EXACT = 80


@dataclass
class Holding:
    asset: Asset
    quantity: Decimal = ZERO
    entry: Decimal = ZERO
    opened_at: datetime | None = None
    protection: LedgerEntry | None = None
    #: bars that opened before this say nothing of the protection
    watched_since: datetime | None = None

    @property
    def is_protected(self) -> bool:
        return self.levels != (None, None)

    @property
    def levels(self) -> tuple[Decimal | None, Decimal | None]:
        """Stop and target."""
        return levels_of(self.protection)

    def add(self, change: Decimal, price: Decimal, at: datetime) -> None:
        before, after = self.quantity, self.quantity + change
        if before == 0 or (before > 0) != (after > 0):
            self.entry, self.opened_at, self.protection = price, at, None
        elif abs(after) > abs(before):
            self.entry = (self.entry * abs(before) + price * abs(change)) / abs(after)
        self.quantity, self.watched_since = after, at


@dataclass
class Account:
    cash: Decimal
    currency: str
    holdings: dict[str, Holding] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[LedgerEntry], settings: PaperSettings) -> Account:
        if not entries:
            return cls(settings.initial_cash, settings.currency)
        account = cls(ZERO, entries[0].currency)
        with localcontext(prec=EXACT):
            for entry in entries:
                account._add(entry)
        return account

    def _add(self, entry: LedgerEntry) -> None:
        self.cash += entry.amount
        if entry.kind == TRADE:
            asset = asset_of(entry)
            self.holdings.setdefault(asset.symbol, Holding(asset)).add(entry.quantity, price_of(entry), entry.at)
        elif entry.kind == PROTECTION:
            holding = self.holdings[asset_of(entry).symbol]
            holding.protection, holding.watched_since = entry, entry.at
        elif entry.kind == WATCHED:
            self.holdings[asset_of(entry).symbol].watched_since = entry.at

    @property
    def held(self) -> list[Holding]:
        return [holding for _, holding in sorted(self.holdings.items()) if holding.quantity]

    def quantity(self, asset: Asset) -> Decimal:
        holding = self.holdings.get(asset.symbol)
        return ZERO if holding is None else holding.quantity

    def free(self, marks: Mapping[str, Decimal], forex_margin: Decimal) -> Decimal:
        """What further entries may use: equity less what is paid for, and less the margin of what is not."""
        free = self.cash
        for holding in self.held:
            if holding.asset.kind is AssetKind.FOREX:
                worth = holding.quantity * marks.get(holding.asset.symbol, holding.entry)
                free += worth - abs(worth) * forex_margin
        return free


def identity(asset: Asset) -> dict[str, str]:
    """What tells an asset besides its symbol."""
    return {"base": asset.base, "quote": asset.quote, "kind": asset.kind.value}


def asset_of(entry: LedgerEntry) -> Asset:
    detail = entry.detail
    return Asset(str(entry.asset), detail["base"], detail["quote"], AssetKind(detail["kind"]))


def price_of(trade: LedgerEntry) -> Decimal:
    if trade.price is None:
        raise ValueError(f"entry {trade.seq} is a trade without a price")
    return trade.price


def levels_of(protection: LedgerEntry | None) -> tuple[Decimal | None, Decimal | None]:
    if protection is None:
        return None, None
    stop, target = (protection.detail[name] for name in ("stop", "target"))
    return None if stop is None else Decimal(stop), None if target is None else Decimal(target)


def protects(entry: LedgerEntry, order_id: str) -> bool:
    return entry.kind == PROTECTION and entry.fill_id == order_id
