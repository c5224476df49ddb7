"""What others would have made of the same bars: the rows that every result is read beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ffe_lab.metrics import Metrics
from ffe_lab.trades import Floats

if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest

#: the usual pair of means
_CROSS = {"fast": 10, "slow": 50}


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
    returns = np.array([_lot(made, rng) for rng in _streams(runs, seed)])
    own = float(made.equity[-1]) / made.setup.initial_balance - 1
    low, middle, high = np.percentile(returns, (2.5, 50, 97.5)).tolist()
    return {
        "runs": runs,
        "total_return": middle,
        "total_return_interval": [low, high],
        "percentile": float(np.count_nonzero(returns < own) / runs),
    }


def _streams(runs: int, seed: int) -> Iterator[np.random.Generator]:
    for number in range(runs):
        yield np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, number]))


def _lot(made: Backtest, rng: np.random.Generator) -> float:
    trades, market = made.trades, made.market
    bars = len(market)
    order = rng.permutation(len(trades))
    length = (trades.exit - trades.entry)[order]
    free = max(0, bars - int(length.sum()) - 1)
    pauses = np.sort(rng.integers(0, free + 1, len(order)))
    enter = np.minimum(pauses + np.concatenate(([0], np.cumsum(length)[:-1])), bars - 1)
    leave = np.minimum(enter + length, bars - 1)
    opens = market.open[market.first :]
    costs, side = made.setup.costs, trades.side[order].astype(np.float64)
    slip = costs.base(market.asset)
    paid, got = opens[enter] * (1 + side * slip), opens[leave] * (1 - side * slip)
    share = (trades.quantity * trades.entry_price / made.equity[trades.entry])[order]
    gain = side * (got / paid - 1) - costs.fee * (1 + got / paid)
    return float(np.prod(np.maximum(1 + share * gain, 0.0)) - 1)
