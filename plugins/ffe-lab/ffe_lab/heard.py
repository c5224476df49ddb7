"""What a panel with models in it calls at each bar: the votes of models and rules, combined as a live decision does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from ffe_core import Action, AggregationStrategy, AIProvider, Asset, Opinion, Signals, VectorProvider, Verdict, from_ms
from ffe_core.engine import STAND_INS, Engine, seed_of
from ffe_core.ensemble.tiers import EnsembleRules, ballot_of, combine
from ffe_core.ports import RoundStrategy
from ffe_lab.gate import Calls
from ffe_lab.interview import Heard, Interview, models_of, no_tape
from ffe_lab.market import Market
from ffe_lab.panel import CODES, PURE, rule_opinion
from ffe_lab.trades import Indices

type Row = tuple[Opinion, ...]


@dataclass(frozen=True, eq=False)
class Votes:
    """One row of opinions for each bar that was asked about, in panel order, and who was left out of it, and why."""

    rows: Sequence[Row]
    closes: Sequence[int]
    left_out: Mapping[str, str]
    looked_up: int = 0

    def of(self, provider: str) -> list[Opinion | None]:
        return [next((said for said in row if said.provider == provider), None) for row in self.rows]


def heard_calls(
    engine: Engine,
    market: Market,
    panel: Mapping[str, AIProvider],
    interview: Interview,
    rules: EnsembleRules,
    named: frozenset[str],
    at: Indices | None = None,
) -> Calls:
    """Asks, or remembers, and combines, at the bars ``at``, or at every traded one; the others are HOLD.

    Raises what ``Interview.hear`` does. A strategy that asks in rounds puts what was said before the next one, so every
    question is looked up in the cassette itself; all others are answered by lanes.
    """
    strategies = {name: engine.registry.close_at_hand("strategy", name) for name in engine.registry.strategies}
    if len(panel) > 1 and isinstance(strategies.get(rules.strategy), RoundStrategy):
        votes, verdicts = _in_rounds(engine, market, panel, interview, strategies, rules, named, at)
    else:
        votes = votes_of(engine, market, panel, interview, named, at)
        verdicts = combined(votes, market.asset, strategies, rules, stand_ins(engine, market, panel, votes, at))
    return calls_from(market, votes, verdicts, panel, at)


def votes_of(
    engine: Engine,
    market: Market,
    panel: Mapping[str, AIProvider],
    interview: Interview | None,
    named: frozenset[str],
    at: Indices | None = None,
) -> Votes:
    """The opinions of models, close by close, and of rules over the series, side by side.

    ``interview`` may be ``None`` where there are no models. Raises ``UsageError`` where there are.
    """
    models = models_of(panel)
    if models and interview is None:
        raise no_tape(next(iter(models)))
    heard = Heard({}) if interview is None else interview.hear(engine, market, models, named, at)
    columns = {name: said for name, said in _columns(market, panel, heard, at).items() if name not in heard.left_out}
    closes = _at(market.closes, market.first, at).tolist()
    rows = list(zip(*columns.values(), strict=True)) if columns else [()] * len(closes)
    return Votes(rows, closes, heard.left_out, heard.looked_up)


def _at(column: Any, first: int, at: Indices | None) -> Any:
    """What ``column`` has at some bars, or from ``first`` on."""
    return column[first:] if at is None else column[at]


def _columns(
    market: Market, panel: Mapping[str, AIProvider], heard: Heard, at: Indices | None
) -> dict[str, list[Opinion]]:
    made: dict[str, list[Opinion]] = {}
    for name, provider in panel.items():
        if name in heard.opinions:
            made[name] = heard.opinions[name]
        elif isinstance(provider, VectorProvider):
            made[name] = rule_opinions(provider, market, at)
    return made


def rule_opinions(provider: VectorProvider, market: Market, at: Indices | None = None) -> list[Opinion]:
    """A rule's answer at the bars ``at``, else at each traded one; where it has nothing to say that is a failure."""
    signals = provider.ask_all(market.series)
    kinds: dict[tuple[int, int], Opinion] = {}
    said = (_at(column, market.first, at).tolist() for column in (signals.action, signals.confidence))
    pairs = zip(*said, strict=True)
    return [kinds.get(pair) or kinds.setdefault(pair, rule_opinion(provider, *pair)) for pair in pairs]


