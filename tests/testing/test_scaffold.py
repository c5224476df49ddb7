"""A new plugin project is whole, passes its own checks, and is never written over anything."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ffe_core.errors import UsageError
from ffe_core.testing.conformance import check_plugin
from ffe_core.testing.scaffold import KINDS, write_project
from tests.testing.sites import install


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_project_of_readable_python_with_an_entry_point(kind: str, tmp_path: Path) -> None:
    project = write_project("blue-chip", kind, tmp_path)
    assert project == tmp_path / "ffe-blue-chip"
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))
    assert about["project"]["entry-points"]["ffe.plugins"] == {"blue-chip": "ffe_blue_chip"}
    assert about["project"]["dependencies"] == ["ffe-core>=0.1"]
    names = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert {"README.md", "ffe_blue_chip/__init__.py", "ffe_blue_chip/py.typed", "tests/test_contract.py"} <= names
    for path in project.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "$" not in text.replace('{3}$"', "")
        ast.parse(text)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Acme", "cannot be a plugin's name"),
        ("../acme", "cannot be a plugin's name"),
        ("a b", "cannot be a plugin's name"),
        ("", "cannot be a plugin's name"),
        ("1st", "cannot be a plugin's name"),
        ("größe", "cannot be a plugin's name"),
        ("ffe-acme", "would become ffe-ffe-acme"),
        ("enabled", "belongs to ffe itself"),
        ("voting", "belongs to ffe itself"),
        ("analyze", "belongs to ffe itself"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused_and_nothing_is_written(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        write_project(name, "provider", tmp_path, taken={"analyze"})
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_ever_overwritten(tmp_path: Path) -> None:
    (tmp_path / "ffe-acme").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_project("acme", "provider", tmp_path)
    assert list((tmp_path / "ffe-acme").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_the_conformance_check(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    install(write_project("acme", kind, tmp_path), site)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    found = check_plugin("acme")
    assert [result for result in found.results if result.outcome == "failed"] == []
    assert found.ok
    assert found.remark == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_kind_passes_ruff_mypy_and_its_own_tests(tmp_path: Path) -> None:
    site = tmp_path / "site"
    projects = [write_project(f"a{kind}", kind, tmp_path) for kind in KINDS]
    for project in projects:
        install(project, site)
        for command in (["ruff", "check", "--no-cache", "."], ["ruff", "format", "--no-cache", "--check", "."]):
            succeed(command, project, site)
    # One run for all: most of mypy's time goes into reading the libraries.
    packages = [argument for kind in KINDS for argument in ("-p", f"ffe_a{kind}")]
    succeed(["mypy", "--strict", "--cache-dir", str(tmp_path / "mypy"), *packages], projects[0], site)
    for project in projects[:2]:
        succeed(["pytest", "-q", "-p", "no:cacheprovider"], project, site)


def succeed(command: list[str], folder: Path, site: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(site), "HOME": str(folder), "MYPYPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
