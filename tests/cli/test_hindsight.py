"""What the user sees of hindsight: one line where it matters, and none where it does not."""

import pytest

AT = "2023-06-01T00:00:00Z"

MODEL = """
from ffe_core import Action, Opinion, hookimpl

class Oracle:
    name, model, local = "oracle", "delphi", False
    def ask(self, briefing, *, timeout):
        return Opinion(self.name, self.model, Action.BUY, 60, "seen it", prompt="so?")

@hookimpl
def ffe_ai_providers():
    return [Oracle()]
"""


@pytest.fixture
def temple(install, monkeypatch):
    install("temple", MODEL)
    monkeypatch.setenv("FFE_PLUGINS", "temple")


def test_rules_alone_say_nothing_about_hindsight(ffe):
    run = ffe("analyze", "BTCUSD", "--at", AT)
    assert "CONTAMINATED" not in run.out
    data = ffe("analyze", "BTCUSD", "--at", AT, "--json").data
    assert data["ensemble_metadata"]["hindsight"]["decision"] == "clean"
    assert "hindsight" in ffe("show", data["id"]).out


def test_a_model_that_may_know_the_future_is_one_line_until_its_cutoff_is_set(ffe, temple, monkeypatch):
    asked = ("analyze", "BTCUSD", "--provider", "oracle", "--at", AT)
    run = ffe(*asked)
    assert [line for line in run.out.splitlines() if "CONTAMINATED" in line] == [
        "CONTAMINATED: oracle may have been trained on what came after 2023-06-01 (`ffe config explain ai.cutoffs`)"
    ]
    stored = ffe("history", "--json").data[0]["id"]
    shown = ffe("show", stored).out
    assert "CONTAMINATED: oracle" in shown
    assert "contaminated (oracle contaminated)" in shown
    assert ffe("replay", stored, "--json").data["same"]
    monkeypatch.setenv("FFE_AI__CUTOFFS", '{"delphi": "2022-12-31"}')
    assert "CONTAMINATED" not in ffe(*asked).out
    assert "CONTAMINATED" not in ffe("analyze", "BTCUSD", "--provider", "oracle").out


def test_a_cutoff_that_is_no_day_is_one_line_and_exit_2(ffe, monkeypatch):
    monkeypatch.setenv("FFE_AI__CUTOFFS", '{"delphi": "soon"}')
    run = ffe("analyze", "BTCUSD", "--at", AT)
    assert run.code == 2
    assert "ai.cutoffs" in run.line
