"""Executors: the same results in the same order wherever chunks run, and workers that die, hang on or are left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffe_core import Chunk, FfeError, SystemClock, UsageError
from ffe_core.builtin import crew
from ffe_core.builtin.executors import ExecutorsSettings, Inline, Processes, ffe_executors, processors
from ffe_core.plugins.host import load_plugins
from ffe_core.settings import load_settings
from ffe_core.testing import ExecutorContract
from ffe_core.testing.contracts.executors import is_running

TASKS = "ffe_core.testing.tasks"
ERRANDS = "tests.builtin.errands"
ROOT = Path(__file__).resolve().parents[2]
WEIGHTS = np.arange(8.0)


class TestInline(ExecutorContract):
    factory = staticmethod(Inline)


class TestProcesses(ExecutorContract):
    factory = staticmethod(lambda: Processes(2))
    in_processes = True


def chunks(count: int, **arguments: Any) -> list[Chunk]:
    return [Chunk(index, {"number": index, **arguments}) for index in range(count)]


def ran_by(folder: Path) -> set[int]:
    """Processes that left a file when they began a chunk of ``tick``."""
    return {int(file.name.partition("-")[0]) for file in folder.iterdir()}


def wait_until_gone(workers: set[int]) -> None:
    until = time.monotonic() + 20
    while any(is_running(worker) for worker in workers):
        assert time.monotonic() < until, f"{workers} are still there"
        time.sleep(0.05)


def test_settings_say_how_many_work_at_once() -> None:
    inline, processes = ffe_executors(ExecutorsSettings(workers=3))
    assert (inline.name, processes.name) == ("inline", "processes")
    with processes:
        values = {result.value for result in processes.map(f"{TASKS}:locate", chunks(30), shared={"weights": WEIGHTS})}
    assert len({worker for worker, _ in values}) == 3


def test_workers_are_as_many_as_processors_unless_settings_say_otherwise() -> None:
    assert processors() == len(os.sched_getaffinity(0))


def test_few_chunks_start_few_workers(tmp_path: Path) -> None:
    with Processes(8) as executor:
        assert [result.value for result in executor.map(f"{TASKS}:tick", chunks(2, folder=str(tmp_path)), shared={})]
    assert len(ran_by(tmp_path)) <= 2


def test_workers_stay_for_the_next_map(tmp_path: Path) -> None:
    with Processes(2) as executor:
        for _ in range(3):
            list(executor.map(f"{TASKS}:tick", chunks(8, folder=str(tmp_path), pause=0.01), shared={}))
    assert len(ran_by(tmp_path)) == 2


def test_an_abandoned_map_leaves_nothing_running(tmp_path: Path) -> None:
    with Processes(2) as executor:
        results = executor.map(f"{TASKS}:tick", [*chunks(1, folder=str(tmp_path)), *endless(tmp_path)], shared={})
        next(results)
        busy = wait_for_the_endless(tmp_path)
        results.close()
        wait_until_gone(busy)


def endless(folder: Path) -> list[Chunk]:
    return [Chunk(99, {"number": 99, "pause": 600, "folder": str(folder)})] * 4


def wait_for_the_endless(folder: Path) -> set[int]:
    until = time.monotonic() + 30
    while not (begun := [file.name for file in folder.glob("*-99")]):
        assert time.monotonic() < until, "no worker began"
        time.sleep(0.02)
    return {int(name.partition("-")[0]) for name in begun}


def test_a_map_within_a_map_has_workers_of_its_own() -> None:
    with Processes(1) as executor:
        pairs = [
            (outer.value, [inner.value for inner in executor.map(f"{TASKS}:square", chunks(2), shared={})])
            for outer in executor.map(f"{TASKS}:square", chunks(3), shared={})
        ]
    assert pairs == [(0, [0, 1]), (1, [0, 1]), (4, [0, 1])]


def test_an_executor_that_was_closed_starts_anew() -> None:
    executor = Processes(1)
    for _ in range(2):
        with executor:
            assert [result.value for result in executor.map(f"{TASKS}:square", chunks(3), shared={})] == [0, 1, 4]


def test_closing_ends_a_map_that_is_under_way(tmp_path: Path) -> None:
    executor = Processes(2)
    results = executor.map(f"{TASKS}:tick", chunks(9, pause=0.1, folder=str(tmp_path)), shared={})
    assert next(results).value == 0
    executor.close()
    wait_until_gone(ran_by(tmp_path))
    with pytest.raises(FfeError, match="the executor was closed while results were awaited"):
        list(results)


def test_an_idle_worker_that_died_is_replaced_unnoticed(tmp_path: Path) -> None:
    with Processes(1) as executor:
        list(executor.map(f"{TASKS}:tick", chunks(1, folder=str(tmp_path)), shared={}))
        (worker,) = ran_by(tmp_path)
        os.kill(worker, signal.SIGKILL)
        results = list(executor.map(f"{TASKS}:square", chunks(3), shared={}))
    assert [(result.value, result.error) for result in results] == [(0, None), (1, None), (4, None)]


def test_a_chunk_is_given_up_after_its_workers_have_died(tmp_path: Path) -> None:
    with Processes(2) as executor:
        results = list(executor.map(f"{TASKS}:die_always", chunks(12, marker=str(tmp_path / "deaths")), shared={}))
    values = [result.value for result in results]
    assert values == [0, None, *(number**2 for number in range(2, 12))]
    assert results[1].error == "its worker died each of 3 times, lastly with exit code 1"
    assert (tmp_path / "deaths").read_text().count("died") == crew.ATTEMPTS


def test_the_result_of_a_chunk_keeps_its_index() -> None:
    with Processes(2) as executor:
        results = list(executor.map(f"{TASKS}:square", [Chunk(7, {"number": 2}), Chunk(3, {"number": 4})], shared={}))
    assert [(result.index, result.value) for result in results] == [(7, 4), (3, 16)]


ARRAYS: dict[str, Any] = {
    "three dimensions": np.arange(24, dtype=np.int64).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "strided": np.arange(20.0)[::3],
    "empty": np.empty((0, 3), np.float32),
    "scalar": np.array(2.5),
    "dates": np.array(["2024-03-01", "NaT"], "M8[s]"),
    "texts": np.array(["BTCUSD", "EURUSD"]),
    "records": np.array([(1, 2.5)], [("time", "<i8"), ("close", "<f8")]),
    "big endian": np.array([1, 2], ">i4"),
    "yes and no": np.array([True, False, True]),
}


@pytest.mark.parametrize("kind", [Inline, Processes])
@pytest.mark.parametrize("names", [list(ARRAYS), ["empty"]], ids=["all", "empty"])
def test_arrays_of_any_shape_and_type_arrive_as_they_are(kind: Any, names: list[str]) -> None:
    with kind() as executor:
        shared = {name: ARRAYS[name] for name in names}
        (result,) = executor.map(f"{ERRANDS}:describe", [Chunk(0, {})], shared=shared)
    assert result.error is None
    assert result.value == {
        name: (values.dtype, values.shape, values.tobytes(), True, False) for name, values in shared.items()
    }


@pytest.mark.parametrize("kind", [Inline, Processes])
def test_a_task_that_changes_its_arguments_changes_its_own(kind: Any) -> None:
    given = [Chunk(index, {"number": index, "list": [0]}) for index in (1, 2)]
    with kind() as executor:
        results = list(executor.map(f"{ERRANDS}:keep", given, shared={}))
    assert [result.value for result in results] == [[0, 1], [0, 2]]
    assert [chunk.arguments["list"] for chunk in given] == [[0], [0]]


@pytest.mark.parametrize("kind", [Inline, Processes])
def test_an_array_of_python_objects_is_refused(kind: Any) -> None:
    with kind() as executor, pytest.raises(UsageError, match="shared array names holds Python objects"):
        list(executor.map(f"{TASKS}:square", chunks(1), shared={"names": np.array([object()])}))


def test_what_cannot_be_sent_is_an_error_of_its_chunk() -> None:
    with Processes(1) as executor:
        given = [Chunk(0, {"number": 1}), Chunk(1, {"number": lambda: 1}), Chunk(2, {"number": 3})]
        results = list(executor.map(f"{TASKS}:square", given, shared={}))
        (unsendable,) = executor.map(f"{ERRANDS}:function", [Chunk(0, {})], shared={})
    assert [result.value for result in results] == [1, None, 9]
    assert results[1].error is not None
    assert results[1].error.startswith("its arguments cannot be sent: ")
    assert unsendable.error is not None
    assert unsendable.error.startswith("its value cannot be sent: ")


def run(program: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False, **options
    )


BEGIN = f"""
import signal
from ffe_core import Chunk
from ffe_core.builtin.executors import Processes
def run(task, *given, workers=1):
    chunks = [Chunk(index, each) for index, each in enumerate(given)]
    return Processes(workers).map("{TASKS}:" + task, chunks, shared={{}})
