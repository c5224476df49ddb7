"""The fixtures give what they promise, and contract checks run offline and bounded while other tests are left alone."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from ffe_core import Briefing, Candles, PluginContext
from ffe_core.testing.network import NetworkRefused, is_loopback, no_network


def test_the_context_lends_folders_a_standing_clock_and_a_seeded_generator(
    ffe_context: PluginContext, tmp_path: Path
) -> None:
    assert ffe_context.clock.now() == ffe_context.clock.now()
    assert ffe_context.state_dir.is_relative_to(tmp_path)
    assert ffe_context.state_dir.stat().st_mode & 0o777 == 0o700
    ffe_context.log.info("ready", bars=3)
    assert ffe_context.rng.random() == __import__("random").Random("test").random()


def test_the_candles_and_the_briefing_are_the_same_in_every_run(ffe_candles: Candles, ffe_briefing: Briefing) -> None:
    assert (len(ffe_candles), ffe_candles.asset.symbol, ffe_candles.synthetic) == (500, "BTCUSD", True)
    # Pins the helper: an author's expected numbers must not move with a version of ffe or of Python.
    assert [round(value, 6) for value in ffe_candles.close[:2]] == [20112.595082, 20046.650206]
    assert ffe_briefing.asset == ffe_candles.asset


def test_the_home_is_empty_and_no_setting_comes_from_outside(
    monkeypatch: pytest.MonkeyPatch, ffe_home: Path, tmp_path: Path
) -> None:
    assert [name for name in os.environ if name.startswith("FFE_")] == ["FFE_HOME"]
    assert os.environ["FFE_HOME"] == str(ffe_home)
    assert ffe_home.is_relative_to(tmp_path)
    assert list(ffe_home.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "db.localhost", ""])
def test_loopback_is_recognised(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.com", "localhost.example.com", "0.0.0.1"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_inside_the_block_only_loopback_answers_and_attempts_are_remembered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with no_network() as tried:
            socket.create_connection(server.getsockname(), timeout=1).close()
            with pytest.raises(NetworkRefused), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                udp.sendto(b"x", ("192.0.2.7", 53))
        assert tried == ["192.0.2.7"]


INNER = """
import socket, sys, time, threading
from ffe_core.testing import Checks

class TestChecks(Checks):
    deadline = 0.5

    def test_offline(self):
        try:
            socket.getaddrinfo("api.example.com", 443)
        except OSError:
            pass

    def test_hangs(self):
        time.sleep(30)

    def test_exits(self):
        sys.exit(3)

    def test_takes_fixtures(self, tmp_path, ffe_candles):
        assert tmp_path.is_dir() and len(ffe_candles) == 500

    def test_is_not_the_main_thread(self):
        assert threading.current_thread().name == "ffe-contract"

def test_of_another_kind_runs_where_pytest_runs_it():
    assert threading.current_thread() is threading.main_thread()
"""


@pytest.mark.slow
def test_checks_are_run_offline_and_bounded_and_other_tests_are_left_alone(tmp_path: Path) -> None:
    test, report = tmp_path / "test_inner.py", tmp_path / "report.jsonl"
    test.write_text(dedent(INNER), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    arguments = ["-p", "ffe_core.testing.pytest_plugin", "-q", "--ffe-report", str(report), str(test)]
    subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        check=False,
    )
    told = {line["check"]: line for line in map(json.loads, report.read_text("utf-8").splitlines())}
    assert told["test_offline"]["reason"] == "reached for the network: api.example.com"
    assert told["test_hangs"]["reason"] == "did not come back within 0.5 s"
    assert told["test_exits"]["reason"] == "tried to end the process: SystemExit(3)"
    passed = {name for name, line in told.items() if line["outcome"] == "passed"}
    assert passed == {
        "test_takes_fixtures",
        "test_is_not_the_main_thread",
        "test_of_another_kind_runs_where_pytest_runs_it",
    }


def test_the_plugin_loads_nothing_heavy() -> None:
    program = (
        "import sys, ffe_core.testing.pytest_plugin, ffe_core.testing\n"
        "print([name for name in ('numpy', 'pandas', 'pydantic', 'sqlmodel', 'requests') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_the_public_names_are_sorted_and_all_there() -> None:
    import ffe_core.testing as kit

    assert kit.__all__ == sorted(kit.__all__)
    assert all(getattr(kit, name) is not None for name in kit.__all__)
    assert set(kit.__all__) == set(kit._HOME_OF)
