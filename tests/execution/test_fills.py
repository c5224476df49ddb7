"""The fill model against numbers worked out by hand, and its three forms against each other."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.execution import fills

D = Decimal
LONG, SHORT = 1, -1
BUY, SELL = 1, -1


def test_market_orders_slip_against_whoever_sends_them() -> None:
    # Ten basis points of slippage and a spread of five: the worked example of the mock cost profile.
    rate = D("0.001") + D("0.0005")
    assert fills.market_fill(D(50000), BUY, rate) == D(50075)
    assert fills.market_fill(D(50000), SELL, rate) == D(49925)


def test_half_the_slippage_is_what_a_limit_order_of_the_mock_profile_pays() -> None:
    assert fills.market_fill(D(50000), BUY, D("0.001") / 2 + D("0.0005")) == D(50050)


def test_the_fee_is_a_share_of_the_money_and_a_commission() -> None:
    assert fills.fee_of(D("0.02"), D(50000), D("0.0006"), D(0)) == D("0.6")
    assert fills.fee_of(D("0.02"), D(50000), D("0.00025"), D(0)) == D("0.25")
    assert fills.fee_of(D("0.02"), D(50000), D("0.00025"), D(1)) == D("1.25")


def test_all_in_leaves_nothing_but_the_fee() -> None:
    units = fills.all_in_units(D(1001), D(10), D("0.001"))
    assert units == 100
    assert units * 10 + fills.fee_of(units, D(10), D("0.001"), D(0)) == 1001


def test_brackets_stand_around_the_fill() -> None:
    assert fills.bracket(LONG, D(100), D("0.02"), D("0.05")) == (98, 105)
    assert fills.bracket(SHORT, D(100), D("0.02"), D("0.05")) == (102, 95)


def test_a_fraction_of_nothing_turns_its_level_off() -> None:
    assert fills.bracket(LONG, D(100), D(0), D("0.05")) == (0, 105)
    assert fills.bracket(SHORT, D(100), D("0.02"), D(0)) == (102, 0)


@pytest.mark.parametrize(
    ("side", "low", "high", "stopped", "reached"),
    [
        (LONG, "98.01", "104.99", False, False),
        (LONG, "98", "100", True, False),
        (LONG, "99", "105", False, True),
        (SHORT, "99", "101.99", False, False),
        (SHORT, "99", "102", True, False),
        (SHORT, "95", "100", False, True),
    ],
)
def test_levels_are_reached_by_the_extremes_of_a_bar(
    side: int, low: str, high: str, stopped: bool, reached: bool
) -> None:
    stop, target = fills.bracket(side, D(100), D("0.02"), D("0.05"))
    assert fills.stop_touched(side, stop, D(low), D(high)) is stopped
    assert fills.target_touched(side, target, D(low), D(high)) is reached


def test_a_stop_fills_at_its_level_and_at_the_open_where_the_bar_begins_beyond() -> None:
    assert fills.stop_price_at(LONG, D(98), D(100)) == 98
    assert fills.stop_price_at(LONG, D(98), D(90)) == 90
    assert fills.stop_price_at(SHORT, D(102), D(100)) == 102
    assert fills.stop_price_at(SHORT, D(102), D(110)) == 110


def test_a_target_fills_at_its_level_and_better_where_the_bar_begins_beyond() -> None:
    assert fills.target_price_at(LONG, D(105), D(100)) == 105
    assert fills.target_price_at(LONG, D(105), D(111)) == 111
    assert fills.target_price_at(SHORT, D(95), D(100)) == 95
    assert fills.target_price_at(SHORT, D(95), D(90)) == 90


def test_margin_is_called_where_the_balance_is_down_to_half_of_it() -> None:
    # 0.1 BTC at 50000 with ten times leverage: 500 of margin, of which 250 must stay of a balance of 1000.
    kept = fills.maintenance_margin(D("0.1"), D(50000), D(10), D("0.5"))
    assert kept == 250
    assert fills.liquidation_price(LONG, D(50000), D("0.1"), D(1000), kept) == 42500
    assert fills.liquidation_price(SHORT, D(50000), D("0.1"), D(1000), kept) == 57500


@pytest.mark.parametrize("side", [LONG, SHORT])
def test_nothing_is_called_where_nothing_was_lent(side: int) -> None:
    kept = fills.maintenance_margin(D("0.1"), D(50000), D(1), D("0.5"))
    assert fills.liquidation_price(side, D(50000), D("0.1"), D(1000), kept) == 0


def test_a_balance_that_outlasts_every_price_has_no_liquidation() -> None:
    assert fills.liquidation_price(LONG, D(100), D(1), D(500), D(50)) == 0


# one function, three forms

prices = st.decimals("0.00000001", "10000000", places=8)
rates = st.decimals(0, "0.5", places=6)
units = st.decimals("0.0001", "10000", places=4)
sides = st.sampled_from((1, -1))
FORMS: dict[Callable[..., Any], tuple[st.SearchStrategy[Any], ...]] = {
    fills.market_fill: (prices, sides, rates),
    fills.fee_of: (units, prices, rates, rates),
    fills.all_in_units: (prices, prices, rates),
    fills.bracket: (sides, prices, rates, rates),
    fills.stop_touched: (sides, prices, prices, prices),
    fills.target_touched: (sides, prices, prices, prices),
    fills.stop_price_at: (sides, prices, prices),
    fills.target_price_at: (sides, prices, prices),
    fills.maintenance_margin: (units, prices, st.integers(1, 50).map(Decimal), rates),
    fills.liquidation_price: (sides, prices, units, prices, rates),
}


def test_every_function_of_the_model_is_compared() -> None:
    public = {each for name, each in vars(fills).items() if callable(each) and each.__module__ == fills.__name__}
    assert set(FORMS) == public


@pytest.mark.parametrize("function", FORMS, ids=lambda each: each.__name__)
def test_decimals_floats_and_compiled_code_agree(function: Callable[..., Any]) -> None:
    compiled = numba.njit(function)

    @given(st.tuples(*FORMS[function]))
    def agree(arguments: tuple[Any, ...]) -> None:
        floats = [float(each) if isinstance(each, Decimal) else each for each in arguments]
        exact, plain, fast = function(*arguments), function(*floats), compiled(*floats)
        assert fast == plain
        rounding = 1e-12 * _size(arguments) if function is fills.liquidation_price else 0
        for one, other in zip(_values(exact), _values(plain), strict=True):
            assert float(one) == pytest.approx(float(other), rel=1e-12, abs=rounding)

    agree()


def _size(arguments: tuple[Any, ...]) -> float:
    """Of the terms of a liquidation price: a difference of large numbers keeps their rounding."""
    _, entry, held, balance, kept = (float(each) for each in arguments)
    return entry + (balance + kept) / held


def _values(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def test_money_stays_decimal() -> None:
    answers = (
        fills.market_fill(D(1), BUY, D("0.1")),
        *fills.bracket(LONG, D(1), D(0), D(0)),
        fills.maintenance_margin(D(1), D(1), D(1), D(1)),
        fills.liquidation_price(LONG, D(1), D(1), D(1), D(0)),
    )
    assert {type(answer) for answer in answers} == {Decimal}


def test_plugins_get_the_model_without_anything_heavy() -> None:
    code = (
        "import sys; import ffe_core.execution.fills; "
        "print([name for name in ('numpy', 'pandas', 'numba', 'sqlmodel', 'requests') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
