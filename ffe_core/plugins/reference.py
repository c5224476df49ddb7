"""docs/hooks.md, written from the hook specifications themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

from ffe_core import hookspecs
from ffe_core.hookspecs import COMPOSITION_HOOKS, CONTRIBUTION_HOOKS, EVENT_HOOKS
from ffe_core.plugins.validate import CAPABILITIES, members

_HEAD = """# Hooks

A plugin is a module (or an object) that the entry point group `ffe.plugins` names. It implements any of the hooks
below with `@hookimpl` from `ffe_core`. A hook that is misspelt, or an argument that does not exist, breaks the plugin
with one line; an argument that is not needed is left out.

Besides what each hook names, every hook but `ffe_settings` may take `settings`, the plugin's own section as its own
model, and `context`, which lends a clock, folders, a log, a seeded random generator, doors to the network and ledgers
for accounts. Hooks are called one plugin at a time, in plugin order, each call under a deadline (`plugins.deadline`). A
hook that raises, hangs, exits or answers something else costs its own contribution and one line that names the plugin;
the others go on.

`plugins.isolation: {NAME: process}` runs a plugin's sources, providers, risk rules and hooks in a process of its own,
with a cleared environment and limited memory, so that a crash, an endless loop or `os._exit` costs one answer as well.
Platforms, strategies and executors cannot be isolated.

Arguments may be added to a hook in later versions, never removed.
"""
_SECTIONS = (
    ("Settings", "Called once, before the others.", ("ffe_settings",)),
    (
        "Composition",
        "Called once per plugin, while the engine is put together. What they return is chosen by name in settings.",
        tuple(COMPOSITION_HOOKS),
    ),
    (
        "Contribution",
        "Every plugin may add; the answers are merged in plugin order and recorded with the plugin's name.",
        CONTRIBUTION_HOOKS,
    ),
    ("Events", "Every plugin may react; what comes of it changes nothing for others.", EVENT_HOOKS),
)


def signature(hook: str) -> str:
    """``def ffe_brief(request: BriefRequest, ...) -> Iterable[Note]``, as it is written in the specification."""
    return f"def {hook}{inspect.signature(getattr(hookspecs, hook))}".replace("'", "")


def hooks_reference() -> str:
    """The text of docs/hooks.md."""
    parts = [_HEAD]
    for title, lead, hooks in _SECTIONS:
        parts.append(f"## {title}\n\n{lead}\n")
        parts += [_hook(hook) for hook in hooks]
    parts.append(_optional())
    return "\n".join(parts)


def _hook(hook: str) -> str:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    text = text.replace("``", "`")
    wanted = COMPOSITION_HOOKS.get(hook)
    port = "" if wanted is None else f"\n{_members_of(wanted)}\n"
    return f"### {hook}\n\n```python\n{signature(hook)}\n```\n\n{text}\n{port}"


def _members_of(port: type) -> str:
    attributes = [f"`{name}`" for name, method in members(port) if method is None]
    methods = [f"`{name}{_arguments(method)}`" for name, method in members(port) if method is not None]
    listed = "; ".join(part for part in (", ".join(attributes), ", ".join(methods)) if part)
    return f"Each `{port.__name__}` has {listed}."


def _arguments(method: Callable[..., object]) -> str:
    """The arguments by name, without their types."""
    bare = [
        parameter.replace(annotation=parameter.empty) for parameter in inspect.signature(method).parameters.values()
    ]
    return str(inspect.Signature(bare[1:]))


def _own_members(port: type) -> Iterator[str]:
    for name, method in members(port):
        if name in vars(port):
            yield f"`{name}`" if method is None else f"`{name}{_arguments(method)}`"


def _optional() -> str:
    rows = [
        f"| {kind} | `{port.__name__}` | {', '.join(_own_members(port))} |"
        for kind, ports in CAPABILITIES.items()
        for port in ports
    ]
    head = "## What an object may be able to do besides\n\nRead once from the object, when it is offered.\n"
    return "\n".join([head, "| kind | port | has |", "|---|---|---|", *rows, ""])
