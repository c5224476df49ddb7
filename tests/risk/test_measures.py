"""Value at risk and correlation against worked numbers and another library."""

import random
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core.builtin.gate.measures import exposures, moves_since, scenarios, tie, value_at_risk
from ffe_core.domain.assets import Asset
from tests.risk.builders import account, held

D = Decimal
SPREAD = [n / 1000 for n in range(-50, 50)]


@pytest.mark.parametrize(("confidence", "var"), [("0.95", 0.045), ("0.99", 0.049)])
def test_var_of_a_hundred_evenly_spread_returns(confidence, var):
    assert value_at_risk(SPREAD, D(confidence))[0] == var


@pytest.mark.parametrize(
    ("count", "index"),
    # 1.5 and 2.5 and 4.5 to the even neighbour; in floats 50 x (1 - 0.95) is 2.5000000000000022
    [(30, 2), (50, 2), (60, 3), (70, 4), (90, 4), (100, 5)],
)
def test_the_index_is_rounded_half_to_even_in_decimals(count, index):
    returns = [-1 + n / 1000 for n in range(count)]
    assert value_at_risk(returns, D("0.95"))[0] == -returns[index]


def test_cvar_is_the_mean_of_the_worst_up_to_and_with_var():
    var, cvar = value_at_risk(SPREAD, D("0.95"))
    assert cvar == pytest.approx((0.050 + 0.049 + 0.048 + 0.047 + 0.046 + 0.045) / 6)
    assert cvar >= var


def test_a_portfolio_that_only_ever_gained_risks_nothing():
    assert value_at_risk([0.01] * 40, D("0.95")) == (0.0, 0.0)


def test_scenarios_are_signed_weights_on_the_days_that_all_have():
    returns = {
        "A": (("2024-03-01", 0.1), ("2024-03-02", -0.2), ("2024-03-04", 0.05)),
        "B": (("2024-03-02", 0.1), ("2024-03-03", 0.9), ("2024-03-04", -0.1)),
    }
    assert scenarios({"A": 0.5, "B": -1.0}, returns) == pytest.approx([-0.2, 0.125])
    assert scenarios({}, returns) == []


def days(values, first=1):
    return tuple((f"2024-03-{first + at:02}", value) for at, value in enumerate(values))


def correlation(x, y):
    return tie(moves_since(days(x), ""), moves_since(days(y), ""))


def test_correlation_of_a_series_with_itself_and_with_its_mirror():
    rng = random.Random(1)
    series = [rng.gauss(0, 0.02) for _ in range(20)]
    assert correlation(series, series) == (True, 1.0)
    assert correlation(series, [-3 * value for value in series]) == (True, -1.0)


def test_nine_points_and_a_flat_series_have_no_correlation():
    assert correlation(range(9), range(9)) == (False, None)
    assert correlation(range(10), range(10)) == (True, 1.0)
    assert correlation(range(30), [0.1] * 30) == (True, None)
    assert correlation((), ()) == (False, None)


@given(st.integers(0, 10_000), st.integers(10, 60))
def test_correlation_is_that_of_numpy(seed, count):
    rng = random.Random(seed)
    x = [rng.gauss(0, 0.02) for _ in range(count)]
    y = [0.6 * value + rng.gauss(0, 0.02) for value in x]
    assert correlation(x, y)[1] == pytest.approx(np.corrcoef(x, y)[0, 1], abs=0.00051)


@given(st.lists(st.floats(-0.5, 0.5), min_size=30, max_size=90), st.sampled_from(["0.9", "0.95", "0.99"]))
def test_var_is_an_order_statistic_that_numpy_sorts_alike(returns, confidence):
    var, cvar = value_at_risk(returns, D(confidence))
    ordered = np.sort(np.array(returns))
    exact = D(len(returns)) * (1 - D(confidence))
    index = round(exact)
    assert var == max(0.0, -float(ordered[index]))
    assert cvar == pytest.approx(max(0.0, -float(np.mean(ordered[: index + 1]))), abs=1e-12)


@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 12))
def test_correlation_is_of_the_days_of_both_inside_the_window(seed, early, late):
    rng = random.Random(seed)
    x, y = ([rng.gauss(0, 0.02) for _ in range(40)] for _ in range(2))
    found = tie(
        moves_since(days(x[early:], 1 + early), days(x)[5][0]), moves_since(days(y[: 40 - late]), days(y)[5][0])
    )
    both = slice(max(early, 5), 40 - late)
    assert found == (True, pytest.approx(np.corrcoef(x[both], y[both])[0, 1], abs=0.00051))


def test_exposure_is_signed_and_in_account_currency():
    yen = Asset.parse("USDJPY")
    found = exposures(account("0", held("-2", "100"), held("1000", "150", asset=yen)))
    assert found == {"BTCUSD": D(-200), "USDJPY": pytest.approx(D(1000))}


def test_what_cannot_be_valued_is_not_zero():
    assert exposures(account("0", held("10", "0.85", asset=Asset.parse("EURGBP")))) is None
