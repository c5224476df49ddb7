"""Outcomes as files: JSON Lines that are read back to the same bytes, and CSV from elsewhere.

Every row is a stranger's until it is checked: what it says is read strictly, and a row that cannot be read is named
by its line. In CSV a provider's word has columns of its own: ``opinions.NAME.action``, ``.confidence`` and
``.calibratable``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.clock import iso
from ffe_core.domain.codec import canonical_json
from ffe_core.domain.decisions import Outcome, OutcomeKind
from ffe_core.domain.trading import Action
from ffe_core.errors import BadData, UsageError
from ffe_core.store.outcomes import opinions_of, row_of

#: returns that say "price_return - cost" must meet it to this; exporters elsewhere round
_TOLERANCE = 1e-6
_MOST_PROVIDERS = 200


def _exact(value: object) -> object:
    """What a strict reader takes for an amount. Raises ``ValueError`` for a float."""
    if isinstance(value, float):
        raise ValueError("an amount is written as text, so that no digit is lost")
    if isinstance(value, str):
        try:
            return Decimal(value)
        except ArithmeticError:
            raise ValueError("no amount") from None
    return value


type _Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
type _Fraction = Annotated[float, Field(ge=-1000, le=1000, allow_inf_nan=False)]
type _Percent = Annotated[int, Field(ge=0, le=100)]
type _Amount = Annotated[Decimal, BeforeValidator(_exact), Field(allow_inf_nan=False, max_digits=60)]


class _Call(BaseModel):
    """What one provider had said."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: Action | None = None
    confidence: _Percent | None = None
    calibratable: bool = False


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    decision_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$")]
    kind: OutcomeKind = OutcomeKind.HORIZON
    asset_pair: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    asset_type: AssetKind | None = None
    synthetic: bool
    as_of: AwareDatetime
    resolved_at: AwareDatetime
    action: Action
    gross_return: _Fraction | None = None
    net_return: _Fraction | None = None
    price_return: Annotated[float, Field(gt=-1, le=1000, allow_inf_nan=False)] | None = None
    cost: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    pnl: _Amount | None = None
    exit_reason: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")] = ""
    verdict_action: Action | None = None
    raw_confidence: _Percent | None = None
    opinions: Annotated[dict[_Name, _Call], Field(max_length=_MOST_PROVIDERS)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if self.resolved_at < self.as_of:
            raise ValueError(f"resolved at {iso(self.resolved_at)}, before the decision at {iso(self.as_of)}")
        if self.kind is OutcomeKind.HORIZON and self.gross_return is not None:
            side = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}[self.action]
            self._meet(
                "gross_return", self.gross_return, None if self.price_return is None else side * self.price_return
            )
            if self.net_return is not None and self.cost is not None:
                self._meet("net_return", self.net_return, self.gross_return - self.cost)
        return self

    @staticmethod
    def _meet(name: str, said: float, follows: float | None) -> None:
        if follows is not None and not math.isclose(said, follows, abs_tol=_TOLERANCE):
            raise ValueError(f"{name} is {said}, by the other returns it is {follows:.6g}")

    def outcome(self) -> Outcome:
        """Raises ``ValueError`` where the asset is none."""
        said = self.opinions
        return Outcome(
            decision_id=self.decision_id,
            asset=Asset.parse(self.asset_pair, kind=self.asset_type),
            resolved_at=self.resolved_at,
            action=self.action,
            gross_return=self.gross_return,
            net_return=self.net_return,
            pnl=self.pnl,
            exit_reason=self.exit_reason,
            provider_actions={name: one.action for name, one in said.items() if one.action is not None},
            provider_confidences={name: one.confidence for name, one in said.items() if one.confidence is not None},
            price_return=self.price_return,
            cost=self.cost,
            kind=self.kind,
            synthetic=self.synthetic,
            as_of=self.as_of,
            calibratable=tuple(sorted(name for name, one in said.items() if one.calibratable)),
            verdict_action=self.verdict_action,
            raw_confidence=self.raw_confidence,
        )


