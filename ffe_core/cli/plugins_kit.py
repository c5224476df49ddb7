"""``ffe plugins new``, ``check`` and ``doctor``: what a plugin's author needs from the command line."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.output import foreign
from ffe_core.cli.session import Session, command
from ffe_core.errors import FfeError, PluginError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.plugins import PluginInfo, Registry
    from ffe_core.plugins.installed import Installed
    from ffe_core.testing.conformance import Conformance

#: as in the scaffold, spelled out so that --help loads nothing
KINDS = ("provider", "source", "strategy", "rule", "platform", "executor", "command")
#: a plugin module's own word for the programs that it calls: name -> how to get it
TOOLS = "TOOLS"


@command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="provider", show_default=True, help="What it offers.")
@click.option(
    "--path",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where to write the project. Default: here.",
)
def new(session: Session, name: str, kind: str, folder: Path) -> None:
    """Write a plugin project that works and passes its own tests."""
    from ffe_core.cli.commands import BUILT_IN, ELSEWHERE
    from ffe_core.testing.scaffold import write_project

    project = write_project(name, kind, folder, taken={*BUILT_IN, *ELSEWHERE})
    files = sorted(path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file())
    data = {"name": name, "kind": kind, "path": str(project.resolve()), "files": files}

    def draw(console: Console) -> None:
        console.print(foreign(f"Wrote {project}: {len(files)} files."))
        console.print("Next:")
        console.print("  " + foreign(f"pip install -e '{project}[test]'"))
        console.print(f"  ffe plugins check {name}")

    session.emit(data, draw)


@command("check")
@click.argument("name")
@click.option(
    "--deadline", type=click.FloatRange(1, 3600), default=300.0, show_default=True, help="Seconds for all checks."
)
def check(session: Session, name: str, deadline: float) -> None:
    """Try a plugin against ffe's contracts: without your settings, your credentials and the network."""
    from ffe_core.testing.conformance import check_plugin

    found = check_plugin(name, deadline=deadline)
    session.emit(_conformance(found), lambda console: _draw_conformance(console, found))
    if not found.ok:
        failed = found.count("failed")
        many = "a check" if failed == 1 else f"{failed} checks"
        raise PluginError(found.plugin, f"{many} failed", hint="the reasons are told above")


def _conformance(found: Conformance) -> dict[str, Any]:
    return {
        "plugin": found.plugin,
        "distribution": found.distribution,
        "version": found.version,
        "ok": found.ok,
        "passed": found.count("passed"),
        "failed": found.count("failed"),
        "not_applicable": found.count("skipped"),
        "remark": found.remark or None,
        "checks": [
            {"subject": each.subject, "check": each.check, "outcome": each.outcome, "reason": each.reason or None}
            for each in found.results
        ],
    }


