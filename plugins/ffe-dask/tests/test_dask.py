"""The executor ``dask``: light until it is used, on a cluster of others, and on one of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ffe_dask import cluster
from ffe_dask.executor import DaskExecutor

from ffe_core import Chunk, FfeError, SystemClock, UsageError
from ffe_core.builtin.executors import Inline
from ffe_core.plugins.host import load_plugins
from ffe_core.settings import load_settings
from ffe_core.testing.contracts.executors import is_running

TASKS = "ffe_core.testing.tasks"


def chunks(count: int, **arguments: Any) -> list[Chunk]:
    return [Chunk(index, {"number": index, **arguments}) for index in range(count)]


def ran_by(folder: Path) -> set[int]:
    """Processes that left a file when they began a chunk of ``tick``."""
    return {int(file.name.partition("-")[0]) for file in folder.iterdir()}


def wait_until(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "in vain"
        time.sleep(0.05)


@pytest.fixture
def others() -> Iterator[Any]:
    """A cluster that is there already, its scheduler and two workers within this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
        memory_limit=0,
    ) as made:
        yield made


def test_dask_is_not_imported_before_a_map_needs_it() -> None:
    program = """
import sys
from ffe_core.testing import make_context
import ffe_dask
settings = ffe_dask.ffe_settings()(workers=2)
(executor,) = ffe_dask.ffe_executors(settings)
list(executor.map("ffe_core.testing.tasks:square", [], shared={}))
executor.close()
print(executor.name, sorted({"distributed", "dask", "tornado", "cryptography"} & set(sys.modules)))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("dask []\n", "")


def test_the_registry_hands_it_out_by_name(tmp_path: Path) -> None:
    settings = load_settings(env={"FFE_PLUGINS": "dask", "FFE_PLUGINS__DASK__WORKERS": "1"}, home=tmp_path)
    with load_plugins(settings, clock=SystemClock()) as registry:
        assert registry.executor("dask").name == "dask"
        assert registry.problem_lines() == ()


def test_an_address_where_nobody_answers_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "ANSWER", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
    with DaskExecutor(address) as executor, pytest.raises(FfeError, match=f"no Dask scheduler answers at {address}"):
        list(executor.map(f"{TASKS}:square", chunks(1), shared={}))


def test_an_existing_cluster_gives_what_inline_gives_and_is_left_as_it_was(others: Any) -> None:
    steps = np.random.Generator(np.random.Philox(key=7)).standard_normal((50, 40))
    work = [Chunk(seed, {"seed": seed}) for seed in (5, 3, 8)]
    before = set(others.scheduler.worker_plugins)
    with DaskExecutor(others.scheduler_address) as executor:
        there = list(executor.map(f"{TASKS}:walk", work, shared={"steps": steps}))
        assert set(others.scheduler.worker_plugins) == before
    here = list(Inline().map(f"{TASKS}:walk", work, shared={"steps": steps}))
    assert [result.index for result in there] == [5, 3, 8]
    for one, other in zip(there, here, strict=True):
        assert one.error is None
        assert one.value["walk"].tobytes() == other.value["walk"].tobytes()
        assert [axis.tobytes() for axis in one.value["sums"]] == [axis.tobytes() for axis in other.value["sums"]]
    assert len(others.scheduler.workers) == 2
    wait_until(lambda: not others.scheduler.tasks)


def test_a_map_given_up_on_an_existing_cluster_takes_back_what_has_not_begun(others: Any, tmp_path: Path) -> None:
    with DaskExecutor(others.scheduler_address) as executor:
        results: Any = executor.map(f"{TASKS}:tick", chunks(50, pause=0.1, folder=str(tmp_path)), shared={})
        assert next(results).value == 0
        results.close()
        wait_until(lambda: not others.scheduler.tasks)
        assert len(list(tmp_path.iterdir())) < 40
        assert len(others.scheduler.workers) == 2


def test_what_cannot_be_sent_is_an_error_of_its_chunk(others: Any) -> None:
    with DaskExecutor(others.scheduler_address) as executor:
        given = [Chunk(0, {"number": 1}), Chunk(1, {"number": lambda: 1}), Chunk(2, {"number": 3})]
        results = list(executor.map(f"{TASKS}:square", given, shared={}))
        with pytest.raises(UsageError, match="shared array names holds Python objects"):
            list(executor.map(f"{TASKS}:square", given, shared={"names": np.array([object()])}))
    assert [result.value for result in results] == [1, None, 9]
    assert results[1].error is not None
    assert results[1].error.startswith("its arguments cannot be sent: ")


def test_closing_ends_a_map_that_is_under_way(others: Any) -> None:
    executor = DaskExecutor(others.scheduler_address)
    results = executor.map(f"{TASKS}:square", chunks(20, pause=0.1), shared={})
    assert next(results).value == 0
    executor.close()
    with pytest.raises(FfeError, match="the executor was closed while results were awaited"):
        list(results)


def test_a_map_within_a_map_is_a_map_of_its_own(others: Any) -> None:
    with DaskExecutor(others.scheduler_address) as executor:
        pairs = [
            (outer.value, [inner.value for inner in executor.map(f"{TASKS}:square", chunks(2), shared={})])
            for outer in executor.map(f"{TASKS}:square", chunks(3), shared={})
        ]
    assert pairs == [(0, [0, 1]), (1, [0, 1]), (4, [0, 1])]


BEGIN = f"""
import signal
from ffe_core import Chunk
from ffe_dask.executor import DaskExecutor
def run(task, *given, workers=1):
    chunks = [Chunk(index, each) for index, each in enumerate(given)]
    return DaskExecutor(workers=workers).map("{TASKS}:" + task, chunks, shared={{}})
# What is started in the background of a shell ignores interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
"""


@pytest.mark.slow
def test_on_this_machine_a_program_without_a_main_guard_keeps_its_standard_output() -> None:
    """Whatever tasks print, and although nobody closes the executor."""
    ran = subprocess.run(
        [sys.executable, "-c", f"{BEGIN}print(next(run('chat', {{}})).value)"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "0\n")
    assert ran.stderr.splitlines() == ["a task speaks", "a descriptor speaks", "a program speaks"]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_do_not_outlive_their_starter(how: signal.Signals, tmp_path: Path) -> None:
    given = {"number": 1, "pause": 600, "folder": str(tmp_path)}
    program = f"{BEGIN}list(run('tick', *[{given!r}] * 4, workers=2))"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True) as started:
        wait_until(lambda: len(ran_by(tmp_path)) == 2)
        os.kill(started.pid, how)
        _, said = started.communicate(timeout=60)
    assert ("KeyboardInterrupt" in said) == (how is signal.SIGINT)
    wait_until(lambda: not any(is_running(worker) for worker in ran_by(tmp_path)))


@pytest.mark.slow
def test_a_map_given_up_on_this_machine_leaves_nothing_running(tmp_path: Path) -> None:
    endless = Chunk(99, {"number": 99, "pause": 600, "folder": str(tmp_path)})
    with DaskExecutor(workers=2) as executor:
        results: Any = executor.map(f"{TASKS}:tick", [*chunks(1, folder=str(tmp_path)), endless, endless], shared={})
        next(results)
        wait_until(lambda: any(tmp_path.glob("*-99")))
        busy = {int(file.name.partition("-")[0]) for file in tmp_path.glob("*-99")}
        results.close()
        wait_until(lambda: not any(is_running(worker) for worker in busy))
        assert [result.value for result in executor.map(f"{TASKS}:square", chunks(3), shared={})] == [0, 1, 4]
