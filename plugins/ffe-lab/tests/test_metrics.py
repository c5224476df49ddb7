from __future__ import annotations

import dataclasses
import importlib
import math
from decimal import Decimal

import empyrical
import numpy as np
import pytest
from ffe_lab.drawdown import deepest_drawdown, drawdown, under_water, walk_columns
from ffe_lab.inference import min_track_record_length, psr
from ffe_lab.metrics import (
    Metrics,
    annual_return,
    annual_volatility,
    autocorrelation,
    concentration_of,
    headline,
    longest_streaks,
    measure,
    sharpe_ratio,
    sortino_ratio,
    tail_risk,
    treynor_ratio,
)
from ffe_lab.returns import daily_rate
from ffe_lab.trades import Floats, Trades
from ffe_lab.trials import Tried
from ffe_lab.walk import walk
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import signal, stats

from ffe_core import AssetKind

HOUR, DAY = 3_600_000, 86_400_000
START = 18_262 * DAY
KINDS = st.sampled_from([AssetKind.CRYPTO, AssetKind.FOREX, AssetKind.STOCK, AssetKind.UNKNOWN])
SEEDS = st.integers(0, 2**32 - 1)


def drawn(days: int, seed: int) -> Floats:
    """Returns to four decimals, of any mean and deviation, with days on which nothing happens."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(rng.normal(0, 0.01), rng.exponential(0.03), days) * (rng.random(days) > rng.random() / 2)
    return np.clip(returns, -0.5, 0.5).round(4) + 0.0


DAILY = st.builds(drawn, st.integers(2, 300), SEEDS)


def trades_of(pnl: list[float], fee: float = 0.5) -> Trades:
    n = len(pnl)
    bars, ones = np.arange(n, dtype=np.int64), np.ones(n)
    return Trades(
        np.ones(n, np.int8), bars, bars, ones, ones, ones, ones * fee, np.array(pnl, float), np.zeros(n, np.int8)
    )


def run(equity: list[float] | Floats, pnl: list[float] | None = None, step: int = DAY, **more: object) -> Metrics:
    closes = START + step * np.arange(1, len(equity) + 1, dtype=np.int64)
    settings: dict[str, object] = {"initial_balance": 100.0, "kind": AssetKind.CRYPTO, **more}
    return measure(closes=closes, equity=np.array(equity, float), trades=trades_of(pnl or []), **settings)  # type: ignore[arg-type]


def grown(returns: Floats) -> Floats:
    return np.cumprod(np.concatenate(([100.0], 1 + returns)))[1:]


def market_days(days: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(0.001, 0.02, days)


@given(DAILY, KINDS, st.floats(0, 0.1))
def test_sharpe_and_sortino_are_those_of_empyrical(returns: Floats, kind: AssetKind, risk_free: float) -> None:
    periods = {AssetKind.FOREX: 260, AssetKind.STOCK: 252}.get(kind, 365)
    rate = daily_rate(risk_free, periods)
    found = sharpe_ratio(returns, kind, risk_free)
    if found is None:
        assert np.ptp(returns) < 1e-9
    else:
        assert found == pytest.approx(empyrical.sharpe_ratio(returns, rate, annualization=periods), rel=1e-9, abs=1e-12)
    downside = sortino_ratio(returns, rate, periods)
    if downside is None:
        assert (returns >= rate).all()
    else:
        expected = empyrical.sortino_ratio(returns, rate, annualization=periods)
        assert downside == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(DAILY)
def test_volatility_and_drawdown_are_those_of_empyrical(returns: Floats) -> None:
    assert annual_volatility(returns, 365) == pytest.approx(empyrical.annual_volatility(returns, annualization=365))
    assert drawdown(grown(returns), 100.0).fraction == pytest.approx(-empyrical.max_drawdown(returns), abs=1e-12)


def test_growth_and_calmar_are_those_of_empyrical_over_calendar_years() -> None:
    returns = market_days(700)
    found = run(grown(returns))
    assert found.annual_return == pytest.approx(empyrical.annual_return(returns, annualization=365.25), rel=1e-9)
    assert found.calmar == pytest.approx(empyrical.calmar_ratio(returns, annualization=365.25), rel=1e-9)
    assert found.total_return == pytest.approx(empyrical.cum_returns_final(returns), rel=1e-9)


def test_treynor_divides_by_the_slope_of_a_regression_on_the_market() -> None:
    market = market_days(500, 1)
    returns = 0.6 * market + market_days(500, 2)
    slope = stats.linregress(market, returns).slope
    rate = daily_rate(0.02, 365)
    found = treynor_ratio(returns, market, rate, 365)
    assert found == pytest.approx((returns.mean() - rate) * 365 / slope, rel=1e-9)
    assert slope == pytest.approx(empyrical.beta(returns, market), rel=1e-9)
    assert run(grown(returns), risk_free=0.02, benchmark=market).treynor == pytest.approx(found, rel=1e-9)


def test_treynor_needs_a_market_that_moves_on_the_same_days() -> None:
    returns = market_days(40)
    assert treynor_ratio(returns, np.zeros(40), 0.0, 365) is None
    assert treynor_ratio(np.zeros(40), returns, 0.0, 365) is None
    with pytest.raises(ValueError, match="no beta"):
        treynor_ratio(returns, returns[1:], 0.0, 365)


@pytest.mark.parametrize(
    ("count", "confidence", "rank"),
    # k = n (1 - c), half to even: 2.5 is 2 and 4.5 is 4, where floats say 3 and 5; the list is counted from 0.
    [
        (50, "0.95", 2),
        (90, "0.95", 4),
        (70, "0.95", 4),
        (100, "0.95", 5),
        (100, "0.99", 1),
        (30, "0.99", 0),
        (1, "0.95", 0),
    ],
)
def test_value_at_risk_is_the_loss_of_that_rank(count: int, confidence: str, rank: int) -> None:
    losses = np.arange(count, 0, -1) / 1000
    shuffled = np.random.default_rng(0).permutation(-losses)
    at_risk, shortfall = tail_risk(shuffled, Decimal(confidence))
    assert at_risk == losses[rank]
    assert shortfall == pytest.approx(losses[: rank + 1].mean(), rel=1e-12)


def test_gains_are_no_risk() -> None:
    assert tail_risk(np.full(40, 0.01), Decimal("0.95")) == (0.0, 0.0)
    with pytest.raises(ValueError, match="no return"):
        tail_risk(np.empty(0), Decimal("0.95"))


@given(
    st.lists(st.integers(-20, 300).map(float), max_size=60),
    st.integers(1, 200).map(float),
)
def test_drawdown_is_what_a_plain_walk_over_the_bars_finds(equity: list[float], initial: float) -> None:
    peak, since, deepest, amount, longest, squares = initial, -1, 0.0, 0.0, 0, 0.0
    for bar, value in enumerate(equity):
        if value >= peak:
            longest = max(longest, bar - since if bar - since > 1 else 0)
            peak, since = value, bar
        deepest, amount = max(deepest, 1 - value / peak), max(amount, peak - value)
        squares += (1 - value / peak) ** 2
    longest = max(longest, len(equity) - 1 - since)
    found = drawdown(np.array(equity), initial)
    assert (found.amount, found.bars) == (amount, longest)
    assert found.fraction == pytest.approx(deepest, abs=1e-12)
    assert found.ulcer == pytest.approx(math.sqrt(squares / len(equity)) if equity else 0.0, abs=1e-12)


@pytest.mark.parametrize("drift", [-1e-4, 0.0, 1e-4, 1e-3])
@pytest.mark.parametrize("bars", [511, 512, 8192, 8193, 50_001])
def test_pieces_of_equity_make_the_drawdown_of_the_whole(bars: int, drift: float) -> None:
    equity = 100 * np.exp(np.cumsum(np.random.default_rng(3).normal(drift, 0.002, bars)))
    peaks = np.maximum(np.maximum.accumulate(equity), 100.0)
    reached = np.concatenate([[-1], np.flatnonzero(equity == peaks), [bars - 1]])
    found = drawdown(equity, 100.0)
    assert found.fraction == ((peaks - equity) / peaks).max() == deepest_drawdown(equity, 100.0)
    assert found.amount == (peaks - equity).max()
    assert found.bars == np.diff(reached).max()
    assert found.ulcer == pytest.approx(np.sqrt(((1 - equity / peaks) ** 2).mean()), rel=1e-9)


@pytest.mark.parametrize("high", [100.5, 1000.0])
def test_a_debt_before_a_new_peak_counts_in_full(high: float) -> None:
    equity = np.array([90.0, -50.0, 80.0, high, high])
    assert deepest_drawdown(equity, 100.0) == drawdown(equity, 100.0).fraction == 1.5


@given(st.integers(0, 20_000), SEEDS, st.floats(-0.002, 0.002), st.sampled_from([0.0, 60.0, 150.0]), st.booleans())
def test_columns_give_the_bits_of_the_walk(bars: int, seed: int, drift: float, debt: float, whole: bool) -> None:
    equity = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, 0.01, bars))) - debt
    equity = equity.round() if whole else equity
    assert walk_columns(equity, 100.0) == walk(equity.tolist(), 100.0)


def test_machine_code_gives_the_bits_of_the_columns() -> None:
    importlib.import_module("numba")
    machine = under_water()
    assert machine is not walk_columns
    for seed in range(20):
        equity = 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 20_000)))
        assert machine(equity, 100.0) == walk_columns(equity, 100.0)


@given(st.integers(0, 3000), SEEDS, st.floats(1, 200), st.floats(-0.002, 0.002), st.sampled_from([0.0, 60.0, 150.0]))
def test_the_quick_drawdown_is_the_exact_one(bars: int, seed: int, initial: float, drift: float, debt: float) -> None:
    steps = np.random.default_rng(seed).normal(drift, 0.01, bars)
    equity = 100 * np.exp(np.cumsum(steps)) - debt
    assert deepest_drawdown(equity, initial) == drawdown(equity, initial).fraction


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("measured", [drawdown, deepest_drawdown])
def test_an_equity_that_is_no_number_is_refused(measured: object, bad: float) -> None:
    equity = np.full(10_000, 100.0)
    equity[9_000] = bad
    with pytest.raises(ValueError, match="no number"):
        measured(equity, 100.0)  # type: ignore[operator]
    with pytest.raises(ValueError, match="must be positive"):
        measured(equity[:5], 0.0)  # type: ignore[operator]


def test_trades_are_counted_and_averaged() -> None:
    found = run([100.0] * 40, pnl=[30.0, -10.0, 0.0, 10.0, 20.0, -20.0, -5.0, -5.0])
    assert (found.total_trades, found.winning_trades, found.losing_trades, found.break_even_trades) == (8, 3, 4, 1)
    assert found.win_rate == 3 / 8
    assert (found.average_win, found.average_loss) == (20.0, 10.0)
    assert found.profit_factor == 1.5
    assert found.total_fees == 4.0
    assert (found.longest_winning_streak, found.longest_losing_streak) == (2, 3)


@given(st.lists(st.sampled_from([-1.0, 0.0, 2.0]), max_size=40))
def test_streaks_are_the_longest_words_of_wins_and_losses(pnl: list[float]) -> None:
    letters = "".join("w" if value > 0 else "l" if value < 0 else " " for value in pnl)
    words = [max(map(len, letters.replace(other, " ").split()), default=0) for other in "lw"]
    assert list(longest_streaks(np.array(pnl))) == words


def test_concentration_is_none_where_winners_win_the_same_and_all_where_one_wins_everything() -> None:
    assert concentration_of(np.array([5.0, 5.0, 5.0, -9.0])) == pytest.approx(0.0, abs=1e-12)
    assert concentration_of(np.array([1e9, 1e-9, 1e-9])) == pytest.approx(1.0)
    # Shares 1/2, 1/4, 1/4: squares sum to 3/8, (3/8 - 1/3) / (2/3) is 1/16.
    assert concentration_of(np.array([2.0, 1.0, 1.0])) == pytest.approx(1 / 16)
    assert concentration_of(np.array([2.0, 1.0, -1.0])) is None


def test_autocorrelation_is_that_of_a_correlogram() -> None:
    pnl = np.random.default_rng(5).normal(1, 10, 200)
    pnl[1:] += 0.5 * pnl[:-1]
    centred = pnl - pnl.mean()
    lags = signal.correlate(centred, centred)
    assert autocorrelation(pnl) == pytest.approx(lags[200] / lags[199], rel=1e-9)
    assert autocorrelation(np.full(50, 3.0)) is None
    assert autocorrelation(pnl[:29]) is None


def test_skill_is_judged_by_daily_returns_and_the_trials() -> None:
    returns = market_days(400)
    pnl = [1.0, -1.0] * 20
    found = run(grown(returns), pnl=pnl, trials=Tried(10, 0.001), exposure=0.5)
    per_day = returns.mean() / returns.std(ddof=1)
    shape = float(stats.skew(returns)), float(stats.kurtosis(returns, fisher=False))
    assert found.psr == pytest.approx(psr(per_day, 400, *shape), rel=1e-9)
    assert found.min_track_record_length == pytest.approx(min_track_record_length(per_day, *shape), rel=1e-9)
    assert found.dsr is not None and found.psr is not None and found.dsr < found.psr
    assert (found.trials, found.exposure) == (10, 0.5)
    assert run(grown(returns), pnl=pnl, trials=Tried(1, None)).dsr == found.psr


def test_few_days_and_few_trades_are_not_shown() -> None:
    days = run(grown(market_days(29)), pnl=[1.0] * 30)
    assert [days.sharpe, days.sortino, days.annual_return, days.annual_volatility, days.calmar] == [None] * 5
    assert [days.var_95, days.es_99, days.psr, days.dsr, days.min_track_record_length] == [None] * 5
    assert days.win_rate == 1.0 and days.total_return is not None
    trades = run(grown(market_days(30)), pnl=[1.0] * 29)
    assert trades.sharpe is not None and trades.var_95 is not None
    assert [trades.psr, trades.dsr, trades.min_track_record_length, trades.pnl_autocorrelation] == [None] * 4


def test_hours_make_the_same_days() -> None:
    hourly = np.repeat(grown(market_days(60)), 24)
    found, daily = run(hourly, step=HOUR), run(grown(market_days(60)))
    assert (found.sharpe, found.sortino, found.var_95) == (daily.sharpe, daily.sortino, daily.var_95)
    assert found.annual_return == pytest.approx(daily.annual_return)


def test_a_run_that_never_trades_has_no_ratio_and_no_drawdown() -> None:
    found = run([100.0] * 60)
    assert (found.total_return, found.annual_return, found.annual_volatility, found.max_drawdown) == (0, 0, 0, 0)
    assert (found.var_95, found.es_99, found.ulcer_index, found.max_drawdown_bars) == (0, 0, 0, 0)
    assert [found.sharpe, found.sortino, found.calmar, found.recovery_factor, found.profit_factor] == [None] * 5
    assert [found.win_rate, found.average_win, found.average_loss, found.concentration] == [None] * 4


@pytest.mark.parametrize("rate", [0.001, 1 / 3, 1e-8])
def test_growth_without_any_change_has_no_ratio(rate: float) -> None:
    found = run([100 * (1 + rate) ** day for day in range(1, 61)])
    assert (found.sharpe, found.sortino, found.calmar) == (None, None, None)


def test_one_bar_and_none_are_measured() -> None:
    one = run([90.0], pnl=[-10.0])
    assert (one.final_value, one.max_drawdown, one.max_drawdown_bars, one.recovery_factor) == (90, 0.1, 1, -1)
    assert [one.total_return, one.ulcer_index] == pytest.approx([-0.1, 0.1])
    none = run([])
    assert (none.final_value, none.total_return, none.total_trades) == (100, 0, 0)


def test_who_ends_with_nothing_has_lost_everything_a_year() -> None:
    found = run([100.0, 50.0] + [0.0] * 60)
    assert (found.total_return, found.annual_return, found.max_drawdown, found.recovery_factor) == (-1, -1, 1, -1)
    assert found.sharpe is not None and found.sharpe < 0
    assert (found.var_99, found.es_99) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("final", "years", "expected"), [(200, 1, 1.0), (400, 2, 1.0), (50, 0.5, -0.75), (-5, 1, -1.0)]
)
def test_growth_compounds_over_years(final: float, years: float, expected: float) -> None:
    assert annual_return(100.0, final, years) == pytest.approx(expected)


def test_growth_beyond_numbers_and_without_time_is_none() -> None:
    assert annual_return(1.0, 1e300, 1e-3) is None
    assert annual_return(100.0, 110.0, None) is None
    assert annual_return(100.0, 110.0, 0.0) is None


@given(
    arrays(np.float64, st.integers(0, 120), elements=st.sampled_from([-5.0, 0.0, 1e-300, 1e-9, 1.0, 100.0, 1e9])),
    st.lists(st.sampled_from([-1e9, -1.0, 0.0, 1e-300, 1.0, 1e9]), max_size=50),
    KINDS,
)
def test_whatever_happened_no_measure_is_nan_or_infinite(equity: Floats, pnl: list[float], kind: AssetKind) -> None:
    found = run(equity, pnl, kind=kind, trials=Tried(3, 0.01), benchmark=None)
    for name, value in dataclasses.asdict(found).items():
        assert value is None or math.isfinite(value), name


def test_a_result_of_a_trade_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="what a trade made"):
        run([100.0], pnl=[float("nan")])


@given(st.integers(1, 2000), SEEDS, KINDS)
def test_the_headline_is_a_part_of_the_metrics(bars: int, seed: int, kind: AssetKind) -> None:
    equity = np.random.default_rng(seed).uniform(10, 500, bars).astype(np.float64)
    closes = START + HOUR * np.arange(1, len(equity) + 1, dtype=np.int64)
    given_ = {"closes": closes, "equity": equity, "trades": trades_of([1.0]), "initial_balance": 50.0, "kind": kind}
    short, full = headline(**given_), measure(**given_)  # type: ignore[arg-type]
    for name, value in dataclasses.asdict(short).items():
        assert value == getattr(full, name), name


def test_a_ranking_may_ask_for_a_sharpe_ratio_of_fewer_days() -> None:
    returns = market_days(10)
    closes = START + DAY * np.arange(1, 11, dtype=np.int64)
    given_ = {"closes": closes, "equity": grown(returns), "trades": trades_of([]), "kind": AssetKind.CRYPTO}
    assert headline(**given_, initial_balance=100.0).sharpe is None  # type: ignore[arg-type]
    found = headline(**given_, initial_balance=100.0, fewest_days=2).sharpe  # type: ignore[arg-type]
    assert found == pytest.approx(empyrical.sharpe_ratio(returns, annualization=365))
