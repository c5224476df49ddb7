"""What a reader of a decision has to know about how its panel was asked, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ffe_core.domain.decisions import Decision


def circumstances(decision: Decision) -> Iterator[str]:
    """Under what mask it was asked, and whose votes may know the future; nothing where neither is so."""
    mask = decision.ensemble_metadata.get("anonymised")
    if mask:
        yield (
            f"ANONYMISED: the panel was asked about {mask['as']}, {mask['weeks_earlier']} weeks earlier, with prices "
            f"from 100; {mask['notes_left_out']} notes left out"
        )
    marks = decision.ensemble_metadata.get("hindsight")
    if marks and marks["decision"] == "contaminated":
        names = ", ".join(name for name, judged in marks["providers"].items() if judged == "contaminated")
        yield (
            f"CONTAMINATED: {names} may have been trained on what came after {decision.as_of:%Y-%m-%d} "
            "(`ffe config explain ai.cutoffs`)"
        )


def hindsight_row(decision: Decision) -> list[tuple[str, str]]:
    """The row of ``ffe show``; none for a record from before it was asked."""
    marks = decision.ensemble_metadata.get("hindsight")
    if not marks:
        return []
    judged = ", ".join(f"{name} {verdict}" for name, verdict in marks["providers"].items()) or "nobody voted"
    return [("hindsight", f"{marks['decision']} ({judged})")]
