"""Rules that know nothing: what every other provider has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ffe_core import Action, Briefing, CandleSeries, Columns, Opinion, Series, Signals, columns_of
from ffe_core.builtin.rules.parameters import newest, opinion, signals_of, varied, within

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SURE = 75


@dataclass(frozen=True, slots=True)
class BuyAndHold:
    """BUY on every bar: in at the first, and in again whenever a stop or a target has taken it out."""

    name: str = "buy_and_hold"
    model: str = "rule:buy-and-hold"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return opinion(self, briefing, Action.BUY, 100, "always buys")

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        return signals_of(self.actions(columns_of(series)), 100)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        return np.ones(len(columns.time), np.int8)


@dataclass(frozen=True, slots=True)
class AlwaysHold:
    """HOLD on every bar."""

    name: str = "always_hold"
    model: str = "rule:always-hold"
    local: bool = True

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return opinion(self, briefing, Action.HOLD, 100, "always holds")

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        return signals_of(self.actions(columns_of(series)), 100)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        return np.zeros(len(columns.time), np.int8)


@dataclass(frozen=True, slots=True)
class RandomEntry:
    """BUY and SELL by lot: with ``chance`` each on every bar, drawn from the seed and the bar's own time.

    The draw is SplitMix64 (Steele, Lea and Flood 2014) of both, so a bar keeps its lot whatever bars are around it.
    """

    name: str = "random_entry"
    model: str = "rule:random-entry"
    local: bool = True
    seed: int = within(0, 0, 2**53)
    chance: float = within(0.02, 0.0, 0.5)

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        return newest(self, briefing, self._told)

    def _told(self, series: CandleSeries, action: Action) -> str:
        return f"by lot, seed {self.seed}"

    def with_params(self, **params: float | int | str) -> Self:
        return varied(self, params)

    def ask_all(self, series: Series) -> Signals:
        return signals_of(self.actions(columns_of(series)), SURE)

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        import numpy as np

        times = columns.time.astype(np.uint64)
        drawn = _mixed(times ^ _mixed(np.array([self.seed], np.uint64)))
        share = (drawn >> np.uint64(11)).astype(np.float64) / 2**53
        return (share < self.chance).view(np.int8) - (share >= 1 - self.chance).view(np.int8)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function of each value; unsigned arithmetic wraps around."""
    import numpy as np

    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
