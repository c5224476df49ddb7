"""Built-in executors: ``inline``, one chunk after the other, and ``processes``, over workers of this machine."""

from __future__ import annotations

import copy
import os
import sys
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from ffe_core import Chunk, Executor, Result, hookimpl, lend_arrays, run_task

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ffe_core.builtin.crew import Roster


class ExecutorsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    workers: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="processes: how many work at once; unset: one for each processor that ffe may use",
    )


@dataclass(frozen=True, slots=True)
class Inline:
    """Runs a chunk when its result is asked for, here."""

    name: str = "inline"

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        arrays = lend_arrays(shared)
        for chunk in chunks:
            # A task owns its arguments, as it does in a process of its own.
            yield Result(chunk.index, *run_task(task, copy.deepcopy(dict(chunk.arguments)), arrays))

    def close(self) -> None:
        """There is nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Processes:
    """Fresh interpreters on this machine, ``workers`` for each map, which stay for the next one until ``close``.

    A worker imports the task by its name and reads the shared arrays where they lie. One that dies loses nothing: its
    chunk is run again, ``crew.ATTEMPTS`` times at most. What is abandoned half-way is killed. A map after ``close``
    starts new workers.
    """

    name = "processes"

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers
        self._lock = threading.Lock()
        self._roster: Roster | None = None

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        from ffe_core.builtin.crew import Crew, SharedFile

        arrays = SharedFile(lend_arrays(shared)) if shared and chunks else None
        roster = self._made()
        crew = Crew(roster, task, tuple(chunks), arrays)
        roster.enter(crew)
        try:
            yield from crew.results()
        finally:
            roster.leave(crew)
            if arrays is not None:
                arrays.close()

    def close(self) -> None:
        with self._lock:
            if self._roster is not None:
                self._roster.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _made(self) -> Roster:
        # Not before it is needed: every command makes an executor, and few use it.
        from ffe_core.builtin.crew import Roster

        with self._lock:
            if self._roster is None:
                self._roster = Roster(self._workers or processors())
                # Also at exit, and when nobody holds the executor any more.
                weakref.finalize(self, self._roster.end)
            return self._roster


def processors() -> int:
    """How many this process may use; ``os.process_cpu_count`` has come with Python 3.13."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return ExecutorsSettings


@hookimpl
def ffe_executors(settings: ExecutorsSettings) -> Iterable[Executor]:
    return (Inline(), Processes(settings.workers))
