"""The platform: one POST for an order, and the account's log as the truth of what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote as quoted

from ffe_core import (
    Asset,
    BadStatus,
    DataError,
    Effect,
    FfeError,
    Fill,
    HttpError,
    Instrument,
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
    Unknown,
)
from ffe_core.http import Reply
from ffe_oanda import health
from ffe_oanda.account import Trade, held_instruments, open_trades, portfolio_of, side_units
from ffe_oanda.api import Api
from ffe_oanda.history import History
from ffe_oanda.orders import Rules, dependent, extensions, is_exit, order_body
from ffe_oanda.parse import (
    amount,
    an_object,
    instrument_of,
    is_tradeable,
    objects,
    parse_prices,
    parse_quote,
    served,
    text,
)
from ffe_oanda.settings import OandaSettings
from ffe_oanda.transactions import (
    client_id_of,
    fills_of,
    last_id,
    owner_of,
    part_id,
    report_of,
    resting_report,
)

#: transactions before the send that are looked through too: the same order may have been prepared twice
LOOKBACK = 100
#: seconds after which an order that is in nobody's log is looked for once more
SETTLES = 2.0
#: an order sent longer ago than this has long settled
SETTLED = timedelta(seconds=30)
RULES_HOLD = timedelta(hours=1)
CLOCKS_AGREE = timedelta(seconds=10)
LAST = "last_transaction_id"
#: statuses by which the service says that it did nothing, if it is the service that speaks
_DEFINITE = frozenset({400, 404, 405, 415})


class OandaPlatform:
    """A v20 account. ``Refused`` is the service's own no; whatever is less clear is ``Unknown``, and ``find`` tells.

    ``sleep`` waits before a second look at the log.
    """

    name = "oanda"

    def __init__(
        self, settings: OandaSettings, context: PluginContext, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._settings = settings
        self._clock = context.clock
        self._log = context.log
        self._api = Api(settings, context)
        self._history = History(self._api)
        self._sleep = sleep
        self._rules: dict[str, tuple[Any, Rules]] = {}
        self._currency = ""

    # what there is

    def portfolio(self) -> Portfolio:
        with _asking("the account"):
            account = an_object(self._api.of_account(""), "account")
            self._currency = text(account, "currency")
            held = held_instruments(account)
            pricing = self._pricing(held) if held else {}
            prices = parse_prices(pricing) if held else {}
            return portfolio_of(account, self._api.account_id, pricing, prices, self._clock.now())

    def instrument(self, asset: Asset) -> Instrument:
        with _asking(f"{asset}"):
            rules = self._rules_of(asset)
            account = self._summary()
            price = self._price(asset)
            return Instrument(
                asset=asset,
                quantity_increment=rules.unit_step,
                price_increment=rules.price_step,
                minimum_quantity=rules.smallest,
                minimum_notional=Decimal(0),
                quote_currency=asset.quote,
                can_short=True,
                tradeable=is_tradeable(price),
                margin_rate=max(rules.margin_rate, amount(account, "marginRate")),
            )

    def quote(self, asset: Asset) -> Quote:
        with _asking(f"the price of {asset}"):
            return parse_quote(self._price(asset), asset, self.name)

    def check(self) -> Mapping[str, bool]:
        return health.check(self._api)

    # orders

    def prepare(self, order: Order) -> Mapping[str, str]:
        """Where the account's log stands before the send."""
        with _asking("the account"):
            body = self._api.of_account("/summary")
            self._currency = text(an_object(body, "account"), "currency")
            return {LAST: text(body, "lastTransactionID"), "instrument": instrument_of(order.asset)}

    def submit(self, order: Order) -> OrderReport:
        """One POST, and none where the log has the order already. Raises ``Refused`` or ``Unknown``."""
        with _sending("before the order was sent"):
            known = self._look(order)
            if known is not None:
                return self._told_before(known)
            # An exit needs no price of ours, and is the service's to refuse.
            quote = None if is_exit(order) else self._entry_quote(order)
            body = order_body(order, self._rules_of(order.asset), quote, self._settings.max_slippage)
        answer = self._send("POST", "/orders", {"order": body})
        return self._outcome(order.client_order_id, answer, "order")

    def find(self, order: Order) -> OrderReport | None:
        """By the log: filled, cancelled and rejected orders alike. Raises ``Unknown`` where nobody answers."""
        with _sending("the account's log could not be read"):
            found = self._look(order)
            if found is None and self._may_be_under_way(order):
                self._sleep(SETTLES)
                found = self._look(order)
            return found

    def cancel(self, order: Order) -> OrderReport:
        """Raises ``Refused`` where there is no such order; one that was filled is reported as that."""
        with _sending("the orders could not be read"):
            found = self._api.of_account("/pendingOrders")
            mine = [each for each in objects(found, "orders") if owner_of(client_id_of(each)) == order.client_order_id]
        for each in mine:
            try:
                self._send("PUT", f"/orders/{quoted(text(each, 'id'))}/cancel")
            except (Refused, Unknown) as error:
                # It went meanwhile, or the answer did: the log tells.
                self._log.warning("oanda: no confirmed cancellation", order=order.client_order_id, why=error.message)
        told = self.find(order)
        if told is None:
            raise Refused(f"oanda knows no order {order.client_order_id}")
        if told.state is OrderState.ACCEPTED:
            raise Unknown(f"oanda did not confirm that {order.client_order_id} is cancelled")
        return told

    def close(self, position: Position, *, client_order_id: str) -> OrderReport:
        """Closes what is held of ``position`` on its side, and no more. Raises ``Refused`` where there is nothing."""
        instrument = instrument_of(position.asset)
        order = replace(_exit_of(position, client_order_id), created_at=self._clock.now())
        with _sending("before anything was sent"):
            known = self._look(order)
            if known is not None:
                return self._told_before(known)
            held = self._held(instrument, position.is_long)
            if not held:
                raise Refused(f"oanda holds no position in {position.asset} on that side")
            units = min(abs(position.quantity), held)
            side = "long" if position.is_long else "short"
            body = {
                f"{side}Units": self._rules_of(position.asset).units(units, Side.BUY),
                f"{side}ClientExtensions": extensions(client_order_id),
            }
        answer = self._send("PUT", f"/positions/{quoted(instrument)}/close", body)
        return self._outcome(client_order_id, answer, f"{side}Order")

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport:
        """Stop and target of every trade of the position, in the place of those before; ``None`` takes one away.

        Confirmed by asking again. Raises ``Refused`` where nothing was changed, ``Unknown`` where that is not clear.
        """
        with _sending("before anything was sent"):
            rules = self._rules_of(position.asset)
            trades = self._trades(position)
            if not trades:
                raise Refused(f"oanda holds no position in {position.asset} to protect")
            levels = {
                "stop": None if stop is None else rules.stop(stop, position.is_long),
                "target": None if target is None else rules.target(target, position.is_long),
            }
        changed = 0
        for trade in trades:
            if _stands(trade, levels, client_order_id):
                continue
            try:
                self._send("PUT", f"/trades/{quoted(trade.id)}/orders", _dependents(trade, levels, client_order_id))
            except Refused as refusal:
                if not changed:
                    raise
                raise Unknown(f"oanda protects {changed} of {len(trades)} trades: {refusal.message}") from refusal
            except Unknown:
                # Whether it came to be is seen below.
                self._log.warning("oanda: no clear answer to a protection", trade=trade.id)
            changed += 1
        return self._confirmed(position, levels, client_order_id)

    def open_orders(self) -> Sequence[OrderReport]:
        with _asking("the orders"):
            return [resting_report(each) for each in objects(self._api.of_account("/pendingOrders"), "orders")]

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        """``since`` is the last transaction that was seen; ``None`` reads the log from its beginning."""
        with _asking("the account's log"):
            after = int(since) if since else 0
            log = self._history.after(after)
            return fills_of(log, self._account_currency()), str(last_id(log, after))

    # asking

    def _summary(self) -> Mapping[str, Any]:
        account = an_object(self._api.of_account("/summary"), "account")
        self._currency = text(account, "currency")
        return account

    def _account_currency(self) -> str:
        return self._currency or text(self._summary(), "currency")

    def _pricing(self, instruments: Sequence[str]) -> Mapping[str, Any]:
        return self._of_instruments("/pricing", ",".join(instruments), {"includeHomeConversions": True})

    def _of_instruments(self, path: str, names: str, more: Mapping[str, object] | None = None) -> Mapping[str, Any]:
        """Raises ``NoData`` for names that the service does not know."""
        try:
            told: Mapping[str, Any] = self._api.of_account(path, {"instruments": names, **(more or {})})
        except BadStatus as error:
            if error.status == 400 and "instrument" in self._api.complaint(error).message.lower():
                raise NoData(f"oanda has no {names}") from error
            raise
        return told

    def _price(self, asset: Asset) -> Mapping[str, Any]:
        instrument = self._known(asset)
        found = parse_prices(self._pricing([instrument])).get(instrument)
        if found is None:
            raise NoData(f"oanda has no price of {asset}")
        return found

    def _rules_of(self, asset: Asset) -> Rules:
        """What holds for the instrument; asked for once an hour."""
        instrument, now = self._known(asset), self._clock.now()
        kept = self._rules.get(instrument)
        if kept is not None and now - kept[0] < RULES_HOLD:
            return kept[1]
        told = self._of_instruments("/instruments", instrument)
        rules = next((Rules.of(each) for each in objects(told, "instruments") if each.get("name") == instrument), None)
        if rules is None:
            raise NoData(f"oanda has no {asset}")
        self._rules[instrument] = now, rules
        return rules

    @staticmethod
    def _known(asset: Asset) -> str:
        if not served(asset):
            raise NoData(f"oanda has no {asset}")
        return instrument_of(asset)

    def _held(self, instrument: str, long: bool) -> Decimal:
        for each in objects(self._api.of_account("/openPositions"), "positions"):
            if text(each, "instrument") == instrument:
                return side_units(each, long)
        return Decimal(0)

    def _trades(self, position: Position) -> list[Trade]:
        instrument = instrument_of(position.asset)
        found = open_trades(self._api.of_account("/openTrades"))
        return [each for each in found if each.instrument == instrument and each.units * position.quantity > 0]

    # the log

    def _look(self, order: Order) -> OrderReport | None:
        """The log's word on ``order`` since it was prepared."""
        noted = order.prepared.get(LAST)
        after = max(1, int(noted) - LOOKBACK) if noted else None
        log = self._history.back_to(order) if after is None else self._history.after(after)
        return report_of(order.client_order_id, log, self._account_currency())

    def _may_be_under_way(self, order: Order) -> bool:
        return order.sent_at is None or self._clock.now() - order.sent_at < SETTLED

    def _told_before(self, known: OrderReport) -> OrderReport:
        """What the service made of the same order when it came first."""
        if known.state in (OrderState.CANCELLED, OrderState.REJECTED):
            raise Refused(f"oanda refused {known.client_order_id} before: {known.reason}")
        return known

    # sending

    def _entry_quote(self, order: Order) -> Quote:
        """The quote that an entry is bound to. Raises ``Refused`` while the market, or this machine's clock, is off."""
        price = self._price(order.asset)
        if order.type is OrderType.MARKET and not is_tradeable(price):
            raise Refused(f"oanda does not trade {order.asset} now")
        ahead = self._api.ahead
        if ahead is not None and abs(ahead) > CLOCKS_AGREE:
            raise Refused(
                f"this machine's clock is {ahead.total_seconds():+.0f} s from oanda's", hint="set the clock right"
            )
        return parse_quote(price, order.asset, self.name)

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """What a change was answered. Raises ``Refused`` where the service said no, ``Unknown`` for anything else."""
        try:
            return self._api.send(method, path, body)
        except BadStatus as error:
            raise self._refused(error) from error
        except HttpError as error:
            raise Unknown(f"oanda: {error.message}", hint=error.hint) from error

    def _refused(self, error: BadStatus) -> Refused | Unknown:
        if error.status in (401, 403):
            return Refused("oanda does not accept the token for this account", hint="see plugins.oanda.api_key")
        said = self._api.complaint(error)
        if error.status in _DEFINITE and said.is_its_own:
            return Refused(f"oanda refused: {said.reason}")
        return Unknown(f"oanda: {error.message}", hint=error.hint)

    def _outcome(self, number: str, answer: Reply, prefix: str) -> OrderReport:
        """Success of the call is none of the order: a cancellation in the answer is a refusal."""
        try:
            body = answer.json()
            parts = [
                each
                for name in ("Create", "Fill", "Cancel")
                if isinstance(each := body.get(f"{prefix}{name}Transaction"), dict)
            ]
            report = report_of(number, parts, self._currency) if parts else None
        except (FfeError, AttributeError) as error:
            raise Unknown(f"oanda: the answer to {number} cannot be read: {error}") from error
        self._log.info("oanda answered an order", request=answer.headers.get("requestid", ""), order=number)
        if report is None:
            raise Unknown(f"oanda: the answer does not speak of {number}")
        if report.state is OrderState.CANCELLED:
            raise Refused(f"oanda cancelled the order at once: {report.reason}")
        return report

    def _confirmed(self, position: Position, levels: Mapping[str, str | None], number: str) -> OrderReport:
        with _sending("the protection could not be confirmed"):
            trades = self._trades(position)
        if not trades or not all(_stands(trade, levels, number) for trade in trades):
            raise Unknown(f"oanda did not confirm the protection {number}")
        stop = trades[0].stop or trades[0].target
        return OrderReport(
            number, None if stop is None else text(stop, "id"), OrderState.ACCEPTED, at=self._clock.now()
        )


