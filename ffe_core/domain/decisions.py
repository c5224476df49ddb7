"""From a briefing to a decision: what was known, who said what, what was made of it and why."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import iso, require_utc
from ffe_core.domain.market import Candles, Freshness, Market, MarketStatus, Pulse, Regime
from ffe_core.domain.trading import (
    Action,
    ClosedTrade,
    Effect,
    Instrument,
    Mode,
    Portfolio,
    Reservation,
    TradingState,
)

if TYPE_CHECKING:
    import pandas as pd


#: on a field that is at hand while a decision is made and can be had again; records leave it out
NOT_RECORDED = {"recorded": False}


class RulingOutcome(StrEnum):
    PASSED = "passed"
    CLAMPED = "clamped"
    VETOED = "vetoed"
    UNAVAILABLE = "unavailable"
    NOT_APPLICABLE = "not_applicable"


class Trust(StrEnum):
    """How far a note's text may be believed: ours, measured elsewhere, or written by strangers."""

    OWN = "own"
    MEASURED = "measured"
    UNTRUSTED = "untrusted"


@dataclass(frozen=True, slots=True)
class Note:
    """A contribution to the briefing. ``available_at``: when it could first be known; ``origin``: the plugin's name."""

    origin: str
    trust: Trust
    available_at: datetime
    text: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "available_at", require_utc(self.available_at))


@dataclass(frozen=True, slots=True)
class BriefRequest:
    asset: Asset
    as_of: datetime
    timeframe: Timeframe
    horizon: int


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account in signed shares of its equity: sums of money are nobody's business but the user's.

    ``asset`` is what is held of the asset itself, ``others`` of every other one by symbol. ``gain`` is the position's
    unrealised gain as a fraction of its entry price; ``None`` where nothing is held.
    """

    cash: Decimal
    asset: Decimal
    gain: Decimal | None = None
    others: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Briefing:
    """Everything that providers are told, and nothing that was unknown at ``as_of``. Immutable."""

    asset: Asset
    as_of: datetime
    mode: Mode
    timeframe: Timeframe
    #: bars of ``timeframe`` over which confidence is a probability
    horizon: int
    market: Market
    pulse: Pulse
    regime: Regime
    #: signed quantity held now; ``None`` where positions are unknown
    position: Decimal | None
    notes: tuple[Note, ...] = ()
    #: indicators that plugins computed, ``plugin.name`` -> value
    indicators: Mapping[str, float] = field(default_factory=dict)
    #: what whoever is asked is to argue, where a strategy gives out parts; written by the strategy, never by strangers
    part: str = ""
    #: the bars of ``timeframe`` that were complete at ``as_of``, for rules that read more than the pulse. They are no
    #: part of the record, which holds their fingerprint, nor of any prompt.
    candles: Candles | None = field(default=None, repr=False, compare=False, metadata=NOT_RECORDED)
    #: what is at risk already; ``None`` where the account or its worth is unknown
    account: AccountView | None = None
    #: what each action would do to the position; empty where positions are unknown
    effects: Mapping[Action, Effect] = field(default_factory=dict)
    #: what a way in and out again costs, a fraction of the price; ``None`` where nobody said
    round_trip_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Opinion:
    """One provider's answer, or the reason that there is none (``error``): then it is an abstention, never a vote.

    ``confidence`` is 0-100. ``amount`` is what the provider suggests; ffe computes the size itself.
    """

    provider: str
    model: str
    action: Action | None
    confidence: int
    reasoning: str
    amount: Decimal | None = None
    horizon: int | None = None
    #: whether confidence claims to be a probability (rules do not)
    calibratable: bool = True
    latency_ms: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: Decimal | None = None
    error: str | None = None
    local: bool = False
    #: exactly what was sent and what came back, for replay; ``None`` for rules
    prompt: str | None = None
    raw_reply: str | None = None
    #: members of the reply that nothing reads
    ignored_members: int = 0
    #: False where nobody could be asked, because a key or a model was never set
    asked: bool = True
    #: what to do about ``error``
    hint: str | None = None
    #: of ``tokens_in``, those that the service had kept from an earlier question and may bill at less
    tokens_cached: int | None = None

    def __post_init__(self) -> None:
        if self.error is None:
            if not isinstance(self.action, Action):
                raise ValueError(f"{self.provider}: action {self.action!r} is none of BUY, SELL, HOLD")
            if isinstance(self.confidence, bool) or not isinstance(self.confidence, int):
                raise ValueError(f"{self.provider}: confidence {self.confidence!r} is no whole number")
            if not 0 <= self.confidence <= 100:
                raise ValueError(f"{self.provider}: confidence {self.confidence} is not within 0-100")
            if not self.reasoning.strip():
                raise ValueError(f"{self.provider}: reasoning is blank")
        if self.amount is not None and (not self.amount.is_finite() or self.amount < 0):
            raise ValueError(f"{self.provider}: amount {self.amount} is not a number above zero")

    @property
    def is_vote(self) -> bool:
        return self.error is None

    @classmethod
    def failure(cls, provider: str, model: str, error: str, *, local: bool = False, **facts: Any) -> Opinion:
        """An abstention with its reason."""
        return cls(provider, model, None, 0, "", error=error, local=local, **facts)


class OutcomeKind(StrEnum):
    """When an outcome was taken: at the horizon of the decision, or when the trade it led to had closed."""

    HORIZON = "horizon"
    TRADE = "trade"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a decision, once its horizon has passed or its trade has closed."""

    decision_id: str
    asset: Asset
    resolved_at: datetime
    action: Action
    #: return of the price over the horizon, a fraction, before and after costs, signed by the action
    gross_return: float | None
    net_return: float | None
    pnl: Decimal | None = None
    exit_reason: str = ""
    provider_actions: Mapping[str, Action] = field(default_factory=dict)
    provider_confidences: Mapping[str, int] = field(default_factory=dict)
    #: return of the price itself over the horizon, and a round trip's costs, both fractions: what every provider's
    #: call is scored by, whatever was decided. ``None`` in records that only know what became of the decision.
    price_return: float | None = None
    cost: float | None = None
    kind: OutcomeKind = OutcomeKind.HORIZON
    #: whether the prices were invented; such outcomes teach nothing about real ones
    synthetic: bool = False
    #: the instant of the decision; a store keeps no outcome without it
    as_of: datetime | None = None
    #: the providers whose confidence claimed to be a probability over this very horizon
    calibratable: tuple[str, ...] = ()
    #: what the panel as a whole wanted, before any veto, and its confidence before quorum and failure factors
    verdict_action: Action | None = None
    raw_confidence: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "resolved_at", require_utc(self.resolved_at))
        if self.as_of is not None:
            object.__setattr__(self, "as_of", require_utc(self.as_of))
            if self.resolved_at < self.as_of:
                raise ValueError(f"resolved at {iso(self.resolved_at)}, before the decision at {iso(self.as_of)}")

    def net_of(self, action: Action) -> float | None:
        """What ``action`` would have made after costs; zero for HOLD, ``None`` where it is not known.

        Where the price's own return was not kept, it follows from what the decision's direction made.
        """
        if action is Action.HOLD:
            return 0.0
        sides = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0}
        move, cost = self.price_return, self.cost
        if move is None and self.gross_return is not None:
            move = sides[self.action] * self.gross_return if sides[self.action] else None
        if cost is None and self.gross_return is not None and self.net_return is not None:
            cost = self.gross_return - self.net_return
        return None if move is None or cost is None else sides[action] * move - cost

    @property
    def rewarded(self) -> Action | None:
        """The action that paid: a direction that was profitable after costs, else HOLD; ``None`` where not known."""
        gains = {action: self.net_of(action) for action in (Action.BUY, Action.SELL)}
        if None in gains.values():
            return None
        return next((action for action, gain in gains.items() if gain is not None and gain > 0), Action.HOLD)


