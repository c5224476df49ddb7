"""The measured side of a comparison: a process that runs named jobs on request and answers in JSON lines.

Every side, ffe's own too, is such a process, so that all are measured in the same way. Nothing but the standard library
is used here, because this also runs in the environments of the peers.
"""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Job(NamedTuple):
    """``work`` is measured; ``tell`` says afterwards, as JSON, what came of it."""

    work: Callable[..., Any]
    tell: Callable[[Any], Mapping[str, Any]]


def serve(jobs: Mapping[str, Job]) -> None:
    """Answers requests ``{"job": NAME, "with": {...}}`` until standard input ends; what jobs print goes elsewhere."""
    answers, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        try:
            job = jobs[request["job"]]
            result, taken = measured(job.work, request["with"])
            answer = {**taken, **job.tell(result)}
        except Exception:  # noqa: BLE001 - whoever asked prints it and stops
            answer = {"error": traceback.format_exc()}
        result = None
        print(json.dumps(answer), file=answers, flush=True)


def measured(work: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[Any, dict[str, float]]:
    """The result; seconds, CPU seconds of all threads, and bytes by which memory grew at most on the way to it."""
    gc.collect()
    _forget_peak()
    before = _memory("VmRSS") or _peak()
    cpu, began = time.process_time(), time.perf_counter()
    result = work(**arguments)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    return result, {"wall": wall, "cpu": cpu, "growth": max(0, _peak() - before)}


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Bytes in memory at most: since ``_forget_peak`` on Linux, elsewhere since the process began."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _memory("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _memory(field: str) -> int | None:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    return None
