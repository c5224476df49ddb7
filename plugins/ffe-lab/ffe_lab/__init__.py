"""Backtests that tell the truth: the pipeline of ffe over history, and the statistics to doubt the outcome with."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

# Nothing is imported before it is used: every command that loads plugins imports this module.
if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest, backtest
    from ffe_lab.bootstrap import Intervals
    from ffe_lab.costs import Costs
    from ffe_lab.lab import Lab
    from ffe_lab.market import Market
    from ffe_lab.metrics import Headline, Metrics, measure
    from ffe_lab.montecarlo import MonteCarlo, Variation, monte_carlo
    from ffe_lab.optimise import Optimisation, optimize
    from ffe_lab.portfolio import Portfolio, portfolio
    from ffe_lab.returns import MetricsBasis
    from ffe_lab.shared_run import Sharing
    from ffe_lab.simulate import Setup, Simulation
    from ffe_lab.space import Range
    from ffe_lab.sweep import Sweep, sweep
    from ffe_lab.trades import Trades
    from ffe_lab.trials import Tried
    from ffe_lab.walkforward import WalkForward, walk_forward
    from ffe_lab.windows import Lengths, Severity

_HOME = {
    "Backtest": "backtest",
    "Costs": "costs",
    "Headline": "metrics",
    "Intervals": "bootstrap",
    "Lab": "lab",
    "Lengths": "windows",
    "Market": "market",
    "Metrics": "metrics",
    "MetricsBasis": "returns",
    "MonteCarlo": "montecarlo",
    "Optimisation": "optimise",
    "Portfolio": "portfolio",
    "Range": "space",
    "Setup": "simulate",
    "Severity": "windows",
    "Sharing": "shared_run",
    "Simulation": "simulate",
    "Sweep": "sweep",
    "Trades": "trades",
    "Tried": "trials",
    "Variation": "montecarlo",
    "WalkForward": "walkforward",
    "backtest": "backtest",
    "measure": "metrics",
    "monte_carlo": "montecarlo",
    "optimize": "optimise",
    "portfolio": "portfolio",
    "sweep": "sweep",
    "walk_forward": "walkforward",
}

__all__ = [
    "Backtest",
    "Costs",
    "Headline",
    "Intervals",
    "Lab",
    "Lengths",
    "Market",
    "Metrics",
    "MetricsBasis",
    "MonteCarlo",
    "Optimisation",
    "Portfolio",
    "Range",
    "Setup",
    "Severity",
    "Sharing",
    "Simulation",
    "Sweep",
    "Trades",
    "Tried",
    "Variation",
    "WalkForward",
    "backtest",
    "measure",
    "monte_carlo",
    "optimize",
    "portfolio",
    "sweep",
    "walk_forward",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Door(ModuleType):
    """Keeps a function where the import of the module of the same name would put that module."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) and _HOME.get(name) == name):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Door
