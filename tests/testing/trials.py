"""Running a contract by hand, to see which of its checks an object breaks."""

from __future__ import annotations

from typing import Any

import pytest

from ffe_core.testing import Checks, ContractBroken


def contract(kind: type[Checks], factory: Any = None, **given: Any) -> type[Checks]:
    """A subclass of ``kind`` as an author would write it."""
    body = {name: staticmethod(value) if callable(value) else value for name, value in given.items()}
    if factory is not None:
        body["factory"] = staticmethod(factory)
    return type("Tried", (kind,), body)


def broken_checks(kind: type[Checks]) -> dict[str, str]:
    """Names of the checks that did not hold, with what they said; a crash of the object counts too."""
    names = [name for name in dir(kind) if name.startswith("test_")]
    return {name: told for name in names if (told := outcome(kind, name)) is not None}


def outcome(kind: type[Checks], check: str) -> str | None:
    """What the check says of the object; ``None`` where it holds or does not apply."""
    try:
        getattr(kind(), check)()
    except pytest.skip.Exception:
        return None
    except ContractBroken as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def said_by(kind: type[Checks], check: str) -> str:
    """What the contract says of the check ``check``; fails where it held."""
    told = outcome(kind, check)
    assert told is not None, f"{check} held"
    return told
