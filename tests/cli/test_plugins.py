"""``ffe plugins`` and ``ffe plugins list``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ffe_core.builtin import BUILTINS
from tests.cli.conftest import Run
from tests.plugins.conftest import SOUND, Site, site  # noqa: F401 - the fixture

type Ffe = Callable[..., Run]


@pytest.mark.parametrize("command", [["plugins"], ["plugins", "list"]])
def test_builtin_plugins_are_listed_with_what_they_hook_into(ffe: Ffe, command: list[str]) -> None:
    rows = {row["name"]: row for row in ffe(*command, "--json").data}
    assert list(rows)[: len(BUILTINS)] == list(BUILTINS)
    assert rows["rules"] == {
        "name": "rules",
        "version": "0.1.0",
        "distribution": "ffe-core",
        "hooks": ["ffe_ai_providers"],
        "state": "active",
        "reason": "",
        "builtin": True,
    }


def test_every_state_is_shown_with_its_reason(ffe: Ffe, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    site.install("sound", SOUND, version="2.0")
    site.install("bad", "import a_module_that_is_not_there")
    site.install("dated", SOUND, requires=["ffe-core>=99"])
    site.install("idle", SOUND)
    monkeypatch.setenv("FFE_PLUGINS__DISABLED", "idle")
    told = {row["name"]: (row["state"], row["reason"]) for row in ffe("plugins", "--json").data}
    # Plugins of the checkout may be installed besides.
    assert {name: told[name] for name in ("sound", "bad", "dated", "idle")} == {
        "sound": ("active", ""),
        "bad": ("broken", "import: ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        "dated": ("incompatible", "requires ffe-core >=99, this is 0.1.0"),
        "idle": ("disabled", "in plugins.disabled"),
    }
    text = ffe("plugins").out
    for word in ("sound", "2.0", "ffe-sound", "broken", "incompatible", "No module named"):
        assert word in text


def test_the_variable_limits_what_is_loaded(ffe: Ffe, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    site.install("one", SOUND)
    site.install("two", SOUND)
    for value, active in (("two", ["two"]), ("", []), ("two,one", ["two", "one"])):
        monkeypatch.setenv("FFE_PLUGINS", value)
        rows = ffe("plugins", "--json").data
        assert [row["name"] for row in rows if row["state"] == "active" and not row["builtin"]] == active


def test_a_plugin_that_prints_and_colours_its_words_does_not_spoil_the_output(ffe: Ffe, site: Site) -> None:  # noqa: F811
    site.install("loud", "print('{}'); import os; os.write(1, b'noise'); raise RuntimeError('\\x1b[31mred\\n[bold]')")
    done = ffe("plugins", "--json")
    (row,) = [row for row in done.data if row["name"] == "loud"]
    assert row["reason"] == "import: RuntimeError: red [bold]"
    assert "noise" in done.err


def test_a_setting_about_a_plugin_that_is_not_there_is_a_warning(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_PLUGINS__DISABLED", "rulez")
    done = ffe("plugins", "--json")
    assert done.code == 0
    assert done.line == "warning: plugin rulez: settings: no such plugin; did you mean rules?"


def test_an_unknown_command_of_the_family_is_answered_with_the_nearest(ffe: Ffe) -> None:
    done = ffe("plugins", "lsit")
    assert done.code == 2
    assert "did you mean list?" in done.line


BAD_GUESTS = """
import os, sys, time
from ffe_core import hookimpl

class Oracle:
    name, model, local = "oracle", "m", True
    def ask(self, briefing, *, timeout):
        object.__setattr__(briefing, "market", None)
        briefing.pulse.frames.clear()
        print("noise")
        os.write(1, b"more noise")
        raise SystemExit("no\\nopinion")

@hookimpl
def ffe_ai_providers():
    return [Oracle()]
@hookimpl
def ffe_brief(request):
    yield None
@hookimpl
def ffe_indicators(candles):
    return {"inf": float("inf")}
@hookimpl
def ffe_decision_made(decision):
    decision.ensemble_metadata.clear()
    raise RuntimeError("too late")
"""


def test_a_decision_is_made_among_guests_who_misbehave(
    ffe: Ffe,
    site: Site,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.install("bad", BAD_GUESTS)
    site.install("worse", "raise AssertionError('not today')")
    site.install("sound", SOUND)
    monkeypatch.setenv("FFE_AI__PROVIDERS", "local,oracle,trend_adx,rsi_reversion")
    done = ffe("analyze", "BTCUSD", "--json")
    opinions = {opinion["provider"]: opinion for opinion in done.data["opinions"]}
    assert (
        opinions["oracle"]["error"] == "plugin bad: provider oracle: ask: tried to end the process with code no opinion"
    )
    assert [opinions[name]["error"] for name in ("local", "trend_adx", "rsi_reversion")] == [None] * 3
    assert all(done.data["pulse"]["timeframes"].values())
    for line in (
        "plugin bad: ffe_brief: answered None instead of Note",
        "plugin bad: ffe_indicators: answered inf in inf",
        "plugin bad: ffe_decision_made: RuntimeError: too late",
        "plugin worse: broken: import: AssertionError: not today",
    ):
        assert sum(line in told for told in done.err.splitlines()) == 1, done.err


def test_a_run_that_needs_a_broken_plugin_ends_with_one_line(
    ffe: Ffe,
    site: Site,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.install("acme", "import a_module_that_is_not_there")
    monkeypatch.setenv("FFE_DATA__SOURCES", "acme")
    done = ffe("analyze", "BTCUSD", "--json")
    assert done.code == 2
    assert done.error["type"] == "RequiredPluginFailed"
    assert "No module named 'a_module_that_is_not_there', and this run needs its source acme" in done.line
