"""``ffe analyze --cassette`` and ``--budget-usd``, as they are typed."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from io import StringIO

import pytest
from rich.console import Console

from ffe_core.cli.render import print_decision
from ffe_core.domain.codec import canonical_json
from ffe_core.engine import Engine
from ffe_core.plugins.proxies import GuardedProvider, GuardedSource

AT = "2023-06-01T00:00:00Z"
GIVEN = ("id", "seq", "created_at", "hash", "previous_hash")


@pytest.fixture
def unplug(monkeypatch, tmp_path):
    """From its call on: no socket, no file of candles, and nobody who could be asked."""

    def ask(*_, **__):
        raise AssertionError("a replay asked somebody")

    def close():
        (tmp_path / "nothing").mkdir()
        monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(tmp_path / "nothing"))
        monkeypatch.setattr(socket, "socket", ask)
        for kind, method in ((GuardedProvider, "ask"), (GuardedSource, "candles"), (GuardedSource, "serves")):
            monkeypatch.setattr(kind, method, ask)

    return close


def whole_record(ffe, decision_id):
    record = ffe("show", decision_id, "--json").data
    for part in (record, record.get("decision", {})):
        for name in GIVEN:
            part.pop(name, None)
    return canonical_json(record)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asset", "day"), [("BTCUSD", "2023-03-10"), ("EURUSD", "2022-03-16")], ids=["crypto", "forex"]
)
def test_a_day_of_hours_recorded_once_replays_byte_for_byte_with_the_network_unplugged(
    ffe, unplug, market_data, monkeypatch, tmp_path, asset, day
):
    monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(market_data))
    world = ["--source", "files", "--cassette-dir", str(tmp_path / "world"), "--json"]

    def a_day(tape):
        made = []
        for hour in range(24):
            run = ffe("analyze", asset, "--at", f"{day}T{hour:02}:00:00Z", "--cassette", tape, *world)
            made.append(whole_record(ffe, run.data["id"]))
        return made

    recorded = a_day("record")
    unplug()
    assert a_day("replay") == recorded
    assert len(set(recorded)) == 24


def test_what_demo_said_replays_without_demo(ffe, unplug):
    first = ffe("analyze", "BTCUSD", "ETHUSD", "--at", AT, "--cassette", "record", "--json").data["decisions"]
    unplug()
    again = ffe("analyze", "BTCUSD", "ETHUSD", "--at", AT, "--cassette", "replay", "--json").data["decisions"]
    assert [whole_record(ffe, made["id"]) for made in again] == [whole_record(ffe, made["id"]) for made in first]


@pytest.mark.parametrize("at", [["--at", AT], []])
def test_a_miss_is_exit_4_with_a_line_that_says_what_to_do(ffe, unplug, home, at):
    unplug()
    run = ffe("analyze", "BTCUSD", *at, "--cassette", "replay")
    assert run.code == 4
    assert "was never recorded" in run.line
    assert "--at" in run.line
    assert not list(home.rglob("ffe.db"))


def test_a_damaged_cassette_is_exit_6(ffe, home):
    assert ffe("analyze", "BTCUSD", "--at", AT, "--cassette", "record").code == 0
    for file in home.rglob("*.jsonl"):
        file.write_bytes(file.read_bytes()[:-9])
    for tape in ("replay", "auto", "record"):
        run = ffe("analyze", "BTCUSD", "--at", AT, "--cassette", tape, "--json")
        assert (run.code, run.error["type"]) == (6, "VerificationFailed")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cassette", "tape"],
        ["--cassette-dir", "world"],
        ["--budget-usd", "nan"],
        ["--budget-usd", "-1"],
        ["--budget-usd", "much"],
    ],
)
def test_bad_options_are_exit_2(ffe, arguments):
    assert ffe("analyze", "BTCUSD", *arguments).code == 2


def test_free_rules_are_asked_on_no_budget_and_show_no_costs(ffe):
    run = ffe("analyze", "BTCUSD", "--at", AT, "--budget-usd", "0")
    assert (run.code, run.err) == (0, "")
    assert "cost" not in run.out


def test_costs_are_shown_where_there_are_any(home):
    with Engine.from_settings() as engine:
        decision = engine.analyze("BTCUSD", at=datetime.fromisoformat(AT))
    costs = (Decimal("0.0036"), None, Decimal(0))
    opinions = tuple(replace(made, cost_usd=cost) for made, cost in zip(decision.opinions, costs, strict=True))
    console = Console(record=True, width=140, file=StringIO())
    print_decision(console, replace(decision, opinions=opinions))
    rows = [line.split("│") for line in console.export_text().splitlines() if "│" in line]
    assert [row[6].strip() for row in rows[:3]] == ["$0.0036", "unknown", "$0"]
