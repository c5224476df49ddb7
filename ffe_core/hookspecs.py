"""Every hook of ffe, in one place.

What settings choose by name is an object from a **composition** hook; what everyone may add to is a **contribution**
hook; what everyone may react to is an **event** hook. Each may take ``settings`` (the plugin's own section, validated
by its own model) and ``context`` besides what is named here; an implementation leaves out what it does not need.
Hooks are called one plugin at a time, each call guarded and under a deadline. Arguments may be added to a hook in
later versions, never removed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ffe_core.domain.clock import Clock
from ffe_core.domain.decisions import BriefRequest, Decision, Note, Outcome
from ffe_core.domain.events import Alert, StateChange
from ffe_core.domain.ledger import LedgerEntry
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Costs, Mode, Order
from ffe_core.errors import StoreError
from ffe_core.http import Doors
from ffe_core.markers import hookspec
from ffe_core.ports import AggregationStrategy, AIProvider, DataSource, Executor, Platform, RiskRule

if TYPE_CHECKING:
    from pydantic import BaseModel


class Logger(Protocol):
    """What a plugin may say, at four levels; goes to standard error with secrets taken out."""

    def debug(self, event: str, **facts: Any) -> None: ...
    def info(self, event: str, **facts: Any) -> None: ...
    def warning(self, event: str, **facts: Any) -> None: ...
    def error(self, event: str, **facts: Any) -> None: ...


class LedgerBook(Protocol):
    """One account's ledger while its writer holds it: what is read here is still true when it is written."""

    def entries(self) -> Sequence[LedgerEntry]: ...

    def append(self, entries: Iterable[LedgerEntry]) -> Sequence[LedgerEntry]:
        """As ``AccountLedger.append``; undone where the block raises."""
        ...


class AccountLedger(Protocol):
    """What an account came to hold, entry by entry: appended, never changed, shared by every process of one store.

    Each of these may raise ``StoreError``.
    """

    def read(self, *, after: int = 0) -> Sequence[LedgerEntry]:
        """Entries with a number above ``after``, oldest first. Makes no store where there is none yet."""
        ...

    def append(self, entries: Iterable[LedgerEntry]) -> Sequence[LedgerEntry]:
        """Writes entries, all or none, durably, and returns those that were new, numbered.

        An entry whose ``(fill_id, kind)`` is there already is left out; with another content it is refused.
        """
        ...

    def locked(self) -> AbstractContextManager[LedgerBook]:
        """For reading and writing while every other writer waits: look first, then book."""
        ...


class Ledgers(Protocol):
    """Hands a plugin the ledger of one of its accounts; nothing is opened before the first entry is asked for.

    What was opened on ``synthetic`` prices has a ledger of its own, and so has pretended money: ``mode`` is the run's
    unless told, and real money cannot be asked for in paper mode (``SafetyRefusal``).
    """

    def __call__(self, account: str, *, synthetic: bool, mode: Mode | None = None) -> AccountLedger: ...


def no_ledgers(account: str, *, synthetic: bool, mode: Mode | None = None) -> AccountLedger:
    """Where no store is at hand: a plugin in a process of its own. Raises ``StoreError``."""
    raise StoreError(f"there is no ledger for the account {account!r} here")


@dataclass(frozen=True)
class PluginContext:
    """What the host lends a plugin: one per plugin and engine, frozen.

    ``state_dir`` and ``cache_dir`` are the plugin's own; ``state_dir`` is made with mode 0700 on first use. ``rng`` is
    seeded from the plugin's name, so that the same run draws the same numbers. ``http(base_url, ...)`` opens a ``Door``
    to a service, which the host closes at the end; the plugin's secrets never show in what it says.
    ``ledger(account, synthetic=...)`` is where a platform keeps what an account of its own holds.
    """

    plugin: str
    clock: Clock
    state_root: Path
    cache_root: Path
    log: Logger
    rng: random.Random
    #: what the user says that trading costs; paper fills and reports read the same
    costs: Costs = field(default_factory=Costs)
    #: where the user's own data lie; ``None`` where nobody said
    data_root: Path | None = None
    #: doors to the network, see ``ffe_core.http``
    http: Doors = field(default_factory=Doors)
    #: accounts kept in the user's store
    ledger: Ledgers = no_ledgers

    @property
    def state_dir(self) -> Path:
        return _own(self.state_root / self.plugin)

    @property
    def cache_dir(self) -> Path:
        return _own(self.cache_root / self.plugin)


