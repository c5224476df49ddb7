"""What a run was worth, in numbers that mean the same in every command of the lab.

Fractions, never percent; amounts in account currency. A number that does not exist is ``None``: what needs days is not
shown for fewer than ``FEWEST_DAYS`` of them, what judges skill not for fewer than ``FEWEST_TRADES`` either. Ratios rest
on daily returns (``returns.daily_equity``), drawdown on the equity of every bar.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from ffe_core import AssetKind
from ffe_lab.drawdown import deepest_drawdown, drawdown
from ffe_lab.inference import dsr, min_track_record_length, psr, shape_of
from ffe_lab.returns import Daily, daily_equity, daily_rate, periods_per_year
from ffe_lab.trades import Trades
from ffe_lab.trials import Tried

type Floats = NDArray[np.float64]
type Indices = NDArray[np.int64]

FEWEST_DAYS = FEWEST_TRADES = 30
_YEAR_MS = 365.25 * 86_400_000
#: what rounding leaves of a deviation where there is none: relative to the values, and of returns of any size
_NOISE, _ROUNDING = 1e-12, 1e-15


@dataclass(frozen=True, slots=True)
class Metrics:
    """Every measure of a run. Each field's formula stands at the function that computes it.

    ``average_loss`` is an amount, positive. A trade that is still open at the end counts by its mark, in fees and
    profit as in wins and losses. ``trials`` is how many configurations were tried, this one included.
    """

    initial_balance: float
    final_value: float
    total_return: float
    annual_return: float | None
    annual_volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float
    max_drawdown_bars: int
    recovery_factor: float | None
    ulcer_index: float
    var_95: float | None
    var_99: float | None
    es_95: float | None
    es_99: float | None
    total_trades: int
    winning_trades: int
    losing_trades: int
    break_even_trades: int
    win_rate: float | None
    average_win: float | None
    average_loss: float | None
    profit_factor: float | None
    total_fees: float
    exposure: float | None
    psr: float | None
    dsr: float | None
    trials: int | None
    treynor: float | None
    longest_winning_streak: int
    longest_losing_streak: int
    min_track_record_length: float | None
    concentration: float | None
    pnl_autocorrelation: float | None


@dataclass(frozen=True, slots=True)
class Headline:
    """The few measures that rank the runs of a sweep, defined as in ``Metrics``."""

    final_value: float
    total_return: float
    sharpe: float | None
    max_drawdown: float
    total_trades: int


def measure(
    *,
    closes: Indices,
    equity: Floats,
    trades: Trades,
    initial_balance: float,
    kind: AssetKind,
    risk_free: float = 0.0,
    exposure: float | None = None,
    benchmark: Floats | None = None,
    trials: Tried | None = None,
    begins: int | None = None,
    lag: int = 0,
) -> Metrics:
    """All metrics of one run.

    ``closes`` int64[n] epoch milliseconds at which bars were complete, ``equity`` float64[n] in account currency at
    those instants, ``initial_balance`` what there was before the first bar. ``risk_free`` is an annual rate,
    ``exposure`` the fraction of bars with a position, ``benchmark`` float64[d] daily returns of the market on the same
    days (for Treynor), ``trials`` what the ledger knows, ``begins`` the open of the first bar (epoch milliseconds; else
    one bar before its close), ``lag`` what is to be added to ``closes``, for columns of opens. Raises ``ValueError``
    for an equity that is no number, a balance that is not positive and a benchmark of other days.
    """
    daily = daily_equity(closes, equity, kind, initial_balance, lag=lag)
    fallen = drawdown(equity, initial_balance)
    final = float(daily.equity[-1])
    periods, enough = periods_per_year(kind), len(daily) >= FEWEST_DAYS
    annual = annual_return(initial_balance, final, _years(closes, begins, lag)) if enough else None
    rate = daily_rate(risk_free, periods)
    per_day = sharpe_per_period(daily.returns, rate) if enough else None
    var_95, es_95 = _tail(daily, Decimal("0.95"))
    var_99, es_99 = _tail(daily, Decimal("0.99"))
    chance, deflated, record = _skill(daily.returns, per_day if len(trades) >= FEWEST_TRADES else None, trials)
    return Metrics(
        initial_balance=initial_balance,
        final_value=final,
        total_return=final / initial_balance - 1,
        annual_return=annual,
        annual_volatility=annual_volatility(daily.returns, periods) if enough else None,
        sharpe=None if per_day is None else per_day * math.sqrt(periods),
        sortino=sortino_ratio(daily.returns, rate, periods) if enough else None,
        calmar=None if annual is None else _ratio(annual, fallen.fraction),
        max_drawdown=fallen.fraction,
        max_drawdown_bars=fallen.bars,
        recovery_factor=_ratio(final - initial_balance, fallen.amount),
        ulcer_index=fallen.ulcer,
        var_95=var_95,
        var_99=var_99,
        es_95=es_95,
        es_99=es_99,
        exposure=exposure,
        psr=chance,
        dsr=deflated,
        trials=None if trials is None else trials.count,
        treynor=treynor_ratio(daily.returns, benchmark, rate, periods) if enough and benchmark is not None else None,
        min_track_record_length=record,
        **_of_trades(trades),
    )


def headline(
    *,
    closes: Indices,
    equity: Floats,
    trades: Trades,
    initial_balance: float,
    kind: AssetKind,
    risk_free: float = 0.0,
    fewest_days: int = FEWEST_DAYS,
    lag: int = 0,
) -> Headline:
    """What a sweep ranks by: five of the metrics, at a fraction of the cost of all.

    ``fewest_days``: who only compares runs of one span with each other may ask for a Sharpe ratio of fewer days.
    ``lag`` as in ``measure``, and raises like it.
    """
    daily = daily_equity(closes, equity, kind, initial_balance, lag=lag)
    final = float(daily.equity[-1])
    ratio = sharpe_ratio(daily.returns, kind, risk_free) if len(daily) >= fewest_days else None
    deepest = deepest_drawdown(equity, initial_balance)
    return Headline(final, final / initial_balance - 1, ratio, deepest, len(trades))


def sharpe_ratio(returns: Floats, kind: AssetKind, risk_free: float = 0.0) -> float | None:
    """mean(r - rf_d) / std(r, ddof 1) x sqrt(A), of daily returns (Sharpe 1994).

    rf_d = (1 + rf)^(1 / A) - 1 from the annual rate, A trading days a year (``returns.periods_per_year``). ``None`` for
    fewer than two days and where nothing varies.
    """
    periods = periods_per_year(kind)
    per_day = sharpe_per_period(returns, daily_rate(risk_free, periods))
    return None if per_day is None else per_day * math.sqrt(periods)


def sharpe_per_period(returns: Floats, rate: float = 0.0) -> float | None:
    """mean(r - rate) / std(r, ddof 1), not annualised: what ``inference`` takes. ``None`` as in ``sharpe_ratio``."""
    deviation = _deviation(returns)
    return None if deviation is None else _finite((float(np.add.reduce(returns)) / len(returns) - rate) / deviation)


def sortino_ratio(returns: Floats, rate: float, periods: int) -> float | None:
    """mean(r - rf_d) / sqrt(mean(min(r - rf_d, 0)^2)) x sqrt(A): the target is rf_d, the denominator is over all days.

    Sortino and Price 1994. ``None`` without a day below the target.
    """
    if not len(returns):
        return None
    excess = returns - rate
    downside = math.sqrt(float(np.square(np.minimum(excess, 0.0)).mean()))
    return _ratio(float(excess.mean()) * math.sqrt(periods), downside)


def annual_return(initial: float, final: float, years: float | None) -> float | None:
    """Compound growth by calendar time: (final / initial)^(1 / years) - 1, a fraction; years have 365.25 days.

    -1 where nothing is left; ``None`` where no time passed, and for growth beyond what a float holds.
    """
    if years is None or not years > 0:
        return None
    if final <= 0:
        return -1.0
    try:
        return float((final / initial) ** (1 / years)) - 1
    except OverflowError:
        return None


def annual_volatility(returns: Floats, periods: int) -> float | None:
    """std(r, ddof 1) x sqrt(A) of daily returns, a fraction; ``None`` for fewer than two."""
    return float(returns.std(ddof=1)) * math.sqrt(periods) if len(returns) > 1 else None


def tail_risk(returns: Floats, confidence: Decimal) -> tuple[float, float]:
    """``(VaR, expected shortfall)`` of daily returns by historical simulation, fractions of equity, at least 0.

    With the returns sorted from the worst, VaR is the loss at k = n (1 - c), rounded half to even in decimals and kept
    inside the list; the shortfall is the mean loss of that return and all worse ones. The same definition as the risk
    rules'. Raises ``ValueError`` for no return.
    """
    if not len(returns):
        raise ValueError("no return, no value at risk")
    ordered = np.sort(returns)
    index = _tail_index(len(ordered), confidence)
    worst = -float(ordered[index])
    return max(0.0, worst), max(0.0, -float(ordered[: index + 1].mean()))


def treynor_ratio(returns: Floats, benchmark: Floats, rate: float, periods: int) -> float | None:
    """mean(r - rf_d) x A / beta with beta = cov(r, b) / var(b), of daily returns (Treynor 1965).

    ``None`` where the benchmark does not vary or beta is 0. Raises ``ValueError`` for series of different days.
    """
    if len(returns) != len(benchmark):
        raise ValueError(f"{len(returns)} daily returns have no beta against {len(benchmark)} of a benchmark")
    if _deviation(benchmark) is None:
        return None
    centred = benchmark - benchmark.mean()
    beta = float((centred * returns).sum() / np.square(centred).sum())
    return _ratio((float(returns.mean()) - rate) * periods, beta) if abs(beta) > _NOISE else None


def longest_streaks(pnl: Floats) -> tuple[int, int]:
    """``(winning, losing)``: the longest runs of trades above and below zero; a trade at zero ends both."""
    return _longest_run(pnl > 0), _longest_run(pnl < 0)


def concentration_of(pnl: Floats) -> float | None:
    """How few trades the gains come from: 0 where all winners won the same, towards 1 where one made everything.

    (H - 1 / n) / (1 - 1 / n) with H the sum of squared shares of the n winners in gross profit (Herfindahl-Hirschman,
    as in Lopez de Prado 2018, Advances in Financial Machine Learning, 14.5). ``None`` for fewer than three winners.
    """
    gains = pnl[pnl > 0]
    if len(gains) < 3:
        return None
    shares = gains / gains.sum()
    return _finite(max(0.0, (float(np.square(shares).sum()) - 1 / len(gains)) / (1 - 1 / len(gains))))


def autocorrelation(pnl: Floats) -> float | None:
    """Of each trade's profit with the one before: sum((x_t - m)(x_t+1 - m)) / sum((x_t - m)^2), between -1 and 1.

    Box and Jenkins 1970, lag 1. ``None`` for fewer than ``FEWEST_TRADES`` and where nothing varies.
    """
    if len(pnl) < FEWEST_TRADES or _deviation(pnl) is None:
        return None
    centred = pnl - pnl.mean()
    return _finite(float((centred[1:] * centred[:-1]).sum() / np.square(centred).sum()))


class _OfTrades(TypedDict):
    total_trades: int
    winning_trades: int
    losing_trades: int
    break_even_trades: int
    win_rate: float | None
    average_win: float | None
    average_loss: float | None
    profit_factor: float | None
    total_fees: float
    longest_winning_streak: int
    longest_losing_streak: int
    concentration: float | None
    pnl_autocorrelation: float | None


def _of_trades(trades: Trades) -> _OfTrades:
    """Wins, losses and what they were worth: averages per winning and losing trade, gross profit over gross loss."""
    pnl = trades.pnl
    winners, losers = pnl > 0, pnl < 0
    won, lost, total = int(np.count_nonzero(winners)), int(np.count_nonzero(losers)), len(pnl)
    gain, loss = float(pnl.sum(where=winners)), -float(pnl.sum(where=losers))
    if won + lost + int(np.count_nonzero(pnl == 0)) != total or not math.isfinite(gain + loss):
        raise ValueError("what a trade made is no number")
    return {
        "total_trades": total,
        "winning_trades": won,
        "losing_trades": lost,
        "break_even_trades": total - won - lost,
        "win_rate": _ratio(won, total),
        "average_win": _ratio(gain, won),
        "average_loss": _ratio(loss, lost),
        "profit_factor": _ratio(gain, loss),
        "total_fees": float(trades.fees.sum()),
        "longest_winning_streak": _longest_run(winners),
        "longest_losing_streak": _longest_run(losers),
        "concentration": concentration_of(pnl),
        "pnl_autocorrelation": autocorrelation(pnl),
    }


def _tail(daily: Daily, confidence: Decimal) -> tuple[float, float] | tuple[None, None]:
    return tail_risk(daily.returns, confidence) if len(daily) >= FEWEST_DAYS else (None, None)


@lru_cache(maxsize=1024)
def _tail_index(count: int, confidence: Decimal) -> int:
    # In floats 50 x (1 - 0.95) is a little more than 2.5 and would be rounded up.
    index = int((count * (1 - confidence)).to_integral_value(ROUND_HALF_EVEN))
    return min(max(index, 0), count - 1)


def _skill(
    returns: Floats, sharpe: float | None, trials: Tried | None
) -> tuple[float | None, float | None, float | None]:
    if sharpe is None:
        return None, None, None
    shape, n = shape_of(returns), len(returns)
    deflated = None
    if trials is not None:
        deflated = dsr(sharpe, n, *shape, variance=trials.variance, trials=trials.count)
    return psr(sharpe, n, *shape), deflated, min_track_record_length(sharpe, *shape)


def _years(closes: Indices, begins: int | None, lag: int) -> float | None:
    if begins is None:
        if len(closes) < 2:
            return None
        begins = int(2 * closes[0] - closes[1]) + lag
    return (int(closes[-1]) + lag - begins) / _YEAR_MS


def _deviation(values: Floats) -> float | None:
    """The sample deviation; ``None`` where there is none but what rounding makes."""
    count = len(values)
    if count < 2:
        return None
    # What ``values.std(ddof=1)`` does, without asking about axes and types: a sweep does it for each of its runs.
    centred = values - np.add.reduce(values) / count
    np.multiply(centred, centred, out=centred)
    deviation = math.sqrt(np.add.reduce(centred) / (count - 1))
    largest = max(float(np.maximum.reduce(values)), -float(np.minimum.reduce(values)))
    return deviation if deviation > _NOISE * largest + _ROUNDING else None


def _longest_run(flags: NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(flags, prepend=False, append=False))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _ratio(above: float, below: float) -> float | None:
    return _finite(above / below) if below else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
