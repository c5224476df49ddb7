"""Tasks that ``ExecutorContract`` has executors run; each takes a chunk's arguments and the shared arrays."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: every array that ``locate`` was shown, so that no other can lie where it lay
_SEEN: list[Any] = []


def square(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """The square of ``number``, after ``pause`` seconds."""
    time.sleep(float(arguments.get("pause", 0.0)))
    return int(arguments["number"]) ** 2


def weigh(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> float:
    """``factor`` times the sum of the shared array ``weights``."""
    return float(arguments["factor"]) * float(shared["weights"].sum())


def scribble(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    """Writes into the shared array ``weights``, which an executor refuses or keeps from the caller."""
    try:
        shared["weights"][0] = -1.0
    except ValueError:
        return "refused"
    return "written"


def stumble(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Raises for ``number`` 2, squares any other."""
    if arguments["number"] == 2:
        raise ValueError("two is too much")
    return square(arguments, shared)


def die_once(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Kills its process the first time that ``number`` 1 is tried; ``marker`` is the file that remembers."""
    marker = Path(arguments["marker"])
    if arguments["number"] == 1 and not marker.exists():
        marker.touch()
        os._exit(1)
    return square(arguments, shared)


def die_always(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Kills its process whenever ``number`` is 1; each time, ``marker`` is a line longer."""
    if arguments["number"] == 1:
        with Path(arguments["marker"]).open("a", encoding="utf-8") as file:
            file.write("died\n")
        os._exit(1)
    return square(arguments, shared)


def leave(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Calls ``sys.exit`` for ``number`` 1, squares any other."""
    if arguments["number"] == 1:
        sys.exit("one had enough")
    return square(arguments, shared)


def locate(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> tuple[int, int]:
    """The process, and where in its memory the shared array ``weights`` lies."""
    _SEEN.append(shared["weights"])
    time.sleep(0.02)
    return os.getpid(), int(shared["weights"].ctypes.data)


def walk(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """Sums along both axes of the shared array ``steps``, a random walk of ``seed``, and figures that are no number."""
    import numpy as np

    drawn = np.random.Generator(np.random.Philox(key=arguments["seed"])).standard_normal(1000)
    odd = np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324])
    return {"sums": [shared["steps"].sum(axis) for axis in (0, 1)], "walk": drawn.cumsum(), "odd": odd, "none": None}


def tick(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Leaves a file named after its process and ``number`` in ``folder``, and works for ``pause`` seconds."""
    (Path(arguments["folder"]) / f"{os.getpid()}-{arguments['number']}").touch()
    return square(arguments, shared)


def chat(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> int:
    """Prints, writes to descriptor 1, and has a program of its own do so."""
    print("a task speaks", flush=True)  # noqa: T201 - that it may is what is tried
    os.write(1, b"a descriptor speaks\n")
    return os.system("echo a program speaks")  # noqa: S605, S607
