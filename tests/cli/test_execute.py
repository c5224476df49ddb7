"""From a decision to a position and out again, as a trader types it."""

import io
import json
from decimal import Decimal
from pathlib import Path

import pytest


@pytest.fixture
def decided(ffe):
    """The id of a BUY on the invented market, made this minute."""
    made = ffe("analyze", "DIPUSD", "--json", "--quiet").data
    assert made["action"] == "BUY"
    return made["id"]


def test_analyze_execute_positions_close_and_the_money_adds_up(ffe, decided):
    planned = ffe("execute", decided[:8], "--dry-run", "--json").data
    assert ffe("orders", "--json").data["orders"] == []
    done = ffe("execute", decided[:8], "--json").data
    assert done["order"]["state"] == "FILLED"
    assert done["order"]["quantity"] == planned["quantity"]
    assert done["protection"]["state"] == "ACCEPTED"
    assert done["remarks"] == []

    (held,) = [account for account in ffe("positions", "--json").data["accounts"] if account["synthetic"]]
    (position,) = held["positions"]
    assert position["quantity"] == done["fills"][0]["quantity"]
    assert position["stop_price"] == done["protection"]["stop_price"]

    closed = ffe("close", "DIPUSD", "--json").data
    assert closed["errors"] == []
    (left,) = [account for account in ffe("balance", "--json").data["accounts"] if account["synthetic"]]
    fills = [done["fills"][0], closed["closed"][0]["fills"][0]]
    cash = Decimal(10_000)
    for fill in fills:
        sign = 1 if fill["side"] == "BUY" else -1
        cash -= sign * Decimal(fill["quantity"]) * Decimal(fill["price"]) + Decimal(fill["fee"])
    assert Decimal(left["cash"]) == cash
    states = [order["state"] for order in ffe("orders", "--json").data["orders"]]
    assert states == ["FILLED", "CANCELLED", "FILLED"]


def test_a_decision_is_executed_once(ffe, decided):
    assert ffe("execute", decided).code == 0
    again = ffe("execute", decided)
    assert again.code == 3
    assert "was already executed" in again.err
    assert json.loads(ffe("show", decided, "--json").out)["data"]["executed"] is True


def test_what_is_not_known_or_cannot_be_done_says_so(ffe, decided):
    assert ffe("execute", "00000000").code == 2
    assert ffe("execute").code == 2
    assert ffe("close", "BTCUSD").code == 2
    assert ffe("close").code == 2
    assert ffe("orders", "cancel", "ffff").code == 2
    live = ffe("execute", decided, "--live")
    assert live.code == 3
    assert "--live in paper mode" in live.err


def test_a_hold_is_refused(ffe):
    held = ffe("analyze", "BTCUSD", "--source", "demo", "--provider", "trend_adx", "--json").data
    if held["action"] != "HOLD":
        held = ffe("analyze", "DIPUSD", "--at", "2024-01-01T00:00:00Z", "--json").data
    refused = ffe("execute", held["id"])
    assert refused.code == 3


def test_an_approval_that_says_no_sends_nothing(ffe, decided):
    assert ffe("approve", decided, "no", "--json").data["order"] is None
    assert ffe("orders", "--json").data["orders"] == []
    events = json.loads(ffe("show", decided, "--json").out)["data"]["events"]
    assert [(event["kind"], event["detail"]["answer"]) for event in events] == [("approved", "no")]


def test_a_modified_approval_is_executed_as_it_was_modified(ffe, decided):
    done = ffe("approve", decided, "modify", "--quantity", "0.5", "--stop-loss", "0.03", "--json").data
    assert done["order"]["quantity"] == "0.5"
    fill = Decimal(done["fills"][0]["price"])
    assert abs(Decimal(done["protection"]["stop_price"]) / fill - Decimal("0.97")) < Decimal("0.0001")


@pytest.mark.parametrize(
    "arguments",
    [("modify",), ("yes", "--quantity", "1"), ("modify", "--stop-loss", "2"), ("modify", "--quantity", "0")],
)
def test_an_approval_that_makes_no_sense_is_a_usage_error(ffe, decided, arguments):
    assert ffe("approve", decided, *arguments).code == 2


def test_positions_can_be_kept(ffe, decided, home):
    ffe("execute", decided)
    made = ffe("positions", "--save", "--json").data
    kept = json.loads(Path(made["file"]).read_text(encoding="utf-8"))
    assert kept["accounts"] == made["accounts"]


def test_a_modified_approval_beyond_a_limit_is_vetoed(ffe, decided):
    refused = ffe("approve", decided, "modify", "--quantity", "1000")
    assert refused.code == 3
    assert ffe("orders", "--json").data["orders"] == []


@pytest.mark.slow
def test_the_dashboard_adds_up_to_what_the_others_say(ffe, decided):
    ffe("execute", decided)
    ffe("halt", "BTCUSD", "--reason", "news")
    seen = ffe("dashboard", "--json").data
    assert seen["accounts"] == ffe("positions", "--json").data["accounts"]
    assert [order["leg"] for order in seen["orders"]] == ["protect"]
    assert seen["decisions"][0]["id"] == decided
    assert seen["decisions"][0]["executed"] is True
    assert seen["stopped"][0]["asset_pair"] == "BTCUSD"
    shown = ffe("dashboard").out
    assert "DIPUSD" in shown
    assert "HALTED for BTCUSD" in shown
    assert ffe("dashboard", "--watch", "1", "--json").code == 2


def test_without_an_id_it_asks_which_decision_is_meant(ffe, decided, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    other = ffe("analyze", "DIPUSD", "--json").data["id"]
    monkeypatch.setattr("sys.stdin", Terminal("2\n"))
    done = ffe("execute")
    assert done.code == 0, done.err
    assert done.out.index(other[:8]) < done.out.index(decided[:8])
    executed = {row["id"]: row["executed"] for row in ffe("history", "--json").data}
    assert executed == {other: False, decided: True}


def test_where_nobody_can_be_asked_an_id_is_wanted(ffe, decided):
    assert ffe("execute").line == "error: which decision? say its ID (`ffe history` lists them)"
