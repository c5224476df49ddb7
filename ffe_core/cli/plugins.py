"""``ffe plugins``: what is installed, what became of it, and the commands of a plugin's author."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

import click

from ffe_core.cli.output import foreign
from ffe_core.cli.session import Group, Session, command, group, prepare

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.plugins import PluginInfo, Registry

#: commands that are loaded when one of them runs
KIT = "ffe_core.cli.plugins_kit"
OF_THE_KIT = ("check", "doctor", "new")
STYLES = {"active": "green", "disabled": "dim", "broken": "red", "incompatible": "yellow"}


class PluginCommands(Group):
    """The family, with the author's kit behind it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *OF_THE_KIT})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in OF_THE_KIT:
            return super().get_command(ctx, cmd_name)
        return prepare(cast("click.Command", getattr(importlib.import_module(KIT), cmd_name)))


@group(cls=PluginCommands, invoke_without_command=True)
def plugins(session: Session) -> None:
    """List, check and write plugins. Alone, it lists them."""
    if click.get_current_context().invoked_subcommand is None:
        show_plugins(session)


@command("list")
def list_(session: Session) -> None:
    """Print every installed plugin with its version, hooks and state.

    A state is active, disabled (by settings), broken or incompatible; the reason says why. FFE_PLUGINS=a,b loads only
    those, FFE_PLUGINS= only the built-in ones.
    """
    show_plugins(session)


plugins.add_command(list_)


def show_plugins(session: Session) -> None:
    from ffe_core.domain.clock import SystemClock
    from ffe_core.plugins import load_plugins

    with load_plugins(session.settings, clock=SystemClock()) as registry:
        # What became of a plugin stands in its row; a setting about a plugin that is not there has none.
        rows = {info.name for info in registry.plugins}
        for problem in registry.problems:
            if problem.plugin not in rows:
                session.warn(str(problem))
        session.emit([plugin_data(info) for info in registry.plugins], lambda console: _table(console, registry))


def plugin_data(info: PluginInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "version": info.version,
        "distribution": info.distribution,
        "hooks": list(info.hooks),
        "state": info.state,
        "reason": info.reason,
        "builtin": info.builtin,
    }


def _table(console: Console, registry: Registry) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for title in ("plugin", "version", "distribution", "state", "hooks", "reason"):
        table.add_column(title, overflow="fold")
    for info in registry.plugins:
        style = STYLES[info.state]
        hooks = ", ".join(hook.removeprefix("ffe_") for hook in info.hooks)
        table.add_row(
            foreign(info.name),
            foreign(info.version),
            foreign(info.distribution),
            f"[{style}]{info.state}[/]",
            foreign(hooks),
            foreign(info.reason),
        )
    console.print(table)
