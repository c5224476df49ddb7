"""What the plugin offers keeps its contracts."""

from __future__ import annotations

import subprocess
import sys

from ffe_coinbase import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "coinbase"


class TestCandles(contract.Candles):
    pass


class TestCandlesWithKey(contract.CandlesWithKey):
    pass


class TestQuotes(contract.Quotes):
    pass


class TestQuotesWithKey(contract.QuotesWithKey):
    pass


class TestSpot(contract.Spot):
    pass


class TestFutures(contract.Futures):
    pass


def test_importing_it_loads_neither_the_domain_nor_settings_nor_the_network() -> None:
    script = (
        "import sys, ffe_core, pydantic, pluggy; before = set(sys.modules); import ffe_coinbase; "
        "print(' '.join(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"ffe_coinbase", "ffe_core.markers"}
