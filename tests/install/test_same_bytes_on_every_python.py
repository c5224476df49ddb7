"""The other supported Python decides the same, to the last byte of the record."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ffe_core.domain.codec import canonical_json
from ffe_core.settings import load_settings
from ffe_core.store import Store
from tests.conftest import clean_environment

ROOT = Path(__file__).resolve().parents[2]
OTHER = "3.13" if sys.version_info[:2] == (3, 12) else "3.12"
VARYING = {"id", "created_at", "hash", "previous_hash", "latency_ms", "fetched_at"}
AT = ["--at", "2023-06-01T00:00:00Z"]
FROM_FILES = ["--source", "files"]

pytestmark = [pytest.mark.install, pytest.mark.timeout(900)]


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
    subprocess.run([base, "-m", "venv", folder], check=True, timeout=180)
    return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]


@pytest.fixture(scope="module")
def other_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The other Python in an environment with this checkout, installed with the pinned versions."""
    folder = tmp_path_factory.mktemp("other") / "venv"
    ours = [str(ROOT), str(ROOT / "plugins" / "ffe-ollama")]
    command = [*make_environment(folder), "--constraint", str(ROOT / "constraints.txt"), *ours]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
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

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # Away from the checkout, so that each Python runs what is installed in it.
        return subprocess.run(
            [self.python, "-m", "ffe_core.cli", *arguments, "--json"],
            cwd=self.place, env=self.environment, capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip

    def __call__(self, *arguments: str) -> Any:
        done = self.run(*arguments)
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


# A day of a panel with a model in it


DAY = "2023-03-10"
PANEL = ["local", "trend_adx", "rsi_reversion", "ollama"]
#: hours at which the model's server answers with an error
BROKEN = (3, 11, 17)
#: loaded by every Python that finds it on its path: a line for each attempt to reach anybody, and no socket at all
UNPLUGGED = """\
import os, sys

def unplug(event, arguments):
    if event.startswith("socket."):
        if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
            with open(os.environ["_ATTEMPTS"], "a") as file:
                print(event, arguments[-1], file=file)
        raise OSError("unplugged")

sys.addaudithook(unplug)
"""


def unplug(ffe: Ffe) -> Path:
    """From now on ``ffe`` has no network; returns the file that names each attempt to use it."""
    (ffe.place / "unplugged").mkdir()
    (ffe.place / "unplugged" / "sitecustomize.py").write_text(UNPLUGGED, encoding="utf-8")
    attempts = ffe.place / "attempts"
    ffe.environment |= {"PYTHONPATH": str(ffe.place / "unplugged"), "_ATTEMPTS": str(attempts)}
    return attempts


def hour_of_day(hour: int) -> list[str]:
    return ["BTCUSD", "--source", "files", "--provider", "ensemble", "--at", f"{DAY}T{hour:02}:00:00Z"]


def a_day(ffe: Ffe, tape: str, before: Callable[[int], None] = lambda hour: None) -> list[bytes]:
    """What each hour printed, then what each stored, in canonical bytes."""
    made = []
    for hour in range(24):
        before(hour)
        told = ffe("analyze", *hour_of_day(hour), "--cassette", tape)
        assert [opinion["provider"] for opinion in told["opinions"]] == PANEL
        made.append(canonical_json(stripped(told)))
    with Store.open(load_settings(env={}, home=Path(ffe.environment["FFE_HOME"]))) as store:
        stored = store.newest(24)
    return made + [canonical_json(stripped(record.record)) for record in reversed(stored)]


@pytest.fixture
def panel(market_data: Path, tmp_path: Path) -> dict[str, str]:
    return {
        "FFE_PLUGINS": "ollama",
        "FFE_PLUGINS__FILES__PATH": str(market_data),
        "FFE_PLUGINS__OLLAMA__MODEL": "llama3.2:3b",
        "FFE_AI__PROVIDERS": json.dumps(PANEL),
        "FFE_CASSETTE__DIR": str(tmp_path / "world"),
    }


@pytest.mark.timeout(1200)
def test_a_day_of_a_panel_is_asked_once_and_replayed_by_each_python_with_the_network_unplugged(
    other_python: Path, tmp_path: Path, panel: dict[str, str]
) -> None:
    standin = pytest.importorskip("ffe_ollama.standin")
    answers = [("BUY", 61), ("SELL", 73), ("HOLD", 55)]
    with standin.OllamaStandIn() as server:
        live = Ffe(Path(sys.executable), tmp_path / "live", **panel, OLLAMA_HOST=server.url)

        def next_hour(hour: int) -> None:
            action, confidence = answers[hour % 3]
            reasoning = f"At {hour} o'clock the averages of the last days say so."
            said = {"reasoning": reasoning, "action": action, "confidence": confidence, "amount": 0}
            broken = standin.refused(500, f"llama runner process has terminated at {hour}")
            server.usual = broken if hour in BROKEN else json.dumps(said)

        recorded = a_day(live, "record", next_hour)
        # An hour whose question failed with 500 was asked twice.
        assert len(server.chats) == 24 + len(BROKEN)
    assert len(set(recorded)) == 48
    told = [json.loads(printed)["ensemble_metadata"] for printed in recorded[:24]]
    assert [hour for hour, meta in enumerate(told) if meta["providers_failed"]] == list(BROKEN)
    for hour in BROKEN:
        assert f"terminated at {hour}" in told[hour]["providers_failed"]["ollama"]

    replays = [
        Ffe(python, tmp_path / place, **panel, OLLAMA_HOST=server.url)
        for python, place in ((Path(sys.executable), "here"), (other_python, "there"))
    ]
    attempts = [unplug(ffe) for ffe in replays]
    with ThreadPoolExecutor(2) as both:
        for again in both.map(a_day, replays, ["replay", "replay"]):
            assert [hour for hour, bytes_ in enumerate(again) if bytes_ != recorded[hour]] == []
    assert not any(file.exists() for file in attempts)


def test_a_miss_ends_with_4_and_the_models_server_hears_nothing(tmp_path: Path, panel: dict[str, str]) -> None:
    standin = pytest.importorskip("ffe_ollama.standin")
    with standin.OllamaStandIn() as server:
        ffe = Ffe(Path(sys.executable), tmp_path / "here", **panel, OLLAMA_HOST=server.url)
        ffe("analyze", *hour_of_day(5), "--cassette", "record")
        heard = len(server.requests)
        assert heard
        ffe.environment["FFE_PLUGINS__OLLAMA__TEMPERATURE"] = "0.5"
        for hour in (5, 6):
            done = ffe.run("analyze", *hour_of_day(hour), "--cassette", "replay")
            assert done.returncode == 4, done.stderr
            assert json.loads(done.stdout)["error"]["type"] == "CassetteMiss"
        assert len(server.requests) == heard
        assert len(ffe("history")) == 1


def test_what_unplugs_the_network_does_so(tmp_path: Path, panel: dict[str, str]) -> None:
    standin = pytest.importorskip("ffe_ollama.standin")
    with standin.OllamaStandIn() as server:
        ffe = Ffe(Path(sys.executable), tmp_path / "here", **panel, OLLAMA_HOST=server.url)
        attempts = unplug(ffe)
        told = ffe("analyze", *hour_of_day(5))
        assert list(told["ensemble_metadata"]["providers_failed"]) == ["ollama"]
        assert attempts.read_text("utf-8").startswith("socket.")
        assert not server.requests
