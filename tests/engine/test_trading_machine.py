"""Decisions, orders, bars, levers and restarts in any order: the books stay exact, and a lever holds."""

from __future__ import annotations

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from ffe_core import Action, OrderState, Refused, SafetyRefusal, Side, UsageError
from ffe_core.engine.holdings import holdings
from ffe_core.risk.states import TradingStates
from tests.engine.test_paper_market import BTC, Stepped, Tape
from tests.execution.rig import MovingClock
from tests.store.records import START

SENT = (OrderState.FILLED, OrderState.CANCELLED, OrderState.ACCEPTED)


class Floor(RuleBasedStateMachine):
    """One paper account with costs, on a tape that is written as it goes; the oracle counts in fractions."""

    def __init__(self) -> None:
        super().__init__()
        self.rooms = contextlib.ExitStack()
        home = self.rooms.enter_context(TemporaryDirectory(prefix="ffe-floor-"))
        os.environ["FFE_HOME"] = home
        self.home = Path(home)
        self.clock = MovingClock(START)
        self.tape = Tape(self.clock, quotes=False)
        self.liquidity: int | None = None
        self.lever = "arm"
        self.desk = self.opened()

    def opened(self) -> Stepped:
        """A start of ffe on what the one before left."""
        plugins = {"paper": {"liquidity": self.liquidity}}
        return Stepped(self.home, clock=self.clock, tape=self.tape, plugins=plugins)

    def teardown(self) -> None:
        self.desk.engine.close()
        self.rooms.close()

    @initialize(liquidity=st.sampled_from([None, 1500]))
    def opens(self, liquidity: int | None) -> None:
        self.liquidity = liquidity
        self.restart()

    # what may happen

    @rule(action=st.sampled_from([Action.BUY, Action.BUY, Action.SELL]))
    def decide_and_execute(self, action: Action) -> None:
        before, sent = self.quantity(), self.orders()
        decision = self.desk.decide(BTC, action)
        with contextlib.suppress(SafetyRefusal, Refused):
            self.desk.trading.execute(decision.id)
        new = [entry for order_id, entry in self.orders().items() if order_id not in sent]
        if self.lever == "halt":
            assert new == [], "an order while HALTED"
        if self.lever == "reduce":
            assert all(entry.order.reduce_only for entry in new), "an entry while REDUCING"
            assert abs(self.quantity()) <= abs(before), "exposure grew while REDUCING"
        assert len({entry.order.client_order_id for entry in new}) == len(new)

    @rule()
    def close_by_hand(self) -> None:
        before = self.quantity()
        with contextlib.suppress(UsageError, Refused):
            self.desk.trading.close(self.desk.engine.asset(BTC))
        # Whatever the lever says; all of it, or what the market takes at once.
        assert abs(self.quantity()) < abs(before) or not before

    @rule()
    def cancel_what_stands(self) -> None:
        venue = self.desk.trading.venue(False)
        for entry in self.desk.trading.journal.open(venue.key):
            after = self.desk.trading.cancel(entry, venue)
            assert after.state in (OrderState.CANCELLED, OrderState.FILLED)

    @rule(lever=st.sampled_from(["halt", "reduce", "arm", "arm"]))
    def pull(self, lever: str) -> None:
        getattr(TradingStates(self.desk.engine.store.states), lever)("because")
        self.lever = lever

    @rule(up=st.integers(0, 1200), down=st.integers(0, 700), part=st.integers(0, 10), bars=st.integers(1, 3))
    def step(self, up: int, down: int, part: int, bars: int) -> None:
        for _ in range(bars):
            open_ = self.tape.rows[-1][3]
            low, high = open_ - down, open_ + up
            self.tape.rows.append((open_, high, low, low + (high - low) * part / 10))
        self.desk.step(bars)
        guarded = self.guard
        holdings(self.desk.engine)
        if guarded is not None:
            touched = any(row[2] <= guarded[0] or row[1] >= guarded[1] for row in self.tape.rows[-bars:])
            assert (self.quantity() == 0) is touched, "a level that was reached, and a position that stays, or neither"

    @rule()
    def restart(self) -> None:
        self.desk.engine.close()
        self.desk = self.opened()

    # what holds

    @invariant()
    def cash_and_positions_are_exact(self) -> None:
        portfolio = self.desk.engine.trading_platform(synthetic=False).portfolio()
        cash, quantity = Fraction(10_000), Fraction(0)
        for fill in self.desk.engine.trading_platform(synthetic=False).fills(None)[0]:
            signed = Fraction(fill.quantity) * (1 if fill.side is Side.BUY else -1)
            cash -= signed * Fraction(fill.price) + Fraction(fill.fee)
            quantity += signed
        assert Fraction(portfolio.cash or 0) == cash
        assert self.quantity() == quantity >= 0
        held = sum(Fraction(one.quantity) * Fraction(one.price) for one in portfolio.positions)
        assert Fraction(portfolio.equity or 0) == cash + held

    @invariant()
    def the_journal_has_every_fill_once(self) -> None:
        told = self.desk.engine.trading_platform(synthetic=False).fills(None)[0]
        written = self.desk.engine.trading().journal.fills()
        assert {fill.venue_fill_id: fill for fill in told} == {fill.venue_fill_id: fill for fill in written}
        assert len(told) == len(written)

    @invariant()
    def nobody_is_in_doubt(self) -> None:
        assert all(entry.state in SENT for entry in self.orders().values())

    # the oracle's eyes

    def quantity(self) -> Fraction:
        held = self.desk.engine.trading_platform(synthetic=False).portfolio().positions
        return sum((Fraction(one.quantity) for one in held), Fraction(0))

    @property
    def guard(self) -> tuple[float, float] | None:
        held = self.desk.engine.trading_platform(synthetic=False).portfolio().positions
        if not held or held[0].stop_price is None or held[0].target_price is None:
            return None
        return float(held[0].stop_price), float(held[0].target_price)

    def orders(self) -> dict[str, object]:
        return {entry.order.client_order_id: entry for entry in self.desk.engine.trading().journal.latest(None)}


def run(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Floor,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("home")
def test_a_few_days_on_the_floor() -> None:
    run(4, 12)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("home")
def test_many_days_on_the_floor() -> None:
    run(100, 30)
