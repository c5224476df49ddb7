"""What the trading state, reservations and an account's past let through, from the decision to the order."""

from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Action, Effect, OrderState, SafetyRefusal, Unknown
from ffe_core.domain.ledger import LedgerKey
from ffe_core.domain.trading import Mode
from ffe_core.engine.replay import replay_record
from ffe_core.risk.states import TradingStates
from ffe_core.store.risk import BREACH, RESTART, Mark, Promise
from tests.engine.test_trading import Desk
from tests.store.records import START

KEY = LedgerKey(Mode.PAPER, "paper_synthetic", "synthetic", True)


@pytest.fixture
def desk(home):
    made = Desk(home)
    yield made
    made.engine.close()


def states(desk):
    return TradingStates(desk.engine.store.states)


def vetoes(decision):
    return [ruling.rule for ruling in decision.rulings if ruling.outcome == "vetoed"]


def replays(desk, decision):
    return desk.engine.replay(decision.id).same


def test_a_halt_after_the_decision_stops_its_order(desk):
    decision = desk.decide()
    assert decision.effect is Effect.OPEN_LONG
    states(desk).halt("drill")
    with pytest.raises(SafetyRefusal, match="drill"):
        desk.trading.execute(decision.id)
    assert desk.portfolio().positions == ()
    assert desk.trading.journal.latest() == []
    states(desk).arm("drill over")
    assert desk.trading.execute(decision.id).state is OrderState.FILLED


@pytest.mark.parametrize("change", ["halt", "reduce"])
def test_no_entry_is_decided_on_while_trading_is_stopped(desk, change):
    desk.decide()
    getattr(states(desk), change)("drill")
    decision = desk.decide()
    assert vetoes(decision) == ["trading_state"]
    assert "drill" in decision.reasoning
    assert replays(desk, decision)


def test_reducing_lets_a_decided_exit_through_and_halted_only_the_users_own_hand(desk):
    desk.trading.execute(desk.decide().id)
    states(desk).reduce("drill")
    way_out = desk.decide(action=Action.SELL)
    assert (way_out.effect, vetoes(way_out)) == (Effect.CLOSE, [])
    states(desk).halt("worse")
    with pytest.raises(SafetyRefusal, match="worse") as refused:
        desk.trading.execute(way_out.id)
    assert "ffe close" in refused.value.hint
    (position,) = desk.portfolio().positions
    assert position.stop_price is not None
    assert desk.trading.close(position.asset, synthetic=True).state is OrderState.FILLED
    assert desk.portfolio().positions == ()


def test_a_decided_exit_goes_through_while_reducing(desk):
    desk.trading.execute(desk.decide().id)
    states(desk).reduce("drill")
    assert desk.trading.execute(desk.decide(action=Action.SELL).id).state is OrderState.FILLED
    assert desk.portfolio().positions == ()


def test_an_order_holds_its_room_while_it_is_under_way_and_gives_it_back(desk):
    decision, seen = desk.decide(), []
    platform = desk.engine.trading_platform(synthetic=True)
    store, clock = desk.engine.store, desk.clock
    submit = platform._bare.submit

    def watched(order):
        seen.extend(store.reservations.open(KEY, clock.now()))
        return submit(order)

    platform._bare.submit = watched
    desk.trading.execute(decision.id)
    assert [(one.decision_id, one.notional) for one in seen] == [
        (decision.id, decision.position_size * decision.entry_price)
    ]
    assert store.reservations.open(KEY, clock.now()) == []


def test_an_order_that_nobody_knows_of_keeps_its_room_until_it_runs_out(desk):
    decision = desk.decide()
    platform = desk.engine.trading_platform(synthetic=True)

    def lost(order):
        raise Unknown("the line went dead")

    platform._bare.submit = lost
    platform._bare.find = lost
    assert desk.trading.execute(decision.id).state is OrderState.UNKNOWN
    store = desk.engine.store
    assert [one.decision_id for one in store.reservations.open(KEY, desk.clock.now())] == [decision.id]
    assert store.reservations.open(KEY, desk.clock.now() + timedelta(seconds=300)) == []


