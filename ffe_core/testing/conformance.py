"""``ffe plugins check``: one plugin against the contracts, in a process without credentials and without network."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import SkipTest

from ffe_core.builtin import BUILTINS
from ffe_core.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from ffe_core.plugins.installed import Installed
    from ffe_core.testing.contracts.base import Checks

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
#: seconds that all checks of one plugin may take together
DEADLINE = 300.0
#: what the checked plugin may know of the machine; credentials are not among it
KEPT = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR")
NEEDS_PYTEST = "contract.py was not run: it needs pytest; pip install 'ffe-core[testing]'"
_THIS = "ffe_core.testing.conformance"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One line of the table: ``subject`` is ``plugin`` or the contract's class, ``check`` a sentence."""

    subject: str
    check: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Conformance:
    """What became of all checks of one plugin; ``remark`` says what could not be tried and why."""

    plugin: str
    distribution: str
    version: str
    results: tuple[CheckResult, ...]
    remark: str = ""
    #: whether something that should have been tried was not
    incomplete: bool = False

    @property
    def ok(self) -> bool:
        return not self.incomplete and not self.count(FAILED)

    def count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    @property
    def score(self) -> str:
        tried = self.count(PASSED) + self.count(FAILED)
        aside = f", {self.count(SKIPPED)} not applicable" if self.count(SKIPPED) else ""
        return f"{self.count(PASSED)} of {tried} checks passed{aside}"


def check_plugin(name: str, *, deadline: float = DEADLINE) -> Conformance:
    """Runs every check of the installed plugin ``name``. Raises ``UnknownName`` where it is not installed."""
    plugin = _find(name)
    with tempfile.TemporaryDirectory(prefix="ffe-check-") as folder:
        report = Path(folder) / "report.jsonl"
        end = _run(name, report, Path(folder), deadline)
        lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()] if report.exists() else []
    results = [_result(line) for line in lines if "check" in line]
    closing = next((line for line in lines if "remark" in line), None)
    if closing is None:
        results.append(CheckResult("plugin", "every check comes to an end", FAILED, end))
    remark = closing["remark"] if closing else ""
    return Conformance(
        name, plugin.distribution, plugin.version, tuple(results), remark, incomplete=remark == NEEDS_PYTEST
    )


def _find(name: str) -> Installed:
    from ffe_core.plugins.installed import installed

    found = {plugin.name: plugin for plugin in installed()}
    if name in BUILTINS:
        raise UsageError(f"{name} is built in", hint="ffe's own tests hold the built-in plugins to the same contracts")
    if name not in found:
        raise UnknownName("plugin", name, found)
    return found[name]


