"""``ffe providers``: who can be asked and how often, and ``check``: whether each would answer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffe_core.net.state import FILE
from tests.cli.conftest import Run
from tests.plugins.conftest import Site, site  # noqa: F401 - the fixture

type Ffe = Callable[..., Run]

PROVIDERS = """
import time
from ffe_core import Action, NotConfigured, Opinion, ProviderFailed, Readiness, hookimpl

class Base:
    local = False
    def __init__(self, name):
        self.name = name
    @property
    def model(self):
        return "model of " + self.name
    def ask(self, briefing, *, timeout):
        if self.name == "down":
            raise ProviderFailed("connection refused", hint="start it")
        return Opinion(self.name, self.model, Action.HOLD, 50, "flat", tokens_in=10, tokens_out=10)

class Mute(Base):
    pass

class Frugal(Base):
    per_minute, per_day = 2, 100

class Ready(Base):
    def check(self, *, timeout):
        return Readiness(True, True, True, True, "version 1.2 \\x1b[31mred")

class Unready(Base):
    def check(self, *, timeout):
        return Readiness(installed=True, signed_in=False, detail="nobody is signed in", hint="acme login")

class Keyless(Base):
    def check(self, *, timeout):
        raise NotConfigured("plugins.acme.key is not set", hint="set it")

class Slow(Base):
    def check(self, *, timeout):
        time.sleep(20)

class Wrong(Base):
    def check(self, *, timeout):
        return True

@hookimpl
def ffe_ai_providers():
    return [Mute("mute"), Frugal("frugal"), Ready("ready"), Unready("unready"), Keyless("keyless"), Slow("slow"),
            Slow("slower"), Wrong("wrong"), Base("down")]
