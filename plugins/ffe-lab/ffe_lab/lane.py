"""What a model said over a market, parsed and kept beside its cassette, so that a replay renders no prompt.

A lane is a file of JSON lines: the first says whose answers these are, each other one is an answer at one close, known
by that and by a digest of every bar that was complete then. Everything else that reaches the model is in the first
line, whose digest names the file: another model, another prompt or another setting is another lane. A lane is made of
the cassette's answers and can be made again; what it does not know is looked for there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from ffe_core import Action, Opinion, StoreError, VerificationFailed
from ffe_core.ai.files import only_writer
from ffe_core.domain.codec import canonical_json, plain

SCHEMA = 1
FOLDER = "lanes"
_SEAL = 16
#: texts are in the cassette; a vote has to have one all the same
_TOLD = "as the cassette has it"
_KEPT = (
    "model", "action", "confidence", "amount", "horizon", "calibratable", "latency_ms", "tokens_in", "tokens_out",
    "tokens_cached", "cost_usd", "error", "hint", "local", "asked",
)  # fmt: skip


@dataclass
class Lane:
    """The answers of one provider; ``about`` is all that reaches it but the market."""

    folder: Path
    about: Mapping[str, Any]
    _known: dict[tuple[int, str], Opinion] | None = field(default=None, init=False, repr=False)

    @cached_property
    def path(self) -> Path:
        return self.folder / FOLDER / f"{hashlib.sha256(self._head).hexdigest()[:32]}.jsonl"

    @cached_property
    def _head(self) -> bytes:
        return canonical_json({"schema": SCHEMA, "lane": self.about})

    @property
    def provider(self) -> str:
        return str(self.about["provider"])

    def get(self, close: int, bars: str) -> Opinion | None:
        """What was said at ``close`` (epoch milliseconds), when ``bars`` was the digest of all that was known.

        Its reasoning, prompt and reply are left where they were recorded.
        """
        return self.known.get((close, bars))

    @property
    def known(self) -> dict[tuple[int, str], Opinion]:
        """Raises ``VerificationFailed`` for a line that is not as it was written, ``StoreError``."""
        if self._known is None:
            self._known = self._read()
        return self._known

    def keep(self, close: int, bars: str, opinion: Opinion) -> None:
        """Adds an answer; the first one to the same question stays, as in a cassette. Raises ``StoreError``."""
        if (close, bars) in self.known:
            return
        row = {"at": close, "bars": bars, **_row(opinion)}
        with only_writer(self.folder):
            self._append(_sealed(canonical_json(row)))
        self.known[close, bars] = _opinion(self.provider, row)

    def _append(self, line: bytes) -> None:
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - 1))
                if size and file.read(1) != b"\n":
                    # What a process that was killed left of a line is no line.
                    file.seek(0)
                    size = file.read().rfind(b"\n") + 1
                    file.truncate(size)
                file.seek(size)
                file.write(line if size else _sealed(self._head) + line)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from error

    def _read(self) -> dict[tuple[int, str], Opinion]:
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise StoreError(f"{self.path} cannot be read: {error.strerror}") from error
        found: dict[tuple[int, str], Opinion] = {}
        # What follows the last line break is nothing, or a line that was never finished.
        for number, line in enumerate(text.split(b"\n")[:-1], 1):
            row = _checked(line, f"{self.path}:{number}")
            if number > 1:
                found.setdefault((row["at"], row["bars"]), _opinion(self.provider, row))
        return found


def _row(opinion: Opinion) -> dict[str, Any]:
    row: dict[str, Any] = {name: plain(getattr(opinion, name)) for name in _KEPT}
    return {**row, "prompted": opinion.prompt is not None}


def _opinion(provider: str, row: Mapping[str, Any]) -> Opinion:
    held = {name: row[name] for name in _KEPT}
    for name in ("amount", "cost_usd"):
        held[name] = None if held[name] is None else Decimal(held[name])
    held["action"] = None if held["action"] is None else Action(held["action"])
    return Opinion(provider=provider, reasoning=_TOLD, prompt=_TOLD if row["prompted"] else None, **held)


def without_texts(opinion: Opinion) -> Opinion:
    """The opinion as a lane gives it, so that a run is the same whether it asks or remembers."""
    return replace(opinion, reasoning=_TOLD, prompt=None if opinion.prompt is None else _TOLD, raw_reply=None)


def _sealed(row: bytes) -> bytes:
    return row[:-1] + b',"sha256":"' + hashlib.sha256(row).hexdigest()[:_SEAL].encode() + b'"}\n'


def _checked(line: bytes, place: str) -> dict[str, Any]:
    tail = len(b',"sha256":""}') + _SEAL
    row = line[:-tail] + b"}"
    if line == _sealed(row)[:-1]:
        made: dict[str, Any] = json.loads(line)
        return made
    raise VerificationFailed(
        f"{place} is not as this version wrote it", hint="remove the file: it is made anew of the cassette beside it"
    )
