"""Real money at two venues: what goes where, and what one that is down leaves possible."""

from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Mode, NotConfigured, OrderState, PlatformError, SafetyRefusal, Unknown, UnknownName
from ffe_core.domain.ledger import LedgerKey
from ffe_core.engine.holdings import holdings
from ffe_core.errors import SettingsError
from ffe_core.plugins.registry import Offer
from tests.engine.test_trading import Desk, Prices, Strict
from tests.execution.rig import MovingClock
from tests.store.records import START

S = OrderState
VENUES = {"crypto": "coins", "forex": "bank"}
PRICES = {"BTCUSD": Decimal(20_000), "EURUSD": Decimal(20_000)}


def desk_of(home, clock=None, **changes):
    clock = clock or MovingClock(START)
    execution = {"platform": "unified", "venues": VENUES, **changes}
    made = Desk(
        home,
        Strict(),
        clock=clock,
        execution=execution,
        data={"sources": ["prices"], "cache_ttl": 0},
    )
    made.there = {name: Strict(name, prices=PRICES, clock=clock) for name in ("coins", "bank", "other")}
    for name, venue in made.there.items():
        made.engine.registry.offer("platform", name, Offer("test", venue))
    made.engine.registry.offer("source", "prices", Offer("test", Prices(clock)))
    return made


@pytest.fixture
def desk(home):
    made = desk_of(home)
    yield made
    made.engine.close()


def held(desk, venue):
    return [position.asset.symbol for position in desk.there[venue].portfolio().positions]


def test_an_entry_goes_to_its_venue_and_is_protected_and_left_there(desk):
    done = desk.trading.execute(desk.decide("BTCUSD").id)
    assert (done.state, done.protection.state) == (S.FILLED, S.ACCEPTED)
    assert (held(desk, "coins"), held(desk, "bank")) == (["BTCUSD"], [])
    assert done.order.key == LedgerKey(Mode.LIVE, "unified", "venues", False)
    assert done.order.order.prepared["venue"] == done.protection.order.prepared["venue"] == "coins"
    closed = desk.trading.close(desk.engine.asset("BTCUSD"))
    assert closed.state is S.FILLED
    assert held(desk, "coins") == []
    assert desk.there["coins"].open_orders() == []


def test_equity_is_of_all_venues_and_spending_of_one(desk):
    desk.there["coins"] = Strict("coins", prices=PRICES, clock=desk.clock, cash=Decimal(300))
    desk.engine.registry._offers["platform"]["coins"] = Offer("test", desk.there["coins"])
    decision = desk.decide("BTCUSD")
    # A hundredth of 10,300 over a stop of some percent is more than the 300 that are there.
    assert "buying_power" in [clamp.rule for clamp in decision.sizing.clamps]
    assert decision.position_size * 20_000 <= Decimal(300) * Decimal("0.97")


def test_what_has_no_venue_is_refused_and_no_paper_stands_in(home):
    desk = desk_of(home, venues={"crypto": "coins"})
    with pytest.raises(SafetyRefusal, match=r"no venue for forex \(EURUSD\)") as refusal:
        desk.decide("EURUSD")
    assert (refusal.value.exit_code, refusal.value.hint) == (3, "set execution.venues.forex to a venue")
    desk.engine.close()


@pytest.mark.parametrize("paper", ["paper", "paper_synthetic"])
def test_paper_is_no_venue_of_real_money(home, paper):
    desk = desk_of(home, venues={"crypto": "coins", "forex": paper})
    with pytest.raises(SafetyRefusal, match=r"no venue for forex: execution\.venues\.forex is paper"):
        desk.decide("BTCUSD")
    desk.engine.close()


@pytest.mark.parametrize(
    ("venues", "told"),
    [
        ({"crypto": "coin"}, "execution.venues.crypto: unknown platform 'coin'; did you mean coins?"),
        ({"crypto": "unified"}, "unified is made of venues"),
        ({}, "execution.venues names no venue"),
    ],
)
def test_venues_that_cannot_be_are_a_wrong_setting(home, venues, told):
    desk = desk_of(home, venues=venues)
    with pytest.raises(SettingsError) as wrong:
        desk.decide("BTCUSD")
    assert told in wrong.value.message
    assert wrong.value.exit_code == 2
    assert wrong.value.hint is None or "coins" in wrong.value.hint or "crypto: coinbase" in wrong.value.hint
    desk.engine.close()


