"""Paper between two looks: a clock that goes from bar to bar, over a market that is written down."""

from datetime import timedelta
from decimal import Decimal

import pytest

from ffe_core import Action, Candles, NoData, OrderState, Quote, SafetyRefusal, SettingsError, Timeframe
from ffe_core.domain.clock import to_ms
from ffe_core.engine.holdings import holdings
from ffe_core.engine.marking import catch_up
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.registry import Loaded, Offer
from ffe_core.testing import FakePlatform
from tests.engine.test_trading import Desk
from tests.execution.rig import MovingClock
from tests.store.records import START

D = Decimal
HOUR = timedelta(hours=1)
#: bars before the first decision: what the pulse is made of
BEFORE = 60
BTC = "BTCUSD"


class Tape:
    """A market of one asset, bar by bar; ``quote`` is the opening price of the bar that begins now."""

    def __init__(self, clock, frame=Timeframe.H1, *, synthetic=False, quotes=True, minutes=()):
        self.name = "tape"
        self.clock, self.frame, self.synthetic, self.quotes = clock, frame, synthetic, quotes
        self.rows = [(20_000.0, 20_000.0, 20_000.0, 20_000.0)] * BEFORE
        self.minutes = list(minutes)
        self.asked = []

    def serves(self, asset):
        return asset.symbol == BTC

    def candles(self, asset, timeframe, *, start, end, limit):
        self.asked.append(timeframe)
        if timeframe is self.frame:
            return self._cut(asset, timeframe, START - BEFORE * timeframe.timedelta, self.rows, start, end, limit)
        if timeframe is Timeframe.M1 and self.minutes:
            return self._cut(asset, timeframe, START, self.minutes, start, end, limit)
        raise NoData(f"no {timeframe} on this tape")

    def _cut(self, asset, timeframe, first, rows, start, end, limit):
        opens, highs, lows, closes = zip(*rows, strict=True)
        times = [to_ms(first) + number * timeframe.milliseconds for number in range(len(rows))]
        made = Candles.of(
            asset, timeframe, self.name, time=times, open=opens, high=highs, low=lows, close=closes,
            volume=[1.0] * len(rows), synthetic=self.synthetic,
        )  # fmt: skip
        made = made.between(start, end)
        return made if limit is None else made.tail(limit)

    def quote(self, asset):
        if not self.quotes:
            raise NoData("the tape is silent")
        begun = {START - (BEFORE - number) * self.frame.timedelta: row for number, row in enumerate(self.rows)}
        price = D(repr(begun[self.clock.now()][0]))
        return Quote(asset, price, price, self.clock.now(), self.name, synthetic=self.synthetic)


class Stepped(Desk):
    """A desk on a tape, at the instant at which the first bar that is written down begins."""

    def __init__(self, home, *rows, clock=None, tape=None, heard=None, **settings):
        clock = clock or MovingClock(START)
        self.tape = tape or Tape(clock)
        self.tape.rows += rows
        super().__init__(
            home, clock=clock, data={"sources": ["tape"], "cache_ttl": 0},
            exits={"stop": "fixed", "fallback": 0.02, "target": 0.05}, costs={"fee": 0, "slippage": 0}, **settings,
        )  # fmt: skip
        self.engine.registry.offer("source", "tape", Offer("test", self.tape))
        if heard is not None:
            self.engine.registry.loaded.append(Loaded("listener", Guard("listener", 5.0), heard))

    def enter(self):
        return self.trading.execute(self.decide(BTC).id)

    def step(self, bars=1):
        self.clock.advance(bars * self.tape.frame.timedelta)

    def held(self):
        (account,) = holdings(self.engine)
        return account.portfolio.positions

    def outcomes(self):
        return self.engine.store.outcomes(until=self.clock.now(), limit=9, synthetic=False)

    def orders(self):
        return {entry.order.leg: entry for entry in self.engine.trading().journal.latest()}


@pytest.fixture
def desks():
    made = []

    def make(*args, **how):
        made.append(Stepped(*args, **how))
        return made[-1]

    yield make
    for desk in made:
        desk.engine.close()


CALM = (20_000.0, 20_050.0, 19_950.0, 20_000.0)
FALL = (20_000.0, 20_050.0, 19_500.0, 20_000.0)
RISE = (20_000.0, 21_100.0, 19_950.0, 21_000.0)


def test_an_execution_fills_at_the_opening_price_of_the_bar_that_begins_now(home, desks):
    desk = desks(home, (20_040.0, 20_050.0, 20_030.0, 20_040.0))
    done = desk.enter()
    assert done.fills[0].price == 20_040
    assert done.protection.order.stop_price == D("20040") * D("0.98")


def test_without_a_quote_it_fills_at_the_last_close(home, desks):
    clock = MovingClock(START)
    desk = desks(home, (20_040.0, 20_050.0, 20_030.0, 20_040.0), clock=clock, tape=Tape(clock, quotes=False))
    assert desk.enter().fills[0].price == 20_000


