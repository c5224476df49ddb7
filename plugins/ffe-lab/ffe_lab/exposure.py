"""A run apart by hindsight: what models said of times that they may have read about, and of times that came after.

What a model says of a day before the end of its training is memory as much as skill. Both are measured, side by side,
and only the clean column is a result. One asset or several: what is asked for here are columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import from_ms
from ffe_core.ai.cost import FREE, is_rule
from ffe_core.ai.hindsight import Hindsight, Training, training_of
from ffe_core.domain.codec import decimal_text
from ffe_lab.metrics import FEWEST_DAYS, FEWEST_TRADES, sharpe_per_period
from ffe_lab.returns import daily_rate
from ffe_lab.trades import OPEN_AT_END, Codes, Floats, Indices, Trades

if TYPE_CHECKING:
    from ffe_core import AIProvider, Opinion
    from ffe_core.settings import Settings
    from ffe_lab.gate import Calls
    from ffe_lab.heard import Votes
    from ffe_lab.market import Market
    from ffe_lab.returns import Daily, MetricsBasis
    from ffe_lab.simulate import Setup

type Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """What was decided of one asset, a row for each close at which models were asked.

    ``bar`` int64[n], increasing: which bar of the account ends there. ``action`` int8[n]: 1, -1, 0. ``net``
    float64[n]: ``net_returns`` of it.
    """

    votes: Votes
    bar: Indices
    action: Codes
    net: Floats

    @classmethod
    def of(
        cls, votes: Votes, market: Market, calls: Calls, setup: Setup, horizon: int, *, at: Indices, bar: Indices
    ) -> Decided:
        """``at``: the bars of ``market`` at whose closes it was decided, each of which is the account's ``bar``."""
        net = net_returns(market, setup, horizon, np.asarray(calls.action[market.first :]))
        return cls(votes, bar, np.asarray(calls.action)[at], net[at - market.first])


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """What the account made of it: its bars, its days and its trades, and of which asset each trade was."""

    closes: Indices
    daily: Daily
    basis: MetricsBasis
    trades: Trades
    of_asset: Indices


@dataclass(frozen=True, slots=True)
class Column:
    """One side of the cut. ``decisions`` are closes, ``actions`` those at which BUY or SELL was called.

    ``mean_net_return`` is that of an action over the horizon after a round trip's costs, a fraction; ``None`` for fewer
    than 30 of them. ``days``, ``total_return`` and ``sharpe`` (annualised) are of the account on days on which nothing
    that was held or decided, of whatever asset, belongs to the other side; trades belong to the side on which they were
    entered. ``win_rate`` and ``sharpe`` are ``None`` where fewer than 30 trades or days say something about them.
    """

    decisions: int
    actions: int
    mean_net_return: float | None
    days: int
    total_return: float | None
    sharpe: float | None
    trades: int
    win_rate: float | None


def training(votes: Votes, panel: Mapping[str, AIProvider], settings: Settings) -> Training:
    """What is known of the models that voted; of several models behind one name the youngest counts."""
    known: dict[str, str | None] = {}
    for said in _kinds(votes):
        ai = settings.ai
        told = training_of((said,), panel, ai.cutoffs, embargo_days=ai.embargo_days, present=False).cutoffs
        for name, cutoff in told.items():
            before = known.get(name, "")
            known[name] = None if cutoff is None or before is None else max(cutoff, before)
    return Training(settings.ai.embargo_days, known)


def _models(votes: Votes) -> list[str]:
    """Who did more than follow a rule of ours."""
    return list(dict.fromkeys(said.provider for said in _kinds(votes) if not is_rule(said)))


def _kinds(votes: Votes) -> list[Opinion]:
    found: dict[tuple[str, str], Opinion] = {}
    for row in votes.rows:
        for said in row:
            if said.is_vote:
                found.setdefault((said.provider, said.model), said)
    return list(found.values())


def clean_bars(votes: Votes, known: Training) -> Flags:
    """Whether none of the votes at each traded close may be memory."""
    made = np.ones(len(votes.rows), np.bool_)
    verdicts: dict[tuple[str, Any], bool] = {}
    for place, (row, close) in enumerate(zip(votes.rows, votes.closes, strict=True)):
        at = from_ms(close)
        for said in row:
            key = (said.provider, at.date())
            if said.is_vote and key not in verdicts:
                verdicts[key] = known.judge(said, at) is Hindsight.CLEAN
            made[place] &= not said.is_vote or verdicts[key]
    return made


def hindsight(
    decided: Sequence[Decided], result: Result, panel: Mapping[str, AIProvider], settings: Settings
) -> dict[str, Any]:
    """``{cutoffs, embargo_days, clean, contaminated, alpha_decay, headline}``; the headline is the clean column.

    ``decided`` are the assets of the account, one or more. ``alpha_decay`` is the mean net return of clean actions less
    that of contaminated ones. Far below zero: what looked like skill was memory.
    """
    votes = together([one.votes for one in decided])
    known = training(votes, panel, settings)
    clean = [clean_bars(one.votes, known) for one in decided]
    both = _column(decided, result, clean), _column(decided, result, [~side for side in clean])
    means = [each.mean_net_return for each in both]
    decay = None if means[0] is None or means[1] is None else means[0] - means[1]
    columns = [{name: getattr(each, name) for name in Column.__slots__} for each in both]
    return {
        "cutoffs": {name: known.cutoffs.get(name) for name in _models(votes)},
        "embargo_days": known.embargo_days,
        "clean": columns[0],
        "contaminated": columns[1],
        "alpha_decay": decay,
        "headline": columns[0] if both[0].decisions else None,
    }


