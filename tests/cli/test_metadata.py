"""Commands of other packages, read from their files: what Python itself would say of them, at less cost."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ffe_core.cli import metadata


def package(place: Path, name: str, entry_points: str, *, spelled: str | None = None) -> None:
    folder = place / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {spelled or name}\nVersion: 1.0\n\nName: none\n")
    (folder / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders that Python looks into before any other."""
    found = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(sys, "path", [*map(str, found), *sys.path])
    return found


def as_python_tells() -> dict[str, list[tuple[str, str]]]:
    return {
        name: [(entry.value, metadata.owner(entry)) for entry in entries]
        for name, entries in metadata.installed().items()
    }


def test_the_files_say_what_python_says(places: tuple[Path, Path]) -> None:
    package(
        places[0], "shop-good", "[console_scripts]\nshop = a:b\n\n[ffe.commands]\n# ours\ngreet=a:b\n wave = a:c [x]\n"
    )
    package(places[0], "shop-two", "[ffe.commands.more]\nnot-ours = a:b\n[ffe.commands]\n[other]\nneither = a:b\n")
    package(places[0], "shop.three", "[ffe.commands]\ndance = a:b\n", spelled="Shop.Three")
    package(places[1], "Shop-Good", "[ffe.commands]\nhidden = a:b\n")
    package(places[1], "shop-four", "[ffe.commands]\ngreet = d:e\nsing = d:f\n")

    found = metadata.brought()

    assert {
        "greet": [("a:b", "shop-good"), ("d:e", "shop-four")],
        "wave": [("a:c [x]", "shop-good")],
        "dance": [("a:b", "Shop.Three")],
        "sing": [("d:f", "shop-four")],
    }.items() <= found.items()
    assert not {"shop", "not-ours", "neither", "hidden"} & found.keys()
    assert found == as_python_tells()


def test_a_package_in_an_archive_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "shop.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr("shop_zip-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop-zip\nVersion: 1.0\n")
        packed.writestr("shop_zip-1.0.dist-info/entry_points.txt", "[ffe.commands]\nunpack = a:b\n")
    monkeypatch.setattr(sys, "path", [str(archive), *sys.path])

    assert metadata.brought()["unpack"] == [("a:b", "shop-zip")]
    assert metadata.brought() == as_python_tells()


def test_help_lists_a_plugins_command_without_the_module_that_costs_most(tmp_path: Path, home: Path) -> None:
    package(tmp_path / "site", "shop-good", "[ffe.commands]\ngreet = a:b\n")
    script = (
        f"import sys\nsys.path.insert(0, {str(tmp_path / 'site')!r})\nfrom ffe_core.cli import main\nmain(['--help'])\n"
        "print('importlib.metadata' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "greet" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
