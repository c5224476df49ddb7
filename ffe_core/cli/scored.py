"""``ffe history --scored``: what came of the newest decisions, and what always buying would have made instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.domain.trading import Costs
from ffe_core.errors import DataError, StoreError, UsageError
from ffe_core.learning.outcomes import ENOUGH, ForwardReturn, Scoreboard, Scored, forward_return, scoreboard

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.decisions import Decision
    from ffe_core.domain.market import Candles
    from ffe_core.engine import Engine
    from ffe_core.store import StoredRecord

#: Calendar time may be this many times trading time: an hourly stock trades 7 of 24 hours on 5 of 7 days.
_CALENDAR = 6


@dataclass(frozen=True, slots=True)
class Question:
    """A stored decision and what its record says about how it is to be scored."""

    decision: Decision
    horizon: int
    timeframe: Timeframe

    @property
    def asset(self) -> Asset:
        return Asset.parse(self.decision.asset_pair, kind=AssetKind(self.decision.asset_type))

    @property
    def latest_end(self) -> timedelta:
        return self.timeframe.timedelta * (self.horizon * _CALENDAR) + timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Row:
    """``forward`` is None with the reason in ``why``."""

    question: Question
    forward: ForwardReturn | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ScoredHistory:
    rows: Sequence[Row]
    board: Scoreboard
    round_trip_cost: float

    def data(self) -> dict[str, Any]:
        return {
            "decisions": [_row_data(row) for row in self.rows],
            "summary": {
                "scored": self.board.scored,
                "independent": self.board.independent,
                "needed": ENOUGH,
                "round_trip_cost": self.round_trip_cost,
                "hit_rate": self.board.hit_rate,
                "hit_rate_interval_95": self.board.hit_interval,
                "mean_gross_return": self.board.mean_gross,
                "mean_net_return": self.board.mean_net,
                "base_rate": self.board.base_rate,
                "base_mean_net_return": self.board.base_net,
                "share_up": self.board.share_up,
            },
        }


def score_history(engine: Engine, limit: int, symbol: str | None) -> ScoredHistory:
    """The newest decisions with their forward returns, on the prices of the source that each was made on."""
    settings = engine.settings
    costs = Costs(fee=Decimal(str(settings.costs.fee)), slippage=Decimal(str(settings.costs.slippage)))
    questions = [_question(stored) for stored in engine.store.newest(limit, symbol)]
    prices = {key: _prices(engine, key, group) for key, group in _by_market(questions).items()}
    rows = [_row(question, prices[_market(question)], costs) for question in questions]
    board = scoreboard(
        Scored(row.question.decision.asset_pair, row.question.decision.as_of, row.question.decision.action, row.forward)
        for row in rows
        if row.forward is not None and row.forward.gross is not None
    )
    return ScoredHistory(rows, board, 2 * float(costs.fee + costs.slippage))


type _Market = tuple[str, Asset, Timeframe]


def _question(stored: StoredRecord) -> Question:
    try:
        briefing = stored.inputs["briefing"]
        return Question(stored.decision, int(briefing["horizon"]), Timeframe(briefing["timeframe"]))
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the record of {stored.id} does not say how it is scored: {error}") from error


def _market(question: Question) -> _Market:
    return question.decision.market.source, question.asset, question.timeframe


def _by_market(questions: Sequence[Question]) -> Mapping[_Market, list[Question]]:
    groups: dict[_Market, list[Question]] = {}
    for question in questions:
        groups.setdefault(_market(question), []).append(question)
    return groups


def _prices(engine: Engine, market: _Market, questions: Sequence[Question]) -> Candles | str:
    """The bars around all of these decisions, or why there are none."""
    source, asset, timeframe = market
    start = min(question.decision.as_of for question in questions) - 2 * timeframe.timedelta
    end = max(question.decision.as_of + question.latest_end for question in questions)
    try:
        return engine.feed_of(source).span(asset, timeframe, start=start, end=min(end, engine.clock.now()))
    except (DataError, UsageError) as error:
        return error.message


def _row(question: Question, prices: Candles | str, costs: Costs) -> Row:
    if isinstance(prices, str):
        return Row(question, None, prices)
    decision = question.decision
    forward = forward_return(
        decision.action,
        decision.as_of,
        decision.market.price,
        horizon=question.horizon,
        timeframe=question.timeframe,
        candles=prices,
        costs=costs,
    )
    return Row(question, forward, "" if forward else f"the {question.horizon} bars after it are not all there")


def _row_data(row: Row) -> dict[str, Any]:
    decision, forward = row.question.decision, row.forward
    return {
        "id": decision.id,
        "as_of": decision.as_of,
        "asset_pair": decision.asset_pair,
        "action": decision.action,
        "confidence": decision.confidence,
        "synthetic": decision.market.synthetic,
        "timeframe": row.question.timeframe,
        "horizon": row.question.horizon,
        "resolved_at": forward.resolved_at if forward else None,
        "gross_return": forward.gross if forward else None,
        "net_return": forward.net if forward else None,
        "long_net_return": forward.long_net if forward else None,
        "unresolved": row.why or None,
    }


def print_scored(console: Console, result: ScoredHistory) -> None:
    if not result.rows:
        console.print("no decisions")
        return
    from rich.table import Table
    from rich.text import Text

    from ffe_core.cli.output import clean

    table = Table("decision", "as of (UTC)", "asset", "action", "confidence", "gross", "net", "always long, net", "")
    for row in result.rows:
        decision, forward = row.question.decision, row.forward
        table.add_row(
            decision.id[:8],
            f"{decision.as_of:%Y-%m-%d %H:%M}",
            decision.asset_pair,
            decision.action.value,
            str(decision.confidence),
            _percent(forward.gross if forward else None),
            _percent(forward.net if forward else None),
            _percent(forward.long_net if forward else None),
            Text(clean(row.why) or ("synthetic" if decision.market.synthetic else "")),
        )
    console.print(table)
    console.print(Text(_headline(result)))


def _headline(result: ScoredHistory) -> str:
    board = result.board
    cost = f"net of {result.round_trip_cost:.2%} per round trip"
    if (
        board.hit_rate is None
        or board.hit_interval is None
        or board.base_rate is None
        or board.mean_net is None
        or board.base_net is None
    ):
        return (
            f"hit rate not shown: it takes {ENOUGH} scored decisions with a direction, there are {board.scored}; {cost}"
        )
    low, high = board.hit_interval
    return (
        f"{board.scored} scored, {board.independent} of them without a shared bar; {cost}\n"
        f"hit rate {board.hit_rate:.1%} (95 % interval {low:.1%} to {high:.1%}); "
        f"always long at the same decisions {board.base_rate:.1%}, price up in {board.share_up:.1%}\n"
        f"mean net return {board.mean_net:+.2%}; always long {board.base_net:+.2%}"
    )


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:+.2%}"
