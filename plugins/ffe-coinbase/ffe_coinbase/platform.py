"""The venue: what it holds, what may be traded there, and whether it would take an order. Orders are the desk's."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal

from ffe_coinbase.account import read_contracts, read_futures, read_spot, read_wallets
from ffe_coinbase.api import Api, explain, part
from ffe_coinbase.desk import Desk
from ffe_coinbase.parse import Product, flag, parse_fees, parse_product
from ffe_coinbase.products import product_id
from ffe_coinbase.settings import CoinbaseSettings
from ffe_coinbase.source import is_unknown_product, read_quote
from ffe_core import (
    Asset,
    Fees,
    FfeError,
    Fill,
    Instrument,
    NoData,
    Order,
    OrderReport,
    PlatformError,
    PluginContext,
    Portfolio,
    Position,
    Quote,
)
from ffe_core.http import BadStatus, HttpError

#: how long what a product allows, and what trading costs, is believed
PRODUCTS_HOLD = timedelta(seconds=60)
FEES_HOLD = timedelta(hours=1)


class CoinbasePlatform:
    """A spot account or a futures account, as ``product`` says; the one never stands in for the other.

    Without a key everything that needs one raises ``NotConfigured``.
    """

    name = "coinbase"

    def __init__(
        self, settings: CoinbaseSettings, context: PluginContext, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._settings = settings
        self._context = context
        self._api = Api(settings, context.http, context.clock)
        self._products: dict[str, tuple[datetime, Product]] = {}
        self._fees: tuple[datetime, Fees] | None = None
        self._desk = Desk(self._api, settings, context, self._product_named, sleep)

    # what there is

    def portfolio(self) -> Portfolio:
        with self._reading():
            if self._settings.product == "spot":
                return read_spot(self._api, self._context)
            held = [each.product_id for each in read_contracts(self._api)]
            return read_futures(
                self._api, self._context, {name: self._product_named(name).contract_size for name in held}
            )

    def instrument(self, asset: Asset) -> Instrument:
        with self._reading():
            product = self._product_named(self.product_id(asset))
            fees = self._read_fees()
        return Instrument(
            asset=asset,
            quantity_increment=product.size_step * product.contract_size,
            price_increment=product.price_step,
            minimum_quantity=product.least * product.contract_size,
            minimum_notional=product.least_notional,
            quote_currency=product.quote,
            can_short=product.future,
            tradeable=not product.closed and not product.limit_only,
            contract_size=product.contract_size,
            margin_rate=product.margin_rate,
            fees=fees,
        )

    def quote(self, asset: Asset) -> Quote:
        with self._reading():
            product = self.product_id(asset)
            found = read_quote(self._api, asset, product, self.name)
        if found is None:
            raise NoData(f"coinbase has no bid and ask of {product}")
        return found

    def product_id(self, asset: Asset) -> str:
        """Raises ``NoData`` for what is not traded where ``product`` says."""
        product = product_id(asset, self._settings)
        if product is None:
            hint = f"name its contract: plugins.coinbase.contracts: {{{asset}: BIP-20DEC30-CDE}}"
            if self._settings.product == "spot":
                hint = "write a pair such as BTCUSD; contracts are traded with plugins.coinbase.product: futures"
            raise NoData(f"coinbase: {asset} is nothing that is traded as {self._settings.product}", hint=hint)
        return product

    def check(self) -> Mapping[str, bool]:
        """Each by a call of its own; a right to transfer is warned of, because ffe never needs it."""
        trading, wallets = False, False
        try:
            rights = self._api.get("/key_permissions")
            signed_in = True
            trading = flag(rights, "can_trade")
            if flag(rights, "can_transfer"):
                self._context.log.warning(
                    "THE KEY OF COINBASE MAY TRANSFER MONEY AWAY. ffe never does; make a key that may view and trade"
                )
        except FfeError as error:
            signed_in = False
            self._context.log.info("coinbase does not take the key", reason=self._told(error))
        if signed_in:
            wallets = self._tried("account", lambda: any(wallet.active for wallet in read_wallets(self._api)))
        return {
            "api_auth": signed_in,
            "account_active": wallets,
            "trading_enabled": trading and self._tried("clock", self._desk.clock_holds),
            "balance_available": signed_in and self._tried("balance", lambda: self.portfolio().cash is not None),
            "market_data": self._tried("market data", self._sees_a_market),
        }

    def _sees_a_market(self) -> bool:
        if self._settings.product == "futures" and self._settings.contracts:
            return bool(self._product_named(next(iter(self._settings.contracts.values()))).id)
        currency = self._settings.currency
        return bool(self._product_named(f"BTC-{currency}").price)

    def _tried(self, what: str, question: Callable[[], bool]) -> bool:
        try:
            return question()
        except FfeError as error:
            self._context.log.info(f"coinbase: {what} could not be had", reason=self._told(error))
            return False

    def _told(self, error: FfeError) -> str:
        return explain(error, ed25519=self._api.uses_ed25519)[0] if isinstance(error, HttpError) else error.message

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        """The product and the very text that will be sent, so that sending it again is the same order."""
        _ = self._api.signer
        with self._reading():
            return self._desk.prepare(order, self.product_id(order.asset))

    def submit(self, order: Order) -> OrderReport:
        return self._desk.submit(order, self.product_id)

    def find(self, order: Order) -> OrderReport | None:
        with self._reading():
            return self._desk.find(order, order.prepared.get("product") or self.product_id(order.asset))

    def cancel(self, order: Order) -> OrderReport:
        with self._reading():
            return self._desk.cancel(order, order.prepared.get("product") or self.product_id(order.asset))

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        return self._desk.close(position, client_order_id, self.product_id)

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        return self._desk.protect(position, stop, target, client_order_id, self.product_id)

    def open_orders(self) -> Sequence[OrderReport]:
        with self._reading():
            return self._desk.open_orders()

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        with self._reading():
            return self._desk.fills(since)

    # parts

    def _product_named(self, name: str) -> Product:
        """Raises ``NoData`` where the venue has no such product."""
        now = self._context.clock.now()
        known = self._products.get(name)
        if known is not None and now - known[0] < PRODUCTS_HOLD:
            return known[1]
        try:
            product = parse_product(self._api.market(f"/products/{part(name)}"))
        except BadStatus as error:
            if is_unknown_product(error):
                raise NoData(f"coinbase has no product {name}") from error
            raise
        self._products[name] = now, product
        return product

    def _read_fees(self) -> Fees:
        """The account's own; without a key what the user says that trading costs."""
        if not self._api.has_key:
            costs = self._context.costs
            return Fees(costs.fee, costs.fee, costs.commission)
        now = self._context.clock.now()
        if self._fees is None or now - self._fees[0] >= FEES_HOLD:
            kind = "SPOT" if self._settings.product == "spot" else "FUTURE"
            self._fees = now, parse_fees(self._api.get("/transaction_summary", {"product_type": kind}))
        return self._fees[1]

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except HttpError as error:
            message, hint = explain(error, ed25519=self._api.uses_ed25519)
            raise PlatformError(message, hint=hint) from error
