"""Is one way of deciding better than another on the very same closes, and what does each part contribute?

Decisions are compared at closes whose horizons do not overlap, so that each is evidence of its own. A call is right
where it made money after a round trip's costs; HOLD says nothing and is counted apart. What was kept is combined again:
nobody is asked a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import Action, UsageError
from ffe_core.domain.decisions import RulingOutcome
from ffe_core.engine import Engine
from ffe_core.ports import RoundStrategy
from ffe_lab.backtest import Backtest, run
from ffe_lab.bootstrap import paths
from ffe_lab.exposure import net_returns
from ffe_lab.heard import Votes, calls_from, combined, heard_calls, votes_of
from ffe_lab.paired import Comparison, Voice, compare
from ffe_lab.simulate import Rulebook

if TYPE_CHECKING:
    from ffe_core import Opinion
    from ffe_lab.gate import Calls
    from ffe_lab.lab import Lab
    from ffe_lab.market import Market
    from ffe_lab.simulate import Setup

PANEL = "ensemble"
RESAMPLES = 2000
_CODES = {Action.BUY: 1, Action.SELL: -1, Action.HOLD: 0, None: 0}

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a run does without one part less what it does with it: fractions, and trades.

    Intervals hold 95 % of histories that are drawn from the days of both runs at once. ``acted``: how many entries a
    risk rule changed; ``None`` for what is no rule.
    """

    without: str
    acted: int | None
    total_return: float
    total_return_interval: tuple[float, float] | None
    max_drawdown: float
    max_drawdown_interval: tuple[float, float] | None
    trades: int


@dataclass(frozen=True, eq=False)
class Compared:
    """``runs`` by name, the pairs that were tested, and what each part of the whole contributes."""

    by: str
    horizon: int
    decisions: int
    runs: Mapping[str, Backtest]
    voices: Mapping[str, Voice]
    pairs: Sequence[Comparison]
    contributions: Sequence[Contribution]

    def data(self) -> dict[str, Any]:
        return {
            "by": self.by,
            "horizon": self.horizon,
            "decisions": self.decisions,
            "runs": [_told(name, made, self.voices.get(name)) for name, made in self.runs.items()],
            "pairs": [{**asdict(each), "relation": each.relation.value} for each in self.pairs],
            "contributions": [asdict(each) for each in self.contributions],
        }


def _told(name: str, made: Backtest, voice: Voice | None) -> dict[str, Any]:
    metrics = made.metrics
    hits = np.empty(0) if voice is None else voice.hits[~np.isnan(voice.hits)]
    return {
        "name": name,
        "total_return": metrics.total_return,
        "max_drawdown": metrics.max_drawdown,
        "sharpe": metrics.sharpe,
        "total_trades": metrics.total_trades,
        "called": len(hits),
        "hit_rate": float(hits.mean()) if len(hits) else None,
    }


def by_provider(lab: Lab, market: Market, names: Sequence[str], setup: Setup, *, seed: int = 0) -> Compared:
    """Every provider against every other one and against the panel of them all, and the panel without each.

    Raises ``UsageError`` for fewer than two, and what ``Lab.calls`` does.
    """
    panel = lab.panel(names)
    votes = votes_of(lab.engine, market, panel, lab.interview, frozenset(names) - {PANEL})
    members = [name for name in panel if name not in votes.left_out]
    if len(members) < 2:
        raise UsageError("one provider alone is not compared with any", hint="--provider NAME, twice or more")
    calls = {name: _combined(lab, market, votes, [name]) for name in members}
    calls[PANEL] = _combined(lab, market, votes, members)
    runs = {name: run(lab, market, name, setup, calls=each) for name, each in calls.items()}
    voices = {name: _voice(lab, market, setup, votes, name, each) for name, each in calls.items()}
    rest = {name: [other for other in members if other != name] for name in members}
    without = {
        name: run(lab, market, ",".join(others), setup, calls=_combined(lab, market, votes, others))
        for name, others in rest.items()
    }
    parts = [contribution(name, runs[PANEL], made, seed=seed) for name, made in without.items()]
    return _compared("provider", lab, market, runs, voices, parts)


