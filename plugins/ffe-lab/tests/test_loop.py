"""The fill rule, bar by bar: every expected number here was worked out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ffe_lab import simulate as simulation
from ffe_lab.costs import Costs
from ffe_lab.simulate import Simulation
from ffe_lab.trades import EXIT_REASONS

type Play = Callable[..., Simulation]

STILL = (100.0, 100.0, 100.0, 100.0)
BUY, SELL = 1, -1


def reasons(done: Simulation) -> list[str]:
    return [EXIT_REASONS[code] for code in done.trades.reason.tolist()]


def late(monkeypatch: pytest.MonkeyPatch, **bars: int) -> None:
    """Orders decided on at bar ``b3`` arrive that many bars later than the next open."""

    def drawn(count: int, bar_ms: int, seed: int) -> Any:
        made = np.zeros(count, np.int64)
        for name, delay in bars.items():
            made[int(name[1:])] = delay
        return made

    monkeypatch.setattr(simulation, "delays", drawn)


# entries and exits by signal


def test_an_entry_fills_at_the_next_open_with_slippage_and_fee(play: Play) -> None:
    done = play([STILL, (102, 106, 101, 105)], {0: BUY}, costs=Costs(fee=0.01, slippage=0.02))
    assert done.trades.entry.tolist() == [1]
    assert done.trades.entry_price.tolist() == pytest.approx([104.04])
    # 10,000 / (104.04 x 1.01)
    assert done.trades.quantity.tolist() == pytest.approx([95.16522587])
    assert done.equity.tolist() == pytest.approx([10_000.0, 9_992.348716])


def test_all_in_leaves_nothing_but_the_fee_on_it(play: Play) -> None:
    done = play([STILL, STILL, STILL], {0: BUY}, costs=Costs(fee=0.001, slippage=0.0, commission=5.0))
    units = (10_000 - 5) / (100 * 1.001)
    assert done.trades.quantity[0] == pytest.approx(units)
    assert done.equity[-1] == pytest.approx(units * 100)


def test_a_sell_leaves_a_long_position_at_the_next_open(play: Play) -> None:
    costs = Costs(fee=0.01, slippage=0.0)
    done = play([STILL, STILL, (108, 112, 107, 109), (110, 111, 90, 95), STILL], {0: BUY, 2: SELL}, costs=costs)
    trades, units = done.trades, 10_000 / 101
    assert (trades.exit.tolist(), reasons(done)) == ([3], ["signal"])
    assert trades.exit_price.tolist() == [110.0]
    assert trades.fees.tolist() == pytest.approx([units * 1.0 + units * 1.1])
    assert trades.pnl.tolist() == pytest.approx([units * 10 - units * 2.1])
    assert done.equity[-1] == pytest.approx(10_000 + units * 7.9)


def test_nothing_is_added_to_a_position_and_none_is_flipped(play: Play) -> None:
    done = play([STILL] * 8, {0: BUY, 2: BUY, 3: SELL, 5: SELL, 6: SELL})
    assert (done.trades.entry.tolist(), done.trades.exit.tolist()) == ([1], [4])


def test_a_signal_at_the_last_close_orders_nothing(play: Play) -> None:
    done = play([STILL, STILL, STILL], {2: BUY})
    assert len(done.trades) == 0


def test_a_position_that_is_open_at_the_end_is_marked_and_not_sold(play: Play) -> None:
    done = play([STILL, STILL, (100, 130, 100, 120)], {0: BUY}, costs=Costs(fee=0.01, slippage=0.02))
    units = 10_000 / (102 * 1.01)
    assert (reasons(done), done.trades.exit.tolist()) == (["open_at_end"], [2])
    assert done.trades.exit_price.tolist() == [120.0]
    assert done.trades.fees.tolist() == pytest.approx([units * 1.02])
    assert done.equity[-1] == pytest.approx(units * 120)
    assert done.trades.pnl[0] == pytest.approx(done.equity[-1] - 10_000)


def test_bars_before_the_start_are_read_and_never_traded(play: Play) -> None:
    bars = [STILL, STILL, STILL, STILL, STILL, STILL]
    assert len(play(bars, {0: BUY, 2: BUY}, first=3).trades) == 0
    done = play(bars, {0: BUY, 3: BUY}, first=3)
    assert done.trades.entry.tolist() == [1]
    assert len(done.equity) == 3


def test_exposure_is_the_share_of_bars_with_a_position(play: Play) -> None:
    done = play([STILL] * 8, {0: BUY, 3: SELL})
    # In bars 1, 2 and 3; at the open of bar 4 it is left.
    assert done.exposure == 3 / 8


# stops and targets


def test_a_stop_holds_on_the_bar_of_the_entry(play: Play) -> None:
    done = play([STILL, (100, 101, 97, 99.5), STILL], {0: BUY}, stop="0.02", costs=Costs(fee=0.0, slippage=0.01))
    # Entered at 101, so the stop lies at 98.98 and fills at 98.98 x 0.99.
    assert (done.trades.entry.tolist(), done.trades.exit.tolist(), reasons(done)) == ([1], [1], ["stop"])
    assert done.trades.exit_price.tolist() == pytest.approx([97.9902])


def test_a_stop_is_looked_at_before_the_target(play: Play) -> None:
    done = play([STILL, STILL, (100, 106, 97, 100), STILL], {0: BUY}, stop="0.02", target="0.05")
    assert (reasons(done), done.trades.exit_price.tolist()) == (["stop"], [98.0])


def test_a_stop_and_a_target_that_are_just_touched_fill(play: Play) -> None:
    bars = [STILL, STILL, (100, 102, 98, 100), STILL]
    assert reasons(play(bars, {0: BUY}, stop="0.02")) == ["stop"]
    assert reasons(play(bars, {0: BUY}, target="0.02")) == ["target"]
    assert reasons(play(bars, {0: BUY}, stop="0.0201", target="0.0201")) == ["open_at_end"]


def test_a_gap_through_the_stop_fills_at_the_open(play: Play) -> None:
    done = play(
        [STILL, STILL, (95, 96, 94, 95), STILL], {0: BUY}, stop="0.02", target="0.05", costs=Costs(0.0, slippage=0.01)
    )
    assert (reasons(done), done.trades.exit_price.tolist()) == (["stop"], pytest.approx([94.05]))


def test_a_gap_through_the_target_fills_at_the_open(play: Play) -> None:
    done = play([STILL, STILL, (110, 111, 108, 109), STILL], {0: BUY}, stop="0.02", target="0.05")
    assert (reasons(done), done.trades.exit_price.tolist()) == (["target"], [110.0])


def test_a_target_fills_without_slippage_at_the_makers_fee(play: Play) -> None:
    costs = Costs(fee=0.004, slippage=0.01, maker=0.0025)
    done = play([STILL, STILL, (100, 110, 100, 108), STILL], {0: BUY}, target="0.05", costs=costs)
    units = 10_000 / (101 * 1.004)
    # 5 % from the fill at 101
    assert done.trades.exit_price.tolist() == pytest.approx([106.05])
    assert done.trades.fees.tolist() == pytest.approx([units * 101 * 0.004 + units * 106.05 * 0.0025])


def test_levels_lie_on_the_prices_that_the_venue_takes(play: Play) -> None:
    bars = [STILL, (100.3, 100.4, 100.2, 100.3), (100, 100, 90, 95), STILL]
    done = play(bars, {0: BUY}, stop="0.02", price_increment="0.5")
    # 100.3 x 0.98 = 98.294, to the nearest half
    assert done.trades.exit_price.tolist() == [98.5]


def test_a_stop_out_leaves_the_account_free_for_the_next_entry(play: Play) -> None:
    bars = [STILL, (100, 100, 97, 99), STILL, STILL, STILL]
    done = play(bars, {0: BUY, 1: BUY}, stop="0.02")
    assert (done.trades.entry.tolist(), reasons(done)) == ([1, 2], ["stop", "open_at_end"])


def test_a_pending_exit_fills_at_the_open_before_the_stop_of_that_bar(play: Play) -> None:
    done = play([STILL, STILL, STILL, (99, 99, 90, 92), STILL], {0: BUY, 2: SELL}, stop="0.02")
    assert (reasons(done), done.trades.exit_price.tolist()) == (["signal"], [99.0])


def test_a_stop_out_calls_off_an_exit_that_is_still_on_its_way(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    late(monkeypatch, b1=1)
    bars = [STILL, STILL, (100, 100, 97, 99), STILL, STILL, STILL]
    costs = Costs(fee=0.0, slippage=0.0, model="realistic")
    done = play(bars, {0: BUY, 1: SELL, 3: BUY}, stop="0.02", costs=costs)
    # The exit would have arrived at bar 3; a new position of bar 4 is none of its business.
    assert (done.trades.exit.tolist(), reasons(done)) == ([2, 5], ["stop", "open_at_end"])


# time


def test_an_entry_into_a_market_that_had_closed_is_cancelled(play: Play) -> None:
    done = play([STILL] * 5, {2: BUY}, hours=[0, 1, 2, 5, 6])
    assert (len(done.trades), done.closed_market) == (0, 1)


def test_an_exit_waits_for_the_market_to_open(play: Play) -> None:
    bars = [STILL, STILL, STILL, (90, 91, 89, 90), STILL]
    done = play(bars, {0: BUY, 2: SELL}, hours=[0, 1, 2, 5, 6])
    assert (done.trades.exit.tolist(), reasons(done)) == ([3], ["signal"])
    assert done.trades.exit_price.tolist() == [90.0]


def test_an_order_that_misses_the_next_open_fills_at_a_later_one(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    late(monkeypatch, b0=2, b5=1)
    bars = [(100.0 + at, 100.0 + at, 100.0 + at, 100.0 + at) for at in range(10)]
    done = play(bars, {0: BUY, 5: SELL}, costs=Costs(fee=0.0, slippage=0.0, model="realistic"))
    assert (done.trades.entry.tolist(), done.trades.exit.tolist()) == ([3], [7])


def test_a_late_entry_does_not_outlive_a_market_that_had_closed(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    late(monkeypatch, b1=1)
    costs = Costs(fee=0.0, slippage=0.0, model="realistic")
    done = play([STILL] * 6, {1: BUY}, hours=[0, 1, 4, 5, 6, 7], costs=costs)
    assert (len(done.trades), done.closed_market) == (0, 1)


# size


def test_a_size_loses_the_risk_at_the_stop(play: Play) -> None:
    done = play([STILL, STILL, (100, 100, 95, 97)], {0: BUY}, sizing="risk", share="0.01", stop="0.02")
    # 10,000 x 1 % / (100 x 2 %) = 50 units, 2 lost on each
    assert done.trades.quantity.tolist() == pytest.approx([50.0])
    assert done.trades.pnl.tolist() == pytest.approx([-100.0])


def test_a_size_is_fixed_at_the_decision_and_not_at_the_fill(play: Play) -> None:
    done = play([STILL, (50, 50, 50, 50)], {0: BUY}, sizing="fixed_fraction", share="0.5")
    assert done.trades.quantity.tolist() == pytest.approx([50.0])


def test_a_size_shrinks_to_what_the_cash_pays_at_the_fill(play: Play) -> None:
    done = play([STILL, (125, 125, 125, 125)], {0: BUY}, sizing="fixed_fraction", share="1", costs=Costs(0.0, 0.0))
    assert done.trades.quantity.tolist() == pytest.approx([80.0])


def test_a_fixed_amount_is_never_more_than_a_tenth_of_equity(play: Play) -> None:
    done = play([STILL] * 3, {0: BUY}, sizing="fixed_amount", initial_balance=5_000.0)
    assert done.trades.quantity.tolist() == pytest.approx([5.0])
    rich = play([STILL] * 3, {0: BUY}, sizing="fixed_amount", initial_balance=50_000.0)
    assert rich.trades.quantity.tolist() == pytest.approx([10.0])


def test_concentration_limits_a_size(play: Play) -> None:
    done = play([STILL] * 3, {0: BUY}, sizing="risk", share="0.05", stop="0.005", concentration="0.25")
    assert done.trades.quantity.tolist() == pytest.approx([25.0])


def test_a_size_of_nothing_is_counted_and_not_traded(play: Play) -> None:
    done = play([STILL] * 3, {0: BUY}, sizing="fixed_fraction", share="0.000000000001")
    assert (len(done.trades), done.too_small) == (0, 1)


# short positions


def test_a_sell_without_a_position_opens_a_short_one_only_where_that_is_allowed(play: Play) -> None:
    bars = [STILL, STILL, (100, 100, 90, 90), (80, 80, 80, 80)]
    assert len(play(bars, {0: SELL}).trades) == 0
    done = play(bars, {0: SELL, 2: BUY}, allow_short=True, costs=Costs(fee=0.01, slippage=0.0))
    trades, units = done.trades, 10_000 / 101
    assert (trades.side.tolist(), trades.exit.tolist(), reasons(done)) == ([-1], [3], ["signal"])
    assert trades.exit_price.tolist() == [80.0]
    assert trades.pnl.tolist() == pytest.approx([units * 20 - units * 1.0 - units * 0.8])
    assert done.equity[2] == pytest.approx(10_000 + units * 10 - units)


def test_stop_and_target_of_a_short_position_lie_on_the_other_sides(play: Play) -> None:
    account = {"allow_short": True, "stop": "0.02", "target": "0.05"}
    stopped = play([STILL, STILL, (100, 103, 94, 99), STILL], {0: SELL}, **account)
    assert (reasons(stopped), stopped.trades.exit_price.tolist()) == (["stop"], [102.0])
    gapped = play([STILL, STILL, (104, 105, 103, 104), STILL], {0: SELL}, **account)
    assert gapped.trades.exit_price.tolist() == [104.0]
    reached = play([STILL, STILL, (100, 101, 94, 99), STILL], {0: SELL}, **account)
    assert (reasons(reached), reached.trades.exit_price.tolist()) == (["target"], [95.0])
    better = play([STILL, STILL, (93, 101, 92, 99), STILL], {0: SELL}, **account)
    assert better.trades.exit_price.tolist() == [93.0]


def test_a_short_position_that_eats_the_account_ends_it(play: Play) -> None:
    bars = [STILL, STILL, (150, 250, 150, 240), STILL, STILL, STILL]
    done = play(bars, {0: SELL, 3: SELL}, allow_short=True)
    assert (done.ruined, reasons(done)) == (True, ["liquidation"])
    assert done.trades.exit_price.tolist() == [240.0]
    # 100 units sold at 100: 20,000 in cash, and 24,000 to buy them back
    assert done.equity.tolist() == pytest.approx([10_000, 10_000, -4_000, -4_000, -4_000, -4_000])


# margin


def test_a_wick_to_the_liquidation_price_takes_a_borrowed_position(play: Play) -> None:
    """0.1 at 50,000 with a leverage of 10, a balance of 1,000 and 50 % maintenance: at 42,500, short at 57,500."""
    price = (50_000.0, 50_000.0, 50_000.0, 50_000.0)
    account = {"sizing": "fixed_fraction", "share": "5", "leverage": 10.0, "initial_balance": 1_000.0}
    for side, spared, reached, level in (
        (BUY, (50_000, 50_000, 42_501, 50_000), (50_000, 50_000, 42_500, 50_000), 42_500.0),
        (SELL, (50_000, 57_499, 50_000, 50_000), (50_000, 57_500, 50_000, 50_000), 57_500.0),
    ):
        assert reasons(play([price, price, spared], {0: side}, allow_short=True, **account)) == ["open_at_end"]
        done = play([price, price, reached], {0: side}, allow_short=True, **account)
        assert done.trades.quantity.tolist() == pytest.approx([0.1])
        assert (reasons(done), done.trades.exit_price.tolist()) == (["liquidation"], pytest.approx([level]))


def test_a_forced_sale_pays_three_times_the_slippage(play: Play) -> None:
    price = (50_000.0, 50_000.0, 50_000.0, 50_000.0)
    done = play(
        [price, price, (50_000, 50_000, 40_000, 45_000)], {0: BUY}, sizing="fixed_fraction", share="5", leverage=10.0,
        initial_balance=1_000.0, costs=Costs(fee=0.0, slippage=0.001),
    )  # fmt: skip
    # Entered at 50,050: what is left of the balance when the loss has eaten it down to half the margin.
    level = 50_050 - (1_000 - 0.1 * 50_050 / 10 * 0.5) / 0.1
    assert done.trades.exit_price.tolist() == pytest.approx([level * 0.997])


def test_nothing_is_liquidated_that_was_not_borrowed(play: Play) -> None:
    done = play([STILL, STILL, (100, 100, 1, 2), STILL], {0: BUY})
    assert reasons(done) == ["open_at_end"]


def test_of_stop_and_liquidation_the_nearer_one_comes_first(play: Play) -> None:
    price = (50_000.0, 50_000.0, 50_000.0, 50_000.0)
    account = {"sizing": "fixed_fraction", "share": "5", "leverage": 10.0, "initial_balance": 1_000.0}
    falling = [price, price, (50_000, 50_000, 30_000, 31_000)]
    assert reasons(play(falling, {0: BUY}, stop="0.1", **account)) == ["stop"]
    forced = play(falling, {0: BUY}, stop="0.2", **account)
    assert (reasons(forced), forced.trades.exit_price.tolist()) == (["liquidation"], pytest.approx([42_500.0]))
