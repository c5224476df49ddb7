"""What others would have made of the same bars: the rows that every result is read beside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ffe_lab.metrics import Metrics
from ffe_lab.trades import Floats, Indices

if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest

#: the usual pair of means
_CROSS = {"fast": 10, "slow": 50}
#: trades of random runs that are reckoned up together: what is drawn does not depend on it
_CHUNK = 1 << 14


def baselines(made: Backtest, *, random_runs: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Metrics by name, at the costs of the run: the market itself, nothing, a crossing of means, and chance.

    ``buy_and_hold`` buys at the first open with all of the account. ``exposure_matched`` holds as much of the market,
    all the time, as the run did on average. ``random_entry`` is the median of ``random_runs`` runs with as many trades
    of the same length at other times; ``percentile`` says which share of them the run has beaten.
    """
    from ffe_lab.backtest import record

    held = _held(made)
    rows: dict[str, Any] = {
        "buy_and_hold": record(_measured(made, held)),
        "always_hold": record(_measured(made, np.full(len(held), made.setup.initial_balance))),
        "sma_cross_10_50": record(_rule(made)),
        "exposure_matched": record(_measured(made, _matched(made))),
    }
    chance = random_entries(made, random_runs, seed)
    if chance is not None:
        rows["random_entry"] = chance
    return rows


def _held(made: Backtest) -> Floats:
    """The account of someone who bought at the first open and kept it, marked at every close."""
    market, costs = made.market, made.setup.costs
    first = market.first
    price = float(market.open[first]) * (1 + costs.base(market.asset))
    balance = made.setup.initial_balance - costs.commission
    units = balance / (price * (1 + costs.fee))
    return units * market.close[first:]


def _matched(made: Backtest) -> Floats:
    """Buy and hold with the share of the account that the run had in the market on average; the rest is cash."""
    share = _share_invested(made)
    idle = made.setup.initial_balance * (1 - share)
    return idle + share * _held(made)


def _share_invested(made: Backtest) -> float:
    trades, equity = made.trades, made.equity
    if not len(trades):
        return 0.0
    worth = trades.quantity * trades.entry_price * trades.side
    # Of each trade what it was worth against equity at its entry, for as many bars as it lasted.
    bars = trades.exit - trades.entry + 1
    return float((worth / equity[trades.entry] * bars).sum() / len(equity))


def _measured(made: Backtest, equity: Floats) -> Metrics:
    from ffe_lab.backtest import measured_of

    return measured_of(made, equity)


def _rule(made: Backtest) -> Metrics:
    """The same account, the gate off, deciding by a crossing of means."""
    from ffe_lab.backtest import run

    setup = replace(made.setup, gate=False)
    return run(made.lab, made.market, "sma_cross", setup, params=_CROSS, risk_free=made.basis.risk_free).metrics


def random_entries(made: Backtest, runs: int, seed: int) -> dict[str, Any] | None:
    """Chance with the run's own trades: as many, as long, on the same side, at other times. ``None`` without trades.

    Each run puts the trades, in a random order, into the span with random pauses between them, so that none overlaps;
    each invests the same share of the account as the trade it stands for, at the open of its first bar, and leaves at
    the open of its last. Costs are those of the run.
    """
    trades = made.trades
    if not len(trades) or runs < 1:
        return None
    returns = _lots(made, runs, seed)
    own = float(made.equity[-1]) / made.setup.initial_balance - 1
    low, middle, high = np.percentile(returns, (2.5, 50, 97.5)).tolist()
    return {
        "runs": runs,
        "total_return": middle,
        "total_return_interval": [low, high],
        "percentile": float(np.count_nonzero(returns < own) / runs),
    }


def _lots(made: Backtest, runs: int, seed: int) -> Floats:
    """The total return of each run, a fraction, float64[runs]; a few of them are drawn and reckoned up at a time."""
    trades, market, costs = made.trades, made.market, made.setup.costs
    count, last = len(trades), len(market) - 1
    length = trades.exit - trades.entry
    free = max(0, last - int(length.sum()))
    opens = market.open[market.first :]
    side, slip = trades.side.astype(np.float64), costs.base(market.asset)
    worse, better = 1 + side * slip, 1 - side * slip
    share = trades.quantity * trades.entry_price / made.equity[trades.entry]
    rows = max(1, _CHUNK // count)
    made_of = []
    for first in range(0, runs, rows):
        order, pauses = _draw(range(first, min(first + rows, runs)), count, free, seed)
        lasts = length[order]
        enter = np.minimum(np.sort(pauses, axis=1) + np.cumsum(lasts, axis=1) - lasts, last)
        leave = np.minimum(enter + lasts, last)
        change = opens[leave] * better[order] / (opens[enter] * worse[order])
        gain = side[order] * (change - 1) - costs.fee * (1 + change)
        made_of.append(np.prod(np.maximum(1 + share[order] * gain, 0.0), axis=1) - 1)
    return np.concatenate(made_of)


def _draw(numbers: range, count: int, free: int, seed: int) -> tuple[Indices, Indices]:
    """Of each run, by its number, the order of the trades and the pauses before them, int64[k, count]."""
    shape = len(numbers), count
    order, pauses = np.empty(shape, np.int64), np.empty(shape, np.int64)
    source = np.random.Philox(key=seed)
    rng = np.random.Generator(source)
    # A stream for each run; to set one is quicker than to make one.
    stream = source.state
    for row, number in enumerate(numbers):
        stream["state"]["counter"][-1] = number
        source.state = stream
        order[row] = rng.permutation(count)
        pauses[row] = rng.integers(0, free + 1, count)
    return order, pauses
