"""``ffe doctor``: whether everything is in place, and what to do about what is not."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ffe_core.cli.output import foreign
from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.assets import Asset
    from ffe_core.market.feed import Feed
    from ffe_core.plugins import PluginInfo, Registry
    from ffe_core.ports import DataSource
    from ffe_core.settings import Settings

#: built-in plugins that read a package which an extra brings: plugin -> package, extra
EXTRAS = {"sample": ("bokeh_sampledata", "ffe-core[sample]")}
#: one pair of each kind, to find something that a source has
PAIRS = ("BTCUSD", "EURUSD", "AAPL")
#: a clock before this has not been set since the machine was built
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
#: how far ahead of the clock the newest record may be: two machines never quite agree
AHEAD = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. What is not ``required`` may be missing, and the run is well all the same."""

    name: str
    ok: bool
    detail: str
    hint: str | None = None
    required: bool = True


@command()
def doctor(session: Session) -> None:
    """Check that everything is in place, and say what is not.

    Settings, folders, the store, the clock, plugins and market data are tried; nothing is changed. Exit code 1 where
    something that is needed is not well; what is merely worth knowing does not count.
    """
    checks = list(_all_checks(session))
    session.emit([asdict(check) for check in checks], lambda console: _print(console, checks))
    failed = [check.name for check in checks if check.required and not check.ok]
    if failed:
        from ffe_core.errors import FfeError

        count = "1 check" if len(failed) == 1 else f"{len(failed)} checks"
        raise FfeError(f"{count} of {len(checks)} failed: {', '.join(failed)}", hint="each says above what to do")


def _all_checks(session: Session) -> Iterator[Check]:
    from ffe_core.settings import examine

    settings, problems = examine(config=session.config)
    if settings is not None and not problems:
        # Through the session, so that secrets are known and never printed; what it warns of is told below.
        quiet, session.quiet = session.quiet, True
        settings = session.settings
        session.quiet = quiet
    registry = None
    if settings is not None and not problems:
        registry, trouble = _load(settings)
        yield from _settings(session, settings, trouble)
    else:
        yield from (Check("settings", False, str(problem), "ffe config explain KEY") for problem in problems)
    yield from _guarded("folders", lambda: _folders(session))
    yield from _guarded("clock", _clock)
    if settings is None or problems:
        return
    yield from _guarded("secrets", lambda: _secrets(session, settings))
    yield from _guarded("store", lambda: _store(settings))
    if registry is not None:
        with registry:
            yield from _guarded("plugins", lambda: _plugins(settings, registry))
            yield from _guarded("sources", lambda: _sources(settings, registry))
            yield from _guarded("providers", lambda: _providers(settings, registry))


