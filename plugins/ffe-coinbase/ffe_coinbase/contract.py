"""How to make source and platform without settings or a key, for ffe's contracts: in front of a venue on loopback."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from ffe_coinbase.keypairs import ecdsa_keys
from ffe_coinbase.listings import CONTRACT
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.settings import CoinbaseSettings
from ffe_coinbase.source import CoinbaseSource
from ffe_coinbase.standin import BROKEN, CoinbaseStandIn, Fault
from ffe_core import PluginContext
from ffe_core.testing import DataSourceContract, PlatformContract, QuoteSourceContract, make_context

#: servers that stand until the process ends; each platform has one of its own, because it changes what is there
_standing: list[CoinbaseStandIn] = []


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ffe-coinbase-", ignore_cleanup_errors=True)


def _context() -> PluginContext:
    return make_context(Path(_folder().name), "coinbase")


def _settings(server: CoinbaseStandIn, *, key: bool = True, **changes: Any) -> CoinbaseSettings:
    given: dict[str, Any] = {"base_url": server.url, "settle": 0.0, "requests_per_second": 30.0}
    if key:
        given |= {"api_key": SecretStr(server.keys.name), "api_secret": SecretStr(server.keys.secret)}
    return CoinbaseSettings(**given | changes)


def _stand() -> CoinbaseStandIn:
    _standing.append(CoinbaseStandIn())
    return _standing[-1]


@cache
def _market() -> CoinbaseStandIn:
    return _stand()


@cache
def _broken() -> CoinbaseStandIn:
    server = _stand()
    server.faults.append(Fault("", BROKEN, times=1_000_000))
    return server


def make_source() -> CoinbaseSource:
    return CoinbaseSource(_settings(_market(), key=False), _context())


def make_source_with_key() -> CoinbaseSource:
    return CoinbaseSource(_settings(_market()), _context())


def make_failing_source() -> CoinbaseSource:
    return CoinbaseSource(_settings(_broken(), key=False, timeout=0.5), _context())


def _platform(server: CoinbaseStandIn, **changes: Any) -> CoinbasePlatform:
    return CoinbasePlatform(_settings(server, **changes), _context())


def make_platform() -> CoinbasePlatform:
    return _platform(_stand())


def make_losing_platform() -> CoinbasePlatform:
    server = _stand()
    server.faults.append(Fault("/orders", after=True, method="POST"))
    return _platform(server)


@cache
def _silent() -> CoinbaseStandIn:
    server = _stand()
    server.faults.append(Fault("", times=1_000_000))
    return server


def make_down_platform() -> CoinbasePlatform:
    return _platform(_silent(), timeout=0.5)


_FUTURES: dict[str, Any] = {"product": "futures", "contracts": {"BTCUSD": CONTRACT}}


def make_futures_platform() -> CoinbasePlatform:
    return _platform(_stand(), **_FUTURES)


def make_losing_futures_platform() -> CoinbasePlatform:
    server = _stand()
    server.faults.append(Fault("/orders", after=True, method="POST"))
    return _platform(server, **_FUTURES)


def make_down_futures_platform() -> CoinbasePlatform:
    return _platform(_silent(), timeout=0.5, **_FUTURES)


class Candles(DataSourceContract):
    factory = staticmethod(make_source)
    failing = staticmethod(make_failing_source)
    #: what nobody has heard of may be a coin; a pair of currencies is none
    unknown_asset = "EURCHF"


class CandlesWithKey(Candles):
    factory = staticmethod(make_source_with_key)
    secrets = ecdsa_keys().canaries


class Quotes(QuoteSourceContract):
    factory = staticmethod(make_source)


class QuotesWithKey(QuoteSourceContract):
    factory = staticmethod(make_source_with_key)
    secrets = ecdsa_keys().canaries


class Spot(PlatformContract):
    factory = staticmethod(make_platform)
    losing = staticmethod(make_losing_platform)
    down = staticmethod(make_down_platform)
    #: the same every time: an order that comes again with another size is not the same order
    quantity = Decimal("0.05")
    secrets = ecdsa_keys().canaries


class Futures(PlatformContract):
    factory = staticmethod(make_futures_platform)
    losing = staticmethod(make_losing_futures_platform)
    down = staticmethod(make_down_futures_platform)
    quantity = Decimal("0.1")
    secrets = ecdsa_keys().canaries
