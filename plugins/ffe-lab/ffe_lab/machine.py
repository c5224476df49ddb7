"""The two forms of the loop: in the interpreter over lists, and the same source as machine code over arrays.

Plain needs no compiler and no import of one, which is what a single cold command on some ten thousand bars wants.
Compiled is for long series and for many runs. Without fast-math both round at the same places, so the bits
agree.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from ffe_core.execution import fills
from ffe_lab import costs, loop, spans, spans_of_lists

#: bars in all from which compiling, or loading what was compiled, costs less than it saves in a fresh process
COMPILED_PAYS_FROM = 400_000

#: what is called from Python; everything else becomes part of them
ENTRY_POINTS = frozenset(
    "run run_gated finish remember walk first_unsound pauses run_together mark_together run_rows deepest".split()
)


@cache
def compiled(*modules: ModuleType) -> dict[str, Callable[..., Any]]:
    """The scalar functions of ``modules`` (none: the loop's) and of what they call, compiled together.

    What is cached on disk is named after all sources that went in: a change in one of them never meets old code. All
    share one room of names; raises ``ValueError`` where two modules mean different things by one.
    """
    import numba  # type: ignore[import-untyped]

    sources = (fills, costs, spans, loop, *modules)
    stamp = hashlib.sha256("".join(map(inspect.getsource, sources)).encode()).hexdigest()[:16]
    names = _one_room(sources)
    made: dict[str, Callable[..., Any]] = {}
    for function in _functions(sources):
        copy = FunctionType(function.__code__, names, function.__name__)
        copy.__qualname__ = f"{function.__name__}_{stamp}"
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
        # A call would hand over each of some twenty columns by seven words, at every fill.
        options["forceinline"] = function.__name__ not in ENTRY_POINTS
        try:
            kernel = numba.njit(cache=True, **options)(copy)
        except RuntimeError:
            # Neither the package's folder nor the user's can be written to: compile in every process instead.
            kernel = numba.njit(**options)(copy)
        names[function.__name__] = made[function.__name__] = kernel
    return made


@cache
def interpreted(*modules: ModuleType) -> dict[str, Callable[..., Any]]:
    """The same functions for the interpreter, over lists: their bars are passed over as ``spans_of_lists`` does it.

    Raises like ``compiled``.
    """
    sources = (fills, costs, spans, loop, *modules)
    names = _one_room(sources)
    made: dict[str, Callable[..., Any]] = {}
    for function in _functions(sources):
        names[function.__name__] = made[function.__name__] = FunctionType(function.__code__, names, function.__name__)
    quick = {function.__name__: function for function in _functions((spans_of_lists,))}
    names |= quick
    return made | quick


def _one_room(sources: Iterable[ModuleType]) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for module in sources:
        for name, value in vars(module).items():
            if not name.startswith("__") and repr(names.get(name, value)) != repr(value):
                raise ValueError(f"{module.__name__}.{name} has another meaning in a module that it is compiled with")
        names |= vars(module)
    return names


def _functions(modules: Iterable[ModuleType]) -> Iterable[FunctionType]:
    """Every scalar function: what a module defines itself and marks by taking no keyword and no default."""
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, FunctionType) and value.__module__ == module.__name__ and _is_scalar(value):
                yield value


def _is_scalar(function: FunctionType) -> bool:
    # The functions of ``costs`` that make arrays stay in Python.
    return function.__name__ not in {"thin_hours", "delays"}
