"""Orders: sent once, looked for until the venue has told, cancelled, and never guessed at.

An answer that is lost or makes no sense leaves an order ``Unknown``; only the venue's own no is ``Refused``. Nothing
here is sent a second time: whoever asked decides that, with the same text, after ``find`` has told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe_coinbase.account import open_orders, read_contracts, read_wallets
from ffe_coinbase.api import Api, explain, part
from ffe_coinbase.journal import Cursor, iso
from ffe_coinbase.orders import (
    CLOSE,
    Placement,
    differs,
    place,
    stored_placement,
    terms_differ,
)
from ffe_coinbase.parse import (
    ZERO,
    Product,
    VenueFill,
    VenueOrder,
    flag,
    listed,
    mapping,
    needed,
    parse_fill,
    parse_order,
    parse_time,
    refusal,
    text,
)
from ffe_coinbase.products import asset_of
from ffe_coinbase.settings import CoinbaseSettings
from ffe_core import (
    Asset,
    Effect,
    Fill,
    NoData,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    PlatformError,
    PluginContext,
    Position,
    Refused,
    SettingsError,
    Side,
    Unknown,
)
from ffe_core.http import BadStatus, HttpError

#: the venue takes no token whose clock is further off
CLOCK_OFF = timedelta(seconds=10)
CLOCK_HOLDS = timedelta(minutes=5)
#: an order may have been made this long before we say that it was sent
BEFORE = timedelta(seconds=60)
#: an order that was sent this recently may not show itself yet
RECENT = timedelta(seconds=60)
LOOKS = 3
#: an exit under the same id may have been sent this long ago
RESENT = timedelta(days=7)
#: statuses by which the venue says that it did not take what was sent
REFUSING = frozenset({400, 401, 403, 404, 422, 429})
DUPLICATE = "DUPLICATE_CLIENT_ORDER_ID"
BATCH, FILLS = "/orders/historical/batch", "/orders/historical/fills"

type ProductOf = Callable[[Asset], str]


@dataclass
class Desk:
    """``product_named`` reads a product's rules; ``sleep`` waits before the venue is asked again."""

    api: Api
    settings: CoinbaseSettings
    context: PluginContext
    product_named: Callable[[str], Product]
    sleep: Callable[[float], None]
    _clock_held_at: datetime | None = None

    # sending

    def prepare(self, order: Order, product: str) -> dict[str, str]:
        prepared = {"product": product, "portfolio": self.settings.portfolio}
        try:
            return prepared | place(order, self.product_named(product), self.settings).stored
        except Refused:
            # Told when it is sent: to prepare is not to judge.
            return prepared

    def submit(self, order: Order, product_of: ProductOf) -> OrderReport:
        with self._before_sending():
            _ = self.api.signer
            self._require_clock()
            product = order.prepared.get("product") or product_of(order.asset)
            self._require_wallet(order, product)
            placement = stored_placement(order) or place(order, self.product_named(product), self.settings)
            if placement.path == CLOSE:
                self._require_contracts(order, product)
        return self._send(order, product, placement)

    def close(self, position: Position, client_order_id: str, product_of: ProductOf) -> OrderReport:
        with self._before_sending():
            product = product_of(position.asset)
            quantity = self._closable(position, product)
        order = self._exit(position, quantity or abs(position.quantity), client_order_id, OrderType.MARKET)
        if not quantity:
            return self._nothing_left(order, product)
        return self.submit(order, product_of)

    def protect(
        self,
        position: Position,
        stop: Decimal | None,
        target: Decimal | None,
        client_order_id: str,
        product_of: ProductOf,
    ) -> OrderReport:
        if stop is None and target is None:
            raise Refused("a protection needs a stop or a target")
        order = self._exit(position, abs(position.quantity), client_order_id, OrderType.BRACKET)
        return self.submit(replace(order, stop_price=stop, target_price=target), product_of)

    def _exit(self, position: Position, quantity: Decimal, client_order_id: str, kind: OrderType) -> Order:
        return Order(
            client_order_id=client_order_id,
            decision_id="",
            leg="close" if kind is OrderType.MARKET else "protection",
            asset=position.asset,
            side=Side.SELL if position.quantity > 0 else Side.BUY,
            quantity=quantity,
            effect=Effect.CLOSE,
            type=kind,
            reduce_only=True,
            created_at=self.context.clock.now() - RESENT,
        )

    def _send(self, order: Order, product: str, placement: Placement) -> OrderReport:
        try:
            answer = self.api.post(placement.path, placement.body)
        except BadStatus as error:
            message, hint = explain(error, ed25519=self.api.uses_ed25519)
            if error.status in REFUSING:
                raise Refused(f"coinbase took no order: {message}", hint=hint) from error
            raise Unknown(f"coinbase may have taken order {order.client_order_id}: {message}") from error
        except HttpError as error:
            raise Unknown(f"coinbase may have taken order {order.client_order_id}: {error.message}") from error
        try:
            return self._taken(order, product, placement, answer)
        except HttpError as error:
            raise Unknown(
                f"coinbase's answer to order {order.client_order_id} makes no sense: {error.message}"
            ) from error

    def _taken(self, order: Order, product: str, placement: Placement, answer: Mapping[str, Any]) -> OrderReport:
        if answer.get("success") is False and not answer.get("success_response"):
            code = refusal(answer)
            if DUPLICATE in code:
                return self._standing(order, product)
            raise Refused(self.api.redact(f"coinbase refused {order.side} {order.quantity:f} {order.asset}: {code}"))
        if answer.get("success") is not True:
            raise Unknown(f"coinbase does not say whether it took order {order.client_order_id}")
        told = mapping(answer.get("success_response"), "success_response")
        venue_id = needed(told, "order_id")
        kind, terms = placement.terms
        shown = mapping(answer.get("order_configuration") or {}, "order_configuration")
        shown_kind = next((name for name, value in shown.items() if value), "")
        wrong = ""
        if (text(told, "client_order_id") or order.client_order_id) != order.client_order_id:
            wrong = "it has another client order id"
        elif (text(told, "product_id") or product) != product or (text(told, "side") or order.side) != order.side:
            wrong = f"it is {text(told, 'side')} {text(told, 'product_id')}"
        elif shown_kind and placement.path != CLOSE:
            wrong = terms_differ(kind, terms, shown_kind, mapping(shown[shown_kind], "the order's terms"))
        if wrong:
            raise Unknown(f"coinbase answered order {order.client_order_id} with another order: {wrong}")
        # Accepted is not filled: what became of it is asked for.
        return OrderReport(order.client_order_id, venue_id, OrderState.ACCEPTED, at=self.context.clock.now())

    def _standing(self, order: Order, product: str) -> OrderReport:
        """The order that the venue says it has under this id."""
        try:
            found = self.find(order, product)
        except HttpError as error:
            raise Unknown(
                f"coinbase has order {order.client_order_id} and does not show it: {error.message}"
            ) from error
        if found is None:
            raise Unknown(f"coinbase says that it has order {order.client_order_id}, and does not show it")
        return found

    # before an order goes out

    @contextmanager
    def _before_sending(self) -> Iterator[None]:
        """What is wrong with us is a refusal; what the venue did not answer leaves the order open, as it was."""
        try:
            yield
        except (SettingsError, NoData) as error:
            raise Refused(f"nothing was sent: {error.message}", hint=error.hint) from error
        except HttpError as error:
            message, hint = explain(error, ed25519=self.api.uses_ed25519)
            raise Unknown(f"nothing was sent this time: {message}", hint=hint) from error

    def clock_holds(self) -> bool:
        """Whether our clock and the venue's agree well enough to trade. Raises ``HttpError``."""
        try:
            self._require_clock()
        except Refused as refused:
            self.context.log.warning(refused.message)
            return False
        return True

    def _require_clock(self) -> None:
        before = self.context.clock.now()
        if self._clock_held_at is not None and before - self._clock_held_at < CLOCK_HOLDS:
            return
        venue, after = parse_time(self.api.public("/time")), self.context.clock.now()
        # It was told some time between asking and hearing.
        off = max(before - venue, venue - after, timedelta(0))
        if off > CLOCK_OFF:
            raise Refused(
                f"nothing was sent: this machine's clock is {off.total_seconds():.0f} s off the venue's",
                hint="set the clock, or let it be kept by NTP",
            )
        self._clock_held_at = after

    def _require_wallet(self, order: Order, product: str) -> None:
        """A pair is paid from the wallet that it names, and only that one is counted as cash."""
        currency = self.settings.currency
        quote = product.split("-")[1]
        if self.settings.product == "spot" and quote != currency:
            raise Refused(
                f"nothing was sent: {product} is paid in {quote}, and this account counts in {currency}",
                hint=f"trade {order.asset.base}{currency}, or set plugins.coinbase.currency: {quote}",
            )

    def _require_contracts(self, order: Order, product: str) -> None:
        """Contracts on the other side to close; the venue closes whatever there is, on either side."""
        held = next((each.count for each in read_contracts(self.api) if each.product_id == product), ZERO)
        if held * order.side.sign >= 0 and self._look(order, product) is None:
            raise Refused(f"nothing was sent: {order.side} {order.quantity:f} {product} does not reduce {held:f}")

    def _closable(self, position: Position, product: str) -> Decimal:
        """How much of ``position`` there is to sell, in base units; raises ``Refused`` where it is promised."""
        wanted = abs(position.quantity)
        if self.settings.product == "futures":
            held = next((each.count for each in read_contracts(self.api) if each.product_id == product), ZERO)
            unit = self.product_named(product).contract_size
            return min(wanted, abs(held) * unit) if held * position.quantity > 0 else ZERO
        base = product.split("-", maxsplit=1)[0]
        wallets = [wallet for wallet in read_wallets(self.api) if wallet.currency == base]
        total = min(wanted, sum((wallet.total for wallet in wallets), ZERO))
        available = sum((wallet.available for wallet in wallets), ZERO)
        if total > available:
            raise Refused(
                f"nothing was sent: {total - available:f} {base} are on hold for open orders",
                hint="cancel the orders that protect it first",
            )
        return total

    def _nothing_left(self, order: Order, product: str) -> OrderReport:
        """Nothing to close: because this very order closed it, or because somebody else did."""
        with self._before_sending():
            row = self._look(order, product)
            if row is not None:
                return self._report(row, order.client_order_id)
        raise Refused(f"nothing was sent: there is no {order.asset} to close")

    # looking

    def find(self, order: Order, product: str) -> OrderReport | None:
        """``None`` only after the venue was asked some seconds later as well. Raises ``HttpError``, ``Unknown``."""
        for look in range(LOOKS):
            if look:
                self.sleep(self.settings.settle)
            row = self._look(order, product)
            if row is not None:
                wrong = differs(order, product, row)
                if wrong:
                    raise Unknown(f"coinbase has another order under {order.client_order_id}: {wrong}")
                return self._report(row, order.client_order_id)
            if order.sent_at is not None and self.context.clock.now() - order.sent_at > RECENT:
                break
        return None

    def _look(self, order: Order, product: str) -> VenueOrder | None:
        """By the venue's own id where it is known; else among all orders since it was sent: there is no other way."""
        if order.venue_order_id is not None:
            row = self._read(order.venue_order_id)
            if row is not None:
                return row
        since = order.sent_at or order.created_at
        asked = {"product_ids": [product], "start_date": iso(since - BEFORE) if since else None}
        rows = (parse_order(row) for row in self.api.pages(BATCH, "orders", asked))
        return next((row for row in rows if row.client_id == order.client_order_id), None)

    def _read(self, venue_id: str) -> VenueOrder | None:
        """``None`` where the venue does not show it; that proves nothing."""
        try:
            found = self.api.get(f"/orders/historical/{part(venue_id)}")
        except BadStatus as error:
            if error.status == 404:
                return None
            raise
        return parse_order(mapping(found.get("order"), "the order"))

    def _report(self, row: VenueOrder, client_order_id: str) -> OrderReport:
        product = self.product_named(row.product_id)
        told = self._fills_of(row) if row.filled else []
        fills = [self._fill(fill, client_order_id, product) for fill in told]
        return row.report(client_order_id, product.contract_size, fills)

    def _fills_of(self, row: VenueOrder) -> list[VenueFill]:
        """All fills of an order, oldest first; read again where they are not yet all there."""
        for look in range(2):
            if look:
                self.sleep(self.settings.settle)
            fills = [parse_fill(each) for each in self.api.pages(FILLS, "fills", {"order_ids": [row.id]})]
            if sum((fill.size for fill in fills), ZERO) >= row.filled:
                break
        return sorted(fills, key=lambda fill: (fill.at, fill.id))

    def _fill(self, fill: VenueFill, client_order_id: str, product: Product) -> Fill:
        asset = asset_of(fill.product_id, self.settings)
        return fill.fill("coinbase", client_order_id, asset, product.contract_size, product.quote)

    # cancelling and listing

    def cancel(self, order: Order, product: str) -> OrderReport:
        row = self._look(order, product)
        if row is None:
            raise Refused(f"coinbase knows no order {order.client_order_id}")
        if not row.is_live:
            return self._report(row, order.client_order_id)
        why = self._ask_to_cancel(row, order.client_order_id)
        for look in range(LOOKS):
            if look:
                self.sleep(self.settings.settle)
            row = self._read(row.id) or row
            if not row.is_live:
                break
        if row.is_live and why:
            raise Refused(f"coinbase did not cancel order {order.client_order_id}: {why}")
        return self._report(row, order.client_order_id)

    def _ask_to_cancel(self, row: VenueOrder, client_order_id: str) -> str:
        """Why it was not done; empty where it was. The text of a reason comes with success too and says nothing."""
        try:
            answer = self.api.post("/orders/batch_cancel", {"order_ids": [row.id]})
            results = [mapping(each, "a result") for each in listed(answer, "results")]
        except BadStatus as error:
            if error.status not in REFUSING:
                raise Unknown(f"order {client_order_id} may be cancelled: {error.message}") from error
            return explain(error, ed25519=self.api.uses_ed25519)[0]
        except HttpError as error:
            raise Unknown(f"order {client_order_id} may be cancelled: {error.message}") from error
        mine = next((each for each in results if text(each, "order_id") == row.id), None)
        if mine is None:
            raise Unknown(f"coinbase does not say whether it cancelled order {client_order_id}")
        return "" if flag(mine, "success") else text(mine, "failure_reason") or "no reason given"

    def open_orders(self) -> list[OrderReport]:
        """The list of open ones leaves out those on their way; all orders of the last day are read for them."""
        since = {"start_date": iso(self.context.clock.now() - timedelta(days=1))}
        fresh = map(parse_order, self.api.pages(BATCH, "orders", since))
        rows = {row.id: row for row in (*open_orders(self.api), *fresh) if row.is_live}
        mine = sorted(rows.values(), key=lambda row: (row.created is not None, row.created, row.id))
        return [self._report(row, row.client_id) for row in mine]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        cursor = Cursor.read(since)
        rows = [parse_fill(each) for each in self.api.pages(FILLS, "fills", cursor.asked)]
        fresh = sorted((fill for fill in rows if fill.id not in cursor.seen), key=lambda fill: (fill.at, fill.id))
        names = self._client_ids({fill.order_id for fill in fresh}, fresh[0].at if fresh else None)
        told = [self._fill(fill, names[fill.order_id], self.product_named(fill.product_id)) for fill in fresh]
        return told, cursor.after(rows).text

    def _client_ids(self, wanted: set[str], since: datetime | None) -> dict[str, str]:
        """Fills do not name the client's id: their orders do."""
        found: dict[str, str] = {}
        if len(wanted) > 3 and since is not None:
            asked = {"start_date": iso(since - timedelta(days=1))}
            rows = (parse_order(row) for row in self.api.pages(BATCH, "orders", asked))
            found = {row.id: row.client_id for row in rows if row.id in wanted}
        for venue_id in wanted - set(found):
            row = self._read(venue_id)
            if row is None:
                raise PlatformError(f"coinbase tells of fills of order {venue_id} and does not show the order")
            found[venue_id] = row.client_id
        return found
