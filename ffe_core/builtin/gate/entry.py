"""What the rules on entries have in common: exits pass, a rule can be switched off, and a finding is signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ffe_core import Clearance, Proposal, Prospect, RiskContext, Ruling, RulingOutcome

type Judge = Callable[[Proposal, RiskContext], Ruling]
type Clears = Callable[[Prospect], Clearance]
type Inputs = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class EntryRule:
    """A rule that judges entries alone. ``judge`` leaves its finding unsigned, ``clears`` says where it will pass.

    ``risk.rules.NAME`` in the settings switches a rule off, where that key is there.
    """

    name: str
    judge: Judge
    clears: Clears | None = None

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if proposal.is_exit:
            finding = passed("exits always pass")
        elif self._is_off(context.settings):
            finding = not_applicable(f"switched off (risk.rules.{self.name})")
        else:
            finding = self.judge(proposal, context)
        return Ruling(self.name, finding.outcome, finding.reason, finding.before, finding.after, finding.inputs)

    def clearance(self, prospect: Prospect) -> Clearance:
        if self._is_off(prospect.settings):
            return Clearance()
        return Clearance(where=False) if self.clears is None else self.clears(prospect)

    def _is_off(self, settings: Mapping[str, Any]) -> bool:
        return not settings.get("rules", {}).get(self.name, True)


def passed(reason: str = "", inputs: Inputs | None = None) -> Ruling:
    return Ruling("", RulingOutcome.PASSED, reason, inputs=inputs or {})


def vetoed(reason: str, inputs: Inputs | None = None) -> Ruling:
    return Ruling("", RulingOutcome.VETOED, reason, inputs=inputs or {})


def unavailable(reason: str, inputs: Inputs | None = None) -> Ruling:
    return Ruling("", RulingOutcome.UNAVAILABLE, reason, inputs=inputs or {})


def not_applicable(reason: str) -> Ruling:
    return Ruling("", RulingOutcome.NOT_APPLICABLE, reason)


def clamped(reason: str, before: Decimal, after: Decimal, inputs: Inputs | None = None) -> Ruling:
    return Ruling("", RulingOutcome.CLAMPED, reason, before, after, inputs or {})


def exact(value: float | Decimal) -> Decimal:
    """The decimal that a setting was written as, not the float next to it."""
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def percent(share: Decimal | float) -> str:
    """``5%`` for 0.05: as many digits as it takes, up to four."""
    return f"{share * 100:.4f}".rstrip("0").rstrip(".") + "%"
