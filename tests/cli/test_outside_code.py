"""Nothing that comes from outside is run, no command waits to be called, and no secret is known beforehand.

Trading programs were taken over by a strategy that a page of theirs accepted as code, by an extension that could be
uploaded, and by a secret that was the same wherever nobody had changed it.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args, get_origin

import psutil
import pytest
import yaml
from pydantic import BaseModel, SecretStr

from ffe_core.settings import Settings
from tests.conftest import clean_environment

FFE = str(Path(sys.executable).with_name("ffe"))


class Booby:
    """Unpickled, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.trace,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """What a file of a stranger makes when somebody runs it."""
    return tmp_path / "was-run"


@pytest.fixture
def upload(tmp_path: Path, trace: Path) -> Path:
    """A folder with code under every name and ending that ffe might look for, and in a form that a reader might run."""
    folder = tmp_path / "upload"
    folder.mkdir()
    code = f"from pathlib import Path\nPath({str(trace)!r}).touch()\n"
    for name in ("evil.py", "ffe_evil.py", "conftest.py", "sitecustomize.py", "settings.py"):
        (folder / name).write_text(code)
    evil = pickle.dumps(Booby(trace))
    for name in ("evil.csv", "evil.parquet", "evil.json", "evil.yaml", "evil.pkl"):
        (folder / name).write_bytes(evil)
    (folder / "tagged.yaml").write_text(f"mode: !!python/object/apply:os.mknod [{trace}]\n")
    return folder


def test_the_traps_would_go_off(upload: Path, trace: Path) -> None:
    for spring in (
        lambda: subprocess.run([sys.executable, "evil.py"], cwd=upload, check=True),
        lambda: pickle.loads((upload / "evil.csv").read_bytes()),
        lambda: yaml.unsafe_load((upload / "tagged.yaml").read_text()),
    ):
        spring()
        assert trace.exists()
        trace.unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("--config", "evil.yaml", "status"),
        ("--config", "tagged.yaml", "status"),
        ("--config", "settings.py", "status"),
        ("data", "import", "evil.csv"),
        ("data", "check", "evil.parquet"),
        ("learning", "import", "evil.json"),
        ("learning", "import", "evil.pkl"),
        ("db", "restore", "evil.pkl", "--yes"),
        ("plugins",),
        ("plugins", "check", "evil"),
        ("analyze", "BTCUSD", "--provider", "evil"),
        ("backtest", "BTCUSD", "--provider", "evil.py"),
        ("config", "set", "ai.providers", "evil"),
    ],
    ids=" ".join,
)
def test_a_file_of_a_stranger_was_run_as_a_strategy(tmp_path: Path, upload: Path, trace: Path, command: Any) -> None:
    home = tmp_path / "home"
    for place in ("", "plugins", "data", "config", "state/plugins"):
        (home / place).mkdir(parents=True, exist_ok=True)
        for file in upload.glob("*.py"):
            (home / place / file.name).write_bytes(file.read_bytes())
    environment = {**clean_environment(home), "FFE_PLUGINS": "evil,ffe_evil,lab"}
    ran = subprocess.run([FFE, *command], cwd=upload, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert not trace.exists(), f"`ffe {' '.join(command)}` ran what it was given"


def secrets_of(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    """Every field of a model and of the models in it that holds a secret, with its default."""
    for name, field in model.model_fields.items():
        for kind in kinds_of(field.annotation):
            if kind is SecretStr:
                yield name, field.get_default(call_default_factory=True)
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from ((f"{name}.{inner}", default) for inner, default in secrets_of(kind))


def kinds_of(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (None, types.GenericAlias):
        yield annotation
    for inner in get_args(annotation):
        yield from kinds_of(inner)


def test_a_secret_was_the_same_wherever_nobody_had_changed_it() -> None:
    plugins = [entry.load() for entry in entry_points(group="ffe.plugins")]
    models = [Settings, *(plugin.ffe_settings() for plugin in plugins if hasattr(plugin, "ffe_settings"))]
    found = [(model.__name__, *secret) for model in models for secret in secrets_of(model)]
    assert len(found) >= 8, "there are secrets to look at"
    assert [each for each in found if each[2]] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", [("dashboard", "--watch"), ("analyze", "DIPUSD"), ("orders",)], ids=" ".join)
def test_a_program_listened_to_whoever_called(home: Path, command: Any) -> None:
    """None of ours does: there is no address at which code, a path or the name of a plugin could be handed in."""
    heard = set()
    with subprocess.Popen([FFE, *command], env=clean_environment(home), stdout=subprocess.DEVNULL) as process:
        end = time.monotonic() + 5
        while process.poll() is None and time.monotonic() < end:
            try:
                family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
                heard |= {
                    one.laddr for each in family for one in each.net_connections("inet") if one.status == "LISTEN"
                }
            except psutil.Error:
                pass
            time.sleep(0.05)
        process.kill()
    assert heard == set()
