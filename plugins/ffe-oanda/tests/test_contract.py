"""What the plugin offers keeps its contracts."""

from __future__ import annotations

import subprocess
import sys

from ffe_oanda import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "oanda"


class TestCandles(contract.Candles):
    pass


class TestDays(contract.Days):
    pass


class TestQuotes(contract.Quotes):
    pass


class TestTrading(contract.Trading):
    pass


def test_importing_it_loads_neither_the_domain_nor_settings_nor_the_network() -> None:
    script = (
        "import sys, ffe_core, pydantic, pluggy; before = set(sys.modules); import ffe_oanda; "
        "print(' '.join(sorted(set(sys.modules) - before)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) == {"ffe_oanda", "ffe_core.markers"}
