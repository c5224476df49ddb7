"""What the loaded plugins offer, by name, and what became of each plugin."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

from ffe_core.builtin import BUILTINS
from ffe_core.domain.decisions import BriefRequest, Note
from ffe_core.domain.market import Candles
from ffe_core.errors import FfeError, PluginError, RequiredPluginFailed, UnknownName
from ffe_core.hookspecs import EVENT_HOOKS
from ffe_core.plugins.accept import accept, accept_items
from ffe_core.plugins.guard import Guard, one_line
from ffe_core.plugins.ledgers import SharedStore
from ffe_core.ports import AggregationStrategy, AIProvider, DataSource, Executor, Platform, RiskRule

if TYPE_CHECKING:
    from ffe_core.http import Doors
    from ffe_core.plugins.isolation import Worker

ACTIVE, DISABLED, BROKEN, INCOMPATIBLE = "active", "disabled", "broken", "incompatible"
#: the composition hook of each kind of offer
KINDS = {
    "source": "ffe_data_sources",
    "provider": "ffe_ai_providers",
    "strategy": "ffe_aggregation_strategies",
    "rule": "ffe_risk_rules",
    "platform": "ffe_platforms",
    "executor": "ffe_executors",
}


@dataclass(frozen=True, slots=True)
class Offer[Port]:
    """An object of a plugin: ``object`` is guarded; ``capabilities`` are names of its optional ports."""

    plugin: str
    object: Port
    capabilities: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong with a plugin; ``str`` is the line to print."""

    plugin: str
    what: str
    why: str

    def __str__(self) -> str:
        return f"plugin {self.plugin}: {': '.join(part for part in (self.what, self.why) if part)}"


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """A line of ``ffe plugins``. ``hooks`` is empty where the plugin was not imported."""

    name: str
    version: str
    distribution: str
    hooks: tuple[str, ...] = ()
    state: str = ACTIVE
    reason: str = ""
    builtin: bool = False


@dataclass(slots=True)
class Loaded:
    """A plugin that takes part: its hooks, ready to be called with what the hook alone brings."""

    name: str
    guard: Guard
    hooks: Mapping[str, Callable[..., Any]]


