"""The platform against a strict stand-in: what it sends, what it makes of answers, and of no answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from ffe_oanda.platform import OandaPlatform
from ffe_oanda.standin import ACCOUNT, TOKEN, Fault, OandaStandIn

from ffe_core import (
    Asset,
    Effect,
    FixedClock,
    Instrument,
    NoData,
    NotConfigured,
    Order,
    OrderReport,
    OrderState,
    OrderType,
    PlatformError,
    Position,
    Refused,
    SettingsError,
    Side,
    Unknown,
)
from ffe_core.testing.loopback import Canned

EURUSD, USDJPY = Asset.parse("EURUSD"), Asset.parse("USDJPY")
SATURDAY = datetime(2024, 3, 9, 12, tzinfo=UTC)


def dec(text: str) -> Decimal:
    return Decimal(text)


class Venue:
    """A stand-in, and platforms in front of it that do not dawdle."""

    def __init__(self, server: OandaStandIn, settings: Callable[..., Any], context: Callable[..., Any]) -> None:
        self.server = server
        self._settings = settings
        self._context = context
        self.slept: list[float] = []
        self.platform = self.fresh()
        server.market.fixed |= {"EUR_USD": dec("1.10000"), "USD_JPY": dec("150.000")}

    def fresh(self, **settings: Any) -> OandaPlatform:
        """As after a restart."""
        return OandaPlatform(self._settings(**settings), self._context(), sleep=self.slept.append)

    def order(self, side: Side = Side.BUY, quantity: str = "10000", **changes: Any) -> Order:
        order = Order(
            **{
                "client_order_id": "ffe-7f3a",
                "decision_id": "d-1",
                "leg": "entry",
                "asset": EURUSD,
                "side": side,
                "quantity": dec(quantity),
                "effect": Effect.OPEN_LONG if side is Side.BUY else Effect.OPEN_SHORT,
                "sent_at": self.server.at,
                **changes,
            }
        )
        return replace(order, prepared=dict(self.platform.prepare(order)))

    def trade(self, side: Side = Side.BUY, quantity: str = "10000", **changes: Any) -> OrderReport:
        return self.platform.submit(self.order(side, quantity, **changes))

    def exit(self, quantity: str = "10000", side: Side = Side.SELL, **changes: Any) -> Order:
        number = changes.pop("client_order_id", "exit-1")
        return self.order(side, quantity, effect=Effect.CLOSE, reduce_only=True, client_order_id=number, **changes)

    def sent(self) -> Any:
        """The body of the only order that was sent."""
        (request,) = self.server.asked("POST")
        return request.json()["order"]

    def held(self, asset: Asset = EURUSD) -> Position:
        found = self.platform.portfolio().position(asset)
        assert found is not None
        return found

    def filled(self) -> list[str]:
        return [each["units"] for each in self.server.account.log if each["type"] == "ORDER_FILL"]


@pytest.fixture
def venue(server: OandaStandIn, settings: Callable[..., Any], context: Callable[..., Any]) -> Venue:
    return Venue(server, settings, context)


# what is sent


def test_an_entry_is_filled_or_killed_within_bounds_and_protected_from_its_fill(venue: Venue) -> None:
    report = venue.trade(stop_price=dec("1.0950049"), target_price=dec("1.11"), quantity="10000.9")
    assert venue.sent() == {
        "type": "MARKET",
        "instrument": "EUR_USD",
        "units": "10000",
        "timeInForce": "FOK",
        "positionFill": "DEFAULT",
        # The ask of 1.10008 and two thousandths of it, cut to five digits.
        "priceBound": "1.10228",
        "stopLossOnFill": {
            "price": "1.09501",
            "timeInForce": "GTC",
            "clientExtensions": {"id": "ffe-7f3a-stop", "tag": "ffe"},
        },
        "takeProfitOnFill": {
            "price": "1.11000",
            "timeInForce": "GTC",
            "clientExtensions": {"id": "ffe-7f3a-target", "tag": "ffe"},
        },
        "clientExtensions": {"id": "ffe-7f3a", "tag": "ffe", "comment": "d-1"},
        "tradeClientExtensions": {"id": "ffe-7f3a-trade", "tag": "ffe"},
    }
    assert report.state is OrderState.FILLED
    assert (report.filled_quantity, report.average_price) == (dec("10000"), dec("1.10008"))
    (fill,) = report.fills
    assert (fill.side, fill.fee, fill.fee_currency, fill.at) == (Side.BUY, dec("0"), "USD", venue.server.at)
    position = venue.held()
    assert (position.stop_price, position.target_price) == (dec("1.09501"), dec("1.11"))


def test_a_short_entry_has_negative_units_and_its_levels_on_the_other_side(venue: Venue) -> None:
    venue.trade(Side.SELL, asset=USDJPY, stop_price=dec("151.23456"), target_price=dec("148.76543"))
    body = venue.sent()
    assert body["units"] == "-10000"
    assert body["stopLossOnFill"]["price"] == "151.234"
    assert body["takeProfitOnFill"]["price"] == "148.765"
    # The bid of 149.992 less two thousandths of it, rounded up to three digits.
    assert body["priceBound"] == "149.693"
    assert venue.held(USDJPY).quantity == -10_000


def test_an_exit_only_reduces_is_not_bound_and_hangs_nothing_on(venue: Venue) -> None:
    venue.trade()
    venue.server.requests.clear()
    report = venue.platform.submit(venue.exit("25000", stop_price=dec("1.05")))
    body = venue.sent()
    assert body["positionFill"] == "REDUCE_ONLY"
    assert not {"priceBound", "stopLossOnFill", "takeProfitOnFill"} & set(body)
    assert (report.state, report.filled_quantity) == (OrderState.FILLED, dec("10000"))
    assert venue.platform.portfolio().position(EURUSD) is None


@pytest.mark.parametrize("quantity", ["0.99", "100000001"])
def test_sizes_beyond_the_rules_are_refused_before_anything_is_sent(venue: Venue, quantity: str) -> None:
    with pytest.raises(Refused, match="est order"):
        venue.trade(quantity=quantity)
    assert not venue.server.asked("POST")


def test_an_id_that_the_service_would_not_take_is_refused(venue: Venue) -> None:
    with pytest.raises(Refused, match="client id"):
        venue.trade(client_order_id="x" * 129)
    assert not venue.server.asked("POST")


def test_a_resting_order_waits_and_is_filled_when_the_market_comes(venue: Venue) -> None:
    order = venue.order(type=OrderType.LIMIT, limit_price=dec("1.090009"))
    assert venue.platform.submit(order).state is OrderState.ACCEPTED
    assert (venue.sent()["price"], venue.sent()["timeInForce"]) == ("1.09000", "GTC")
    assert venue.platform.find(order) is not None
    venue.server.move("EUR_USD", "1.08900")
    found = venue.platform.find(order)
    assert found is not None
    assert (found.state, found.average_price) == (OrderState.FILLED, dec("1.08908"))


# refusals


def test_success_of_the_call_is_none_of_the_order(venue: Venue) -> None:
    refusals: dict[str, dict[str, Any]] = {
        "INSUFFICIENT_MARGIN": {"quantity": "5000000"},
        "BOUNDS_VIOLATION": {"limit_price": dec("1.09")},
        "STOP_LOSS_ON_FILL_LOSS": {"stop_price": dec("1.2")},
        "TAKE_PROFIT_ON_FILL_LOSS": {"target_price": dec("1.05")},
    }
    for number, (reason, changes) in enumerate(refusals.items()):
        order = venue.order(client_order_id=f"order-{number}", **changes)
        with pytest.raises(Refused, match=reason):
            venue.platform.submit(order)
        found = venue.platform.find(order)
        assert found is not None
        assert (found.state, found.reason) == (OrderState.CANCELLED, reason)
    assert not venue.filled()


def test_a_fifo_violation_is_refused(venue: Venue) -> None:
    venue.server.account.fifo = True
    venue.trade()
    with pytest.raises(Refused, match="FIFO_VIOLATION"):
        venue.trade(client_order_id="again")


def test_an_entry_on_a_weekend_is_refused_without_sending_and_an_exit_by_the_service(venue: Venue) -> None:
    venue.trade()
    venue.server.at = SATURDAY
    venue.platform = venue.fresh()
    venue.server.requests.clear()
    with pytest.raises(Refused, match="does not trade EURUSD now"):
        venue.trade(client_order_id="late")
    assert not venue.server.asked("POST")
    with pytest.raises(Refused, match="MARKET_HALTED"):
        venue.platform.submit(venue.exit())
    assert not venue.platform.instrument(EURUSD).tradeable


def test_a_rejection_says_the_services_reason(venue: Venue) -> None:
    first = venue.order(type=OrderType.LIMIT, limit_price=dec("1.05"))
    venue.platform.submit(first)
    # Another session has not seen it, and sends the same id while it waits.
    venue.server.faults += [Fault("GET .*/sinceid", lambda _: Canned({"transactions": [], "lastTransactionID": "1"}))]
    with pytest.raises(Refused, match="CLIENT_ORDER_ID_ALREADY_EXISTS"):
        venue.platform.submit(first)


@pytest.mark.parametrize("status", [401, 403, 404, 405, 415])
def test_what_the_service_turns_away_is_refused(venue: Venue, status: int) -> None:
    venue.server.faults.append(Fault("POST", lambda _: Canned({"errorMessage": "no"}, status)))
    with pytest.raises(Refused):
        venue.trade()
    assert len(venue.server.asked("POST")) == 1


# doubt

UNCLEAR: dict[str, Callable[[Canned], Canned]] = {
    "reset": lambda answer: replace(answer, reset=True),
    "cut": lambda answer: replace(answer, cut=20),
    "slow": lambda answer: replace(answer, delay=4.0),
    "429": lambda _: Canned({"errorMessage": "too many"}, 429),
    "500": lambda _: Canned({"errorMessage": "oops"}, 500),
    "502": lambda _: Canned(b"<html>bad gateway</html>", 502, {"Content-Type": "text/html"}),
    "503": lambda _: Canned(b"<html>maintenance</html>", 503, {"Content-Type": "text/html"}),
    "a 400 of something on the way": lambda _: Canned(b"<html>", 400, {"Content-Type": "text/html"}),
    "empty": lambda _: Canned(b"", 201),
    "a list": lambda _: Canned([], 201),
    "an empty object": lambda _: Canned({}, 201),
    "nonsense": lambda _: Canned({"orderFillTransaction": {"type": "ORDER_FILL", "id": 7}}, 201),
    "another order's": lambda _: Canned(
        {"orderFillTransaction": {"type": "ORDER_FILL", "clientOrderID": "other", "units": "1"}}, 201
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("acts", [True, False], ids=["taken", "not taken"])
@pytest.mark.parametrize("unclear", UNCLEAR)
def test_an_unclear_answer_is_unknown_sent_once_and_found_by_the_log(
    venue: Venue, unclear: str, acts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    order = venue.order()
    venue.server.faults.append(Fault("POST", UNCLEAR[unclear], acts))
    platform = venue.fresh(timeout=2.5)
    with pytest.raises(Unknown) as caught:
        platform.submit(order)
    assert len(venue.server.asked("POST")) == 1
    found = venue.fresh().find(order)
    assert (found is not None and found.state is OrderState.FILLED) == acts
    assert (found is None) == (not acts)
    # Looked for twice before it is said that there is none.
    assert venue.slept == ([] if acts else [2.0])
    # The same intent again, after a restart: one order in any case.
    again = venue.fresh().submit(order)
    assert again.state is OrderState.FILLED
    assert venue.filled() == ["10000"]
    told = f"{caught.value} {caught.value.hint} {caught.value!r} {caplog.text}"
    assert TOKEN not in told
    assert ACCOUNT not in told


@pytest.mark.parametrize("call", ["GET .*/pricing", "GET .*/sinceid"])
def test_nothing_is_sent_where_the_way_there_fails(venue: Venue, call: str) -> None:
    order = venue.order()
    venue.server.faults += [Fault(call, lambda _: Canned(reset=True))] * 9
    with pytest.raises(Unknown):
        venue.platform.submit(order)
    assert not venue.server.asked("POST")


def test_find_says_unknown_while_nobody_answers(venue: Venue) -> None:
    order = venue.order()
    venue.server.close()
    with pytest.raises(Unknown):
        venue.platform.find(order)


def test_the_same_order_prepared_anew_after_a_restart_is_not_sent_again(venue: Venue) -> None:
    venue.trade()
    venue.platform = venue.fresh()
    assert venue.trade().state is OrderState.FILLED
    assert venue.filled() == ["10000"]


def test_an_order_that_was_refused_before_is_not_tried_again(venue: Venue) -> None:
    order = venue.order(stop_price=dec("1.2"))
    for _ in range(2):
        with pytest.raises(Refused, match="STOP_LOSS_ON_FILL_LOSS"):
            venue.platform.submit(order)
    assert len(venue.server.asked("POST")) == 1


def test_a_rejected_order_is_found_in_the_log(venue: Venue) -> None:
    order = venue.order()
    venue.server.account.record(
        "MARKET_ORDER_REJECT", clientExtensions={"id": order.client_order_id}, rejectReason="UNITS_LIMIT_EXCEEDED"
    )
    found = venue.platform.find(order)
    assert found is not None
    assert (found.state, found.reason) == (OrderState.REJECTED, "UNITS_LIMIT_EXCEEDED")


def test_a_log_that_comes_in_pieces_is_read_whole(venue: Venue) -> None:
    order = venue.order()
    for number in range(5):
        venue.trade(client_order_id=f"other-{number}", quantity="1")
    venue.server.most = 3
    venue.platform.submit(order)
    assert venue.platform.find(order) is not None
    fills, cursor = venue.platform.fills("1")
    assert [fill.quantity for fill in fills] == [1, 1, 1, 1, 1, 10_000]
    assert venue.platform.fills(cursor) == ([], cursor)


def test_an_order_of_which_nothing_was_noted_is_found_by_when_it_was_made(venue: Venue) -> None:
    order = replace(venue.order(), created_at=venue.server.at)
    venue.platform.submit(order)
    venue.server.at += timedelta(hours=3)
    for _ in range(1200):
        venue.server.account.record("DAILY_FINANCING")
    bare = replace(order, prepared={})
    found = venue.platform.find(bare)
    assert found is not None
    assert found.state is OrderState.FILLED
    with pytest.raises(Unknown, match="too long to say"):
        venue.platform.find(replace(bare, client_order_id="never", created_at=None, sent_at=None))


def test_a_wrong_clock_keeps_entries_out_and_lets_exits_through(venue: Venue, settings: Any, tmp_path: Any) -> None:
    venue.trade()
    context = venue._context()
    for seconds in (-200, 200):
        clock = FixedClock(venue.server.at + timedelta(seconds=seconds))
        platform = OandaPlatform(settings(), replace(context, clock=clock))
        with pytest.raises(Refused, match="clock"):
            platform.submit(venue.order(client_order_id=f"entry {seconds}".replace(" ", "")))
        assert platform.submit(venue.exit("1000", client_order_id=f"exit{seconds}")).filled_quantity == 1000


# the account


def test_equity_is_the_net_asset_value_in_whatever_currency(venue: Venue) -> None:
    venue.trade(asset=USDJPY)
    venue.trade(Side.SELL, client_order_id="two", asset=Asset.parse("EURGBP"), quantity="5000")
    venue.server.move("USD_JPY", "151.000")
    found = venue.platform.portfolio()
    # 10000 from 150.008 (ask) to 150.992 (bid) are 9840 yen, at 151 to the dollar 65.17.
    position = found.position(USDJPY)
    assert position is not None
    assert position.unrealised == 9840
    assert position.rate is not None
    assert abs(position.unrealised * position.rate - dec("65.17")) < dec("0.01")
    assert abs((position.value_in("USD") or dec("0")) - dec("9999.47")) < dec("0.01")
    assert found.equity == dec(venue.server.account.summary()["NAV"])
    assert found.buying_power == dec(venue.server.account.summary()["marginAvailable"])
    assert (found.currency, found.account, position.opened_at) == ("USD", ACCOUNT, venue.server.at)


def test_an_account_in_another_currency(venue: Venue) -> None:
    venue.server.account.currency = "EUR"
    venue.trade()
    found = venue.platform.portfolio()
    assert found.currency == "EUR"
    assert found.equity == dec(venue.server.account.summary()["NAV"])
    # Ten thousand euros in dollars are worth about ten thousand euros.
    assert abs((venue.held().value_in("EUR") or dec("0")) - 10_000) < 5


def test_without_a_rate_the_cash_is_not_known_and_the_positions_are(venue: Venue) -> None:
    euros = Asset.parse("EURGBP")
    venue.trade(asset=euros)

    def without(name: str, empty: list[Any]) -> Callable[[Canned], Canned]:
        return lambda answer: replace(answer, body={**answer.body, name: empty})

    for name in ("homeConversions", "prices"):
        venue.server.faults.append(Fault("GET .*/pricing", without(name, []), acts=True))
        found = venue.platform.portfolio()
        assert (found.cash, found.equity) == (None, None)
        assert found.position(euros) is not None


def test_commissions_are_fees_of_the_fill(venue: Venue) -> None:
    venue.server.account.commission = dec("0.5000")
    (fill,) = venue.trade().fills
    assert (fill.fee, fill.fee_currency) == (dec("0.5"), "USD")


def test_the_margin_rate_is_the_larger_of_accounts_and_instruments(venue: Venue) -> None:
    rules: Instrument = venue.platform.instrument(USDJPY)
    assert (rules.margin_rate, rules.price_increment, rules.quantity_increment) == (dec("0.04"), dec("0.001"), dec("1"))
    assert (rules.can_short, rules.tradeable, rules.quote_currency) == (True, True, "JPY")
    venue.server.account.margin_rate = dec("0.1")
    assert venue.platform.instrument(USDJPY).margin_rate == dec("0.1")
    for unknown in ("NZDSEK", "BTCUSD", "AAPL"):
        with pytest.raises(NoData):
            venue.platform.instrument(Asset.parse(unknown))


# the way out


def test_close_takes_what_is_held_and_only_on_its_side(venue: Venue) -> None:
    venue.trade(Side.SELL)
    position = venue.held()
    report = venue.platform.close(position, client_order_id="close-1")
    (request,) = venue.server.asked("PUT .*/close")
    assert set(request.json()) == {"shortUnits", "shortClientExtensions"}
    assert (report.state, report.filled_quantity, report.client_order_id) == (
        OrderState.FILLED,
        dec("10000"),
        "close-1",
    )
    with pytest.raises(Refused, match="no position"):
        venue.platform.close(position, client_order_id="close-2")
    assert len(venue.server.asked("PUT .*/close")) == 1


@pytest.mark.parametrize("acts", [True, False])
def test_a_lost_answer_to_a_close_is_unknown_and_never_closes_twice(venue: Venue, acts: bool) -> None:
    venue.trade(quantity="20000")
    half = replace(venue.held(), quantity=dec("10000"))
    venue.server.faults.append(Fault("PUT .*/close", lambda answer: replace(answer, reset=True), acts))
    with pytest.raises(Unknown):
        venue.platform.close(half, client_order_id="close-1")
    report = venue.fresh().close(half, client_order_id="close-1")
    assert report.filled_quantity == 10_000
    assert venue.held().quantity == 10_000


def test_protection_is_set_replaced_and_taken_away_on_every_trade(venue: Venue) -> None:
    venue.trade()
    venue.trade(client_order_id="second", quantity="5000")
    report = venue.platform.protect(venue.held(), dec("1.08"), dec("1.12"), client_order_id="p-1")
    assert (report.state, report.client_order_id) == (OrderState.ACCEPTED, "p-1")
    assert (venue.held().stop_price, venue.held().target_price) == (dec("1.08"), dec("1.12"))
    assert [each.client_order_id for each in venue.platform.open_orders()] == ["p-1"] * 4
    venue.platform.protect(venue.held(), dec("1.09"), None, client_order_id="p-2")
    assert (venue.held().stop_price, venue.held().target_price) == (dec("1.09"), None)
    assert [each.client_order_id for each in venue.platform.open_orders()] == ["p-2"] * 2
    before = len(venue.server.asked("PUT"))
    venue.platform.protect(venue.held(), dec("1.09"), None, client_order_id="p-2")
    assert len(venue.server.asked("PUT")) == before


def test_a_stop_that_oanda_worked_is_a_fill_of_the_protection(venue: Venue) -> None:
    entry = venue.order()
    venue.platform.submit(entry)
    _, cursor = venue.platform.fills(None)
    venue.platform.protect(venue.held(), dec("1.09"), dec("1.12"), client_order_id="p-1")
    venue.server.move("EUR_USD", "1.08500")
    (fill,), _ = venue.platform.fills(cursor)
    assert (fill.client_order_id, fill.side, fill.quantity, fill.price) == (
        "p-1",
        Side.SELL,
        dec("10000"),
        dec("1.08492"),
    )
    protection = replace(venue.order(), client_order_id="p-1", prepared=entry.prepared)
    found = venue.platform.find(protection)
    assert found is not None
    assert found.state is OrderState.FILLED
    assert not venue.platform.open_orders()


@pytest.mark.parametrize("acts", [True, False])
def test_a_lost_answer_to_a_protection_is_settled_by_asking(venue: Venue, acts: bool) -> None:
    venue.trade()
    venue.server.faults.append(Fault("PUT .*/orders", lambda answer: replace(answer, reset=True), acts))

    def protect() -> OrderReport:
        return venue.platform.protect(venue.held(), dec("1.09"), None, client_order_id="p-1")

    if acts:
        assert protect().state is OrderState.ACCEPTED
    else:
        with pytest.raises(Unknown, match="confirm"):
            protect()
        assert protect().state is OrderState.ACCEPTED
    assert len(venue.platform.open_orders()) == 1


def test_a_rejected_protection_is_refused_and_on_half_of_the_trades_unknown(venue: Venue) -> None:
    venue.trade()
    venue.trade(client_order_id="second")
    rejected = Canned({"stopLossOrderRejectTransaction": {"rejectReason": "PRICE_INVALID"}, "errorMessage": "no"}, 400)
    calls: list[Any] = [Fault("PUT .*/orders", lambda _: rejected)]
    venue.server.faults += calls
    with pytest.raises(Refused, match="PRICE_INVALID"):
        venue.platform.protect(venue.held(), dec("1.09"), None, client_order_id="p-1")
    second = venue.server.account.trades and list(venue.server.account.trades)[1]
    venue.server.faults.append(Fault(f"PUT .*/trades/{second}/orders", lambda _: rejected))
    with pytest.raises(Unknown, match="1 of 2 trades"):
        venue.platform.protect(venue.held(), dec("1.09"), None, client_order_id="p-1")


def test_cancelling_tells_what_became_of_the_order(venue: Venue) -> None:
    resting = venue.order(type=OrderType.LIMIT, limit_price=dec("1.05"))
    venue.platform.submit(resting)
    assert venue.platform.cancel(resting).state is OrderState.CANCELLED
    filled = venue.order(client_order_id="two")
    venue.platform.submit(filled)
    assert venue.platform.cancel(filled).state is OrderState.FILLED
    with pytest.raises(Refused, match="no order"):
        venue.platform.cancel(venue.order(client_order_id="never"))


@pytest.mark.parametrize("acts", [True, False])
def test_a_lost_answer_to_a_cancellation_is_settled_by_the_log(venue: Venue, acts: bool) -> None:
    resting = venue.order(type=OrderType.LIMIT, limit_price=dec("1.05"))
    venue.platform.submit(resting)
    venue.server.faults.append(Fault("PUT .*/cancel", lambda answer: replace(answer, reset=True), acts))
    if acts:
        assert venue.platform.cancel(resting).state is OrderState.CANCELLED
    else:
        with pytest.raises(Unknown):
            venue.platform.cancel(resting)


# what the user is told


@pytest.mark.slow
def test_check_tries_each_thing_by_itself(venue: Venue) -> None:
    assert set(venue.platform.check().values()) == {True}
    for call, failing in {
        "GET /v3/accounts$": {"api_auth", "account_active", "trading_enabled"},
        "GET .*/summary": {"account_active", "trading_enabled", "balance_available"},
        "GET .*/pendingOrders": {"trading_enabled"},
        "GET .*/pricing": {"market_data"},
    }.items():
        broken = [Fault(call, lambda _: Canned({"errorMessage": "no"}, 403)) for _ in range(9)]
        venue.server.faults = broken
        found = venue.platform.check()
        assert {name for name, works in found.items() if not works} == failing, call
    venue.server.faults = []


@pytest.mark.parametrize("changes", [{"api_key": None}, {"account_id": None}])
def test_what_is_not_set_is_named_with_the_line_that_sets_it(venue: Venue, changes: dict[str, Any]) -> None:
    platform = venue.fresh(**changes)
    calls: Sequence[Callable[[], object]] = (platform.portfolio, platform.check, lambda: platform.fills(None))
    for call in calls:
        with pytest.raises(NotConfigured) as caught:
            call()
        assert "into .env" in str(caught.value.hint)
    assert not venue.server.requests


def test_an_account_of_the_other_environment_never_hears_of_an_order(venue: Venue) -> None:
    order = venue.order()
    venue.server.requests.clear()
    for changes in ({"environment": "live"}, {"account_id": "001-001-1234567-001"}):
        with pytest.raises(SettingsError):
            venue.fresh(**changes).submit(order)
    assert not venue.server.requests


def test_reads_are_repeated_and_fail_as_unknown(venue: Venue) -> None:
    venue.server.faults += [Fault("GET", lambda _: Canned({}, 503))] * 2
    assert venue.platform.portfolio().cash == 100_000
    venue.server.faults += [Fault("GET", lambda _: Canned({}, 503))] * 9
    with pytest.raises(PlatformError):
        venue.platform.portfolio()
