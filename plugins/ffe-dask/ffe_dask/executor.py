"""The executor ``dask``."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from ffe_core import Chunk, Result, lend_arrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ffe_dask.cluster import Existing, Local


class DaskExecutor:
    """Spreads chunks over the cluster whose scheduler is at ``address``, or over ``workers`` of one on this machine.

    The cluster is joined or started by the first map and left or ended by ``close``; a map after that starts anew. Its
    workers must have ffe-dask and the package of the task. Shared arrays go to each worker once. A chunk whose workers
    die is run again, in the end alone, before that is its error.
    """

    name = "dask"

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._address = address
        self._workers = workers
        self._lock = threading.Lock()
        self._cluster: Existing | Local | None = None
        self._maps = 0

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        arrays = lend_arrays(shared)
        if not chunks:
            return
        from ffe_dask.spread import Spread

        cluster, name = self._joined()
        spread = Spread(cluster, name, task, tuple(chunks), arrays)
        try:
            yield from spread.results()
        finally:
            spread.end()

    def close(self) -> None:
        with self._lock:
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _joined(self) -> tuple[Existing | Local, str]:
        """The cluster, and a name that no other map on it has."""
        from ffe_dask.cluster import Existing, Local

        with self._lock:
            if self._cluster is None:
                count = self._workers or processors()
                self._cluster = Local(count) if self._address is None else Existing(self._address)
            self._maps += 1
            return self._cluster, f"ffe-{self._cluster.client.id}-{self._maps}"


def processors() -> int:
    """How many this process may use; ``os.process_cpu_count`` has come with Python 3.13."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
