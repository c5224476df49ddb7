"""What the tests share: a venue on loopback, and the plugin's objects in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Unpack

import pytest
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.settings import CoinbaseSettings
from ffe_coinbase.source import CoinbaseSource
from ffe_coinbase.standin import NOON, CoinbaseStandIn
from pydantic import SecretStr

from ffe_core import FixedClock
from ffe_core.http import Door, DoorOptions, Doors
from ffe_core.testing import make_context


class Hasty(Doors):
    """Doors that wait no time worth mentioning before they ask again."""

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        options["backoff"] = 0.01
        return super().__call__(base_url, **options)


@pytest.fixture
def server() -> Iterator[CoinbaseStandIn]:
    with CoinbaseStandIn() as standing:
        yield standing


@pytest.fixture
def settings(server: CoinbaseStandIn) -> Callable[..., CoinbaseSettings]:
    def make(**changes: Any) -> CoinbaseSettings:
        given: dict[str, Any] = {
            "base_url": server.url,
            "settle": 0.0,
            "requests_per_second": 30.0,
            "timeout": 5.0,
            "api_key": SecretStr(server.keys.name),
            "api_secret": SecretStr(server.keys.secret),
        }
        return CoinbaseSettings(**given | changes)

    return make


@pytest.fixture
def platform(settings: Callable[..., CoinbaseSettings], tmp_path: Path) -> Callable[..., CoinbasePlatform]:
    def make(**changes: Any) -> CoinbasePlatform:
        clock = FixedClock(changes.pop("at", NOON))
        return CoinbasePlatform(settings(**changes), make_context(tmp_path, "coinbase", clock=clock, http=Hasty()))

    return make


@pytest.fixture
def source(settings: Callable[..., CoinbaseSettings], tmp_path: Path) -> Callable[..., CoinbaseSource]:
    def make(*, key: bool = False, **changes: Any) -> CoinbaseSource:
        clock = FixedClock(changes.pop("at", NOON))
        keyless = {} if key else {"api_key": None, "api_secret": None}
        context = make_context(tmp_path, "coinbase", clock=clock, http=Hasty())
        return CoinbaseSource(settings(**keyless | changes), context)

    return make