# What is started in the background of a shell ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


def test_what_a_task_prints_never_reaches_standard_output() -> None:
    ran = run(f"{BEGIN}print(list(run('chat', {{}}))[0].value)")
    assert (ran.returncode, ran.stdout) == (0, "0\n")
    assert ran.stderr.splitlines() == ["a task speaks", "a descriptor speaks", "a program speaks"]


def test_a_program_without_a_main_guard_may_use_processes() -> None:
    ran = run(f"{BEGIN}print('once')\nprint([result.value for result in run('square', {{'number': 3}})])")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "once\n[9]\n", "")


def test_a_worker_imports_no_more_than_its_task_needs() -> None:
    program = f"""{BEGIN}
(result,) = Processes(1).map("{ERRANDS}:imported", [Chunk(0, {{}})], shared={{}})
print(result.value or result.error)
"""
    ran = run(program, env={**os.environ, "PYTHONPATH": str(ROOT)})
    imported = set(ran.stdout.split())
    assert {"ffe_core", ERRANDS} <= imported
    assert not imported & {"numpy", "pandas", "pydantic", "pluggy", "requests", "multiprocessing", "ffe_core.ports"}


def endless_program(folder: Path) -> str:
    given = {"number": 1, "pause": 600, "folder": str(folder)}
    return f"{BEGIN}list(run('tick', *[{given!r}] * 4, workers=2))"