def test_an_unknown_platform_is_told_with_those_that_there_are(home):
    desk = desk_of(home, platform="coinz")
    with pytest.raises(UnknownName, match="did you mean coins") as unknown:
        desk.decide("BTCUSD")
    assert {"bank", "coins", "paper"} <= set(unknown.value.hint.removeprefix("available: ").split(", "))
    desk.engine.close()


def test_a_key_that_is_missing_is_told_with_the_line_that_sets_it(home):
    class Locked(Strict):
        def portfolio(self):
            raise NotConfigured("plugins.bank.api_key is not set", hint="put BANK_API_KEY=... into .env")

    desk = desk_of(home, platform="bank")
    desk.there["bank"].__class__ = Locked
    with pytest.raises(NotConfigured) as missing:
        desk.decide("EURUSD")
    assert (missing.value.exit_code, missing.value.hint) == (2, "put BANK_API_KEY=... into .env")
    desk.engine.close()

    both = desk_of(home)
    both.there["bank"].__class__ = Locked
    coins, bank = holdings(both.engine)
    assert coins.portfolio.cash == 10_000
    assert bank.problem == "plugins.bank.api_key is not set (put BANK_API_KEY=... into .env)"
    both.engine.close()


def test_a_venue_that_is_down_bars_entries_everywhere_and_no_way_out(desk):
    desk.trading.execute(desk.decide("BTCUSD").id)
    desk.there["bank"].down = True
    with pytest.raises(SafetyRefusal):
        desk.trading.execute(desk.decide("EURUSD").id)
    accounts = {each.platform: each for each in holdings(desk.engine)}
    assert [one.asset.symbol for one in accounts["coins"].portfolio.positions] == ["BTCUSD"]
    assert (accounts["bank"].portfolio, accounts["bank"].problem) == (None, "bank does not answer")
    assert desk.trading.close(desk.engine.asset("BTCUSD")).state is S.FILLED
    with pytest.raises(PlatformError, match="does not say what is held"):
        desk.trading.close(desk.engine.asset("EURUSD"))


def test_the_other_venue_going_down_takes_no_stop_away(desk):
    coins, bank = desk.there["coins"], desk.there["bank"]

    class Ominous(Strict):
        """The other venue goes down with the first fill here."""

        def submit(self, order):
            bank.down = True
            return super().submit(order)

    decision = desk.decide("BTCUSD")
    coins.__class__ = Ominous
    done = desk.trading.execute(decision.id)
    assert (done.state, done.protection.state, done.remarks) == (S.FILLED, S.ACCEPTED, ())


def test_a_lost_order_is_found_where_it_went_after_settings_changed(home):
    clock = MovingClock(START)
    desk = desk_of(home, clock)

    class Silent(Strict):
        def find(self, order):
            raise Unknown("silence")

        def cancel(self, order):
            raise Unknown("silence")

    coins = desk.there["coins"]
    decision = desk.decide("BTCUSD")
    coins.lose_answers, coins.__class__ = 1, Silent
    assert desk.trading.execute(decision.id).state is S.UNKNOWN
    desk.engine.close()

    coins.__class__ = Strict
    later = desk_of(home, clock, venues={"crypto": "other", "forex": "bank"})
    later.engine.registry._offers["platform"]["coins"] = Offer("test", coins)
    clock.advance(timedelta(minutes=5))
    found = later.trading.reconcile()
    assert [entry.state for entry in found.changed] == [S.FILLED]
    later.engine.close()


def test_an_open_breaker_refuses_the_entry_before_anything_is_written(desk):
    coins = desk.there["coins"]

    class Broken(Strict):
        def submit(self, order):
            raise Unknown("coins does not answer")

    decisions = [desk.decide("BTCUSD") for _ in range(2)]
    router = desk.engine.venues.chosen()
    plan = desk.trading.plan(decisions[0].id)
    coins.__class__ = Broken
    for _ in range(3):
        order = plan.order
        router.prepare(order)
        with pytest.raises(Unknown):
            router.submit(order)
    coins.__class__ = Strict
    with pytest.raises(SafetyRefusal, match="platform coins ordering failed too often"):
        desk.trading.execute(decisions[1].id)
    assert desk.trading.journal.latest() == []
    assert not desk.engine.store.get(decisions[1].id).executed
    assert coins.fills(None)[0] == []
