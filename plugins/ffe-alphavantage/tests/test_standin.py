"""The stand-in itself, driven by the client in common use: what it answers is what that client understands."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from ffe_alphavantage.standin import BURST, DAY, KEY, PREMIUM, AlphaVantageStandIn

pytestmark = pytest.mark.skipif(importlib.util.find_spec("alpha_vantage") is None, reason="the client is not installed")

READ = """
import json, sys
from alpha_vantage.alphavantage import AlphaVantage
AlphaVantage._ALPHA_VANTAGE_API_URL = sys.argv[1] + "/query?"
from alpha_vantage.alphaintelligence import AlphaIntelligence
from alpha_vantage.cryptocurrencies import CryptoCurrencies
from alpha_vantage.econindicators import EconIndicators
from alpha_vantage.foreignexchange import ForeignExchange
from alpha_vantage.timeseries import TimeSeries

key = sys.argv[2]
told = {}
def read(name, ask):
    try:
        data, meta = ask()
        told[name] = [next(iter(data.items())) if isinstance(data, dict) else data[0], len(data), meta]
    except ValueError as error:
        told[name] = str(error)

stocks, pairs, coins = TimeSeries(key), ForeignExchange(key), CryptoCurrencies(key)
read("days", lambda: stocks.get_daily("IBM"))
read("all days", lambda: stocks.get_daily("IBM", "full"))
read("bars", lambda: stocks.get_intraday("IBM", "60min", "full", "2024-02", extended_hours="false"))
read("pair", lambda: pairs.get_currency_exchange_daily("EUR", "USD"))
read("pair bars", lambda: pairs.get_currency_exchange_intraday("EUR", "USD", "5min"))
read("coin", lambda: coins.get_digital_currency_daily("BTC", "EUR"))
read("coin bars", lambda: coins.get_crypto_intraday("BTC", "USD", "5min"))
# Without pandas the client cannot read lists, so that its answer is taken one step before.
import alpha_vantage.alphavantage as inner
for name, ask in {
    "news": lambda: AlphaIntelligence.get_news_sentiment.__wrapped__(AlphaIntelligence(key), "CRYPTO:BTC"),
    "rate": lambda: EconIndicators.get_ffr.__wrapped__(EconIndicators(key)),
}.items():
    body, data_key, _ = ask()
    told[name] = body[data_key][0]
read("unknown", lambda: stocks.get_daily("ZZZZ"))
read("another key", lambda: TimeSeries("another").get_daily("IBM"))
print(json.dumps(told))
"""
REFUSED = """
import sys
from alpha_vantage.alphavantage import AlphaVantage
AlphaVantage._ALPHA_VANTAGE_API_URL = sys.argv[1] + "/query?"
from alpha_vantage.timeseries import TimeSeries
try:
    TimeSeries(sys.argv[2]).get_daily("IBM")
except ValueError as error:
    print(error)
"""


def drive(script: str, server: AlphaVantageStandIn) -> str:
    command = [sys.executable, "-c", script, server.url, KEY]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_common_client_understands_series_news_and_figures(server: AlphaVantageStandIn) -> None:
    told = json.loads(drive(READ, server))
    (day, row), count, meta = told["days"]
    assert (day, count, list(row)) == ("2024-03-06", 100, ["1. open", "2. high", "3. low", "4. close", "5. volume"])
    assert meta["5. Time Zone"] == "US/Eastern"
    assert told["all days"][1] > 500
    # Sessions begin at 9:30: of sixty minutes each, and newest first.
    assert told["bars"][0][0] == "2024-02-29 15:30:00"
    assert (told["pair"][0][0], len(told["pair"][0][1])) == ("2024-03-06", 4)
    assert told["pair bars"][0][0] == "2024-03-06 17:00:00"
    assert told["coin"][2]["4. Market Code"] == "EUR"
    assert told["coin bars"][0][0] == "2024-03-06 17:00:00"
    assert told["news"]["title"] == "Headline 0"
    assert told["rate"] == {"date": "2024-02-01", "value": "24.02"}
    assert told["unknown"].startswith("Invalid API call.")
    assert "invalid or missing" in told["another key"]


@pytest.mark.parametrize("sentence", [DAY, BURST, PREMIUM])
def test_the_common_client_takes_a_refusal_for_one(sentence: str, server: AlphaVantageStandIn) -> None:
    from ffe_core.testing.loopback import Canned

    server.faults.append(Canned({"Information": sentence.format(key=KEY)}))
    assert drive(REFUSED, server).strip() == sentence.format(key=KEY)
