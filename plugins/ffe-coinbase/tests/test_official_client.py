"""The vendor's own client takes the stand-in for Advanced Trade, and sends what we send."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import requests
from coinbase.rest import RESTClient
from ffe_coinbase.keypairs import ed25519_keys
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.standin import NOON, PORTFOLIO, CoinbaseStandIn
from requests.adapters import HTTPAdapter

from ffe_core import Effect, Order, OrderType, Side
from ffe_core.testing import make_order

CONTRACT = "BIP-20DEC30-CDE"


class Plain(HTTPAdapter):
    """The client speaks https to everyone; the stand-in has no certificate. Nothing else is touched."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture
def client(server: CoinbaseStandIn, monkeypatch: pytest.MonkeyPatch) -> RESTClient:
    # It signs by the clock of the machine, and so must the stand-in check.
    import time

    monkeypatch.setattr(time, "time", NOON.timestamp)
    made = RESTClient(
        api_key=server.keys.name, api_secret=server.keys.secret, base_url=f"127.0.0.1:{server.port}", timeout=5
    )
    made.session.trust_env = False
    made.session.mount("https://", Plain())
    return made


def test_it_reads_time_rights_accounts_and_fees(client: RESTClient) -> None:
    assert client.get_unix_time().epoch_seconds == str(int(NOON.timestamp()))
    rights = client.get_api_key_permissions().to_dict()
    assert (rights["can_trade"], rights["can_transfer"], rights["portfolio_uuid"]) == (True, False, PORTFOLIO)
    first = client.get_accounts(limit=1).to_dict()
    assert first["has_next"] is True
    rest = client.get_accounts(limit=1, cursor=first["cursor"]).to_dict()
    assert [each["currency"] for each in (*first["accounts"], *rest["accounts"])] == ["EUR", "USD"]
    assert client.get_transaction_summary().to_dict()["fee_tier"]["taker_fee_rate"] == "0.006"


def test_it_reads_products_books_and_candles(client: RESTClient) -> None:
    assert client.get_product("BTC-USD").to_dict()["base_increment"] == "0.00000001"
    listed = client.get_products(product_type="SPOT", product_ids=["BTC-USD", "DOGE-USD"]).to_dict()["products"]
    assert [each["product_id"] for each in listed] == ["BTC-USD", "DOGE-USD"]
    assert client.get_best_bid_ask(product_ids=["BTC-USD"]).to_dict()["pricebooks"][0]["bids"][0]["price"] == "20000"
    assert client.get_public_product_book("BTC-USD", limit=1).to_dict()["pricebook"]["asks"][0]["price"] == "20000"
    end = int(NOON.timestamp())
    for ask in (client.get_candles, client.get_public_candles):
        found = ask("BTC-USD", start=str(end - 7200), end=str(end), granularity="ONE_HOUR").to_dict()["candles"]
        assert [int(each["start"]) for each in found] == [end, end - 3600, end - 7200]
    with pytest.raises(requests.HTTPError, match="number of candles"):
        client.get_candles("BTC-USD", start=str(end - 400 * 60), end=str(end), granularity="ONE_MINUTE")


def test_it_trades_and_reads_back_what_became_of_it(client: RESTClient, server: CoinbaseStandIn) -> None:
    bought = client.market_order_buy("one", "BTC-USD", quote_size="1000").to_dict()
    assert bought["success"] is True
    order = client.get_order(bought["success_response"]["order_id"]).to_dict()["order"]
    assert (order["status"], order["client_order_id"]) == ("FILLED", "one")
    fills = client.get_fills(order_ids=[order["order_id"]]).to_dict()
    assert sum(Decimal(each["size"]) for each in fills["fills"]) == Decimal(order["filled_size"])
    assert "has_next" not in fills
    # A sum includes the fee: no more than it leaves the wallet.
    assert Decimal(order["total_value_after_fees"]) <= 1000
    resting = client.limit_order_gtc_sell("two", "BTC-USD", base_size="0.01", limit_price="25000").to_dict()
    listed = client.list_orders(order_status=["OPEN"]).to_dict()["orders"]
    assert [each["client_order_id"] for each in listed] == ["two"]
    cancelled = client.cancel_orders([resting["success_response"]["order_id"]]).to_dict()["results"][0]
    assert (cancelled["success"], cancelled["failure_reason"]) == (True, "UNKNOWN_CANCEL_FAILURE_REASON")
    again = client.market_order_buy("one", "BTC-USD", quote_size="1000").to_dict()
    assert again["success_response"]["order_id"] == order["order_id"]
    refused = client.market_order_buy("three", "BTC-USD", quote_size="1000000").to_dict()
    assert refused["success"] is False
    assert refused["error_response"]["error"] == "INSUFFICIENT_FUND"