"""


@pytest.fixture
def acme(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:  # noqa: F811
    """Providers of every kind, of which those named are the panel."""
    site.install("acme", PROVIDERS)

    def panel(*names: str, **settings: object) -> None:
        monkeypatch.setenv("FFE_PLUGINS", "acme")
        monkeypatch.setenv("FFE_AI__PROVIDERS", json.dumps(names))
        for name, value in settings.items():
            monkeypatch.setenv(f"FFE_{name}", json.dumps(value))

    return panel


def by_name(run: Run) -> dict[str, dict[str, object]]:
    return {row["name"]: row for row in run.object["data"]}


@pytest.mark.parametrize("command", [["providers"], ["providers", "list"]])
def test_a_newcomers_panel_is_three_rules_and_nothing_is_made(ffe: Ffe, home: Path, command: list[str]) -> None:
    rows = ffe(*command, "--json").data
    first = {name: value for name, value in rows[0].items() if value is not None}
    assert first == {
        "name": "local",
        "plugin": "rules",
        "model": "rule:day-change",
        "local": True,
        "in_panel": True,
        "weight": pytest.approx(1 / 3),
    }
    assert [row["name"] for row in rows[:3]] == ["local", "trend_adx", "rsi_reversion"]
    assert not list(home.rglob(FILE))


def test_weights_are_shares_of_the_panel_and_the_others_have_none(ffe: Ffe, acme: Callable[..., None]) -> None:
    acme("frugal", "ready", ENSEMBLE__WEIGHTS={"frugal": 3.0, "ready": 1.0, "mute": 9.0})
    rows = by_name(ffe("providers", "--json"))
    assert (rows["frugal"]["weight"], rows["ready"]["weight"], rows["mute"]["weight"]) == (0.75, 0.25, None)
    assert (rows["frugal"]["in_panel"], rows["mute"]["in_panel"]) == (True, False)
    assert list(rows)[:2] == ["frugal", "ready"]


def test_what_is_left_of_a_ration_and_who_is_skipped_until_when(ffe: Ffe, acme: Callable[..., None]) -> None:
    prices = [
        {"model": "model of frugal", "from": "2026-01-01", "input_usd_per_million": 1, "output_usd_per_million": 1}
    ]
    acme("frugal", "down", AI__LIMITS={"frugal": {"per_day": 5}}, AI__PRICES=prices)
    for _ in range(3):
        ffe("analyze", "BTCUSD", "--at", "2025-03-28T23:00:00Z")
    rows = by_name(ffe("providers", "--json"))
    frugal, down = rows["frugal"], rows["down"]
    assert (frugal["per_minute"], frugal["left_this_minute"], frugal["per_day"], frugal["left_today"]) == (2, 0, 5, 3)
    assert (frugal["price_known"], down["price_known"], frugal["state"]) == (True, False, "closed")
    assert (down["state"], down["failures"], down["last_error"]) == ("open", 3, "connection refused")
    assert str(down["skipped_until"]).endswith("Z")
    out = ffe("providers").out
    for words in ("skipped until", "used up", "2/min (0 left), 5/day (3 left)", "the last: connection refused"):
        assert words in " ".join(out.split())
    told = ffe("analyze", "BTCUSD", "--at", "2025-03-28T23:00:00Z", "--json").object["data"]["opinions"]
    assert "2 questions a minute are used up until" in told[0]["error"]
    assert "after 3 failures in a row: connection refused" in told[1]["error"]
    assert told[1]["hint"] == "ffe providers check down"


def test_a_panel_that_is_ready_is_exit_0_and_rules_need_nothing(ffe: Ffe, acme: Callable[..., None]) -> None:
    acme("local", "ready", "mute")
    run = ffe("providers", "check", "--json")
    rows = {row["name"]: row for row in run.data}
    assert (rows["local"]["ready"], rows["local"]["detail"]) == (True, "computed here, needs nothing")
    seen = {name: rows["ready"][name] for name in ("ready", "installed", "signed_in", "reachable", "model_there")}
    assert set(seen.values()) == {True}
    assert "\x1b" not in rows["ready"]["detail"]
    assert (rows["mute"]["ready"], rows["mute"]["installed"]) == (None, None)
    assert "cannot say" in ffe("providers", "check").out


def test_whoever_is_not_ready_is_named_with_what_to_do(ffe: Ffe, acme: Callable[..., None]) -> None:
    acme("ready", "unready", "keyless", "wrong", "nosuch")
    run = ffe("providers", "check", "--json")
    rows = by_name(run)
    assert run.code == 1
    assert "not ready: unready, keyless, wrong, nosuch" in run.line
    assert (rows["unready"]["signed_in"], rows["unready"]["hint"]) == (False, "acme login")
    assert (rows["keyless"]["detail"], rows["keyless"]["hint"]) == ("plugins.acme.key is not set", "set it")
    assert "answered bool instead of Readiness" in str(rows["wrong"]["detail"])
    assert "no active plugin has it" in str(rows["nosuch"]["detail"])
    text = " ".join(ffe("providers", "check").out.split())
    assert "nobody is signed in (acme login)" in text


@pytest.mark.slow
def test_all_are_asked_at_once_under_one_deadline(ffe: Ffe, acme: Callable[..., None]) -> None:
    acme("slow", "slower", "ready")
    began = time.monotonic()
    run = ffe("providers", "check", "--timeout", "1", "--json")
    assert time.monotonic() - began < 5
    rows = by_name(run)
    assert [rows[name]["ready"] for name in ("slow", "slower", "ready")] == [False, False, True]
    assert "did not answer within 1.2 s" in str(rows["slow"]["detail"])


def test_named_ones_alone_are_looked_at(ffe: Ffe, acme: Callable[..., None]) -> None:
    acme("unready")
    assert [row["name"] for row in ffe("providers", "check", "ready", "ready", "--json").data] == ["ready"]
    run = ffe("providers", "check", "reddy")
    assert run.code == 2
    assert "did you mean ready?" in run.line


def test_a_member_of_the_panel_whose_plugin_is_broken_is_listed_with_the_reason(
    ffe: Ffe,
    site: Site,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site.install("acme", "raise RuntimeError('no such library')")
    monkeypatch.setenv("FFE_PLUGINS", "acme")
    monkeypatch.setenv("FFE_AI__PROVIDERS", "local,acme,oracle")
    run = ffe("providers", "--json")
    rows = by_name(run)
    assert run.code == 0
    assert "broken: import: RuntimeError: no such library" in str(rows["acme"]["problem"])
    assert "perhaps of acme, which did not load" in str(rows["oracle"]["problem"])
    checked = ffe("providers", "check", "--json")
    assert checked.code == 1
    assert [row["ready"] for row in checked.object["data"]] == [True, False, False]
    assert "not there" in ffe("providers").out


def test_status_and_doctor_point_here(ffe: Ffe) -> None:
    assert "ffe providers" in ffe("status").out
    (found,) = [each for each in ffe("doctor", "--json").data if each["name"] == "providers"]
    assert "ffe providers check" in found["hint"]
