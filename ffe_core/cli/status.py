"""``ffe status``: mode, platform, providers, storage and plugins at a glance."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ffe_core.cli.acting import banner
from ffe_core.cli.output import foreign
from ffe_core.cli.plugins import STYLES, plugin_data
from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.plugins import Offer, Registry
    from ffe_core.ports import Platform
    from ffe_core.settings import Settings

#: what a platform is asked about where it holds nothing: one pair of each kind that it may lend differently on
ASKED_ABOUT = ("BTCUSD", "EURUSD")


@dataclass
class Glance:
    """What could be seen, part by part, and a line for each part that could not."""

    problems: list[str] = field(default_factory=list)

    def part[T](self, name: str, look: Callable[[], T], otherwise: T) -> T:
        """``look()``; where it raises, ``otherwise`` and a line that says so."""
        from ffe_core.errors import FfeError
        from ffe_core.plugins import one_line

        try:
            return look()
        except FfeError as error:
            hint = f" ({one_line(error.hint)})" if error.hint else ""
            self.problems.append(f"{name}: {one_line(error.message)}{hint}")
        except Exception as error:  # noqa: BLE001 - whatever one part does, the others are shown
            self.problems.append(f"{name}: {type(error).__name__}: {one_line(str(error))}")
        return otherwise


@command()
def status(session: Session) -> None:
    """Mode, platform, providers, storage and plugins at a glance.

    A part that cannot be seen is named, and the others are shown. `ffe doctor` looks closer.
    """
    settings = session.settings
    glance = Glance()
    nothing: list[dict[str, Any]] = []
    store: dict[str, Any] | None = glance.part("store", lambda: _store(settings), None)
    registry = glance.part("plugins", lambda: session.engine.registry, None)
    data: dict[str, Any] = {
        "version": _version(),
        "mode": settings.mode,
        "home": session.paths.home,
        "trading": None if store is None else glance.part("trading state", lambda: _trading(session, glance), None),
        "platform": None,
        "venues": {},
        "providers": [],
        "sources": [],
        "leverage": {},
        "breakers": [],
        "store": store,
        "plugins": [],
    }
    if registry is not None:
        data |= {
            "platform": _platform(settings, registry, glance),
            "venues": _venues(settings, registry, glance),
            "providers": [
                _chosen("provider", name, registry.providers, glance) | _model(registry, name, glance)
                for name in settings.ai.providers
            ],
            "sources": [_chosen("source", name, registry.sources, glance) for name in settings.data.sources],
            "leverage": _leverage(settings, registry, glance),
            "breakers": glance.part("breakers", lambda: _breakers(session, registry), nothing),
            "plugins": [plugin_data(info) for info in registry.plugins],
        }
        glance.problems += registry.problem_lines()
    data["problems"] = list(dict.fromkeys(glance.problems))

    def show(console: Console) -> None:
        banner(session, console)
        _print(console, data)

    session.emit(data, show)


def _version() -> str:
    from ffe_core import __version__

    return __version__


def _chosen(kind: str, name: str, offers: Mapping[str, Offer[Any]], glance: Glance) -> dict[str, Any]:
    from ffe_core.errors import UnknownName

    offer = offers.get(name)
    if offer is None:
        glance.problems.append(str(UnknownName(kind, name, offers)))
    return {"name": name, "plugin": offer.plugin if offer else None, "available": offer is not None}


def _platform(settings: Settings, registry: Registry, glance: Glance) -> dict[str, Any]:
    from ffe_core.execution.router import UNIFIED

    execution = settings.execution
    if execution.platform != UNIFIED:
        return _chosen("platform", execution.platform, registry.platforms, glance)
    if not execution.venues:
        glance.problems.append("execution.platform is unified, and execution.venues names no venue")
    return {"name": UNIFIED, "plugin": None, "available": bool(execution.venues)}


def _venues(settings: Settings, registry: Registry, glance: Glance) -> dict[str, dict[str, Any]]:
    """By kind of asset, where one platform stands for several."""
    from ffe_core.execution.router import UNIFIED

    execution = settings.execution
    routes = execution.venues.items() if execution.platform == UNIFIED else ()
    return {kind.value: _chosen("platform", name, registry.platforms, glance) for kind, name in routes}


def _model(registry: Registry, name: str, glance: Glance) -> dict[str, Any]:
    offer = registry.providers.get(name)
    if offer is None:
        return {"model": None, "local": None}
    return glance.part(
        f"provider {name}",
        lambda: {"model": str(offer.object.model), "local": bool(offer.object.local)},
        {"model": None, "local": None},
    )


def _store(settings: Settings) -> dict[str, Any]:
    from ffe_core.store import Database
    from ffe_core.store.status import status as look

    with Database.of(settings) as database:
        found = look(database)
    return {
        "backend": found.backend,
        "location": found.location,
        "schema": found.schema,
        "current": found.current,
        "decisions": found.decisions,
        "concerns": found.concerns,
    }


def _trading(session: Session, glance: Glance) -> dict[str, Any]:
    """What is stopped, and how many orders are open; a store that is not there yet holds neither."""
    from ffe_core.cli.halt import standing_data
    from ffe_core.engine.marking import catch_up
    from ffe_core.risk.states import TradingStates

    store = session.engine.registry.store.if_there()
    if store is None:
        return {"state": "ACTIVE", "stopped": [], "open_orders": 0}
    for synthetic in (False, True):
        glance.problems += catch_up(session.engine, synthetic=synthetic)
    states = TradingStates(store.states)
    return {
        "state": states.current().state,
        "stopped": [standing_data(each) for each in states.all()],
        "open_orders": len(session.engine.trading().journal.open()),
    }


def _leverage(settings: Settings, registry: Registry, glance: Glance) -> dict[str, Any]:
    """Per platform the most that it lends on a pair, as a multiple of what is put up; null where it does not say."""
    from ffe_core.execution.router import UNIFIED

    execution = settings.execution
    names = [execution.platform] if execution.platform != UNIFIED else list(dict.fromkeys(execution.venues.values()))
    return {
        name: {
            asset: glance.part(f"leverage on {name}", lambda at=offer.object, of=asset: _most(at, of), None)  # type: ignore[misc]
            for asset in ASKED_ABOUT
        }
        for name in names
        if (offer := registry.platforms.get(name)) is not None
    }


def _most(platform: Platform, symbol: str) -> float | None:
    from ffe_core.domain.assets import Asset
    from ffe_core.errors import NoData, Refused

    try:
        rules = platform.instrument(Asset.parse(symbol))
    except (NoData, Refused):
        # It does not trade this pair, which is no trouble.
        return None
    return float(1 / rules.margin_rate)


def _breakers(session: Session, registry: Registry) -> list[dict[str, Any]]:
    found = [
        # Source by source, because one that is not there must not hide the others.
        (name, breaker)
        for source in session.settings.data.sources
        if source in registry.sources
        for name, breaker in session.engine.feed_of(source).breakers.items()
    ]
    found += [(breaker.name, breaker) for breaker in session.engine.venues.breakers()]
    return [
        {
            "name": name,
            "state": breaker.state.phase,
            "failures": breaker.state.failures,
            "last_error": breaker.state.last_error or None,
        }
        for name, breaker in found
    ]


# For people


def _print(console: Console, data: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, value in (
        ("ffe", data["version"]),
        ("mode", str(data["mode"])),
        ("trading", _trading_line(data["trading"])),
        ("platform", _name(data["platform"])),
        *((f"venue, {kind}", _name(venue)) for kind, venue in data["venues"].items()),
        ("providers", f"{', '.join(map(_provider, data['providers']))} [dim](more: ffe providers)[/]"),
        ("sources", ", ".join(map(_name, data["sources"]))),
        ("store", _store_line(data["store"])),
        *((f"leverage, {name}", _leverage_line(most)) for name, most in data["leverage"].items()),
        ("breakers", ", ".join(_breaker(each) for each in data["breakers"])),
        ("plugins", ", ".join(_plugin(each) for each in data["plugins"])),
    ):
        table.add_row(foreign(name), value or "[red]unknown[/]")
    console.print(table)
    for line in data["problems"]:
        console.print(f"[yellow]problem[/]  {foreign(line)}", soft_wrap=True)


def _name(chosen: Mapping[str, Any] | None) -> str:
    if chosen is None:
        return ""
    return foreign(chosen["name"]) if chosen["available"] else f"[red]{foreign(chosen['name'])} (not there)[/]"


def _provider(provider: Mapping[str, Any]) -> str:
    model = provider["model"]
    return _name(provider) + (f" ({foreign(model)})" if model and model != provider["name"] else "")


def _trading_line(trading: Mapping[str, Any] | None) -> str:
    if trading is None:
        return ""
    state = str(trading["state"])
    line = state if state == "ACTIVE" else f"[bold red]{state}[/]"
    for each in trading["stopped"]:
        line += f"; {foreign(each['asset_pair'] or 'everything')} {each['state']}: {foreign(each['reason'])}"
    open_orders = trading["open_orders"]
    return line + (f"; {open_orders} open order{'s' if open_orders > 1 else ''}" if open_orders else "")


def _store_line(store: Mapping[str, Any] | None) -> str:
    if store is None:
        return ""
    if store["schema"] is None:
        held = "made on first use" if store["backend"] == "sqlite" else "no schema yet: `ffe db upgrade` makes it"
    elif not store["current"]:
        held = f"schema {store['schema']}, older than this version's"
    else:
        held = "1 decision" if store["decisions"] == 1 else f"{store['decisions']:,} decisions"
    return foreign(f"{store['location']} ({store['backend']}), {held}")


def _leverage_line(most: Mapping[str, float | None]) -> str:
    return ", ".join(f"{asset} {'not known' if value is None else f'{value:g}x'}" for asset, value in most.items())


def _breaker(breaker: Mapping[str, Any]) -> str:
    said = f" ({foreign(breaker['last_error'])})" if breaker["last_error"] else ""
    return f"{foreign(breaker['name'])} {breaker['state']}{said}"


def _plugin(plugin: Mapping[str, Any]) -> str:
    state = plugin["state"]
    return foreign(plugin["name"]) + ("" if state == "active" else f" [{STYLES[state]}]{state}[/]")
