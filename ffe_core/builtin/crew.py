"""The starter's side of worker processes: starting them, spreading chunks over them, outliving their deaths."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any

from ffe_core import Chunk, FfeError, Result, error_line
from ffe_core.builtin import worker

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: how often a chunk is run before the deaths of its workers are its own fault
ATTEMPTS = 3
#: seconds between two looks at workers that say nothing: one whose child holds the line has no audible end
LOOK = 0.5
_ALIGNMENT = 64


class Worker:
    """One worker process. ``given`` are the positions of the chunks that it has yet to answer, oldest first."""

    def __init__(self) -> None:
        self.given: deque[int] = deque()
        self._arrays: SharedFile | None = None
        self._path: list[str] = []
        self.line, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
                    [sys.executable, "-u", "-P", worker.__file__, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=_standard_error(),
                    # A group of its own: an interrupt of the terminal is the starter's to hear, not the worker's.
                    start_new_session=True,
                )
            except OSError as error:
                self.line.close()
                raise FfeError(f"no worker process can be started: {error}") from error

    def is_dead(self) -> bool:
        return self._process.poll() is not None

    def give(self, position: int, message: bytes, arrays: SharedFile | None) -> None:
        """Raises ``worker.LineEnded`` where it has died."""
        self.given.append(position)
        if self._path != sys.path:
            self._path = list(sys.path)
            worker.send(self.line, worker.PATH, pickle.dumps(self._path))
        if arrays is not None and arrays is not self._arrays:
            worker.send(self.line, worker.SHARE, arrays.layout, file=arrays.file.fileno())
            self._arrays = arrays
        worker.send(self.line, worker.RUN, message)

    def rest(self) -> None:
        """Lets go of the arrays of a map that has ended."""
        if self._arrays is not None:
            self._arrays = None
            with contextlib.suppress(worker.LineEnded):
                worker.send(self.line, worker.FORGET)

    def kill(self) -> str:
        """Ends it with all that it started; says how it ended."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        code = self._process.wait()
        return f"exit code {code}" if code >= 0 else f"signal {-code}"

    def close(self) -> str:
        """Kills it, and lets go of the line."""
        how = self.kill()
        self.line.close()
        return how


