"""Every secret planted, every command run, also where it fails: none of them is seen again but where it was put."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.conftest import CANARY, leaks_in

type Ffe = Callable[..., Run]

#: nothing listens there, so that whoever calls a service fails with all that it knows of the call
NOWHERE = "http://127.0.0.1:1"
SERVICES = ("alphavantage", "coinbase", "gemini", "oanda", "ollama")
SETTINGS = f"""
plugins:
{"".join(f"  {name}: {{base_url: {NOWHERE}}}" + chr(10) for name in SERVICES)}
"""
#: keys that are looked at before they are used, and one that ends every run because its kind is dead
OF_THEIR_KIND = {
    "plugins.coinbase.api_key": f"organizations/{CANARY}-1/apiKeys/{CANARY}-2",
    "plugins.coinbase.api_secret": f"{CANARY}{'A' * 37}=",
    "plugins.coinbase.passphrase": None,
}
#: command lines in the order in which a user might try them; ``{{id}}`` is the decision that the first one made
LINES = """
analyze DIPUSD --show-pulse
analyze BTCUSD --source coinbase
analyze BTCUSD --source alphavantage
analyze EURUSD --source oanda
analyze BTCUSD --provider gemini --provider ollama --provider codex --provider copilot --provider qwen
execute {id} --dry-run
execute {id}
approve {id} yes
positions --save
balance
balance --venue
dashboard
orders
orders cancel --all
close DIPUSD
close EURUSD
pnl --file pnl.csv
status
doctor
halt --reason because
arm --reason because
keys list
keys set plugins.oanda.api_key
config show
config check
config set plugins.oanda.api_key {canary}
plugins
providers
providers check
data list
data candles EURUSD --source oanda
data fetch EURUSD --source oanda --start 2024-01-01 --end 2024-01-02
history
history --scored
show {id}
replay {id}
db status
db backup
paths
"""


def canaries() -> Iterator[tuple[str, str]]:
    """A secret for every key that takes one, by the variable that sets it."""
    from ffe_core import SystemClock
    from ffe_core.plugins import load_plugins
    from ffe_core.settings import load_settings
    from ffe_core.settings.problems import variable_of
    from ffe_core.settings.view import plugin_entries

    settings = load_settings(env={"FFE_HOME": os.environ["FFE_HOME"]})
    with load_plugins(settings, clock=SystemClock()):
        for number, entry in enumerate(plugin_entries(settings)):
            value = OF_THEIR_KIND.get(entry.key, f"{CANARY}-{number}-0123456789")
            if entry.secret and value is not None:
                yield variable_of(entry.path), value


@pytest.fixture
def planted(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A home whose settings hold secrets of every plugin, in the file that is for them."""
    secrets = dict(canaries())
    config = home / "config"
    config.mkdir(parents=True, exist_ok=True)
    (config / "config.yaml").write_text(SETTINGS, encoding="utf-8")
    (config / ".env").write_text("".join(f"{name}={value}\n" for name, value in secrets.items()), encoding="utf-8")
    (config / ".env").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return secrets


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("platform", "forms"),
    [("paper", ("--json", "-v")), ("paper", ("-v", "--json")), ("coinbase", ("-v",)), ("oanda", ("--json",))],
)
def test_no_command_shows_or_keeps_a_secret(
    ffe: Ffe, planted: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, platform: str, forms: Sequence[str]
) -> None:
    assert len(planted) >= 8
    monkeypatch.setenv("FFE_EXECUTION__PLATFORM", platform)
    made = ffe("analyze", "DIPUSD", "--json").data["id"]
    failed = 0
    for line, form in zip(LINES.strip().splitlines(), cycle(forms), strict=False):
        words = line.format(id=made, canary=f"{CANARY}-typed").split()
        failed += ffe(*words, form).code != 0
    # Services that are not there, and keys that are no keys: the paths on which secrets like to travel.
    assert failed > 5
    assert leaks_in(home) == []


@pytest.mark.slow
def test_a_store_that_cannot_be_reached_keeps_its_password_to_itself(
    ffe: Ffe, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_STORE__URL", f"postgresql+psycopg://ffe:{CANARY}-pw@127.0.0.1:1/ffe")
    for line in ("status", "history", "db status", "db upgrade", "orders", "doctor", "config show"):
        ffe(*line.split(), "-v")
        ffe(*line.split(), "--json")
    assert leaks_in(home) == []


def test_a_secret_that_leaks_is_seen(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"KEY={CANARY}", encoding="utf-8")
    assert leaks_in(tmp_path) == []
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "ffe.db").write_bytes(b"\0" + f"said {CANARY}-1 to".encode() + b"\0")
    assert leaks_in(tmp_path) == ["state/ffe.db"]
    (tmp_path / "state" / "ffe.db").unlink()


@pytest.mark.slow
def test_a_run_of_the_suite_that_prints_a_secret_fails(tmp_path: Path) -> None:
    test = tmp_path / "test_leaks.py"
    test.write_text(f"def test_prints():\n    print('the key is {CANARY}-1')\n", encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:randomly",
            "-c",
            os.devnull,
            "-p",
            "tests.conftest",
            str(test),
        ],
        capture_output=True,
        text=True,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
        timeout=100,
    )
    test.unlink()
    assert done.returncode == 1
    assert "a secret was printed" in done.stdout
