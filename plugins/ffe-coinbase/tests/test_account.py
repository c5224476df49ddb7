"""What the account holds, what may be traded, and whether the key is fit for it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from ffe_coinbase.account import bought_at
from ffe_coinbase.listings import CONTRACT
from ffe_coinbase.parse import VenueFill
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.standin import BROKEN, NOON, PORTFOLIO, CoinbaseStandIn, Fault
from pydantic import SecretStr

from ffe_core import Asset, Effect, Fees, NoData, OrderState, OrderType, PlatformError, Refused, Side
from ffe_core.testing import make_order
from ffe_core.testing.loopback import Canned

BTC = Asset.parse("BTCUSD")
Make = Callable[..., CoinbasePlatform]
CHECKS = ["api_auth", "account_active", "trading_enabled", "balance_available", "market_data"]
FUTURES: dict[str, Any] = {"product": "futures", "contracts": {"BTCUSD": CONTRACT}}


def warnings(venue: CoinbasePlatform) -> list[str]:
    return [f"{event} {facts}" for level, event, facts in venue._context.log.lines if level == "warning"]  # type: ignore[attr-defined]


# spot


def test_what_is_on_hold_belongs_to_the_account_and_cannot_be_spent(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.wallets["USD"] = [Decimal("700.25"), Decimal("299.75")]
    server.exchange.wallets["BTC"] = [Decimal("1.23456789"), Decimal("0.005")]
    found = platform().portfolio()
    assert (found.cash, found.buying_power, found.account) == (Decimal(1000), Decimal("700.25"), PORTFOLIO)
    position = found.position(BTC)
    assert position is not None
    assert (position.quantity, position.price) == (Decimal("1.23956789"), Decimal(20_000))
    assert found.equity == 1000 + Decimal("1.23956789") * 20_000


def test_wallets_come_in_pages(server: CoinbaseStandIn, platform: Make) -> None:
    server.largest_page = 3
    for index in range(20):
        server.exchange.wallets[f"A{index}"] = [Decimal(0), Decimal(0)]
    assert platform().portfolio().cash == 10_000
    assert len([each for each in server.requests if each.path.endswith("/accounts")]) == 8


def test_a_coin_without_a_market_is_left_out_with_a_warning(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.wallets["XYZ"] = [Decimal(5), Decimal(0)]
    venue = platform()
    assert venue.portfolio().positions == ()
    assert "XYZ" in warnings(venue)[0]


def test_the_coins_dollar_counts_at_par(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.wallets["USDC"] = [Decimal(300), Decimal(0)]
    found = platform().portfolio()
    assert (found.cash, found.equity) == (Decimal(10_000), Decimal(10_300))
    assert [(held.asset.base, held.price) for held in found.positions] == [("USDC", Decimal(1))]


def venue_fill(side: str, size: str, price: int, minute: int) -> VenueFill:
    at = NOON + timedelta(minutes=minute)
    return VenueFill(str(minute), "order", "BTC-USD", Side(side), Decimal(size), Decimal(price), Decimal(0), at)


def minute(at: datetime | None) -> int | None:
    return None if at is None else int((at - NOON).total_seconds() // 60)


@pytest.mark.parametrize(
    ("held", "story", "entry", "began"),
    [
        # bought twice: (1 x 100 + 3 x 200) / 4
        ("4", [("BUY", "1", 100), ("BUY", "3", 200)], 175, 0),
        # a sale changes the quantity and not the average
        ("1", [("BUY", "1", 100), ("BUY", "3", 200), ("SELL", "3", 900)], 175, 0),
        # all was sold in between: what came before does not count
        ("2", [("BUY", "1", 100), ("SELL", "1", 150), ("BUY", "2", 300)], 300, 2),
        # more is held than fills tell of: coins that were paid in
        ("5", [("BUY", "2", 300)], 300, 0),
        ("5", [], None, None),
    ],
)
def test_the_entry_price_is_the_average_of_what_bought_the_holding(
    held: str, story: list[tuple[str, str, int]], entry: int | None, began: int | None
) -> None:
    fills = [venue_fill(*fill, index) for index, fill in enumerate(story)]
    price, opened_at = bought_at(Decimal(held), reversed(fills))
    assert (price, minute(opened_at)) == (entry, began)


def test_the_position_knows_what_it_was_bought_for(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform()
    venue.submit(make_order(quantity=Decimal("0.1"), id="one"))
    server.exchange.move("BTC-USD", 26_000)
    venue.submit(make_order(quantity=Decimal("0.05"), id="two"))
    position = venue.portfolio().position(BTC)
    assert position is not None
    assert (position.entry_price, position.price) == (Decimal(22_000), Decimal(26_000))


@pytest.mark.parametrize("path", ["/accounts", "/products", "/fills", "/batch"])
def test_an_account_that_cannot_be_read_whole_is_an_error_and_never_flat(
    path: str, server: CoinbaseStandIn, platform: Make
) -> None:
    venue = platform()
    venue.submit(make_order())
    for answer in (BROKEN, None, Canned([]), Canned(b"")):
        server.faults = [Fault(path, answer, times=9)]
        with pytest.raises(PlatformError):
            venue.portfolio()


# instruments


def test_a_product_has_its_own_steps_and_the_account_its_fees(platform: Make) -> None:
    rules = platform().instrument(Asset.parse("DOGEUSD"))
    assert (rules.quantity_increment, rules.price_increment) == (Decimal("0.1"), Decimal("0.00001"))
    assert (rules.minimum_quantity, rules.minimum_notional, rules.margin_rate) == (Decimal(1), Decimal(1), Decimal(1))
    assert rules.fees == Fees(taker=Decimal("0.006"), maker=Decimal("0.004"))


def test_without_a_key_rules_and_quotes_are_there_and_fees_are_the_users(platform: Make) -> None:
    venue = platform(api_key=None, api_secret=None)
    assert venue.instrument(BTC).fees.taker == venue._context.costs.fee
    assert venue.quote(BTC).bid == 20_000


def test_an_unknown_product_is_no_data(platform: Make) -> None:
    for key in ({}, {"api_key": None, "api_secret": None}):
        with pytest.raises(NoData, match="PEPE-USD"):
            platform(**key).instrument(Asset.parse("PEPEUSD"))
        with pytest.raises(NoData, match="PEPE-USD"):
            platform(**key).quote(Asset.parse("PEPEUSD"))


# futures


def test_contracts_are_sized_in_base_units_and_cut_down(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(**FUTURES)
    rules = venue.instrument(BTC)
    assert (rules.quantity_increment, rules.minimum_quantity) == (Decimal("0.01"), Decimal("0.01"))
    assert (rules.contract_size, rules.margin_rate, rules.can_short) == (Decimal("0.01"), Decimal("0.25"), True)
    order = make_order(quantity=Decimal("0.0599"))
    venue.submit(order)
    assert server.posts()[0]["product_id"] == CONTRACT
    assert server.posts()[0]["order_configuration"] == {"market_market_ioc": {"base_size": "5"}}
    found = venue.find(order)
    assert found is not None
    assert (found.state, found.filled_quantity, found.average_price) == (
        OrderState.FILLED,
        Decimal("0.05"),
        Decimal(20_000),
    )


def test_less_than_one_contract_is_refused(server: CoinbaseStandIn, platform: Make) -> None:
    with pytest.raises(Refused, match="smallest order of 1"):
        platform(**FUTURES).submit(make_order(quantity=Decimal("0.00999")))
    assert server.posts() == []


def test_margined_equity_is_the_balance_and_the_profit(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(**FUTURES)
    venue.submit(make_order(quantity=Decimal("0.5")))
    server.exchange.move(CONTRACT, 21_000)
    found = venue.portfolio()
    # 10 000 less the fee of 0.006 x 0.5 x 20 000, and 0.5 x 1000 gained
    assert found.equity == 10_000 - 60 + 500
    position = found.position(BTC)
    assert position is not None
    assert (position.quantity, position.entry_price, position.price) == (
        Decimal("0.5"),
        Decimal(20_000),
        Decimal(21_000),
    )
    assert found.buying_power == 10_440 - Decimal("0.5") * 21_000 / 4


def test_a_short_is_below_zero_and_is_bought_back(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(**FUTURES)
    short = make_order(Side.SELL, Decimal("0.2"), effect=Effect.OPEN_SHORT, reduce_only=False)
    venue.submit(short)
    position = venue.portfolio().position(BTC)
    assert position is not None
    assert position.quantity == Decimal("-0.2")
    server.exchange.move(CONTRACT, 19_000)
    venue.close(position, client_order_id="close-1")
    assert server.posts("/orders/close_position") == [
        {"client_order_id": "close-1", "product_id": CONTRACT, "size": "20"}
    ]
    fees = Decimal("0.006") * Decimal("0.2") * (20_000 + 19_000)
    assert venue.portfolio().equity == 10_000 + 200 - fees


def test_an_exit_on_the_wrong_side_opens_nothing(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(**FUTURES)
    venue.submit(make_order(quantity=Decimal("0.2")))
    with pytest.raises(Refused, match="does not reduce"):
        venue.submit(make_order(Side.BUY, Decimal("0.1"), id="exit", reduce_only=True, effect=Effect.CLOSE))
    assert server.posts("/orders/close_position") == []


def test_contracts_are_protected_at_the_venue(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(**FUTURES)
    venue.submit(make_order(quantity=Decimal("0.2")))
    position = venue.portfolio().position(BTC)
    assert position is not None
    venue.protect(position, Decimal(19_001), Decimal(21_001), client_order_id="protect-1")
    assert server.posts()[-1]["order_configuration"] == {
        "trigger_bracket_gtc": {"base_size": "20", "limit_price": "21005", "stop_trigger_price": "19005"}
    }
    server.exchange.move(CONTRACT, 19_000)
    assert venue.portfolio().positions == ()


def test_no_contract_is_chosen_in_silence(server: CoinbaseStandIn, platform: Make) -> None:
    venue = platform(product="futures")
    with pytest.raises(NoData, match="nothing that is traded as futures") as caught:
        venue.instrument(BTC)
    assert "plugins.coinbase.contracts" in (caught.value.hint or "")
    with pytest.raises(Refused, match="nothing was sent"):
        venue.submit(make_order())
    assert venue.instrument(Asset.parse(CONTRACT)).contract_size == Decimal("0.01")
    assert server.posts() == []


def test_a_spot_account_takes_no_contract(platform: Make) -> None:
    with pytest.raises(NoData, match="traded as spot") as caught:
        platform().instrument(Asset.parse(CONTRACT))
    assert "product: futures" in (caught.value.hint or "")


def test_a_contract_that_settings_do_not_name_is_held_under_its_own_name(platform: Make) -> None:
    venue = platform(product="futures")
    asset = Asset.parse(CONTRACT)
    venue.submit(make_order(quantity=Decimal("0.03"), asset=asset))
    assert [held.asset for held in venue.portfolio().positions] == [asset]
    assert [fill.asset for fill in venue.fills(None)[0]] == [asset]


def test_a_closed_session_is_not_tradeable(server: CoinbaseStandIn, platform: Make) -> None:
    server.exchange.markets[CONTRACT].raw["fcm_trading_session_details"] = {"is_session_open": False}
    assert platform(**FUTURES).instrument(BTC).tradeable is False


@pytest.mark.parametrize("side", ["LONG", "SHORT", "FUTURES_POSITION_SIDE_LONG", "FUTURES_POSITION_SIDE_SHORT"])
@pytest.mark.parametrize("amount", [lambda text: text, lambda text: {"value": text, "currency": "USD"}])
def test_amounts_of_positions_come_as_text_and_as_objects(
    side: str, amount: Callable[[str], Any], server: CoinbaseStandIn, platform: Make
) -> None:
    row = {
        "product_id": CONTRACT,
        "side": side,
        "number_of_contracts": "5",
        "avg_entry_price": amount("20000"),
        "current_price": amount("20010"),
    }
    server.faults.append(Fault("/cfm/positions", Canned({"positions": [row]}), times=9))
    position = platform(**FUTURES).portfolio().position(BTC)
    assert position is not None
    assert position.quantity == (Decimal("-0.05") if "SHORT" in side else Decimal("0.05"))
    assert (position.entry_price, position.price) == (Decimal(20_000), Decimal(20_010))


# whether the key is fit


def test_a_good_key_passes_every_check(platform: Make) -> None:
    venue = platform()
    assert venue.check() == dict.fromkeys(CHECKS, True)
    assert warnings(venue) == []
    assert platform(**FUTURES).check() == dict.fromkeys(CHECKS, True)


def test_a_key_that_may_transfer_is_warned_of_loudly(server: CoinbaseStandIn, platform: Make) -> None:
    server.rights["can_transfer"] = True
    venue = platform()
    assert all(venue.check().values())
    assert "MAY TRANSFER" in warnings(venue)[0]


def test_a_key_that_may_only_view_cannot_trade(server: CoinbaseStandIn, platform: Make) -> None:
    server.rights["can_trade"] = False
    venue = platform()
    assert venue.check() == {**dict.fromkeys(CHECKS, True), "trading_enabled": False}
    with pytest.raises(Refused, match="may not do this"):
        venue.submit(make_order())


def test_a_key_that_is_not_known_fails_all_but_the_market(platform: Make) -> None:
    from ffe_coinbase.keypairs import ed25519_keys

    assert not any(platform(api_secret=SecretStr(ed25519_keys().secret)).check().values())
    without = platform(api_key=None, api_secret=None).check()
    assert without == {**dict.fromkeys(CHECKS, False), "market_data": True}


@pytest.mark.parametrize(
    ("path", "lost"),
    [
        ("/key_permissions", ["account_active", "api_auth", "balance_available", "trading_enabled"]),
        ("/accounts", ["account_active", "balance_available"]),
        ("/time", ["trading_enabled"]),
        ("/products/BTC-USD", ["market_data"]),
    ],
)
def test_each_check_is_tried_by_itself(path: str, lost: list[str], server: CoinbaseStandIn, platform: Make) -> None:
    server.faults.append(Fault(path, BROKEN, times=99))
    assert sorted(name for name, good in platform().check().items() if not good) == lost


def test_a_clock_that_is_off_disables_trading(server: CoinbaseStandIn, platform: Make) -> None:
    server.skew = timedelta(seconds=30)
    found = platform().check()
    assert found == {**dict.fromkeys(CHECKS, True), "trading_enabled": False}


def test_limit_orders_below_the_market_wait_for_contracts_too(platform: Make) -> None:
    venue = platform(**FUTURES)
    order = make_order(quantity=Decimal("0.05"), type=OrderType.LIMIT, limit_price=Decimal(19_004))
    venue.submit(order)
    assert [each.client_order_id for each in venue.open_orders()] == [order.client_order_id]
    assert venue.cancel(order).state is OrderState.CANCELLED
