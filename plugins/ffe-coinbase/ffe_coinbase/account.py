"""What an account holds: wallets and coins, or contracts on margin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ffe_coinbase.api import Api
from ffe_coinbase.parse import (
    ZERO,
    Contracts,
    Product,
    VenueFill,
    VenueOrder,
    Wallet,
    listed,
    mapping,
    maybe,
    number,
    parse_contracts,
    parse_fill,
    parse_order,
    parse_product,
    parse_wallet,
)
from ffe_coinbase.products import asset_of, pair
from ffe_core import PluginContext, Portfolio, Position, Side

#: dollars and their coin are changed into each other at par, and their markets are one
PAR = frozenset({"USD", "USDC"})
#: pages of fills that are read to learn at what price a holding was bought
_PAGES = 4


def read_wallets(api: Api) -> list[Wallet]:
    asked = {"retail_portfolio_id": api.settings.portfolio} if api.settings.portfolio else None
    return [parse_wallet(row) for row in api.pages("/accounts", "accounts", asked)]


def read_spot(api: Api, context: PluginContext) -> Portfolio:
    """Cash is the wallet of ``currency``, on hold or not; every coin that has a market against it is a position."""
    currency = api.settings.currency
    wallets = read_wallets(api)
    cash = [wallet for wallet in wallets if wallet.currency == currency]
    held = [wallet for wallet in wallets if wallet.currency != currency and wallet.total > 0]
    products = _markets(api, [f"{wallet.currency}-{currency}" for wallet in held])
    levels = protection(open_orders(api)) if held else {}
    positions: list[Position] = []
    for wallet in held:
        product = products.get(f"{wallet.currency}-{currency}")
        if {wallet.currency, currency} <= PAR:
            positions.append(Position(pair(wallet.currency, currency), wallet.total, Decimal(1), Decimal(1)))
        elif product is None or product.price is None:
            context.log.warning(
                "a holding is left out: it has no market against the account's currency",
                currency=wallet.currency,
                against=currency,
            )
        else:
            positions.append(_position(api, wallet, product, product.price, levels))
    return Portfolio(
        platform="coinbase",
        account=next((wallet.portfolio for wallet in wallets if wallet.portfolio), "default"),
        currency=currency,
        cash=sum((wallet.total for wallet in cash), ZERO),
        positions=tuple(positions),
        buying_power=sum((wallet.available for wallet in cash), ZERO),
        at=context.clock.now(),
    )


def _position(
    api: Api,
    wallet: Wallet,
    product: Product,
    price: Decimal,
    levels: Mapping[str, tuple[Decimal | None, Decimal | None]],
) -> Position:
    told = api.pages("/orders/historical/fills", "fills", {"product_ids": [product.id]}, most=_PAGES)
    entry, opened_at = bought_at(wallet.total, (parse_fill(row) for row in told))
    stop, target = levels.get(product.id, (None, None))
    return Position(
        asset=asset_of(product.id, api.settings),
        quantity=wallet.total,
        # Coins that were paid in have no price of purchase: they count from now on.
        entry_price=price if entry is None else entry,
        price=price,
        opened_at=opened_at,
        stop_price=stop,
        target_price=target,
    )


def _markets(api: Api, ids: Sequence[str]) -> dict[str, Product]:
    """Those of ``ids`` that exist."""
    if not ids:
        return {}
    found = api.get("/products", {"product_type": "SPOT", "product_ids": list(ids)})
    products = [parse_product(mapping(row, "a product")) for row in listed(found, "products")]
    return {product.id: product for product in products if product.id in ids}


def bought_at(held: Decimal, newest_first: Iterable[VenueFill]) -> tuple[Decimal | None, datetime | None]:
    """Average price of what is held, and when it began to be: back to where it was nothing, then forward.

    ``None`` where no fill tells.
    """
    story: list[VenueFill] = []
    before = held
    for fill in newest_first:
        story.append(fill)
        before -= fill.side.sign * fill.size
        if before <= 0:
            break
    quantity, cost, opened_at = ZERO, ZERO, None
    for fill in reversed(story):
        if fill.side is Side.BUY:
            opened_at = fill.at if not quantity else opened_at
            quantity, cost = quantity + fill.size, cost + fill.size * fill.price
        elif quantity:
            left = max(quantity - fill.size, ZERO)
            quantity, cost = left, cost / quantity * left
    return (cost / quantity, opened_at) if quantity else (None, None)


def read_contracts(api: Api) -> list[Contracts]:
    return [parse_contracts(mapping(row, "a position")) for row in listed(api.get("/cfm/positions"), "positions")]


def read_futures(api: Api, context: PluginContext, sizes: Mapping[str, Decimal]) -> Portfolio:
    """``sizes`` of contracts by product. Cash is what, with the positions at their prices, makes up the equity.

    A margined position is worth its profit, not its price: what the difference comes to is owed, so cash is below zero
    where more is held than was paid in.
    """
    summary = mapping(api.get("/cfm/balance_summary").get("balance_summary"), "balance_summary")
    # The balance of spot is in the total already.
    equity = number(summary, "total_usd_balance")
    equity += (maybe(summary, "unrealized_pnl") or ZERO) + (maybe(summary, "daily_realized_pnl") or ZERO)
    held = [each for each in read_contracts(api) if each.count]
    levels = protection(open_orders(api)) if held else {}
    positions = tuple(_contracts(each, sizes[each.product_id], api, levels) for each in held)
    return Portfolio(
        platform="coinbase",
        account=api.settings.portfolio or "futures",
        currency="USD",
        cash=equity - sum((position.market_value for position in positions), ZERO),
        positions=positions,
        buying_power=maybe(summary, "futures_buying_power"),
        at=context.clock.now(),
    )


def _contracts(
    held: Contracts, unit: Decimal, api: Api, levels: Mapping[str, tuple[Decimal | None, Decimal | None]]
) -> Position:
    stop, target = levels.get(held.product_id, (None, None))
    return Position(
        asset=asset_of(held.product_id, api.settings),
        quantity=held.count * unit,
        entry_price=held.entry,
        price=held.price,
        stop_price=stop,
        target_price=target,
    )


def open_orders(api: Api) -> list[VenueOrder]:
    """Orders that rest. New ones may be missing for a moment: see ``Desk.open_orders``."""
    rows = api.pages("/orders/historical/batch", "orders", {"order_status": "OPEN"})
    return [order for order in map(parse_order, rows) if order.is_live]


def protection(orders: Iterable[VenueOrder]) -> dict[str, tuple[Decimal | None, Decimal | None]]:
    """Stop and target by product, of the orders that have one."""
    found: dict[str, tuple[Decimal | None, Decimal | None]] = {}
    for order in orders:
        if order.kind.startswith("trigger_bracket"):
            found[order.product_id] = (maybe(order.terms, "stop_trigger_price"), maybe(order.terms, "limit_price"))
        elif order.kind.startswith("stop_limit"):
            _, target = found.get(order.product_id, (None, None))
            found[order.product_id] = (maybe(order.terms, "stop_price"), target)
    return found
