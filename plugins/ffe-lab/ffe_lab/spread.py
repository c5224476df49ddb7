"""Chunks of an experiment over threads of this process, or over the workers of an executor: the same results.

A study and its market travel as arrays, once to each worker: the columns as they are, everything else in one more
array of bytes. Without an executor the runs are made by threads here, which the loop's machine code lets run at once.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ffe_core import Candles, Chunk, Executor, FfeError, UsageError
from ffe_lab.market import Market, buffer_of
from ffe_lab.study import Study

type Arrays = Mapping[str, NDArray[Any]]
type Progress = Callable[[int, int], None]

_COLUMNS = ("time", "open", "high", "low", "close", "volume")


@dataclass(frozen=True, slots=True)
class _Rest:
    """What is no column."""

    study: Study
    bars: Candles
    first: int
    daily: Candles | None
    four_hour: Candles | None
    synthetic: bool


def packed(study: Study, market: Market) -> dict[str, NDArray[Any]]:
    """Raises ``UsageError`` for a provider or a rule that cannot travel."""
    bars = market.candles
    empty = bars.slice(0, 0)
    rest = _Rest(study, empty, market.first, *market.longer_frames, market.synthetic)
    try:
        parcel = pickle.dumps(rest, protocol=pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise UsageError(
            f"the provider or a rule cannot be sent to other processes: {error}", hint="leave the executor out"
        ) from error
    columns = {name: np.asarray(getattr(market, name)) for name in _COLUMNS}
    return {**columns, "rest": np.frombuffer(parcel, np.uint8)}


def unpacked(shared: Arrays) -> tuple[Study, Market]:
    """What ``packed`` was given; the columns lie where they were lent."""
    rest: _Rest = pickle.loads(shared["rest"].tobytes())  # noqa: S301 - from the process that started this one
    columns: dict[str, Any] = {name: buffer_of(shared[name]) for name in _COLUMNS}
    bars = replace(rest.bars, **columns)
    return rest.study, Market(bars, rest.first, rest.daily, rest.four_hour, compiled=True, synthetic=rest.synthetic)


#: what this worker was lent last, by its digest: chunks of one experiment share indicators
_KNOWN: dict[str, Any] = {}


def known(key: str, shared: Arrays, make: Callable[[Study, Market], Any]) -> Any:
    """What ``make`` makes of an experiment, made once in a worker for all of its chunks."""
    if key not in _KNOWN:
        made = make(*unpacked(shared))
        _KNOWN.clear()
        _KNOWN[key] = made
    return _KNOWN[key]


def spread(
    executor: Executor,
    task: str,
    arguments: Sequence[Mapping[str, Any]],
    study: Study,
    market: Market,
    progress: Progress | None = None,
) -> Iterator[Any]:
    """The values of ``task``, one for each of ``arguments``, in their order.

    Each chunk is also given ``key``, for ``known``. Raises ``FfeError`` with what a chunk failed of.
    """
    shared = packed(study, market)
    key = _digest(shared)
    chunks = [Chunk(index, {**given, "key": key}) for index, given in enumerate(arguments)]
    for result in executor.map(task, chunks, shared=shared):
        if result.error is not None:
            raise FfeError(f"{executor.name}: a part of the experiment failed: {result.error}")
        if progress is not None:
            progress(result.index + 1, len(chunks))
        yield result.value


def _digest(shared: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(shared):
        digest.update(np.ascontiguousarray(shared[name]).view(np.uint8))
    return digest.hexdigest()


class Twinned(Protocol):
    """Runs a study; ``twin`` does the same beside it, in buffers of its own."""

    @property
    def study(self) -> Study: ...

    def twin(self) -> Self: ...


def threaded[R: Twinned, T](
    runner: R,
    work: Callable[[R, Mapping[str, Any]], T],
    arguments: Sequence[Mapping[str, Any]],
    progress: Progress | None = None,
    threads: int | None = None,
) -> Iterator[T]:
    """``work`` on each of ``arguments``, in their order, by as many threads as there are processors.

    Each thread has a runner of its own. What the gate judges is judged in one thread: it is Python.
    """
    from ffe_core.builtin.executors import processors

    count = 1 if runner.study.setup.gate else min(threads or processors(), len(arguments))
    if count <= 1:
        for done, given in enumerate(arguments):
            yield work(runner, given)
            _tell(progress, done + 1, len(arguments))
        return
    idle = [runner, *(runner.twin() for _ in range(count - 1))]

    def one(given: Mapping[str, Any]) -> T:
        mine = idle.pop()
        try:
            return work(mine, given)
        finally:
            idle.append(mine)

    with ThreadPoolExecutor(count) as pool:
        for done, value in enumerate(pool.map(one, arguments)):
            yield value
            _tell(progress, done + 1, len(arguments))


def _tell(progress: Progress | None, done: int, count: int) -> None:
    if progress is not None:
        progress(done, count)