def by_rule(lab: Lab, market: Market, names: str | Sequence[str], setup: Setup, *, seed: int = 0) -> Compared:
    """The account without each risk rule in turn. Raises ``UsageError`` where the gate is off."""
    if not setup.gate:
        raise UsageError("without the gate no risk rule judges anything", hint="--gate")
    calls = lab.calls(market, names)
    name = names if isinstance(names, str) else ",".join(names)
    whole = run(lab, market, name, setup, calls=calls)
    acted = _acted(whole)
    runs, parts = {name: whole}, []
    for rule in lab.rulebook.rules:
        count = acted.get(rule.name, 0)
        rest = Rulebook([each for each in lab.rulebook.rules if each.name != rule.name], lab.rulebook.risk)
        # A rule that changed no entry would have let every later one pass as well.
        made = run(lab, market, name, setup, calls=calls, rulebook=rest) if count else whole
        if count:
            runs[f"without {rule.name}"] = made
        parts.append(contribution(rule.name, whole, made, acted=count, seed=seed))
    return _compared("rule", lab, market, runs, {}, parts)


def by_debate(lab: Lab, market: Market, names: Sequence[str], setup: Setup) -> Compared:
    """The same panel once as it votes and once as it debates. Raises ``UsageError`` for fewer than two."""
    panel = lab.panel(names)
    if len(panel) < 2:
        raise UsageError("one provider alone has nobody to debate with", hint="--provider NAME, twice or more")
    if lab.interview is None:
        raise UsageError("a debate asks models", hint="--cassette auto, and providers that are models")
    strategies = {"vote": _plain_strategy(lab), "debate": "debate"}
    runs: dict[str, Backtest] = {}
    voices: dict[str, Voice] = {}
    for label, strategy in strategies.items():
        engine = _with_strategy(lab.engine, strategy)
        rules = replace(lab.ensemble, strategy=strategy)
        interview = replace(lab.interview)
        calls = heard_calls(engine, market, panel, interview, rules, frozenset(names) - {PANEL})
        assert calls.heard is not None  # noqa: S101 - made above
        runs[label] = run(lab, market, ",".join(panel), setup, calls=calls)
        voices[label] = _voice(lab, market, setup, calls.heard, PANEL, calls)
    return _compared("debate", lab, market, runs, voices, [])


def _with_strategy(engine: Engine, strategy: str) -> Engine:
    settings = engine.settings
    ensemble = settings.ensemble.model_copy(update={"strategy": strategy})
    other = Engine(settings.model_copy(update={"ensemble": ensemble}), engine.registry, clock=engine.clock)
    other.answers.budget_usd = engine.answers.budget_usd
    return other


def _plain_strategy(lab: Lab) -> str:
    """The configured strategy, or weighted votes where that one asks in rounds."""
    name = lab.ensemble.strategy
    offer = lab.engine.registry.strategies.get(name)
    return "weighted" if offer is not None and isinstance(offer.object, RoundStrategy) else name


def _combined(lab: Lab, market: Market, votes: Votes, names: Sequence[str]) -> Calls:
    """What is called where only ``names`` of those who voted make up the panel."""
    registry = lab.engine.registry
    strategies = {name: registry.close_at_hand("strategy", name) for name in registry.strategies}
    rows = [tuple(said for said in row if said.provider in names) for row in votes.rows]
    some = replace(votes, rows=rows)
    rules = replace(lab.ensemble, strategy=_plain_strategy(lab))
    verdicts = combined(some, market.asset, strategies, rules)
    return calls_from(market, some, verdicts, lab.panel(names))


