"""What every guarded object is made of: the bare object, its guard, its name, and how its failures are called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ffe_core.domain.assets import Asset
from ffe_core.domain.market import Quote
from ffe_core.errors import FfeError
from ffe_core.plugins.accept import accept
from ffe_core.plugins.guard import BadAnswer, Guard


def failure_of(kind: type[FfeError]) -> Callable[[str, str], FfeError]:
    return lambda plugin, line: kind(f"plugin {plugin}: {line}")


class Guarded:
    """A plugin's object behind its guard. ``name`` was read and checked when the object was offered."""

    kind = "object"

    def __init__(self, bare: Any, guard: Guard, name: str) -> None:
        self._bare = bare
        self._guard = guard
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def bare(self) -> Any:
        """The plugin's own object, for ``Registry.close_at_hand``."""
        return self._bare

    def _what(self, method: str) -> str:
        return f"{self.kind} {self._name}: {method}"

    def __repr__(self) -> str:
        return f"<{self.kind} {self._name} of plugin {self._guard.plugin}>"


def quote_of(asset: Asset, answer: object) -> Quote:
    quote = accept(Quote, answer)
    if quote.asset.symbol != asset.symbol:
        raise BadAnswer(f"asked for {asset}, answered a quote of {quote.asset}")
    return quote