def test_room_that_is_promised_elsewhere_makes_the_next_size_smaller_and_is_on_record(desk):
    free = desk.decide()
    notional = free.position_size * free.entry_price
    asset = desk.engine.asset("DIPUSD")
    half = Promise(
        "other", asset.symbol, asset.base, asset.quote, asset.kind.value, notional / 2, desk.clock.now(),
        desk.clock.now() + timedelta(minutes=5),
    )  # fmt: skip
    desk.engine.store.reservations.add(KEY, half, list)
    second = desk.decide()
    assert second.position_size < free.position_size
    assert [clamp.rule for clamp in second.sizing.clamps][:1] == ["concentration"]
    assert replays(desk, second)


def test_a_drawdown_bars_entries_for_a_day_and_then_begins_anew(desk):
    desk.decide()
    marks = desk.engine.store.marks
    marks.append(KEY, Mark(START - timedelta(days=3), Decimal(10600), Decimal(10000)))
    down = desk.decide()
    assert vetoes(down) == ["drawdown"]
    assert replays(desk, down)
    assert marks.last(KEY, BREACH).equity == 10000
    desk.clock.advance(timedelta(hours=23, minutes=59))
    assert "no entries until 2025-03-02T00:00:00Z" in desk.decide().reasoning
    desk.clock.advance(timedelta(minutes=2))
    after = desk.decide()
    assert vetoes(after) == []
    assert marks.last(KEY, RESTART).equity == 10000
    assert replays(desk, after)


def test_a_bad_day_bars_entries_until_it_is_over(desk):
    desk.decide()
    desk.clock.advance(timedelta(hours=1))
    desk.engine.store.marks.append(KEY, Mark(START - timedelta(minutes=1), Decimal(10400), Decimal(10000)))
    assert vetoes(desk.decide()) == ["daily_loss"]
    desk.clock.advance(timedelta(days=1))
    assert vetoes(desk.decide()) == []


def test_an_analysis_of_the_past_neither_reads_nor_writes_what_the_account_went_through(desk):
    desk.decide()
    store = desk.engine.store
    store.marks.append(KEY, Mark(START - timedelta(minutes=1), Decimal(99999), Decimal(10000)))
    states(desk).halt("drill")
    before = store.marks.since(KEY, START - timedelta(days=99))
    past = desk.engine.analyze("DIPUSD", at=START - timedelta(days=2))
    told = {ruling.rule: ruling.outcome.value for ruling in past.rulings}
    assert {told.get(name, "not_applicable") for name in ("drawdown", "daily_loss", "correlation")} == {
        "not_applicable"
    }
    assert told.get("trading_state", "passed") == "passed"
    assert store.marks.since(KEY, START - timedelta(days=99)) == before


def test_leaving_an_asset_starts_its_cooldown(home):
    desk = Desk(home, risk={"rules": {"cooldown": True}})
    with desk.engine:
        desk.trading.execute(desk.decide().id)
        (position,) = desk.portfolio().positions
        desk.trading.close(position.asset, synthetic=True)
        barred = desk.decide()
        assert vetoes(barred) == ["cooldown"]
        assert replays(desk, barred)
        desk.clock.advance(timedelta(hours=1, minutes=1))
        assert vetoes(desk.decide()) == []


def test_a_rule_that_is_off_in_the_record_stays_off_in_the_replay(home):
    desk = Desk(home, risk={"rules": {"drawdown": False, "daily_loss": False}})
    with desk.engine:
        desk.decide()
        desk.engine.store.marks.append(KEY, Mark(START - timedelta(hours=1), Decimal(20000), Decimal(10000)))
        decision = desk.decide()
        assert vetoes(decision) == []
        stored = desk.engine.store.get(decision.id).record
        assert stored["inputs"]["peak_equity"] == "20000"
        registry = desk.engine.registry
        again = replay_record(
            stored,
            strategies=registry.strategies_by_name(),
            rules=registry.rules_by_name(),
            plugins=registry.versions(),
        )
        assert again.same
