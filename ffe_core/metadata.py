"""Entry points of installed packages, read as files: what ``importlib.metadata`` would say of one group, at less cost.

Importing ``importlib.metadata`` costs more than everything else that ``ffe --help`` does, and its reading of every
package more than the import; it is left to packages that lie elsewhere than in folders.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import NamedTuple


class Declared(NamedTuple):
    """A package with entry points of the group: the folder of its metadata, and name -> value."""

    folder: str
    entries: dict[str, str]

    def fields(self) -> dict[str, list[str]]:
        """What the package says of itself, by the fields' names in lower case: ``name`` as it spells it is among them.

        Fields of one line, which name, version and requirements are.
        """
        said: dict[str, list[str]] = {}
        text = _read(f"{self.folder}/METADATA") or _read(f"{self.folder}/PKG-INFO")
        for line in text.decode("utf-8", "replace").splitlines():
            if not line:
                break
            field, colon, value = line.partition(":")
            if colon and not field[:1].isspace():
                said.setdefault(field.lower(), []).append(value.strip())
        return {"name": [_stem(self.folder)], **said}


def declared(group: str) -> Iterator[Declared]:
    """Packages that bring something of ``group``. Of several with one name, the first that Python would find.

    For packages that ``lie_in_folders``.
    """
    seen: set[str] = set()
    for folder in _metadata_folders():
        package = _stem(folder).lower().replace("-", "_").replace(".", "_")
        if package in seen:
            continue
        seen.add(package)
        entries = _entries(_read(f"{folder}/entry_points.txt"), group)
        if entries:
            yield Declared(folder, entries)


def lie_in_folders() -> bool:
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


def _stem(folder: str) -> str:
    return os.path.basename(folder).rpartition(".")[0].partition("-")[0]  # noqa: PTH119 - see _metadata_folders


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


def _entries(text: bytes, wanted: str) -> dict[str, str]:
    """What an ``entry_points.txt`` has of the group ``wanted``; nothing of a file that cannot be read as one."""
    if wanted.encode() not in text:
        return {}
    found, group = {}, ""
    for line in map(str.strip, text.decode("utf-8", "replace").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1]
        elif line and not line.startswith("#") and group == wanted:
            name, equals, value = line.partition("=")
            if not equals or "\ufffd" in line:
                return {}
            found[name.strip()] = value.strip()
    return found
