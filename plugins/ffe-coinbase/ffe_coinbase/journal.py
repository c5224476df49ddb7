"""Where reading of fills goes on: the venue has no cursor of its own that outlives a list.

Fills are asked for from a little before the newest one that was told, because one may show itself after a later one;
those of that stretch that were told already are remembered by their ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ffe_coinbase.parse import VenueFill
from ffe_core import PlatformError

#: how much later than a newer one a fill may show itself
OVERLAP = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Cursor:
    """``newest``: time of the newest fill that was told; ``seen``: ids of those within the overlap before it."""

    newest: datetime | None = None
    seen: frozenset[str] = frozenset()
    #: their times, so that old ones can be forgotten
    times: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, text: str | None) -> Cursor:
        """Raises ``PlatformError`` for a text that was never a cursor: reading on from nowhere would book twice."""
        if not text:
            return cls()
        try:
            found = json.loads(text)
            times = tuple((str(name), str(at)) for name, at in found["seen"])
            newest = datetime.fromisoformat(found["newest"]) if found["newest"] else None
        except (ValueError, KeyError, TypeError):
            raise PlatformError(f"coinbase: {text!r:.60} is no cursor of fills") from None
        return cls(newest, frozenset(name for name, _ in times), times)

    @property
    def asked(self) -> dict[str, str]:
        return {} if self.newest is None else {"start_sequence_timestamp": iso(self.newest - OVERLAP)}

    @property
    def text(self) -> str:
        newest = None if self.newest is None else iso(self.newest)
        return json.dumps({"newest": newest, "seen": [list(each) for each in self.times]}, separators=(",", ":"))

    def after(self, fills: Iterable[VenueFill]) -> Cursor:
        """Once ``fills`` were told as well."""
        times = {name: datetime.fromisoformat(at) for name, at in self.times}
        times |= {fill.id: fill.at for fill in fills}
        if not times:
            return self
        newest = max(times.values())
        kept = sorted((at, name) for name, at in times.items() if at >= newest - OVERLAP)
        return Cursor(newest, frozenset(name for _, name in kept), tuple((name, iso(at)) for at, name in kept))


def iso(at: datetime) -> str:
    """RFC 3339, as the API takes it."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
