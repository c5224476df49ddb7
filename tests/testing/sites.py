"""Installing a plugin without pip: its package and its metadata in a folder that Python searches."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path


def install(project: Path, site: Path) -> None:
    """Puts what a wheel of ``project`` would bring into ``site``: packages, entry points, requirements."""
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    meta = about["project"]
    for package in about["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        shutil.copytree(project / package, site / package)
    info = site / f"{meta['name'].replace('-', '_')}-{meta['version']}.dist-info"
    info.mkdir(parents=True)
    needs = "".join(f"Requires-Dist: {line}\n" for line in meta.get("dependencies", []))
    head = f"Metadata-Version: 2.1\nName: {meta['name']}\nVersion: {meta['version']}\n"
    (info / "METADATA").write_text(head + needs, encoding="utf-8")
    groups = "".join(
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entries.items())
        for group, entries in meta["entry-points"].items()
    )
    (info / "entry_points.txt").write_text(groups, encoding="utf-8")
