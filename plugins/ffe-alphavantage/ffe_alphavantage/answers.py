"""Answers kept from one command to the next, because calls are few. Without the key, in name and content."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ffe_core.http import decode_json

#: what nobody has asked for again by then goes
_OLD = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Answer:
    """``at``: when it came."""

    body: Mapping[str, Any]
    at: datetime


class Answers:
    """A folder with a file per question; what cannot be read or written is as if it were not there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._swept = False

    def get(self, question: str) -> Answer | None:
        try:
            stamp, _, text = (self._folder / question).read_bytes().partition(b"\n")
            at, body = datetime.fromisoformat(stamp.decode("ascii")), decode_json(text)
        except (OSError, ValueError):
            return None
        return Answer(body, at) if isinstance(body, dict) and at.tzinfo is not None else None

    def put(self, question: str, at: datetime, text: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            handle, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(at.isoformat().encode("ascii") + b"\n" + text)
            Path(name).replace(self._folder / question)
        except OSError:
            # A full disk costs calls, not answers.
            return

    def _sweep(self) -> None:
        if self._swept:
            return
        self._swept = True
        for each in self._folder.iterdir():
            # The age of a file, not of what it tells: the machine's own clock wrote it.
            if time.time() - each.stat().st_mtime > _OLD.total_seconds():
                each.unlink(missing_ok=True)


def question_of(base_url: str, params: Mapping[str, str]) -> str:
    """The name under which the answer to ``params``, which do not hold the key, is kept."""
    asked = json.dumps([base_url, sorted(params.items())])
    return hashlib.sha256(asked.encode()).hexdigest()
