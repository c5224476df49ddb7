"""Tasks, as every executor runs them: functions of a chunk's arguments and the shared arrays, known by their name.

Workers import this module before anything else, so it imports next to nothing itself.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ffe_core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: what is kept of a failed task's message: numerical libraries explain themselves on whole pages
ERROR_LENGTH = 1000

type Task = Callable[[Mapping[str, Any], Mapping[str, NDArray[Any]]], Any]


def find_task(task: str) -> Task:
    """The function that ``package.module:function`` names. Raises ``UsageError`` where there is none."""
    module, _, function = task.partition(":")
    try:
        found: Task = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"no task {task!r}: {error}", hint="a task is written package.module:function") from error
    return found


def run_task(
    task: str, arguments: Mapping[str, Any], shared: Mapping[str, NDArray[Any]]
) -> tuple[Any, None] | tuple[None, str]:
    """The value of ``task`` and ``None``, or ``None`` and the line that says what it raised.

    A task that does not exist or calls ``sys.exit`` has failed as well; only an interrupt passes.
    """
    try:
        return find_task(task)(arguments, shared), None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a chunk's failure is its result
        return None, error_line(error)


def error_line(error: BaseException) -> str:
    """``ValueError: what it said``, on one line of at most ``ERROR_LENGTH`` characters."""
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return line if len(line) <= ERROR_LENGTH else f"{line[: ERROR_LENGTH - 3]}..."


def lend_arrays(shared: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """``shared`` as tasks may see it: C-contiguous and read-only, so that a sum has the same bits in every executor.

    Nothing is copied that is contiguous already. Raises ``UsageError`` for an array of Python objects.
    """
    return {name: _lent(name, values) for name, values in shared.items()}


def _lent(name: str, values: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if values.dtype.hasobject:
        raise UsageError(f"shared array {name} holds Python objects", hint="share numbers, dates or fixed-width texts")
    view = np.asarray(values, order="C").view()
    view.flags.writeable = False
    return view