def _voice(lab: Lab, market: Market, setup: Setup, votes: Votes, name: str, calls: Calls) -> Voice:
    """Of one provider, or of the panel: only where each who spoke claims a probability, its confidence is one."""
    horizon, places = lab.settings.decision.horizon, _apart(market, lab.settings.decision.horizon)
    action, confidence = np.asarray(calls.action[market.first :]), np.asarray(calls.confidence[market.first :])
    if name != PANEL:
        # As it was said, before what was missing from the panel made it less sure.
        said = votes.of(name)
        action = np.array([0 if each is None else _CODES[each.action] for each in said], np.int8)
        confidence = np.array([0 if each is None else each.confidence for each in said], np.int8)
    net = net_returns(market, setup, horizon, action)[places]
    hits = np.where(np.isnan(net), np.nan, (net > 0).astype(np.float64))
    claims = np.array([_claims(row, name) for row in votes.rows], np.bool_)[places]
    brier = np.where(claims, (confidence[places] / 100.0 - hits) ** 2, np.nan)
    return Voice(hits, None if np.isnan(brier).all() else brier)


def _claims(row: Sequence[Opinion], name: str) -> bool:
    voted = [said for said in row if said.is_vote and name in (PANEL, said.provider)]
    return bool(voted) and all(said.calibratable for said in voted)


def _apart(market: Market, horizon: int) -> NDArray[np.int64]:
    """Closes whose horizons end inside the bars and do not overlap."""
    return np.arange(0, max(0, len(market) - horizon), horizon, dtype=np.int64)


def _compared(
    by: str,
    lab: Lab,
    market: Market,
    runs: Mapping[str, Backtest],
    voices: Mapping[str, Voice],
    parts: Sequence[Contribution],
) -> Compared:
    horizon = lab.settings.decision.horizon
    pairs = compare(voices) if len(voices) > 1 else []
    return Compared(by, horizon, len(_apart(market, horizon)), runs, voices, pairs, parts)


def _acted(made: Backtest) -> dict[str, int]:
    """By rule, how many entries it clamped, vetoed or could not judge."""
    idle = (RulingOutcome.PASSED, RulingOutcome.NOT_APPLICABLE)
    found: dict[str, int] = {}
    for judged in made.simulation.judged:
        for ruling in judged.rulings:
            if ruling.outcome not in idle:
                found[ruling.rule] = found.get(ruling.rule, 0) + 1
    return found


def contribution(
    name: str, whole: Backtest, without: Backtest, *, acted: int | None = None, seed: int = 0
) -> Contribution:
    """``without`` less ``whole``. The same days are drawn for both, so that what they share cancels."""
    returns, drawdowns = _differences(whole.daily.returns, without.daily.returns, seed)
    one, other = whole.metrics, without.metrics
    return Contribution(
        without=name,
        acted=acted,
        total_return=other.total_return - one.total_return,
        total_return_interval=_interval(returns),
        max_drawdown=other.max_drawdown - one.max_drawdown,
        max_drawdown_interval=_interval(drawdowns),
        trades=other.total_trades - one.total_trades,
    )


def _differences(whole: Floats, without: Floats, seed: int) -> tuple[Floats, Floats]:
    if len(whole) < 30 or (whole == without).all():
        still = np.zeros(0 if len(whole) < 30 else 1)
        return still, still
    returns, drawdowns = [], []
    for index in paths(len(whole), resamples=RESAMPLES, seed=seed):
        ours, theirs = _course(whole[index]), _course(without[index])
        returns.append(theirs[0] - ours[0])
        drawdowns.append(theirs[1] - ours[1])
    return np.concatenate(returns), np.concatenate(drawdowns)


def _course(drawn: Floats) -> tuple[Floats, Floats]:
    growth = np.cumprod(np.maximum(1.0 + drawn, 0.0), axis=1)
    peaks = np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)
    return growth[:, -1] - 1.0, (1.0 - growth / peaks).max(axis=1)


def _interval(values: Floats) -> tuple[float, float] | None:
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
