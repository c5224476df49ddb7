"""Clusters: one that is there already, or one of this machine's processors. Imports Dask."""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any

import dask
from distributed import Client, LocalCluster, Security

from ffe_core import FfeError
from ffe_dask import nannies

#: seconds until a scheduler has answered
ANSWER = 10.0
#: seconds until the workers on this machine have come
START = 60.0
#: the second death of a chunk's worker makes the chunk suspect
ALLOWED_FAILURES = 1


class Existing:
    """A cluster that others keep: what runs there is theirs to end."""

    def __init__(self, address: str) -> None:
        try:
            self.client = Client(address, timeout=ANSWER, set_as_default=False)
        except (OSError, ValueError, ImportError) as error:
            hint = "plugins.dask.address is the scheduler's, such as tcp://10.0.0.5:8786"
            raise FfeError(f"no Dask scheduler answers at {address}: {error}", hint=hint) from error

    def busy_with(self, keys: Iterable[str]) -> list[str]:
        """Nobody that may be stopped: a chunk that runs already runs to its end, and its value is dropped."""
        return []

    def stop(self, workers: Sequence[str]) -> None:
        """Others work there as well."""

    def close(self) -> None:
        self.client.close()


class Local:
    """A scheduler in this process, and ``workers`` processes with one thread each, all talking TLS of their own."""

    def __init__(self, workers: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ffe-dask-", ignore_cleanup_errors=True)
        # What ends with the cluster is told after its silence has ended.
        logging.getLogger("distributed.core").setLevel(logging.WARNING)
        # Whoever reaches a scheduler runs code as its user, and loopback is open to every user of the machine.
        security = Security.temporary()
        with dask.config.set(nannies.QUIET):
            self._cluster = LocalCluster(
                n_workers=0,
                host="127.0.0.1",
                protocol="tls",
                security=security,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                scheduler_kwargs={"dashboard": False, "allowed_failures": ALLOWED_FAILURES},
            )
        self.client = Client(self._cluster, set_as_default=False)
        self._nannies = _start(
            {
                "path": sys.path,
                "address": self._cluster.scheduler_address,
                "workers": workers,
                "folder": self._folder.name,
                "security": _told(security),
            }
        )
        # Before Dask's own: it would not know of the nannies.
        atexit.register(self.close)
        self._await(workers)

    def busy_with(self, keys: Iterable[str]) -> list[str]:
        """The addresses of workers that have one of the chunks ``keys``."""
        ours = set(keys)
        return [worker for worker, running in self.client.processing().items() if ours.intersection(running)]

    def stop(self, workers: Sequence[str]) -> None:
        """Kills ``workers``; others take their place."""
        if workers:
            self.client.restart_workers(workers, timeout=START)

    def close(self) -> None:
        atexit.unregister(self.close)
        self.client.close()
        self._end()
        self._cluster.close()
        self._folder.cleanup()

    def _await(self, workers: int) -> None:
        until = time.monotonic() + START
        while len(self._cluster.scheduler.workers) < workers:
            if self._nannies.poll() is not None or time.monotonic() > until:
                self.close()
                raise FfeError(f"{workers} Dask workers did not start within {START:g} s on this machine")
            time.sleep(0.02)

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._nannies.pid, signal.SIGKILL)
        self._nannies.wait()
        assert self._nannies.stdin is not None  # noqa: S101 - it was started with a pipe
        self._nannies.stdin.close()


def _start(given: dict[str, Any]) -> subprocess.Popen[bytes]:
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and file
            [sys.executable, "-u", "-P", nannies.__file__],
            stdin=subprocess.PIPE,
            stdout=_standard_error(),
            start_new_session=True,
        )
    except OSError as error:
        raise FfeError(f"no Dask workers can be started: {error}") from error
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(json.dumps(given).encode() + b"\n")
        process.stdin.flush()
    return process


def _told(security: Security) -> dict[str, Any]:
    """The certificate and key that all of the cluster share, in memory only."""
    names = ("tls_ca_file", "tls_scheduler_cert", "tls_scheduler_key", "tls_worker_cert", "tls_worker_key")
    told: dict[str, Any] = {name: getattr(security, name) for name in names}
    return {**told, "require_encryption": True}


def _standard_error() -> int:
    """Where the workers' standard output goes: the starter's own belongs to results."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2
