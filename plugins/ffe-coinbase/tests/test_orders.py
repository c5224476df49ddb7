"""Orders from their text to their end, against a venue that matches them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from ffe_coinbase.exchange import TAKER
from ffe_coinbase.orders import place
from ffe_coinbase.parse import parse_product
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.settings import CoinbaseSettings
from ffe_coinbase.standin import NOON, CoinbaseStandIn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffe_core import Asset, Effect, Order, OrderState, OrderType, PlatformError, Refused, Side, Unknown
from ffe_core.testing import make_order

BTC = Asset.parse("BTCUSD")
Make = Callable[..., CoinbasePlatform]


def ready(venue: CoinbasePlatform, order: Order) -> Order:
    return replace(order, prepared=dict(venue.prepare(order)))


def buy(venue: CoinbasePlatform, quantity: str = "0.1", name: str = "buy-1") -> Order:
    order = ready(venue, make_order(Side.BUY, Decimal(quantity), id=name))
    venue.submit(order)
    return order


def resting(venue: CoinbasePlatform, limit: str = "19000", name: str = "rest-1") -> Order:
    order = make_order(Side.BUY, Decimal("0.1"), id=name, type=OrderType.LIMIT, limit_price=Decimal(limit))
    order = ready(venue, order)
    venue.submit(order)
    return order


# what is sent


def test_a_market_order_names_a_size_and_never_a_sum(server: CoinbaseStandIn, platform: Make) -> None:
    buy(platform(), "0.123456789")
    assert server.posts() == [
        {
            "client_order_id": "buy-1",
            "product_id": "BTC-USD",
            "side": "BUY",
            "order_configuration": {"market_market_ioc": {"base_size": "0.12345678"}},
        }
    ]


@pytest.mark.parametrize(
    ("quantity", "size"), [("12.37", "12.3"), ("12.3", "12.3"), ("10.99999", "10.9"), ("1E+2", "100.0")]
)
def test_the_step_is_the_products_own(quantity: str, size: str, server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    venue.submit(ready(venue, make_order(Side.BUY, Decimal(quantity), asset="DOGEUSD")))
    sent = server.posts()[0]["order_configuration"]["market_market_ioc"]["base_size"]
    assert sent == size


def test_the_smallest_size_is_written_without_an_exponent(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.markets["BTC-USD"].raw["quote_min_size"] = "0"
    buy(platform(), "0.00000001")
    assert server.posts()[0]["order_configuration"]["market_market_ioc"]["base_size"] == "0.00000001"


@pytest.mark.parametrize(
    ("quantity", "words"),
    [("0.000000009", "smallest order"), ("0.00001", "worth less"), ("3400.1", "largest order")],
)
def test_what_the_venues_rules_exclude_is_refused_before_it_is_sent(
    quantity: str, words: str, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    with pytest.raises(Refused, match=words):
        venue.submit(ready(venue, make_order(Side.BUY, Decimal(quantity))))
    assert server.posts() == []


@pytest.mark.parametrize("name", ["trading_disabled", "is_disabled", "cancel_only", "view_only", "auction_mode"])
def test_a_closed_product_is_not_tradeable_and_takes_no_order(
    name: str, server: CoinbaseStandIn, platform: Make
) -> None:
    server.exchange.markets["BTC-USD"].raw[name] = True
    venue = platform()
    assert venue.instrument(BTC).tradeable is False
    with pytest.raises(Refused, match=name):
        venue.submit(ready(venue, make_order()))
    assert server.posts() == []


def test_a_product_for_limit_orders_only_takes_those(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.markets["BTC-USD"].raw["limit_only"] = True
    venue = platform()
    with pytest.raises(Refused, match="limit orders only"):
        venue.submit(ready(venue, make_order()))
    resting(venue)
    assert len(venue.open_orders()) == 1


def test_what_is_prepared_is_sent_to_the_byte_and_asks_for_no_rules_again(
    server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    order = ready(venue, make_order())
    server.exchange.markets["BTC-USD"].raw["base_increment"] = "0.1"
    before = len(server.requests)
    venue.submit(order)
    later = platform()
    later.submit(order)
    bodies = [each.body for each in server.requests if each.method == "POST"]
    assert bodies == [order.prepared["body"].encode()] * 2
    assert [each.path.rpartition("/")[2] for each in server.requests[before:]] == ["time", "orders"] * 2
    assert len(server.exchange.orders) == 1


@pytest.mark.parametrize("change", [{"client_order_id": "another"}, {"side": Side.SELL}])
def test_what_was_prepared_for_another_order_is_not_sent(
    change: dict[str, Any], server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    with pytest.raises(Refused, match="another order"):
        venue.submit(replace(ready(venue, make_order()), **change))
    assert server.posts() == []


def test_a_portfolio_that_is_named_goes_with_the_order(server: CoinbaseStandIn, platform: Make) -> None:
    buy(platform(portfolio="7c0f6f0e-3f2b-4c51-9d36-0d8f0f1f6a11"))
    assert server.posts()[0]["retail_portfolio_id"] == "7c0f6f0e-3f2b-4c51-9d36-0d8f0f1f6a11"


def test_a_pair_of_another_wallet_is_refused_with_the_way_to_it(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    with pytest.raises(Refused, match="BTC-USDC is paid in USDC") as caught:
        venue.submit(make_order(asset="BTCUSDC"))
    assert "currency: USDC" in (caught.value.hint or "")
    assert server.posts() == []


def test_a_coins_own_dollar_pays_where_settings_say_so(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.wallets["USDC"] = [Decimal(5000), Decimal(0)]
    venue = platform(currency="USDC")
    venue.submit(ready(venue, make_order(asset="BTCUSDC")))
    found = venue.portfolio()
    assert found.currency == "USDC"
    assert found.cash == 5000 - 2000 * (1 + TAKER)
    assert server.exchange.wallets["USD"] == [10_000, 0]


def test_a_short_on_spot_is_refused(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    assert venue.instrument(BTC).can_short is False
    with pytest.raises(Refused, match="does not hold"):
        venue.submit(ready(venue, make_order(Side.SELL, effect=Effect.OPEN_SHORT, reduce_only=False)))
    assert server.posts() == []


@given(
    quantity=st.decimals("0.00000001", "5000", allow_nan=False, places=12),
    step=st.sampled_from(["0.00000001", "0.001", "0.1", "1", "0.25"]),
    price=st.decimals("0.01", "90000", allow_nan=False, places=6),
    tick=st.sampled_from(["0.01", "0.00001", "5", "0.5"]),
    side=st.sampled_from(Side),
)
def test_sizes_never_grow_and_prices_keep_to_the_side_that_waits(
    quantity: Decimal, step: str, price: Decimal, tick: str, side: Side
) -> None:
    from ffe_coinbase.listings import spot

    product = parse_product(spot("BTC-USD", base_increment=step, price_increment=tick, quote_min_size="0"))
    order = make_order(side, quantity, type=OrderType.LIMIT, limit_price=price)
    try:
        placement = place(order, product, CoinbaseSettings())
    except Refused:
        assert quantity < max(Decimal(step), Decimal("0.00000001")) or quantity > 3400 or price < Decimal(tick)
        return
    terms = json.loads(placement.stored["body"])["order_configuration"]["limit_limit_gtc"]
    size, limit = Decimal(terms["base_size"]), Decimal(terms["limit_price"])
    assert 0 <= quantity - size < Decimal(step)
    assert size % Decimal(step) == 0
    assert limit % Decimal(tick) == 0
    assert 0 <= (price - limit) * side.sign < Decimal(tick)
    assert "E" not in terms["base_size"] + terms["limit_price"]


# what becomes of it


def test_accepted_is_not_filled_until_the_venue_says_so(platform: Make) -> None:
    venue = platform()
    order = ready(venue, make_order())
    sent = venue.submit(order)
    assert (sent.state, sent.filled_quantity) == (OrderState.ACCEPTED, Decimal(0))
    found = venue.find(order)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_price) == (
        OrderState.FILLED,
        Decimal("0.1"),
        Decimal(20_000),
    )
    assert [(fill.quantity, fill.price, fill.fee, fill.fee_currency) for fill in found.fills] == [
        (Decimal("0.1"), Decimal(20_000), Decimal(12), "USD")
    ]


def test_the_rest_of_a_market_order_is_cancelled_and_what_was_filled_is_told(
    server: CoinbaseStandIn, platform: Make
) -> None:
    server.exchange.markets["BTC-USD"].depth = Decimal("0.03")
    venue = platform()
    found = venue.find(buy(venue))
    assert found is not None
    assert (found.state, found.filled_quantity) == (OrderState.CANCELLED, Decimal("0.03"))
    assert sum(fill.quantity for fill in found.fills) == Decimal("0.03")
    position = venue.portfolio().position(BTC)
    assert position is not None
    assert position.quantity == Decimal("0.03")


def test_a_resting_order_fills_in_parts_over_several_pages(server: CoinbaseStandIn, platform: Make) -> None:
    server.largest_page = 2
    venue = platform()
    order = resting(venue)
    row = server.exchange.orders[0]
    for _ in range(5):
        server.exchange.fill(row, Decimal("0.1"))
    found = venue.find(order)
    assert found is not None
    assert (found.state, found.filled_quantity, len(found.fills)) == (OrderState.PARTIAL, Decimal("0.05"), 5)
    cancelled = venue.cancel(order)
    assert (cancelled.state, cancelled.filled_quantity) == (OrderState.CANCELLED, Decimal("0.05"))
    assert server.exchange.wallets["USD"][1] == 0


def test_a_cancel_trusts_success_and_not_the_words_beside_it(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    order = resting(venue)
    assert venue.cancel(order).state is OrderState.CANCELLED
    assert server.posts("/orders/batch_cancel") == [{"order_ids": [server.exchange.orders[0].id]}]
    # Again: it is over, and nothing is asked for.
    assert venue.cancel(order).state is OrderState.CANCELLED
    assert len(server.posts("/orders/batch_cancel")) == 1


def test_a_cancel_that_the_venue_denies_is_refused(
    server: CoinbaseStandIn, platform: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = platform()
    order = resting(venue)
    monkeypatch.setattr(server.exchange, "cancel", lambda _: (False, "CANCEL_REQUEST_REJECTED"))
    with pytest.raises(Refused, match="CANCEL_REQUEST_REJECTED"):
        venue.cancel(order)
    assert len(venue.open_orders()) == 1


def test_an_order_that_nobody_knows_cannot_be_cancelled(platform: Make) -> None:
    with pytest.raises(Refused, match="knows no order"):
        platform().cancel(make_order())


@pytest.mark.parametrize(
    ("status", "filled", "state"),
    [
        ("PENDING", 0, OrderState.ACCEPTED),
        ("OPEN", 1, OrderState.PARTIAL),
        ("QUEUED", 0, OrderState.ACCEPTED),
        ("CANCEL_QUEUED", 0, OrderState.ACCEPTED),
        ("EDIT_QUEUED", 1, OrderState.PARTIAL),
        ("SOMETHING_NEW", 0, OrderState.ACCEPTED),
        ("CANCELLED", 0, OrderState.CANCELLED),
        ("EXPIRED", 1, OrderState.CANCELLED),
        ("FAILED", 0, OrderState.REJECTED),
    ],
)
def test_every_status_of_the_venue_has_its_state(
    status: str, filled: int, state: OrderState, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    order = resting(venue)
    row = server.exchange.orders[0]
    if filled:
        server.exchange.fill(row, Decimal("0.5"))
    row.status = status
    found = venue.find(order)
    assert found is not None
    assert found.state is state


@pytest.mark.parametrize("status", ["OPEN", "PENDING", "QUEUED"])
def test_open_orders_are_those_on_their_way_too(status: str, server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    resting(venue)
    server.exchange.orders[0].status = status
    assert [each.client_order_id for each in venue.open_orders()] == ["rest-1"]


# protection and the way out


def test_a_bracket_stands_at_the_venue_and_shows_in_the_position(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    report = venue.protect(position, Decimal("19000.004"), Decimal("22000.001"), client_order_id="protect-1")
    assert report.state is OrderState.ACCEPTED
    assert server.posts()[-1]["order_configuration"] == {
        # A seller's prices go up: the stop never widens.
        "trigger_bracket_gtc": {"base_size": "0.10000000", "limit_price": "22000.01", "stop_trigger_price": "19000.01"}
    }
    shown = venue.portfolio().position(BTC)
    assert shown is not None
    assert (shown.stop_price, shown.target_price) == (Decimal("19000.01"), Decimal("22000.01"))
    # On hold is held all the same.
    assert shown.quantity == Decimal("0.1")
    server.exchange.move("BTC-USD", "18999")
    assert venue.portfolio().position(BTC) is None
    assert venue.open_orders() == []


@pytest.mark.parametrize(
    ("stop", "target", "kind"), [("19000", None, "stop_limit_stop_limit_gtc"), (None, "22000", "limit_limit_gtc")]
)
def test_a_stop_or_a_target_stands_alone(
    stop: str | None, target: str | None, kind: str, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    levels = [None if each is None else Decimal(each) for each in (stop, target)]
    venue.protect(position, levels[0], levels[1], client_order_id="protect-1")
    assert list(server.posts()[-1]["order_configuration"]) == [kind]
    # The limit lies well through the stop, so that a fall of 2 % through it still sells.
    server.exchange.move("BTC-USD", "18620" if stop else "22001")
    assert venue.portfolio().position(BTC) is None


def test_no_protection_is_no_order(platform: Make) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    with pytest.raises(Refused, match="stop or a target"):
        venue.protect(position, None, None, client_order_id="protect-1")


def test_what_is_on_hold_is_not_sold_until_its_order_is_cancelled(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    venue.protect(position, Decimal(19_000), Decimal(22_000), client_order_id="protect-1")
    with pytest.raises(Refused, match="on hold") as caught:
        venue.close(position, client_order_id="close-1")
    assert "cancel" in (caught.value.hint or "")
    venue.cancel(make_order(Side.SELL, id="protect-1"))
    venue.close(position, client_order_id="close-1")
    assert venue.portfolio().position(BTC) is None
    assert server.exchange.wallets["BTC"] == [0, 0]


def test_closing_sells_no_more_than_there_is(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    # Somebody sold a part meanwhile.
    venue.submit(ready(venue, make_order(Side.SELL, Decimal("0.06"), id="by-hand")))
    venue.close(position, client_order_id="close-1")
    assert server.exchange.wallets["BTC"] == [0, 0]


def test_closing_again_under_the_same_id_tells_of_the_first_time(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    buy(venue)
    position = venue.portfolio().position(BTC)
    assert position is not None
    venue.close(position, client_order_id="close-1")
    again = venue.close(position, client_order_id="close-1")
    assert (again.state, again.filled_quantity) == (OrderState.FILLED, Decimal("0.1"))
    assert len(server.exchange.orders) == 2


# fills


def test_fills_are_told_once_each_across_pages_and_calls(server: CoinbaseStandIn, platform: Make) -> None:
    server.largest_page = 2
    venue = platform()
    cursor = None
    told: list[str] = []
    for batch in range(4):
        for index in range(3):
            buy(venue, "0.01", f"buy-{batch}-{index}")
        found, cursor = platform().fills(cursor)
        told += [fill.client_order_id for fill in found]
    assert told == [f"buy-{batch}-{index}" for batch in range(4) for index in range(3)]
    assert platform().fills(cursor)[0] == []


def test_a_fill_that_shows_itself_late_is_told(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    for name in ("one", "two"):
        buy(venue, "0.01", name)
    late = server.exchange.fills.pop(0)
    found, cursor = venue.fills(None)
    assert [fill.client_order_id for fill in found] == ["two"]
    server.exchange.fills.insert(0, late)
    found, cursor = venue.fills(cursor)
    assert [fill.client_order_id for fill in found] == ["one"]
    assert venue.fills(cursor)[0] == []


def test_the_cursor_forgets_what_is_long_past(server: CoinbaseStandIn, platform: Make) -> None:
    venue, cursor = platform(), None
    for index in range(6):
        server.exchange.clock = lambda index=index: NOON + timedelta(minutes=4 * index)  # type: ignore[misc]
        buy(venue, "0.01", f"buy-{index}")
        found, cursor = venue.fills(cursor)
        assert len(found) == 1
    assert len(json.loads(cursor or "")["seen"]) == 2


@pytest.mark.parametrize("text", ["42", "{}", "no", '{"newest": 1, "seen": []}'])
def test_a_strange_cursor_is_refused(text: str, platform: Make) -> None:
    with pytest.raises(PlatformError, match="no cursor"):
        platform().fills(text)


def test_a_fill_whose_size_is_a_sum_becomes_a_quantity(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    buy(venue)
    server.exchange.fills[0] |= {"size": "2000", "size_in_quote": True}
    assert [fill.quantity for fill in venue.fills(None)[0]] == [Decimal("0.1")]


# one intent is one order


def test_an_order_of_another_size_under_our_id_is_in_doubt(platform: Make) -> None:
    venue = platform()
    buy(venue, "0.1")
    with pytest.raises(Unknown, match=r"base_size is 0\.1"):
        venue.submit(make_order(quantity=Decimal("0.2"), id="buy-1"))
    with pytest.raises(Unknown, match="base_size"):
        venue.find(ready(venue, make_order(quantity=Decimal("0.2"), id="buy-1")))
    with pytest.raises(Unknown, match="it is a BUY"):
        venue.find(make_order(Side.SELL, id="buy-1"))


def test_two_threads_with_one_intent_make_one_order(server: CoinbaseStandIn, platform: Make) -> None:
    from concurrent.futures import ThreadPoolExecutor

    venue = platform()
    order = ready(venue, make_order())
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: venue.submit(order), range(4)))
    assert len({report.venue_order_id for report in reports}) == 1
    assert venue.portfolio().cash == 10_000 - 2000 * (1 + TAKER)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell", "rest", "partial", "cancel", "move", "protect"]),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_money_and_coins_are_neither_made_nor_lost(steps: list[tuple[str, int]], tmp_path_factory: Any) -> None:
    from pydantic import SecretStr

    from ffe_core.testing import make_context

    with CoinbaseStandIn() as server:
        given_settings = CoinbaseSettings(
            base_url=server.url,
            settle=0.0,
            requests_per_second=30.0,
            api_key=SecretStr(server.keys.name),
            api_secret=SecretStr(server.keys.secret),
        )
        venue = CoinbasePlatform(given_settings, make_context(tmp_path_factory.mktemp("run"), "coinbase"))
        for index, (what, much) in enumerate(steps):
            walk(venue, server, what, Decimal(much), f"order-{index}")
        found, (fills, _) = venue.portfolio(), venue.fills(None)
        bought = sum((fill.side.sign * fill.quantity for fill in fills), Decimal(0))
        paid = sum((fill.side.sign * fill.quantity * fill.price + fill.fee for fill in fills), Decimal(0))
        position = found.position(BTC)
        assert found.cash == 10_000 - paid
        assert (position.quantity if position else 0) == bought
        assert sum(fill.fee for fill in fills) == server.exchange.earned
        live = {each.client_order_id for each in venue.open_orders()}
        assert live == {row.client_id for row in server.exchange.live()}
        if not live:
            assert found.buying_power == found.cash


def walk(venue: CoinbasePlatform, server: CoinbaseStandIn, what: str, much: Decimal, name: str) -> None:
    price = server.exchange.markets["BTC-USD"].bid
    open_rows = list(server.exchange.live())
    try:
        if what in ("buy", "sell"):
            side = Side.BUY if what == "buy" else Side.SELL
            venue.submit(ready(venue, make_order(side, much / 100, id=name)))
        elif what == "rest":
            limit = price * (100 - much) / 100
            order = make_order(Side.BUY, Decimal("0.05"), id=name, type=OrderType.LIMIT, limit_price=limit)
            venue.submit(ready(venue, order))
        elif what == "partial" and open_rows and open_rows[0].filled == 0:
            server.exchange.fill(open_rows[0], Decimal("0.4"))
        elif what == "cancel" and open_rows:
            venue.cancel(make_order(Side(open_rows[0].side), id=open_rows[0].client_id))
        elif what == "move":
            server.exchange.move("BTC-USD", price * (80 + much) / 100)
        elif what == "protect":
            position = venue.portfolio().position(BTC)
            if position is not None:
                venue.protect(position, price * Decimal("0.9"), price * Decimal("1.1"), client_order_id=name)
    except Refused:
        pass
