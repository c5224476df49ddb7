"""What came of decisions: written once, asked for newest first, apart by whether their prices were real.

An outcome needs no decision in this store: it may have been imported, or its decision removed. Where the decision is
here, both must speak of the same thing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import batched
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Select, insert, select

from ffe_core.domain.clock import require_utc
from ffe_core.errors import StoreError, UsageError
from ffe_core.store.database import Database
from ffe_core.store.tables import decisions, outcomes

if TYPE_CHECKING:
    from ffe_core.domain.decisions import Outcome

#: ids that one query asks for: databases limit the values of a statement
_IDS_AT_ONCE = 1000
_LONGEST_ID = 128
_NUMBERS = ("gross_return", "net_return", "price_return", "cost")
_COLUMNS = tuple(outcomes.columns.keys())
#: what an outcome repeats of its decision
_REPEATED = ("asset_pair", "synthetic", "as_of", "action")

type Key = tuple[str, str]


class Outcomes:
    """The outcomes of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, wanted: Iterable[Outcome], *, on_conflict: Callable[[Mapping[int, str]], object] | None = None
    ) -> list[Outcome]:
        """Writes the outcomes that are new, durably and all or none, and returns them; known ones are left alone.

        One whose content contradicts what is known under its decision and kind, or the decision itself, raises
        ``StoreError``. With ``on_conflict`` such ones are told there first, why by position, and then left out;
        what it raises undoes everything. Raises ``ValueError`` for an outcome that cannot be kept.
        """
        given = list(wanted)
        rows = [row_of(outcome) for outcome in given]
        if not rows:
            return []
        with self._database.writing() as connection:
            added, conflicts = _sifted(connection, rows)
            if conflicts and on_conflict is None:
                raise StoreError(next(iter(conflicts.values())))
            if conflicts and on_conflict is not None:
                on_conflict(conflicts)
            for some in batched(added, _IDS_AT_ONCE):
                connection.execute(insert(outcomes), [rows[position] for position in some])
        return [given[position] for position in added]

    def read(
        self,
        *,
        until: datetime | None = None,
        limit: int | None = None,
        synthetic: bool | None = None,
        asset: str | None = None,
    ) -> list[Outcome]:
        """The newest first by when they were resolved, at the latest at ``until``; ``asset`` is a canonical symbol."""
        if limit is not None and limit < 1:
            raise UsageError(f"a limit of {limit} shows nothing", hint="1 or more")
        query = select(outcomes)
        if synthetic is not None:
            query = query.where(outcomes.c.synthetic == synthetic)
        if asset is not None:
            query = query.where(outcomes.c.asset_pair == asset)
        if until is not None:
            query = query.where(outcomes.c.resolved_at <= require_utc(until))
        columns = outcomes.c
        query = query.order_by(columns.resolved_at.desc(), columns.decision_id.desc(), columns.kind.desc()).limit(limit)
        with self._database.reading() as connection:
            return [_outcome(row) for row in _mappings(connection, query)]


# An outcome as a row and back


def row_of(outcome: Outcome) -> dict[str, Any]:
    """The columns of an outcome, spelled so that equal outcomes are equal rows. Raises ``ValueError``."""
    from ffe_core.domain.codec import canonical_json

    if not outcome.decision_id.strip() or len(outcome.decision_id) > _LONGEST_ID:
        raise ValueError(f"{outcome.decision_id!r:.80} is no decision id")
    if outcome.as_of is None:
        raise ValueError(f"the outcome of {outcome.decision_id} does not say when the decision was made")
    numbers = {name: _number(name, getattr(outcome, name)) for name in _NUMBERS}
    return {
        "decision_id": outcome.decision_id,
        "kind": outcome.kind.value,
        "asset_pair": outcome.asset.symbol,
        "asset_type": outcome.asset.kind.value,
        "synthetic": outcome.synthetic,
        "as_of": outcome.as_of,
        "resolved_at": outcome.resolved_at,
        "action": outcome.action.value,
        **numbers,
        "pnl": _amount(outcome.pnl),
        "exit_reason": outcome.exit_reason,
        "verdict_action": outcome.verdict_action.value if outcome.verdict_action else None,
        "raw_confidence": outcome.raw_confidence,
        "opinions": canonical_json(opinions_of(outcome)).decode(),
    }


