"""What the plugin offers keeps its contracts."""

from __future__ import annotations

import json
import subprocess
import sys

from ffe_alphavantage import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "alphavantage"


class TestCoins(contract.Coins):
    pass


class TestCoinDays(contract.CoinDays):
    pass


class TestCurrencies(contract.Currencies):
    pass


class TestStocks(contract.Stocks):
    pass


class TestStockHours(contract.StockHours):
    pass


class TestStockDays(contract.StockDays):
    pass


def test_importing_it_loads_neither_the_domain_nor_settings_nor_the_network() -> None:
    script = (
        "import json, sys, time, ffe_core, pydantic, pluggy; before = set(sys.modules); began = time.perf_counter(); "
        "import ffe_alphavantage; took = time.perf_counter() - began; "
        "print(json.dumps([took, sorted(set(sys.modules) - before)]))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    took, modules = json.loads(ran.stdout)
    assert set(modules) == {"ffe_alphavantage", "ffe_core.markers"}
    assert took < 0.05
