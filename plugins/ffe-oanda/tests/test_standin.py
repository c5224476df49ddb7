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
