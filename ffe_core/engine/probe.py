"""The probe: how often a provider says something else when the asset, the date and the price are hidden from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ffe_core.ai.anonymise import Mask
from ffe_core.domain.assets import Asset
from ffe_core.domain.decisions import Opinion
from ffe_core.learning.outcomes import wilson

#: what one provider said of one instant: as it was, and under the mask
type Pair = tuple[Opinion, Opinion]


@dataclass(frozen=True, slots=True)
class Flips:
    """Of one provider: ``flips`` among ``compared`` instants at which it answered both ways."""

    provider: str
    model: str
    compared: int
    flips: int
    #: the reasons of those instants at which it did not
    failures: tuple[str, ...] = ()

    @property
    def rate(self) -> float | None:
        return self.flips / self.compared if self.compared else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson, 95 %."""
        return wilson(self.flips / self.compared, self.compared) if self.compared else None


@dataclass(frozen=True, slots=True)
class Probe:
    asset: Asset
    instants: tuple[datetime, ...]
    masks: tuple[Mask, ...]
    providers: tuple[Flips, ...]
    #: who was never set up and is no part of it, with the reason
    left_out: dict[str, str]

    def data(self) -> dict[str, Any]:
        return {
            "asset_pair": self.asset.symbol,
            "instants": self.instants,
            "masks": [mask.told() for mask in self.masks],
            "providers": [
                {
                    "provider": each.provider,
                    "model": each.model,
                    "compared": each.compared,
                    "flips": each.flips,
                    "flip_rate": each.rate,
                    "flip_rate_interval_95": each.interval,
                    "failures": each.failures,
                }
                for each in self.providers
            ],
            "left_out": self.left_out,
        }


def probe_of(
    asset: Asset, instants: Sequence[datetime], masks: Sequence[Mask], pairs: Sequence[Pair], *, named: frozenset[str]
) -> Probe:
    """Counts ``pairs`` by provider. Who lacks its key is left out, unless the user ``named`` it."""
    by_provider: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_provider.setdefault(pair[0].provider, []).append(pair)
    left_out = {
        name: held[0][0].error or ""
        for name, held in by_provider.items()
        if name not in named and not any(said.asked for pair in held for said in pair)
    }
    counted = tuple(_flips(held) for name, held in by_provider.items() if name not in left_out)
    return Probe(asset, tuple(instants), tuple(masks), counted, left_out)


def _flips(pairs: Sequence[Pair]) -> Flips:
    both = [(plain, hidden) for plain, hidden in pairs if plain.is_vote and hidden.is_vote]
    first = both[0][0] if both else pairs[0][0]
    return Flips(
        first.provider,
        first.model,
        len(both),
        sum(plain.action is not hidden.action for plain, hidden in both),
        tuple(next(said.error or "" for said in pair if not said.is_vote) for pair in pairs if pair not in both),
    )
