"""The stand-in itself, driven by the vendor's own client: what it answers is what that client understands."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from ffe_oanda.standin import ACCOUNT, TOKEN, OandaStandIn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("v20") is None, reason="the vendor's own client is not installed"),
]

READ = """
import json, sys, v20
port, token, account = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ctx = v20.Context("127.0.0.1", port, ssl=False, token=token, decimal_number_as_float=False)
candles = ctx.instrument.candles("EUR_USD", granularity="H4", count=3, price="M", dailyAlignment=0,
                                 alignmentTimezone="UTC")
(price,) = ctx.pricing.get(account, instruments="EUR_USD").get("prices", 200)
many = ctx.instrument.candles("EUR_USD", granularity="M1", count=5001)
wrong = v20.Context("127.0.0.1", port, ssl=False, token="another").account.list()
print(json.dumps({
    "accounts": [each.id for each in ctx.account.list().get("accounts", 200)],
    "times": [each.time for each in candles.get("candles", 200)],
    "complete": [each.complete for each in candles.get("candles", 200)],
    "close": candles.get("candles", 200)[0].mid.c,
    "tradeable": price.tradeable,
    "offers": [price.bids[0].price, price.asks[0].price],
    "too many": [many.status, many.get("errorMessage", "400")],
    "wrong token": [wrong.status, wrong.get("errorMessage", "401")],
    "not mine": ctx.pricing.get("101-001-7654321-001", instruments="EUR_USD").status,
}))
"""


def drive(script: str, server: OandaStandIn) -> dict[str, object]:
    ran = subprocess.run(
        [sys.executable, "-c", script, str(server.port), TOKEN, ACCOUNT],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout)
    return told


def test_the_vendors_client_understands_candles_prices_and_refusals(server: OandaStandIn) -> None:
    assert drive(READ, server) == {
        "accounts": [ACCOUNT],
        "times": [f"2024-03-06T{hour:02}:00:00.000000000Z" for hour in (0, 4, 8)],
        "complete": [True, True, True],
        "close": format(server.market.wave("EUR_USD", server.at.replace(hour=4)), ".5f"),
        "tradeable": True,
        "offers": [str(server.market.bid("EUR_USD")), str(server.market.ask("EUR_USD"))],
        "too many": [400, "Maximum value for 'count' exceeded"],
        "wrong token": [401, "Insufficient authorization to perform request."],
        "not mine": 403,
    }


TRADE = """
import json, sys, v20
port, token, account = int(sys.argv[1]), sys.argv[2], sys.argv[3]
ctx = v20.Context("127.0.0.1", port, ssl=False, token=token, decimal_number_as_float=False)
bought = ctx.order.market(account, instrument="EUR_USD", units="10000", priceBound="1.11000",
                          stopLossOnFill={"price": "1.09000"}, clientExtensions={"id": "mine"})
fill = bought.get("orderFillTransaction", 201)
trap = ctx.order.market(account, instrument="EUR_USD", units="90000000")
odd = ctx.order.market(account, instrument="EUR_USD", units="1.5")
whole = ctx.account.get(account).get("account", 200)
(trade,) = ctx.trade.list_open(account).get("trades", 200)
hung = ctx.trade.set_dependent_orders(account, trade.id, stopLoss={"price": "1.08000"}, takeProfit={"price": "1.12000"})
resting = ctx.order.limit(account, instrument="EUR_USD", units="5", price="1.05000", clientExtensions={"id": "rests"})
pending = ctx.order.list_pending(account).get("orders", 200)
gone = ctx.order.cancel(account, "@rests")
again = ctx.order.cancel(account, "@rests")
wrong = ctx.position.close(account, "EUR_USD", shortUnits="ALL")
closed = ctx.position.close(account, "EUR_USD", longUnits="ALL")
print(json.dumps({
    "bought": [bought.status, fill.units, fill.price, fill.clientOrderID, fill.tradeOpened.tradeID == trade.id],
    "trap": [trap.status, trap.get("orderCancelTransaction", 201).reason, "orderFillTransaction" in trap.body],
    "odd": [odd.status, odd.get("orderRejectTransaction", 400).rejectReason, odd.get("errorCode", 400)],
    "NAV": [whole.balance, whole.NAV, whole.marginUsed, whole.marginAvailable, whole.currency],
    "position": [whole.positions[0].long.units, whole.positions[0].long.averagePrice, whole.positions[0].short.units],
    "stop": [trade.currentUnits, trade.stopLossOrder.price],
    "hung": [hung.status, *(hung.get(f"{kind}OrderTransaction", 200).price for kind in ("stopLoss", "takeProfit"))],
    "resting": [resting.status, "orderFillTransaction" in resting.body, resting.body["orderCreateTransaction"].type],
    "pending": sorted(each.type for each in pending),
    "gone": [gone.status, gone.get("orderCancelTransaction", 200).reason],
    "again": [again.status, again.get("orderCancelRejectTransaction", 404).rejectReason],
    "wrong": [wrong.status, wrong.get("errorCode", 400)],
    "closed": [closed.status, closed.get("longOrderFillTransaction", 200).pl],
    "since": [each.type for each in ctx.transaction.since(account, id="8").get("transactions", 200)],
    "range": [each.id for each in ctx.transaction.range(account, fromID="2", toID="4").get("transactions", 200)],
    "instrument": ctx.account.instruments(account, instruments="USD_JPY").get("instruments", 200)[0].displayPrecision,
}))
"""


def test_the_vendors_client_trades_and_understands_what_came_of_it(server: OandaStandIn) -> None:
    server.move("EUR_USD", "1.10000")
    assert drive(TRADE, server) == {
        "bought": [201, "10000", "1.10008", "mine", True],
        "trap": [201, "INSUFFICIENT_MARGIN", False],
        "odd": [400, "UNITS_PRECISION_EXCEEDED", "UNITS_PRECISION_EXCEEDED"],
        # A spread of 0.00016 on ten thousand is 1.60; 3.33 % of 11000 is the margin.
        "NAV": ["100000.0000", "99998.4000", "366.3000", "99632.1000", "USD"],
        "position": ["10000", "1.10008", "0"],
        "stop": ["10000", "1.09000"],
        "hung": [200, "1.08000", "1.12000"],
        "resting": [201, False, "LIMIT_ORDER"],
        "pending": ["LIMIT", "STOP_LOSS", "TAKE_PROFIT"],
        "gone": [200, "CLIENT_REQUEST"],
        "again": [404, "ORDER_DOESNT_EXIST"],
        "wrong": [400, "CLOSEOUT_POSITION_DOESNT_EXIST"],
        "closed": [200, "-1.6000"],
        "since": [
            *("ORDER_CANCEL", "STOP_LOSS_ORDER", "TAKE_PROFIT_ORDER", "LIMIT_ORDER", "ORDER_CANCEL"),
            *(
                "ORDER_CANCEL_REJECT",
                "MARKET_ORDER_REJECT",
                "MARKET_ORDER",
                "ORDER_FILL",
                "ORDER_CANCEL",
                "ORDER_CANCEL",
            ),
        ],
        "range": ["2", "3", "4"],
        "instrument": 3,
    }
