"""``check_plugin`` finds what is wrong with a plugin, whatever the plugin does to it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from ffe_core.errors import UnknownName
from ffe_core.testing import conformance
from ffe_core.testing.conformance import Conformance, check_plugin
from ffe_core.testing.scaffold import write_project
from tests.testing.sites import install

type Check = Callable[[dict[str, str]], Conformance]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Checks the default scaffold with some of its files replaced (an empty text takes one away)."""

    def run(files: dict[str, str]) -> Conformance:
        site, project = tmp_path / "site", write_project("acme", "provider", tmp_path)
        for name, text in files.items():
            if text:
                (project / name).write_text(dedent(text), encoding="utf-8")
            else:
                (project / name).unlink()
        install(project, site)
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.setenv("PYTHONPATH", str(site))
        return check_plugin("acme", deadline=60)

    return run


def outcomes(found: Conformance) -> dict[str, str]:
    return {result.check: f"{result.outcome} {result.reason}".strip() for result in found.results}


def test_a_plugin_that_is_not_installed_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName, match="unknown plugin 'no-such-plugin'"):
        check_plugin("no-such-plugin")


@pytest.mark.slow
def test_a_new_plugin_passes_and_sees_no_credentials(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINBASE_API_SECRET", "real")
    monkeypatch.setenv("FFE_PLUGINS__ACME__FRAMES", "broken")
    watching = """
    import os
    from ffe_core.testing import AIProviderContract, require
    from ffe_acme.provider import AcmeProvider

    class Kept(AIProviderContract):
        factory = staticmethod(lambda: AcmeProvider(frames=3))

        def test_the_environment_is_clean(self) -> None:
            mine = sorted(set(os.environ) - {"PATH", "PYTHONPATH", "HOME", "FFE_HOME", "LANG", "LC_ALL", "LC_CTYPE",
                "TMPDIR", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"})
            require(not mine, f"there is {mine}")
            require("real" not in os.environ.values(), "a credential is there")
    """
    found = check({"ffe_acme/contract.py": watching})
    assert [result for result in found.results if result.outcome == "failed"] == []
    assert found.ok
    assert found.count("passed") > 15
    assert found.score.startswith(f"{found.count('passed')} of {found.count('passed')} checks passed")


@pytest.mark.slow
def test_everything_wrong_with_a_bad_plugin_is_told(check: Check) -> None:
    found = check(
        {
            "ffe_acme/__init__.py": """
            import pandas
            from ffe_core import hookimpl
            from ffe_acme.settings import AcmeSettings
            from ffe_acme.provider import AcmeProvider

            @hookimpl
            def ffe_settings():
                return AcmeSettings

            @hookimpl
            def ffe_ai_providers(settings):
                return [AcmeProvider(settings.api_key)]

            def ffe_risk_rules():
                return []
            """,
            "ffe_acme/settings.py": """
            from pydantic import BaseModel, SecretStr

            class AcmeSettings(BaseModel):
                api_key: SecretStr
                token: str = ""
                deadline: int = 1
            """,
            "ffe_acme/provider.py": """
            import socket, sys, time
            from dataclasses import dataclass
            from typing import Any
            from ffe_core import Action, Opinion

            @dataclass
            class AcmeProvider:
                key: Any
                name: str = "acme"
                model: str = "bad"
                local: bool = False

                def ask(self, briefing, *, timeout):
                    return Opinion(self.name, self.model, Action.HOLD, 50, "as ever")
            """,
            "ffe_acme/contract.py": """
            import socket, sys, time
            from ffe_core.testing import AIProviderContract
            from ffe_acme.provider import AcmeProvider

            class Kept(AIProviderContract):
                factory = staticmethod(lambda: AcmeProvider("k"))
                failing = staticmethod(lambda: AcmeProvider("k"))
                deadline = 1.0

                def test_it_asks_far_away(self):
                    try:
                        socket.create_connection(("192.0.2.1", 80), timeout=1)
                    except OSError:
                        pass

                def test_it_looks_up_a_name(self):
                    socket.getaddrinfo("api.example.com", 443)

                def test_it_hangs(self):
                    time.sleep(20)

                def test_it_exits(self):
                    sys.exit(0)
            """,
        }
    )
    told = outcomes(found)
    assert not found.ok
    assert "pandas" in told["importing it is quick and light"]
    assert "api_key" in told["its settings are valid without a section"]
    assert "token is <class 'str'>" in told["its settings keep secrets in secret types"]
    assert "deadline" in told["its settings leave the hosts words alone"]
    assert told["the host loads it without a complaint"].startswith("failed broken")
    assert told["a failure is raised and never a vote"].endswith("said HOLD")
    assert told["it asks far away"] == "failed reached for the network: 192.0.2.1"
    assert told["it looks up a name"] == "failed reached for the network: api.example.com"
    assert told["it hangs"] == "failed did not come back within 1 s"
    assert told["it exits"] == "failed tried to end the process: SystemExit(0)"
    assert told["the opinion is valid and signed"] == "passed"


@pytest.mark.slow
def test_a_check_that_kills_the_process_is_told_with_what_came_before(check: Check) -> None:
    found = check(
        {
            "ffe_acme/contract.py": """
            import os
            from ffe_core.testing import AIProviderContract

            class Kept(AIProviderContract):
                factory = staticmethod(lambda: os._exit(9))
            """
        }
    )
    told = outcomes(found)
    assert told["every check comes to an end"].startswith("failed the process ended with code 9")
    assert told["its settings are valid without a section"] == "passed"
    assert not found.ok


@pytest.mark.slow
def test_without_a_contract_only_the_static_checks_run_and_the_remark_says_so(check: Check) -> None:
    found = check({"ffe_acme/contract.py": ""})
    assert found.ok
    assert found.remark == "only the static checks ran: there is no ffe_acme/contract.py"
    assert {result.subject for result in found.results} == {"plugin"}


@pytest.mark.slow
def test_a_contract_that_tries_nothing_of_what_is_offered_is_told(check: Check) -> None:
    told = outcomes(check({"ffe_acme/contract.py": "X = 1\n"}))
    assert told["ffe ai providers is tried by a contract"].endswith("no contract for a AIProvider")


def test_without_pytest_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = tmp_path / "site"
    install(write_project("acme", "provider", tmp_path), site)
    monkeypatch.syspath_prepend(str(site))
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pytest" else real(name))
    remark = conformance._try_behaviour(conformance._find("acme"), tmp_path / "report")
    assert remark == conformance.NEEDS_PYTEST
    assert "pip install 'ffe-core[testing]'" in remark
    assert not Conformance("acme", "ffe-acme", "1", (), remark, incomplete=True).ok


def test_the_child_is_told_nothing_but_where_things_are(tmp_path: Path) -> None:
    given = {"PATH": "/bin", "HOME": "/home/me", "GEMINI_API_KEY": "k", "FFE_MODE": "live", "AWS_SECRET": "s"}
    assert conformance.child_environment(given, tmp_path) == {
        "PATH": "/bin",
        "HOME": str(tmp_path),
        "FFE_HOME": str(tmp_path / "ffe"),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    assert os.environ.get("HOME") != str(tmp_path)
