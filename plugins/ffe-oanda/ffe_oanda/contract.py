"""How to make the source and the platform without settings or a token, for ffe's contracts: in front of a stand-in."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from ffe_core import FixedClock, PluginContext, Timeframe
from ffe_core.testing import DataSourceContract, PlatformContract, QuoteSourceContract, make_context
from ffe_core.testing.loopback import Canned
from ffe_oanda.platform import OandaPlatform
from ffe_oanda.settings import OandaSettings
from ffe_oanda.source import OandaSource
from ffe_oanda.standin import ACCOUNT, TOKEN, Fault, OandaStandIn


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ffe-oanda-", ignore_cleanup_errors=True)


@cache
def _market() -> OandaStandIn:
    """One is enough for all that only reads; it ends with the process."""
    return OandaStandIn()


def _settings(server: OandaStandIn) -> OandaSettings:
    return OandaSettings(base_url=server.url, api_key=SecretStr(TOKEN), account_id=ACCOUNT)


def _context(server: OandaStandIn) -> PluginContext:
    return make_context(Path(_folder().name), "oanda", clock=FixedClock(server.at))


def make_source() -> OandaSource:
    return OandaSource(_settings(_market()), _context(_market()))


def make_failing_source() -> OandaSource:
    server = OandaStandIn()
    server.faults += [Fault("GET", lambda _: Canned({"errorMessage": f"no {TOKEN}"}, 400)) for _ in range(50)]
    return OandaSource(_settings(server), _context(server))


def make_platform() -> OandaPlatform:
    """An account of its own each, at a market that stands still."""
    server = OandaStandIn()
    server.market.fixed["EUR_USD"] = Decimal("1.10000")
    return _platform(server)


def make_losing_platform() -> OandaPlatform:
    server = OandaStandIn()
    server.market.fixed["EUR_USD"] = Decimal("1.10000")
    server.faults.append(Fault("POST .*/orders", lambda answer: replace(answer, reset=True), acts=True))
    return _platform(server)


def make_platform_without_venue() -> OandaPlatform:
    server = OandaStandIn()
    server.close()
    return _platform(server)


def _platform(server: OandaStandIn) -> OandaPlatform:
    return OandaPlatform(_settings(server), _context(server), sleep=lambda _: None)


class Candles(DataSourceContract):
    factory = staticmethod(make_source)
    failing = staticmethod(make_failing_source)
    asset = "EURUSD"
    timeframe = Timeframe.H1
    secrets = (TOKEN, ACCOUNT)


class Days(Candles):
    timeframe = Timeframe.D1


class Quotes(QuoteSourceContract):
    factory = staticmethod(make_source)
    asset = "EURUSD"
    secrets = (TOKEN, ACCOUNT)


class Trading(PlatformContract):
    factory = staticmethod(make_platform)
    losing = staticmethod(make_losing_platform)
    down = staticmethod(make_platform_without_venue)
    asset = "EURUSD"
    price = Decimal("1.1")
    secrets = (TOKEN,)