def test_a_price_that_has_gone_since_the_decision_is_not_run_after(home, desks):
    desk = desks(home, (20_200.0, 20_250.0, 20_150.0, 20_200.0))
    decision = desk.decide(BTC)
    with pytest.raises(SafetyRefusal, match="quarter of the way"):
        desk.trading.execute(decision.id)
    desk.tape.rows[-1] = (19_500.0, 19_600.0, 19_400.0, 19_500.0)
    with pytest.raises(SafetyRefusal, match="already beyond the stop"):
        desk.trading.execute(decision.id)
    assert desk.orders() == {}


def test_a_stop_triggers_where_somebody_looks_and_everybody_hears_of_it(home, desks):
    changes, outcomes = [], []

    def ffe_order_changed(order):
        changes.append((order.leg, order.state))

    def ffe_trade_closed(outcome):
        outcomes.append(outcome.exit_reason)

    heard = {each.__name__: each for each in (ffe_order_changed, ffe_trade_closed)}
    desk = desks(home, CALM, FALL, CALM, heard=heard)
    done = desk.enter()
    desk.step()
    assert [one.quantity for one in desk.held()] == [done.order.filled]
    desk.step()
    assert desk.held() == ()
    stop = desk.orders()["protect"]
    assert (stop.state, stop.events[-1].price) == (OrderState.FILLED, D(19_600))
    (outcome,) = desk.outcomes()
    assert (outcome.exit_reason, outcome.pnl) == ("stop", done.order.filled * -400)
    assert changes[-1] == ("protect", OrderState.FILLED)
    assert outcomes == ["stop"]
    assert desk.engine.trading().journal.open() == []
    (fill,) = desk.engine.trading().journal.fills(stop.order.client_order_id)
    assert fill.at == START + 2 * HOUR


def test_a_target_triggers_and_the_outcome_says_so(home, desks):
    desk = desks(home, RISE, CALM)
    done = desk.enter()
    desk.step()
    assert desk.held() == ()
    (outcome,) = desk.outcomes()
    assert (outcome.exit_reason, outcome.pnl) == ("target", done.order.filled * 1000)


def test_whoever_decides_next_sizes_by_what_the_stop_left(home, desks):
    desk = desks(home, FALL, CALM)
    lost = desk.enter().order.filled * 400
    desk.step()
    decision = desk.decide(BTC)
    assert decision.effect.value == "open_long"
    assert decision.sizing.formula_quantity == pytest.approx((10_000 - lost) * D("0.01") / (D(20_000) * D("0.02")))


def test_what_was_stopped_is_not_sold_a_second_time(home, desks):
    desk = desks(home, FALL, CALM)
    desk.enter()
    desk.step()
    exit_ = desk.decide(BTC, Action.SELL)
    assert (exit_.effect.value, desk.held()) == ("none", ())
    assert len(desk.engine.trading().journal.fills()) == 2


@pytest.mark.slow
@pytest.mark.parametrize("look", ["close", "reconcile", "catch_up"])
def test_every_way_to_look_shows_the_bars_first(home, desks, look):
    desk = desks(home, FALL, CALM)
    bought = desk.enter().order.order.asset
    desk.step()
    if look == "close":
        assert desk.trading.close(bought).order is None
    elif look == "reconcile":
        desk.trading.reconcile()
    else:
        assert catch_up(desk.engine, synthetic=False) == ()
    assert desk.orders()["protect"].state is OrderState.FILLED
    assert [one.exit_reason for one in desk.outcomes()] == ["stop"]


def test_two_processes_that_look_at_once_book_one_stop(home, desks):
    first = desks(home, FALL, CALM)
    first.enter()
    other = desks(home, FALL, CALM, clock=first.clock)
    first.step()
    assert (first.held(), other.held()) == ((), ())
    assert len(first.engine.trading().journal.fills()) == 2
    assert len(other.outcomes()) == 1


def test_a_stop_whose_process_died_before_it_told_the_journal_is_told_by_the_next(home, desks):
    desk = desks(home, FALL, CALM)
    desk.enter()
    desk.step()
    platform = desk.engine.trading_platform(synthetic=False)
    (asset,) = platform.watching()
    platform.update_bars(desk.engine.feed.candles(asset, Timeframe.H1, bars=2))
    assert desk.orders()["protect"].state is OrderState.ACCEPTED
    assert desks(home, FALL, CALM, clock=desk.clock).held() == ()
    assert desk.orders()["protect"].state is OrderState.FILLED


@pytest.mark.slow
def test_who_comes_in_within_a_bar_is_guarded_by_minutes_until_the_next_one_begins(home, desks):
    clock = MovingClock(START)
    quiet = (20_000.0, 20_000.0, 20_000.0, 20_000.0)
    minutes = [quiet] * 60
    # Before the entry it was deeper than the stop, and after it once more.
    minutes[10] = (20_000.0, 20_000.0, 19_000.0, 20_000.0)
    minutes[40] = (20_000.0, 20_000.0, 19_590.0, 20_000.0)
    tape = Tape(clock, quotes=False, minutes=minutes)
    desk = desks(home, (20_000.0, 20_000.0, 19_000.0, 20_000.0), CALM, clock=clock, tape=tape)
    clock.advance(timedelta(minutes=12, seconds=30))
    desk.enter()
    clock.advance(timedelta(minutes=10))
    assert len(desk.held()) == 1
    clock.advance(timedelta(minutes=40))
    assert desk.held() == ()
    (fill,) = desk.engine.trading().journal.fills(desk.orders()["protect"].order.client_order_id)
    assert (fill.price, fill.at) == (19_600, START + timedelta(minutes=41))


