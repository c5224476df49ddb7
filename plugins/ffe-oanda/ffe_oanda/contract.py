"""How to make the source and the platform without settings or a token, for ffe's contracts: in front of a stand-in."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from ffe_core import FixedClock, PluginContext, Timeframe
from ffe_core.testing import DataSourceContract, QuoteSourceContract, make_context
from ffe_core.testing.loopback import Canned
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