@contextmanager
def _asking(what: str) -> Iterator[None]:
    """Failures of reads as the venue's: ``Unknown``, because nothing is known; no data stay no data."""
    try:
        yield
    except BadStatus as error:
        if error.status in (401, 403):
            raise Unknown(
                "oanda does not accept the token for this account", hint="see plugins.oanda.api_key"
            ) from error
        raise Unknown(f"oanda does not tell {what}: {error.message}", hint=error.hint) from error
    except HttpError as error:
        raise Unknown(f"oanda does not tell {what}: {error.message}", hint=error.hint) from error


@contextmanager
def _sending(when: str) -> Iterator[None]:
    """As ``_asking``, around an order: data that cannot be read leave it in doubt too."""
    try:
        yield
    except HttpError as error:
        raise Unknown(f"oanda, {when}: {error.message}", hint=error.hint) from error
    except NoData as error:
        raise Refused(error.message, hint=error.hint) from error
    except DataError as error:
        raise Unknown(f"oanda, {when}: {error.message}", hint=error.hint) from error


def _exit_of(position: Position, number: str) -> Order:
    return Order(
        client_order_id=number,
        decision_id="",
        leg="close",
        asset=position.asset,
        side=Side.SELL if position.is_long else Side.BUY,
        quantity=abs(position.quantity),
        effect=Effect.CLOSE,
        type=OrderType.MARKET,
        reduce_only=True,
    )


def _dependents(trade: Trade, levels: Mapping[str, str | None], number: str) -> dict[str, Any]:
    def wanted(kind: str) -> dict[str, Any] | None:
        level = levels[kind]
        return None if level is None else dependent(level, part_id(number, kind, trade.id))

    return {"stopLoss": wanted("stop"), "takeProfit": wanted("target")}


def _stands(trade: Trade, levels: Mapping[str, str | None], number: str) -> bool:
    """Whether what hangs on ``trade`` is just what is wanted, under this id."""
    for kind, order in (("stop", trade.stop), ("target", trade.target)):
        level = levels[kind]
        if level is None or order is None:
            if (level is None) != (order is None):
                return False
        elif amount(order, "price") != Decimal(level) or client_id_of(order) != part_id(number, kind, trade.id):
            return False
    return True
