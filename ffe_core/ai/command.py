"""Programs that are asked on standard input: run without a shell, with little to see, and never outlived.

A tool gets a home of its own, which keeps its sign-in, an empty folder to work in, and of the environment what it is
given. It runs in a process group that is ended with all of its children at the deadline, and whatever it did, no
process and no folder is left when a run returns. What it wrote is capped and decoded whatever it is; secrets that it
was given are taken out.
"""

from __future__ import annotations

import atexit
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ffe_core import logs
from ffe_core.ai import lifeline
from ffe_core.ai.lifeline import end_escaped, end_group, remove
from ffe_core.ai.reply import clean_reasoning
from ffe_core.domain.text import clean
from ffe_core.errors import ProviderFailed
from ffe_core.hookspecs import PluginContext
from ffe_core.ports import Readiness

MOST_BYTES = 4 << 20
#: tools that run at once in a process: each takes some 250 MB and seconds of a core, more only slow each other down
AT_ONCE = 2
#: of standard error only the end is kept: a tool may complain without end
_TAIL = 64 << 10
_MOST_LINES = 400
_REASON_LENGTH = 300
#: seconds between the request to end and the end
_PATIENCE = 0.5
#: seconds that children of a tool that has ended may still take to close its output
_LINGER = 0.2
#: seconds between two looks at whether a tool has ended
_TICK = 0.02
_BLANK = "***"
#: secrets shorter than this would blank ordinary words
_SHORTEST = 6
#: of our own environment, what a tool may know besides what it is given
_PASSED = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")
_FAULT = re.compile(r"\W*(?:\w*error|fatal|failed|failure|panic(?:ked)?)\b", re.IGNORECASE)
_STACK = re.compile(r"\s+at\s|\s*\^+\s*$|\s*node:|\s*file://|\s*throw\b")

_processes: set[subprocess.Popen[bytes]] = set()
_folders: set[Path] = set()
_lock = threading.Lock()
_over = threading.Event()
_turns = threading.BoundedSemaphore(AT_ONCE)


class ToolLate(ProviderFailed):
    """A tool that was ended at its deadline; ``complaint`` is what it had written to standard error until then."""

    complaint = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on the user's machine.

    ``name`` is what people call it, ``install`` the line that installs it, ``command`` its name on the path or its
    file. It lives in the state folder of the plugin whose ``context`` this is. ``environment`` is added to the little
    that every tool gets; the values named in ``secrets`` appear in no output, reason or repr.
    """

    name: str
    command: str
    install: str
    context: PluginContext = field(repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @property
    def home(self) -> Path:
        """What the tool takes for its home, where its sign-in stays; made on first use, for its owner alone."""
        folder = self.context.state_dir / "home"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def found(self) -> Path:
        """Its file. Raises ``ProviderFailed``, with how to install it, where there is none."""
        place = shutil.which(Path(self.command).expanduser() if self.command.startswith("~") else self.command)
        if place is None:
            missing = self.name if self.command == self.name else f"{self.name} ({self.command})"
            raise ProviderFailed(f"{missing} is not installed", hint=self.install)
        return Path(place).absolute()

    def in_home(self, command: str) -> str:
        """The line by which people run ``command`` in the tool's own home, as to sign in."""
        import shlex

        return f"HOME={shlex.quote(str(self.home))} {command}"

    @contextmanager
    def workplace(self) -> Iterator[Workplace]:
        """A folder for one question, gone afterwards."""
        folder = Path(tempfile.mkdtemp(prefix="ffe-tool-"))
        with _lock:
            _folders.add(folder)
        try:
            place = Workplace(self, folder)
            for inner in (place.cwd, place.temporary):
                inner.mkdir(mode=0o700)
            yield place
        finally:
            remove(folder)
            with _lock:
                _folders.discard(folder)

    def look(self, *, timeout: float) -> Readiness:
        """Whether it is installed and runs, by its ``--version``; asks no model."""
        try:
            with self.workplace() as place:
                ran = place.run(["--version"], timeout=timeout)
            if ran.code:
                raise ran.failure(hint=self.install)
            version = _short(ran.output.strip().partition("\n")[0]) or "a version that it does not tell"
            return Readiness(installed=True, detail=f"{version} at {self.found()}")
        except ProviderFailed as error:
            return Readiness(installed=False, detail=error.message, hint=error.hint)

    def blanked(self, text: str) -> str:
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST:
                text = text.replace(secret, _BLANK)
        return text


