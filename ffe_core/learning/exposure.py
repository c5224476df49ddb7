"""Scores apart by hindsight: of times that a panel may have read about, and of times that it cannot have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ffe_core.ai.hindsight import Hindsight, Training
from ffe_core.domain.decisions import Decision
from ffe_core.learning.outcomes import Scoreboard, Scored, scoreboard


def hindsight_of(decision: Decision) -> Hindsight:
    """As the record says; one from before the question was asked is clean only where rules alone voted."""
    told = decision.ensemble_metadata.get("hindsight") or Training(0).told(decision.opinions, decision.as_of)
    return Hindsight(told["decision"])


@dataclass(frozen=True, slots=True)
class Split:
    """Directional decisions, apart: ``clean`` ones and ``contaminated`` ones."""

    clean: Scoreboard
    contaminated: Scoreboard

    @property
    def basis(self) -> Hindsight:
        """Whose numbers stand in the headline: the clean ones, where there is one."""
        return Hindsight.CLEAN if self.clean.scored or not self.contaminated.scored else Hindsight.CONTAMINATED

    @property
    def headline(self) -> Scoreboard:
        return self.clean if self.basis is Hindsight.CLEAN else self.contaminated

    @property
    def alpha_decay(self) -> float | None:
        """Mean net return of clean decisions less that of contaminated ones; ``None`` until there are enough of both.

        Far below zero: what looked like skill was memory.
        """
        if self.clean.mean_net is None or self.contaminated.mean_net is None:
            return None
        return self.clean.mean_net - self.contaminated.mean_net


def split(scored: Iterable[tuple[Hindsight, Scored]]) -> Split:
    held = list(scored)
    clean, contaminated = (
        scoreboard(row for judged, row in held if judged is wanted)
        for wanted in (Hindsight.CLEAN, Hindsight.CONTAMINATED)
    )
    return Split(clean, contaminated)
