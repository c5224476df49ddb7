"""Built-in platform: a paper account that fills orders at the newest price, with costs, and never forgets.

One ledger per kind of prices: what was opened on synthetic ones lives in an account of its own and is never marked
with real ones. The ledger, in the user's store, has every movement; cash and positions are sums over it, so that
nothing can drift. It begins with a deposit of the initial cash; a fill is two entries, the trade (asset against cash)
and its fee; a protection is an entry without money that holds until the next one, until a bar reaches it, or until the
position is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from ffe_core import Platform, PluginContext, hookimpl
from ffe_core.builtin.paper.platform import PaperPlatform
from ffe_core.builtin.paper.settings import PaperSettings

__all__ = ["PaperPlatform", "PaperSettings", "ffe_platforms", "ffe_settings"]


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return PaperSettings


@hookimpl
def ffe_platforms(settings: Any, context: PluginContext) -> Iterable[Platform]:
    return (
        PaperPlatform("paper", "main", settings, context, synthetic=False),
        PaperPlatform("paper_synthetic", "synthetic", settings, context, synthetic=True),
    )
