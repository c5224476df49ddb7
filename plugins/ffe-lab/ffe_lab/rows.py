"""The loop over one course of a market after the other, and what is left of each: scalar, for lists and for numba."""

from __future__ import annotations

from collections.abc import Sequence

from ffe_lab.loop import CASH, PNL, TRADES, Floats, Numbers, Row, Table, finish, run

#: what is left of a run
FINAL, DRAWDOWN, COUNT, WINS = range(4)
OUTCOMES = 4
#: a bound that rounding of a product and a quotient cannot reach from below
_BELOW = 1.0 - 2.0**-50


def run_rows(
    first: int,
    end: int,
    time: Numbers,
    open_: Table,
    high: Table,
    low: Table,
    close: Table,
    volume: Table,
    action: Sequence[Numbers],
    stop: Floats,
    hour: Floats,
    delay: Numbers,
    config: Floats,
    initial: float,
    state: Row,
    equity: Row,
    trades: Table,
    outcomes: Table,
) -> None:
    """Simulates each row of ``action`` as ``loop.run`` does, without asking; fills its row of ``outcomes``.

    A column that all courses share has one row. ``state``, ``equity`` and ``trades`` are those of the last row then.
    """
    for k in range(len(action)):
        for place in range(len(state)):
            state[place] = 0.0
        state[CASH] = initial
        closes = close[k if len(close) > 1 else 0]
        run(
            first,
            end,
            False,
            time,
            open_[k if len(open_) > 1 else 0],
            high[k if len(high) > 1 else 0],
            low[k if len(low) > 1 else 0],
            closes,
            volume[k if len(volume) > 1 else 0],
            action[k],
            stop,
            hour,
            delay,
            config,
            state,
            equity,
            trades,
        )
        finish(end - 1, closes, state, trades)
        count, wins = int(state[TRADES]), 0
        for row in range(count):
            wins += trades[PNL][row] > 0.0
        outcome = outcomes[k]
        outcome[FINAL] = equity[end - 1]
        outcome[DRAWDOWN] = deepest(first, end, equity, initial)
        outcome[COUNT] = count
        outcome[WINS] = wins


def deepest(first: int, end: int, equity: Floats, peak: float) -> float:
    """The largest share of ``walk.walk``, to the same bits, with a division only where one could be larger yet."""
    fraction, bound = 0.0, 0.0
    for i in range(first, end):
        value = equity[i]
        if value >= peak:
            peak = value
            bound = fraction * peak * _BELOW
        elif peak - value > bound:
            share = (peak - value) / peak
            if share > fraction:
                fraction = share
                bound = fraction * peak * _BELOW
    return fraction
