"""Well-behaved fakes of the ports, scripted where a test wants them to fail. ``FakePlatform`` is in ``venue``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Ballot, Briefing, Opinion, Proposal, RiskContext, Ruling, RulingOutcome, Verdict
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Action
from ffe_core.errors import NoData, ProviderFailed, UsageError
from ffe_core.ports import Chunk, Result, Series, Signals
from ffe_core.tasks import lend_arrays, run_task

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FakeSource:
    """Serves the series that it was given, and nothing else; ``asked`` keeps every question."""

    def __init__(self, *series: Candles, name: str = "fake") -> None:
        self.name = name
        self._series = {(held.asset.symbol, held.timeframe): replace(held, source=name) for held in series}
        self.asked: list[tuple[str, Timeframe]] = []

    def serves(self, asset: Asset) -> bool:
        return any(symbol == asset.symbol for symbol, _ in self._series)

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        self.asked.append((asset.symbol, timeframe))
        held = self._series.get((asset.symbol, timeframe))
        if held is None:
            raise NoData(f"{self.name} has no {timeframe} candles of {asset}")
        found = held.between(start, end)
        found = found if limit is None else found.tail(limit)
        if not len(found):
            raise NoData(f"{self.name} has no {timeframe} candles of {asset} in that span")
        return found

    def quote(self, asset: Asset) -> Quote:
        """The last close of the finest series, without a spread."""
        held = [series for (symbol, _), series in self._series.items() if symbol == asset.symbol and len(series)]
        if not held:
            raise NoData(f"{self.name} has no price of {asset}")
        finest = min(held, key=lambda series: series.timeframe.milliseconds)
        price = Decimal(str(round(finest.close[-1], 8)))
        at = finest.last_close_at
        assert at is not None  # noqa: S101 - the series is not empty
        return Quote(asset, price, price, at, self.name, synthetic=True)


type Script = tuple[Action, int] | Opinion | Exception


class FakeProvider:
    """Answers by script, one entry a call, the last one for ever; an exception in the script is raised.

    ``delay`` is how long an answer takes, in seconds: beyond the caller's timeout it fails as a real one would.
    """

    def __init__(
        self,
        *script: Script,
        name: str = "fake",
        model: str = "scripted",
        local: bool = False,
        delay: float = 0.0,
    ) -> None:
        self.name = name
        self.model = model
        self.local = local
        self._script = script or ((Action.HOLD, 50),)
        self._delay = delay
        self.briefings: list[Briefing] = []

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        said = self._script[min(len(self.briefings), len(self._script) - 1)]
        self.briefings.append(briefing)
        if self._delay:
            time.sleep(min(self._delay, timeout))
            if self._delay > timeout:
                raise ProviderFailed(f"{self.name} gave no answer within {timeout:g} s")
        if isinstance(said, Exception):
            raise said
        if isinstance(said, Opinion):
            return said
        action, confidence = said
        return Opinion(
            self.name, self.model, action, confidence, f"scripted {action}", horizon=briefing.horizon, local=self.local
        )


@dataclass(frozen=True, slots=True)
class FakeRuleProvider:
    """A rule over ``window`` bars: BUY above the close ``window`` bars ago, SELL below, HOLD while it warms up."""

    name: str = "fake_rule"
    model: str = "momentum"
    local: bool = True
    window: int = 20

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        change = briefing.market.change or 0.0
        action = Action.BUY if change > 0 else Action.SELL if change < 0 else Action.HOLD
        return Opinion(
            self.name,
            self.model,
            action,
            60,
            f"the market moved {change:.2%}",
            horizon=briefing.horizon,
            calibratable=False,
            local=True,
        )

    def with_params(self, **params: float | int | str) -> Self:
        unknown = sorted(set(params) - {"window"})
        if unknown:
            raise UsageError(f"{self.name} has no parameter {unknown[0]}", hint="parameters: window")
        window = params.get("window", self.window)
        if not isinstance(window, int) or not 1 <= window <= 1000:
            raise UsageError(f"{self.name}: window {window!r} is no whole number from 1 to 1000")
        return replace(self, window=window)

    def ask_all(self, series: Series) -> Signals:
        import numpy as np

        close = np.frombuffer(series.candles.close)
        action = np.zeros(len(close), np.int8)
        action[self.window :] = np.sign(close[self.window :] - close[: -self.window])
        return Signals(action, np.full(len(close), 60, np.int8))


@dataclass(frozen=True, slots=True)
class FakeStrategy:
    """The action with most votes, the earliest in the panel on a tie; mean confidence of those who voted for it."""

    name: str = "fake"

    def combine(self, ballot: Ballot) -> Verdict:
        if not ballot.opinions:
            raise ValueError("nobody voted")
        actions = [opinion.action for opinion in ballot.opinions if opinion.action is not None]
        winner = max(actions, key=lambda action: (actions.count(action), -actions.index(action)))
        supporters = [opinion for opinion in ballot.opinions if opinion.action is winner]
        confidence = sum(opinion.confidence for opinion in supporters) // len(supporters)
        share = len(supporters) / len(actions)
        reasoning = f"{len(supporters)} of {len(actions)} say {winner}"
        return Verdict(winner, confidence, confidence, reasoning, None, {"agreement_score": share})


@dataclass(frozen=True, slots=True)
class FakeRule:
    """Lets exits pass; cuts an entry to ``most`` units where that is set, vetoes it where ``veto`` gives a reason."""

    name: str = "fake"
    most: Decimal | None = None
    veto: str = ""

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        if not proposal.is_entry or proposal.quantity is None:
            return Ruling(self.name, RulingOutcome.NOT_APPLICABLE)
        if self.veto:
            return Ruling(self.name, RulingOutcome.VETOED, self.veto)
        if self.most is not None and proposal.quantity > self.most:
            reason = f"at most {self.most} units"
            return Ruling(self.name, RulingOutcome.CLAMPED, reason, before=proposal.quantity, after=self.most)
        return Ruling(self.name, RulingOutcome.PASSED)


@dataclass(slots=True)
class FakeExecutor:
    """Runs every chunk at once, here, in order."""

    name: str = "fake"
    closed: bool = field(default=False, init=False)

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        arrays = lend_arrays(shared)
        for chunk in chunks:
            yield Result(chunk.index, *run_task(task, chunk.arguments, arrays))

    def close(self) -> None:
        self.closed = True
