"""vectorbt as a side of the comparisons: as its documentation shows it, on a naive index, filled at the next open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import series
import vectorbt as vbt
from serve import Job, serve

ACCOUNT = {"fees": 0.001, "slippage": 0.0001, "init_cash": 10_000.0, "direction": "longonly"}


@cache
def frame(path: str) -> pd.DataFrame:
    columns = series.read(path)
    index = pd.DatetimeIndex(columns.pop("time").astype("datetime64[ms]"))
    return pd.DataFrame(columns, index=index)


def load(path: str) -> int:
    return len(frame(path))


def cross(path: str, fast: int = 10, slow: int = 30) -> Any:
    bars = frame(path)
    quick, steady = vbt.MA.run(bars["close"], fast), vbt.MA.run(bars["close"], slow)
    return answered(bars, quick.ma_crossed_above(steady), quick.ma_crossed_below(steady))


def rsi_macd(path: str) -> Any:
    """Wilder's smoothing of 14 bars is an exponential one of a span of 27."""
    bars = frame(path)
    macd = vbt.MACD.run(bars["close"], 12, 26, 9, macd_ewm=True, signal_ewm=True)
    rsi = vbt.RSI.run(bars["close"], 27, ewm=True)
    entries = macd.macd_crossed_above(macd.signal) & rsi.rsi_above(50).to_numpy()
    exits = macd.macd_crossed_below(macd.signal) & rsi.rsi_below(50).to_numpy()
    return answered(bars, entries, exits)


def answered(bars: pd.DataFrame, entries: Any, exits: Any) -> Mapping[str, Any]:
    """Trades as records, equity, and the statistics that vectorbt makes of both."""
    portfolio = vbt.Portfolio.from_signals(
        bars["close"],
        entries.vbt.fshift(1),
        exits.vbt.fshift(1),
        price=bars["open"],
        freq=bars.index[1] - bars.index[0],
        **ACCOUNT,
    )
    return {"records": portfolio.trades.records, "equity": portfolio.value(), "stats": portfolio.stats()}


def told(result: Any) -> Mapping[str, Any]:
    return {"count": len(result["records"]), "final": float(result["equity"].iloc[-1])}


def rows(result: Any) -> Mapping[str, Any]:
    names = {"entry": "entry_idx", "exit": "exit_idx", "paid": "entry_price", "got": "exit_price"}
    return {name: result["records"][column].tolist() for name, column in names.items()}


def noisy(path: str, paths: int, noise: float, seed: int, columns: int) -> Any:
    """Final values on ``paths`` copies, so many of them at a time as the columns of a matrix."""
    bars = frame(path)
    chance = np.random.default_rng(seed)
    finals = []
    for count in parts(paths, columns):
        factors = 1.0 + noise * chance.standard_normal((len(bars), count))
        close = pd.DataFrame(bars["close"].to_numpy()[:, None] * factors, index=bars.index)
        quick, steady = vbt.MA.run(close, 10), vbt.MA.run(close, 30)
        portfolio = vbt.Portfolio.from_signals(
            close,
            quick.ma_crossed_above(steady).vbt.fshift(1).to_numpy(),
            quick.ma_crossed_below(steady).vbt.fshift(1).to_numpy(),
            price=bars["open"].to_numpy()[:, None] * factors,
            **ACCOUNT,
        )
        finals.append(portfolio.final_value().to_numpy())
    return np.concatenate(finals)


def sweep(path: str, pairs: Sequence[tuple[int, int]], columns: int) -> Any:
    """For each pair what the account ends with, its Sharpe ratio, drawdown, number of trades and share of winners."""
    bars = frame(path)
    found, begin = [], 0
    for count in parts(len(pairs), columns):
        some, begin = pairs[begin : begin + count], begin + count
        quick = vbt.MA.run(bars["close"], [fast for fast, _ in some])
        steady = vbt.MA.run(bars["close"], [slow for _, slow in some])
        portfolio = vbt.Portfolio.from_signals(
            bars["close"],
            quick.ma_crossed_above(steady).vbt.fshift(1).to_numpy(),
            quick.ma_crossed_below(steady).vbt.fshift(1).to_numpy(),
            price=bars["open"],
            freq=bars.index[1] - bars.index[0],
            **ACCOUNT,
        )
        trades = portfolio.trades
        made = (
            portfolio.final_value(),
            portfolio.sharpe_ratio(),
            portfolio.max_drawdown(),
            trades.count(),
            trades.win_rate(),
        )
        found.append(np.stack([column.to_numpy() for column in made], axis=1))
    return np.concatenate(found)


def parts(total: int, size: int) -> Iterator[int]:
    for begin in range(0, total, size):
        yield min(size, total - begin)


def ends(result: Any) -> Mapping[str, Any]:
    return {"finals": (result if result.ndim == 1 else result[:, 0]).tolist()}


if __name__ == "__main__":
    serve(
        {
            "load": Job(load, lambda bars: {"bars": bars, "version": vbt.__version__}),
            "cross": Job(cross, told),
            "cross trades": Job(cross, rows),
            "rsi_macd": Job(rsi_macd, told),
            "rsi_macd trades": Job(rsi_macd, rows),
            "noisy": Job(noisy, ends),
            "sweep": Job(sweep, ends),
        }
    )
