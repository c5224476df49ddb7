"""The past of an account, from hand-made curves."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Mode
from ffe_core.engine.standing import day_began
from ffe_core.risk.equity import BREACH, RESTART, Mark, past_of, read_past
from tests.risk.builders import AT

D = Decimal
LIMIT = D("0.05")
KEY = LedgerKey(Mode.PAPER, "paper", "main", False)


def at(days, equity, paid_in=None, kind="mark"):
    return Mark(AT - timedelta(days=days), D(equity), None if paid_in is None else D(paid_in), kind)


def past(marks, now, **changes):
    values = {"day_began": AT - timedelta(hours=12), "max_drawdown": LIMIT}
    return past_of(marks, now, **{**values, **changes})


def test_the_first_mark_is_its_own_peak_and_its_own_morning():
    found = past([], at(0, 10000))
    assert (found.peak, found.day_start, found.barred_until) == (10000, 10000, None)
    assert found.mark == at(0, 10000)


def test_the_peak_is_that_of_thirty_days():
    marks = [at(31, 20000), at(29, 10400), at(1, 10000)]
    assert past(marks, at(0, 9900)).peak == 10400
    assert past(marks, at(0, 11000)).peak == 11000


@pytest.mark.parametrize(("equity", "kind"), [(9500, "mark"), ("9499.99", BREACH)])
def test_a_fall_above_the_limit_is_written_down_as_one(equity, kind):
    assert past([at(1, 10000)], at(0, equity)).mark.kind == kind


def test_after_a_breach_entries_are_barred_for_a_day_and_then_the_peak_begins_anew():
    breach = at(0, 9400, kind=BREACH)
    marks = [at(2, 10000), breach]
    later = Mark(AT + timedelta(hours=23), D(9300))
    found = past(marks, later, breach=breach)
    assert found.barred_until == AT + timedelta(hours=24)
    free = Mark(AT + timedelta(hours=24), D(9300))
    found = past(marks, free, breach=breach)
    assert (found.peak, found.barred_until, found.mark.kind) == (9300, None, RESTART)
    after = Mark(AT + timedelta(hours=25), D(9200))
    found = past([*marks, found.mark], after, breach=breach, restart=found.mark)
    assert (found.peak, found.barred_until, found.mark.kind) == (9300, None, "mark")


def test_a_recovery_within_the_day_does_not_lift_the_bar():
    breach = at(0.5, 9400, kind=BREACH)
    assert past([breach], at(0, 12000), breach=breach).barred_until == AT + timedelta(days=0.5)


def test_cash_taken_out_is_no_loss_and_cash_paid_in_no_gain():
    # 9,500 is 5 % under the peak; with 9,000 of it taken out, 500 is still 5 % under what is left of the peak.
    marks = [at(3, 10000, 10000), at(2, 9500, 10000), at(1, 500, 1000)]
    assert 1 - D(500) / past(marks, at(0, 500, 1000)).peak == pytest.approx(D("0.05"), abs=D("1e-20"))
    paid = [at(2, 10000, 10000)]
    assert past(paid, at(0, 19500, 20000)).peak == pytest.approx(D("20526.315789"), abs=D("1e-5"))
    assert past(paid, at(0, 20000, 20000)).peak == 20000


def test_what_came_before_an_account_was_emptied_does_not_count():
    assert past([at(2, 10000, 10000), at(1, 0, 0)], at(0, 5000, 5000)).peak == 5000


def test_the_day_starts_from_the_last_mark_before_it_or_the_first_one_since():
    assert past([at(0.7, 9800), at(0.6, 9900), at(0.2, 9700)], at(0, 9600)).day_start == 9900
    assert past([at(2, 12000), at(0.3, 9700), at(0.2, 9650)], at(0, 9600)).day_start == 9700
    assert past([at(2, 12000)], at(0, 9600)).day_start == 9600


def test_a_loss_at_the_stroke_of_midnight_counts():
    assert past([at(0, 10000)], at(0, 9600), day_began=AT).day_start == 10000


def test_a_mark_that_says_nothing_new_is_left_out():
    soon = timedelta(minutes=14).total_seconds() / 86400
    assert past([at(soon, 10000, 1)], at(0, 10010, 1)).mark is None
    assert past([at(soon, 10000, 1)], at(0, 9600, 1)).mark is None
    assert past([at(soon, 10000, 1)], at(0, 10011, 1)).mark is not None
    assert past([at(soon, 10000, 1)], at(0, 9600, 2)).mark is not None
    assert past([at(2 * soon, 10000, 1)], at(0, 10000, 1)).mark is not None


def test_without_the_rule_nothing_is_a_breach():
    assert past([at(1, 10000)], at(0, 5000), max_drawdown=None).mark.kind == "mark"


@pytest.mark.parametrize(
    ("zone", "began"),
    [
        ("UTC", datetime(2024, 3, 31, tzinfo=UTC)),
        # the clocks went forward at two in the morning: midnight was still winter time
        ("Europe/Berlin", datetime(2024, 3, 30, 23, tzinfo=UTC)),
        ("America/New_York", datetime(2024, 3, 31, 4, tzinfo=UTC)),
    ],
)
def test_the_day_begins_at_local_midnight(zone, began):
    assert day_began(datetime(2024, 3, 31, 12, tzinfo=UTC), zone) == began


def test_the_past_is_read_back_from_the_store(store):
    for mark in (at(40, 99999), at(3, 10000), at(2, "9400.000000000000000001", kind=BREACH)):
        store.marks.append(KEY, mark)
    store.marks.append(LedgerKey(Mode.LIVE, "paper", "main", False), at(1, 77777))
    found = read_past(store.marks, KEY, at(0, 9300), day_began=AT, max_drawdown=LIMIT)
    assert (found.peak, found.mark.kind) == (9300, RESTART)
    store.marks.append(KEY, found.mark)
    again = read_past(store.marks, KEY, at(-1, 9200), day_began=AT, max_drawdown=LIMIT)
    assert (again.peak, again.barred_until) == (9300, None)
