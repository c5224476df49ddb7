"""A panel that always shouts cannot pass a limit, whatever the market, the user and the other processes do."""

import random
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ffe_core import Action
from tests.risk.bazaar import ASSETS, RULES, Bazaar

NAMES = st.sampled_from(sorted(ASSETS))
KINDS = ("calm", "alike", "wild")


class Shouting(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.bazaar = Bazaar()

    @initialize(kind=st.sampled_from(KINDS), seed=st.integers(0, 99), shorts=st.booleans())
    def opens(self, kind, seed, shorts):
        self.bazaar = Bazaar(kind=kind, seed=seed, shorts=shorts)

    @rule(name=NAMES, volatility=st.sampled_from([0.02, 0.02, 0.3, None]))
    def shout_buy(self, name, volatility):
        self.bazaar.shout(name, Action.BUY, volatility)

    @rule(name=NAMES)
    def shout_sell(self, name):
        self.bazaar.shout(name, Action.SELL)

    @rule(name=NAMES, percent=st.integers(-30, 40))
    def move(self, name, percent):
        self.bazaar.move(name, percent)

    @rule(change=st.sampled_from(["halt", "reduce", "arm", "arm"]), name=st.none() | NAMES)
    def stop(self, change, name):
        self.bazaar.stop(change, name)

    @rule(name=NAMES)
    def close_by_hand(self, name):
        self.bazaar.close_by_hand(name)

    @rule(amount=st.integers(-5000, 5000).map(Decimal))
    def pay(self, amount):
        self.bazaar.pay(amount)

    @rule(name=NAMES, notional=st.integers(1, 4000))
    def promise(self, name, notional):
        self.bazaar.promise(name, notional)

    @rule(minutes=st.sampled_from([1, 7, 60, 600, 1440, 3000]))
    def wait(self, minutes):
        self.bazaar.wait(minutes)

    @precondition(lambda self: self.bazaar is not None)
    @invariant()
    def books_agree(self):
        self.bazaar.check_books()


@pytest.mark.slow
def test_whoever_shouts_never_passes_a_limit():
    run_state_machine_as_test(
        Shouting, settings=settings(max_examples=100, stateful_step_count=30, deadline=None, print_blob=True)
    )


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_whoever_shouts_for_long_never_passes_a_limit():
    run_state_machine_as_test(
        Shouting, settings=settings(max_examples=2000, stateful_step_count=50, deadline=None, print_blob=True)
    )


def day_at_the_bazaar(seed, rules=RULES, kind="calm", steps=120):
    """Every asset, many times, with fills in between and prices that wander."""
    rng, bazaar = random.Random(seed), Bazaar(kind=kind, seed=seed, shorts=seed % 2 == 1, rules=rules)
    for _ in range(steps):
        name = rng.choice(sorted(ASSETS))
        bazaar.move(name, rng.randrange(-3, 4))
        bazaar.shout(name, rng.choice([Action.BUY, Action.BUY, Action.SELL]))
        bazaar.wait(rng.choice([1, 30, 400]))
        bazaar.check_books()
    return bazaar


@pytest.mark.parametrize("seed", range(6))
def test_shouting_does_trade_within_the_limits(seed):
    bazaar = day_at_the_bazaar(seed)
    assert bazaar.entries > 5
    assert bazaar.exits > 2


def without(*names):
    return tuple(one for one in RULES if one.name not in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "kind", "complaint"),
    [
        ("var", "wild", "value at risk"),
        ("correlation", "alike", "move as one"),
        ("drawdown", "calm", "drawdown"),
        ("daily_loss", "calm", "daily loss"),
    ],
)
def test_the_oracle_would_see_a_missing_rule(missing, kind, complaint):
    with pytest.raises(AssertionError, match=complaint):
        for seed in range(12):
            day_at_the_bazaar(seed, without(missing), kind)


def test_the_oracle_would_see_orders_in_spite_of_a_stop(monkeypatch):
    bazaar = Bazaar(rules=without("trading_state"))
    bazaar.stop("halt")
    monkeypatch.setattr(bazaar.states, "require", lambda *args, **facts: None)
    with pytest.raises(AssertionError, match="HALTED"):
        bazaar.shout("BTCUSD", Action.BUY)
    bazaar.stop("reduce")
    with pytest.raises(AssertionError, match="REDUCING"):
        bazaar.shout("BTCUSD", Action.BUY)