def _guarded(name: str, look: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of ``look``; where it raises, one that failed."""
    from ffe_core.errors import FfeError
    from ffe_core.plugins import one_line

    try:
        yield from look()
    except FfeError as error:
        yield Check(name, False, one_line(error.message), error.hint)
    except OSError as error:
        place = os.fsdecode(error.filename) if error.filename else name
        yield Check(name, False, f"{place}: {(error.strerror or type(error).__name__).lower()}")
    except Exception as error:  # noqa: BLE001 - whatever one part does, the others are checked
        yield Check(name, False, f"{type(error).__name__}: {one_line(str(error))}")


# settings


def _load(settings: Settings) -> tuple[Registry | None, list[str]]:
    from ffe_core.domain.clock import SystemClock
    from ffe_core.errors import FfeError
    from ffe_core.plugins import load_plugins

    try:
        return load_plugins(settings, clock=SystemClock()), []
    except FfeError as error:
        return None, [str(error)]


def _settings(session: Session, settings: Settings, trouble: list[str]) -> Iterator[Check]:
    from ffe_core.cli.config import problems_of_plugins

    lines = list(dict.fromkeys([*trouble, *problems_of_plugins(session, settings)]))
    if not lines:
        files = [file.name for file in (session.paths.base_file, session.paths.overlay_file) if file.is_file()]
        read = str(session.config) if session.config is not None else ", ".join(files) or "no file, all defaults"
        yield Check("settings", True, f"they hold together ({read})")
    yield from (Check("settings", False, line, "ffe config explain KEY") for line in lines)


def _secrets(session: Session, settings: Settings) -> Iterator[Check]:
    from ffe_core.settings.view import exposed_files

    open_files = exposed_files(settings, session.config)
    yield from (Check("secrets", False, line) for line in open_files)
    for line in settings.warnings:
        yield Check("secrets", False, line, f"move it to {session.paths.dotenv_file}", required=False)
    if not open_files and not settings.warnings:
        yield Check("secrets", True, "none in plain text in a YAML file, none that others may read")


# the machine


def _folders(session: Session) -> Iterator[Check]:
    paths = session.paths
    for name in ("config", "data", "cache", "logs", "state"):
        yield _folder(f"folder {name}", getattr(paths, name))


def _folder(name: str, folder: Path) -> Check:
    if not folder.exists():
        above = next(parent for parent in folder.parents if parent.exists())
        able = above.is_dir() and os.access(above, os.W_OK | os.X_OK)
        detail = f"{folder} is made when it is needed" if able else f"{folder} cannot be made: {above} is not writable"
        return Check(name, able, detail, None if able else "set FFE_HOME to a folder of yours")
    if not folder.is_dir():
        return Check(name, False, f"{folder} is no folder", "set FFE_HOME to a folder of yours")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Check(name, False, f"{folder} may not be written", "check its owner and mode")
    mode = stat.S_IMODE(folder.stat().st_mode)
    if os.name == "posix" and mode & 0o077:
        return Check(name, False, f"{folder} is open to other users (mode {mode:04o})", f"chmod 700 {folder}", False)
    return Check(name, True, str(folder))


def _clock() -> Iterator[Check]:
    from zoneinfo import ZoneInfo

    from ffe_core.domain.clock import SystemClock, iso

    now = SystemClock().now()
    # Market hours and forex days are New York's.
    offset = now.astimezone(ZoneInfo("America/New_York")).utcoffset()
    known = offset in (timedelta(hours=-5), timedelta(hours=-4))
    sane = now >= EARLIEST and known
    detail = f"{iso(now.replace(microsecond=0))}" if known else "the time zone data do not know New York"
    yield Check("clock", sane, detail, None if sane else "set the clock by a time server; pip install -U tzdata")


# the store


def _store(settings: Settings) -> Iterator[Check]:
    from ffe_core.store import Database, Store
    from ffe_core.store.status import status as look

    with Database.of(settings) as database:
        found = look(database)
        remedy = "ffe db upgrade"
        if found.schema is None:
            embedded = database.is_sqlite
            told = "is made on first use" if embedded else "has no schema yet"
            yield Check("store", embedded, f"{found.location} {told}", None if embedded else remedy)
        elif not found.current:
            told = f"{found.location} has schema {found.schema}, this version writes {found.newest_schema}"
            yield Check("store", database.is_sqlite, told, f"{remedy}; a SQLite file is upgraded on first use")
        else:
            yield Check("store", True, f"{found.location}, {found.decisions:,} decisions")
            seq, head = Store(database).head()
            yield Check("chain", True, f"{seq} records, head {head[:16]}")
            yield from _newest(found.newest)
        yield from _concerns(found.concerns)


def _newest(newest: datetime | None) -> Iterator[Check]:
    from ffe_core.domain.clock import SystemClock, iso

    if newest is not None and newest > SystemClock().now() + AHEAD:
        yield Check("clock", False, f"the newest decision was made at {iso(newest)}, which is still to come")


def _concerns(concerns: Iterable[str]) -> Iterator[Check]:
    for line in concerns:
        detail, _, hint = line.partition("; ")
        # Locks that cannot be relied on lose records; a folder that others may read does not.
        yield Check("store", False, detail, hint or None, required="network file system" in line)


# plugins


def _plugins(settings: Settings, registry: Registry) -> Iterator[Check]:
    named = settings.plugins.enabled or ()
    for info in registry.plugins:
        yield from _plugin(registry, info, required=info.builtin or info.name in named)
    known = {info.name for info in registry.plugins}
    for problem in registry.problems:
        if problem.plugin not in known:
            yield Check(
                f"plugin {problem.plugin}", False, str(problem), "ffe plugins", required=problem.plugin in named
            )


def _plugin(registry: Registry, info: PluginInfo, *, required: bool) -> Iterator[Check]:
    from ffe_core.cli.plugins_kit import missing_tools, module_of
    from ffe_core.plugins.installed import installed

    name = f"plugin {info.name}"
    problems = [f"{problem.what}: {problem.why}" for problem in registry.problems if problem.plugin == info.name]
    if info.state not in ("active", "disabled"):
        yield Check(name, False, f"{info.state}: {info.reason}", f"ffe plugins check {info.name}", required)
        return
    for line in problems:
        yield Check(name, False, line, f"ffe plugins check {info.name}", required)
    if info.state == "active":
        found = next((each for each in installed() if each.name == info.name), None)
        for tool, how in missing_tools(module_of(info, found)).items():
            yield Check(name, False, f"{tool} is not on the path", how, required)
    if not problems:
        yield Check(name, True, " ".join(filter(None, (info.version, info.state, info.reason))), None, required)


def _sources(settings: Settings, registry: Registry) -> Iterator[Check]:
    from ffe_core.engine import Engine

    engine = Engine(settings, registry)
    for name in settings.data.sources:
        # A name that nothing answers to is a problem of the settings, told there.
        if name in registry.sources:
            source, feed = registry.sources[name].object, engine.feed_of(name)
            yield from _guarded(f"source {name}", partial(_answer, name, source, feed))
    for plugin, (package, extra) in EXTRAS.items():
        if not _has(package):
            needed = plugin in settings.data.sources
            detail = f"{package} is not installed, so that the source {plugin} has nothing"
            yield Check(f"source {plugin}", False, detail, f'pip install "{extra}"', required=needed)


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _answer(name: str, source: DataSource, feed: Feed) -> Iterator[Check]:
    from ffe_core.domain.assets import Timeframe
    from ffe_core.domain.clock import from_ms, iso
    from ffe_core.ports import Catalogued

    asset, timeframe = _served(source), Timeframe.D1
    if isinstance(source, Catalogued):
        held = next((held for held in source.holdings() if held.bars is None or held.bars > 0), None)
        if held is not None:
            asset, timeframe = held.asset, held.timeframe
    if asset is None:
        hint = "ffe data import FILE, or ffe config set plugins.files.path FOLDER" if name == "files" else None
        yield Check(f"source {name}", False, "it has no market data", hint)
        return
    bars = feed.candles(asset, timeframe, bars=1)
    yield Check(f"source {name}", True, f"{asset} {timeframe.value}, last bar opened {iso(from_ms(bars.time[-1]))}")


def _served(source: DataSource) -> Asset | None:
    from ffe_core.domain.assets import Asset

    return next((asset for asset in map(Asset.parse, PAIRS) if source.serves(asset)), None)


def _providers(settings: Settings, registry: Registry) -> Iterator[Check]:
    there = [name for name in settings.ai.providers if name in registry.providers]
    local = sum(bool(registry.providers[name].object.local) for name in there)
    enough = local >= settings.ensemble.min_local_providers or len(settings.ai.providers) < 2
    detail = f"{', '.join(there) or 'none'}; {local} of them on this machine"
    hint = None if enough else "fewer than ensemble.min_local_providers: every confidence is cut by 0.7"
    yield Check(
        "providers", enough, detail, hint or "ffe providers check asks each whether it is ready", required=False
    )
    rules_only = all(registry.providers[name].plugin == "rules" for name in there)
    if rules_only:
        yield Check(
            "AI models",
            True,
            "none asked: rules alone decide, which is complete and needs no key",
            "to ask a model: pip install ffe-ollama && ffe config set ai.providers "
            f"{','.join([*there, 'ollama'])} (ffe-ollama is a package of its own, as is each vendor's)",
            required=False,
        )


# For people


def _print(console: Console, checks: list[Check]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("", "what", "found", "what to do"):
        table.add_column(title, overflow="fold")
    for check in checks:
        mark = "[green]ok[/]" if check.ok else "[red]FAILED[/]" if check.required else "[yellow]note[/]"
        table.add_row(mark, foreign(check.name), foreign(check.detail), foreign(check.hint or ""))
    console.print(table)
    console.print(foreign(f"Python {sys.version.split()[0]}, ffe {_version()}"))


def _version() -> str:
    from ffe_core import __version__

    return __version__
