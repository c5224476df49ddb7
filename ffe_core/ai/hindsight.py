"""Hindsight: whether a model may have been trained on what came after the instant that it was asked about.

A model that read the newspapers of the day after needs no skill. What it says of an instant is clean only where that
lies more than the embargo after the end of its training; where nobody said when that was, it counts as contaminated.
What is asked as of now is clean whatever the model: nobody has read tomorrow's papers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from ffe_core.ai.cost import is_rule
from ffe_core.domain.decisions import Opinion
from ffe_core.ports import AIProvider, Dated


class Hindsight(StrEnum):
    CLEAN = "clean"
    CONTAMINATED = "contaminated"


@dataclass(frozen=True, slots=True)
class Training:
    """What was known of the models' training when they were asked.

    ``cutoffs``: provider to the last day (ISO) that its model may have seen, ``None`` where nobody said; who is not in
    it named no model. ``embargo_days`` are added, because texts about a day appear after it.
    """

    embargo_days: int
    cutoffs: Mapping[str, str | None] = field(default_factory=dict)
    #: asked as of the moment itself, not about the past
    present: bool = False

    def judge(self, opinion: Opinion, as_of: datetime) -> Hindsight:
        """Of one vote at the instant ``as_of``; what was computed here without any model is clean."""
        if self.present or (opinion.provider not in self.cutoffs and is_rule(opinion)):
            return Hindsight.CLEAN
        cutoff = self.cutoffs.get(opinion.provider)
        if cutoff is None:
            return Hindsight.CONTAMINATED
        # Whole days: all of the cutoff's own day may have been seen.
        ends = date.fromisoformat(cutoff) + timedelta(days=self.embargo_days)
        return Hindsight.CLEAN if as_of.date() > ends else Hindsight.CONTAMINATED

    def told(self, opinions: Iterable[Opinion], as_of: datetime) -> dict[str, Any]:
        """``{"decision", "providers"}`` for a record: one contaminated vote contaminates what was made of it."""
        judged = {opinion.provider: self.judge(opinion, as_of) for opinion in opinions if opinion.is_vote}
        tainted = Hindsight.CONTAMINATED in judged.values()
        return {
            "decision": (Hindsight.CONTAMINATED if tainted else Hindsight.CLEAN).value,
            "providers": {name: verdict.value for name, verdict in judged.items()},
        }


def training_of(
    opinions: Iterable[Opinion],
    panel: Mapping[str, AIProvider],
    cutoffs: Mapping[str, date],
    *,
    embargo_days: int,
    present: bool,
) -> Training:
    """What settings (``cutoffs``: model to day) and the providers themselves say of who voted; settings win."""
    known: dict[str, str | None] = {}
    for opinion in opinions:
        if not opinion.is_vote:
            continue
        provider = panel[opinion.provider]
        # An alias is answered by the model behind it, and may be known by either name.
        named = [cutoffs[model] for model in (opinion.model, provider.model) if model in cutoffs]
        if named:
            known[opinion.provider] = max(named).isoformat()
        elif isinstance(provider, Dated):
            known[opinion.provider] = None if provider.cutoff is None else provider.cutoff.isoformat()
    return Training(embargo_days, known, present)
