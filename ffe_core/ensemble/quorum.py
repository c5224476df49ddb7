"""How much a verdict's confidence shrinks when part of the panel is missing.

Products are taken in rationals and truncated once per factor: ``int(90 * 0.7)`` is 62 in floats, and 63 in truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

QUORUM_FACTOR = Fraction(7, 10)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """``factor`` is the product of what was applied, 1 where nothing was."""

    confidence: int
    factor: Fraction
    quorum_met: bool
    quorum_penalty: bool
    failure_factor: Fraction


def failure_factor(active: int, total: int) -> Fraction:
    """0.7 + 0.3 x the share that answered."""
    return Fraction(7, 10) + Fraction(3, 10) * Fraction(active, total)


def adjust(confidence: int, *, active: int, total: int, active_local: int, min_local: int) -> Adjustment:
    """Quorum first, then failures; a panel of one is taken at its word."""
    quorum_met = active_local >= min_local
    if total <= 1:
        return Adjustment(confidence, Fraction(1), quorum_met, False, Fraction(1))
    shrunk = confidence if quorum_met else int(confidence * QUORUM_FACTOR)
    failures = failure_factor(active, total)
    return Adjustment(
        confidence=int(shrunk * failures),
        factor=failures * (1 if quorum_met else QUORUM_FACTOR),
        quorum_met=quorum_met,
        quorum_penalty=not quorum_met,
        failure_factor=failures,
    )
