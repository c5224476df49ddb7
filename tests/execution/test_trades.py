from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Asset, Fill, Side
from ffe_core.execution.trades import closed_trades
from ffe_core.testing.samples import NOON

BTC = Asset.parse("BTCUSD")


def fill(number, side, quantity, price, fee="0", **changes):
    made = Fill(
        "v", f"{number:04}", f"o{number}", BTC, Side(side), Decimal(quantity), Decimal(price), Decimal(fee), "USD",
        NOON + timedelta(minutes=number),
    )  # fmt: skip
    return replace(made, **changes)


def test_a_purchase_and_its_sale_are_one_trade_net_of_both_fees():
    (trade,) = closed_trades([fill(1, "BUY", "2", "100", "0.2"), fill(2, "SELL", "2", "110", "0.22")], {"o2": "stop"})
    assert (trade.side, trade.quantity, trade.entry_price, trade.exit_price) == (Side.BUY, 2, 100, 110)
    assert trade.pnl == Decimal("19.58")
    assert (trade.opened_at, trade.closed_at) == (NOON + timedelta(minutes=1), NOON + timedelta(minutes=2))
    assert trade.exit_reason == "stop"


def test_partial_sales_share_the_average_cost_and_the_fees():
    trades = closed_trades(
        [
            fill(1, "BUY", "1", "100", "1"),
            fill(2, "BUY", "1", "200", "1"),
            fill(3, "SELL", "0.5", "160"),
            fill(4, "SELL", "1.5", "140"),
        ]
    )
    # average cost 150; fees 2 spread over 2 units
    assert [trade.pnl for trade in trades] == [Decimal("4.5"), Decimal("-16.5")]


def test_a_short_earns_when_it_falls_and_what_crosses_zero_opens_anew():
    trades = closed_trades([fill(1, "SELL", "1", "100"), fill(2, "BUY", "3", "90"), fill(3, "SELL", "2", "95")])
    assert [(trade.side, trade.quantity, trade.pnl) for trade in trades] == [(Side.SELL, 1, 10), (Side.BUY, 2, 10)]


def test_the_order_in_which_fills_are_told_does_not_matter():
    fills = [
        fill(1, "BUY", "1", "100"),
        fill(2, "SELL", "1", "110"),
        fill(3, "BUY", "1", "120"),
        fill(4, "SELL", "1", "90"),
    ]
    assert closed_trades(reversed(fills)) == closed_trades(fills)


amounts = st.integers(1, 400).map(lambda n: Decimal(n) / 100)


@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), amounts, amounts, amounts), min_size=1, max_size=30))
def test_what_trades_earned_is_cash_that_came_in_once_everything_is_sold(moves):
    fills = [fill(number, side, q, p, fee) for number, (side, q, p, fee) in enumerate(moves)]
    left = sum((one.side.sign * one.quantity for one in fills), Decimal(0))
    if left:
        fills.append(fill(len(fills), "SELL" if left > 0 else "BUY", abs(left), "3"))
    cash = sum(
        (-one.side.sign * Fraction(one.quantity) * Fraction(one.price) - Fraction(one.fee) for one in fills),
        Fraction(0),
    )
    trades = closed_trades(fills)
    earned = sum((Fraction(trade.pnl) for trade in trades), Fraction(0))
    assert abs(earned - cash) <= Fraction(len(trades) + 1, 10**8)
