"""How to make the executor without settings, for ffe's contract."""

from __future__ import annotations

from ffe_core.testing import ExecutorContract
from ffe_dask.executor import DaskExecutor


def make() -> DaskExecutor:
    return DaskExecutor(workers=2)


class Kept(ExecutorContract):
    factory = staticmethod(make)
    in_processes = True
