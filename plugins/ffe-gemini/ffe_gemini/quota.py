"""Until when a model has no more questions for today, remembered from one command to the next."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from ffe_core import ProviderFailed

FILE = "spent.json"
#: where the service's day begins at midnight
ZONE = "America/Los_Angeles"


class Quota:
    """``folder`` is the plugin's own. Losing the file costs one refused question, so that nothing here ever raises."""

    def __init__(self, folder: Path, model: str, key: str) -> None:
        self._path = folder / FILE
        # Another key has questions of its own; what is written down must not give it away.
        self._name = f"{model} {hashlib.sha256(f'{model} {key}'.encode()).hexdigest()[:12]}"

    def spent_until(self, now: datetime) -> datetime | None:
        """When there will be questions again; ``None`` where there are some now."""
        until = self._read().get(self._name)
        try:
            ends = datetime.fromisoformat(until) if isinstance(until, str) else None
        except ValueError:
            return None
        # A date beyond tomorrow was written by a clock that was wrong.
        if ends is None or ends.tzinfo is None or not now < ends <= now + timedelta(hours=26):
            return None
        return ends

    def spend(self, now: datetime) -> datetime:
        """No more questions until the service's midnight, which is returned, in UTC."""
        here = now.astimezone(ZoneInfo(ZONE))
        midnight = datetime.combine(here.date() + timedelta(days=1), datetime.min.time(), ZoneInfo(ZONE))
        until = midnight.astimezone(UTC)
        with contextlib.suppress(OSError):
            self._write({**self._read(), self._name: until.isoformat()})
        return until

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, known: dict[str, object]) -> None:
        """Whole or not at all: another command may be reading."""
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=f"{FILE}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(known, file)
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def spent(model: str, until: datetime) -> ProviderFailed:
    """That there are no more questions before ``until``."""
    return ProviderFailed(
        f"today's questions to {model} are spent; there are new ones from {until:%Y-%m-%dT%H:%M:%SZ}",
        hint="another plugins.gemini.model has its own, and a paid key has more",
    )
