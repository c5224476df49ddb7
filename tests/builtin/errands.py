"""Tasks of ``test_executors`` beside those that every executor is tried with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any


def describe(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """All that is to know of each shared array."""
    return {
        name: (values.dtype, values.shape, values.tobytes(), values.flags.c_contiguous, values.flags.writeable)
        for name, values in shared.items()
    }


def function(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> Callable[[], int]:
    return lambda: 1


def imported(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> str:
    return " ".join(sys.modules)


def keep(arguments: Mapping[str, Any], shared: Mapping[str, Any]) -> list[int]:
    """Changes its arguments."""
    arguments["list"].append(arguments["number"])
    return list(arguments["list"])