def test_an_interrupt_ends_the_workers(tmp_path: Path) -> None:
    program = endless_program(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        workers = wait_for_workers(tmp_path, 2)
        os.killpg(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=30)
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    wait_until_gone(workers)


def test_workers_do_not_outlive_a_killed_starter(tmp_path: Path) -> None:
    program = endless_program(tmp_path)
    with subprocess.Popen([sys.executable, "-c", program]) as started:
        workers = wait_for_workers(tmp_path, 2)
        started.kill()
    wait_until_gone(workers)


def test_an_executor_that_nobody_closed_ends_with_the_program(tmp_path: Path) -> None:
    ran = run(f"{BEGIN}kept = run('tick', {{'number': 1, 'folder': {str(tmp_path)!r}}})\nprint(len(list(kept)))")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "1\n", "")
    wait_until_gone(ran_by(tmp_path))


def wait_for_workers(folder: Path, count: int) -> set[int]:
    until = time.monotonic() + 30
    while len(workers := ran_by(folder)) < count:
        assert time.monotonic() < until, "no worker began"
        time.sleep(0.02)
    return workers


def test_the_registry_hands_executors_out_by_name_and_ends_their_workers(tmp_path: Path) -> None:
    settings = load_settings(env={"FFE_PLUGINS": "", "FFE_PLUGINS__EXECUTORS__WORKERS": "1"}, home=tmp_path)
    registry = load_plugins(settings, clock=SystemClock())
    folder = tmp_path / "begun"
    folder.mkdir()
    executor = registry.executor("processes")
    values = [result.value for result in executor.map(f"{TASKS}:tick", chunks(4, folder=str(folder)), shared={})]
    assert values == [0, 1, 4, 9]
    (worker,) = ran_by(folder)
    assert is_running(worker)
    registry.close()
    wait_until_gone({worker})
    assert registry.problem_lines() == ()


def test_a_map_that_is_abandoned_behind_the_guard_leaves_nothing_running(tmp_path: Path) -> None:
    with load_plugins(load_settings(env={"FFE_PLUGINS": ""}, home=tmp_path), clock=SystemClock()) as registry:
        folder = tmp_path / "begun"
        folder.mkdir()
        work = [*chunks(1, folder=str(folder)), *endless(folder)]
        results = registry.executor("processes").map(f"{TASKS}:tick", work, shared={})
        next(results)
        busy = wait_for_the_endless(folder)
        results.close()
        wait_until_gone(busy)
