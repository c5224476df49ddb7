"""What bars do to the stops and targets of a paper account."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Asset, Candles, Effect, FixedClock, OrderState, Refused, Timeframe
from ffe_core.builtin.paper import PaperSettings, ffe_platforms
from ffe_core.domain.clock import to_ms
from ffe_core.testing import make_context
from tests.builtin.test_paper import EUR, D, context, entries, order, paper
from tests.execution.rig import MovingClock
from tests.risk.builders import AT, BTC

ZERO = D(0)
HOUR = timedelta(hours=1)
FLAT = ("50000", "50000", "50000", "50000")


def bars(*rows, asset=BTC, start=AT, synthetic=False, frame=Timeframe.H1):
    """Bars of ``(open, high, low, close)``, one after the other from ``start`` on."""
    opens, highs, lows, closes = zip(*[[float(value) for value in row] for row in rows], strict=True)
    times = [to_ms(start) + number * frame.milliseconds for number in range(len(rows))]
    return Candles.of(
        asset, frame, "tape", time=times, open=opens, high=highs, low=lows, close=closes, volume=[1.0] * len(rows),
        synthetic=synthetic,
    )  # fmt: skip


class Account:
    """A tenth of a bitcoin at 50000, without costs unless a test wants them, guarded at 49000 and 52500."""

    def __init__(self, root, *, guard=("49000", "52500"), fee=ZERO, slippage=ZERO, lent=None):
        self.clock = MovingClock(AT)
        self.lent = lent or context(root, self.clock, fee=fee, slippage=slippage)
        self.platform = paper(root, self.lent)
        self.bought = order()
        self.platform.submit(self.bought)
        self.guard(*guard)

    def guard(self, stop, target, name="guard"):
        levels = (None if level is None else D(level) for level in (stop, target))
        self.platform.protect(self.platform.portfolio().position(BTC), *levels, client_order_id=name)

    def show(self, *rows, **how):
        """The rows as hours that have passed, from the entry on."""
        self.clock.advance(HOUR * len(rows))
        self.platform.update_bars(bars(*rows, **how))

    @property
    def found(self):
        return self.platform.find(order("guard"))


@pytest.fixture
def account(tmp_path):
    return Account(tmp_path)


def test_a_stop_that_a_bar_reaches_ends_the_position_at_its_level(account):
    account.show(FLAT, ("50000", "50100", "48900", "49500"))
    assert account.platform.portfolio().positions == ()
    assert account.platform.open_orders() == []
    assert (account.found.state, account.found.average_price) == (OrderState.FILLED, D(49000))
    # Nobody knows when in the bar it was: it is known when the bar is over.
    assert account.found.at == AT + 2 * HOUR
    assert account.platform.portfolio().cash == D(10000) - D("0.1") * 1000


def test_a_target_that_a_bar_reaches_ends_the_position_at_its_level(account):
    account.show(FLAT, ("50000", "52600", "49900", "52000"))
    assert (account.found.state, account.found.average_price) == (OrderState.FILLED, D(52500))
    assert account.platform.portfolio().equity == D(10000) + D("0.1") * 2500


def test_what_no_bar_reaches_goes_on_standing(account):
    account.show(("50000", "52499", "49001", "50000"))
    assert account.found.state is OrderState.ACCEPTED
    assert account.platform.portfolio().position(BTC).quantity == D("0.1")


def test_a_gap_through_a_level_fills_at_the_open_and_then(account):
    account.show(FLAT, ("47000", "48000", "46000", "47500"))
    assert (account.found.average_price, account.found.at) == (D(47000), AT + HOUR)


def test_a_gap_beyond_the_target_gives_more(account):
    account.show(FLAT, ("53000", "54000", "52900", "53500"))
    assert (account.found.average_price, account.found.at) == (D(53000), AT + HOUR)


def test_in_a_bar_that_reaches_both_the_stop_comes_first(account):
    account.show(("50000", "53000", "48000", "52000"))
    assert account.found.average_price == D(49000)


def test_the_bar_that_begins_with_the_entry_counts(account):
    account.show(("50000", "50000", "48900", "50000"))
    assert account.found.state is OrderState.FILLED


def test_a_bar_that_began_before_the_entry_does_not(account):
    account.clock.advance(HOUR)
    account.platform.update_bars(bars(("50000", "53000", "40000", "50000"), start=AT - HOUR / 2))
    assert account.found.state is OrderState.ACCEPTED


def test_a_bar_that_is_not_over_does_not_count_yet(account):
    account.clock.advance(HOUR - timedelta(seconds=1))
    account.platform.update_bars(bars(("50000", "53000", "40000", "50000")))
    assert account.found.state is OrderState.ACCEPTED


def test_a_stop_pays_slippage_and_fee_and_a_target_the_fee_alone(tmp_path):
    stopped = Account(tmp_path / "a", fee=D("0.001"), slippage=D("0.0001"))
    stopped.show(("50000", "50000", "48900", "50000"))
    (fill,) = stopped.found.fills
    assert (fill.price, fill.fee) == (D(49000) * D("0.9999"), D("0.1") * D("48995.1") * D("0.001"))
    reached = Account(tmp_path / "b", fee=D("0.001"), slippage=D("0.0001"))
    reached.show(("50000", "52600", "50000", "52600"))
    (fill,) = reached.found.fills
    assert (fill.price, fill.fee) == (D(52500), D("5.25"))


def test_the_same_bars_again_change_nothing(account):
    fallen = [FLAT, ("50000", "50100", "48900", "49500")]
    account.show(*fallen)
    booked = entries(account.platform)
    account.show(*fallen)
    assert entries(account.platform) == booked


def test_another_process_that_sees_the_same_bars_books_nothing_beside_it(account):
    other = next(iter(ffe_platforms(PaperSettings(), account.lent)))
    account.show(FLAT, ("50000", "50100", "48900", "49500"))
    other.update_bars(bars(FLAT, ("50000", "50100", "48900", "49500")))
    assert [fill.client_order_id for fill in other.fills(None)[0]] == ["one", "guard"]


def test_a_stop_that_was_taken_back_is_not_triggered(account):
    account.platform.cancel(order("guard"))
    account.show(("50000", "50000", "40000", "50000"))
    assert account.platform.portfolio().position(BTC).quantity == D("0.1")


def test_a_stop_that_filled_cannot_be_taken_back(account):
    account.show(("50000", "50000", "48900", "50000"))
    assert account.platform.cancel(order("guard")).state is OrderState.FILLED
    with pytest.raises(Refused, match="no position"):
        account.platform.close(account.platform._position(held(account)), client_order_id="out")


def held(account):
    from ffe_core.builtin.paper.account import Account as Sum

    return Sum.of(entries(account.platform), PaperSettings()).holdings["BTCUSD"]


def test_a_new_stop_is_held_against_bars_from_then_on(account):
    account.show(("50000", "50000", "49500", "50000"))
    account.guard("49600", None, "tighter")
    account.platform.update_bars(bars(("50000", "50000", "49500", "50000")))
    assert account.platform.find(order("tighter")).state is OrderState.ACCEPTED
    account.clock.advance(HOUR)
    account.platform.update_bars(bars(("50000", "50000", "49500", "50000"), start=AT + HOUR))
    assert account.platform.find(order("tighter")).state is OrderState.FILLED


def test_a_short_is_stopped_above_and_rewarded_below(tmp_path):
    for number, (row, price) in enumerate(
        [(("1.1", "1.13", "1.1", "1.1"), "1.122"), (("1.1", "1.1", "1.04", "1.1"), "1.045")]
    ):
        clock = MovingClock(AT)
        platform = paper(tmp_path / str(number), context(tmp_path / str(number), clock, fee=D(0), slippage=D(0)))
        platform.submit(order("s", "SELL", "1000", EUR, effect=Effect.OPEN_SHORT))
        platform.protect(platform.portfolio().position(EUR), D("1.122"), D("1.045"), client_order_id="guard")
        clock.advance(HOUR)
        platform.update_bars(bars(row, asset=EUR))
        assert platform.find(order("guard", asset=EUR)).average_price == D(price)
        assert platform.portfolio().equity == D(10000) + 1000 * (D("1.1") - D(price))


def test_prices_of_the_other_kind_are_refused(account):
    with pytest.raises(ValueError, match="other kind"):
        account.show(("50000", "50000", "40000", "50000"), synthetic=True)
    assert account.found.state is OrderState.ACCEPTED


def test_bars_of_another_asset_change_nothing(account):
    account.show(("50000", "50000", "40000", "50000"), asset=Asset.parse("ETHUSD"))
    assert account.found.state is OrderState.ACCEPTED


def test_it_waits_for_bars_of_what_it_guards_and_of_nothing_else(account):
    assert account.platform.watching() == {BTC: AT}
    account.show(("50000", "50000", "48900", "50000"))
    assert account.platform.watching() == {}


def test_many_bars_that_reached_nothing_are_not_asked_for_again(account):
    account.show(*[FLAT] * 99)
    assert account.platform.watching() == {BTC: AT}
    account.show(*[FLAT] * 100)
    assert account.platform.watching() == {BTC: AT + 100 * HOUR}
    # What they said is settled: another version of them changes nothing.
    account.platform.update_bars(bars(*[("50000", "50000", "40000", "50000")] * 100))
    assert account.found.state is OrderState.ACCEPTED


rows = st.lists(
    st.tuples(st.integers(47000, 54000), st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 10)), max_size=8
)


@given(rows=rows)
def test_bar_by_bar_is_all_at_once_and_no_cent_is_lost(rows):
    market = [(o, o + up, o - down, o - down + (up + down) * part // 10) for o, up, down, part in rows]
    ends = []
    for step in (1, len(market) or 1):
        account = Account(Path(), fee=D("0.001"), slippage=D("0.0001"))
        for first in range(0, len(market), step):
            account.clock.advance(HOUR * step)
            account.platform.update_bars(bars(*market[first : first + step], start=AT + HOUR * first))
        booked = entries(account.platform)
        portfolio = account.platform.portfolio()
        assert portfolio.cash == sum(entry.amount for entry in booked)
        assert portfolio.equity == portfolio.cash + sum(entry.quantity for entry in booked) * 50000
        ends.append([replace(entry, seq=0) for entry in booked])
    assert ends[0] == ends[1]


# margin, and less to be had than was ordered


def test_a_forex_position_needs_its_margin_and_no_more(tmp_path):
    platform = paper(tmp_path, fee=D(0), slippage=D(0))
    platform.submit(order("long", "BUY", "100000", EUR))
    portfolio = platform.portfolio()
    assert (portfolio.equity, portfolio.cash) == (D(10000), D(10000) - 110000)
    assert portfolio.buying_power == D(10000) - D("0.05") * 110000
    with pytest.raises(Refused, match=r"5500\.0+ needed, 4500\.0+ there"):
        platform.submit(order("more", "BUY", "100000", EUR))


def test_what_a_short_was_sold_for_buys_nothing(tmp_path):
    platform = paper(tmp_path, fee=D(0), slippage=D(0))
    platform.submit(order("short", "SELL", "100000", EUR, effect=Effect.OPEN_SHORT))
    assert platform.portfolio().cash == 120000
    with pytest.raises(Refused, match="there"):
        platform.submit(order("coin", quantity="0.2"))


def test_a_loss_takes_from_what_may_be_used(tmp_path):
    platform = paper(tmp_path, fee=D(0), slippage=D(0))
    platform.submit(order("long", "BUY", "50000", EUR))
    platform.update_prices({"EURUSD": D("1.0")})
    portfolio = platform.portfolio()
    assert portfolio.equity == 5000
    assert portfolio.buying_power == 5000 - D("0.05") * 50000


def test_an_order_is_filled_as_far_as_there_is_anything_and_the_rest_is_cancelled(tmp_path):
    lent = make_context(tmp_path, "paper", clock=FixedClock(AT))
    platform = paper(tmp_path, lent, PaperSettings(liquidity=D(1000)))
    report = platform.submit(order())
    assert report.state is OrderState.CANCELLED
    assert report.filled_quantity == D("0.01999800")
    assert platform.portfolio().position(BTC).quantity == report.filled_quantity
    assert platform.find(order()) == report == platform.submit(order())


def test_an_order_that_finds_nothing_is_refused(tmp_path):
    lent = make_context(tmp_path, "paper", clock=FixedClock(AT))
    platform = paper(tmp_path, lent, PaperSettings(liquidity=D("0.0001")))
    with pytest.raises(Refused, match="not one step"):
        platform.submit(order())
    assert entries(platform) == []
