"""Putting the plugins together: find, import, check, ask what each offers, one plugin at a time."""

from __future__ import annotations

import difflib
import importlib
import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pluggy

import ffe_core
from ffe_core import hookspecs, logs
from ffe_core.builtin import BUILTINS, Builtin
from ffe_core.domain.clock import Clock
from ffe_core.domain.trading import Costs
from ffe_core.errors import PluginError, SettingsError
from ffe_core.hookspecs import COMPOSITION_HOOKS, CONTRIBUTION_HOOKS, EVENT_HOOKS, Logger, PluginContext
from ffe_core.http import Doors
from ffe_core.markers import PROJECT
from ffe_core.plugins.accept import accept_items
from ffe_core.plugins.guard import Guard, as_it_is, describe, one_line, secrets_in
from ffe_core.plugins.installed import CORE, Installed, installed
from ffe_core.plugins.ledgers import SharedStore
from ffe_core.plugins.proxies import guarded
from ffe_core.plugins.registry import (
    BROKEN,
    DISABLED,
    INCOMPATIBLE,
    KINDS,
    Loaded,
    Offer,
    PluginInfo,
    Problem,
    Registry,
    reason_of,
)
from ffe_core.plugins.validate import NAME, NotConforming, capabilities, require_name, require_port

if TYPE_CHECKING:
    from ffe_core.paths import Paths
    from ffe_core.settings import Settings

RESERVED = frozenset(["enabled", "disabled", "isolation", "deadline"])
HOOKS = frozenset([*COMPOSITION_HOOKS, *CONTRIBUTION_HOOKS, *EVENT_HOOKS, "ffe_settings"])
OFFERS_LIMIT = 10_000
NOT_ISOLATED = {"strategy": "strategies", "platform": "platforms", "executor": "executors"}


def load_plugins(
    settings: Settings,
    *,
    clock: Clock,
    paths: Paths | None = None,
    log: Callable[[str], Logger] | None = None,
    on_problem: Callable[[Problem], None] | None = None,
    at_once: bool = True,
) -> Registry:
    """The registry of this run: built-in plugins, then the enabled ones in their order.

    Unless ``at_once``, built-in plugins that no setting speaks of are imported when what they may offer is asked for.

    A plugin that fails is listed with its reason, told to ``on_problem``, and the others load. ``log`` makes a logger
    for a plugin's name. Raises ``SettingsError`` where a built-in's own section or ``plugins.isolation`` is wrong.
    """
    places = paths or settings.paths
    roots = Roots(places.state / "plugins", places.cache / "plugins", places.data)
    host = Host(settings, clock, roots, log or StandardLog, on_problem)
    host.registry.store = SharedStore(settings, clock)
    return host.load(at_once=at_once)


@dataclass(frozen=True, slots=True)
class Roots:
    """Folders of plugins: their own state and cache lie below the first two, what the user brings in the third."""

    state: Path
    cache: Path
    data: Path


class LentClock:
    """The run's clock as a plugin may see it: to be read, not to be set."""

    __slots__ = ("now",)

    def __init__(self, clock: Clock) -> None:
        self.now = clock.now


class NotIsolated(SettingsError):
    """The settings ask for a process of its own for a plugin that has to live in this one."""


@dataclass(frozen=True, slots=True)
class StandardLog:
    """A plugin's words on the standard library's logger ``ffe.plugin.NAME``."""

    plugin: str

    def debug(self, event: str, **facts: Any) -> None:
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._write(logging.ERROR, event, facts)

    def _write(self, level: int, event: str, facts: Mapping[str, Any]) -> None:
        # Under one name of ours: a plugin's word for a fact must not collide with logging's own.
        extra = {"facts": dict(facts)} if facts else None
        logging.getLogger(f"ffe.plugin.{self.plugin}").log(level, "%s", one_line(event), extra=extra)


