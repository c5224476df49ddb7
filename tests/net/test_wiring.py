"""How plugins come by doors, and how the feed remembers that a service is down."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel, SecretStr

from ffe_core import Asset, Candles, Clock, PluginContext, SystemClock, Timeframe, UsageError, hookimpl
from ffe_core.errors import BadStatus, NoData, SourceFailed
from ffe_core.market.feed import Feed
from ffe_core.net.state import FileState
from ffe_core.plugins import host
from ffe_core.plugins.registry import PluginInfo, Registry
from ffe_core.settings import load_settings
from ffe_core.testing import make_context
from tests.net.server import serving

BTC, H1 = Asset.parse("BTCUSD"), Timeframe.H1


class Section(BaseModel):
    api_key: SecretStr = SecretStr("wiring-canary-1234")


@contextmanager
def loaded(seen: list[PluginContext]) -> Iterator[Registry]:
    @hookimpl
    def ffe_data_sources(settings: Section, context: PluginContext) -> list[object]:
        seen.append(context)
        return []

    @hookimpl
    def ffe_settings() -> type[BaseModel]:
        return Section

    settings = load_settings()
    roots = host.Roots(settings.paths.state / "plugins", settings.paths.cache / "plugins", settings.paths.data)
    ours = host.Host(settings, SystemClock(), roots, host.StandardLog)
    ours.compose(
        PluginInfo("band", "1", "ffe-band"),
        SimpleNamespace(ffe_settings=ffe_settings, ffe_data_sources=ffe_data_sources),
    )
    with ours.registry as registry:
        yield registry


def test_a_plugin_opens_doors_in_its_own_name_and_the_host_closes_them(home) -> None:
    seen: list[PluginContext] = []
    with serving(lambda asked: asked.answer(b"the key wiring-canary-1234 is bad", "401 No")) as server:
        with loaded(seen) as registry:
            assert registry.problems == []
            door = seen[0].http(server.url, headers={"X-Whatever": "1"}, timeout=5)
            with pytest.raises(BadStatus) as caught:
                door.get("/")
        with pytest.raises(UsageError, match="is closed"):
            door.get("/")
    assert server.asked[0].headers["user-agent"].endswith("(band)")
    assert str(caught.value).endswith("answered 401: the key ******** is bad")


def test_authors_have_a_door_in_their_tests_too(tmp_path) -> None:
    with serving(lambda asked: asked.answer(b"[1]")) as server:
        context = make_context(tmp_path, "band")
        assert context.http(server.url).get("/").json() == [1]
        context.http.close()


@dataclass
class Down:
    """A source whose service is down."""

    remote: bool
    name: str = "venue"
    asked: list[datetime | None] = field(default_factory=list)

    def serves(self, asset: Asset) -> bool:
        return True

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        self.asked.append(end)
        raise SourceFailed("down")


def asked_by_commands(remote: bool, clock: Clock, folder: Path, times: int) -> int:
    total = 0
    for _ in range(times):
        source = Down(remote)
        with pytest.raises(NoData):
            Feed([(source.name, source)], clock, state=FileState(folder)).candles(BTC, H1)
        total += len(source.asked)
    return total


def test_a_service_that_is_down_is_left_alone_by_the_next_commands(tmp_path) -> None:
    clock = SystemClock()
    first = asked_by_commands(remote=True, clock=clock, folder=tmp_path, times=3)
    assert first >= 3
    assert asked_by_commands(remote=True, clock=clock, folder=tmp_path, times=3) == 0


def test_a_folder_of_the_users_own_is_asked_anew_by_each_command(tmp_path) -> None:
    clock = SystemClock()
    asked_by_commands(remote=False, clock=clock, folder=tmp_path, times=4)
    assert asked_by_commands(remote=False, clock=clock, folder=tmp_path, times=1) >= 1
    assert not (tmp_path / "net.db").exists()
