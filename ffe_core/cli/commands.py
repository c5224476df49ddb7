"""Which commands there are, known without importing one of them, and the loading of the one that runs."""

from __future__ import annotations

import importlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import click

from ffe_core.cli.metadata import GROUP, Brought, brought
from ffe_core.cli.session import Group, format_options, prepare
from ffe_core.errors import PluginError, UsageError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

#: name -> where it is, and its line in ``ffe --help``
BUILT_IN: dict[str, tuple[str, str]] = {
    "analyze": ("ffe_core.cli.analyze:analyze", "Make a decision about an asset, explained and recorded."),
    "approve": ("ffe_core.cli.execute:approve", "Say yes or no to a decision, or change it, and act on the answer."),
    "arm": ("ffe_core.cli.halt:arm", "Let orders through again."),
    "balance": ("ffe_core.cli.positions:balance", "Show what money there is, on paper or at the venue."),
    "close": ("ffe_core.cli.execute:close", "Leave a position, or all of them."),
    "completion": ("ffe_core.cli.completion:completion", "Print the completion script of a shell."),
    "config": ("ffe_core.cli.config:config", "Show, check, explain and change settings."),
    "dashboard": ("ffe_core.cli.dashboard:dashboard", "Accounts, positions, open orders and decisions on one screen."),
    "data": ("ffe_core.cli.data:data", "List, check, import, fetch and print market data."),
    "db": ("ffe_core.cli.db:db", "Upgrade, back up, restore, copy and inspect the store."),
    "demo": ("ffe_core.cli.demo:demo", "A tour on an invented market: no keys, no network."),
    "doctor": ("ffe_core.cli.doctor:doctor", "Check that everything is in place, and say what is not."),
    "execute": ("ffe_core.cli.execute:execute", "Send the order that a decision means, and protect what it opens."),
    "halt": ("ffe_core.cli.halt:halt", "Stop sending orders, in every process, until `ffe arm`."),
    "history": ("ffe_core.cli.history:history", "List, score and verify recorded decisions."),
    "keys": ("ffe_core.cli.keys:keys", "Keep the keys of services where only you can read them."),
    "learning": ("ffe_core.cli.learning:learning", "What came of decisions, and what it says of who made them."),
    "orders": ("ffe_core.cli.orders:orders", "List orders and what became of them; take open ones back."),
    "paths": ("ffe_core.cli.paths:paths", "Print where ffe keeps its files."),
    "plugins": ("ffe_core.cli.plugins:plugins", "List, check and write plugins."),
    "pnl": ("ffe_core.cli.pnl:pnl", "Show what closed trades have earned."),
    "positions": ("ffe_core.cli.positions:positions", "Show what is held, and what it has gained."),
    "probe": ("ffe_core.cli.probe:probe", "Ask providers about an asset as it is, and under a mask."),
    "providers": ("ffe_core.cli.providers:providers", "List the AI providers, and check whether they would answer."),
    "replay": ("ffe_core.cli.replay:replay", "Compute a decision again from its record and compare."),
    "show": ("ffe_core.cli.show:show", "Print the whole record of a decision."),
    "status": ("ffe_core.cli.status:status", "Mode, platform, providers, storage and plugins at a glance."),
}

#: Commands that another package brings.
ELSEWHERE = {
    "backtest": "ffe-lab",
    "compare": "ffe-lab",
    "lookahead": "ffe-lab",
    "monte-carlo": "ffe-lab",
    "optimize": "ffe-lab",
    "pbo": "ffe-lab",
    "progress": "ffe-lab",
    "walk-forward": "ffe-lab",
    "monitor": "ffe-agent",
    "run-agent": "ffe-agent",
    "web": "ffe-web",
    "telegram": "ffe-telegram",
}


class Root(Group):
    """The ``ffe`` command: a table of names until one of them is run."""

    def __init__(self, *args: Any, **attrs: Any) -> None:
        super().__init__(*args, **attrs)
        # Whoever resolves a name asks for it twice, and what is installed is read from many files.
        self._others: dict[str, click.Command | None] = {}

    @cached_property
    def brought(self) -> dict[str, list[Brought]]:
        """The commands of other packages."""
        return brought()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*BUILT_IN, *self.brought})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in BUILT_IN:
            module, _, attribute = BUILT_IN[cmd_name][0].partition(":")
            return prepare(cast("click.Command", getattr(importlib.import_module(module), attribute)))
        if cmd_name not in self._others:
            found = self.brought.get(cmd_name)
            self._others[cmd_name] = None if found is None else prepare(load(cmd_name, found))
        return self._others[cmd_name]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in ELSEWHERE and name not in self.brought:
            package = ELSEWHERE[name]
            raise UsageError(f"{name} is a command of {package}, which is not installed", hint=f"pip install {package}")
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_options(self, ctx, formatter)
        # One width for both tables: names stand under names.
        others = {name: found[0].distribution for name, found in self.brought.items() if name not in BUILT_IN}
        for title, rows in (
            ("Commands", [(name, line) for name, (_, line) in sorted(BUILT_IN.items())]),
            ("Commands of plugins", [(name, f"From {package}.") for name, package in sorted(others.items())]),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows, col_max=30)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=BUILT_IN[name][1] if name in BUILT_IN else None) for name in names]
        # Not Group's: it imports every command to ask for its help.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def load(name: str, found: list[Brought]) -> click.Command:
    """Imports the command ``name``. Raises ``PluginError`` for a broken one, ``UsageError`` for two of that name."""
    if len({one.value for one in found}) > 1:
        both = " and ".join(sorted(one.distribution for one in found))
        raise UsageError(f"{both} both bring a command {name}", hint="uninstall one of them")
    origin = found[0].distribution
    try:
        loaded = _load(name, found[0].value)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # SystemExit too: a module that exits on import would end the run without a word.
        raise PluginError(
            origin, f"command {name} cannot be loaded: {type(error).__name__}: {error}", hint=f"pip install -U {origin}"
        ) from error
    if not isinstance(loaded, click.Command):
        raise PluginError(origin, f"command {name} is a {type(loaded).__name__}, not a click command")
    return loaded


def _load(name: str, value: str) -> object:
    from importlib.metadata import EntryPoint

    from stevedore.driver import DriverManager

    class Fresh(DriverManager[object]):
        """Loads from the metadata just read: stevedore's cache on disk can be two minutes behind."""

        def list_entry_points(self) -> list[EntryPoint]:
            return [EntryPoint(name, value, GROUP)]

    return Fresh(GROUP, name).driver