class Host:
    """One run of loading; ``load`` fills the registry and returns it."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        roots: Roots,
        log: Callable[[str], Logger],
        on_problem: Callable[[Problem], None] | None = None,
    ) -> None:
        self.settings = settings
        self.clock = clock
        self.roots = roots
        self.log = log
        self.registry = Registry(on_problem)
        self.pluggy = pluggy.PluginManager(PROJECT)
        self.pluggy.add_hookspecs(hookspecs)
        self.disabled = frozenset(settings.plugins.disabled)

    def load(self, *, at_once: bool = True) -> Registry:
        for name, builtin in BUILTINS.items():
            self._load_builtin(name, builtin, at_once or self._is_set(name))
        found = self._claimable(installed())
        enabled = self.settings.plugins.enabled
        for name in sorted(found) if enabled is None else enabled:
            if name in found:
                self._load_installed(found[name])
            elif not any(info.name == name for info in self.registry.plugins):
                self._missing(name, found)
        if enabled is not None:
            for name in sorted(set(found) - set(enabled)):
                self._list(found[name], DISABLED, "not in plugins.enabled")
        self._check_sections()
        self._add_reasons()
        return self.registry

    # what is there

    def _claimable(self, plugins: Iterable[Installed]) -> dict[str, Installed]:
        """Plugins by name, without those that may not have theirs."""
        found: dict[str, Installed] = {}
        for plugin in plugins:
            refusal = self._name_refusal(plugin, found)
            if refusal and self._is_wanted(plugin.name):
                self._fail(plugin, BROKEN, refusal)
            elif refusal:
                self._list(plugin, BROKEN, refusal)
            else:
                found[plugin.name] = plugin
        return found

    def _is_wanted(self, name: str) -> bool:
        enabled = self.settings.plugins.enabled
        return name not in self.disabled and (enabled is None or name in enabled)

    @staticmethod
    def _name_refusal(plugin: Installed, found: Mapping[str, Installed]) -> str:
        if not NAME.fullmatch(plugin.name):
            return "the name may hold lower-case letters, digits, _ and - only"
        if plugin.name in RESERVED:
            return f"plugins.{plugin.name} is a setting of the host; the plugin needs another name"
        if plugin.name in BUILTINS:
            return f"the name belongs to a built-in plugin; {plugin.distribution} needs another one"
        if plugin.name in found:
            return f"the name is already taken by {found[plugin.name].distribution}"
        return ""

    def _list(self, plugin: Installed, state: str, reason: str) -> None:
        name = one_line(plugin.name, length=60)
        info = PluginInfo(name, plugin.version, plugin.distribution, state=state, reason=one_line(reason))
        self.registry.plugins.append(info)

    def _fail(self, plugin: Installed, state: str, reason: str) -> None:
        self._list(plugin, state, reason)
        self.registry.report(one_line(plugin.name, length=60), "", f"{state}: {reason}")

    def _missing(self, name: str, found: Iterable[str]) -> None:
        close = difflib.get_close_matches(name, list(found), n=1)
        reason = "not installed" + (f"; did you mean {close[0]}?" if close else "")
        self.registry.plugins.append(PluginInfo(name, "", "", state=BROKEN, reason=reason))
        self.registry.report(name, "plugins.enabled", reason)

    def _check_sections(self) -> None:
        known = {info.name for info in self.registry.plugins}
        for problem in self.settings.unknown_plugin_sections(known):
            self.registry.report(problem.path.removeprefix("plugins."), "settings", str(problem))
        for name in (*self.disabled, *self.settings.plugins.isolation):
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                self.registry.report(
                    name, "settings", "no such plugin" + (f"; did you mean {close[0]}?" if close else "")
                )

    def _add_reasons(self) -> None:
        """An active plugin of which a part failed says so in the list."""
        first = {problem.plugin: problem for problem in reversed(self.registry.problems)}
        self.registry.plugins[:] = [
            info
            if info.reason or info.name not in first
            else replace(info, reason=str(first[info.name]).removeprefix(f"plugin {info.name}: "))
            for info in self.registry.plugins
        ]

    # one plugin

    def _load_builtin(self, name: str, builtin: Builtin, at_once: bool) -> None:
        info = PluginInfo(name, ffe_core.__version__, CORE, builtin=True)
        if name in self.disabled:
            self.registry.plugins.append(replace(info, state=DISABLED, reason="in plugins.disabled"))
            return
        if self._is_isolated(name):
            self._isolate(info, builtin.module)
        elif at_once:
            self.compose(info, importlib.import_module(builtin.module))
        else:
            hooks = (KINDS[builtin.kind], *(["ffe_settings"] if builtin.settings else []))
            self.registry.plugins.append(replace(info, hooks=hooks))
            self.registry.wait(
                builtin.kind, name, lambda: self._take_part(info, importlib.import_module(builtin.module))
            )

    def _load_installed(self, plugin: Installed) -> None:
        if plugin.name in self.disabled:
            self._list(plugin, DISABLED, "in plugins.disabled")
            return
        refused = plugin.refuses(ffe_core.__version__)
        if refused:
            self._fail(plugin, INCOMPATIBLE, f"requires {refused}, this is {ffe_core.__version__}")
            return
        info = PluginInfo(plugin.name, plugin.version, plugin.distribution)
        try:
            if self._is_isolated(plugin.name):
                self._isolate(info, plugin.entry_point.value)
            else:
                self.compose(info, self._imported(plugin))
        except NotIsolated:
            raise
        except (PluginError, SettingsError) as error:
            self._fail(plugin, BROKEN, reason_of(error, plugin.name, ""))

    def _imported(self, plugin: Installed) -> object:
        from ffe_core.plugins.imports import import_plugin

        guard = self._guard(plugin.name)
        return guard.call("import", import_plugin, plugin, check=as_it_is, deadline=guard.patience)

    def _is_isolated(self, name: str) -> bool:
        return self.settings.plugins.isolation.get(name) == "process"

    def _isolate(self, info: PluginInfo, entry: str) -> None:
        """As ``compose``, with the plugin in a process of its own."""
        from ffe_core.plugins import isolation

        # What stands between a child that is killed at its deadline and the line that says so.
        guard = replace(self._guard(info.name), extra=isolation.START_DEADLINE + 2)
        charge = isolation.Charge(
            info.name,
            entry,
            self._written_section(info.name),
            self.settings.costs.model_dump(),
            self.roots,
            guard.patience,
        )
        worker = isolation.Worker(charge, clock=self.clock, log=self.log(info.name), variables=self._well_known)
        self.registry.workers.append(worker)
        said = worker.start()
        hooks = [str(hook) for hook in said["hooks"]]
        for kind, plural in NOT_ISOLATED.items():
            if KINDS[kind] in hooks:
                raise NotIsolated(
                    f"plugins.isolation.{info.name}: a plugin with {plural} cannot run in a process of its own",
                    hint=f"take {info.name} out of plugins.isolation, or out of plugins.enabled",
                )
        self.registry.plugins.append(replace(info, hooks=tuple(hooks)))
        events = [hook for hook in hooks if hook in (*CONTRIBUTION_HOOKS, *EVENT_HOOKS)]
        bound = {hook: isolation.remote_hook(worker, guard, hook) for hook in events}
        self.registry.loaded.append(Loaded(info.name, guard, bound))
        for what, why in said["problems"]:
            self.registry.report(info.name, str(what), str(why))
        for offered in said["offers"]:
            self.registry.offer(*isolation.remote_offer(worker, guard, offered))

    def _is_set(self, name: str) -> bool:
        """Whether settings say anything of a built-in plugin; what is wrong there has to be known before the run."""
        said = {*self.settings.plugin_sections, *(each.path.split(".")[1] for each in self.settings.plugin_problems)}
        return name in {other.lower() for other in said}

    def _well_known(self, names: Iterable[str]) -> dict[str, str]:
        found = self.settings.well_known_variables(names)
        for name, value in found.items():
            if logs.is_secret_name(name):
                logs.register_secret(value)
        return found

    def _written_section(self, name: str) -> Mapping[str, Any]:
        plain = name.replace("-", "_")
        sections = self.settings.plugin_sections
        return next((held for other, held in sections.items() if other.replace("-", "_").lower() == plain), {})

    def _guard(self, name: str, secrets: tuple[str, ...] = ()) -> Guard:
        return Guard(name, self.settings.plugins.deadline, secrets)

    def compose(self, info: PluginInfo, plugin: object) -> None:
        """Registers the plugin and asks what it offers. Raises ``PluginError`` or ``SettingsError``."""
        self.registry.plugins.append(replace(info, hooks=self._take_part(info, plugin)))

    def _take_part(self, info: PluginInfo, plugin: object) -> tuple[str, ...]:
        """As ``compose``, for a plugin that is in the list already. Returns the names of its hooks."""
        hooks = self._register(info.name, plugin)
        section = self._section(info, hooks)
        logs.register_secrets(section)
        guard = self._guard(info.name, secrets_in(section))
        bound = dict(_bound(hooks, section, self._context(info.name)))
        self.registry.loaded.append(Loaded(info.name, guard, bound))
        self._warn_of_slips(info.name, plugin, bound)
        for kind, hook in KINDS.items():
            if hook in bound:
                self._collect(guard, kind, hook, bound[hook])
        return tuple(sorted(bound))

    def _register(self, name: str, plugin: object) -> dict[str, pluggy.HookImpl]:
        try:
            self.pluggy.register(plugin, name)
        except (Exception, SystemExit) as error:
            raise PluginError(name, _registration(error)) from error
        hooks: dict[str, pluggy.HookImpl] = {}
        for caller in self.pluggy.get_hookcallers(plugin) or []:
            for implementation in caller.get_hookimpls():
                if implementation.plugin is plugin:
                    hooks[caller.name] = implementation
        try:
            self.pluggy.check_pending()
        except pluggy.PluginValidationError:
            self.pluggy.unregister(name=name)
            unknown = next(hook for hook in sorted(hooks) if hook not in HOOKS)
            close = difflib.get_close_matches(unknown, HOOKS, n=1)
            guess = f"; did you mean {close[0]}?" if close else ""
            raise PluginError(name, f"there is no hook {unknown}{guess}") from None
        for hook, implementation in hooks.items():
            if implementation.wrapper or implementation.hookwrapper:
                self.pluggy.unregister(name=name)
                raise PluginError(name, f"{hook} is a wrapper around other plugins, which ffe does not allow")
        return hooks

    def _section(self, info: PluginInfo, hooks: Mapping[str, pluggy.HookImpl]) -> object:
        if "ffe_settings" not in hooks:
            if info.name in self.settings.plugin_sections:
                self.registry.report(info.name, "settings", f"plugins.{info.name} is set, and the plugin takes none")
            return None
        from pydantic import BaseModel

        guard = self._guard(info.name)
        model = guard.call("ffe_settings", hooks["ffe_settings"].function, check=as_it_is)
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise PluginError(info.name, f"ffe_settings: answered {describe_type(model)} instead of a pydantic model")
        # A model may validate with code of its own, so that this is a call like any other.
        read = self.settings.plugin_section
        return guard.call("settings", read, info.name, model, passing=(SettingsError,), check=as_it_is)

    def _context(self, name: str) -> PluginContext:
        clock = LentClock(self.clock)
        doors = Doors(name, clock)
        self.registry.doors.append(doors)
        return PluginContext(
            plugin=name,
            clock=clock,
            state_root=self.roots.state,
            cache_root=self.roots.cache,
            log=self.log(name),
            rng=random.Random(f"ffe plugin {name}"),
            data_root=self.roots.data,
            costs=self._costs(),
            http=doors,
            ledger=self.registry.store.ledgers_of(name),
        )

    def _costs(self) -> Costs:
        costs = self.settings.costs
        return Costs(*(Decimal(repr(value)) for value in (costs.fee, costs.slippage, costs.commission)))

    def _warn_of_slips(self, name: str, plugin: object, bound: Mapping[str, object]) -> None:
        if not isinstance(plugin, ModuleType):
            return
        for hook in sorted((HOOKS & set(vars(plugin))) - set(bound)):
            self.registry.report(name, hook, "is defined without @hookimpl, so that nobody calls it")

    # what it offers

    def _collect(self, guard: Guard, kind: str, hook: str, function: Callable[..., Any]) -> None:
        def offered(answer: object) -> list[tuple[str, Offer[Any]] | NotConforming]:
            return [_offer(guard, kind, hook, each) for each in accept_items(answer, f"{kind}s")[:OFFERS_LIMIT]]

        try:
            offers: list[tuple[str, Offer[Any]] | NotConforming] = guard.call(hook, function, check=offered)
        except PluginError as error:
            self.registry.report(guard.plugin, hook, reason_of(error, guard.plugin, hook))
            return
        for each in offers:
            if isinstance(each, NotConforming):
                self.registry.report(guard.plugin, hook, guard.line(each.message))
            else:
                self.registry.offer(kind, *each)


def _offer(guard: Guard, kind: str, hook: str, bare: object) -> tuple[str, Offer[Any]] | NotConforming:
    """One object behind its guard, or why it cannot be used; runs the plugin's properties, so under the guard."""
    try:
        require_port(COMPOSITION_HOOKS[hook], bare)
        name = require_name(getattr(bare, "name", None), f"a {kind} ({type(bare).__name__})")
        able = capabilities(kind, bare)
        return name, Offer(guard.plugin, guarded(kind, bare, guard, name, able), able)
    except NotConforming as refusal:
        return refusal
    except Exception as error:  # noqa: BLE001 - the other objects of this plugin may be sound
        return NotConforming(f"{type(bare).__name__}: {describe(error)}")


