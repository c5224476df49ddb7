"""What an executor must do."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ffe_core.ports import Chunk, Executor, Result
from ffe_core.testing.contracts.base import Contract, ContractBroken, not_applicable, require

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASKS = "ffe_core.testing.tasks"


class ExecutorContract(Contract):
    """Results come in the order of the chunks, shared arrays reach every worker, one failure stays one failure.

    ``in_processes`` marks an executor whose workers are other processes: it must outlive one of them.
    """

    port = Executor
    factory: ClassVar[Callable[[], Executor]]
    in_processes: ClassVar[bool] = False
    deadline: ClassVar[float] = 120.0

    def run(
        self,
        task: str,
        arguments: Sequence[Mapping[str, Any]],
        shared: Mapping[str, NDArray[Any]] | None = None,
    ) -> list[Result]:
        """All results of ``task``; the executor is closed afterwards."""
        made = self.make()
        chunks = [Chunk(index, given) for index, given in enumerate(arguments)]
        try:
            results = list(made.map(f"{TASKS}:{task}", chunks, shared=shared or {}))
        finally:
            made.close()
        wrong = [result for result in results if not isinstance(result, Result)]
        require(not wrong, f"map() gave {[type(result).__name__ for result in wrong][:1]}, not Results")
        return results

    def test_results_come_in_the_order_of_the_chunks(self) -> None:
        results = self.run("square", [{"number": number, "pause": 0.05 * (4 - number)} for number in range(5)])
        require([result.index for result in results] == [0, 1, 2, 3, 4], "results came out of order")
        values = [result.value for result in results]
        require(values == [0, 1, 4, 9, 16], f"the squares of 0 to 4 came as {values}")

    def test_no_chunks_give_no_results(self) -> None:
        require(self.run("square", []) == [], "there was nothing to do and results came")

    def test_shared_arrays_reach_every_chunk(self) -> None:
        import numpy as np

        results = self.run("weigh", [{"factor": factor} for factor in (1, 2, 3)], {"weights": np.array([1.0, 2.5])})
        values = [(result.value, result.error) for result in results]
        require(values == [(3.5, None), (7.0, None), (10.5, None)], f"the shared array gave {values}")

    def test_a_chunk_cannot_change_the_callers_arrays(self) -> None:
        import numpy as np

        weights = np.array([1.0, 2.0])
        self.run("scribble", [{}, {}], {"weights": weights})
        require(weights.tolist() == [1.0, 2.0], "a chunk wrote into the caller's array")

    def test_a_failing_chunk_leaves_the_others(self) -> None:
        try:
            results = self.run("stumble", [{"number": number} for number in range(4)])
        except Exception as error:
            raise ContractBroken(f"one chunk's {type(error).__name__} took the whole map down: {error}") from error
        require(len(results) == 4, f"four chunks gave {len(results)} results")
        failed = results[2]
        require(failed.error and "two is too much" in failed.error, f"the failing chunk's error is {failed.error!r}")
        values = [result.value for result in results if result.index != 2]
        require(values == [0, 1, 9], f"the other chunks gave {values}")
        require(not any(result.error for result in results if result.index != 2), "an error went to another chunk")

    def test_an_unknown_task_is_an_error(self) -> None:
        try:
            results = self.run("no_such_task", [{"number": 1}])
        except Exception:  # noqa: BLE001 - whichever way it says so
            return
        require(results and results[0].error, "a task that does not exist gave a result")

    def test_closing_twice_is_harmless(self) -> None:
        made = self.make()
        made.close()
        try:
            made.close()
        except Exception as error:
            raise ContractBroken(f"closing again raised {type(error).__name__}: {error}") from error

    def test_a_lost_chunk_is_run_again(self) -> None:
        if not self.in_processes:
            not_applicable("its workers are not processes of their own")
        with tempfile.TemporaryDirectory() as folder:
            marker = str(Path(folder) / "died")
            results = self.run("die_once", [{"number": number, "marker": marker} for number in range(4)])
        values = [(result.value, result.error) for result in results]
        require(values == [(0, None), (1, None), (4, None), (9, None)], f"after a worker died the results are {values}")
