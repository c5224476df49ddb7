"""A good executor keeps the contract, and each kind of bad one breaks the check that is meant for it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import pytest

from ffe_core import Result
from ffe_core.builtin.executors import Processes
from ffe_core.tasks import find_task
from ffe_core.testing import ExecutorContract, FakeExecutor
from tests.testing.trials import broken_checks, contract, outcome, said_by


@pytest.mark.slow
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


class Wasteful(FakeExecutor):
    """Sends the arrays with each chunk."""

    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        for chunk in chunks:
            yield from super().map(task, [chunk], shared={name: values.copy() for name, values in shared.items()})


class Coarse(FakeExecutor):
    """Saves half the bytes."""

    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        return super().map(task, chunks, shared={name: values.astype("f4") for name, values in shared.items()})


class Eager(FakeExecutor):
    """Has done everything before it is asked."""

    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        yield from list(super().map(task, chunks, shared=shared))


class Elsewhere(FakeExecutor):
    """Is another within its context."""

    def __enter__(self) -> FakeExecutor:
        return FakeExecutor()

    def __exit__(self, *_: object) -> None:
        self.close()


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
    (OpenHanded, "test_shared_arrays_cannot_be_written", "written"),
    (OpenHanded, "test_a_chunk_that_exits_is_a_failed_chunk", "ended the caller"),
    (Wasteful, "test_shared_arrays_are_sent_once_to_each_worker", "1 workers had the array in 12 places"),
    (Coarse, "test_values_come_back_bit_for_bit", "other bits"),
    (Eager, "test_an_abandoned_map_starts_nothing_more", "40 of 40 chunks were begun"),
    (Elsewhere, "test_leaving_its_context_closes_it", "instead of the executor"),
    (Silent, "test_a_failing_chunk_leaves_the_others", "error is None"),
    (Silent, "test_an_unknown_task_is_an_error", "gave a result"),
    (Once, "test_closing_twice_is_harmless", "already closed"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "check", "said"), BAD)
def test_a_bad_executor_breaks_the_check_that_is_meant_for_it(kind: Any, check: str, said: str) -> None:
    assert said in said_by(contract(ExecutorContract, kind), check)


class Fragile(FakeExecutor):
    """A process for each chunk; with ``again`` what a dying one lost is run that often."""

    again = 1

    def map(self, task: str, chunks: Any, *, shared: Any) -> Iterator[Result]:
        for chunk in chunks:
            yield self._run(find_task(task), chunk, shared, self.again)

    def _run(self, call: Any, chunk: Any, shared: Any, again: int) -> Result:
        try:
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                return Result(chunk.index, pool.submit(call, dict(chunk.arguments), dict(shared)).result())
        except BrokenProcessPool as error:
            return self._run(call, chunk, shared, again - 1) if again > 1 else Result(chunk.index, None, str(error))


class Careful(Fragile):
    again = 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("check", "said"),
    [
        ("test_a_lost_chunk_is_run_again", "after a worker died"),
        ("test_a_chunk_whose_worker_always_dies_fails_alone", "it was run 1 times"),
    ],
)
def test_a_worker_that_dies_may_lose_nothing(check: str, said: str) -> None:
    assert outcome(contract(ExecutorContract, Careful, in_processes=True), check) is None
    assert said in said_by(contract(ExecutorContract, Fragile, in_processes=True), check)


class Forgetful(Processes):
    def close(self) -> None:
        """Thinks of nobody."""

    def end(self) -> None:
        super().close()


@pytest.mark.slow
def test_workers_may_not_outlive_their_executor() -> None:
    made = Forgetful(1)
    try:
        kept = contract(ExecutorContract, lambda: made, in_processes=True)
        assert "1 of 1 workers were still there" in said_by(kept, "test_closing_leaves_no_process")
    finally:
        made.end()
