"""What the tests share: a stand-in for the service, and a plugin in front of it whose time passes as it sleeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Unpack

import pytest
from ffe_alphavantage.api import Api
from ffe_alphavantage.settings import AlphaVantageSettings
from ffe_alphavantage.source import AlphaVantageSource
from ffe_alphavantage.standin import KEY, NOON, AlphaVantageStandIn
from pydantic import SecretStr

from ffe_core import PluginContext
from ffe_core.http import Door, DoorOptions, Doors
from ffe_core.testing import HeardLog, make_context


class Hasty(Doors):
    """Doors that wait no time worth mentioning before they ask again."""

    def __call__(self, base_url: str, **options: Unpack[DoorOptions]) -> Door:
        options["backoff"] = 0.01
        return super().__call__(base_url, **options)


@dataclass
class Time:
    """A clock that goes on by what is slept."""

    at: datetime = NOON
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return (self.at - NOON).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += timedelta(seconds=seconds)


@dataclass
class Desk:
    """The plugin's objects, all on one time."""

    time: Time
    settings: AlphaVantageSettings
    context: PluginContext
    api: Api
    log: HeardLog

    @property
    def source(self) -> AlphaVantageSource:
        return AlphaVantageSource(self.settings, self.context, api=self.api)


@pytest.fixture
def server() -> Iterator[AlphaVantageStandIn]:
    with AlphaVantageStandIn() as standing:
        yield standing


@pytest.fixture
def desk(server: AlphaVantageStandIn, tmp_path: Path) -> Callable[..., Desk]:
    """Desks of one test share their folders, as commands do that are run one after another."""

    def make(time: Time | None = None, **changes: Any) -> Desk:
        passing = time or Time()
        given: dict[str, Any] = {"base_url": server.url, "api_key": SecretStr(KEY)}
        settings = AlphaVantageSettings(**given | changes)
        log = HeardLog()
        context = make_context(tmp_path, "alphavantage", clock=passing, http=Hasty("alphavantage"), log=log)
        api = Api(settings, context, monotonic=passing.monotonic, sleep=passing.sleep)
        return Desk(passing, settings, context, api, log)

    return make
