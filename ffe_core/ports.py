"""The ports: what an object that a plugin hands over must be able to do.

Attributes are read-only properties here, so that frozen dataclasses satisfy them. A method that cannot answer raises
one of ``ffe_core.errors``; it never returns an invented value. Optional capabilities are ports of their own: the
host reads from the bare object which of them it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, Self, runtime_checkable

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import (
    Agenda,
    Ask,
    Ballot,
    Briefing,
    Note,
    Opinion,
    Proposal,
    RiskContext,
    Round,
    Ruling,
    Verdict,
)
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Fill, Instrument, Order, OrderReport, Portfolio, Position

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Named(Protocol):
    @property
    def name(self) -> str:
        """How settings choose it: lower-case letters, digits and underscores, the same in every run."""
        ...


@runtime_checkable
class DataSource(Named, Protocol):
    """Candles of some market."""

    def serves(self, asset: Asset) -> bool:
        """Whether this source has ``asset`` at all; no network."""
        ...

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        """Bars that open in ``[start, end)``, at most the last ``limit`` of them, complete or not.

        Raises ``NoData`` where there is nothing, ``BadData`` where there is something that cannot be trusted.
        """
        ...


@runtime_checkable
class QuoteSource(Protocol):
    def quote(self, asset: Asset) -> Quote:
        """The present bid and ask. Raises ``NoData``."""
        ...


@runtime_checkable
class NewsSource(Protocol):
    def news(self, asset: Asset, since: datetime, until: datetime) -> Sequence[Note]:
        """Notes that became available in ``[since, until)``."""
        ...


@runtime_checkable
class MacroSource(Protocol):
    def macro(self, until: datetime) -> Sequence[Note]:
        """The newest released figures at ``until``."""
        ...


@runtime_checkable
class Catalogued(Protocol):
    """A source that can say what it holds, for ``ffe data list``."""

    def holdings(self) -> Sequence[Holding]:
        """Every series it holds, in a fixed order."""
        ...


@dataclass(frozen=True, slots=True)
class Holding:
    """One series of a source: ``first`` and ``last`` are bar opens, ``None`` where it is endless."""

    asset: Asset
    timeframe: Timeframe
    bars: int | None
    first: datetime | None
    last: datetime | None
    origin: str


@runtime_checkable
class AIProvider(Named, Protocol):
    """Somebody who can be asked for an opinion."""

    @property
    def model(self) -> str:
        """The model's id, or ``rule:NAME`` where the answer is computed here and nobody is called."""
        ...

    @property
    def local(self) -> bool:
        """Whether it runs on the user's machine; such providers make up the local quorum."""
        ...

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        """An opinion within ``timeout`` seconds. Raises ``ProviderFailed``: a failure is never dressed up as HOLD."""
        ...


@dataclass(frozen=True, slots=True)
class Readiness:
    """What stands between a provider and its answer; ``None`` where that does not apply or could not be looked at."""

    #: the program that it runs, on the path
    installed: bool | None = None
    #: a key or a sign-in that is accepted
    signed_in: bool | None = None
    #: the server that it asks, answering
    reachable: bool | None = None
    #: the model that settings name, known there
    model_there: bool | None = None
    #: what was found, in one line: a version, an address, a reason
    detail: str = ""
    #: what to do about it
    hint: str | None = None

    @property
    def ready(self) -> bool:
        """Whether nothing is known to be missing."""
        return False not in (self.installed, self.signed_in, self.reachable, self.model_there)


@runtime_checkable
class CheckedProvider(Protocol):
    """A provider that can say whether it would answer, for ``ffe providers check``."""

    def check(self, *, timeout: float) -> Readiness:
        """Looks within ``timeout`` seconds and asks no model, so that nothing is spent. Says no rather than raises."""
        ...


@runtime_checkable
class Rationed(Protocol):
    """A provider that may be asked only so often; the panel keeps count across processes."""

    @property
    def per_minute(self) -> int | None:
        """Questions within any minute, ``None`` for no limit."""
        ...

    @property
    def per_day(self) -> int | None:
        """Questions on one day (UTC), ``None`` for no limit."""
        ...


@runtime_checkable
class Dated(Protocol):
    """A provider that knows when the training of its model ended; having it says that a model is asked at all."""

    @property
    def cutoff(self) -> date | None:
        """The last day that the model may have read about, ``None`` where that is not known."""
        ...


