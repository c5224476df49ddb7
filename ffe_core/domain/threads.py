"""Work that can be left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


def start[T](function: Callable[[], T], *, name: str) -> Future[T]:
    """Runs ``function`` on a daemon thread that feeds the future.

    A pool's workers are joined when the process exits, so that one hung call would hold up the prompt; a daemon
    thread is left behind. Whatever is raised, also ``SystemExit``, ends in the future.
    """
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001 - the future is where it belongs
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
