from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from ffe_lab.returns import MetricsBasis, daily_equity, daily_rate, day_boundaries, periods_per_year
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import AssetKind, Timeframe

HOUR, DAY = 3_600_000, 86_400_000


def ms(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


def at(stamp: int) -> str:
    return f"{datetime.fromtimestamp(stamp / 1000, UTC):%a %Y-%m-%dT%H:%M}"


@pytest.mark.parametrize(("kind", "periods"), [("crypto", 365), ("unknown", 365), ("forex", 260), ("stock", 252)])
def test_a_year_has_as_many_periods_as_its_market_has_days(kind: str, periods: int) -> None:
    assert periods_per_year(AssetKind(kind)) == periods
    assert MetricsBasis.of(AssetKind(kind), 0.02).formula == f"sharpe_daily_{periods}_rf0.02"
    assert MetricsBasis.of(AssetKind(kind)).formula == f"sharpe_daily_{periods}_rf0"


def test_daily_rates_compound_to_the_annual_one() -> None:
    assert (1 + daily_rate(0.05, 365)) ** 365 == pytest.approx(1.05, rel=1e-12)
    assert daily_rate(0.0, 252) == 0.0
    with pytest.raises(ValueError, match="leaves nothing"):
        daily_rate(-1.0, 252)


def test_days_of_crypto_end_at_midnight_utc() -> None:
    found = day_boundaries(AssetKind.CRYPTO, ms("2024-02-28T01:00"), ms("2024-03-01T00:00"))
    assert [at(stamp) for stamp in found] == ["Thu 2024-02-29T00:00", "Fri 2024-03-01T00:00"]


def test_days_of_forex_end_at_five_in_new_york_on_weekdays_whatever_the_season() -> None:
    # The United States moved their clocks on Sunday 10 March 2024.
    found = day_boundaries(AssetKind.FOREX, ms("2024-03-07T23:00"), ms("2024-03-11T21:30"))
    assert [at(stamp) for stamp in found] == ["Fri 2024-03-08T22:00", "Mon 2024-03-11T21:00", "Tue 2024-03-12T21:00"]


def test_a_forex_year_has_its_weekdays() -> None:
    found = day_boundaries(AssetKind.FOREX, ms("2023-01-01T00:00"), ms("2023-12-29T22:00"))
    assert len(found) == len(pd.bdate_range("2023-01-01", "2023-12-31"))


@given(st.integers(0, 40 * 365 * 24), st.integers(0, 24 * 40), st.sampled_from([AssetKind.FOREX, AssetKind.CRYPTO]))
def test_boundaries_enclose_their_span_and_agree_with_daily_bars(start: int, length: int, kind: AssetKind) -> None:
    first = start * HOUR + 1
    last = first + length * HOUR
    found = day_boundaries(kind, first, last)
    assert np.all(np.diff(found) > 0)
    assert first <= found[0] and last <= found[-1]
    assert all(stamp < last for stamp in found[:-1])
    bars = {Timeframe.D1.close_of(Timeframe.D1.open_of(stamp - 1, kind), kind) for stamp in map(int, found)}
    assert bars == set(map(int, found))


def test_a_span_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="ends before it begins"):
        day_boundaries(AssetKind.CRYPTO, 5, 4)


def test_the_first_return_is_against_the_initial_balance_and_the_last_day_may_be_partial() -> None:
    closes = ms("2024-01-01T12:00") + np.arange(20) * 2 * HOUR
    equity = np.arange(101, 121).astype(np.float64)
    daily = daily_equity(closes, equity, AssetKind.CRYPTO, 100.0)
    # Closes at 12, 14, ..., 24 o'clock are seven bars, twelve more fill the next day, one is left over.
    assert daily.equity.tolist() == [100.0, 107.0, 119.0, 120.0]
    assert daily.returns.tolist() == pytest.approx([0.07, 119 / 107 - 1, 120 / 119 - 1])
    assert [at(stamp) for stamp in daily.days] == [
        "Tue 2024-01-02T00:00",
        "Wed 2024-01-03T00:00",
        "Thu 2024-01-04T00:00",
    ]


@given(st.integers(1, 400), st.integers(1, 36), st.integers(0, 10_000))
def test_days_of_crypto_are_those_that_pandas_groups(bars: int, step: int, seed: int) -> None:
    closes = ms("2024-01-01T00:00") + np.cumsum(np.random.default_rng(seed).integers(1, step + 1, bars)) * HOUR
    equity = np.random.default_rng(seed).uniform(50, 150, bars).astype(np.float64)
    index = pd.DatetimeIndex(pd.to_datetime(closes, unit="ms", utc=True))
    expected = pd.Series(equity, index).groupby(index.ceil("D")).last().asfreq("D").ffill()
    daily = daily_equity(closes, equity, AssetKind.CRYPTO, 100.0)
    assert daily.equity[1:].tolist() == expected.tolist()
    assert daily.days.tolist() == [stamp.value // 1_000_000 for stamp in expected.index]


def test_a_day_without_bars_is_flat_for_forex_and_none_for_stocks() -> None:
    # Monday 15 January 2024 was a holiday of American exchanges.
    closes = np.array([ms("2024-01-12T16:00", "America/New_York"), ms("2024-01-16T16:00", "America/New_York")])
    equity = np.array([110.0, 121.0])
    assert daily_equity(closes, equity, AssetKind.STOCK, 100.0).returns.tolist() == pytest.approx([0.1, 0.1])
    assert daily_equity(closes, equity, AssetKind.FOREX, 100.0).returns.tolist() == pytest.approx([0.1, 0.0, 0.1])


def test_a_stock_bar_after_the_session_belongs_to_the_next_one() -> None:
    closes = np.array([ms("2024-01-11T16:00", "America/New_York"), ms("2024-01-11T18:00", "America/New_York")])
    daily = daily_equity(closes, np.array([110.0, 120.0]), AssetKind.STOCK, 100.0)
    assert daily.equity.tolist() == [100.0, 110.0, 120.0]


def test_no_bar_is_no_day() -> None:
    daily = daily_equity(np.empty(0, np.int64), np.empty(0), AssetKind.CRYPTO, 100.0)
    assert len(daily) == 0 and daily.equity.tolist() == [100.0] and len(daily.returns) == 0


def test_who_has_lost_everything_earns_nothing_any_more() -> None:
    closes = ms("2024-01-02T00:00") + np.arange(5) * DAY
    daily = daily_equity(closes, np.array([50.0, 0.0, 0.0, -10.0, 20.0]), AssetKind.CRYPTO, 100.0)
    assert daily.returns.tolist() == [-0.5, -1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("balance", [0.0, -1.0, float("nan")])
def test_a_balance_that_is_not_positive_is_refused(balance: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        daily_equity(np.array([DAY]), np.array([1.0]), AssetKind.CRYPTO, balance)


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="are no series"):
        daily_equity(np.array([DAY, 2 * DAY]), np.array([1.0]), AssetKind.CRYPTO, 100.0)
