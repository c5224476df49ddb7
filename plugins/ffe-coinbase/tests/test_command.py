"""The real command in a process of its own, in front of the venue on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ffe_coinbase.standin import CoinbaseStandIn


@pytest.fixture
def live() -> Iterator[CoinbaseStandIn]:
    with CoinbaseStandIn(clock=lambda: datetime.now(UTC)) as standing:
        yield standing


def ffe(server: CoinbaseStandIn, home: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR") if name in os.environ}
    given = {"HOME": str(home), "FFE_HOME": str(home), "FFE_PLUGINS__COINBASE__BASE_URL": server.url}
    return subprocess.run(
        [str(Path(sys.executable).with_name("ffe")), *arguments],
        capture_output=True,
        text=True,
        env={**kept, **given, **variables},
        cwd=home,
        timeout=100,
        check=False,
    )


def data(ran: subprocess.CompletedProcess[str]) -> Any:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)["data"]


@pytest.mark.slow
def test_candles_and_a_decision_come_without_a_key(live: CoinbaseStandIn, tmp_path: Path) -> None:
    candles = data(ffe(live, tmp_path, "data", "candles", "BTCUSD", "--source", "coinbase", "--limit", "5", "--json"))
    assert (candles["source"], candles["synthetic"], len(candles["candles"])) == ("coinbase", False, 5)
    decided = data(ffe(live, tmp_path, "analyze", "BTCUSD", "--source", "coinbase", "--json"))
    assert decided["market"]["source"] == "coinbase"
    assert decided["market"]["freshness"]["is_fresh"] is True
    frames = decided["pulse"]["timeframes"]
    assert all(frames[name] is not None for name in ("1m", "5m", "15m", "1h", "4h", "1d"))
    assert all("authorization" not in each.headers for each in live.requests)


@pytest.mark.slow
def test_the_well_known_variables_hold_the_key(live: CoinbaseStandIn, tmp_path: Path) -> None:
    key = {"COINBASE_API_KEY": live.keys.name, "COINBASE_API_SECRET": live.keys.secret.replace("\n", "\\n")}
    ran = ffe(
        live, tmp_path, "data", "candles", "BTCUSD", "--source", "coinbase", "--limit", "2", "--json", "-v", **key
    )
    assert len(data(ran)["candles"]) == 2
    assert live.tokens
    for canary in live.keys.canaries:
        assert canary not in ran.stdout + ran.stderr


def test_a_dead_key_is_one_line_that_shows_no_key(live: CoinbaseStandIn, tmp_path: Path) -> None:
    key = {"COINBASE_API_KEY": "canaryA123456789", "COINBASE_API_SECRET": "canaryB" * 5}
    ran = ffe(live, tmp_path, "data", "candles", "BTCUSD", "--source", "coinbase", "--json", **key)
    assert ran.returncode != 0
    assert "CDP" in ran.stderr
    assert "canary" not in ran.stdout + ran.stderr
    assert live.requests == []


def test_a_passphrase_is_a_settings_error(live: CoinbaseStandIn, tmp_path: Path) -> None:
    ran = ffe(live, tmp_path, "config", "check", FFE_PLUGINS__COINBASE__PASSPHRASE="canaryC12345")
    assert ran.returncode == 2
    assert "passphrase" in ran.stderr + ran.stdout
    assert "canary" not in ran.stdout + ran.stderr
