"""The other supported Python decides the same, to the last byte of the record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ffe_core.domain.codec import canonical_json
from tests.conftest import clean_environment

ROOT = Path(__file__).resolve().parents[2]
OTHER = "3.13" if sys.version_info[:2] == (3, 12) else "3.12"
VARYING = {"id", "created_at", "hash", "previous_hash", "latency_ms", "fetched_at"}
AT = ["--at", "2023-06-01T00:00:00Z"]
FROM_FILES = ["--source", "files"]

pytestmark = [pytest.mark.install, pytest.mark.timeout(300)]


def runs(python: Path) -> bool:
    """A pyenv shim is found by name and still does not run, so a candidate counts only when it answers."""
    told = f"import sys, venv, ensurepip; sys.exit('%d.%d' % sys.version_info[:2] != '{OTHER}')"
    return subprocess.run([python, "-c", told], capture_output=True, check=False, timeout=30).returncode == 0


def candidates() -> Iterator[Path]:
    found = shutil.which(f"python{OTHER}")
    if found:
        yield Path(found)
    for root in dict.fromkeys([Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")), Path.home() / ".pyenv"]):
        yield from sorted(root.glob(f"versions/{OTHER}.*/bin/python"), reverse=True)


def make_environment(folder: Path) -> list[str]:
    """An empty environment of the other Python; returns the command that installs into it."""
    uv = shutil.which("uv")
    python = str(folder / "bin" / "python")
    if uv and subprocess.run([uv, "venv", "-q", "--no-project", "-p", OTHER, folder], check=False).returncode == 0:
        return [uv, "pip", "install", "--quiet", "--python", python]
    base = next(filter(runs, candidates()), None)
    if base is None:
        pytest.skip(f"service: no Python {OTHER} is installed (looked on PATH and among pyenv's versions)")
    subprocess.run([base, "-m", "venv", folder], check=True, timeout=60)
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other Python in an environment with this checkout, installed with the pinned versions."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    command = [*make_environment(folder), "--constraint", str(ROOT / "constraints.txt"), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip(f"service: ffe cannot be installed on Python {OTHER}: {done.stderr.strip()[-500:]}")
    return folder / "bin" / "python"


def stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items() if key not in VARYING}
    return [stripped(item) for item in value] if isinstance(value, list) else value


class Ffe:
    """``ffe`` on one Python in a home of its own, with the built-in plugins alone."""

    def __init__(self, python: Path, place: Path, **environment: str) -> None:
        place.mkdir()
        self.python, self.place = python, place
        self.environment = {**clean_environment(place / "home"), "FFE_PLUGINS": "", **environment}

    def __call__(self, *arguments: str) -> Any:
        # Away from the checkout, so that each Python runs what is installed in it.
        done = subprocess.run(
            [self.python, "-m", "ffe_core.cli", *arguments, "--json"],
            cwd=self.place, env=self.environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stderr[-2000:])
        return json.loads(done.stdout)["data"]

    def decide(self, *arguments: str) -> dict[str, bytes]:
        """What was printed and what was stored, in canonical bytes."""
        printed = self("analyze", *arguments)
        made = {"printed": canonical_json(stripped(printed))}
        for decision in printed.get("decisions", [printed]):
            made[decision["asset_pair"]] = canonical_json(stripped(self("show", decision["id"])))
        return made


def require_same(here: Ffe, there: Ffe, *arguments: str) -> None:
    with ThreadPoolExecutor(2) as both:
        ours, theirs = both.map(lambda ffe: ffe.decide(*arguments), (here, there))
    assert ours.keys() == theirs.keys()
    differing = [what for what in ours if ours[what] != theirs[what]]
    assert not differing, f"{arguments}: Python {OTHER} gives other bytes"


def test_the_other_python_runs_the_same_ffe(other_python: Path) -> None:
    told = subprocess.run(
        [other_python, "-c", "import sys, ffe_core; print(*sys.version_info[:2], ffe_core.__version__, sep='.')"],
        cwd=other_python.parent, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    from ffe_core import __version__

    assert told.stdout.strip() == f"{OTHER}.{__version__}"


def test_decisions_on_invented_prices_are_the_same_bytes(other_python: Path, tmp_path: Path) -> None:
    here, there = Ffe(Path(sys.executable), tmp_path / "here"), Ffe(other_python, tmp_path / "there")
    require_same(here, there, "BTCUSD", "ETHUSD", "EURUSD", "DIPUSD", *AT)


def test_decisions_on_real_prices_are_the_same_bytes(other_python: Path, tmp_path: Path, market_data: Path) -> None:
    files = {"FFE_PLUGINS__FILES__PATH": str(market_data)}
    here = Ffe(Path(sys.executable), tmp_path / "here", **files)
    there = Ffe(other_python, tmp_path / "there", **files)
    require_same(here, there, "BTCUSD", *FROM_FILES, *AT, "--indicator", "stoch")
    # An hour of the week in which New York has changed its clocks and London has not.
    require_same(here, there, "EURUSD", *FROM_FILES, "--at", "2022-03-16T14:20:00Z")


def test_each_python_replays_what_the_other_recorded(other_python: Path, tmp_path: Path) -> None:
    here, there = Ffe(Path(sys.executable), tmp_path / "here"), Ffe(other_python, tmp_path / "there")
    there.environment["FFE_HOME"] = here.environment["FFE_HOME"]
    for writer, reader in ((here, there), (there, here)):
        decision_id = writer("analyze", "DIPUSD", *AT)["id"]
        assert reader("replay", decision_id) == {"id": decision_id, "same": True, "differences": []}
    assert here("history", "verify")["ok"] is True


def test_each_python_replays_the_cassette_of_the_other(other_python: Path, tmp_path: Path) -> None:
    here, there = Ffe(Path(sys.executable), tmp_path / "here"), Ffe(other_python, tmp_path / "there")
    for writer, reader in ((here, there), (there, here)):
        question = ["BTCUSD", *AT, "--cassette-dir", str(writer.place / "world"), "--cassette"]
        recorded = writer.decide(*question, "record")
        # Another market: had it been asked, it would have said something else.
        reader.environment["FFE_PLUGINS__DEMO__SEED"] = "99"
        assert reader.decide(*question, "replay") == recorded
        del reader.environment["FFE_PLUGINS__DEMO__SEED"]
