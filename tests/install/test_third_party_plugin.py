"""The plugin that the documentation carries, built, installed into a fresh environment and run through ``ffe``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "writing-a-plugin.md"


def block(language: str) -> str:
    """The first block of ``language`` in the document."""
    found = re.search(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_plugin_is_complete_in_twenty_five_lines() -> None:
    lines = [line for text in (block("toml"), block("python")) for line in text.splitlines() if line.strip()]
    assert len(lines) <= 25


def test_every_whole_python_block_of_the_document_runs_and_every_fragment_is_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ffe_band.py").write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    texts = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    whole = [text for text in texts if text.startswith("from ")]
    assert len(whole) == 3
    for text in texts:
        code = compile(text, str(DOCUMENT), "exec", dont_inherit=True)
        if text in whole:
            # The contracts it declares are run by the tests of the contracts; here it is enough that names are right.
            exec(code, {"__name__": __name__})


def test_the_documented_plugin_keeps_the_contract() -> None:
    from ffe_core.testing import AIProviderContract
    from tests.testing.trials import broken_checks, contract

    names: dict[str, Any] = {"__name__": __name__}
    exec(compile(block("python"), str(DOCUMENT), "exec", dont_inherit=True), names)
    assert broken_checks(contract(AIProviderContract, names["Band"])) == {}


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, (command, done.stdout[-2000:], done.stderr[-2000:])
    return done


def build_wheel(project: Path, into: Path) -> Path:
    before = set(into.glob("*.whl"))
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", into, project)
    (wheel,) = set(into.glob("*.whl")) - before
    return wheel


def fresh_environment(folder: Path) -> Path:
    """A new environment whose only packages are the libraries that ffe requires, linked from this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        ours = entry.name.lower().lstrip("_").startswith(("ffe", "editable"))
        if not ours and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Wheels of ffe-core and of the documented plugin."""
    pytest.importorskip("hatchling", reason="hatchling builds the wheels")
    folder = tmp_path_factory.mktemp("wheels")
    project = tmp_path_factory.mktemp("ffe-band")
    (project / "pyproject.toml").write_text(block("toml"), encoding="utf-8")
    (project / "ffe_band.py").write_text(block("python"), encoding="utf-8")
    return [build_wheel(ROOT, folder), build_wheel(project, folder)]


@pytest.fixture(scope="module")
def installed_ffe(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs the installed ``ffe`` in a fresh environment, away from this checkout."""
    folder = tmp_path_factory.mktemp("fresh")
    python = fresh_environment(folder / "venv")
    run(sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", *wheels)
    home = folder / "home"
    home.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "FFE_HOME": str(home / "ffe")}

    def ffe(*arguments: str) -> Any:
        done = run(python.with_name("ffe"), *arguments, "--json", cwd=home, env=environment, timeout=100)
        return json.loads(done.stdout)["data"]

    return ffe


@pytest.mark.install
def test_the_wheel_of_ffe_core_brings_types_templates_and_the_pytest_plugin(wheels: list[Path]) -> None:
    with zipfile.ZipFile(wheels[0]) as wheel:
        names = set(wheel.namelist())
        (about,) = [name for name in names if name.endswith("entry_points.txt")]
        points = wheel.read(about).decode()
    assert "ffe_core/py.typed" in names
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "ffe_core").rglob("*.tmpl")}
    assert len(templates) > 30
    assert templates <= names
    assert not [name for name in names if name.startswith(("tests/", "docs/")) or "__pycache__" in name]
    assert "ffe = ffe_core.testing.pytest_plugin" in points
    assert "ffe = ffe_core.cli:main" in points


@pytest.mark.install
def test_the_installed_plugin_is_listed_checked_and_asked(installed_ffe: Callable[..., Any]) -> None:
    (band,) = [row for row in installed_ffe("plugins") if row["name"] == "band"]
    assert (band["state"], band["distribution"], band["version"]) == ("active", "ffe-band", "1.0")
    assert band["hooks"] == ["ffe_ai_providers"]

    checked = installed_ffe("plugins", "check", "band")
    assert checked["ok"] is True
    assert checked["remark"] == "only the static checks ran: there is no ffe_band/contract.py"

    decision = installed_ffe("analyze", "BTCUSD", "--provider", "band")
    (opinion,) = decision["opinions"]
    assert (opinion["provider"], opinion["error"]) == ("band", None)
    assert "% up the band" in opinion["reasoning"]


@pytest.mark.install
def test_a_new_plugin_written_by_the_installed_ffe_is_whole(installed_ffe: Callable[..., Any], tmp_path: Path) -> None:
    made = installed_ffe("plugins", "new", "acme", "--path", str(tmp_path))
    assert "ffe_acme/py.typed" in made["files"]
    assert build_wheel(Path(made["path"]), tmp_path).name == "ffe_acme-0.1.0-py3-none-any.whl"
