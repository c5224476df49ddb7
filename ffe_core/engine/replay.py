"""Replay: a stored decision computed again from its own record, offline, and compared byte for byte."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ffe_core.domain.codec import canonical_json, plain
from ffe_core.engine.decide import DecisionInputs, decide, decision_of
from ffe_core.engine.record import Part, Record, read_record, restore_decision
from ffe_core.engine.rounds import asked_again
from ffe_core.errors import PluginError, ProviderFailed, VerificationFailed
from ffe_core.ports import AggregationStrategy, RiskRule, RoundStrategy

#: written by the store or read from the wall clock: not computed, so not compared
_GIVEN = ("id", "created_at", "hash", "previous_hash")


@dataclass(frozen=True, slots=True)
class Difference:
    """``path`` such as ``ensemble_metadata.adjusted_weights.local``."""

    path: str
    recorded: Any
    replayed: Any


@dataclass(frozen=True, slots=True)
class Replayed:
    decision_id: str
    same: bool
    differences: tuple[Difference, ...]


def replay_record(
    record: Mapping[str, Any],
    *,
    strategies: Mapping[str, AggregationStrategy],
    rules: Mapping[str, RiskRule],
    plugins: Mapping[str, str],
) -> Replayed:
    """Recomputes opinions, questions, verdict, size and rulings from the record's own inputs.

    Replies are read again as they came; an opinion without one is an input. Recorded settings win over present ones.
    Raises ``PluginError`` where a plugin that took part is absent or of another version, ``VerificationFailed`` where
    the record cannot be read.
    """
    try:
        held = read_record(record)
        # As this version spells it: a field that was added since has its default, on both sides.
        recorded = plain(restore_decision(record))
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationFailed(f"the record cannot be read: {error}") from error
    _same_plugins(held, plugins)
    present = {part.name: _there(strategies, part) for part in held.parts["strategies"]}
    decided = decide(held.inputs, present, [_there(rules, part) for part in held.parts["rules"]])
    decision_id = str(held.decision["id"])
    again = plain(decision_of(decision_id, datetime.fromisoformat(held.decision["created_at"]), held.inputs, decided))
    before = {name: value for name, value in recorded.items() if name not in _GIVEN}
    after = {name: value for name, value in again.items() if name not in _GIVEN}
    found = [*_reread(held.inputs), *_asked(held.inputs, present)]
    if canonical_json(before) != canonical_json(after):
        found += _differences(before, after)
    return Replayed(decision_id, not found, tuple(found))


def _reread(inputs: DecisionInputs) -> Iterator[Difference]:
    """Where a reply says something else when it is read again."""
    from ffe_core.ai.reply import read_reply

    opinions = (*inputs.opinions, *inputs.fallback_opinions, *(one for held in inputs.rounds for one in held.opinions))
    for opinion in dict.fromkeys(opinions):
        if opinion.raw_reply is None or opinion.prompt is None:
            continue
        path = f"opinions.{opinion.provider}"
        try:
            again = read_reply(
                opinion.raw_reply,
                provider=opinion.provider,
                model=opinion.model,
                horizon=inputs.briefing.horizon,
                prompt=opinion.prompt,
            )
        except ProviderFailed as error:
            if opinion.is_vote:
                yield Difference(path, opinion.reasoning, f"cannot be read: {error.message}")
            continue
        if not opinion.is_vote:
            yield Difference(path, f"could not be read: {opinion.error}", again.reasoning)
            continue
        for name in ("action", "confidence", "reasoning", "amount", "ignored_members"):
            before, after = plain(getattr(opinion, name)), plain(getattr(again, name))
            if before != after:
                yield Difference(f"{path}.{name}", before, after)


def _asked(inputs: DecisionInputs, strategies: Mapping[str, AggregationStrategy]) -> Iterator[Difference]:
    """Where a strategy that asks in rounds would ask something else after the same answers."""
    strategy = strategies.get(inputs.ensemble.strategy)
    if inputs.agenda is None or not isinstance(strategy, RoundStrategy):
        return
    for place, ask in asked_again(strategy, inputs.agenda, inputs.rounds):
        recorded = plain(inputs.rounds[place].ask) if place < len(inputs.rounds) else None
        yield from _differences(recorded, plain(ask), f"rounds[{place}]")


def _same_plugins(held: Record, present: Mapping[str, str]) -> None:
    needed = {part.plugin for parts in held.parts.values() for part in parts}
    for name in sorted(needed):
        version = held.plugins[name]
        now = present.get(name)
        if now != version:
            raise PluginError(
                name,
                f"the decision was made with version {version}, here is {now or 'none'}",
                hint="replay needs the plugins that took part, in the versions that took part",
            )


def _there[T](objects: Mapping[str, T], part: Part) -> T:
    if part.name not in objects:
        raise PluginError(part.plugin, f"{part.name}, which took part in this decision, is not there now")
    return objects[part.name]


def _differences(before: Any, after: Any, path: str = "") -> list[Difference]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[Difference] = []
        for name in sorted({*before, *after}):
            found += _differences(before.get(name), after.get(name), f"{path}.{name}" if path else str(name))
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        return [
            found
            for index, (one, other) in enumerate(zip(before, after, strict=True))
            for found in _differences(one, other, f"{path}[{index}]")
        ]
    return [] if before == after else [Difference(path, before, after)]
