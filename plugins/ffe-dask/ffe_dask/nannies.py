"""The program that keeps the workers of a cluster on this machine: one nanny each, which starts anew what died.

It is a program of its own, so that workers import neither the starter's main module nor write to its standard output.
What it needs comes as one line of JSON on standard input; at the end of that it kills its process group, and so no
worker outlives its starter.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

#: no pages about the cluster, which would be open to everybody, and nobody who looks on a hundred times a second
QUIET: dict[str, Any] = {"distributed.scheduler.http.routes": [], "distributed.worker.profile.enabled": False}


async def keep(given: Mapping[str, Any]) -> None:
    """``workers`` of the scheduler at ``address``, each a process with one thread; returns when all have left."""
    import dask
    from distributed import Nanny, Security

    dask.config.set(QUIET)
    security = Security(**given["security"])
    async with contextlib.AsyncExitStack() as stack:
        nannies = [
            Nanny(
                given["address"],
                nthreads=1,
                host="127.0.0.1",
                local_directory=given["folder"],
                # Dask pauses or kills a worker by its own idea of memory; a paused one never gives its chunk back.
                memory_limit=0,
                security=security,
                dashboard=False,
                silence_logs=logging.CRITICAL,
            )
            for _ in range(given["workers"])
        ]
        await asyncio.gather(*(stack.enter_async_context(nanny) for nanny in nannies))
        await asyncio.gather(*(nanny.finished() for nanny in nannies))


def main() -> None:
    given = json.loads(sys.stdin.buffer.readline())
    sys.path[:] = given["path"]
    threading.Thread(target=_watch, name="ffe starter", daemon=True).start()
    asyncio.run(keep(given))


def _watch() -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
