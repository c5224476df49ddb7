"""``ffe completion``: the script that teaches a shell ffe's names, and the answers that it asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ffe_core.cli.app import COMPLETION_VARIABLE, PROGRAM
from ffe_core.cli.output import clean
from ffe_core.cli.session import Session, command, session_of
from ffe_core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from click.shell_completion import CompletionItem

SHELLS = ("bash", "zsh", "fish")
_HOW = {
    "bash": 'eval "$(ffe completion bash)" in ~/.bashrc',
    "zsh": 'eval "$(ffe completion zsh)" in ~/.zshrc',
    "fish": "ffe completion fish > ~/.config/fish/completions/ffe.fish",
}
_COMMON_ASSETS = ("BTCUSD", "ETHUSD", "EURUSD", "GBPUSD", "SOLUSD", "USDJPY")
_MOST_IDS = 50


@command(epilog="; ".join(f"{shell}: {how}" for shell, how in _HOW.items()))
@click.argument("shell", type=click.Choice(SHELLS), metavar="SHELL")
def completion(session: Session, shell: str) -> None:
    """Print the script that completes commands, options and values in SHELL: bash, zsh or fish."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise UsageError(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    session.emit_text("script", kind(root, {}, PROGRAM, COMPLETION_VARIABLE).source())


def answer(root: click.Command, instruction: str, session: Session) -> int:
    """What the shell's script asks for when a key is pressed: ``bash_complete`` and the like. Returns the exit code."""
    from click.shell_completion import get_completion_class

    shell, _, wanted = instruction.partition("_")
    kind = get_completion_class(shell)
    if kind is None or wanted not in ("source", "complete"):
        return 1
    asked = kind(root, {"obj": session}, PROGRAM, COMPLETION_VARIABLE)
    session.printer.text(asked.source() if wanted == "source" else asked.complete())
    return 0


def complete_asset(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Well-known pairs and those with a file in the data folder."""
    names = set(_COMMON_ASSETS)
    folder = session_of(ctx).paths.data
    if folder.is_dir():
        names.update(path.name.partition("_")[0].upper() for path in folder.rglob("*_*.*"))
    return _items(sorted(names), incomplete.upper())


def complete_plugin(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The plugins that are installed, by their metadata."""
    from importlib.metadata import entry_points

    return _items(sorted(entry_points(group="ffe.plugins").names), incomplete)


def complete_decision(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest decisions of the embedded store, read without the libraries that open it for work."""
    import sqlite3
    from contextlib import closing

    file = session_of(ctx).paths.store_file
    if not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=0.2)) as store:
            rows = store.execute(
                "SELECT id FROM decisions WHERE substr(id, 1, ?) = ? ORDER BY seq DESC LIMIT ?",
                (len(incomplete), incomplete, _MOST_IDS),
            ).fetchall()
    except sqlite3.Error:
        return []
    return _items((str(row[0]) for row in rows), incomplete)


def _items(names: Iterable[str], incomplete: str) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    return [CompletionItem(clean(name)) for name in names if name.startswith(incomplete)]