@dataclass(frozen=True, slots=True)
class Agenda:
    """What a strategy that asks in rounds starts from."""

    briefing: Briefing
    #: whom the user wants to be asked, in that order, and who of them runs on the user's machine
    panel: tuple[str, ...]
    local: tuple[str, ...] = ()
    #: the most that is at stake: what is held now, or what an entry would be worth, in quote currency; ``None`` where
    #: there is no size
    stake: Decimal | None = None
    #: premium questions that may still be asked on this day (UTC), counted no further than one decision can use
    premium_left: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """Whom to ask, and with which briefing. ``seat`` is the strategy's own name for the question."""

    providers: tuple[str, ...]
    briefing: Briefing
    seat: str = ""
    #: counted for the day
    premium: bool = False
    #: whether the confidence that comes back claims to be a probability; an advocate's does not
    calibratable: bool = True


@dataclass(frozen=True, slots=True)
class Round:
    """A question that was asked, and what came back: one opinion per provider, failures included."""

    ask: Ask
    opinions: tuple[Opinion, ...]


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a strategy combines: opinions and failures in panel order, weights that sum to one over the opinions."""

    asset: Asset
    as_of: datetime
    opinions: tuple[Opinion, ...]
    failed: tuple[Opinion, ...]
    weights: Mapping[str, float]
    history: Sequence[Outcome] = ()
    seed: int = 0
    #: what a strategy that asks in rounds has asked, and started from
    rounds: tuple[Round, ...] = ()
    agenda: Agenda | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the panel says as one voice. ``raw_confidence`` is before the quorum and failure factors."""

    action: Action
    confidence: int
    raw_confidence: int
    reasoning: str
    amount: Decimal | None
    #: ``ensemble_metadata`` of the record: tier, weights, votes, factors, every provider's answer
    metadata: Mapping[str, Any] = field(default_factory=dict)

    @property
    def agreement(self) -> float:
        """Share of the weight behind the action, 0-1."""
        return float(self.metadata.get("agreement_score", 0.0))


