"""What the ledger of an account is made of. Apart from ``trading``, so that a list of decisions does without that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ffe_core.domain.clock import require_utc
from ffe_core.errors import StoreError

if TYPE_CHECKING:
    from ffe_core.domain.trading import Mode


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """Whose ledger: what was opened on synthetic prices never meets what was opened on real ones."""

    mode: Mode
    platform: str
    account: str
    synthetic: bool


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement: ``quantity`` of ``asset`` came (or went, below zero) and ``amount`` of ``currency`` with it.

    Both sides are signed from the account's view: a purchase has a quantity above and an amount below zero, a deposit
    or a fee an amount alone. ``(fill_id, kind)`` is unique within a ledger. ``detail`` holds plain JSON values. ``seq``
    is given by the ledger, from one up.
    """

    at: datetime
    kind: str
    amount: Decimal
    currency: str
    asset: str | None = None
    quantity: Decimal = Decimal(0)
    price: Decimal | None = None
    fill_id: str | None = None
    order_id: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    seq: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "at", require_utc(self.at))


def numbered(
    entries: Iterable[LedgerEntry], known: Mapping[tuple[str, str], LedgerEntry], last: int
) -> list[LedgerEntry]:
    """Those of ``entries`` that a ledger does not have yet, numbered on from ``last``.

    ``known`` has the entries of the same fills by ``(fill_id, kind)``. Raises ``StoreError`` where one of them comes
    again with another content.
    """
    met = dict(known)
    added: list[LedgerEntry] = []
    for entry in entries:
        twin = None if entry.fill_id is None else met.get((entry.fill_id, entry.kind))
        if twin is not None:
            if replace(entry, seq=twin.seq) != twin:
                raise StoreError(f"fill {entry.fill_id} is in the ledger with another content")
            continue
        new = replace(entry, seq=last + len(added) + 1)
        if new.fill_id is not None:
            met[new.fill_id, new.kind] = new
        added.append(new)
    return added
