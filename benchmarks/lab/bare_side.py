"""The bare loops as a side of the comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import bare
import numpy as np
import series
from serve import Job, serve


@cache
def columns(path: str) -> series.Columns:
    return series.read(path)


def load(path: str) -> int:
    return len(columns(path)["close"])


def cross(path: str, fast: int = 10, slow: int = 30) -> Any:
    bars = columns(path)
    return bare.crossing(bars["open"], bars["close"], fast, slow)


def told(result: Any) -> Mapping[str, Any]:
    return {"count": len(result[0]), "final": float(result[5][-1])}


def rows(result: Any) -> Mapping[str, Any]:
    return {
        "entry": result[0].tolist(),
        "exit": result[1].tolist(),
        "paid": result[2].tolist(),
        "got": result[3].tolist(),
    }


def noisy(path: str, paths: int, noise: float, seed: int) -> Any:
    bars = columns(path)
    return bare.noisy(bars["open"], bars["close"], paths, noise, seed)


def sweep(path: str, pairs: Sequence[tuple[int, int]]) -> Any:
    bars = columns(path)
    return np.array([bare.outcome(bars["open"], bars["close"], *pair) for pair in pairs])


def ends(result: Any) -> Mapping[str, Any]:
    return {"finals": result.tolist()}


if __name__ == "__main__":
    serve(
        {
            "load": Job(load, lambda bars: {"bars": bars}),
            "cross": Job(cross, told),
            "cross trades": Job(cross, rows),
            "noisy": Job(noisy, ends),
            "sweep": Job(sweep, ends),
        }
    )