@dataclass(slots=True)
class Registry:
    """The offers of all active plugins in plugin order, built-in plugins first.

    Mappings go from a name to its ``Offer``. Failures that the run survives are collected in ``problems``, each also
    told to ``on_problem`` once.
    """

    on_problem: Callable[[Problem], None] | None = None
    problems: list[Problem] = field(default_factory=list)
    plugins: list[PluginInfo] = field(default_factory=list)
    loaded: list[Loaded] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    doors: list[Doors] = field(default_factory=list)
    store: SharedStore = field(default_factory=SharedStore)
    _offers: dict[str, dict[str, Offer[Any]]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    _waiting: dict[str, dict[str, Callable[[], object]]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def offers(self, kind: str) -> Mapping[str, Offer[Any]]:
        """By name; ``kind`` is one of ``KINDS``."""
        return MappingProxyType(self._of(kind))

    def wait(self, kind: str, plugin: str, compose: Callable[[], object]) -> None:
        """Calls ``compose``, which adds a built-in plugin's offers, before they are missed or another's are added."""
        self._waiting.setdefault(kind, {})[plugin] = compose

    def _of(self, kind: str) -> dict[str, Offer[Any]]:
        # The lock is held until all have come, or another thread would take what is there for everything.
        with self._lock:
            if (waiting := self._waiting.pop(kind, None)) is not None:
                for compose in waiting.values():
                    compose()
                places = list(BUILTINS)
                ordered = sorted(self._offers[kind].items(), key=lambda offered: places.index(offered[1].plugin))
                self._offers[kind] = dict(ordered)
        return self._offers[kind]

    def _found(self, kind: str, name: str) -> Offer[Any] | None:
        """One offer. A plugin of that very name is asked before the others have to come too."""
        with self._lock:
            compose = self._waiting.get(kind, {}).pop(name, None)
            if compose is not None:
                compose()
        return self._offers[kind].get(name) or self._of(kind).get(name)

    @property
    def sources(self) -> Mapping[str, Offer[DataSource]]:
        return self.offers("source")

    @property
    def providers(self) -> Mapping[str, Offer[AIProvider]]:
        return self.offers("provider")

    @property
    def strategies(self) -> Mapping[str, Offer[AggregationStrategy]]:
        return self.offers("strategy")

    @property
    def rules(self) -> Mapping[str, Offer[RiskRule]]:
        return self.offers("rule")

    @property
    def platforms(self) -> Mapping[str, Offer[Platform]]:
        return self.offers("platform")

    @property
    def executors(self) -> Mapping[str, Offer[Executor]]:
        return self.offers("executor")

    def source(self, name: str) -> DataSource:
        """Raises ``UnknownName``, like its siblings below."""
        return cast("DataSource", self._named("source", name))

    def provider(self, name: str) -> AIProvider:
        return cast("AIProvider", self._named("provider", name))

    def strategy(self, name: str) -> AggregationStrategy:
        return cast("AggregationStrategy", self._named("strategy", name))

    def rule(self, name: str) -> RiskRule:
        return cast("RiskRule", self._named("rule", name))

    def platform(self, name: str) -> Platform:
        return cast("Platform", self._named("platform", name))

    def executor(self, name: str) -> Executor:
        return cast("Executor", self._named("executor", name))

    def require(self, kind: str, name: str) -> Any:
        """The object that this run cannot do without; ``kind`` is one of ``KINDS``, such as ``source``.

        Raises ``RequiredPluginFailed`` where the plugin that would have it failed, ``UnknownName`` where there is none.
        """
        offer = self._found(kind, name)
        if offer is not None:
            return offer.object
        reason = self._reason(KINDS[kind], name)
        if reason:
            raise RequiredPluginFailed(
                name, f"{reason}, and this run needs its {kind} {name}", hint="ffe plugins shows every plugin's state"
            )
        return self._named(kind, name)

    def close_at_hand(self, kind: str, name: str) -> Any:
        """What ``require`` gives, without the guard around it where it is one of ffe's own.

        For a run that asks one object a million times: a guard's thread and copies would take most of its time. What a
        stranger brings stays behind its guard.
        """
        guarded = self.require(kind, name)
        own = {info.name for info in self.plugins if info.builtin}
        return guarded.bare if self._offers[kind][name].plugin in own else guarded

    def strategies_by_name(self) -> dict[str, AggregationStrategy]:
        return {name: offer.object for name, offer in self.strategies.items()}

    def rules_by_name(self) -> dict[str, RiskRule]:
        """Every risk rule, in the order in which they judge."""
        return {name: offer.object for name, offer in self.rules.items()}

    def versions(self) -> dict[str, str]:
        """The version of every active plugin, for the record."""
        return {info.name: info.version for info in self.plugins if info.state == ACTIVE}

    def problem_lines(self) -> tuple[str, ...]:
        return tuple(str(problem) for problem in self.problems)

    @property
    def noting(self) -> tuple[str, ...]:
        """The plugins that may have notes, in plugin order."""
        return tuple(plugin.name for plugin in self.loaded if "ffe_brief" in plugin.hooks)

    def notes(self, request: BriefRequest) -> tuple[Note, ...]:
        """Every plugin's notes in plugin order, each marked with the plugin's name.

        Also those that became known after ``request.as_of``: the briefing leaves them out and says how many.
        """
        return tuple(
            replace(note, origin=plugin)
            for plugin, answer in self._contributions("ffe_brief", _notes, request=request)
            for note in answer
        )

    def indicators(self, candles: Candles) -> dict[str, float]:
        """Every plugin's readings under ``plugin.name``."""
        readings = self._contributions("ffe_indicators", _numbers, candles=candles)
        return {f"{plugin}.{name}": value for plugin, answer in readings for name, value in answer.items()}

    def emit(self, event: str, **facts: Any) -> None:
        """Tells every plugin of an event; what one of them does about it changes nothing here."""
        if event not in EVENT_HOOKS:
            raise UnknownName("event", event, EVENT_HOOKS)
        for _ in self._contributions(event, lambda _answer: None, **facts):
            pass

    def report(self, plugin: str, what: str, why: str) -> None:
        """Notes a failure that the run survives: once, however often it happens."""
        problem = Problem(plugin, what, one_line(why))
        if problem in self.problems:
            return
        self.problems.append(problem)
        if self.on_problem is not None:
            self.on_problem(problem)

    def offer(self, kind: str, name: str, offer: Offer[Any]) -> None:
        """Adds an offer; a name that is taken stays with whom it belongs to."""
        offers = self._offers[kind] if offer.plugin in BUILTINS else self._of(kind)
        first = offers.get(name)
        if first is None:
            offers[name] = offer
        else:
            self.report(offer.plugin, f"{kind} {name}", f"the name is already taken by plugin {first.plugin}")

    def close(self) -> None:
        """Ends the child processes of isolated plugins and executors' workers, and gives back connections."""
        for name, offer in self._offers["executor"].items():
            self._end_workers(name, offer)
        for worker in self.workers:
            worker.close()
        for doors in self.doors:
            doors.close()
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end_workers(self, name: str, offer: Offer[Any]) -> None:
        if not offer.object.used:
            return
        try:
            offer.object.close()
        except PluginError as error:
            self.report(offer.plugin, f"executor {name}", reason_of(error, offer.plugin, f"executor {name}"))

    def _named(self, kind: str, name: str) -> Any:
        offers = self._of(kind)
        if name not in offers:
            raise UnknownName(kind, name, offers)
        return offers[name].object

    def _reason(self, hook: str, name: str) -> str:
        for info in self.plugins:
            if info.name == name and info.state in (BROKEN, INCOMPATIBLE):
                return f"{info.state}: {info.reason}"
        for problem in self.problems:
            if problem.plugin == name and problem.what == hook:
                return f"{problem.what}: {problem.why}"
        return ""

    def _contributions[T](self, hook: str, check: Callable[[Any], T], **facts: Any) -> Iterator[tuple[str, T]]:
        for plugin in self.loaded:
            function = plugin.hooks.get(hook)
            if function is None:
                continue
            try:
                yield plugin.name, plugin.guard.call(hook, function, check=check, **facts)
            except PluginError as error:
                self.report(plugin.name, hook, reason_of(error, plugin.name, hook))


def reason_of(error: FfeError, plugin: str, what: str) -> str:
    """The error's message without the words that the line says anyway."""
    return error.message.removeprefix(f"plugin {plugin}: ").removeprefix(what).lstrip(": ")


def _notes(answer: object) -> tuple[Note, ...]:
    return accept(tuple[Note, ...], tuple(accept_items(answer, "notes")))


def _numbers(answer: object) -> dict[str, float]:
    return accept(dict[str, float], answer)
