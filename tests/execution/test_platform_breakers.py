"""A venue that is down is left alone, in every process; the way out never is."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from ffe_core import Asset, Effect, NoData, Order, OrderState, PlatformError, Refused, Side, Unknown
from ffe_core.errors import BadReply, BadStatus, NoAnswer, NotConfigured, NotReached, SafetyRefusal
from ffe_core.execution.breakers import BreakerPlatform, speaks_against, with_breakers
from ffe_core.net.breaker import Phase
from ffe_core.net.state import FileState, MemoryState, StateStore
from ffe_core.ports import FlatAccount, FundedAccount, MarkToMarket
from ffe_core.testing import FakePlatform, PlatformContract, make_order
from tests.execution.rig import MovingClock
from tests.testing.trials import broken_checks, contract

BTC = Asset.parse("BTCUSD")
START = datetime(2024, 3, 6, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> MovingClock:
    return MovingClock(START)


@pytest.fixture
def venue(clock: MovingClock) -> FakePlatform:
    return FakePlatform(prices={"BTCUSD": Decimal(20_000)}, clock=clock)


def behind(
    venue: FakePlatform, clock: MovingClock, store: StateStore | None = None, *, insists: bool = False
) -> BreakerPlatform:
    return with_breakers(venue, clock, store or MemoryState(), insists=insists)


def entry(made: BreakerPlatform, name: str = "in") -> Order:
    order = make_order(quantity=Decimal("0.1"), client_order_id=name)
    return replace(order, prepared=dict(made.prepare(order)))


def fails(what: Callable[[], object], times: int = 3) -> None:
    for _ in range(times):
        with pytest.raises(Unknown, match="does not answer"):
            what()


def test_a_platform_behind_breakers_keeps_the_contract(clock: MovingClock) -> None:
    tried = contract(
        PlatformContract,
        lambda: behind(FakePlatform(), clock),
        losing=lambda: behind(FakePlatform(lose_answers=1), clock),
        down=lambda: behind(FakePlatform(down=True), clock),
    )
    assert broken_checks(tried) == {}


def test_its_optional_capabilities_are_those_of_the_platform(venue: FakePlatform, clock: MovingClock) -> None:
    class Flat(FakePlatform):
        def flat(self) -> object:
            return self.portfolio()

        def paid_in(self) -> Decimal:
            return Decimal(7)

    made, flat = behind(venue, clock), behind(Flat(), clock)
    assert isinstance(made, MarkToMarket)
    assert not isinstance(made, FlatAccount | FundedAccount)
    assert isinstance(flat, FlatAccount)
    assert isinstance(flat, FundedAccount)
    assert flat.paid_in() == 7


def test_after_three_failures_a_venue_is_not_asked_for_a_minute(venue: FakePlatform, clock: MovingClock) -> None:
    made = behind(venue, clock)
    venue.down = True
    fails(made.portfolio)
    venue.down = False
    with pytest.raises(PlatformError, match=r"platform fake reading failed too often and is left alone for 60 s"):
        made.portfolio()
    clock.advance(timedelta(seconds=60))
    assert made.portfolio().cash == 10_000
    assert made.portfolio().cash == 10_000


def test_no_entry_is_sent_to_a_venue_that_is_down_and_every_way_out_is_open(
    venue: FakePlatform, clock: MovingClock
) -> None:
    store = MemoryState()
    made = behind(venue, clock, store)
    order = entry(made)
    made.submit(order)
    resting = replace(entry(made, "far"), type=order.type.LIMIT, limit_price=Decimal(10_000))
    made.submit(resting)
    venue.down = True
    fails(lambda: made.submit(entry(made, "more")))
    fails(made.portfolio)
    venue.down = False
    with pytest.raises(SafetyRefusal, match="platform fake ordering failed too often") as refusal:
        made.prepare(order)
    assert refusal.value.exit_code == 3

    assert made.find(order).state is OrderState.FILLED  # type: ignore[union-attr]
    assert made.cancel(resting).state is OrderState.CANCELLED
    insisting = behind(venue, clock, store, insists=True)
    position = insisting.portfolio().position(BTC)
    assert position is not None
    assert made.protect(position, Decimal(19_000), None, client_order_id="stop").state is OrderState.ACCEPTED
    leaving = make_order(Side.SELL, position.quantity, client_order_id="out", reduce_only=True, effect=Effect.CLOSE)
    made.prepare(leaving)
    assert made.close(position, client_order_id="out").state is OrderState.FILLED
    # A way out that worked says nothing of a call before its time: entries wait for the rest to be over.
    with pytest.raises(SafetyRefusal):
        made.prepare(order)


def test_of_the_entries_after_the_rest_one_goes_and_its_end_decides(venue: FakePlatform, clock: MovingClock) -> None:
    made = behind(venue, clock)
    venue.down = True
    fails(lambda: made.submit(entry(made)))
    clock.advance(timedelta(seconds=60))
    probe = entry(made)
    with pytest.raises(SafetyRefusal):
        entry(made, "second")
    fails(lambda: made.submit(probe), 1)
    with pytest.raises(SafetyRefusal):
        entry(made, "third")
    clock.advance(timedelta(seconds=60))
    venue.down = False
    made.submit(entry(made, "fourth"))
    made.submit(entry(made, "fifth"))


def test_a_lost_answer_is_told_as_it_was_and_counts(venue: FakePlatform, clock: MovingClock) -> None:
    made = behind(venue, clock)
    venue.lose_answers = 3
    for name in ("a", "b", "c"):
        order = entry(made, name)
        with pytest.raises(Unknown, match="the order may exist"):
            made.submit(order)
        assert made.find(order).state is OrderState.FILLED  # type: ignore[union-attr]
    with pytest.raises(SafetyRefusal):
        entry(made, "d")


def test_a_venues_definite_word_never_opens_a_breaker(venue: FakePlatform, clock: MovingClock) -> None:
    made = behind(venue, clock)
    for number in range(5):
        order = replace(entry(made, str(number)), quantity=Decimal(1_000))
        with pytest.raises(Refused):
            made.submit(order)
        with pytest.raises(NoData):
            made.quote(Asset.parse("ETHUSD"))
    assert made.submit(entry(made)).state is OrderState.FILLED
    assert made.quote(BTC).mid == 20_000


def status(code: int) -> BadStatus:
    error = BadStatus(f"status {code}")
    error.status = code
    return error


def caused(kind: type[Exception], cause: BaseException) -> Exception:
    error = kind("failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (caused(PlatformError, status(500)), True),
        (caused(PlatformError, status(503)), True),
        (caused(PlatformError, status(401)), False),
        (caused(PlatformError, status(429)), False),
        (caused(Unknown, status(403)), False),
        (caused(Unknown, status(502)), True),
        (caused(PlatformError, NotReached("no route")), True),
        (caused(Unknown, NoAnswer("cut off")), True),
        (caused(PlatformError, caused(PlatformError, NoAnswer("deep down"))), True),
        (caused(PlatformError, BadReply("a page instead of JSON")), False),
        (caused(Refused, NoAnswer("a lookup before it")), False),
        (Unknown("nobody knows"), True),
        (PlatformError("the account is closed"), False),
        (NotConfigured("no key"), False),
        (NoData("not traded"), False),
        (KeyError("a bug of the plugin"), False),
    ],
)
def test_what_counts_is_what_was_not_reached_or_broke(error: Exception, counts: bool) -> None:
    assert speaks_against(error) is counts


def test_a_deadline_that_passed_counts() -> None:
    import time

    from ffe_core.plugins.guard import Guard
    from ffe_core.plugins.proxies import guarded

    class Slow(FakePlatform):
        def portfolio(self):  # type: ignore[no-untyped-def]
            time.sleep(0.5)

    made = guarded("platform", Slow(), Guard("test", deadline=0.001), "fake", frozenset())
    with pytest.raises(PlatformError, match="did not answer within") as late:
        made.portfolio()  # type: ignore[attr-defined]
    assert speaks_against(late.value)


OTHER = """
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from ffe_core import FixedClock
from ffe_core.errors import SafetyRefusal, Unknown
from ffe_core.execution.breakers import with_breakers
from ffe_core.net.state import FileState
from ffe_core.testing import FakePlatform, make_order
clock = FixedClock(datetime.fromisoformat(sys.argv[2]))
venue = FakePlatform(prices={"BTCUSD": Decimal(20_000)}, down=sys.argv[3] == "down")
made = with_breakers(venue, clock, FileState(Path(sys.argv[1])), insists=False)
order = make_order(quantity=Decimal("0.1"))
try:
    made.prepare(order)
    made.submit(order)
except SafetyRefusal:
    print("refused")
except Unknown:
    print("unknown")
else:
    print("sent")
"""


def test_what_one_process_learnt_keeps_the_others_from_sending(tmp_path: Path) -> None:
    def other(seconds: int, state: str) -> str:
        at = (START + timedelta(seconds=seconds)).isoformat()
        command = [sys.executable, "-c", OTHER, str(tmp_path), at, state]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()

    assert [other(second, "down") for second in range(3)] == ["unknown"] * 3
    clock = MovingClock(START + timedelta(seconds=30))
    here = behind(FakePlatform(prices={"BTCUSD": Decimal(20_000)}), clock, FileState(tmp_path))
    with pytest.raises(SafetyRefusal):
        entry(here)
    assert here._ordering.state.phase is Phase.OPEN
    clock.instant = START + timedelta(seconds=62)
    # The probe is out in this process: the other one waits for its end.
    probe = entry(here)
    assert other(63, "up") == "refused"
    here.submit(probe)
    assert other(64, "up") == "sent"
