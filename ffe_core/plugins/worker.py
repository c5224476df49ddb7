"""The child of ``ffe_core.plugins.isolation``: loads one plugin and answers requests about it, one at a time."""

from __future__ import annotations

import contextlib
import os
import queue
import resource
import signal
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from ffe_core import errors, hookspecs
from ffe_core.domain.clock import SystemClock
from ffe_core.errors import FfeError, PluginError, ProviderFailed
from ffe_core.plugins.accept import accept
from ffe_core.plugins.guard import describe, one_line
from ffe_core.plugins.host import Host, Roots
from ffe_core.plugins.installed import GROUP
from ffe_core.plugins.isolation import ANSWERS, REMOTES
from ffe_core.plugins.registry import PluginInfo, Registry, reason_of
from ffe_core.plugins.wire import Broken, Channel, Message, decode, encode, signature_of
from ffe_core.ports import (
    AIProvider,
    Catalogued,
    CheckedProvider,
    DataSource,
    MacroSource,
    NewsSource,
    QuoteSource,
    RiskRule,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ffe_core.settings import Settings

MEMORY_LIMIT = 2 * 1024**3
#: the host keeps the time and kills; a deadline of this side's own would leave a thread behind
NO_DEADLINE = 3600.0
METHODS: dict[tuple[str, str], Callable[..., Any]] = {
    ("source", "serves"): DataSource.serves,
    ("source", "candles"): DataSource.candles,
    ("source", "quote"): QuoteSource.quote,
    ("source", "news"): NewsSource.news,
    ("source", "macro"): MacroSource.macro,
    ("source", "holdings"): Catalogued.holdings,
    ("provider", "ask"): AIProvider.ask,
    ("provider", "check"): CheckedProvider.check,
    ("rule", "check"): RiskRule.check,
}


@dataclass(slots=True)
class _RequestClock:
    """The host's time, as the last request told it; ``None`` where the host itself reads the machine's clock."""

    told: datetime | None = None

    def now(self) -> datetime:
        return self.told or SystemClock().now()


class _Line:
    """The host at the other end: messages arrive on a thread, which ends the process when the host is gone."""

    def __init__(self, reading: int, writing: int) -> None:
        self._channel = Channel(reading, writing)
        self._inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._sending = threading.Lock()
        threading.Thread(target=self._listen, name="ffe host", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                self._inbox.put(self._channel.receive())
            except Broken:
                # The group, which is this process's own: what the plugin started has no host any more either.
                os.killpg(0, signal.SIGKILL)

    def next(self) -> Message:
        return self._inbox.get()

    def send(self, message: Message) -> None:
        with self._sending:
            self._channel.send(message)


@dataclass(frozen=True, slots=True)
class _HostLog:
    """Hands the plugin's words to the host, whose log takes secrets out."""

    line: _Line

    def debug(self, event: str, **facts: Any) -> None:
        self._say("debug", event, facts)

    def info(self, event: str, **facts: Any) -> None:
        self._say("info", event, facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._say("warning", event, facts)

    def error(self, event: str, **facts: Any) -> None:
        self._say("error", event, facts)

    def _say(self, level: str, event: str, facts: dict[str, Any]) -> None:
        plain = {name: one_line(value, length=2000) for name, value in facts.items()}
        self.line.send({"log": [level, one_line(event, length=2000), plain]})


class _HostSettings:
    """What the plugin needs of the settings; the real ones, slow to import, only where it has a model for its section.

    The host is asked for the variables that stand in for keys: the child's environment has none of them.
    """

    def __init__(self, charge: Message, line: _Line) -> None:
        self._name = str(charge["name"])
        self._section = charge["section"]
        self._line = line
        self.plugins = SimpleNamespace(deadline=NO_DEADLINE, disabled=(), isolation={})
        self.costs = SimpleNamespace(**charge["costs"])
        self.plugin_sections = {self._name: self._section} if self._section else {}

    def plugin_section(self, name: str, model: type[BaseModel]) -> BaseModel:
        from ffe_core.settings import Settings
        from ffe_core.settings.shapes import leaves_of

        given: dict[str, Any] = {name: _read(self._section)} if self._section else {}
        settings = Settings(plugins=cast("Any", given))
        extras = (field.json_schema_extra for _, field in leaves_of(model))
        wanted = [extra["env"] for extra in extras if isinstance(extra, dict) and isinstance(extra.get("env"), str)]
        if wanted:
            self._line.send({"variables": wanted})
            settings._variables = (("environment", self._line.next()["variables"]),)
        return settings.plugin_section(name, model)


def main(reading: int, writing: int) -> None:
    """Serves until the host closes its end. ``reading`` and ``writing`` are inherited file descriptors."""
    for descriptor in (reading, writing):
        os.set_inheritable(descriptor, False)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    line, clock = _Line(reading, writing), _RequestClock()
    charge = line.next()
    try:
        registry = _load(charge, line, clock)
    except FfeError as error:
        line.send({"error": _told(error, reason_of(error, str(charge["name"]), ""))})
        return
    line.send(_description(registry))
    while True:
        request = line.next()
        line.send(_served(registry, request, clock))


def _load(charge: Message, line: _Line, clock: _RequestClock) -> Registry:
    _set(clock, charge)
    name = str(charge["name"])
    settings = cast("Settings", _HostSettings(charge, line))
    host = Host(settings, clock, Roots(*map(Path, charge["roots"])), lambda _plugin: _HostLog(line))
    entry = EntryPoint(name, str(charge["entry"]), GROUP)
    try:
        plugin = entry.load()
    except BaseException as error:
        raise PluginError(name, f"import: {one_line(describe(error))}") from error
    host.compose(PluginInfo(name, "", ""), plugin)
    return host.registry


def _read(section: Any) -> Any:
    from ffe_core.settings.sources import VariableText

    if isinstance(section, dict):
        if set(section) == {"$variable"}:
            return VariableText(section["$variable"])
        return {key: _read(value) for key, value in section.items()}
    return [_read(value) for value in section] if isinstance(section, list) else section


def _description(registry: Registry) -> Message:
    offers = [
        {
            "kind": kind,
            "name": name,
            "capabilities": sorted(offer.capabilities - {"VectorProvider", "VectorRule"}),
            "model": getattr(offer.object, "model", ""),
            "local": getattr(offer.object, "local", False),
            "cutoff": _iso(getattr(offer.object, "cutoff", None)),
            **{name: getattr(offer.object, name, None) for name in ("per_minute", "per_day")},
        }
        for kind in REMOTES
        for name, offer in registry.offers(kind).items()
    ]
    (info,) = registry.plugins
    problems = [[problem.what, problem.why] for problem in registry.problems]
    return {"hooks": list(info.hooks), "offers": offers, "problems": problems}


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _served(registry: Registry, request: Message, clock: _RequestClock) -> Message:
    try:
        _set(clock, request)
        answer = _hook(registry, request) if "hook" in request else _method(registry, request)
        return {"answer": encode(answer)}
    except FfeError as error:
        (plugin,) = registry.loaded
        what = request.get("hook") or f"{request['kind']} {request['name']}: {request['method']}"
        return {"error": _told(error, reason_of(error, plugin.name, what))}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return {"error": {"kind": "", "message": describe(error), "hint": None}}


def _hook(registry: Registry, request: Message) -> Any:
    (plugin,) = registry.loaded
    hook = str(request["hook"])
    _, hints = signature_of(getattr(hookspecs, hook))
    facts = {name: decode(hints[name], value) for name, value in request["facts"].items()}
    return plugin.guard.call(hook, plugin.hooks[hook], check=lambda answer: _accepted(hook, answer), **facts)


def _accepted(hook: str, answer: Any) -> Any:
    if hook not in ANSWERS:
        return None
    items = tuple(answer) if isinstance(answer, Iterable) and not isinstance(answer, dict | str) else answer
    return accept(ANSWERS[hook], items)


def _method(registry: Registry, request: Message) -> Any:
    kind, method = str(request["kind"]), str(request["method"])
    _, hints = signature_of(METHODS[kind, method])
    arguments = {name: decode(hints[name], value) for name, value in request["arguments"].items()}
    offered = registry.offers(kind)[str(request["name"])].object
    return getattr(offered, method)(**arguments)


def _told(error: FfeError, reason: str) -> Message:
    """A plugin's own failure by its reason alone, because the host names plugin and call itself."""
    kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == errors.__name__)
    message = reason if isinstance(error, PluginError) else error.message
    told = {"kind": kind, "message": message, "hint": error.hint}
    return {**told, "prompt": error.prompt, "reply": error.reply} if isinstance(error, ProviderFailed) else told


def _set(clock: _RequestClock, message: Message) -> None:
    now = message.get("now")
    clock.told = None if now is None else datetime.fromisoformat(now)
