"""What happens on a worker of the cluster: the shared arrays of a map, and one chunk of it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from distributed import WorkerPlugin, get_worker

from ffe_core import error_line, run_task

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SharedArrays(WorkerPlugin):  # type: ignore[misc]
    """The arrays of one map, read-only. The scheduler hands them to every worker once, also to one that comes later."""

    def __init__(self, name: str, arrays: dict[str, NDArray[Any]]) -> None:
        self.name = name
        self.arrays = arrays

    def setup(self, worker: object) -> None:
        for values in self.arrays.values():
            values.flags.writeable = False


def run_chunk(payload: bytes, shared: str | None) -> tuple[bytes, None] | tuple[None, str]:
    """The pickled value of a pickled task and its arguments, or what went wrong; ``shared`` names ``SharedArrays``."""
    task, arguments = pickle.loads(payload)  # noqa: S301 - from whoever may use the cluster, and so run code on it
    arrays = get_worker().plugins[shared].arrays if shared else {}
    value, error = run_task(task, arguments, arrays)
    if error is not None:
        return None, error
    try:
        return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL), None
    except Exception as unsendable:  # noqa: BLE001 - a value may refuse in any way
        return None, f"its value cannot be sent: {error_line(unsendable)}"
