"""What the tests share: a stand-in for the v20 API, and doors that do not dawdle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Unpack

import pytest
from ffe_oanda.settings import OandaSettings
from ffe_oanda.standin import ACCOUNT, TOKEN, OandaStandIn
from pydantic import SecretStr

from ffe_core import FixedClock, PluginContext
from ffe_core.http import Door, DoorOptions, Doors
from ffe_core.testing import make_context


class Hasty(Doors):
    """Doors that wait no time worth mentioning before they ask again, unless they are told to."""

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        options["backoff"] = 0.01
        return super().__call__(base_url, **options)


@pytest.fixture
def server() -> Iterator[OandaStandIn]:
    with OandaStandIn() as standing:
        yield standing


@pytest.fixture
def settings(server: OandaStandIn) -> Callable[..., OandaSettings]:
    def made(**changes: Any) -> OandaSettings:
        return OandaSettings(**{"base_url": server.url, "api_key": SecretStr(TOKEN), "account_id": ACCOUNT, **changes})

    return made


@pytest.fixture
def context(server: OandaStandIn, tmp_path: Path) -> Callable[..., PluginContext]:
    """A context whose clock shows the stand-in's time."""

    def made() -> PluginContext:
        return make_context(tmp_path, "oanda", clock=FixedClock(server.at), http=Hasty("oanda"))

    return made