class Series(Protocol):
    """Candles with indicators that are computed once and shared, for providers that answer per bar."""

    @property
    def candles(self) -> Candles: ...

    def indicator(self, name: str, **params: float) -> NDArray[np.float64]:
        """A column as long as the candles, NaN in the warm-up; element i knows bars up to i only."""
        ...


@dataclass(frozen=True, slots=True)
class Signals:
    """``action`` (1 BUY, -1 SELL, 0 HOLD) and ``confidence`` (0-100) per bar, int8 of the series' length.

    HOLD with confidence 0 is an abstention: there are too few bars yet to say anything.
    """

    action: NDArray[np.int8]
    confidence: NDArray[np.int8]


@runtime_checkable
class VectorProvider(AIProvider, Protocol):
    """A rule: it can answer for every bar of a series at once."""

    def with_params(self, **params: float | int | str) -> Self:
        """The same rule with other parameters. Raises ``UsageError`` for an unknown one or one out of range."""
        ...

    def ask_all(self, series: Series) -> Signals:
        """One answer per bar; element i knows bars up to i only."""
        ...


class Columns(Protocol):
    """Times, prices and indicators of one course of a market, or of many courses of it at once.

    A column is float64[bars], or float64[courses, bars] where there are many; ``compiled`` columns come from machine
    code, and who has a compiled form of its own arithmetic uses it for them.
    """

    @property
    def compiled(self) -> bool: ...
    @property
    def time(self) -> NDArray[np.int64]:
        """int64[bars] epoch milliseconds of the opens, the same for every course."""
        ...

    def price(self, name: str) -> NDArray[np.float64]:
        """``open``, ``high``, ``low``, ``close`` or ``volume``."""
        ...

    def indicator(self, name: str, **params: float) -> NDArray[np.float64]: ...


@runtime_checkable
class ColumnProvider(VectorProvider, Protocol):
    """A rule whose arithmetic runs along the last axis of columns and never across courses.

    Experiments ask it for many courses in one call, and for nothing that they do not read.
    """

    def actions(self, columns: Columns) -> NDArray[np.int8]:
        """``Signals.action`` of each course: int8[courses, bars], or int8[bars] where all courses have the same."""
        ...


@runtime_checkable
class AggregationStrategy(Named, Protocol):
    """Makes one verdict of a ballot. Pure: the same ballot gives the same verdict."""

    def combine(self, ballot: Ballot) -> Verdict:
        """Raises ``ValueError`` where the ballot cannot be combined; the next tier answers then."""
        ...


@runtime_checkable
class RoundStrategy(AggregationStrategy, Protocol):
    """A strategy that asks in rounds, such as a debate."""

    def next_round(self, agenda: Agenda, done: Sequence[Round]) -> Sequence[Ask]:
        """What to ask next, all of it at once, or nothing when enough has been said. Pure: the engine does the asking.

        Each question becomes a ``Round``, in order; ``combine`` finds them in the ballot.
        """
        ...


@runtime_checkable
class Learner(Protocol):
    """A strategy that learns: its ballots hold what had come of earlier decisions by then."""

    @property
    def history(self) -> int:
        """How many outcomes it wants, the newest first; the record of every decision holds as many."""
        ...


@runtime_checkable
class RiskRule(Named, Protocol):
    """Judges a proposal by the portfolio after the trade. Pure; it may shrink or veto, never enlarge."""

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling: ...


@dataclass(frozen=True, slots=True, eq=False)
class Prospect:
    """What is known beforehand of the entries that a simulation may make: a place in each column for every one of them.

    Each is an entry on paper, while trading is ACTIVE and the data are fresh, of a real account with no other holding
    and no reservation, at a size that the venue takes. A place tells nothing that was not known at that moment.
    """

    asset: Asset
    instrument: Instrument
    #: ``RiskContext.settings``
    settings: Mapping[str, Any]
    #: int64[entries] when the order would be sent, epoch milliseconds; ascending
    sent: NDArray[np.int64]
    #: int8[entries]: 1 a purchase, -1 a sale; its confidence, 0-100, and float64[entries] its ``agreement``
    side: NDArray[np.int8]
    confidence: NDArray[np.int8]
    agreement: NDArray[np.float64]
    #: float64[entries] the entry price, the bar that it comes from, and ``Market.volatility`` (NaN where unknown)
    price: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    volatility: NDArray[np.float64]
    #: float64[days] daily returns of the asset, oldest first; entry i knows those in ``[since[i], until[i])``
    returns: NDArray[np.float64]
    since: NDArray[np.int64]
    until: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Clearance:
    """Where a rule certainly lets entries pass: those that are ``where``, while the account keeps to bounds.

    There it passes, does not apply, or cannot judge and need not: on paper such a ruling is noted and bars nothing,
    unless ``Prospect.settings["fail_closed"]`` is ``always``.

    ``kept`` below 1 says that it clamps there instead, whatever the account, to exactly that share of the size, in
    whole 1024ths. ``exposure`` is the most that the position may be worth over equity before any clamp, ``drawdown``
    the most that equity may lie below its peak of 30 days, ``daily_loss`` below what the day began with: fractions, for
    each entry or for all. Whoever compares does so in floats and keeps a margin. While a drawdown bars entries nothing
    is clear.
    """

    where: NDArray[np.bool_] | bool = True
    kept: NDArray[np.float64] | float = 1.0
    exposure: NDArray[np.float64] | float = math.inf
    drawdown: float = math.inf
    daily_loss: float = math.inf


