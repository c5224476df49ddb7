"""How to make the source without settings or a key, for ffe's contracts: in front of a stand-in."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from ffe_alphavantage.settings import AlphaVantageSettings
from ffe_alphavantage.source import AlphaVantageSource
from ffe_alphavantage.standin import KEY, AlphaVantageStandIn
from ffe_core import FixedClock, PluginContext, Timeframe
from ffe_core.testing import DataSourceContract, make_context
from ffe_core.testing.loopback import Canned

#: servers that stand until the process ends
_standing: list[AlphaVantageStandIn] = []


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ffe-alphavantage-", ignore_cleanup_errors=True)


@cache
def _market() -> AlphaVantageStandIn:
    _standing.append(AlphaVantageStandIn())
    return _standing[-1]


def _settings(server: AlphaVantageStandIn) -> AlphaVantageSettings:
    return AlphaVantageSettings(
        base_url=server.url, api_key=SecretStr(KEY), per_second=100, per_minute=None, per_day=None
    )


def _context(server: AlphaVantageStandIn, name: str) -> PluginContext:
    return make_context(Path(_folder().name) / name, "alphavantage", clock=FixedClock(server.at))


def make_source() -> AlphaVantageSource:
    return AlphaVantageSource(_settings(_market()), _context(_market(), "kept"))


def make_failing_source() -> AlphaVantageSource:
    server = AlphaVantageStandIn()
    _standing.append(server)
    server.faults += [Canned({"Information": f"something about {KEY}"})] * 50
    return AlphaVantageSource(_settings(server), _context(server, f"failing-{server.port}"))


class Coins(DataSourceContract):
    factory = staticmethod(make_source)
    failing = staticmethod(make_failing_source)
    asset = "BTCUSD"
    timeframe = Timeframe.H1
    secrets = (KEY,)


class CoinDays(Coins):
    timeframe = Timeframe.D1


class Currencies(Coins):
    asset = "EURUSD"


class Stocks(Coins):
    asset = "AAPL"
    timeframe = Timeframe.M30


class StockHours(Coins):
    asset = "AAPL"


class StockDays(Stocks):
    timeframe = Timeframe.D1
