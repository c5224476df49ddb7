"""What the metadata of installed packages says of commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ffe_core.metadata import declared, lie_in_folders

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "ffe.commands"


class Brought(NamedTuple):
    """A command of another package: where it is, ``module:attribute``, and the distribution that brings it."""

    value: str
    distribution: str


def brought() -> dict[str, list[Brought]]:
    """The commands of other packages by name, those of the first that Python would find before the others."""
    if not lie_in_folders():
        return {name: [Brought(one.value, owner(one)) for one in entries] for name, entries in installed().items()}
    found: dict[str, list[Brought]] = {}
    for package in declared(GROUP):
        (distribution, *_) = package.fields()["name"]
        for name, value in package.entries.items():
            found.setdefault(name, []).append(Brought(value, distribution))
    return found


def installed() -> dict[str, list[EntryPoint]]:
    """The same as Python tells it, wherever packages lie."""
    from importlib.metadata import distributions, entry_points

    try:
        found = list(entry_points(group=GROUP))
    except Exception:  # noqa: BLE001 - metadata of a stranger; one unreadable package must not hide the others
        found = []
        for distribution in distributions():
            found.extend(_readable(distribution))
    commands: dict[str, list[EntryPoint]] = {}
    for entry in found:
        commands.setdefault(entry.name, []).append(entry)
    return commands


def owner(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.partition(":")[0]


def _readable(distribution: object) -> list[EntryPoint]:
    try:
        return [entry for entry in distribution.entry_points if entry.group == GROUP]  # type: ignore[attr-defined]
    except Exception:  # noqa: BLE001 - see above
        return []
