"""A good executor keeps the contract, and each kind of bad one breaks the check that is meant for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from ffe_core import Result
from ffe_core.testing import ExecutorContract, FakeExecutor
from ffe_core.testing.fakes import find_task
from tests.testing.trials import broken_checks, contract, said_by


def test_a_good_executor_breaks_nothing() -> None:
    assert broken_checks(contract(ExecutorContract, FakeExecutor)) == {}


class Backwards(FakeExecutor):
    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        return iter(reversed(list(super().map(task, chunks, shared=shared))))


class Chatty(FakeExecutor):
    def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
        return [*super().map(task, chunks, shared=shared), Result(99, None)]


class Bare(FakeExecutor):
    def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
        return [result.value for result in super().map(task, chunks, shared=shared)]


class Unshared(FakeExecutor):
    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        return super().map(task, chunks, shared={})


class OpenHanded(FakeExecutor):
    """Hands out the caller's own arrays."""

    def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
        return [Result(chunk.index, find_task(task)(chunk.arguments, shared)) for chunk in chunks]


class Silent(FakeExecutor):
    """Knows no errors."""

    def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
        try:
            return [Result(result.index, result.value) for result in super().map(task, chunks, shared=shared)]
        except Exception:
            return [Result(chunk.index, None) for chunk in chunks]


class Once(FakeExecutor):
    def close(self) -> None:
        if self.closed:
            raise RuntimeError("already closed")
        self.closed = True


BAD = [
    (Backwards, "test_results_come_in_the_order_of_the_chunks", "out of order"),
    (Bare, "test_results_come_in_the_order_of_the_chunks", "int"),
    (Chatty, "test_no_chunks_give_no_results", "results came"),
    (Unshared, "test_shared_arrays_reach_every_chunk", "KeyError"),
    (OpenHanded, "test_a_chunk_cannot_change_the_callers_arrays", "wrote into"),
    (OpenHanded, "test_a_failing_chunk_leaves_the_others", "took the whole map down"),
    (Silent, "test_a_failing_chunk_leaves_the_others", "error is None"),
    (Silent, "test_an_unknown_task_is_an_error", "gave a result"),
    (Once, "test_closing_twice_is_harmless", "already closed"),
]


@pytest.mark.parametrize(("kind", "check", "said"), BAD)
def test_a_bad_executor_breaks_the_check_that_is_meant_for_it(kind: Any, check: str, said: str) -> None:
    assert said in said_by(contract(ExecutorContract, kind), check)


class Processes(FakeExecutor):
    """One worker process; with ``again`` what a dying worker lost is run once more."""

    again = False

    def map(self, task: str, chunks: Any, *, shared: Any) -> Any:
        call, results = find_task(task), []
        for chunk in chunks:
            try:
                results.append(self._run(call, chunk, shared))
            except BrokenProcessPool as error:
                results.append(self._run(call, chunk, shared) if self.again else Result(chunk.index, None, str(error)))
        return results

    def _run(self, call: Any, chunk: Any, shared: Any) -> Result:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return Result(chunk.index, pool.submit(call, dict(chunk.arguments), dict(shared)).result())


@pytest.mark.slow
def test_a_worker_that_dies_may_lose_nothing() -> None:
    check = "test_a_lost_chunk_is_run_again"
    careful = type("Careful", (Processes,), {"again": True})
    assert check not in broken_checks(contract(ExecutorContract, careful, in_processes=True))
    assert "after a worker died" in said_by(contract(ExecutorContract, Processes, in_processes=True), check)
