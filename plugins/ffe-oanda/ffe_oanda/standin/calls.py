"""What a call may say, and the error status that it gets otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ffe_oanda.standin.market import INSTRUMENTS


class BadCall(Exception):
    """An error status with its body."""

    def __init__(self, status: int, body: Mapping[str, Any]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


def complained(status: int, message: str) -> BadCall:
    return BadCall(status, {"errorMessage": message})


class Query:
    """The parameters of a call; anything that is not known there is refused, which shows slips of the pen."""

    def __init__(self, given: dict[str, str], known: set[str]) -> None:
        self._given = given
        for name in given:
            if name not in known:
                raise complained(400, f"Invalid parameter '{name}'")

    def one_of(self, name: str, known: Any, default: str) -> str:
        value = self._given.get(name, default)
        if value not in known:
            raise complained(400, f"Invalid value specified for '{name}'")
        return value

    def whole(self, name: str, default: int) -> int:
        value = self._given.get(name, str(default))
        if not re.fullmatch(r"\d{1,12}", value):
            raise complained(400, f"Invalid value specified for '{name}'")
        return int(value)

    def instant(self, name: str) -> datetime | None:
        value = self._given.get(name)
        if value is None:
            return None
        found = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?Z", value)
        if found is None:
            raise complained(400, f"Invalid value specified for '{name}'")
        return datetime.fromisoformat(found[1] + (found[2] or "")[:7] + "+00:00")

    def instruments(self) -> list[str]:
        names = self._given.get("instruments", "").split(",")
        if any(name not in INSTRUMENTS for name in names):
            raise complained(400, "Invalid value specified for 'instruments'")
        return names