@dataclass(frozen=True, slots=True)
class ToolRun:
    """How a run ended: the exit ``code`` (negative: the signal that ended it) and what was written, as text."""

    tool: str
    code: int
    output: str = field(repr=False)
    complaint: str = field(repr=False)

    @property
    def reason(self) -> str:
        """The line of standard error that says most, clean and short; "" where nothing was said."""
        return _gist(self.complaint)

    def failure(self, reason: str = "", *, hint: str | None = None) -> ProviderFailed:
        """The error that tells this end: the exit code, and ``reason`` or what standard error says."""
        told = _short(reason) or self.reason
        ended = f"was ended by signal {-self.code}" if self.code < 0 else f"ended with code {self.code}"
        return ProviderFailed(f"{self.tool} {ended}: {told}" if told else f"{self.tool} {ended}", hint=hint)


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where one question is asked: ``cwd`` is empty, files for the tool lie beside it."""

    tool: Tool
    folder: Path

    @property
    def cwd(self) -> Path:
        return self.folder / "empty"

    @property
    def temporary(self) -> Path:
        """What the tool takes for the system's temporary folder, so that what it leaves goes with the rest."""
        return self.folder / "temporary"

    def write(self, name: str, text: str) -> Path:
        """A file for the tool; its absolute path."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def run(self, arguments: Sequence[str], *, text: str = "", timeout: float) -> ToolRun:
        """Runs the tool with ``text`` on its standard input; ``timeout`` in seconds holds for everything.

        Waits while ``AT_ONCE`` others run, as long as there is time. Raises ``ProviderFailed`` where the tool is not
        installed, cannot be run, has no turn or is not done in time (``ToolLate``) or writes more than 4 MiB. An exit
        code is not judged.
        """
        if os.name != "posix":
            raise ProviderFailed(f"{self.tool.name} can only be asked on Linux and macOS")
        if timeout <= 0:
            raise ProviderFailed(f"no time left to ask {self.tool.name}")
        # Ending takes a moment, which is taken from the time that there is.
        end = time.monotonic() + timeout - min(_PATIENCE, timeout / 10)
        command = [str(self.tool.found()), *arguments]
        if not _turns.acquire(timeout=max(0.0, end - time.monotonic())):
            raise ProviderFailed(f"{self.tool.name} had no turn within {timeout:.3g} s: {AT_ONCE} tools run at once")
        try:
            return self._ran(command, text, timeout, end)
        finally:
            _turns.release()

    def _ran(self, command: Sequence[str], text: str, timeout: float, end: float) -> ToolRun:
        process = self._start(command)
        talk = _Talk(process, text.encode("utf-8", "replace"), end)
        try:
            with _guard(process, self.folder):
                output, complaint = talk.finish()
        except TimeoutError:
            written = self._text(bytes(talk.complaint))
            said = _gist(written)
            late = f"{self.tool.name} gave no answer within {timeout:.3g} s"
            failed = ToolLate(f"{late}: {said}" if said else late)
            failed.complaint = written
            raise failed from None
        except OverflowError:
            raise ProviderFailed(f"{self.tool.name} wrote more than {MOST_BYTES >> 20} MiB") from None
        finally:
            _end(process)
            end_escaped(self.folder)
        return ToolRun(self.tool.name, process.returncode, self._text(output), self._text(complaint))

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        environment = self._environment()
        with _lock:
            if _over.is_set():
                raise ProviderFailed(f"{self.tool.name} was not asked: the program is ending")
            try:
                process = subprocess.Popen(  # noqa: S603 - an argument list, never a shell
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    cwd=self.cwd,
                    env=environment,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:
                told = getattr(error, "strerror", None) or str(error)
                raise ProviderFailed(f"{self.tool.name} cannot be run: {told}", hint=self.tool.install) from None
            _processes.add(process)
        return process

    def _environment(self) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED if name in os.environ}
        own = {"HOME": str(self.tool.home), "TMPDIR": str(self.temporary), "NO_COLOR": "1"}
        return {**passed, **self.tool.environment, **own}

    def _text(self, written: bytes) -> str:
        return self.tool.blanked(written.decode("utf-8", "replace"))


class _Talk:
    """Feeds a process and hears it, both at once: whoever waits for one side alone may wait for ever."""

    def __init__(self, process: subprocess.Popen[bytes], text: bytes, end: float) -> None:
        assert process.stdin and process.stdout and process.stderr  # noqa: S101 - all three are pipes
        self._process = process
        self._left = memoryview(text)
        self._end = end
        self._output = bytearray()
        self.complaint = bytearray()
        self._files: tuple[IO[bytes], IO[bytes], IO[bytes]] = (process.stdin, process.stdout, process.stderr)

    def finish(self) -> tuple[bytes, bytes]:
        """Both outputs. Raises ``TimeoutError`` and ``OverflowError``; the process may still be there then."""
        stdin, stdout, stderr = self._files
        try:
            with selectors.DefaultSelector() as selector:
                for file in self._files:
                    os.set_blocking(file.fileno(), False)
                selector.register(stdout, selectors.EVENT_READ, self._hear)
                selector.register(stderr, selectors.EVENT_READ, self._hear_complaint)
                selector.register(stdin, selectors.EVENT_WRITE, self._say)
                self._until_it_ends(selector)
        finally:
            for file in self._files:
                with suppress(OSError):
                    file.close()
        return bytes(self._output), bytes(self.complaint)

    def _until_it_ends(self, selector: selectors.BaseSelector) -> None:
        ended: float | None = None
        while True:
            now = time.monotonic()
            if ended is None and _has_ended(self._process):
                ended = now
            if ended is not None and (not _reads(selector) or now > ended + _LINGER):
                return
            if now >= self._end:
                raise TimeoutError
            if not selector.get_map():
                time.sleep(_TICK / 4)
                continue
            for key, _ in selector.select(_TICK):
                open_still: bool = key.data(key.fd)
                if not open_still:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()  # type: ignore[union-attr]

    def _say(self, fd: int) -> bool:
        try:
            self._left = self._left[os.write(fd, self._left[: 1 << 16]) :] if self._left else self._left
        except BlockingIOError:
            return True
        except OSError:
            # It does not want to hear the rest; its answer says what that means.
            return False
        return bool(self._left)

    def _hear(self, fd: int) -> bool:
        got = _read(fd)
        if got:
            self._output += got
            if len(self._output) > MOST_BYTES:
                raise OverflowError
        return got != b""

    def _hear_complaint(self, fd: int) -> bool:
        got = _read(fd)
        if got:
            self.complaint += got
            del self.complaint[:-_TAIL]
        return got != b""


def _gist(complaint: str) -> str:
    """The line that says most of all that a tool complained about: the first that names a fault, else the last."""
    lines = [line for line in complaint.splitlines()[-_MOST_LINES:] if clean(line[:200]) and not _STACK.match(line)]
    return _short(next((line for line in lines if _FAULT.match(line)), lines[-1] if lines else ""))


def _short(text: str) -> str:
    return clean_reasoning(logs.redact(text))[:_REASON_LENGTH].rstrip()


def _reads(selector: selectors.BaseSelector) -> bool:
    return any(key.events & selectors.EVENT_READ for key in selector.get_map().values())


def _read(fd: int) -> bytes | None:
    """What there is; ``None`` where nothing is yet, nothing where nothing will be."""
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole group: politely where it still runs, then for good. Children outlive a tool that has ended."""
    if not _has_ended(process):
        end_group(process.pid, signal.SIGTERM)
        patient = time.monotonic() + _PATIENCE / 2
        while not _has_ended(process) and time.monotonic() < patient:
            time.sleep(_TICK / 4)
    end_group(process.pid, signal.SIGKILL)
    with _lock:
        _processes.discard(process)
    process.wait()


@contextmanager
def _guard(process: subprocess.Popen[bytes], folder: Path) -> Iterator[None]:
    """Ends the run if this process is killed: a signal that cannot be caught leaves no time to do it ourselves."""
    command = [sys.executable, "-I", "-S", lifeline.__file__, str(process.pid), str(folder)]
    try:
        guard = subprocess.Popen(command, stdin=subprocess.PIPE, env={}, cwd="/", start_new_session=True)  # noqa: S603
    except OSError:
        # A machine that cannot start it is short of processes; the tool still ends at its deadline.
        yield
        return
    try:
        yield
    finally:
        # Before the tool is ended: the guard must not outlive the number that it was told.
        guard.kill()
        guard.communicate()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether it ended, without taking its exit code: until that is taken, nobody else can get its number."""
    if not hasattr(os, "waitid"):
        return process.poll() is not None
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@atexit.register
def _leave_nothing() -> None:
    """At the process's end threads stop where they are; their tools and folders must not stay behind."""
    with _lock:
        _over.set()
        for process in _processes:
            end_group(process.pid, signal.SIGKILL)
        folders = list(_folders)
    for folder in folders:
        end_escaped(folder)
        remove(folder)
