"""Tasks that ``ExecutorContract`` has executors run; each takes a chunk's arguments and the shared arrays."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
