"""What happened, for the hooks that react."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class StateChange:
    """The agent or the trading state went from ``before`` to ``after``."""

    subject: str
    before: str
    after: str
    reason: str
    at: datetime


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    kind: str
    severity: Severity
    message: str
    at: datetime