def _run(name: str, report: Path, folder: Path, deadline: float) -> str:
    """Runs the checks in a child; what it says about how the child ended is for when it did not finish."""
    home = folder / "home"
    home.mkdir()
    try:
        ran = subprocess.run(  # noqa: S603 - this Python, this module
            [sys.executable, "-m", _THIS, name, str(report)],
            cwd=home,
            env=child_environment(os.environ, home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=deadline,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not done after {deadline:g} s"
    last = ran.stderr.strip().splitlines()[-1:]
    return f"the process ended with code {ran.returncode}" + "".join(f": {line:.200}" for line in last)


def child_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """What the child may see: no credentials, no settings, no home of the user."""
    kept = {name: environment[name] for name in KEPT if name in environment}
    # Plugins of pytest that happen to be installed here must not change what a check means.
    return {**kept, "HOME": str(home), "FFE_HOME": str(home / "ffe"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def _result(line: Mapping[str, str]) -> CheckResult:
    sentence = line["check"].removeprefix("test_").replace("_", " ")
    return CheckResult(line["subject"].removeprefix("Test"), sentence, line["outcome"], line["reason"])


# in the child


def main(name: str, report: Path) -> None:
    """Writes a line per check to ``report``, and a last one with a remark."""
    from ffe_core.testing.network import no_network

    with no_network():
        for line in static_results(name):
            _append(report, line)
        _append(report, {"remark": _try_behaviour(_find(name), report)})


def static_results(name: str) -> Iterator[dict[str, str]]:
    """The checks that need no factory, and no pytest."""
    from ffe_core.testing.contracts.plugins import PluginContract

    contract = type("plugin", (PluginContract,), {"plugin": name})
    for check in sorted(vars(PluginContract), key=list(vars(PluginContract)).index):
        if check.startswith("test_"):
            outcome, reason = _try(getattr(contract(), check))
            yield {"subject": "plugin", "check": check, "outcome": outcome, "reason": reason}


def _try(check: Any) -> tuple[str, str]:
    try:
        check()
    except KeyboardInterrupt:
        raise
    except SkipTest as skipped:
        return SKIPPED, str(skipped)
    except BaseException as error:  # noqa: BLE001 - SystemExit and pytest's own outcomes too
        if type(error).__name__ == "Skipped":
            return SKIPPED, str(error)
        from ffe_core.testing.contracts.base import ContractBroken

        told = str(error) if isinstance(error, ContractBroken) else f"{type(error).__name__}: {error}"
        return FAILED, told.partition("\n")[0]
    return PASSED, ""


def _try_behaviour(plugin: Installed, report: Path) -> str:
    """Runs the plugin's own ``contract.py`` under pytest; returns what to remark."""
    package = plugin.entry_point.module
    where = f"{package.replace('.', '/')}/contract.py"
    if not _has_contract(package):
        return f"only the static checks ran: there is no {where}"
    if importlib.util.find_spec("pytest") is None:
        return NEEDS_PYTEST
    outcome, reason = _try(lambda: importlib.import_module(f"{package}.contract"))
    if outcome == FAILED:
        _append(
            report, {"subject": "plugin", "check": "contract.py can be imported", "outcome": FAILED, "reason": reason}
        )
        return ""
    found = contracts_of(f"{package}.contract")
    for line in _uncovered(plugin.entry_point.load(), found):
        _append(report, line)
    _run_pytest(package, report)
    return ""


def _has_contract(package: str) -> bool:
    try:
        return importlib.util.find_spec(f"{package}.contract") is not None
    except (ImportError, SystemExit, Exception):  # noqa: BLE001 - a broken package is told by another check
        return False


def contracts_of(module: str) -> dict[str, type[Checks]]:
    """The contracts and other checks that ``module`` declares, under names that pytest collects."""
    from ffe_core.testing.contracts.base import Checks

    return {
        f"Test{name}": value
        for name, value in vars(importlib.import_module(module)).items()
        if isinstance(value, type) and issubclass(value, Checks) and value.__module__ == module
    }


def _uncovered(offered_by: object, contracts: Mapping[str, type[Checks]]) -> Iterator[dict[str, str]]:
    """A line per kind of object that the plugin offers and no contract tries."""
    from ffe_core.hookspecs import COMPOSITION_HOOKS

    for hook, port in COMPOSITION_HOOKS.items():
        tried = any(port in getattr(contract, "port", object).__mro__ for contract in contracts.values())
        if hasattr(offered_by, hook) and not tried:
            yield {
                "subject": "plugin",
                "check": f"{hook} is tried by a contract",
                "outcome": FAILED,
                "reason": f"contract.py declares no contract for a {port.__name__}",
            }


def _run_pytest(package: str, report: Path) -> None:
    import pytest

    folder = report.parent / "pytest"
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    test = folder / "test_contract.py"
    test.write_text(
        f"from {_THIS} import contracts_of\n\nglobals().update(contracts_of({package + '.contract'!r}))\n",
        encoding="utf-8",
    )
    pytest.main(
        [
            *("-p", "ffe_core.testing.pytest_plugin", "-p", "no:cacheprovider", "-q"),
            *("-c", str(folder / "pytest.ini"), "--rootdir", str(folder)),
            *("--ffe-report", str(report), str(test)),
        ]
    )


def _append(report: Path, line: Mapping[str, str]) -> None:
    with report.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
