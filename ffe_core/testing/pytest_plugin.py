"""The pytest side of ``ffe_core.testing``: fixtures, and a quiet, offline, bounded run of every contract check."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ffe_core.domain.decisions import Briefing
    from ffe_core.domain.market import Candles
    from ffe_core.hookspecs import PluginContext


@pytest.fixture
def ffe_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``FFE_HOME``; no other ``FFE_`` variable is set."""
    import os

    for name in [name for name in os.environ if name.startswith("FFE_")]:
        monkeypatch.delenv(name)
    home = tmp_path / "ffe-home"
    home.mkdir()
    monkeypatch.setenv("FFE_HOME", str(home))
    return home


@pytest.fixture
def ffe_context(tmp_path: Path) -> PluginContext:
    """What the host lends a plugin, on temporary folders, at noon of a day in March 2024."""
    from ffe_core.testing.samples import make_context

    return make_context(tmp_path)


@pytest.fixture
def ffe_candles() -> Candles:
    """500 seeded hourly bars of BTCUSD."""
    from ffe_core.testing.samples import make_candles

    return make_candles()


@pytest.fixture
def ffe_briefing() -> Briefing:
    """A neutral briefing on BTCUSD."""
    from ffe_core.testing.samples import make_briefing

    return make_briefing()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ffe")
    group.addoption("--ffe-report", default=None, help="write one JSON line per contract check to this file")


def pytest_configure(config: pytest.Config) -> None:
    target = config.getoption("--ffe-report")
    if target:
        config.pluginmanager.register(CheckReport(Path(target)), "ffe-report")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a contract's check without network and under the contract's deadline; leaves every other test alone."""
    contract = _contract_of(pyfuncitem)
    if contract is None:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    given = {name: pyfuncitem.funcargs[name] for name in names}
    _run_guarded(lambda: pyfuncitem.obj(**given), contract.deadline)
    return True


def _contract_of(item: pytest.Function) -> Any:
    import sys

    base = sys.modules.get("ffe_core.testing.contracts.base")
    owner = item.cls
    return owner if base is not None and owner is not None and issubclass(owner, base.Checks) else None


def _run_guarded(check: Any, deadline: float) -> None:
    from ffe_core.testing.contracts.base import ContractBroken
    from ffe_core.testing.network import no_network

    raised: list[BaseException] = []

    def run() -> None:
        try:
            check()
        except BaseException as error:  # noqa: BLE001 - carried over to pytest's own thread
            raised.append(error)

    with no_network() as attempts:
        # A daemon: a check that never comes back holds up neither the others nor the end of the process.
        worker = threading.Thread(target=run, daemon=True, name="ffe-contract")
        worker.start()
        worker.join(deadline)
        if worker.is_alive():
            raise ContractBroken(f"did not come back within {deadline:g} s")
    if attempts:
        raise ContractBroken(f"reached for the network: {', '.join(sorted(set(attempts)))}") from None
    for error in raised:
        if isinstance(error, SystemExit):
            raise ContractBroken(f"tried to end the process: SystemExit({error.code!r})") from error
        raise error


class CheckReport:
    """Keeps a line per check, written at once, so that a run that dies has told what came before."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[None]:
        outcome: Any = yield
        report: pytest.TestReport = outcome.get_result()
        if report.when != "call" and report.outcome == "passed":
            return
        owner = getattr(item, "cls", None)
        line = {
            "subject": owner.__name__ if owner else item.name,
            "check": getattr(item, "originalname", None) or item.name,
            "outcome": report.outcome,
            "reason": _reason(report),
        }
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def _reason(report: pytest.TestReport) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr or "")
    first = text.strip().splitlines()[0] if text.strip() else ""
    return first.removeprefix("ffe_core.testing.contracts.base.ContractBroken: ").removeprefix("AssertionError: ")