def test_real_money_is_told_no_invented_prices(home, desks):
    desk = desks(home, CALM, FALL, CALM)
    desk.enter()
    desk.tape.synthetic = True
    desk.step(2)
    (account,) = [each for each in holdings(desk.engine) if not each.synthetic]
    assert account.portfolio.stale
    assert "the prices of tape are synthetic" in account.problem
    assert desk.orders()["protect"].state is OrderState.ACCEPTED


def test_what_cannot_be_asked_for_is_said_and_changes_nothing(home, desks):
    desk = desks(home, FALL, CALM)
    desk.enter()
    desk.step()
    desk.tape.frame = Timeframe.D1
    (line,) = catch_up(desk.engine, synthetic=False)
    assert line.startswith("stop and target of BTCUSD are not up to date")
    assert desk.orders()["protect"].state is OrderState.ACCEPTED


def test_a_tape_of_bars_gives_the_trades_that_it_must(home, desks):
    """Bought at the open, out at the stop, in again, out at the target: the whole story bar by bar."""
    desk = desks(home, FALL, CALM, RISE, CALM)
    for _ in range(3):
        if not desk.held():
            desk.enter()
        desk.step()
    assert desk.held() == ()
    fills = desk.engine.trading().journal.fills()
    told = [(fill.side.value, fill.price, int((fill.at - START) / HOUR)) for fill in fills]
    assert told == [("BUY", 20_000, 0), ("SELL", 19_600, 1), ("BUY", 20_000, 1), ("SELL", 21_000, 3)]
    assert [one.exit_reason for one in sorted(desk.outcomes(), key=lambda one: one.resolved_at)] == ["stop", "target"]


def test_what_is_left_of_an_exit_is_told(home, desks):
    desk = desks(home, CALM, CALM, plugins={"paper": {"liquidity": 900}})
    entered = desk.enter()
    assert (entered.state, entered.protection.state) == (OrderState.CANCELLED, OrderState.ACCEPTED)
    (held,) = desk.held()
    assert held.quantity == entered.order.filled == D("0.045")
    done = desk.trading.close(held.asset)
    assert desk.held() == ()
    assert done.remarks == ()


def test_an_exit_that_finds_too_little_says_what_is_still_held(home, desks):
    whole = desks(home, CALM, CALM)
    bought = whole.enter().order.filled
    thin = desks(home, CALM, CALM, clock=whole.clock, plugins={"paper": {"liquidity": 1500}})
    done = thin.trading.close(thin.engine.asset(BTC))
    assert done.state is OrderState.CANCELLED
    assert done.remarks == (
        f"{bought - D('0.075')} BTCUSD are still held, without a stop; `ffe close BTCUSD` tries again",
    )
    assert [one.quantity for one in thin.held()] == [bought - D("0.075")]
    thin.trading.close(thin.engine.asset(BTC))
    assert thin.held() == ()


def test_an_order_of_another_account_is_not_cancelled_at_the_wrong_venue(home, desks):
    desk = desks(home, CALM)
    guard = desk.enter().protection
    venue = desk.trading.venue(True)
    with pytest.raises(SettingsError, match=r"is one of paper/main \(paper\), and settings name paper_synthetic"):
        desk.trading.cancel(guard, venue)
    assert desk.orders()["protect"].state is OrderState.ACCEPTED


class Watching:
    """A venue that knows its market by itself: nobody tells it prices."""

    def __init__(self, bare):
        self.name, self._bare = bare.name, bare

    def __getattr__(self, name):
        return getattr(self._bare, name)


def test_what_the_venue_asks_besides_is_recorded_with_the_decision(home, desks):
    desk = desks(home, CALM, execution={"platform": "fake"})
    venue = Watching(FakePlatform(prices={BTC: D(21_000)}, clock=desk.clock))
    desk.engine.registry.offer("platform", "fake", Offer("test", venue))
    made = desk.engine.analysis(BTC)
    assert desk.engine.store.get(made.decision.id).decision.market.price_divergence == pytest.approx(1000 / 21_000)
    assert "price differs from fake by 4.76%" in made.warnings
    # Its quote is of invented prices, and paper's own account is none of its business.
    assert desk.trading.execute(made.decision.id).fills[0].price == 20_000


def test_leaving_by_hand_fills_at_the_opening_price_of_the_bar_that_begins_now(home, desks):
    desk = desks(home, CALM, (20_100.0, 20_150.0, 20_050.0, 20_100.0))
    asset = desk.enter().order.order.asset
    desk.step()
    assert desk.trading.close(asset).fills[0].price == 20_100