def test_it_trades_contracts(client: RESTClient) -> None:
    client.market_order_buy("one", CONTRACT, base_size="5")
    assert client.list_futures_positions().to_dict()["positions"][0]["number_of_contracts"] == "5"
    balance = client.get_futures_balance_summary().to_dict()["balance_summary"]
    assert Decimal(balance["cfm_usd_balance"]["value"]) == 10_000 - 5 * Decimal("0.01") * 20_000 * Decimal("0.006")
    client.close_position("two", CONTRACT, "2")
    assert client.list_futures_positions().to_dict()["positions"][0]["number_of_contracts"] == "3"


def test_a_strange_key_and_a_number_for_an_amount_are_refused(client: RESTClient, server: CoinbaseStandIn) -> None:
    with pytest.raises(requests.HTTPError, match="400"):
        client.create_order("one", "BTC-USD", "BUY", {"market_market_ioc": {"base_size": 0.1}})
    client.api_secret = ed25519_keys().secret
    with pytest.raises(requests.HTTPError, match="401"):
        client.get_accounts()


def order(side: Side, kind: OrderType, **changes: Any) -> Order:
    from dataclasses import replace

    effect = Effect.OPEN_LONG if side is Side.BUY else Effect.CLOSE
    return replace(make_order(side, Decimal("0.1"), asset="BTCUSD"), type=kind, effect=effect, **changes)


SAME: dict[str, tuple[Order, Callable[[RESTClient, str], Any]]] = {
    "market buy": (
        order(Side.BUY, OrderType.MARKET),
        lambda client, name: client.market_order_buy(name, "BTC-USD", base_size="0.10000000"),
    ),
    "market sell": (
        order(Side.SELL, OrderType.MARKET),
        lambda client, name: client.market_order_sell(name, "BTC-USD", base_size="0.10000000"),
    ),
    "limit buy": (
        order(Side.BUY, OrderType.LIMIT, limit_price=Decimal("19000.019")),
        lambda client, name: client.limit_order_gtc_buy(name, "BTC-USD", "0.10000000", "19000.01", post_only=False),
    ),
    "limit sell": (
        order(Side.SELL, OrderType.LIMIT, limit_price=Decimal("21000.011")),
        lambda client, name: client.limit_order_gtc_sell(name, "BTC-USD", "0.10000000", "21000.02", post_only=False),
    ),
    "stop": (
        order(Side.SELL, OrderType.STOP, stop_price=Decimal("19000")),
        lambda client, name: client.stop_limit_order_gtc_sell(
            name, "BTC-USD", "0.10000000", "18050.00", "19000", "STOP_DIRECTION_STOP_DOWN"
        ),
    ),
    "bracket": (
        order(Side.SELL, OrderType.BRACKET, stop_price=Decimal("19000"), target_price=Decimal("22000")),
        lambda client, name: client.trigger_bracket_order_gtc_sell(name, "BTC-USD", "0.10000000", "22000", "19000"),
    ),
}


@pytest.mark.parametrize("kind", SAME)
def test_what_we_send_is_what_the_vendors_client_sends(
    kind: str, client: RESTClient, server: CoinbaseStandIn, platform: Callable[..., CoinbasePlatform]
) -> None:
    server.exchange.wallets["BTC"] = [Decimal(1), Decimal(0)]
    ours, theirs = SAME[kind]
    venue = platform()
    venue.submit(ours)
    theirs(client, ours.client_order_id)
    first, second = (each for each in server.requests if each.method == "POST")
    assert first.path == second.path
    assert json.loads(first.body) == json.loads(second.body)
    assert first.headers["content-type"] == second.headers["content-type"]
    # The stand-in took the second for the first come again.
    assert len(server.exchange.orders) == 1