def opinions_of(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What each provider had said, by name: action, confidence, and whether that claimed to be a probability."""
    actions, confidences = outcome.provider_actions, outcome.provider_confidences
    return {
        name: {
            "action": actions[name].value if name in actions else None,
            "confidence": confidences.get(name),
            "calibratable": name in outcome.calibratable,
        }
        for name in sorted({*actions, *confidences})
    }


def _number(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if not math.isfinite(value):
        raise ValueError(f"{name} {value} is no number")
    # Zero without a sign, which one of the databases does not keep.
    return float(value) + 0.0


def _amount(value: Decimal | None) -> Decimal | None:
    if value is not None and not value.is_finite():
        raise ValueError(f"pnl {value} is no amount")
    return value


def _outcome(row: Mapping[str, Any]) -> Outcome:
    from ffe_core.domain.assets import Asset, AssetKind
    from ffe_core.domain.decisions import Outcome, OutcomeKind
    from ffe_core.domain.trading import Action

    said: dict[str, dict[str, Any]] = json.loads(row["opinions"])
    return Outcome(
        decision_id=row["decision_id"],
        asset=Asset.parse(row["asset_pair"], kind=AssetKind(row["asset_type"])),
        resolved_at=row["resolved_at"],
        action=Action(row["action"]),
        pnl=row["pnl"],
        exit_reason=row["exit_reason"],
        provider_actions={name: Action(one["action"]) for name, one in said.items() if one["action"] is not None},
        provider_confidences={name: one["confidence"] for name, one in said.items() if one["confidence"] is not None},
        kind=OutcomeKind(row["kind"]),
        synthetic=row["synthetic"],
        as_of=row["as_of"],
        calibratable=tuple(name for name, one in said.items() if one["calibratable"]),
        verdict_action=None if row["verdict_action"] is None else Action(row["verdict_action"]),
        raw_confidence=row["raw_confidence"],
        **{name: row[name] for name in _NUMBERS},
    )


# What is known already


def _sifted(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> tuple[list[int], dict[int, str]]:
    """The positions of the rows that are new, and why others cannot be kept."""
    known, decided = _known(connection, rows), _decided(connection, rows)
    added: list[int] = []
    conflicts: dict[int, str] = {}
    for position, row in enumerate(rows):
        key = (row["decision_id"], row["kind"])
        why = _conflict(row, known.get(key), decided.get(row["decision_id"]))
        if why is not None:
            conflicts[position] = why
        elif key not in known:
            known[key] = row
            added.append(position)
    return added, conflicts


def _known(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[Key, Mapping[str, Any]]:
    found: dict[Key, Mapping[str, Any]] = {}
    for some in batched(dict.fromkeys(row["decision_id"] for row in rows), _IDS_AT_ONCE):
        for row in _mappings(connection, select(outcomes).where(outcomes.c.decision_id.in_(some))):
            found[row["decision_id"], row["kind"]] = row
    return found


_DECIDED = select(decisions.c.id, *(decisions.c[name] for name in _REPEATED))


def _decided(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for some in batched(dict.fromkeys(row["decision_id"] for row in rows), _IDS_AT_ONCE):
        for row in _mappings(connection, _DECIDED.where(decisions.c.id.in_(some))):
            found[row["id"]] = row
    return found


def _mappings(connection: Connection, query: Select[Any]) -> Iterable[Mapping[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]


def _conflict(
    row: Mapping[str, Any], known: Mapping[str, Any] | None, decision: Mapping[str, Any] | None
) -> str | None:
    """Why a row cannot be kept beside what is there; ``None`` where it can."""
    if decision is not None:
        for name in _REPEATED:
            if row[name] != decision[name]:
                return (
                    f"the outcome of {row['decision_id']} says {name} {_shown(row[name])}, "
                    f"the decision says {_shown(decision[name])}"
                )
    if known is not None:
        for name in _COLUMNS:
            if row[name] != known[name]:
                return (
                    f"the {row['kind']} outcome of {row['decision_id']} is known with another {name}: "
                    f"{_shown(known[name])}, now {_shown(row[name])}"
                )
    return None


def _shown(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else f"{value!s:.60}"
