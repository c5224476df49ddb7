"""Reservations: what two approvals cannot have together, in one process and in several."""

import subprocess
import sys
import threading
from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Asset, FixedClock, Mode, SafetyRefusal
from ffe_core.domain.ledger import LedgerKey
from ffe_core.risk.exposure import Account, Exposure
from ffe_core.store import Database, Store
from tests.conftest import ROOT
from tests.risk.builders import AT, BTC, account, held, instrument, sizing
from tests.risk.test_gate import ETH

D = Decimal
KEY = LedgerKey(Mode.PAPER, "paper", "main", False)


def desk(store, at=AT, key=KEY):
    return Exposure(store.reservations, key, FixedClock(at))


def of(portfolio=None, asked=AT, asset=BTC, **limits):
    return Account(portfolio or account(), asked, instrument(asset), D(50000), sizing(**limits))


def test_what_is_promised_to_others_leaves_less(store):
    desk(store).reserve("one", BTC, D(1500), of())
    with pytest.raises(SafetyRefusal, match=r"limit on concentration: 1000\.00 is left, with 1500\.00 promised"):
        desk(store).reserve("two", BTC, D("1000.01"), of())
    desk(store).reserve("two", BTC, D(1000), of())
    assert [(one.decision_id, one.asset, one.notional) for one in desk(store).open()] == [
        ("one", BTC, D(1500)),
        ("two", BTC, D(1000)),
    ]


def test_a_refused_reservation_leaves_nothing_behind(store):
    with pytest.raises(SafetyRefusal):
        desk(store).reserve("one", BTC, D(9999), of())
    assert desk(store).open() == ()


def test_leverage_and_buying_power_are_shared_by_all_assets(store):
    roomy = {"max_concentration": D(1), "max_leverage": D("0.9")}
    desk(store).reserve("one", BTC, D(5000), of(**roomy))
    with pytest.raises(SafetyRefusal, match="leverage"):
        desk(store).reserve("two", ETH, D(4001), of(asset=ETH, **roomy))
    cash = of(account("6000", held("0.08")), asset=ETH, max_concentration=D(1))
    with pytest.raises(SafetyRefusal, match="buying power"):
        desk(store).reserve("two", ETH, D(1500), cash)


def test_a_position_in_the_asset_counts_with_what_is_promised(store):
    with pytest.raises(SafetyRefusal, match="concentration"):
        desk(store).reserve("more", BTC, D(501), of(account("8000", held("0.04"))))


def test_a_reservation_is_released_or_runs_out(store):
    desk(store).reserve("one", BTC, D(2500), of())
    assert desk(store).release("one")
    assert not desk(store).release("one")
    desk(store).reserve("two", BTC, D(2500), of())
    later = AT + timedelta(seconds=300)
    assert desk(store, later - timedelta(microseconds=1)).open() != ()
    assert desk(store, later).open() == ()
    desk(store, later).reserve("three", BTC, D(2500), of(asked=later))


def test_one_decision_holds_one_reservation(store):
    desk(store).reserve("one", BTC, D(100), of())
    with pytest.raises(SafetyRefusal, match="holds a reservation already"):
        desk(store).reserve("one", BTC, D(100), of())
    desk(store).release("one")
    desk(store).reserve("one", BTC, D(100), of())


def test_what_was_released_after_the_portfolio_was_asked_for_still_counts(store):
    # Another process bought and was done between our question and our turn: our portfolio does not show it.
    desk(store).reserve("one", BTC, D(2500), of())
    desk(store, AT + timedelta(seconds=2)).release("one")
    stale = of(asked=AT + timedelta(seconds=1))
    with pytest.raises(SafetyRefusal, match="promised"):
        desk(store, AT + timedelta(seconds=3)).reserve("two", BTC, D(1), stale)
    fresh = of(asked=AT + timedelta(seconds=2))
    desk(store, AT + timedelta(seconds=3)).reserve("two", BTC, D(2500), fresh)


def test_accounts_do_not_share_their_room(store):
    desk(store).reserve("one", BTC, D(2500), of())
    desk(store, key=LedgerKey(Mode.PAPER, "paper", "other", False)).reserve("two", BTC, D(2500), of())


def test_nothing_may_be_added_to_an_account_that_cannot_be_valued(store):
    cross = account("9000", held("10", "0.85", asset=Asset.parse("EURGBP")))
    with pytest.raises(SafetyRefusal):
        desk(store).reserve("one", BTC, D(1), of(cross))
    with pytest.raises(ValueError, match="none"):
        desk(store).reserve("one", BTC, D(0), of())


def test_threads_that_fit_alone_do_not_all_fit_together(store):
    told = []

    def reserve(number):
        try:
            desk(store).reserve(f"d{number}", BTC, D(1000), of())
            told.append(True)
        except SafetyRefusal:
            told.append(False)

    threads = [threading.Thread(target=reserve, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(told) == [False] * 6 + [True] * 2


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request, tmp_path):
    if request.param == "sqlite":
        with Database.open(None, tmp_path / "data") as database:
            return f"sqlite:///{database.path}"
    url = request.getfixturevalue("postgres_url")
    with Database.at(url) as database:
        database.upgrade()
    return url


@pytest.mark.slow
def test_processes_that_fit_alone_do_not_fit_together(url, tmp_path):
    ready = tmp_path / "ready"
    # 25,000 is the limit on one asset: any one of these fits, no two of them do.
    commands = [
        [sys.executable, "-m", "tests.risk.reserver", url, f"d{number}", "13000", str(ready)] for number in range(4)
    ]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        assert process.stdout.readline() == "up\n"
    ready.touch()
    told = [process.communicate(timeout=90)[0].strip() for process in running]
    assert sorted(line == "reserved" for line in told) == [False] * 3 + [True]
    assert all("limit on concentration" in line for line in told if line != "reserved")
    with Store(Database.open(url)) as store:
        assert sum(one.notional for one in desk(store).open()) == 13000