def _column(decided: Sequence[Decided], result: Result, sides: Sequence[Flags]) -> Column:
    side = np.concatenate(sides)
    action, net = (np.concatenate(column) for column in ([one.action for one in decided], [one.net for one in decided]))
    scored = side & np.isfinite(net)
    trades, basis = result.trades, result.basis
    own = _entered(decided, result, sides)
    days = result.daily.returns[_days_of(decided, result, sides, own)]
    rate = daily_rate(basis.risk_free, basis.periods_per_year)
    sharpe = sharpe_per_period(days, rate) if len(days) >= FEWEST_DAYS else None
    closed = own & (trades.reason != OPEN_AT_END)
    won = int(np.count_nonzero(trades.pnl[closed] > 0))
    count = int(np.count_nonzero(closed))
    return Column(
        decisions=int(np.count_nonzero(side)),
        actions=int(np.count_nonzero(side & (action != 0))),
        mean_net_return=float(net[scored].mean()) if np.count_nonzero(scored) >= FEWEST_TRADES else None,
        days=len(days),
        total_return=float(np.prod(1.0 + days) - 1.0) if len(days) else None,
        sharpe=None if sharpe is None else sharpe * math.sqrt(basis.periods_per_year),
        trades=int(np.count_nonzero(own)),
        win_rate=won / count if count >= FEWEST_TRADES else None,
    )


def net_returns(market: Market, setup: Setup, horizon: int, action: Any) -> NDArray[np.float64]:
    """Of the call at each traded close (int8: 1, -1, 0) over ``horizon`` bars, after a round trip; a fraction.

    NaN for HOLD and where the bars end before.
    """
    close = market.close[market.first :]
    net = np.full(len(close), np.nan)
    if len(close) > horizon:
        moves = close[horizon:] / close[:-horizon] - 1.0
        cost = 2.0 * (setup.costs.fee + setup.costs.base(market.asset))
        net[:-horizon] = action[:-horizon] * moves - cost
    net[action == 0] = np.nan
    return net


def _entered(decided: Sequence[Decided], result: Result, sides: Sequence[Flags]) -> Flags:
    """Whether each trade was decided on this side: at the last close of its asset before the entry."""
    own = np.zeros(len(result.trades), np.bool_)
    for asset, (one, side) in enumerate(zip(decided, sides, strict=True)):
        its = np.flatnonzero(result.of_asset == asset)
        own[its] = side[np.searchsorted(one.bar, result.trades.entry[its]) - 1]
    return own


def _days_of(decided: Sequence[Decided], result: Result, sides: Sequence[Flags], own: Flags) -> Flags:
    """The days that hold bars of this side alone: decided before them on this side, and held since such a decision."""
    held = np.ones(len(result.closes), np.bool_)
    for one, side in zip(decided, sides, strict=True):
        # An account that was closed has no bars at what was decided later.
        reached = one.bar < len(held)
        held[one.bar[reached]] &= np.concatenate((side[:1], side[:-1]))[reached]
    other = ~own
    for entered, left in zip(result.trades.entry[other].tolist(), result.trades.exit[other].tolist(), strict=True):
        held[entered : left + 1] = False
    day = np.searchsorted(result.daily.days, result.closes, side="left")
    whole = np.zeros(len(result.daily), np.bool_)
    place, starts = np.unique(day, return_index=True)
    whole[place] = np.logical_and.reduceat(held, starts)
    return whole


def together(heard: Sequence[Votes]) -> Votes:
    """The votes on several assets as those of one, an asset after the other."""
    first, *others = heard
    if not others:
        return first
    return replace(
        first,
        rows=[row for one in heard for row in one.rows],
        closes=[close for one in heard for close in one.closes],
        left_out={name: why for one in heard for name, why in one.left_out.items()},
        looked_up=sum(one.looked_up for one in heard),
    )


def expenses(votes: Votes, trades: int) -> dict[str, Any]:
    """What the answers cost: dollars as text, and tokens; ``None`` where one of them is not known."""
    told = {name: _bill(said) for name in _asked(votes) if (said := [one for one in votes.of(name) if one is not None])}
    costs = [one["cost_usd"] for one in told.values()]
    total = None if None in costs else sum((Decimal(cost) for cost in costs), Decimal(0))
    return {
        "decisions": len(votes.rows),
        "providers": told,
        "left_out": dict(votes.left_out),
        "cost_usd": _dollars(total),
        "cost_per_decision": _dollars(total, len(votes.rows)),
        "cost_per_trade": _dollars(total, trades),
    }


def _asked(votes: Votes) -> list[str]:
    return list(dict.fromkeys(said.provider for row in votes.rows for said in row))


def _bill(said: Sequence[Opinion]) -> dict[str, Any]:
    voted = [one for one in said if one.is_vote]
    tokens = {
        name: sum(values) if None not in (values := [getattr(one, name) for one in voted]) else None
        for name in ("tokens_in", "tokens_out")
    }
    costs = [FREE if is_rule(one) else one.cost_usd for one in voted]
    known = None if None in costs else sum((cost for cost in costs if cost is not None), Decimal(0))
    return {
        "model": said[-1].model,
        "answers": len(voted),
        "failures": len(said) - len(voted),
        **tokens,
        "cost_usd": _dollars(known),
    }


def _dollars(amount: Decimal | None, over: int = 1) -> str | None:
    return None if amount is None or not over else decimal_text((amount / over).normalize())