@dataclass(frozen=True, slots=True)
class Read:
    """A row of a file: its outcome, or why there is none. ``line`` counts from one."""

    line: int
    outcome: Outcome | None
    why: str = ""


def spelled(outcomes: Iterable[Outcome]) -> str:
    """JSON Lines, oldest first: the same outcomes give the same bytes."""
    ordered = sorted(outcomes, key=lambda one: (one.resolved_at, one.decision_id, one.kind.value))
    return "".join(canonical_json(as_data(outcome)).decode() + "\n" for outcome in ordered)


def as_data(outcome: Outcome) -> dict[str, Any]:
    """The members of a line, as ``import`` reads them."""
    return {**row_of(outcome), "opinions": opinions_of(outcome)}


def read_file(path: Path, *, now: datetime) -> list[Read]:
    """Every row of a JSON Lines file, or of a CSV where the name ends so; ``now`` is what nothing is resolved after.

    Raises ``UsageError`` where there is no such file, ``BadData`` where it is no text or its columns are unknown.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = _csv(file, path) if path.suffix.lower() == ".csv" else _json_lines(file)
            return [_checked(line, found, now) for line, found in rows]
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is no text in UTF-8", hint="JSON Lines, or CSV with the ending .csv") from error
    except csv.Error as error:
        raise BadData(f"{path}: {error}", hint="CSV with commas and a header") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def _json_lines(file: Iterable[str]) -> Iterator[tuple[int, _Row | str]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield number, _Row.model_validate_json(line, strict=True)
            except ValidationError as error:
                yield number, _why(error)


def _csv(file: Iterable[str], path: Path) -> Iterator[tuple[int, _Row | str]]:
    reader = csv.DictReader(file, strict=True)
    columns = reader.fieldnames or ()
    unknown = [name for name in columns if name not in _Row.model_fields and not _is_of_opinion(name)]
    if unknown or "opinions" in columns or len(set(columns)) != len(columns):
        wrong = next(iter([*unknown, *(["opinions"] if "opinions" in columns else [])]), "a column")
        said = f"column {wrong!r:.60} is not known" if unknown or wrong == "opinions" else "a column is there twice"
        raise BadData(
            f"{path}: {said}", hint=f"columns: {', '.join(_Row.model_fields)}.NAME.action|confidence|calibratable"
        )
    for cells in reader:
        if None in cells:
            yield reader.line_num, "more cells than columns"
            continue
        try:
            yield reader.line_num, _Row.model_validate_strings(_nested(cells))
        except ValidationError as error:
            yield reader.line_num, _why(error)


def _is_of_opinion(column: str) -> bool:
    parts = column.split(".")
    return len(parts) == 3 and parts[0] == "opinions" and parts[2] in _Call.model_fields


def _nested(cells: Mapping[str, str | None]) -> dict[str, Any]:
    """Empty cells are absent; a provider with nothing but empty ones said nothing."""
    row: dict[str, Any] = {}
    for column, cell in cells.items():
        if cell is None or not cell.strip():
            continue
        if _is_of_opinion(column):
            _, name, member = column.split(".")
            row.setdefault("opinions", {}).setdefault(name, {})[member] = cell.strip()
        else:
            row[column] = cell.strip()
    return row


def _why(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != "[key]")
    said = first["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    return f"{where}{': ' if where else ''}{said}{f' (and {more} more)' if more else ''}"


def _checked(line: int, found: _Row | str, now: datetime) -> Read:
    if isinstance(found, str):
        return Read(line, None, found)
    if found.resolved_at > now:
        return Read(line, None, f"resolved_at: {iso(found.resolved_at)} has not come yet")
    try:
        outcome = found.outcome()
        row_of(outcome)
    except ValueError as error:
        return Read(line, None, f"asset_pair: {error}")
    return Read(line, outcome)
