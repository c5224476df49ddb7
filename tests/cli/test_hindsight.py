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


@pytest.mark.slow
def test_the_scores_of_contaminated_decisions_stand_apart(ffe, temple, monkeypatch):
    asked = ("analyze", "BTCUSD", "--provider", "oracle", "--at")
    for day in range(1, 4):
        assert ffe(*asked, f"2025-03-0{day}T00:00:00Z").code == 0
    found = ffe("history", "--scored", "--json").data
    assert {row["hindsight"] for row in found["decisions"]} == {"contaminated"}
    assert (found["summary"]["basis"], found["summary"]["scored"]) == ("contaminated", 3)
    assert "CONTAMINATED: none of these are clean" in ffe("history", "--scored").out

    monkeypatch.setenv("FFE_AI__CUTOFFS", '{"delphi": "2024-12-31"}')
    for day in range(4, 6):
        assert ffe(*asked, f"2025-03-0{day}T00:00:00Z").code == 0
    summary = ffe("history", "--scored", "--json").data["summary"]
    assert (summary["basis"], summary["scored"]) == ("clean", 2)
    assert (summary["clean"]["scored"], summary["contaminated"]["scored"]) == (2, 3)
    assert summary["alpha_decay"] is None
    told = ffe("history", "--scored").out
    assert "there are 2" in told
    assert "3 contaminated ones are not counted above" in told
    assert "CONTAMINATED" not in told
