"""What came of a decision is written once, agrees with the decision, and is found newest first."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from ffe_core.domain.assets import Asset, AssetKind
from ffe_core.domain.decisions import Outcome, OutcomeKind
from ffe_core.domain.trading import Action
from ffe_core.errors import StoreError, UsageError
from ffe_core.store import Database, Store
from ffe_core.store.status import status
from tests.store.records import START, many, outcome, record
from tests.store.test_store_concurrency import ROOT, finish, url_of


def test_an_outcome_comes_back_as_it_was_recorded(store: Store) -> None:
    whole = outcome(0)
    bare = Outcome("order-7.x", Asset.parse("ACME", kind=AssetKind.STOCK), START, Action.HOLD, None, None, as_of=START)
    exact = outcome(3, kind=OutcomeKind.TRADE, synthetic=True, gross_return=0.1 + 0.2, pnl=Decimal("-1e-18"))

    for one in (whole, bare, exact):
        assert store.record_outcome(one)

    assert sorted(store.outcomes(), key=lambda one: one.resolved_at) == [bare, whole, exact]


def test_the_same_outcome_again_is_nothing(store: Store) -> None:
    store.append(record(0))
    store.record_outcome(outcome(0))

    assert not store.record_outcome(outcome(0, pnl=Decimal("12.3400000000000000010")))
    assert store.record_outcomes([outcome(0), outcome(1), outcome(1)]) == [outcome(1)]
    assert len(store.outcomes()) == 2


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"net_return": 0.5}, "net_return"),
        ({"pnl": None}, "pnl"),
        ({"resolved_at": START + timedelta(days=2)}, "resolved_at"),
        ({"provider_confidences": {"local": 81, "gemini": 61}}, "opinions"),
        ({"calibratable": ()}, "opinions"),
    ],
)
def test_another_content_for_the_same_decision_and_kind_is_refused_whole(store: Store, changes, named) -> None:
    store.record_outcome(outcome(0))

    with pytest.raises(StoreError, match=named):
        store.record_outcomes([outcome(1), outcome(0, **changes)])

    assert store.outcomes() == [outcome(0)]
    assert store.record_outcome(outcome(0, **changes, kind=OutcomeKind.TRADE))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"asset": Asset.parse("ETHUSD")}, "asset_pair ETHUSD"),
        ({"action": Action.SELL}, "action SELL"),
        ({"synthetic": True}, "synthetic"),
        ({"as_of": START - timedelta(hours=1)}, "as_of"),
    ],
)
def test_an_outcome_that_contradicts_its_decision_is_refused(store: Store, changes, named) -> None:
    store.append(record(0))

    with pytest.raises(StoreError, match=named):
        store.record_outcome(outcome(0, **changes))

    assert store.outcomes() == []


def test_what_contradicts_can_be_told_and_left_out_instead(store: Store) -> None:
    store.append(record(0))
    store.record_outcome(outcome(1))
    told: dict[int, str] = {}

    added = store.record_outcomes(
        [outcome(2), outcome(0, action=Action.SELL), outcome(1, cost=0.5), outcome(0), outcome(2, cost=0.5)],
        on_conflict=told.update,
    )

    assert added == [outcome(2), outcome(0)]
    assert list(told) == [1, 2, 4]
    assert "the decision says BUY" in told[1]
    assert "another cost: 0.0022, now 0.5" in told[2]


def test_who_is_told_of_contradictions_may_stop_it_all(store: Store) -> None:
    store.record_outcome(outcome(1))

    def stop(_told: Mapping[int, str]) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.record_outcomes([outcome(2), outcome(1, cost=0.5)], on_conflict=stop)
    assert store.outcomes() == [outcome(1)]


def test_decisions_without_an_outcome_are_gone_through_page_by_page(store: Store) -> None:
    store.append_many(many(230))
    store.record_outcomes([outcome(0), outcome(150), outcome(153, kind=OutcomeKind.TRADE)])

    found = [one.seq for one in store.unresolved("horizon")]

    assert found == [seq for seq in range(1, 231) if seq not in (1, 151)]


@pytest.mark.parametrize(
    "changes",
    [
        {"as_of": None},
        {"decision_id": " "},
        {"decision_id": "x" * 129},
        {"net_return": float("nan")},
        {"price_return": float("inf")},
        {"pnl": Decimal("NaN")},
    ],
)
def test_an_outcome_that_says_too_little_or_no_number_is_not_kept(store: Store, changes) -> None:
    with pytest.raises(ValueError, match=r"decision|no number|no amount"):
        store.record_outcome(outcome(0, **changes))


def test_nothing_is_resolved_before_it_was_decided() -> None:
    with pytest.raises(ValueError, match="before the decision"):
        outcome(0, resolved_at=START - timedelta(seconds=1))


def test_outcomes_are_found_newest_first_within_their_bounds(store: Store) -> None:
    made = [outcome(number, synthetic=number % 2 == 1) for number in range(40)]
    tied = [outcome(number, kind=OutcomeKind.TRADE, synthetic=False) for number in (0, 0)]
    store.record_outcomes([*made[20:], *made[:20], *tied])
    newest = made[::-1]

    assert store.outcomes(limit=5) == newest[:5]
    assert store.outcomes(synthetic=True) == newest[::2]
    assert store.outcomes(asset="ETHUSD", limit=3) == [made[37], made[34], made[31]]
    # At the very instant it is known, a microsecond earlier it is not.
    at = made[10].resolved_at
    assert store.outcomes(until=at, limit=1) == [made[10]]
    assert store.outcomes(until=at - timedelta(microseconds=1), limit=1) == [made[9]]
    assert [one.kind for one in store.outcomes(until=made[0].resolved_at)] == [OutcomeKind.TRADE, OutcomeKind.HORIZON]
    with pytest.raises(UsageError):
        store.outcomes(limit=0)


def test_the_newest_outcomes_are_read_off_an_index(sqlite_store: Store) -> None:
    with sqlite_store.database.reading() as connection:
        plans = [
            " ".join(str(row) for row in connection.execute(text(f"EXPLAIN QUERY PLAN {query}")))
            for query in (
                "SELECT * FROM outcomes WHERE synthetic = 0 AND resolved_at <= '2025' "
                "ORDER BY resolved_at DESC, decision_id DESC, kind DESC LIMIT 5",
                "SELECT * FROM outcomes WHERE asset_pair = 'BTCUSD' AND synthetic = 0 AND resolved_at <= '2025'",
            )
        ]

    assert "ix_outcomes_synthetic_resolved_at" in plans[0]
    assert "TEMP B-TREE" not in plans[0]
    assert "ix_outcomes_asset_pair_resolved_at" in plans[1]


def test_more_outcomes_than_one_query_takes_are_each_known_again(store: Store) -> None:
    made = [replace(outcome(0), decision_id=f"imported-{number:05}") for number in range(2_500)]
    store.record_outcomes(made[1_000:])

    assert store.record_outcomes(made) == made[:1_000]
    assert store.record_outcomes(made) == []
    assert status(store.database).outcomes == 2_500


@pytest.mark.parametrize("statement", ["UPDATE outcomes SET exit_reason = 'luck'", "DELETE FROM outcomes"])
def test_the_database_itself_refuses_to_change_what_came_of_a_decision(store: Store, statement: str) -> None:
    store.record_outcome(outcome(0))

    with pytest.raises(StoreError, match="immutable"), store.database.writing() as connection:
        connection.execute(text(statement))


def test_a_wipe_of_decisions_leaves_what_came_of_them(store: Store) -> None:
    store.append_many([record(0), record(1)])
    store.record_outcomes([outcome(0), outcome(1)])

    store.wipe()

    assert store.count() == 0
    assert store.outcomes() == [outcome(1), outcome(0)]


def test_an_older_store_gains_the_table_and_keeps_its_decisions(tmp_path: Path) -> None:
    from tests.store.test_store_database import migrated

    with migrated(tmp_path / "ffe.db", "0002") as old:
        stored = Store(old).append(record(0))

    with Database.open(None, tmp_path) as database:
        assert Store(database).record_outcome(outcome(0))
        assert Store(database).get(stored.id).hash == stored.hash


@pytest.mark.slow
def test_two_processes_that_record_at_once_lose_nothing(database: Database, tmp_path: Path) -> None:
    # Every process records its own outcomes and, in the same calls, the ones that both know.
    code = (
        "import sys, time; from dataclasses import replace; from pathlib import Path\n"
        "from ffe_core.store import Database, Store; from tests.store.records import outcome\n"
        "first, go = int(sys.argv[2]), Path(sys.argv[3])\n"
        "while not go.exists(): time.sleep(0.001)\n"
        "with Store(Database.open(sys.argv[1], patience=60)) as store:\n"
        "    for number in range(25):\n"
        "        own = replace(outcome(0), decision_id=f'own-{first + number}')\n"
        "        shared = replace(outcome(0), decision_id=f'shared-{number}')\n"
        "        print(len(store.record_outcomes([own, shared])))\n"
    )
    go = tmp_path / "go"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, url_of(database), str(first), str(go)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first in (0, 100)
    ]
    go.touch()
    added = [int(count) for process in running for count in finish(process)]

    assert sum(added) == 75
    assert len({one.decision_id for one in Store(database).outcomes()}) == 75
