"""``ffe history --scored``: what came of the newest decisions, and what always buying would have made instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ffe_core.ai.hindsight import Hindsight
from ffe_core.domain.trading import Costs
from ffe_core.learning.exposure import Split, hindsight_of, split
from ffe_core.learning.outcomes import ENOUGH, Scoreboard, Scored
from ffe_core.learning.scoring import Row, Span, question_of, score

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from ffe_core.domain.assets import Asset, Timeframe
    from ffe_core.domain.decisions import Decision
    from ffe_core.domain.market import Candles
    from ffe_core.engine import Engine
    from ffe_core.settings import Settings


@dataclass(frozen=True, slots=True)
class ScoredHistory:
    rows: Sequence[Row]
    split: Split
    round_trip_cost: float

    @property
    def board(self) -> Scoreboard:
        """What the headline is made of."""
        return self.split.headline

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
                "basis": self.split.basis,
                "clean": _part(self.split.clean),
                "contaminated": _part(self.split.contaminated),
                "alpha_decay": self.split.alpha_decay,
            },
        }


def costs_of(settings: Settings) -> Costs:
    return Costs(fee=Decimal(str(settings.costs.fee)), slippage=Decimal(str(settings.costs.slippage)))


def span_of(engine: Engine) -> Span:
    """Bars of the source that a decision was made on."""

    def span(source: str, asset: Asset, timeframe: Timeframe, start: datetime, end: datetime) -> Candles:
        return engine.feed_of(source).span(asset, timeframe, start=start, end=end)

    return span


def score_history(engine: Engine, limit: int, symbol: str | None) -> ScoredHistory:
    """The newest decisions with their forward returns, on the prices of the source that each was made on."""
    settings = engine.settings
    costs = costs_of(settings)
    questions = [question_of(stored) for stored in engine.store.newest(limit, symbol)]
    rows = score(questions, span_of(engine), now=engine.clock.now(), costs=costs)
    parts = split(
        (
            hindsight_of(row.question.decision),
            Scored.of(row.question.decision.asset_pair, row.question.decision.as_of, row.forward),
        )
        for row in rows
        if row.forward is not None and row.forward.gross is not None
    )
    return ScoredHistory(rows, parts, 2 * float(costs.fee + costs.slippage))


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
        "hindsight": hindsight_of(decision),
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
            Text(clean(row.why) or _marks(decision)),
        )
    console.print(table)
    console.print(Text(_headline(result)))


def _marks(decision: Decision) -> str:
    marks = ["synthetic"] if decision.market.synthetic else []
    if hindsight_of(decision) is Hindsight.CONTAMINATED:
        marks.append(Hindsight.CONTAMINATED.value)
    return ", ".join(marks)


def _part(board: Scoreboard) -> dict[str, Any]:
    return {"scored": board.scored, "hit_rate": board.hit_rate, "mean_net_return": board.mean_net}


def _hindsight(parts: Split) -> str:
    """A line each for what was kept out of the headline, or should not be believed in it; none for clean ones alone."""
    if not parts.contaminated.scored:
        return ""
    if parts.basis is Hindsight.CONTAMINATED:
        return "\nCONTAMINATED: none of these are clean, the models may have been trained on what came after"
    mean = parts.contaminated.mean_net
    told = f"\n{parts.contaminated.scored} contaminated ones are not counted above"
    told += f": mean net return {mean:+.2%}" if mean is not None else ""
    decay = parts.alpha_decay
    return told + (f"; alpha decay {decay:+.2%} (clean less contaminated)" if decay is not None else "")


def _headline(result: ScoredHistory) -> str:
    return f"{_of_board(result)}{_hindsight(result.split)}"


def _of_board(result: ScoredHistory) -> str:
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
