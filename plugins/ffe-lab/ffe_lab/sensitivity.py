"""What other costs would have made of a run: the same calls, the same rules, dearer or cheaper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ffe_lab.costs import Costs

if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest

#: where costs are nothing, the ones that are scaled to find how much a run would bear
_USUAL = Costs()
#: how near the break-even factor is found, as a share of it
_NEAR = 1e-4
_MOST = 1024.0


def cost_sensitivity(made: Backtest) -> list[dict[str, Any]]:
    """Rows ``{name, fee, slippage, metrics}``: as run, at twice the cost, at the venue's taker fee, and at break-even.

    Break-even is the cost at which the account ends with what it began with, fee, slippage and commission scaled alike;
    its numbers are ``None`` where a run loses even without costs, and where no cost is too high for it. In the
    realistic model slippage is the model's own, and fees alone are scaled.
    """
    costs, kind = made.setup.costs, made.market.asset.kind
    tiered = replace(Costs.tiered(kind), **{name: getattr(costs, name) for name in _KEPT})
    factor = break_even(lambda times: _final(made, _base(costs).scaled(times)), made.setup.initial_balance)
    return [
        _row("as run", costs, made),
        _row("twice the cost", costs.scaled(2), made),
        _row("taker fee of the venue", tiered, made),
        _row("break-even cost", None if factor is None else _base(costs).scaled(factor), made),
    ]


def break_even(final: Callable[[float], float], balance: float) -> float | None:
    """The factor of the costs at which ``final`` comes down to ``balance``, by halving; ``None`` where none does.

    Where costs change the trades, by stops or the gate, the value jumps and may cross more than once; found is one of
    the places.
    """
    low, high = 0.0, 1.0
    if final(low) <= balance:
        return None
    while final(high) > balance:
        low, high = high, high * 2
        if high > _MOST:
            return None
    while high - low > _NEAR * high:
        middle = (low + high) / 2
        low, high = (middle, high) if final(middle) > balance else (low, middle)
    return low


def _base(costs: Costs) -> Costs:
    none = not (costs.fee or costs.slippage or costs.commission)
    return replace(costs, fee=_USUAL.fee, slippage=_USUAL.slippage) if none else costs


def _at(made: Backtest, costs: Costs) -> Backtest:
    from ffe_lab.backtest import run

    sizing = replace(made.setup.sizing, fee=Decimal(repr(costs.fee)))
    setup = replace(made.setup, costs=costs, sizing=sizing)
    return run(
        made.lab, made.market, made.provider, setup, params=made.params, risk_free=made.basis.risk_free,
        calls=made.calls,
    )  # fmt: skip


def _final(made: Backtest, costs: Costs) -> float:
    return float(_at(made, costs).equity[-1])


def _row(name: str, costs: Costs | None, made: Backtest) -> dict[str, Any]:
    from ffe_lab.backtest import record

    if costs is None:
        return {"name": name, "fee": None, "slippage": None, "metrics": None}
    metrics = made.metrics if costs == made.setup.costs else _at(made, costs).metrics
    return {"name": name, "fee": costs.fee, "slippage": costs.base(made.market.asset), "metrics": record(metrics)}


_KEPT = ("slippage", "commission", "model", "impact")
