"""What the metadata of installed packages says of commands, read as files.

Importing ``importlib.metadata`` costs more than everything else that ``ffe --help`` does, so it is left to the run of a
command, and to packages that lie elsewhere than in folders.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "ffe.commands"


def owners() -> dict[str, str]:
    """Command -> the distribution that brings it. Of several that bring one, the first that Python would find."""
    if not _lie_in_folders():
        return {name: owner(entries[0]) for name, entries in installed().items()}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for folder in _metadata_folders():
        stem = os.path.basename(folder).rpartition(".")[0].partition("-")[0]  # noqa: PTH119 - see _metadata_folders
        distribution = stem.lower().replace("-", "_").replace(".", "_")
        if distribution in seen:
            continue
        seen.add(distribution)
        for command in _commands(_read(f"{folder}/entry_points.txt")):
            found.setdefault(command, _name_in(folder) or stem)
    return found


def installed() -> dict[str, list[EntryPoint]]:
    """The commands of other packages by name, with what is needed to load them."""
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


def _lie_in_folders() -> bool:
    """Whether every package that Python knows of has its metadata in a folder of ``sys.path``."""
    if any(hasattr(finder, "find_distributions") and finder is not PathFinder for finder in sys.meta_path):
        return False
    return not any(os.path.isfile(place) or _has_eggs(place) for place in sys.path)  # noqa: PTH113 - pathlib costs more


def _has_eggs(place: str) -> bool:
    return any(name.endswith(".egg") for name in _names_in(place))


def _metadata_folders() -> Iterator[str]:
    """In the order in which Python looks. Names are texts: pathlib would cost more than the listing."""
    for place in dict.fromkeys(sys.path):
        for name in _names_in(place):
            if name.endswith((".dist-info", ".egg-info")):
                yield f"{place or '.'}/{name}"


def _names_in(place: str) -> list[str]:
    try:
        return os.listdir(place or ".")  # noqa: PTH208 - see above
    except OSError:
        return []


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - see above
            return file.read()
    except OSError:
        return b""


def _commands(entry_points: bytes) -> list[str]:
    """Names in our group of an ``entry_points.txt``; none of a file that cannot be read as one."""
    if GROUP.encode() not in entry_points:
        return []
    names, group = [], ""
    for line in map(str.strip, entry_points.decode("utf-8", "replace").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#") and group == GROUP:
            name, equals, _ = line.partition("=")
            if not equals or "\ufffd" in line:
                return []
            names.append(name.strip())
    return names


def _name_in(folder: str) -> str:
    """The distribution's name as it spells it."""
    for line in (_read(f"{folder}/METADATA") or _read(f"{folder}/PKG-INFO")).splitlines():
        if line[:5].lower() == b"name:":
            return line[5:].decode("utf-8", "replace").strip()
        if not line:
            break
    return ""
