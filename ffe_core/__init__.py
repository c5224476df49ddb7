"""ffe, the Finance Feedback Engine: market data in, a sized, risk-checked, explained and recorded decision out.

Everything a plugin author needs is named here and loaded on first use, so that ``import ffe_core`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffe_core.ai.command import Tool, ToolLate, ToolRun, Workplace
    from ffe_core.ai.consult import ModelAnswer, consult, repaired, time_left
    from ffe_core.ai.prompt import Prompt, render_prompt
    from ffe_core.ai.reply import read_reply, repair_prompt, reply_schema
    from ffe_core.ai.server import look_at_server
    from ffe_core.ai.settings import ToolSettings
    from ffe_core.analysis.series import CandleSeries, close_times, columns_of
    from ffe_core.domain.assets import Asset, AssetKind, DayBoundary, Timeframe
    from ffe_core.domain.clock import Clock, FixedClock, SystemClock, from_ms, to_ms
    from ffe_core.domain.decisions import (
        Agenda,
        Ask,
        Ballot,
        Briefing,
        BriefRequest,
        Clamp,
        Decision,
        Note,
        Opinion,
        Outcome,
        OutcomeKind,
        Proposal,
        RiskContext,
        Round,
        Ruling,
        RulingOutcome,
        Sizing,
        Trust,
        Verdict,
    )
    from ffe_core.domain.events import Alert, Severity, StateChange
    from ffe_core.domain.ledger import LedgerEntry
    from ffe_core.domain.market import (
        Candles,
        CandleShape,
        Confluence,
        FramePulse,
        Freshness,
        Market,
        MarketStatus,
        Pulse,
        Quote,
        Regime,
        Trend,
        VolatilityClass,
    )
    from ffe_core.domain.trading import (
        Action,
        ClosedTrade,
        Costs,
        Effect,
        Fees,
        Fill,
        Instrument,
        Mode,
        Order,
        OrderReport,
        OrderState,
        OrderType,
        Portfolio,
        Position,
        Reservation,
        Side,
        TradingState,
    )
    from ffe_core.engine import Engine
    from ffe_core.errors import (
        BadData,
        BadReply,
        BadStatus,
        BudgetSpent,
        CassetteMiss,
        DataError,
        FfeError,
        HttpError,
        NoAnswer,
        NoData,
        NotConfigured,
        NotReached,
        PlatformError,
        PluginError,
        ProviderFailed,
        RateLimited,
        Refused,
        RequiredPluginFailed,
        SafetyRefusal,
        SettingsError,
        SourceFailed,
        StoreError,
        Unknown,
        UnknownName,
        UsageError,
        VerificationFailed,
    )
    from ffe_core.hookspecs import AccountLedger, LedgerBook, Ledgers, PluginContext
    from ffe_core.markers import hookimpl
    from ffe_core.market.hours import entries_allowed, market_status, next_session
    from ffe_core.net.limiter import Allowance, RateLimiter, TokenBucket
    from ffe_core.net.state import FileState
    from ffe_core.ports import (
        AggregationStrategy,
        AIProvider,
        CheckedProvider,
        Chunk,
        Clearance,
        ColumnProvider,
        Columns,
        DataSource,
        Dated,
        Executor,
        FlatAccount,
        FundedAccount,
        Holding,
        Learner,
        Platform,
        Prospect,
        Rationed,
        Readiness,
        Result,
        RiskRule,
        RoundStrategy,
        Series,
        Signals,
        VectorProvider,
        VectorRule,
    )
    from ffe_core.tasks import error_line, lend_arrays, run_task

_HOMES = {
    "ffe_core.ai.command": "Tool ToolLate ToolRun Workplace",
    "ffe_core.ai.consult": "ModelAnswer consult repaired time_left",
    "ffe_core.ai.prompt": "Prompt render_prompt",
    "ffe_core.ai.reply": "read_reply repair_prompt reply_schema",
    "ffe_core.ai.server": "look_at_server",
    "ffe_core.ai.settings": "ToolSettings",
    "ffe_core.analysis.series": "CandleSeries close_times columns_of",
    "ffe_core.domain.assets": "Asset AssetKind DayBoundary Timeframe",
    "ffe_core.domain.clock": "Clock FixedClock SystemClock from_ms to_ms",
    "ffe_core.domain.decisions": (
        "Agenda Ask Ballot BriefRequest Briefing Clamp Decision Note Opinion Outcome OutcomeKind Proposal RiskContext "
        "Round Ruling RulingOutcome Sizing Trust Verdict"
    ),
    "ffe_core.domain.events": "Alert Severity StateChange",
    "ffe_core.domain.ledger": "LedgerEntry",
    "ffe_core.domain.market": (
        "CandleShape Candles Confluence FramePulse Freshness Market MarketStatus Pulse Quote Regime Trend "
        "VolatilityClass"
    ),
    "ffe_core.domain.trading": (
        "Action ClosedTrade Costs Effect Fees Fill Instrument Mode Order OrderReport OrderState OrderType Portfolio "
        "Position Reservation Side TradingState"
    ),
    "ffe_core.engine": "Engine",
    "ffe_core.errors": (
        "BadData BadReply BadStatus BudgetSpent CassetteMiss DataError FfeError HttpError NoAnswer NoData "
        "NotConfigured NotReached PlatformError PluginError ProviderFailed RateLimited Refused RequiredPluginFailed "
        "SafetyRefusal SettingsError SourceFailed StoreError Unknown UnknownName UsageError VerificationFailed"
    ),
    "ffe_core.hookspecs": "AccountLedger LedgerBook Ledgers PluginContext",
    "ffe_core.markers": "hookimpl",
    "ffe_core.market.hours": "entries_allowed market_status next_session",
    "ffe_core.net.limiter": "Allowance RateLimiter TokenBucket",
    "ffe_core.net.state": "FileState",
    "ffe_core.ports": (
        "AIProvider AggregationStrategy CheckedProvider Chunk Clearance ColumnProvider Columns DataSource Dated "
        "Executor FlatAccount FundedAccount Holding Learner Platform Prospect Rationed Readiness Result RiskRule "
        "RoundStrategy Series Signals VectorProvider VectorRule"
    ),
    "ffe_core.tasks": "error_line lend_arrays run_task",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = [
    "AIProvider",
    "AccountLedger",
    "Action",
    "Agenda",
    "AggregationStrategy",
    "Alert",
    "Allowance",
    "Ask",
    "Asset",
    "AssetKind",
    "BadData",
    "BadReply",
    "BadStatus",
    "Ballot",
    "BriefRequest",
    "Briefing",
    "BudgetSpent",
    "CandleSeries",
    "CandleShape",
    "Candles",
    "CassetteMiss",
    "CheckedProvider",
    "Chunk",
    "Clamp",
    "Clearance",
    "Clock",
    "ClosedTrade",
    "ColumnProvider",
    "Columns",
    "Confluence",
    "Costs",
    "DataError",
    "DataSource",
    "Dated",
    "DayBoundary",
    "Decision",
    "Effect",
    "Engine",
    "Executor",
    "Fees",
    "FfeError",
    "FileState",
    "Fill",
    "FixedClock",
    "FlatAccount",
    "FramePulse",
    "Freshness",
    "FundedAccount",
    "Holding",
    "HttpError",
    "Instrument",
    "Learner",
    "LedgerBook",
    "LedgerEntry",
    "Ledgers",
    "Market",
    "MarketStatus",
    "Mode",
    "ModelAnswer",
    "NoAnswer",
    "NoData",
    "NotConfigured",
    "NotReached",
    "Note",
    "Opinion",
    "Order",
    "OrderReport",
    "OrderState",
    "OrderType",
    "Outcome",
    "OutcomeKind",
    "Platform",
    "PlatformError",
    "PluginContext",
    "PluginError",
    "Portfolio",
    "Position",
    "Prompt",
    "Proposal",
    "Prospect",
    "ProviderFailed",
    "Pulse",
    "Quote",
    "RateLimited",
    "RateLimiter",
    "Rationed",
    "Readiness",
    "Refused",
    "Regime",
    "RequiredPluginFailed",
    "Reservation",
    "Result",
    "RiskContext",
    "RiskRule",
    "Round",
    "RoundStrategy",
    "Ruling",
    "RulingOutcome",
    "SafetyRefusal",
    "Series",
    "SettingsError",
    "Severity",
    "Side",
    "Signals",
    "Sizing",
    "SourceFailed",
    "StateChange",
    "StoreError",
    "SystemClock",
    "Timeframe",
    "TokenBucket",
    "Tool",
    "ToolLate",
    "ToolRun",
    "ToolSettings",
    "TradingState",
    "Trend",
    "Trust",
    "Unknown",
    "UnknownName",
    "UsageError",
    "VectorProvider",
    "VectorRule",
    "Verdict",
    "VerificationFailed",
    "VolatilityClass",
    "Workplace",
    "close_times",
    "columns_of",
    "consult",
    "entries_allowed",
    "error_line",
    "from_ms",
    "hookimpl",
    "lend_arrays",
    "look_at_server",
    "market_status",
    "next_session",
    "read_reply",
    "render_prompt",
    "repair_prompt",
    "repaired",
    "reply_schema",
    "run_task",
    "time_left",
    "to_ms",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'ffe_core' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
