"""What is left of a tool's run, and how it is cleared away; as a script, the guard that outlives a killed ffe.

The guard is started beside each tool and reads a pipe that nobody writes to: it ends when the process that holds the
other end is gone, however it went. Standard library only, because it is run as a file of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

#: seconds to wait for what was killed to be gone
LINGER = 0.2
TICK = 0.005


def end_group(leader: int, number: signal.Signals) -> None:
    """Signals a process group; nothing happens where there is none."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def end_escaped(folder: Path) -> None:
    """Ends what left the group, and waits for it; where /proc tells, as on Linux."""
    end = time.monotonic() + LINGER
    while (found := _escaped(folder)) and time.monotonic() < end:
        for number in found:
            with suppress(OSError):
                os.kill(number, signal.SIGKILL)
        time.sleep(TICK)


def _escaped(folder: Path) -> list[int]:
    """Processes that have the run's temporary folder in their environment."""
    mark = os.fsencode(f"TMPDIR={folder}{os.sep}")
    found = []
    with suppress(FileNotFoundError):
        # Every run ends with this: paths as text take half the time of Path.
        for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
            with suppress(OSError), open(f"/proc/{name}/environ", "rb") as environment:  # noqa: PTH123
                if mark in environment.read():
                    found.append(int(name))
    return found


def remove(folder: Path) -> None:
    """Removes a folder, also where a tool has taken away our right to delete what it made."""

    def unlock(remove: Callable[[str], object], path: str, _error: BaseException) -> None:
        with suppress(OSError):
            Path(path).parent.chmod(0o700)
            if not Path(path).is_symlink():
                Path(path).chmod(0o700)
            remove(path) if remove is os.unlink else shutil.rmtree(path, ignore_errors=True)

    shutil.rmtree(folder, onexc=unlock)


def main(leader: int, folder: Path) -> None:
    """Waits for the end of ffe, then ends the group of ``leader`` and all that belongs to the run in ``folder``."""
    os.read(0, 1)
    end_group(leader, signal.SIGKILL)
    end_escaped(folder)
    remove(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