def _draw_conformance(console: Console, found: Conformance) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("", "subject", "check", "reason"):
        table.add_column(title, overflow="fold")
    marks = {"passed": "[green]ok[/]", "failed": "[red]FAILED[/]", "skipped": "[dim]n/a[/]"}
    for each in found.results:
        table.add_row(marks[each.outcome], foreign(each.subject), foreign(each.check), foreign(each.reason))
    console.print(foreign(f"{found.plugin} {found.version} ({found.distribution})"))
    console.print(table)
    console.print(found.score)
    if found.remark:
        console.print(foreign(found.remark))


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of one plugin in this run."""

    info: PluginInfo
    import_ms: float | None
    problems: tuple[str, ...]
    #: kind -> names of the objects that satisfy the kind's port, with their optional ports
    offers: Mapping[str, Mapping[str, Sequence[str]]]
    #: programs that are not on the path -> how to get them
    missing_tools: Mapping[str, str]

    def is_well(self, *, wanted: bool) -> bool:
        """A tool that is not installed is missed by whoever wants its plugin."""
        tools = self.missing_tools if wanted else {}
        return self.info.state in ("active", "disabled") and not self.problems and not tools


@command("doctor")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def doctor(session: Session, names: tuple[str, ...]) -> None:
    """Say what each plugin costs, offers and lacks; with NAME, of those alone.

    Exit code 1 where a plugin is broken or has a problem, or where one that was named lacks its tool.
    """
    found = _diagnose(session, names)
    session.emit([_diagnosis(each) for each in found], lambda console: _draw_diagnoses(console, found))
    unwell = [each.info.name for each in found if not each.is_well(wanted=bool(names))]
    if unwell:
        raise FfeError(f"not well: {', '.join(unwell)}", hint="the reasons are told above")


def _diagnose(session: Session, names: Sequence[str]) -> list[Diagnosis]:
    from ffe_core.domain.clock import SystemClock
    from ffe_core.errors import UnknownName
    from ffe_core.plugins import load_plugins
    from ffe_core.plugins.installed import installed

    with load_plugins(session.settings, clock=SystemClock()) as registry:
        known = [info.name for info in registry.plugins]
        for name in names:
            if name not in known:
                raise UnknownName("plugin", name, known)
        by_name = {plugin.name: plugin for plugin in reversed(installed())}
        wanted = [info for info in registry.plugins if not names or info.name in names]
        return [_diagnose_one(registry, info, by_name.get(info.name)) for info in wanted]


def _diagnose_one(registry: Registry, info: PluginInfo, plugin: Installed | None) -> Diagnosis:
    from ffe_core.testing.contracts.plugins import measure_import

    module = module_of(info, plugin)
    measured = measure_import(module) if module and info.state in ("active", "broken") else None
    problems = [str(problem) for problem in registry.problems if problem.plugin == info.name]
    return Diagnosis(
        info,
        None if measured is None or measured.error else round(measured.seconds * 1000, 1),
        tuple(problems),
        _offers(registry, info.name),
        missing_tools(module) if info.state == "active" else {},
    )


def module_of(info: PluginInfo, plugin: Installed | None) -> str:
    from ffe_core.builtin import BUILTINS

    if info.builtin:
        return BUILTINS[info.name].module
    return plugin.entry_point.module if plugin is not None else ""


def _offers(registry: Registry, plugin: str) -> dict[str, dict[str, list[str]]]:
    kinds = {
        "source": registry.sources,
        "provider": registry.providers,
        "strategy": registry.strategies,
        "rule": registry.rules,
        "platform": registry.platforms,
        "executor": registry.executors,
    }
    mine = {
        kind: {name: sorted(offer.capabilities) for name, offer in offers.items() if offer.plugin == plugin}
        for kind, offers in kinds.items()
    }
    return {kind: offers for kind, offers in mine.items() if offers}


def missing_tools(module: str) -> dict[str, str]:
    """Programs that the loaded plugin names in ``TOOLS`` and that are not on the path."""
    import sys

    tools = getattr(sys.modules.get(module), TOOLS, None)
    if not isinstance(tools, Mapping):
        return {}
    return {str(tool): str(how) for tool, how in tools.items() if shutil.which(str(tool)) is None}


def _diagnosis(each: Diagnosis) -> dict[str, Any]:
    return {
        "name": each.info.name,
        "version": each.info.version or None,
        "distribution": each.info.distribution or None,
        "state": each.info.state,
        "reason": each.info.reason or None,
        "import_ms": each.import_ms,
        "hooks": list(each.info.hooks),
        "offers": each.offers,
        "problems": list(each.problems),
        "missing_tools": dict(each.missing_tools),
    }


def _draw_diagnoses(console: Console, found: Sequence[Diagnosis]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("plugin", "state", "import", "hooks", "offers", "problems"):
        table.add_column(title, overflow="fold")
    for each in found:
        offers = [f"{kind} {name}" for kind, names in each.offers.items() for name in names]
        lacks = [f"{tool} is not installed: {how}" for tool, how in each.missing_tools.items()]
        state = {"active": "[green]active[/]", "disabled": "[dim]disabled[/]"}.get(
            each.info.state, f"[red]{each.info.state}[/]"
        )
        table.add_row(
            foreign(each.info.name),
            state,
            "" if each.import_ms is None else f"{each.import_ms:.0f} ms",
            _column(hook.removeprefix("ffe_") for hook in each.info.hooks),
            _column(offers),
            _column([*each.problems, *lacks] or [each.info.reason]),
        )
    console.print(table)


def _column(lines: Iterable[str]) -> str:
    return "\n".join(foreign(line) for line in lines)
