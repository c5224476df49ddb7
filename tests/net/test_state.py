"""What is remembered about services: across processes, under kills, and where the disk does not play along."""

from __future__ import annotations

import logging
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ffe_core.net.state import FileState, MemoryState, StateStore


def add_one(text: str | None) -> tuple[str, int]:
    count = int(text or 0) + 1
    return str(count), count


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> StateStore:
    return MemoryState() if request.param == "memory" else FileState(tmp_path)


def test_it_keeps_texts_by_kind_and_name(store) -> None:
    assert store.read("breaker", "a") is None
    assert store.update("breaker", "a", lambda _: ("one", 1)) == 1
    assert store.update("breaker", "b", lambda _: ("two", 2)) == 2
    assert store.update("allowance", "a", lambda _: ("three", 3)) == 3
    assert store.update("breaker", "a", lambda text: (None, text)) == "one"
    assert (store.read("breaker", "a"), store.all("breaker")) == ("one", {"a": "one", "b": "two"})


def test_a_change_that_raises_changes_nothing(store) -> None:
    def stumble(text: str | None) -> tuple[str, None]:
        raise ValueError("no")

    store.update("k", "n", lambda _: ("before", None))
    with pytest.raises(ValueError, match="no"):
        store.update("k", "n", stumble)
    assert store.read("k", "n") == "before"


def test_no_change_by_any_thread_is_lost(store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: store.update("k", "n", add_one), range(400)))
    assert store.read("k", "n") == "400"


def test_nothing_is_written_before_something_is_remembered(tmp_path) -> None:
    store = FileState(tmp_path / "state")
    assert store.all("breaker") == {}
    assert not (tmp_path / "state").exists()


def test_another_process_reads_what_was_written(tmp_path) -> None:
    FileState(tmp_path / "new").update("k", "n", lambda _: ("kept", None))
    assert FileState(tmp_path / "new").read("k", "n") == "kept"
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


COUNT = """
import sys, time
from pathlib import Path
from ffe_core.net.state import FileState
store = FileState(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    store.update("k", "n", lambda text: (str(int(text or 0) + 1), None))
    print("+", flush=True)
"""


def start(folder: Path, times: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", COUNT, str(folder), str(times)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_processes_that_meet_a_new_file_lose_no_change(tmp_path) -> None:
    children = [start(tmp_path, 50) for _ in range(4)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        out, err = child.communicate(timeout=60)
        assert (child.returncode, out.count("+"), err) == (0, 50, "")
    assert FileState(tmp_path).read("k", "n") == "200"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_process_leaves_what_it_told_and_a_file_that_works(tmp_path) -> None:
    told = 0
    for _ in range(3):
        child = start(tmp_path, 100_000)
        child.stdout.readline()
        child.stdin.write("go\n")
        child.stdin.flush()
        for _ in range(20):
            assert child.stdout.readline() == "+\n"
        os.kill(child.pid, signal.SIGKILL)
        told += 20 + child.stdout.read().count("+")
        child.communicate(timeout=30)
    kept = int(FileState(tmp_path).read("k", "n") or 0)
    assert told <= kept <= told + 3
    FileState(tmp_path).update("k", "n", add_one)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_damaged_file_is_begun_anew_with_a_warning(tmp_path, caplog, content) -> None:
    (tmp_path / "net.db").write_bytes(content)
    store = FileState(tmp_path)
    assert store.update("k", "n", add_one) == 1
    assert "net.db" in caplog.text
    assert FileState(tmp_path).update("k", "n", add_one) in (1, 2)


def test_where_nothing_can_be_written_this_process_remembers_for_itself(tmp_path, caplog) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "state").write_text("a file where the folder should be")
    store = FileState(tmp_path / "state")
    assert [store.update("k", "n", add_one) for _ in range(3)] == [1, 2, 3]
    assert (store.read("k", "n"), store.all("k")) == ("3", {"n": "3"})
    assert len(caplog.records) == 1


def test_a_writer_that_is_slow_is_waited_for(tmp_path) -> None:
    first, second = FileState(tmp_path), FileState(tmp_path)
    first.update("k", "n", add_one)
    inside = threading.Event()

    def slowly(text: str | None) -> tuple[str, None]:
        inside.set()
        time.sleep(0.3)
        return str(int(text or 0) + 1), None

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(first.update, "k", "n", slowly)
        assert inside.wait(5)
        assert second.update("k", "n", add_one) == 3
        slow.result(5)