def _standard_error() -> int:
    """Where a worker's standard output goes: the starter's own belongs to results."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


class SharedFile:
    """Arrays in a file without a name, which the kernel keeps in memory and forgets with its last reader."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.file = _nameless()
        places, end = [], 0
        for name, values in arrays.items():
            places.append((name, values.dtype, values.shape, end))
            self.file.seek(end)
            self.file.write(_bytes_of(values))
            end += -(-values.nbytes // _ALIGNMENT) * _ALIGNMENT
        # No byte at all cannot be mapped.
        size = max(end, 1)
        self.file.truncate(size)
        self.file.flush()
        self.layout = pickle.dumps((size, places))

    def close(self) -> None:
        self.file.close()


def _nameless() -> IO[bytes]:
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("ffe"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _bytes_of(values: NDArray[Any]) -> memoryview:
    import numpy as np

    return memoryview(values.reshape(-1).view(np.uint8)) if values.nbytes else memoryview(b"")


class Roster:
    """All workers of an executor: idle ones, and those of the crews that are at work. Any thread may use it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._crews: list[Crew] = []

    def enter(self, crew: Crew) -> None:
        with self._lock:
            self._crews.append(crew)

    def hire(self, crew: Crew) -> Worker:
        """A worker for ``crew``, idle so far or new. Raises ``FfeError`` where the executor was closed meanwhile."""
        with self._lock:
            if crew.ended:
                raise FfeError("the executor was closed while results were awaited")
            while self._idle:
                idle = self._idle.pop()
                if not idle.is_dead():
                    break
                idle.close()
            else:
                idle = Worker()
            crew.workers.append(idle)
            return idle

    def leave(self, crew: Crew) -> None:
        """Its workers become idle; one that still has work is killed, and so is one too many."""
        with self._lock:
            self._crews.remove(crew)
            for each in crew.workers:
                if each.given or crew.ended or len(self._idle) >= self.size:
                    each.close()
                else:
                    each.rest()
                    self._idle.append(each)

    def end(self) -> None:
        """Leaves no process behind. A crew that is at work learns of it from the ends of its lines."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()
            for crew in self._crews:
                crew.ended = True
                for each in crew.workers:
                    each.kill()


@dataclass(slots=True, eq=False)
class Crew:
    """The workers of one map, and what has become of its chunks."""

    roster: Roster
    task: str
    chunks: Sequence[Chunk]
    arrays: SharedFile | None
    workers: list[Worker] = field(default_factory=list)
    ended: bool = False
    _waiting: deque[int] = field(default_factory=deque)
    _done: dict[int, Result] = field(default_factory=dict)
    _deaths: Counter[int] = field(default_factory=Counter)

    def results(self) -> Iterator[Result]:
        """In the order of the chunks; what comes earlier waits."""
        self._waiting.extend(range(len(self.chunks)))
        for position in range(len(self.chunks)):
            self._hand_out()
            while position not in self._done:
                self._hear(LOOK)
                self._hand_out()
            self._hear(0)
            self._hand_out()
            yield self._done.pop(position)

    def _hand_out(self) -> None:
        while self._waiting and (free := self._free()):
            self._give(free, self._waiting.popleft())

    def _free(self) -> Worker | None:
        """Whom to give the next chunk: an idle worker, a further one, or one that has a single chunk so far.

        A second chunk lets it go on while the results' reader is busy, until few are left: those go to who is idle.
        """
        idle = next((each for each in self.workers if not each.given), None)
        if idle is None and len(self.workers) < self.roster.size:
            idle = self.roster.hire(self)
        if idle is None and len(self._waiting) > self.roster.size:
            idle = next((each for each in self.workers if len(each.given) == 1), None)
        return idle

    def _give(self, to: Worker, position: int) -> None:
        chunk = self.chunks[position]
        try:
            message = pickle.dumps((self.task, dict(chunk.arguments)), protocol=pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - a value may refuse in any way
            self._finish(position, None, f"its arguments cannot be sent: {error_line(error)}")
            return
        try:
            to.give(position, message, self.arrays)
        except worker.LineEnded:
            self._lose(to)

    def _hear(self, patience: float) -> None:
        """Takes what workers have answered, waiting up to ``patience`` seconds for the first answer."""
        busy = {each.line.fileno(): each for each in self.workers if each.given}
        if not busy:
            return
        poll = select.poll()
        for line in busy:
            poll.register(line, select.POLLIN)
        said = [busy[line] for line, _ in poll.poll(patience * 1000)]
        for each in said:
            self._take(each)
        if patience and not said:
            for each in busy.values():
                if each.is_dead():
                    self._lose(each)

    def _take(self, speaker: Worker) -> None:
        try:
            kind, body = worker.receive(speaker.line)
        except worker.LineEnded:
            self._lose(speaker)
            return
        position = speaker.given.popleft()
        if kind == worker.ERROR:
            self._finish(position, None, body.decode())
            return
        try:
            value = pickle.loads(body)  # noqa: S301 - the line leads to a process that we started
        except Exception as error:  # noqa: BLE001 - a value may refuse in any way
            self._finish(position, None, f"its value cannot be read: {error_line(error)}")
        else:
            self._finish(position, value)

    def _lose(self, dead: Worker) -> None:
        """The chunk that was running is suspected, those behind it are not; all of them go to other workers."""
        self.workers.remove(dead)
        how = dead.close()
        running, *behind = dead.given
        self._deaths[running] += 1
        self._waiting.extendleft(reversed(behind))
        if self._deaths[running] < ATTEMPTS:
            self._waiting.appendleft(running)
        else:
            self._finish(running, None, f"its worker died each of {ATTEMPTS} times, lastly with {how}")

    def _finish(self, position: int, value: Any, error: str | None = None) -> None:
        self._done[position] = Result(self.chunks[position].index, value, error)
