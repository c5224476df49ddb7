"""The trial ledger: how many configurations were tried on a market before one of them looked good.

A file of JSON lines for each asset. A line holds trials of one calendar span, so that a sweep is a line and not a
thousand: ``{"start": ms, "end": ms, "trials": [["digest", sharpe or null], ...]}``. What is known already is not
written again, so the files grow with what was tried and not with how often commands ran.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import variance
from typing import Any

from ffe_core import StoreError

#: seconds to wait for another process
PATIENCE = 15.0
#: bytes of a line at most, so that reading takes little memory whatever a file holds; a writer stays far below
_LONGEST_LINE = 1 << 20
_TRIALS_OF_A_LINE = 10_000
_DIGEST = re.compile(r"[0-9a-f]{16}")

type Sharpes = Mapping[str, float | None]
type Trials = dict[str, float | None]
type Line = tuple[Span, Trials]


@dataclass(frozen=True, slots=True)
class Tried:
    """``count`` distinct configurations, ``variance`` of their per-period Sharpe ratios (ddof 1) if two are known."""

    count: int
    variance: float | None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} trials is none; the run that is judged is one")


@dataclass(frozen=True, slots=True)
class Span:
    """A calendar span in epoch milliseconds, ``end`` not included."""

    start: int
    end: int

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise ValueError("a span of trials ends before it begins")

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


def digest_of(configuration: Mapping[str, Any]) -> str:
    """The name of a configuration: 16 hexadecimal digits, the same for the same content in any order of its keys.

    Raises ``ValueError`` for what JSON cannot hold and for numbers that are none.
    """
    try:
        text = json.dumps(configuration, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    except TypeError as error:
        raise ValueError(f"a configuration cannot be named: {error}") from error
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class TrialLedger:
    """What was tried, in ``folder``, a file for each asset. Several processes may use it at once."""

    folder: Path

    def record(self, asset: str, span: Span, sharpes: Sharpes, *, pinned: int | None = None) -> Tried:
        """Adds configurations (``digest_of``: per-period Sharpe ratio or ``None``) and counts what was tried by now.

        Counted are the distinct configurations of every span of ``asset`` that overlaps ``span``, the added ones
        included; their Sharpe ratios are the last ones known. ``pinned`` replaces the count, not the variance. Raises
        ``StoreError`` where the ledger cannot be read or written, ``ValueError`` for what is no digest.
        """
        if not all(_DIGEST.fullmatch(digest) for digest in sharpes):
            raise ValueError("a trial is named by digest_of(configuration)")
        path = self._path(asset)
        known = list(_lines(path))
        fresh = _fresh(known, span, sharpes)
        # Where nothing is to be written nobody has to be locked out, which saves the import of what locks.
        if fresh:
            with self._alone(path):
                known = list(_lines(path))
                fresh = _fresh(known, span, sharpes)
                _append(path, span, fresh)
        return _tried([*known, (span, fresh)], span, pinned)

    def tried(self, asset: str, span: Span, *, pinned: int | None = None) -> Tried | None:
        """What was tried on ``asset`` in spans that overlap ``span``; ``None`` for nothing. Raises ``StoreError``."""
        known = list(_lines(self._path(asset)))
        return _tried(known, span, pinned) if any(line.overlaps(span) for line, _ in known) else None

    def _path(self, asset: str) -> Path:
        plain = re.fullmatch(r"[A-Za-z0-9_]{1,64}", asset)
        return self.folder / f"{asset if plain else hashlib.sha256(asset.encode()).hexdigest()[:32]}.jsonl"

    @contextmanager
    def _alone(self, path: Path) -> Iterator[None]:
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock"), timeout=PATIENCE, mode=0o600):
                yield
        except Timeout as error:
            raise StoreError(f"another process keeps {path} locked", hint="try again when it has ended") from error
        except OSError as error:
            raise StoreError(
                f"{path} cannot be used: {error.strerror}", hint="check its folder and the disk"
            ) from error


def _fresh(known: list[Line], span: Span, sharpes: Sharpes) -> Trials:
    """What of ``sharpes`` is to be written: what the lines of this span do not say already."""
    same = {digest: value for line, trials in known if line == span for digest, value in trials.items()}
    numbers = {digest: _number(value) for digest, value in sharpes.items()}
    return {digest: value for digest, value in numbers.items() if digest not in same or _differs(same[digest], value)}


def _tried(known: list[Line], span: Span, pinned: int | None) -> Tried:
    found: Trials = {}
    for line, trials in known:
        if line.overlaps(span):
            found.update(
                (digest, value) for digest, value in trials.items() if value is not None or digest not in found
            )
    sharpes = [value for value in found.values() if value is not None]
    return Tried(pinned if pinned is not None else len(found), variance(sharpes) if len(sharpes) > 1 else None)


def _lines(path: Path) -> Iterator[Line]:
    """Every whole line; one that a crash or a full disk left torn is passed over."""
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                if (read := _read(line)) is not None:
                    yield read
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint="check its owner and mode") from error


def _read(line: bytes) -> Line | None:
    try:
        entry = json.loads(line)
        span = Span(int(entry["start"]), int(entry["end"]))
        return span, {str(digest): _number(value) for digest, value in entry["trials"]}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _append(path: Path, span: Span, trials: Trials) -> None:
    listed = list(trials.items())
    lines = [
        json.dumps({"start": span.start, "end": span.end, "trials": listed[begin : begin + _TRIALS_OF_A_LINE]})
        for begin in range(0, len(listed), _TRIALS_OF_A_LINE)
    ]
    if not lines:
        return
    with path.open("ab+") as file:
        end = file.seek(0, 2)
        torn = end > 0 and (file.seek(end - 1), file.read(1))[1] != b"\n"
        file.write(("\n" if torn else "").encode() + "".join(line + "\n" for line in lines).encode())


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _differs(known: float | None, value: float | None) -> bool:
    return value is not None and value != known