def _own(path: Path) -> Path:
    # Each by itself: folders that are made on the way to another get the mode of the umask.
    for folder in (path.parent.parent, path.parent, path):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


@hookspec
def ffe_settings() -> type[BaseModel]:
    """The pydantic model of the section ``plugins.NAME``.

    Return: the model's class; valid with no section at all. The host validates the section once and passes the
    instance to the other hooks. A plugin without this hook takes no settings.
    """
    raise NotImplementedError


# composition: called once per plugin, while the engine is put together


@hookspec
def ffe_data_sources(settings: Any, context: PluginContext) -> Iterable[DataSource]:
    """Sources of candles. ``data.sources`` names the ones to use, in order."""
    raise NotImplementedError


@hookspec
def ffe_ai_providers(settings: Any, context: PluginContext) -> Iterable[AIProvider]:
    """Providers of opinions. ``ai.providers`` names the panel."""
    raise NotImplementedError


@hookspec
def ffe_aggregation_strategies(settings: Any, context: PluginContext) -> Iterable[AggregationStrategy]:
    """Strategies that make one verdict of many opinions. ``ensemble.strategy`` names one."""
    raise NotImplementedError


@hookspec
def ffe_risk_rules(settings: Any, context: PluginContext) -> Iterable[RiskRule]:
    """Risk rules. All of them judge every proposal, in plugin order."""
    raise NotImplementedError


@hookspec
def ffe_platforms(settings: Any, context: PluginContext) -> Iterable[Platform]:
    """Venues. ``execution.platform`` names one; paper needs none."""
    raise NotImplementedError


@hookspec
def ffe_executors(settings: Any, context: PluginContext) -> Iterable[Executor]:
    """Places where many independent runs are spread, chosen by name."""
    raise NotImplementedError


# contribution: every plugin may add; merged in plugin order and recorded with the plugin's name


@hookspec
def ffe_brief(request: BriefRequest, settings: Any, context: PluginContext) -> Iterable[Note]:
    """Notes for the briefing. The host withholds and counts a note that became available after ``request.as_of``."""
    raise NotImplementedError


@hookspec
def ffe_indicators(candles: Candles, settings: Any, context: PluginContext) -> Mapping[str, float]:
    """Further readings of the decision timeframe, named by the plugin. ``candles`` ends at the as-of instant."""
    raise NotImplementedError


# events: every plugin may react; a failure is reported with the plugin's name and changes nothing


@hookspec
def ffe_decision_made(decision: Decision, settings: Any, context: PluginContext) -> None:
    """A decision was stored."""


@hookspec
def ffe_order_changed(order: Order, settings: Any, context: PluginContext) -> None:
    """An order went from one state to another; the change is already stored."""


@hookspec
def ffe_trade_closed(outcome: Outcome, settings: Any, context: PluginContext) -> None:
    """A trade was closed and its outcome stored."""


@hookspec
def ffe_agent_state_changed(change: StateChange, settings: Any, context: PluginContext) -> None:
    """The agent, or the trading state, changed."""


@hookspec
def ffe_alert_raised(alert: Alert, settings: Any, context: PluginContext) -> None:
    """Somebody should look."""


COMPOSITION_HOOKS = {
    "ffe_data_sources": DataSource,
    "ffe_ai_providers": AIProvider,
    "ffe_aggregation_strategies": AggregationStrategy,
    "ffe_risk_rules": RiskRule,
    "ffe_platforms": Platform,
    "ffe_executors": Executor,
}
CONTRIBUTION_HOOKS = ("ffe_brief", "ffe_indicators")
EVENT_HOOKS = (
    "ffe_decision_made",
    "ffe_order_changed",
    "ffe_trade_closed",
    "ffe_agent_state_changed",
    "ffe_alert_raised",
)