@dataclass(frozen=True, slots=True)
class Clamp:
    """One limit that made the size smaller."""

    rule: str
    reason: str
    before: Decimal
    after: Decimal


@dataclass(frozen=True, slots=True)
class Sizing:
    """How the size came to be. ``formula_quantity`` before any limit; ``None`` where nothing is to be sized."""

    method: str
    formula_quantity: Decimal | None
    clamps: tuple[Clamp, ...] = ()
    #: why there is no size although there is an entry; empty otherwise
    unavailable: str = ""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A sized intention, before the risk rules. ``quantity`` is positive base units, ``None`` without a size."""

    asset: Asset
    action: Action
    effect: Effect
    effect_reason: str
    confidence: int
    entry_price: Decimal
    quantity: Decimal | None
    stop_price: Decimal | None
    stop_fraction: Decimal | None
    target_price: Decimal | None
    risk_fraction: Decimal | None
    signal_only: bool
    sizing: Sizing
    agreement: float = 1.0

    @property
    def is_entry(self) -> bool:
        return self.effect.is_entry

    @property
    def is_exit(self) -> bool:
        return self.effect.is_exit


@dataclass(frozen=True, slots=True)
class RiskContext:
    """What risk rules may look at; ``None`` means that it could not be had, which is not the same as zero."""

    now: datetime
    mode: Mode
    #: what the user or a safety stop allows for this asset; ``None`` where it cannot be read
    state: TradingState | None
    before: Portfolio | None
    #: the portfolio as it will be if the proposal is filled at its entry price
    after: Portfolio | None
    instrument: Instrument | None
    market: Market
    freshness: Freshness
    status: MarketStatus
    #: simple returns by UTC day (``2024-03-06``), oldest first, by symbol: of what is held and of what is proposed
    daily_returns: Mapping[str, Sequence[tuple[str, float]]] | None = None
    #: the account's highest equity of the last 30 days, and its equity when the day began, both as if all the cash
    #: that came or went since had been there or gone already
    peak_equity: Decimal | None = None
    day_start_equity: Decimal | None = None
    closed_trades: Sequence[ClosedTrade] | None = None
    reservations: Sequence[Reservation] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    #: why the state is not ACTIVE, in the words of whoever changed it
    state_reason: str = ""
    #: until when a drawdown that passed its limit bars entries
    drawdown_until: datetime | None = None
    #: the account is a supposed one, without a past: an analysis as of an earlier instant
    supposed: bool = False


@dataclass(frozen=True, slots=True)
class Ruling:
    """One rule's judgement. ``before`` and ``after`` are quantities, set where the rule clamped."""

    rule: str
    outcome: RulingOutcome
    reason: str = ""
    before: Decimal | None = None
    after: Decimal | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.outcome is RulingOutcome.CLAMPED and (self.after is None or self.before is None):
            raise ValueError(f"rule {self.rule} clamped without saying from what to what")
        if self.after is not None and self.before is not None and self.after > self.before:
            raise ValueError(f"rule {self.rule} may make a size smaller, never larger")


@dataclass(frozen=True, slots=True)
class Decision:
    """The unit of everything: the fields of a record that people and programs read, named as ``--json`` prints them."""

    id: str
    asset_pair: str
    asset_type: str
    as_of: datetime
    created_at: datetime
    mode: Mode
    action: Action
    effect: Effect
    #: why there is nothing to do, where there is nothing to do
    effect_reason: str
    confidence: int
    raw_confidence: int
    reasoning: str
    amount: Decimal | None
    position_type: str | None
    entry_price: Decimal | None
    position_size: Decimal | None
    sizing: Sizing
    stop_loss_price: Decimal | None
    stop_loss_fraction: Decimal | None
    take_profit_price: Decimal | None
    risk_fraction: Decimal | None
    signal_only: bool
    market: Market
    pulse: Pulse
    regime: Regime
    opinions: tuple[Opinion, ...]
    ensemble_metadata: Mapping[str, Any]
    rulings: tuple[Ruling, ...]
    #: a risk rule forbids it: kept and explained, never executed
    vetoed: bool = False
    hash: str = ""
    previous_hash: str = ""

    def frame(self) -> pd.DataFrame:
        """One row of a DataFrame, indexed by id; ``pandas.concat`` of several makes a table of decisions."""
        made: pd.DataFrame = _notebook().decision_frame(self)
        return made

    def _repr_html_(self) -> str:
        made: str = _notebook().decision_html(self)
        return made


def _notebook() -> Any:
    """The lazy door to what shows results in notebooks: the domain itself knows neither pandas nor HTML."""
    return importlib.import_module("ffe_core.engine.notebook")
