"""Real distributions for the host to find: written into a folder on ``sys.path``, gone after the test."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from ffe_core.domain.clock import FixedClock
from ffe_core.plugins import Registry, load_plugins
from ffe_core.settings import Settings
from ffe_core.testing.samples import NOON


class Site:
    """A folder of installed packages."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def install(
        self,
        name: str,
        source: str = "",
        *,
        module: str | None = None,
        distribution: str | None = None,
        version: str = "1.0",
        requires: Sequence[str] = (),
        group: str = "ffe.plugins",
        entry: str | None = None,
    ) -> str:
        """A distribution whose entry point ``name`` is a module with ``source``; returns the module's name."""
        module = module or f"ffe_{name.replace('-', '_')}"
        distribution = distribution or f"ffe-{name}"
        (self.path / f"{module}.py").write_text(dedent(source), encoding="utf-8")
        info = self.path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n{needs}", encoding="utf-8"
        )
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {entry or module}\n", encoding="utf-8")
        importlib.invalidate_caches()
        return module


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return Site(folder)


@pytest.fixture
def load(site: Site, home: Path) -> Iterator[Callable[..., Registry]]:
    """Loads with the settings of ``plugins`` given as keywords; child processes end with the test."""
    made: list[Registry] = []

    def loaded(*, on_problem: Callable[[Any], None] | None = None, **plugins: Any) -> Registry:
        registry = load_plugins(Settings(plugins=plugins), clock=FixedClock(NOON), on_problem=on_problem)
        made.append(registry)
        return registry

    yield loaded
    for registry in made:
        registry.close()


#: A plugin that works, with one source and one note.
SOUND = """
from ffe_core import Candles, Note, Trust, hookimpl

class Prices:
    name = "sound"
    def serves(self, asset):
        return True
    def candles(self, asset, timeframe, *, start, end, limit):
        return Candles.of(asset, timeframe, self.name, time=[0], open=[1], high=[1], low=[1], close=[1], volume=[1])

@hookimpl
def ffe_data_sources():
    return [Prices()]

@hookimpl
def ffe_brief(request):
    return [Note("", Trust.MEASURED, request.as_of, "all is well")]

@hookimpl
def ffe_indicators(candles):
    return {"bars": float(len(candles))}
"""
