"""A run as the report sees it: the data of ``ffe backtest --json``, and the courses that are drawn from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ffe_core import AssetKind
from ffe_lab.report.courses import Course, Floats, Times, course_of, instants
from ffe_lab.returns import Daily, MetricsBasis, daily_equity, periods_per_year

#: the baseline beside which the headline stands
BUY_AND_HOLD = "buy_and_hold"


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """The candles of the run as columns; ``time`` is when they open, in epoch milliseconds."""

    time: Times
    high: Floats
    low: Floats
    close: Floats

    @classmethod
    def of(cls, candles: Mapping[str, Sequence[Any]]) -> Self:
        columns = (np.asarray(candles[name], dtype=np.float64) for name in ("high", "low", "close"))
        return cls(instants(candles["time"]), *columns)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """``data`` as the command gives them; ``days`` is the equity at the ends of days."""

    data: Mapping[str, Any]
    equity: Course
    days: Daily
    basis: MetricsBasis
    bars: Bars | None

    @classmethod
    def of(cls, data: Mapping[str, Any], candles: Mapping[str, Sequence[Any]] | None) -> Self:
        equity = course_of(data["equity"])
        basis = _basis(data["metrics_basis"])
        kinds = (
            kind for kind in (AssetKind.FOREX, AssetKind.STOCK) if periods_per_year(kind) == basis.periods_per_year
        )
        kind, initial = next(kinds, AssetKind.CRYPTO), float(data["metrics"]["initial_balance"])
        bars = Bars.of(candles) if candles is not None and len(candles["time"]) else None
        return cls(data, equity, daily_equity(equity.time, equity.value, kind, initial), basis, bars)

    @classmethod
    def of_asset(cls, data: Mapping[str, Any], name: str, candles: Mapping[str, Sequence[Any]]) -> Self:
        """One of several assets, with its own trades."""
        own = [trade for trade in data.get("trades") or () if trade["asset_pair"] == name]
        return cls.of({**data, "asset_pair": name, "trades": own}, candles)

    @property
    def metrics(self) -> Mapping[str, Any]:
        return self.data["metrics"]  # type: ignore[no-any-return]

    @property
    def baselines(self) -> Mapping[str, Mapping[str, Any]]:
        return self.data.get("baselines") or {}

    @property
    def intervals(self) -> Mapping[str, Sequence[float]]:
        return self.data.get("intervals") or {}

    @property
    def trades(self) -> Sequence[Mapping[str, Any]]:
        return self.data.get("trades") or ()

    @property
    def initial(self) -> float:
        return float(self.metrics["initial_balance"])


def _basis(told: Mapping[str, Any]) -> MetricsBasis:
    return MetricsBasis(
        int(told["periods_per_year"]), float(told["risk_free"]), str(told["frequency"]), str(told["formula"])
    )
