"""Which plugins are installed, read from package metadata without importing any of them."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ffe_core.metadata import declared, lie_in_folders

GROUP = "ffe.plugins"
CORE = "ffe-core"


@dataclass(frozen=True, slots=True)
class Installed:
    """An entry point of the group, with the distribution that has it. ``requires`` as its metadata spells it."""

    name: str
    entry_point: importlib.metadata.EntryPoint
    distribution: str
    version: str
    requires: tuple[str, ...]

    def refuses(self, core_version: str) -> str:
        """The requirement on ffe-core that ``core_version`` does not meet; empty where it is met or none is made."""
        for line in self.requires:
            if not re.match(r"ffe[-_.]core(?![\w-])", line, re.IGNORECASE) or _plainly_met(line, core_version):
                continue
            # Only now: the library costs more than reading all the metadata did.
            from packaging.requirements import InvalidRequirement, Requirement

            try:
                requirement = Requirement(line)
            except InvalidRequirement:
                return line
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and not requirement.specifier.contains(core_version, prereleases=True):
                return f"{CORE} {requirement.specifier}"
        return ""


def _plainly_met(line: str, version: str) -> bool:
    """Whether ``line`` asks for no more than a least release, as nearly all do, and ``version`` is one that has it."""
    asked = re.fullmatch(r"ffe[-_.]core\s*>=\s*(\d+(?:\.\d+)*)\s*", line, re.IGNORECASE)
    return bool(asked and re.fullmatch(r"\d+(\.\d+)*", version) and _release(version) >= _release(asked[1]))


def _release(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.sub(r"(\.0+)+$", "", version).split(".")))


def installed() -> list[Installed]:
    """Every entry point of the group by name, then distribution: the same order on every machine.

    Two distributions may claim one name; the caller keeps the first. A distribution whose metadata cannot be read is
    left out, since nobody could name a plugin of it.
    """
    return sorted(_installed(), key=lambda found: (found.name, found.distribution.lower()))


def _installed() -> Iterator[Installed]:
    if not lie_in_folders():
        yield from _as_python_tells()
        return
    for package in declared(GROUP):
        said = package.fields()
        (name, *_), (version, *_) = said["name"], said.get("version", [""])
        requires = said.get("requires-dist", [])
        if package.folder.endswith(".egg-info"):
            requires = importlib.metadata.PathDistribution(Path(package.folder)).requires or []
        for entry, value in package.entries.items():
            yield Installed(entry, importlib.metadata.EntryPoint(entry, value, GROUP), name, version, tuple(requires))


def _as_python_tells() -> Iterator[Installed]:
    """The same, wherever packages lie."""
    seen = set()
    for entry in _entry_points():
        distribution = entry.dist
        name = distribution.name if distribution is not None else ""
        if (entry.name, name) in seen:
            continue
        seen.add((entry.name, name))
        version = distribution.version if distribution is not None else ""
        requires = tuple((distribution.requires if distribution is not None else None) or ())
        yield Installed(entry.name, entry, str(name or "unknown"), str(version or ""), requires)


def _entry_points() -> Iterable[importlib.metadata.EntryPoint]:
    try:
        return importlib.metadata.entry_points(group=GROUP)
    except Exception:  # noqa: BLE001 - one unreadable distribution, which need not be a plugin: look at each alone
        return [entry for each in importlib.metadata.distributions() for entry in _readable(each)]


def _readable(distribution: importlib.metadata.Distribution) -> list[importlib.metadata.EntryPoint]:
    try:
        return [entry for entry in distribution.entry_points if entry.group == GROUP]
    except Exception:  # noqa: BLE001 - see above
        return []
