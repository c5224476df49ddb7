"""``ffe providers``: who can be asked, at what weight and price and how often, and whether each would answer."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.costs import costs
from ffe_core.cli.output import foreign
from ffe_core.cli.session import Session, command, group

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rich.console import Console

    from ffe_core.engine import Engine
    from ffe_core.plugins import Offer, Registry
    from ffe_core.ports import AIProvider, Readiness

TIMEOUT = 10.0
#: seconds after the deadline in which a provider may still say why it failed: the guard's own, and a moment
GRACE = 0.5
#: columns from which what was found stands beside the marks
ROOM_FOR_WORDS = 110
ROOM_FOR_PLUGINS = 100
MARKS = {True: "[green]yes[/]", False: "[red]no[/]", None: "[dim]-[/]"}
LOOKED_AT = ("installed", "signed_in", "reachable", "model_there")


@group(invoke_without_command=True)
def providers(session: Session) -> None:
    """List the AI providers, and check whether they would answer. Alone, it lists them."""
    if click.get_current_context().invoked_subcommand is None:
        show_providers(session)


@command("list")
def list_(session: Session) -> None:
    """Print every provider: model, weight on the panel, price, how often it may be asked, and whether it is skipped."""
    show_providers(session)


@command("check")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 600),
    default=TIMEOUT,
    show_default=True,
    help="Seconds that all of them have, together.",
)
def check(session: Session, names: tuple[str, ...], timeout: float) -> None:
    """Ask the configured panel whether it is ready, or with NAME those alone; no model is asked and nothing is spent.

    A provider says whether its program is installed, its key or sign-in accepted, its server reachable and its model
    there. Rules need nothing. One that cannot say is no failure.
    """
    registry = session.engine.registry
    panel = session.settings.ai.providers
    wanted = list(dict.fromkeys(names)) or panel
    for name in wanted:
        if name not in panel:
            registry.require("provider", name)
    rows = _looked_at(session.engine, wanted, timeout)
    session.emit(rows, lambda console: _draw_checks(console, rows))
    unready = [row["name"] for row in rows if row["ready"] is False]
    if unready:
        from ffe_core.errors import FfeError

        raise FfeError(f"not ready: {', '.join(unready)}", hint="what to do about each is told above")


providers.add_command(list_)
providers.add_command(check)
providers.add_command(costs)


def show_providers(session: Session) -> None:
    engine = session.engine
    known, panel = engine.registry.providers, session.settings.ai.providers
    rows = [_row(engine, name) for name in (*panel, *(name for name in known if name not in panel))]
    session.emit(rows, lambda console: _draw_list(console, rows))


# the list


def _row(engine: Engine, name: str) -> dict[str, Any]:
    offer = engine.registry.providers.get(name)
    settings = engine.settings
    row: dict[str, Any] = {
        "name": name,
        "plugin": None,
        "model": None,
        "local": None,
        "in_panel": name in settings.ai.providers,
        "weight": _weight(engine, name),
        "price_known": None,
        "per_minute": None,
        "left_this_minute": None,
        "per_day": None,
        "left_today": None,
        "state": None,
        "failures": None,
        "skipped_until": None,
        "last_error": None,
        "problem": None,
    }
    if offer is None:
        problem, hint = why_missing(engine.registry, name)
        return {**row, "problem": f"{problem} ({hint})"}
    return {**row, **_facts(engine, name, offer)}


def _weight(engine: Engine, name: str) -> float | None:
    """Its share of the panel's weight while everybody answers; ``None`` where it is not on the panel."""
    from ffe_core.ensemble.weights import as_floats, original_weights

    panel = engine.settings.ai.providers
    return as_floats(original_weights(panel, engine.settings.ensemble.weights)).get(name) if name in panel else None


