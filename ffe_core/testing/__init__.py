"""What a plugin author tests with: fakes for every port, seeded samples, and the contracts that objects must keep.

    from ffe_core.testing import DataSourceContract
    from ffe_acme import make_source

    class TestPrices(DataSourceContract):
        factory = staticmethod(make_source)

Names load on first use, so that the pytest plugin costs nothing where no contract is tested.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffe_core.domain.clock import FixedClock
    from ffe_core.testing.contracts.base import Checks, Contract, ContractBroken, require
    from ffe_core.testing.contracts.commands import CommandProviderContract, make_tool
    from ffe_core.testing.contracts.executors import ExecutorContract
    from ffe_core.testing.contracts.platforms import PlatformContract
    from ffe_core.testing.contracts.plugins import PluginContract
    from ffe_core.testing.contracts.providers import AIProviderContract, VectorProviderContract
    from ffe_core.testing.contracts.rules import RiskRuleContract
    from ffe_core.testing.contracts.sources import DataSourceContract, QuoteSourceContract
    from ffe_core.testing.contracts.strategies import AggregationStrategyContract
    from ffe_core.testing.fakes import (
        FakeExecutor,
        FakeProvider,
        FakeRule,
        FakeRuleProvider,
        FakeSource,
        FakeStrategy,
    )
    from ffe_core.testing.ledger import MemoryLedger, MemoryLedgers
    from ffe_core.testing.samples import (
        HeardLog,
        make_agenda,
        make_ballot,
        make_briefing,
        make_candles,
        make_context,
        make_market,
        make_opinion,
        make_order,
        make_portfolio,
        make_proposal,
        make_pulse,
        make_risk_context,
    )
    from ffe_core.testing.venue import FakePlatform

_HOMES = {
    "ffe_core.analysis.series": "CandleSeries",
    "ffe_core.domain.clock": "FixedClock",
    "ffe_core.testing.contracts.base": "Checks Contract ContractBroken require",
    "ffe_core.testing.contracts.commands": "CommandProviderContract make_tool",
    "ffe_core.testing.contracts.executors": "ExecutorContract",
    "ffe_core.testing.contracts.platforms": "PlatformContract",
    "ffe_core.testing.contracts.plugins": "PluginContract",
    "ffe_core.testing.contracts.providers": "AIProviderContract VectorProviderContract",
    "ffe_core.testing.contracts.rules": "RiskRuleContract",
    "ffe_core.testing.contracts.sources": "DataSourceContract QuoteSourceContract",
    "ffe_core.testing.contracts.strategies": "AggregationStrategyContract",
    "ffe_core.testing.fakes": "FakeExecutor FakeProvider FakeRule FakeRuleProvider FakeSource FakeStrategy",
    "ffe_core.testing.ledger": "MemoryLedger MemoryLedgers",
    "ffe_core.testing.samples": (
        "HeardLog make_agenda make_ballot make_briefing make_candles make_context make_market make_opinion make_order "
        "make_portfolio make_proposal make_pulse make_risk_context"
    ),
    "ffe_core.testing.venue": "FakePlatform",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [
    "AIProviderContract",
    "AggregationStrategyContract",
    "CandleSeries",
    "Checks",
    "CommandProviderContract",
    "Contract",
    "ContractBroken",
    "DataSourceContract",
    "ExecutorContract",
    "FakeExecutor",
    "FakePlatform",
    "FakeProvider",
    "FakeRule",
    "FakeRuleProvider",
    "FakeSource",
    "FakeStrategy",
    "FixedClock",
    "HeardLog",
    "MemoryLedger",
    "MemoryLedgers",
    "PlatformContract",
    "PluginContract",
    "QuoteSourceContract",
    "RiskRuleContract",
    "VectorProviderContract",
    "make_agenda",
    "make_ballot",
    "make_briefing",
    "make_candles",
    "make_context",
    "make_market",
    "make_opinion",
    "make_order",
    "make_portfolio",
    "make_proposal",
    "make_pulse",
    "make_risk_context",
    "make_tool",
    "require",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ffe_core.testing' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
