"""``ffe plugins new``: a plugin project that works, is tested, and is meant to be changed.

The templates are files beside this one: ``common`` goes into every project, the folder of a kind into its package,
under the names that they have here without ``.tmpl``.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from ffe_core.errors import UsageError

#: kind -> what the new plugin does
KINDS = {
    "provider": "a rule that gives opinions: with the trend that most timeframes agree on",
    "source": "a data source: candles from an HTTP API, fetched and parsed apart",
    "strategy": "an aggregation strategy: acts only when enough of the weight agrees",
    "rule": "a risk rule: at most so many positions at once",
    "platform": "a platform: a practice venue in memory, to be replaced call by call",
    "executor": "an executor: many runs on threads of this process",
    "command": "a command: when the bars of an asset close",
}


def write_project(name: str, kind: str, folder: Path, *, taken: Collection[str] = ()) -> Path:
    """Writes the project ``ffe-NAME`` into ``folder`` and returns its path; ``taken`` names are refused.

    Raises ``UsageError`` for a name that cannot be used and where something is in the way already.
    """
    words = words_for(name, taken)
    project = folder / words["dist"]
    if project.exists() or project.is_symlink():
        raise UsageError(f"{project} exists already", hint="nothing is ever overwritten; choose another name or --path")
    written = {project / path: text for path, text in _rendered(kind, words)}
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return project


def words_for(name: str, taken: Collection[str] = ()) -> dict[str, str]:
    """What the templates put in. Raises ``UsageError`` where ``name`` cannot be a plugin's."""
    from ffe_core import __version__
    from ffe_core.builtin import BUILTINS
    from ffe_core.plugins.host import RESERVED
    from ffe_core.plugins.validate import NAME

    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a plugin's name", hint="a lower-case letter, then letters, digits, _ and -: acme"
        )
    if name.startswith(("ffe-", "ffe_")):
        raise UsageError(f"{name} would become ffe-{name}", hint=f"leave out the beginning: {name[4:]}")
    if name in RESERVED or name in BUILTINS or name in taken:
        raise UsageError(f"the name {name} belongs to ffe itself", hint="choose another one")
    module = name.replace("-", "_")
    return {
        "name": name,
        "object": module,
        "package": f"ffe_{module}",
        "dist": f"ffe-{name.replace('_', '-')}",
        "Name": "".join(part.capitalize() for part in module.split("_")),
        "core": ".".join(__version__.split(".")[:2]),
    }


def _rendered(kind: str, words: dict[str, str]) -> list[tuple[Path, str]]:
    root = files(__name__)
    places = {**words, "kind": kind, "does": KINDS[kind], "scripts": ""}
    if kind == "command":
        command = f'{words["name"]} = "{words["package"]}.command:{words["object"]}"'
        places["scripts"] = f'\n[project.entry-points."ffe.commands"]\n{command}\n'
    result: list[tuple[Path, str]] = []
    for source in (root / "common", root / kind):
        for path, file in _walk(source, Path()):
            here = Path("PACKAGE") / path if source.name == kind else path
            target = Path(*(words["package"] if part == "PACKAGE" else part for part in here.parts))
            if target.name.endswith(".tmpl"):
                text = Template(file.read_text(encoding="utf-8")).substitute(places)
                result.append((target.with_name(target.name.removesuffix(".tmpl")), text))
    return result


def _walk(folder: Traversable, at: Path) -> list[tuple[Path, Traversable]]:
    found: list[tuple[Path, Traversable]] = []
    for each in sorted(folder.iterdir(), key=lambda one: one.name):
        found += _walk(each, at / each.name) if each.is_dir() else [(at / each.name, each)]
    return found
