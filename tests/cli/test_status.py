"""``ffe status``: everything at a glance, and one part that fails hides no other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core import AssetKind, NoData
from ffe_core.store import Database, Store
from tests.store.records import record

type Ffe = Callable[..., Any]


def test_a_new_home_is_told_whole_and_nothing_is_made(ffe: Ffe, home: Path) -> None:
    data = ffe("status", "--json").data

    assert data["mode"] == "paper"
    assert data["platform"] == {"name": "paper", "plugin": "paper", "available": True}
    assert [each["name"] for each in data["providers"]] == ["local", "trend_adx", "rsi_reversion"]
    assert all(each["local"] and each["model"] for each in data["providers"])
    assert data["sources"] == [{"name": "demo", "plugin": "demo", "available": True}]
    assert data["store"]["location"] == str(home / "data" / "ffe.db")
    assert (data["store"]["schema"], data["store"]["decisions"]) == (None, 0)
    assert data["leverage"] == {"paper": {"BTCUSD": 1.0, "EURUSD": 20.0}}
    assert data["breakers"] == [{"name": "demo", "state": "closed", "failures": 0, "last_error": None}]
    assert {each["name"]: each["state"] for each in data["plugins"]}["demo"] == "active"
    assert data["problems"] == []
    assert not (home / "data").exists()


def test_decisions_are_counted(ffe: Ffe, home: Path) -> None:
    with Store(Database.open(None, home / "data")) as store:
        store.append_many([record(number) for number in range(3)])

    assert ffe("status", "--json").data["store"]["decisions"] == 3
    assert "3 decisions" in ffe("status").out


def test_people_get_a_table(ffe: Ffe) -> None:
    ran = ffe("status")

    assert (ran.code, ran.err) == (0, "")
    for word in ("paper", "trend_adx", "demo closed", "made on first use", "BTCUSD 1x"):
        assert word in ran.out


def test_a_store_that_cannot_be_reached_hides_nothing_else_and_no_password_is_shown(
    ffe: Ffe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFE_STORE__URL", "postgresql://trader:hunter2hunter2@127.0.0.1:1/ffe")

    ran = ffe("status", "--json")

    assert ran.data["store"] is None
    assert ran.data["platform"]["available"]
    (problem,) = ran.data["problems"]
    assert problem.startswith("store: the store at postgresql")
    assert "hunter2" not in ran.out + ffe("status").out


def test_names_that_nothing_answers_to_are_said_with_the_nearest(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DATA__SOURCES", "fils,files")
    monkeypatch.setenv("FFE_AI__PROVIDERS", "local,trendadx")

    data = ffe("status", "--json").data

    assert [each["available"] for each in data["sources"]] == [False, True]
    assert [each["name"] for each in data["breakers"]] == ["files"]
    assert data["problems"] == [
        "unknown provider 'trendadx'; did you mean trend_adx?",
        "unknown source 'fils'; did you mean files?",
    ]


def test_a_damaged_store_is_a_problem_and_not_a_failure(ffe: Ffe, home: Path) -> None:
    (home / "data").mkdir()
    (home / "data" / "ffe.db").write_bytes(b"no database at all, but long enough to be read as one" * 20)

    data = ffe("status", "--json").data

    assert data["store"] is None
    assert "is not a SQLite file" in data["problems"][0]
    assert len(data["plugins"]) >= 7


def test_a_platform_that_says_nothing_of_leverage_is_null_and_a_broken_one_is_said(
    ffe: Ffe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffe_core.builtin.paper import PaperPlatform

    real = PaperPlatform.instrument

    def instrument(self: PaperPlatform, asset: Any) -> Any:
        if asset.kind is AssetKind.FOREX:
            raise NoData("no forex here")
        raise RuntimeError("the wire is cut")

    monkeypatch.setattr(PaperPlatform, "instrument", instrument)
    data = ffe("status", "--json").data
    monkeypatch.setattr(PaperPlatform, "instrument", real)

    assert data["leverage"] == {"paper": {"BTCUSD": None, "EURUSD": None}}
    assert len(data["problems"]) == 1
    assert "leverage on paper" in data["problems"][0]


def test_settings_that_do_not_hold_together_are_two(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_RISK__MAX_LEVRAGE", "3")

    ran = ffe("status")

    assert (ran.code, ran.out) == (2, "")
    assert "FFE_RISK__MAX_LEVERAGE" in ran.line