@runtime_checkable
class VectorRule(RiskRule, Protocol):
    """A rule that can say for a whole series where it certainly lets entries pass; it is asked nothing there.

    It may claim no more than ``check`` would answer: nothing where that vetoes, clamps to a size of its own, or cannot
    judge while that bars entries. It need not claim all: wherever it does not, ``check`` is asked. Whoever reads a
    ruling of a simulation later gets it from ``check`` in any case.
    """

    def clearance(self, prospect: Prospect) -> Clearance: ...


@runtime_checkable
class Platform(Named, Protocol):
    """A venue, or paper. ``submit`` is one POST, never repeated: ``Refused`` is definite, ``Unknown`` is not."""

    def portfolio(self) -> Portfolio: ...

    def instrument(self, asset: Asset) -> Instrument: ...

    def quote(self, asset: Asset) -> Quote: ...

    def prepare(self, order: Order) -> Mapping[str, str]:
        """What recovery will need (a transaction id, a product); stored with the intent before the send."""
        ...

    def submit(self, order: Order) -> OrderReport: ...

    def find(self, order: Order) -> OrderReport | None:
        """The venue's word on an order by its client id; ``None`` only when the venue says that there is none."""
        ...

    def cancel(self, order: Order) -> OrderReport: ...

    def close(self, position: Position, *, client_order_id: str) -> OrderReport: ...

    def protect(
        self, position: Position, stop: Decimal | None, target: Decimal | None, *, client_order_id: str
    ) -> OrderReport: ...

    def open_orders(self) -> Sequence[OrderReport]: ...

    def fills(self, since: str | None) -> tuple[Sequence[Fill], str]:
        """Fills after the cursor ``since``, and the venue's next cursor."""
        ...

    def check(self) -> Mapping[str, bool]:
        """``api_auth account_active trading_enabled balance_available market_data``, each tried, none guessed."""
        ...


@runtime_checkable
class MarkToMarket(Protocol):
    """A platform that is told prices rather than knowing them, such as paper."""

    def update_prices(self, prices: Mapping[str, Decimal]) -> None:
        """Marks by canonical symbol, quote currency."""
        ...


@runtime_checkable
class BarFed(Protocol):
    """A platform that is told bars rather than watching a market, such as paper: they trigger its stops and targets."""

    def watching(self) -> Mapping[Asset, datetime]:
        """Whose bars it waits for, each with the instant since which it has seen none."""
        ...

    def update_bars(self, bars: Candles) -> None:
        """Bars of one asset, oldest first. Those that opened before that instant, or are not complete yet, are none."""
        ...


@runtime_checkable
class FlatAccount(Protocol):
    """A platform that can say what its account holds before the first trade: what an analysis of the past sizes by."""

    def flat(self) -> Portfolio: ...


@runtime_checkable
class FundedAccount(Protocol):
    """A platform that can tell cash that was paid in or taken out from what trading made of it."""

    def paid_in(self) -> Decimal:
        """All cash that was ever paid in, less what was taken out, in account currency."""
        ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """A share of the work: ``index`` orders the results, ``arguments`` are plain JSON-like values."""

    index: int
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one chunk; ``error`` is set where the task raised."""

    index: int
    value: Any
    error: str | None = None


@runtime_checkable
class Executor(Named, Protocol):
    """Spreads many independent runs over workers."""

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        """Results of ``task`` ("package.module:function") in the order of ``chunks``.

        ``shared`` reaches each worker once; a chunk that a dying worker lost is run again.
        """
        ...

    def close(self) -> None: ...