def _facts(engine: Engine, name: str, offer: Offer[AIProvider]) -> dict[str, Any]:
    from ffe_core.ai.cost import price_of
    from ffe_core.ai.turnstile import makes_calls

    provider, now = offer.object, engine.clock.now()
    return {
        "plugin": offer.plugin,
        "model": provider.model,
        "local": provider.local,
        "price_known": price_of(engine.settings.ai.prices, provider.model, now.date()) is not None
        if makes_calls(provider)
        else None,
        **_gates(engine, name, provider, now),
    }


def _gates(engine: Engine, name: str, provider: AIProvider, now: datetime) -> dict[str, Any]:
    """How often it may be asked and how much of that is left; whether it is left alone, and why."""
    from ffe_core.ai.turnstile import Turnstile
    from ffe_core.net.state import FILE, MemoryState

    # Nothing is made by looking.
    kept = engine.answers.state if (engine.settings.paths.state / FILE).exists() else MemoryState()
    gates = Turnstile(engine.clock, kept, engine.settings.ai.limits).gates(name, provider)
    told: dict[str, Any] = {}
    if gates.limiter is not None:
        allowed, used = gates.limiter.allowance, gates.limiter.usage()
        told = {
            "per_minute": allowed.per_minute,
            "left_this_minute": _left(allowed.per_minute, used.minute),
            "per_day": allowed.per_day,
            "left_today": _left(allowed.per_day, used.day),
        }
    if gates.breaker is not None:
        stats = gates.breaker.stats()
        wait = stats.seconds_until_probe
        told |= {
            "state": stats.state.phase,
            "failures": stats.state.failures,
            "skipped_until": now + timedelta(seconds=wait) if wait > 0 else None,
            "last_error": stats.state.last_error or None if stats.state.failures else None,
        }
    return told


def _left(allowed: int | None, used: int) -> int | None:
    return None if allowed is None else max(0, allowed - used)


def why_missing(registry: Registry, name: str) -> tuple[str, str]:
    """Why a provider that settings name is not there, and what to do."""
    from ffe_core.errors import FfeError, UnknownName

    remedy = "install the package that brings it, or take it out of ai.providers"
    try:
        registry.require("provider", name)
    except UnknownName as error:
        broken = [info.name for info in registry.plugins if info.state in ("broken", "incompatible")]
        if broken:
            remedy = f"perhaps of {', '.join(broken)}, which did not load: ffe plugins"
        return f"no active plugin has it: {error.message}", remedy
    except FfeError as error:
        return error.message, error.hint or remedy
    return "", ""


# the check


def _looked_at(engine: Engine, names: Sequence[str], timeout: float) -> list[dict[str, Any]]:
    """A row each, in their order; all are asked at once and share the deadline."""
    from ffe_core.domain.threads import start
    from ffe_core.ports import CheckedProvider

    began = time.monotonic()
    asked: dict[str, Future[Readiness]] = {}
    for name in names:
        offer = engine.registry.providers.get(name)
        if offer is not None and isinstance(offer.object, CheckedProvider):
            look = offer.object.check
            asked[name] = start(lambda look=look: look(timeout=timeout), name=f"ffe check {name}")  # type: ignore[misc]
    return [_check_row(engine, name, asked.get(name), began + timeout + GRACE, timeout) for name in names]


def _check_row(
    engine: Engine, name: str, future: Future[Readiness] | None, until: float, timeout: float
) -> dict[str, Any]:
    from ffe_core.ai.turnstile import makes_calls

    offer = engine.registry.providers.get(name)
    row: dict[str, Any] = {
        "name": name,
        "plugin": offer.plugin if offer is not None else None,
        "model": offer.object.model if offer is not None else None,
        "in_panel": name in engine.settings.ai.providers,
        "ready": None,
        **dict.fromkeys(LOOKED_AT),
        "detail": "",
        "hint": None,
    }
    if offer is None:
        problem, hint = why_missing(engine.registry, name)
        return {**row, "ready": False, "detail": problem, "hint": hint}
    if future is not None:
        return {**row, **_answer(future, until, timeout)}
    if not makes_calls(offer.object):
        return {**row, "ready": True, "detail": "computed here, needs nothing"}
    return {**row, "detail": f"plugin {offer.plugin} does not tell"}