def _bound(
    hooks: Mapping[str, pluggy.HookImpl], section: object, context: PluginContext
) -> Iterator[tuple[str, Callable[..., Any]]]:
    for hook, implementation in hooks.items():
        names = (*implementation.argnames, *implementation.kwargnames)
        lent = {name: value for name, value in (("settings", section), ("context", context)) if name in names}
        yield hook, _caller(implementation.function, frozenset(names), lent)


def _caller(function: Callable[..., Any], names: frozenset[str], lent: Mapping[str, Any]) -> Callable[..., Any]:
    """``function`` with what it asked for, and without what it left out."""

    def called(**facts: Any) -> Any:
        return function(**lent, **{name: value for name, value in facts.items() if name in names})

    return called


def _registration(error: BaseException) -> str:
    if not isinstance(error, pluggy.PluginValidationError):
        return describe(error)
    text = str(error)
    hook = text.partition("for hook ")[2].partition("\n")[0].strip("'")
    wrong = text.partition("Argument(s) {")[2].partition("}")[0].replace("'", "")
    return f"{hook} has no argument {wrong}" if wrong else text


def describe_type(value: object) -> str:
    return "None" if value is None else value.__name__ if isinstance(value, type) else type(value).__name__


__all__ = ["StandardLog", "load_plugins"]
