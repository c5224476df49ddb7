"""What other costs would have made of a run: the same calls, the same rules, dearer or cheaper."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from ffe_lab.costs import Costs

if TYPE_CHECKING:
    from ffe_core import Asset
    from ffe_lab.backtest import Backtest
    from ffe_lab.metrics import Metrics
    from ffe_lab.simulate import Setup
    from ffe_lab.trades import Floats

#: where costs are nothing, the ones that are scaled to find how much a run would bear
_USUAL = Costs()
#: how near the break-even factor is found, as a share of it, unless the account ends that near to its beginning before
_NEAR, _NEAR_ENOUGH = 1e-4, 1e-5
_APART = 0.05
_MOST = 1024.0
#: the logarithm that stands for an account with nothing left
_RUIN = 10.0


class Measured(Protocol):
    @property
    def equity(self) -> Floats: ...
    @property
    def metrics(self) -> Metrics: ...


def cost_sensitivity(made: Backtest) -> list[dict[str, Any]]:
    """``rows_at`` of one asset: the same calls on the same bars."""
    from ffe_lab.backtest import run

    def at(setup: Setup) -> Backtest:
        return run(
            made.lab, made.market, made.provider, setup, params=made.params, risk_free=made.basis.risk_free,
            calls=made.calls,
        )  # fmt: skip

    return rows_at(made, made.setup, [made.market.asset], at)


def rows_at(
    made: Measured, setup: Setup, assets: Sequence[Asset], at: Callable[[Setup], Measured]
) -> list[dict[str, Any]]:
    """Rows ``{name, fee, slippage, metrics}``: as run, at twice the cost, at the venue's taker fee, and at break-even.

    ``at`` makes the run with another account; the taker fee of several ``assets`` is the highest of them, the slippage
    that of the first. Break-even is the cost at which the account ends with what it began with, fee, slippage and
    commission scaled alike; its numbers are ``None`` where a run loses even without costs, and where no cost is too
    high for it. In the realistic model slippage is the model's own, and fees alone are scaled.
    """
    costs = setup.costs
    dearest = max((Costs.tiered(each.kind) for each in assets), key=lambda one: one.fee)
    tiered = replace(dearest, **{name: getattr(costs, name) for name in _KEPT})
    runs = _Runs(made, setup, assets[0], at)
    factor = break_even(lambda times: runs.final(_base(costs).scaled(times)), setup.initial_balance)
    return [
        runs.row("as run", costs),
        runs.row("twice the cost", costs.scaled(2)),
        runs.row("taker fee of the venue", tiered),
        runs.row("break-even cost", None if factor is None else _base(costs).scaled(factor)),
    ]


def break_even(final: Callable[[float], float], balance: float) -> float | None:
    """The factor of the costs at which ``final`` comes down to ``balance``; ``None`` where none does.

    By false position on the logarithm, which is nearly straight, kept a twentieth away from the ends. Where costs
    change the trades, by stops or the gate, the value jumps and may cross more than once; found is one of the places.
    """

    def gained(times: float) -> float:
        value = final(times)
        return math.log(value / balance) if value > 0 else -_RUIN

    low, high = 0.0, 1.0
    above = gained(low)
    if above <= 0:
        return None
    while (below := gained(high)) > 0:
        low, above, high = high, below, high * 2
        if high > _MOST:
            return None
    while high - low > _NEAR * high and above > _NEAR_ENOUGH:
        share = min(max(above / (above - below), _APART), 1 - _APART)
        middle = low + share * (high - low)
        found = gained(middle)
        low, above, high, below = (middle, found, high, below) if found > 0 else (low, above, middle, found)
    return low


def _base(costs: Costs) -> Costs:
    none = not (costs.fee or costs.slippage or costs.commission)
    return replace(costs, fee=_USUAL.fee, slippage=_USUAL.slippage) if none else costs


class _Runs:
    """What a run makes at other costs: its metrics, and what is left at the end. The same costs are run once."""

    def __init__(self, made: Measured, setup: Setup, asset: Asset, at: Callable[[Setup], Measured]) -> None:
        self._setup, self._asset, self._make = setup, asset, at
        self._known = {setup.costs: _end_of(made)}

    def at(self, costs: Costs) -> tuple[Metrics, float]:
        if costs not in self._known:
            self._known[costs] = _end_of(self._run(costs))
        return self._known[costs]

    def final(self, costs: Costs) -> float:
        return self.at(costs)[1]

    def row(self, name: str, costs: Costs | None) -> dict[str, Any]:
        from ffe_lab.backtest import record

        if costs is None:
            return {"name": name, "fee": None, "slippage": None, "metrics": None}
        slippage = costs.base(self._asset)
        return {"name": name, "fee": costs.fee, "slippage": slippage, "metrics": record(self.at(costs)[0])}

    def _run(self, costs: Costs) -> Measured:
        sizing = replace(self._setup.sizing, fee=Decimal(repr(costs.fee)))
        return self._make(replace(self._setup, costs=costs, sizing=sizing))


def _end_of(made: Measured) -> tuple[Metrics, float]:
    return made.metrics, float(made.equity[-1])


_KEPT = ("slippage", "commission", "model", "impact")
