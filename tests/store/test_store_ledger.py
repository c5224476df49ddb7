"""The ledger keeps every movement once, apart by mode, platform, account and reality of its prices."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import text

from ffe_core.domain.trading import Mode
from ffe_core.errors import StoreError
from ffe_core.hookspecs import AccountLedger
from ffe_core.plugins.ledgers import SharedStore, StoredLedger
from ffe_core.store import LedgerEntry, LedgerKey, Store
from ffe_core.testing import MemoryLedger
from tests.store.records import START

PAPER = LedgerKey(Mode.PAPER, "paper", "main", False)
DEPOSIT = LedgerEntry(START, "deposit", Decimal("10000"), "USD")
FILL = LedgerEntry(
    START,
    "fill",
    Decimal("-2710.5"),
    "USD",
    asset="BTCUSD",
    quantity=Decimal("0.100000000000000001"),
    price=Decimal("27105"),
    fill_id="f1",
    order_id="o1",
    detail={"liquidity": "taker"},
)
FEE = replace(FILL, kind="fee", amount=Decimal("-2.71"), quantity=Decimal(0), price=None)


def test_entries_come_back_in_order_exact_and_numbered(store: Store) -> None:
    added = store.ledger.append(PAPER, [DEPOSIT, FILL, FEE])

    assert (
        added == store.ledger.read(PAPER) == [replace(entry, seq=n) for n, entry in enumerate((DEPOSIT, FILL, FEE), 1)]
    )


def test_a_fill_that_is_reported_twice_counts_once(store: Store) -> None:
    store.ledger.append(PAPER, [DEPOSIT, FILL])

    assert [entry.kind for entry in store.ledger.append(PAPER, [FILL, FEE, FEE])] == ["fee"]
    assert len(store.ledger.read(PAPER)) == 3


def test_a_known_fill_with_another_content_is_refused_whole(store: Store) -> None:
    store.ledger.append(PAPER, [FILL])

    with pytest.raises(StoreError, match="f1"):
        store.ledger.append(PAPER, [DEPOSIT, replace(FILL, quantity=Decimal("0.2"))])

    assert len(store.ledger.read(PAPER)) == 1


def test_what_came_after_a_number_is_read_alone(store: Store) -> None:
    store.ledger.append(PAPER, [DEPOSIT, FILL, FEE])

    assert [entry.kind for entry in store.ledger.read(PAPER, after=1)] == ["fill", "fee"]
    assert store.ledger.read(PAPER, after=3) == []


@pytest.mark.slow
def test_more_fills_than_one_query_takes_are_each_known_again(store: Store) -> None:
    fills = [replace(FILL, fill_id=f"f{number}") for number in range(2_500)]
    store.ledger.append(PAPER, fills[1_000:])

    assert len(store.ledger.append(PAPER, fills)) == 1_000
    assert store.ledger.append(PAPER, fills) == []
    assert [entry.seq for entry in store.ledger.read(PAPER)] == list(range(1, 2_501))


@pytest.fixture(params=["stored", "in memory"])
def lent(request: pytest.FixtureRequest) -> AccountLedger:
    """What a plugin is lent, by the host and in its author's tests."""
    if request.param == "in memory":
        return MemoryLedger()
    shared = SharedStore()
    shared.use(request.getfixturevalue("sqlite_store"))
    return StoredLedger(shared, PAPER)


def test_a_lent_ledger_keeps_what_is_new_in_order(lent: AccountLedger) -> None:
    lent.append([DEPOSIT, FILL, FILL])
    with lent.locked() as book:
        assert [entry.kind for entry in book.entries()] == ["deposit", "fill"]
        assert [entry.seq for entry in book.append([FILL, FEE])] == [3]
        assert [entry.kind for entry in book.entries()] == ["deposit", "fill", "fee"]
    assert lent.read(after=2) == [replace(FEE, seq=3)]


def test_a_lent_ledger_undoes_a_block_that_fails(lent: AccountLedger) -> None:
    lent.append([FILL])
    with pytest.raises(StoreError, match="f1"), lent.locked() as book:
        book.append([DEPOSIT])
        book.append([replace(FILL, quantity=Decimal("0.2"))])
    assert [entry.kind for entry in lent.read()] == ["fill"]


@pytest.mark.parametrize(
    "other",
    [
        replace(PAPER, synthetic=True),
        replace(PAPER, mode=Mode.LIVE),
        replace(PAPER, platform="acme"),
        replace(PAPER, account="second"),
    ],
)
def test_ledgers_do_not_mix(store: Store, other: LedgerKey) -> None:
    store.ledger.append(PAPER, [DEPOSIT, FILL])

    assert store.ledger.read(other) == []
    assert [entry.seq for entry in store.ledger.append(other, [FILL])] == [1]


def test_what_is_read_under_the_lock_is_undone_with_the_block(store: Store) -> None:
    with pytest.raises(RuntimeError), store.ledger.locked(PAPER) as book:
        book.append([DEPOSIT])
        assert len(book.entries()) == 1
        raise RuntimeError

    assert store.ledger.read(PAPER) == []


@pytest.mark.parametrize("statement", ["UPDATE ledger_entries SET amount = '1'", "DELETE FROM ledger_entries"])
def test_the_database_itself_refuses_to_change_what_was_booked(store: Store, statement: str) -> None:
    store.ledger.append(PAPER, [DEPOSIT])
    if not store.database.is_sqlite:
        statement = statement.replace("'1'", "1")

    with pytest.raises(StoreError, match="immutable"), store.database.writing() as connection:
        connection.execute(text(statement))


def test_a_wipe_of_decisions_leaves_the_money_rows(store: Store) -> None:
    store.ledger.append(PAPER, [DEPOSIT])

    store.wipe()

    assert len(store.ledger.read(PAPER)) == 1
