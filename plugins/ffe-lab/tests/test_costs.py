from __future__ import annotations

import math

import numpy as np
import pytest
from ffe_lab.costs import Costs, delays, realistic_slippage, thin_hours
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import lognorm

from ffe_core import Asset, AssetKind, UsageError

REALISTIC = Costs(model="realistic")
BTC, EUR = Asset.parse("BTCUSD"), Asset.parse("EURUSD")


def hour_factor(hour: int) -> float:
    """Of a bar that opens at ``hour`` o'clock UTC."""
    return float(thin_hours(np.array([1_700_006_400_000 + hour * 3_600_000]))[0])


@pytest.mark.parametrize(
    ("asset", "notional", "hour", "expected"),
    [(BTC, 5000.0, 21, 0.00045), (BTC, 5000.0, 12, 0.0003), (EUR, 500.0, 12, 0.00015)],
)
def test_realistic_slippage_is_by_asset_size_and_hour(
    asset: Asset, notional: float, hour: int, expected: float
) -> None:
    slip = realistic_slippage(REALISTIC.base(asset), notional, hour_factor(hour), 0.0, REALISTIC.impact)
    assert slip == pytest.approx(expected, rel=1e-12)


def test_hours_from_20_to_2_utc_are_thin() -> None:
    assert [hour for hour in range(24) if hour_factor(hour) > 1] == [0, 1, 2, 20, 21, 22, 23]


@pytest.mark.parametrize(
    ("name", "base"), [("ETHUSD", 0.0002), ("GBPUSD", 0.0001), ("EURCHF", 0.0005), ("AAPL", 0.0005), ("SOLUSD", 0.0005)]
)
def test_the_deepest_markets_slip_least(name: str, base: float) -> None:
    assert REALISTIC.base(Asset.parse(name)) == base


@pytest.mark.parametrize(
    ("notional", "size"), [(999.99, 0.00005), (1000.0, 0.0001), (9999.99, 0.0001), (10_000.0, 0.0003)]
)
def test_larger_orders_slip_more(notional: float, size: float) -> None:
    assert realistic_slippage(0.0, notional, 1.0, 0.0, 0.01) == size


def test_an_order_moves_the_price_by_its_share_of_the_bars_volume() -> None:
    without = realistic_slippage(0.0002, 5000.0, 1.0, 0.0, 0.01)
    # A tenth of what the bar traded, by a factor of 0.01
    assert realistic_slippage(0.0002, 5000.0, 1.0, 50_000.0, 0.01) - without == pytest.approx(0.001)
    # Thin hours are no reason to count it more.
    assert realistic_slippage(0.0002, 5000.0, 1.5, 50_000.0, 0.01) == pytest.approx(0.00045 + 0.001)


@given(st.floats(1, 1e9), st.floats(1e-6, 1e12), st.floats(0, 100))
def test_the_impact_is_never_more_than_five_percent(notional: float, traded: float, impact: float) -> None:
    flat = realistic_slippage(0.0, notional, 1.0, 0.0, impact)
    assert 0 <= realistic_slippage(0.0, notional, 1.0, traded, impact) - flat <= 0.05 + 1e-15


@pytest.mark.parametrize(
    ("kind", "taker", "maker"),
    [(AssetKind.CRYPTO, 0.004, 0.0025), (AssetKind.FOREX, 0.001, 0.001), (AssetKind.STOCK, 0.001, 0.001)],
)
def test_fee_tiers_are_those_of_the_usual_venue(kind: AssetKind, taker: float, maker: float) -> None:
    costs = Costs.tiered(kind, slippage=0.002)
    assert (costs.fee, costs.maker_fee, costs.slippage) == (taker, maker, 0.002)


def test_without_a_makers_fee_a_target_pays_the_usual_one() -> None:
    assert Costs(fee=0.003).maker_fee == 0.003


def test_scaled_costs_are_all_of_them_scaled() -> None:
    twice = Costs(fee=0.001, slippage=0.0002, commission=3.0, maker=0.0005).scaled(2)
    assert (twice.fee, twice.slippage, twice.commission, twice.maker_fee) == (0.002, 0.0004, 6.0, 0.001)


def test_latency_is_lognormal_with_a_median_of_half_a_second() -> None:
    """The share of orders that miss a bar of one second, and of half a second, by the distribution of SciPy."""
    count = 200_000
    usual = lognorm(s=0.6, scale=0.5)
    for bar_ms in (500, 1000, 2000):
        found = delays(count, bar_ms, seed=3)
        share = float(usual.sf(bar_ms / 1000))
        assert np.count_nonzero(found) / count == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / count))
    assert delays(count, 60_000, seed=3).max() == 0


def test_latency_is_the_same_for_the_same_seed() -> None:
    assert delays(1000, 500, 7).tobytes() == delays(1000, 500, 7).tobytes() != delays(1000, 500, 8).tobytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {"fee": -0.1},
        {"fee": 0.5},
        {"slippage": math.nan},
        {"commission": -1.0},
        {"impact": math.inf},
        {"model": "kind"},
    ],
)
def test_costs_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Costs(**wrong)  # type: ignore[arg-type]
