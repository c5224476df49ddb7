"""The record of a decision: the decision, everything it was computed from, and what it would take to check it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ffe_core.domain.clock import iso
from ffe_core.domain.codec import plain, restore
from ffe_core.domain.decisions import Decision
from ffe_core.domain.market import Candles
from ffe_core.engine.decide import DecisionInputs

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Part:
    """A strategy or a rule that took part, and the plugin that brought it."""

    name: str
    plugin: str


#: ``strategies`` and ``rules``, in the order in which they were asked
type Parts = Mapping[str, Sequence[Part]]


@dataclass(frozen=True, slots=True)
class Record:
    """A stored decision read back: typed where replay needs types, plain otherwise."""

    decision: Mapping[str, Any]
    inputs: DecisionInputs
    plugins: Mapping[str, str]
    parts: Parts


def record_of(
    decision: Decision,
    inputs: DecisionInputs,
    *,
    settings: Mapping[str, Any],
    plugins: Mapping[str, str],
    parts: Parts,
    candles: Mapping[str, Mapping[str, Any] | None],
) -> dict[str, Any]:
    """``plugins``: name to version of all that were active; ``parts``: the strategies and rules asked."""
    body = plain(decision)
    del body["hash"], body["previous_hash"]
    return {
        "schema": SCHEMA,
        "decision": body,
        "inputs": plain(inputs),
        "settings": plain(settings),
        "plugins": dict(plugins),
        "parts": plain(parts),
        "candles": plain(candles),
    }


def read_record(record: Mapping[str, Any]) -> Record:
    """Raises ``ValueError`` where the record is not one of ours, or of a schema that is not known."""
    if record.get("schema") != SCHEMA:
        raise ValueError(f"record schema {record.get('schema')!r} is not {SCHEMA}")
    return Record(
        decision=record["decision"],
        inputs=restore(DecisionInputs, record["inputs"]),
        plugins=record["plugins"],
        parts={kind: [restore(Part, part) for part in parts] for kind, parts in record["parts"].items()},
    )


def restore_decision(record: Mapping[str, Any], hash_: str = "", previous: str = "") -> Decision:
    """The decision of a stored record. Raises ``ValueError`` where it does not fit."""
    return restore(Decision, {**record["decision"], "hash": hash_, "previous_hash": previous})


def describe_candles(candles: Candles | None) -> dict[str, Any] | None:
    """What identifies a series without holding it."""
    if candles is None or not len(candles):
        return None
    last = candles.last_close_at
    return {
        "source": candles.source,
        "synthetic": candles.synthetic,
        "bars": len(candles),
        "last_close_at": iso(last) if last else None,
        "fingerprint": candles.fingerprint,
        "remarks": list(candles.remarks),
    }
