"""One map on a cluster. Imports Dask."""

from __future__ import annotations

import contextlib
import pickle
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from distributed import Future, KilledWorker, wait

from ffe_core import Chunk, FfeError, Result, error_line
from ffe_dask.work import SharedArrays, run_chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ffe_dask.cluster import Existing, Local

#: seconds between two looks for values while chunks run
PAUSE = 0.2


class Spread:
    """The chunks of one map, named ``name`` on its cluster."""

    def __init__(
        self,
        cluster: Existing | Local,
        name: str,
        task: str,
        chunks: Sequence[Chunk],
        arrays: Mapping[str, NDArray[Any]],
    ) -> None:
        self._cluster = cluster
        self._client = cluster.client
        self._name = name
        self._task = task
        self._chunks = chunks
        self._shared = name if arrays else None
        self._futures: list[Future | str] = []
        self._read: dict[int, tuple[Any, str | None]] = {}
        self._fetched_at = 0.0
        self._is_over = False
        if arrays:
            self._client.register_plugin(SharedArrays(name, dict(arrays)))

    def results(self) -> Iterator[Result]:
        """In the order of the chunks. Raises ``FfeError`` where the cluster was left meanwhile."""
        self._futures = self._submitted()
        for position, chunk in enumerate(self._chunks):
            if position not in self._read:
                self._fetch(position)
            yield Result(chunk.index, *self._read.pop(position))
        self._is_over = True

    def end(self) -> None:
        """Takes back what is not needed any more, from the scheduler and from every worker."""
        if self._client.status != "running":
            return
        sent = self._sent()
        busy = [] if self._is_over else self._cluster.busy_with(future.key for future in sent)
        self._client.cancel(sent, force=True)
        self._cluster.stop(busy)
        if self._shared:
            self._client.unregister_worker_plugin(self._name)

    def _sent(self) -> list[Future]:
        return [future for future in self._futures if isinstance(future, Future)]

    def _submitted(self) -> list[Future | str]:
        """A future for each chunk, or why it cannot be sent."""
        payloads = [self._payload(chunk) for chunk in self._chunks]
        sendable = [position for position, payload in enumerate(payloads) if isinstance(payload, bytes)]
        # Dask takes tasks of equal rank by their keys.
        keys = [f"{self._name}-{position:09d}" for position in sendable]
        sent = self._client.map(run_chunk, [payloads[position] for position in sendable], shared=self._shared, key=keys)
        futures = dict(zip(sendable, sent, strict=True))
        return [futures.get(position, payload) for position, payload in enumerate(payloads)]

    def _payload(self, chunk: Chunk) -> bytes | str:
        try:
            return pickle.dumps((self._task, dict(chunk.arguments)), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - a value may refuse in any way
            return f"its arguments cannot be sent: {error_line(error)}"

    def _fetch(self, position: int) -> None:
        """Reads the chunk at ``position``, and all others that are done by then."""
        future = self._futures[position]
        if isinstance(future, str):
            self._read[position] = None, future
            return
        self._wait([future])
        # Asking the workers costs as much for many values as for one: the next values come soon, or there are none.
        self._wait(self._sent(), self._fetched_at + PAUSE - time.monotonic())
        done = {place: each for place, each in enumerate(self._futures) if self._is_unread(place, each)}
        self._read |= self._outcomes({position: future} | done)
        self._fetched_at = time.monotonic()

    def _wait(self, futures: Sequence[Future], patience: float | None = None) -> None:
        """Until all have ended, or for ``patience`` seconds."""
        if self._client.status != "running":
            raise FfeError("the executor was closed while results were awaited")
        if patience is None or patience > 0:
            with self._client.as_current(), contextlib.suppress(TimeoutError):
                wait(futures, timeout=patience)

    def _is_unread(self, position: int, future: Future | str) -> bool:
        return position not in self._read and isinstance(future, Future) and future.status == "finished"

    def _outcomes(self, futures: Mapping[int, Future]) -> dict[int, tuple[Any, str | None]]:
        try:
            values = self._client.gather(list(futures.values()))
        except (Exception, CancelledError):  # noqa: BLE001 - which of them it was is seen one by one
            return {position: self._outcome(position, future) for position, future in futures.items()}
        return {position: _unpacked(*value) for position, value in zip(futures, values, strict=True)}

    def _outcome(self, position: int, future: Future) -> tuple[Any, str | None]:
        try:
            return _result_of(future)
        except KilledWorker:
            return self._alone(position)

    def _alone(self, position: int) -> tuple[Any, str | None]:
        """What waits at a worker that dies is as suspect as what ran: only by itself does a chunk prove its guilt."""
        self._wait(self._sent())
        payload = self._payload(self._chunks[position])
        again = self._client.submit(run_chunk, payload, shared=self._shared, key=f"{self._name}-{position:09d}-alone")
        self._futures[position] = again
        try:
            return _result_of(again)
        except KilledWorker as error:
            return None, f"its worker died whenever it was run, alone too, lastly {error.last_worker.address}"


def _result_of(future: Future) -> tuple[Any, str | None]:
    """Raises ``KilledWorker`` where it is suspected of that."""
    try:
        return _unpacked(*future.result())
    except KilledWorker:
        raise
    except (Exception, CancelledError) as failed:  # noqa: BLE001 - whatever the cluster has to say of one chunk
        return None, error_line(failed)


def _unpacked(value: bytes | None, error: str | None) -> tuple[Any, str | None]:
    if value is None:
        return None, error
    try:
        return pickle.loads(value), None  # noqa: S301 - the cluster is ours, or one that the user trusts with code
    except Exception as unreadable:  # noqa: BLE001 - a value may refuse in any way
        return None, f"its value cannot be read: {error_line(unreadable)}"