def combined(
    votes: Votes,
    asset: Asset,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
    stand_ins: Callable[[int], Row] = lambda _place: (),
) -> list[Verdict]:
    """One verdict for each row: tiers, quorum and weights."""
    made: list[Verdict] = []
    known: dict[Any, Verdict] = {}
    for place, (row, close) in enumerate(zip(votes.rows, votes.closes, strict=True)):
        backing = () if any(said.is_vote for said in row) else stand_ins(place)
        key = tuple((said.provider, said.action, said.confidence, said.amount) for said in (*row, *backing))
        verdict = known.get(key) if rules.strategy in PURE else None
        if verdict is None:
            verdict = known[key] = _verdict(row, backing, asset, from_ms(close), strategies, rules)
        made.append(verdict)
    return made


def _verdict(
    row: Row,
    backing: Row,
    asset: Asset,
    at: datetime,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
) -> Verdict:
    said = backing if any(each.is_vote for each in backing) else row
    return combine(ballot_of(asset, at, said, rules, seed=seed_of(asset, at)), strategies, rules)


def stand_ins(
    engine: Engine, market: Market, panel: Mapping[str, AIProvider], votes: Votes, at: Indices | None = None
) -> Callable[[int], Row]:
    """The rules that settings let answer for a panel that failed as a whole; only their way out is followed."""
    if engine.settings.ai.fallback != "local" or all(any(said.is_vote for said in row) for row in votes.rows):
        return lambda _place: ()
    left = [engine.registry.close_at_hand("provider", name) for name in STAND_INS if name not in panel]
    columns = [rule_opinions(provider, market, at) for provider in left]
    return lambda place: tuple(column[place] for column in columns)


def _in_rounds(
    engine: Engine,
    market: Market,
    panel: Mapping[str, AIProvider],
    interview: Interview,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
    named: frozenset[str],
    at: Indices | None,
) -> tuple[Votes, list[Verdict]]:
    known = interview.known(engine, market)
    cassette = interview.cassette(engine)
    feed, closes = known.feed(), _at(market.closes, market.first, at).tolist()
    rows: list[Row] = []
    verdicts: list[Verdict] = []
    for place, close in enumerate(closes):
        interview.wait_for(engine, models_of(panel))
        inputs, _ = engine.asked(engine.inputs_at(market.asset, from_ms(close), feed), panel, named=named)
        ballot = ballot_of(
            market.asset, from_ms(close), inputs.opinions, rules, seed=inputs.seed, rounds=inputs.rounds,
            agenda=inputs.agenda,
        )  # fmt: skip
        verdicts.append(combine(ballot, strategies, rules))
        rows.append(inputs.opinions)
        interview.told(place + 1, len(closes))
    if cassette is not None:
        for name in panel:
            cassette.settle(name)
    return Votes(rows, closes, {}, len(closes)), verdicts


def calls_from(
    market: Market,
    votes: Votes,
    verdicts: Sequence[Verdict],
    panel: Mapping[str, AIProvider],
    at: Indices | None = None,
) -> Calls:
    members = [name for name in panel if name not in votes.left_out]
    return columns_of(len(market.candles), votes, verdicts, members, at)


def columns_of(
    bars: int, votes: Votes, verdicts: Sequence[Verdict], members: Sequence[str], at: Indices | None = None
) -> Calls:
    """The calls of so many bars, of which those ``at`` these places were voted on, else the last ones."""
    said = slice(bars - len(votes.rows), None) if at is None else at
    action, confidence, agreement = np.zeros(bars, np.int8), np.zeros(bars, np.int8), np.zeros(bars)
    # A verdict without a vote of the panel is its stand-ins': they may leave a position, and open none.
    spoke = [any(said.is_vote for said in row) for row in votes.rows]
    action[said] = [
        CODES[verdict.action] if own or verdict.action is not Action.BUY else 0
        for verdict, own in zip(verdicts, spoke, strict=True)
    ]
    confidence[said] = [verdict.confidence for verdict in verdicts]
    agreement[said] = [verdict.agreement for verdict in verdicts]
    signals = {name: _signals(votes.of(name), bars, said) for name in members}
    return Calls(action, confidence, agreement, votes=signals, heard=votes)


def _signals(column: Sequence[Opinion | None], bars: int, said: slice | Indices) -> Signals:
    action, confidence = np.zeros(bars, np.int8), np.zeros(bars, np.int8)
    action[said] = [0 if each is None or each.action is None else CODES[each.action] for each in column]
    confidence[said] = [0 if each is None else each.confidence for each in column]
    return Signals(action, confidence)
