"""What the tests of the command line share: a run in process, and a real one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ffe_core.cli import main
from tests.conftest import CANARY


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """The one JSON object on standard output."""
        found = json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert isinstance(found, dict)
        assert found["schema"] == 1
        return found

    @property
    def data(self) -> Any:
        assert self.code == 0, self.err
        return self.object["data"]

    @property
    def error(self) -> dict[str, Any]:
        assert set(self.object) == {"schema", "error"}
        told: dict[str, Any] = self.object["error"]
        assert set(told) == {"type", "message", "hint"}
        return told

    @property
    def line(self) -> str:
        """The one line on standard error."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        return lines[0]


@pytest.fixture
def ffe(home: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs a command line in this process, on the file descriptors that a user's terminal has."""

    def run(*arguments: str) -> Run:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return _without_secrets(Run(code, out, err))

    return run


@pytest.fixture
def real_ffe(home: Path) -> Callable[..., Run]:
    """Runs a command line in a process of its own."""

    def run(*arguments: str, **environment: str) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "ffe_core.cli", *arguments],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return _without_secrets(Run(done.returncode, done.stdout, done.stderr))

    return run


def _without_secrets(run: Run) -> Run:
    assert CANARY not in run.out + run.err, "a secret was printed"
    return run


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """Installs a plugin of one module, as far as Python can tell; returns the folder that holds it."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def installed(name: str, source: str) -> Path:
        about = site / f"ffe_{name}-1.0.dist-info"
        about.mkdir(parents=True)
        (site / f"ffe_{name}.py").write_text(source, encoding="utf-8")
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ffe-{name}\nVersion: 1.0\n", encoding="utf-8")
        (about / "entry_points.txt").write_text(f"[ffe.plugins]\n{name} = ffe_{name}\n", encoding="utf-8")
        return site

    return installed
