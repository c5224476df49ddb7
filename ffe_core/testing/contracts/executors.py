"""What an executor must do."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ffe_core.ports import Chunk, Executor, Result
from ffe_core.tasks import lend_arrays, run_task
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

    def test_shared_arrays_are_sent_once_to_each_worker(self) -> None:
        import numpy as np

        results = self.run("locate", [{}] * 12, {"weights": np.arange(1000.0)})
        require(not any(result.error for result in results), f"a chunk failed: {results[0].error}")
        places = {tuple(result.value) for result in results}
        workers = {worker for worker, _ in places}
        require(len(places) == len(workers), f"{len(workers)} workers had the array in {len(places)} places")

    def test_shared_arrays_cannot_be_written(self) -> None:
        import numpy as np

        results = self.run("scribble", [{}, {}], {"weights": np.array([1.0, 2.0])})
        said = [result.value for result in results]
        require(said == ["refused", "refused"], f"what chunks wrote into a shared array was {said}")

    def test_values_come_back_bit_for_bit(self) -> None:
        import numpy as np

        steps = np.asfortranarray(np.random.Generator(np.random.Philox(key=1)).standard_normal((331, 257)))
        results = self.run("walk", [{"seed": seed} for seed in range(6)], {"steps": steps})
        for seed, result in enumerate(results):
            here, _ = run_task(f"{TASKS}:walk", {"seed": seed}, lend_arrays({"steps": steps}))
            require(result.error is None, f"a chunk failed: {result.error}")
            require(_bits_of(result.value) == _bits_of(here), f"seed {seed} gives other bits than the task called here")

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

    def test_a_chunk_that_exits_is_a_failed_chunk(self) -> None:
        try:
            results = self.run("leave", [{"number": number} for number in range(4)])
        except SystemExit:
            raise ContractBroken("a chunk's sys.exit ended the caller") from None
        values = [result.value for result in results]
        require(values == [0, None, 4, 9] and results[1].error, f"beside a chunk that exits the values are {values}")

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

    def test_a_chunk_whose_worker_always_dies_fails_alone(self) -> None:
        if not self.in_processes:
            not_applicable("its workers are not processes of their own")
        with tempfile.TemporaryDirectory() as folder:
            marker = Path(folder) / "deaths"
            results = self.run("die_always", [{"number": number, "marker": str(marker)} for number in range(5)])
            deaths = len(marker.read_text(encoding="utf-8").splitlines())
        values = [result.value for result in results]
        require(values == [0, None, 4, 9, 16], f"beside a chunk whose worker always dies the values are {values}")
        require(results[1].error, "the chunk whose worker always dies has no error")
        require(2 <= deaths <= 10, f"it was run {deaths} times")

    def test_an_abandoned_map_starts_nothing_more(self) -> None:
        with tempfile.TemporaryDirectory() as folder, closing(self.make()) as made:
            arguments = [{"number": number, "pause": 0.05, "folder": folder} for number in range(40)]
            results = made.map(f"{TASKS}:tick", [Chunk(*each) for each in enumerate(arguments)], shared={})
            next(results)
            results.close()
            time.sleep(0.5)
            begun = len([*Path(folder).iterdir()])
            time.sleep(0.5)
            now = len([*Path(folder).iterdir()])
            told = f"{now} of {len(arguments)} chunks were begun, {now - begun} of them long after the map was given up"
            require(begun == now < len(arguments), told)
            values = [result.value for result in made.map(f"{TASKS}:square", [Chunk(7, {"number": 3})], shared={})]
            require(values == [9], f"the next map gave {values}")

    def test_closing_leaves_no_process(self) -> None:
        if not self.in_processes:
            not_applicable("its workers are not processes of their own")
        with tempfile.TemporaryDirectory() as folder:
            with closing(self.make()) as made:
                arguments = [{"number": number, "pause": 0.1, "folder": folder} for number in range(6)]
                results = made.map(f"{TASKS}:tick", [Chunk(*each) for each in enumerate(arguments)], shared={})
                next(results)
            workers = {int(file.name.partition("-")[0]) for file in Path(folder).iterdir()}
        until = time.monotonic() + 10
        while (left := [worker for worker in workers if is_running(worker)]) and time.monotonic() < until:
            time.sleep(0.05)
        require(not left, f"{len(left)} of {len(workers)} workers were still there after close()")

    def test_leaving_its_context_closes_it(self) -> None:
        made = self.make()
        if not hasattr(made, "__exit__"):
            not_applicable("it is no context; contextlib.closing makes one of it")
        with made as entered:
            require(entered is made, f"with gives {type(entered).__name__} instead of the executor")
            results = list(made.map(f"{TASKS}:square", [Chunk(0, {"number": 2})], shared={}))
        require([result.value for result in results] == [4], f"within its context it gave {results}")


def is_running(process: int) -> bool:
    """Whether there is such a process, and it is not one that has ended and only waits to be counted."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return not Path("/proc").is_dir()


def _bits_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bits_of(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_bits_of(each) for each in value]
    return value if value is None else (value.dtype.str, value.shape, value.tobytes())
