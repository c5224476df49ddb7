"""``ffe show``: the whole record, for people and for programs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.store import Database, Store, StoredDecision
from tests.store.records import decision_id, record

type Ffe = Callable[..., Any]


@pytest.fixture
def stored(home: Path) -> StoredDecision:
    with Store(Database.open(None, home / "data")) as store:
        stored = store.append(record(0, reasoning="bold \x1b[31m[red]claim[/red]"))
        store.append(record(1))
        store.add_event(stored.id, "executed", {"quantity": "0.1"})
    return stored


def test_the_record_is_printed_whole(ffe: Ffe, stored: StoredDecision) -> None:
    data = ffe("show", stored.id, "--json").data

    given = record(0, reasoning="bold \x1b[31m[red]claim[/red]")
    del given["decision"]["hash"], given["decision"]["previous_hash"]
    assert {name: data[name] for name in given} == given
    assert (data["id"], data["seq"]) == (stored.id, 1)
    assert (data["hash"], data["previous_hash"]) == (stored.hash, stored.previous_hash)
    assert data["executed"] is True
    assert [(event["kind"], event["detail"]) for event in data["events"]] == [("executed", {"quantity": "0.1"})]


def test_the_beginning_of_an_id_is_enough(ffe: Ffe, stored: StoredDecision) -> None:
    assert ffe("show", stored.id[:8], "--json").data["id"] == stored.id


def test_people_see_the_decision_its_votes_its_rulings_and_its_place(ffe: Ffe, stored: StoredDecision) -> None:
    ran = ffe("show", stored.id)

    assert (ran.code, ran.err) == (0, "")
    for expected in ("BTCUSD", "trend_adx", "max_drawdown", stored.hash, "executed", "[red]claim[/red]"):
        assert expected in ran.out
    assert "\x1b[31m" not in ran.out


@pytest.mark.parametrize("name", ["ffffffff", "nonsense", "%", ""])
def test_an_id_that_nothing_has_is_one_line_and_two(ffe: Ffe, stored: StoredDecision, name: str) -> None:
    ran = ffe("show", name)

    assert (ran.code, ran.out) == (2, "")
    assert "ffe history" in ran.line


def test_an_ambiguous_beginning_lists_the_candidates(ffe: Ffe, home: Path) -> None:
    ids = ["aaaaaaaa-1111-4111-8111-111111111111", "aaaaaaab-1111-4111-8111-111111111111"]
    with Store(Database.open(None, home / "data")) as store:
        store.append_many([record(number, id=one) for number, one in enumerate(ids)])

    ran = ffe("show", "aaaa", "--json")

    assert ran.code == 2
    assert all(one in ran.error["hint"] for one in ids)


def test_show_needs_an_id(ffe: Ffe) -> None:
    assert ffe("show").code == 2


def test_a_record_of_a_later_schema_is_still_printed_as_json(ffe: Ffe, home: Path) -> None:
    given = record(3)
    given["decision"]["mood"] = "good"
    with Store(Database.open(None, home / "data")) as store:
        store.append(given)

    assert ffe("show", decision_id(3), "--json").data["decision"]["mood"] == "good"
    assert ffe("show", decision_id(3)).code == 1