def _answer(future: Future[Readiness], until: float, timeout: float) -> dict[str, Any]:
    from ffe_core.errors import FfeError
    from ffe_core.plugins import one_line

    try:
        found = future.result(max(0.0, until - time.monotonic()))
    except TimeoutError:
        return {"ready": False, "detail": f"no answer within {timeout:g} s"}
    except FfeError as error:
        return {"ready": False, "detail": error.message, "hint": error.hint}
    told = asdict(found)
    detail, hint = one_line(told.pop("detail")), told.pop("hint")
    return {**told, "ready": found.ready, "detail": detail, "hint": None if hint is None else one_line(hint)}


# For people


def _draw_list(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    limited, wide = any(_limits(row) for row in rows), console.width >= ROOM_FOR_PLUGINS
    table = Table(box=None, pad_edge=False)
    for title, there in (
        ("provider", True),
        ("plugin", wide),
        ("model", True),
        ("where", True),
        ("weight", True),
        ("price", True),
        ("asked at most", limited),
        ("state", True),
    ):
        if there:
            table.add_column(title, no_wrap=title in ("provider", "weight", "where"), overflow="fold")
    for row in rows:
        table.add_row(
            foreign(row["name"]),
            *((foreign(row["plugin"] or "-"),) if wide else ()),
            foreign(row["model"] or "-"),
            "-" if row["local"] is None else "here" if row["local"] else "elsewhere",
            "-" if row["weight"] is None else f"{row['weight']:.3f}",
            {True: "known", False: "[yellow]unknown[/]", None: "-"}[row["price_known"]],
            *((_limits(row) or "-",) if limited else ()),
            _state(row),
        )
    console.print(table)
    for row in rows:
        if row["problem"]:
            console.print(f"[red]{foreign(row['name'])}[/]  {foreign(row['problem'])}")
        elif row["last_error"]:
            last = f"{row['failures']} failed in a row, the last: {row['last_error']}"
            console.print(f"[yellow]{foreign(row['name'])}[/]  {foreign(last)}")


def _limits(row: Mapping[str, Any]) -> str:
    spans = (("per_minute", "left_this_minute", "min"), ("per_day", "left_today", "day"))
    told = [f"{row[limit]}/{span} ({row[left]} left)" for limit, left, span in spans if row[limit] is not None]
    return ", ".join(told)


def _state(row: Mapping[str, Any]) -> str:
    if row["problem"]:
        return "[red]not there[/]"
    if row["skipped_until"] is not None:
        return f"[yellow]skipped until {row['skipped_until']:%H:%M:%S} UTC[/]"
    if 0 in (row["left_this_minute"], row["left_today"]):
        return "[yellow]used up[/]"
    return "[green]on the panel[/]" if row["in_panel"] else "[dim]not asked[/]"


def _draw_checks(console: Console, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    beside = console.width >= ROOM_FOR_WORDS
    table = Table(box=None, pad_edge=False)
    for title in ("provider", "ready", "installed", "signed in", "reachable", "model"):
        table.add_column(title, no_wrap=title != "provider", overflow="fold")
    if beside:
        table.add_column("found", overflow="fold")
    words = Table(show_header=False, box=None, padding=(0, 2, 0, 0), pad_edge=False)
    words.add_column(style="dim", no_wrap=True)
    words.add_column(overflow="fold")
    for row in rows:
        ready = "[yellow]cannot say[/]" if row["ready"] is None else MARKS[row["ready"]]
        found = foreign(row["detail"]) + (f" [cyan]({foreign(row['hint'])})[/]" if row["hint"] else "")
        marks = (foreign(row["name"]), ready, *(MARKS[row[name]] for name in LOOKED_AT))
        table.add_row(*marks, *((found,) if beside else ()))
        words.add_row(foreign(row["name"]), found)
    console.print(table)
    if not beside:
        console.print(words)
