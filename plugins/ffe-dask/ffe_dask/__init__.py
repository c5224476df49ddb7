"""Dask for ffe: many independent runs on an existing cluster, or on one of this machine's processors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core import hookimpl

# The rest is imported by who needs it: every command that uses plugins imports this module.
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ffe_core import Executor
    from ffe_dask.settings import DaskSettings


@hookimpl
def ffe_settings() -> type[DaskSettings]:
    from ffe_dask.settings import DaskSettings

    return DaskSettings


@hookimpl
def ffe_executors(settings: DaskSettings) -> Iterable[Executor]:
    from ffe_dask.executor import DaskExecutor

    return [DaskExecutor(settings.address, settings.workers)]
