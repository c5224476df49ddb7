"""What others would have made of the same bars: the rows that every result is read beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ffe_lab.metrics import Metrics
from ffe_lab.trades import Floats, Indices

if TYPE_CHECKING:
    from ffe_lab.backtest import Backtest

#: the usual pair of means
_CROSS = {"fast": 10, "slow": 50}
#: random runs that are drawn and reckoned up together: another number draws others
_TOGETHER = 32


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
    """The total return of each run, a fraction, float64[runs]."""
    trades, market, costs = made.trades, made.market, made.setup.costs
    length, last = trades.exit - trades.entry, len(market) - 1
    opens = market.open[market.first :]
    side, slip = trades.side.astype(np.float64), costs.base(market.asset)
    share = trades.quantity * trades.entry_price / made.equity[trades.entry]
    # A trade that buys at b and sells at s makes 1 + share (side (s / b - 1) - fee (1 + s / b)) of the account: so
    # much whatever the opens do, and so much times their change.
    still = 1 - share * (side + costs.fee)
    moved = share * (side - costs.fee) * (1 - side * slip) / (1 + side * slip)
    made_of = []
    for order, pauses in _draw(runs, len(trades), max(0, last - int(length.sum())), seed):
        lasts = length[order]
        leave = pauses + np.cumsum(lasts, axis=1)
        change = opens.take(leave, mode="clip") / opens.take(leave - lasts, mode="clip")
        made_of.append(np.prod(np.maximum(still[order] + moved[order] * change, 0.0), axis=1) - 1)
    return np.concatenate(made_of)


def _draw(runs: int, count: int, free: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """The order of the trades and how many bars of pause lie before each by then, [k, count] for k runs at a time.

    Drawn from one stream are, for ``_TOGETHER`` runs after the other, all orders and then all pauses.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    for first in range(0, runs, _TOGETHER):
        shape = min(_TOGETHER, runs - first), count
        order = rng.permuted(np.broadcast_to(np.arange(count), shape), axis=1)
        # Of 32 bits, because that sorts three times as fast.
        pauses = np.sort(rng.integers(0, free + 1, shape, np.int32), axis=1)
        yield order, pauses.astype(np.int64)
