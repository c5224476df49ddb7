"""What stood behind a run: the decisions that its trades came from, and the entries that came to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ffe_core import from_ms
from ffe_core.domain.clock import iso

if TYPE_CHECKING:
    from ffe_lab.gate import Calls, Judged
    from ffe_lab.market import Market

ACTIONS = {1: "BUY", -1: "SELL", 0: "HOLD"}


def decisions_of(market: Market, calls: Calls, judged: Iterable[Judged], bars: Iterable[int]) -> list[dict[str, Any]]:
    """The calls at the closes of ``bars``, and what the risk rules said there; there is none before the first bar."""
    rulings = {one.bar: one for one in judged}
    return [_decision(market, calls, rulings.get(bar), bar) for bar in bars if bar >= 0]


def _decision(market: Market, calls: Calls, judged: Judged | None, bar: int) -> dict[str, Any]:
    votes = [
        {"provider": name, "action": ACTIONS[int(each.action[bar])], "confidence": int(each.confidence[bar])}
        for name, each in calls.votes.items()
    ]
    rulings = () if judged is None else judged.rulings
    return {
        "time": iso(from_ms(int(market.closes[bar]))),
        "action": ACTIONS[int(calls.action[bar])],
        "confidence": int(calls.confidence[bar]),
        "votes": votes,
        "rulings": [{"rule": each.rule, "outcome": each.outcome.value, "reason": each.reason} for each in rulings],
    }


def refusals_of(judged: Iterable[Judged], counted: Mapping[str, int]) -> dict[str, int]:
    """How often by why: the first word of what refused an entry, and what the loop ``counted`` besides."""
    found: dict[str, int] = {}
    for one in judged:
        if one.refused:
            name = one.refused.partition(":")[0]
            found[name] = found.get(name, 0) + 1
    return dict(sorted((found | {name: count for name, count in counted.items() if count}).items()))
