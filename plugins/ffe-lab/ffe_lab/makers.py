"""Who decides in an experiment: makes the calls of a market, again and again, with one choice or another.

A rule can be varied by its parameters, a panel by its ``strategy`` and by the weight of each member, ``weight.NAME``.
Models are asked once, on the bars that happened; what they said is combined again, and nobody is asked a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ffe_core import AggregationStrategy, Asset, UnknownName, UsageError, VectorProvider
from ffe_core.ensemble.tiers import FALLBACK_STRATEGIES, EnsembleRules
from ffe_core.ports import RoundStrategy
from ffe_lab.gate import Calls
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.market import Market
from ffe_lab.panel import panel_calls
from ffe_lab.space import Range, Space, usual_space
from ffe_lab.trades import Indices

if TYPE_CHECKING:
    from ffe_lab.backtest import Provider
    from ffe_lab.heard import Row, Votes
    from ffe_lab.interview import Interview

type Point = Mapping[str, Any]

STRATEGY, WEIGHT = "strategy", "weight."
#: raw weights that a search tries; they are scaled to a sum of one
WEIGHTS = Range(0.1, 1.0)
#: a weight is rounded to so many decimals, so that settings can say the very number that was tried
_DECIMALS = 6
#: strategies that need nothing but the opinions
_PLAIN = ("weighted", *FALLBACK_STRATEGIES)


NO_PANEL = "weights are those of the members of a panel"


class Maker(Protocol):
    """Who decides."""

    def calls(self, market: Market, params: Point) -> Calls:
        """What is called at every bar. Raises ``UsageError`` like ``require``."""

    def require(self, params: Point) -> None:
        """Raises ``UsageError`` for what cannot be varied so."""

    def space(self, *, weights: bool = False) -> Space:
        """What a search tries where nobody said what, with the ``weights`` of a panel if they are wanted."""

    def settings(self, params: Point) -> dict[str, Any]:
        """``params`` as settings have them."""


@dataclass(frozen=True, slots=True)
class OneRule:
    provider: VectorProvider

    def calls(self, market: Market, params: Point) -> Calls:
        return Calls.of(self.varied(params), market.series)

    def varied(self, params: Point) -> VectorProvider:
        """Raises ``UsageError`` for parameters that the rule does not take."""
        return self.provider.with_params(**params) if params else self.provider

    def require(self, params: Point) -> None:
        self.varied(params)

    def space(self, *, weights: bool = False) -> Space:
        if weights:
            raise UsageError(NO_PANEL, hint="--provider ensemble, or several")
        return usual_space(self.provider)

    def settings(self, params: Point) -> dict[str, Any]:
        return {"plugins": {"lab": {"params": {self.provider.name: dict(params)}}}} if params else {}


@dataclass(frozen=True, slots=True)
class Voting:
    """How the votes of ``members`` become a verdict."""

    members: tuple[str, ...]
    strategies: dict[str, AggregationStrategy]
    rules: EnsembleRules

    def varied(self, params: Point) -> EnsembleRules:
        """Raises ``UsageError`` for what is neither a strategy nor a member's weight."""
        name = params.get(STRATEGY, self.rules.strategy)
        if name not in self.strategies:
            raise UnknownName("strategy", str(name), self.strategies)
        if params and isinstance(self.strategies[name], RoundStrategy):
            raise UsageError(f"{name} asks in rounds, which no other vote can stand in for", hint="strategy=weighted")
        rest = [each for each in params if each != STRATEGY and not each.startswith(WEIGHT)]
        if rest:
            raise UsageError(f"{rest[0]} is a parameter of one provider", hint="--provider NAME, once")
        return replace(self.rules, strategy=name, weights={**self.rules.weights, **self.weights(params)})

    def weights(self, params: Point) -> dict[str, float]:
        """Those of ``params`` with a sum of one. Raises ``UsageError``."""
        raw = {name.removeprefix(WEIGHT): _weight(name, params[name]) for name in params if name.startswith(WEIGHT)}
        for name in raw:
            if name not in self.members:
                raise UnknownName("member", name, self.members)
        total = sum(raw.values())
        if raw and total <= 0:
            raise UsageError("weights that are all 0 leave nobody to listen to")
        return {name: round(value / total, _DECIMALS) for name, value in raw.items()}

    def space(self, *, weights: bool) -> Space:
        if weights and len(self.members) < 2:
            raise UsageError(NO_PANEL, hint="--provider ensemble, or several")
        known = [name for name in _PLAIN if name in self.strategies]
        by_name = {f"{WEIGHT}{name}": WEIGHTS for name in self.members} if weights else {}
        return {STRATEGY: known, **by_name} if len(self.members) > 1 else {}

    def settings(self, params: Point) -> dict[str, Any]:
        made: dict[str, Any] = {STRATEGY: params[STRATEGY]} if STRATEGY in params else {}
        weights = self.weights(params)
        return {"ensemble": made | ({"weights": weights} if weights else {})} if made or weights else {}


def _weight(name: str, value: Any) -> float:
    if not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise UsageError(f"{name} {value!r} is no weight of at least 0")
    return float(value)


@dataclass(frozen=True, slots=True)
class _Voters:
    """Several who decide together; they can be varied by how they vote."""

    voting: Voting

    def require(self, params: Point) -> None:
        self.voting.varied(params)

    def space(self, *, weights: bool = False) -> Space:
        return self.voting.space(weights=weights)

    def settings(self, params: Point) -> dict[str, Any]:
        return self.voting.settings(params)


@dataclass(frozen=True, slots=True)
class Panel(_Voters):
    """Rules that vote."""

    members: dict[str, VectorProvider]

    def calls(self, market: Market, params: Point) -> Calls:
        return panel_calls(self.members, market, self.voting.strategies, self.voting.varied(params))


@dataclass(frozen=True, slots=True)
class Recorded(_Voters):
    """Models, or a panel with models in it, as they were heard on the bars of one market.

    ``whole`` is what they called together; ``votes`` what each of them said, ``backing`` the rules that settings let
    answer at a close where all of them failed.
    """

    time: Indices
    whole: Calls
    votes: Votes
    asset: Asset
    backing: Mapping[int, Row] = field(default_factory=dict)

    def calls(self, market: Market, params: Point) -> Calls:
        """Of the market that was asked about, or of a part from its beginning. Raises ``UsageError`` for another."""
        count = len(market.candles)
        if not np.array_equal(market.time, self.time[:count]):
            raise UsageError("models were heard on other bars than these")
        calls = self._voted(params) if params else self.whole
        before = len(self.time) - len(self.votes.rows)
        said = slice(market.first - before, count - before)
        heard = replace(self.votes, rows=self.votes.rows[said], closes=self.votes.closes[said])
        agreement = None if calls.agreement is None else calls.agreement[:count]
        votes = {
            name: replace(each, action=each.action[:count], confidence=each.confidence[:count])
            for name, each in calls.votes.items()
        }
        return Calls(calls.action[:count], calls.confidence[:count], agreement, votes, heard)

    def _voted(self, params: Point) -> Calls:
        from ffe_lab.heard import columns_of, combined

        rules = self.voting.varied(params)
        verdicts = combined(
            self.votes, self.asset, self.voting.strategies, rules, lambda place: self.backing.get(place, ())
        )
        return columns_of(len(self.time), self.votes, verdicts, self.voting.members)


def maker_of(lab: Lab, market: Market, provider: Provider, params: Point | None = None) -> Maker:
    """Models among the providers are asked here, by the interview of ``lab``.

    Raises ``UnknownName``, ``UsageError`` for who cannot answer, and what ``Interview.hear`` does.
    """
    if not isinstance(provider, str) and isinstance(provider, VectorProvider):
        return OneRule(provider.with_params(**params) if params else provider)
    names = [provider] if isinstance(provider, str) else list(provider)
    if lab.interview is not None and models_among(lab, provider):
        return _recorded(lab, lab.interview, market, names, params)
    if len(names) == 1 and names[0] != ENSEMBLE:
        return OneRule(lab.provider(names[0], params))
    if params:
        raise UsageError("parameters are those of one provider", hint="--provider NAME, once")
    members = {name: lab.provider(name) for name in lab.panel(names)}
    return Panel(_voting(lab, tuple(members)), members)


def models_among(lab: Lab, provider: Provider) -> list[str]:
    """The names of those who have no answer for a whole series. Raises ``UnknownName``."""
    if not isinstance(provider, str) and isinstance(provider, VectorProvider):
        return []
    panel = lab.panel([provider] if isinstance(provider, str) else list(provider))
    return [name for name, each in panel.items() if not isinstance(each, VectorProvider)]


def _voting(lab: Lab, members: tuple[str, ...]) -> Voting:
    registry = lab.engine.registry
    strategies = {name: registry.close_at_hand("strategy", name) for name in registry.strategies}
    return Voting(members, strategies, lab.ensemble)


def _recorded(lab: Lab, interview: Interview, market: Market, names: Sequence[str], params: Point | None) -> Recorded:
    from ffe_lab.heard import heard_calls, stand_ins

    if params:
        raise UsageError("parameters are those of rules; a model has its own settings")
    panel = lab.panel(names)
    calls = heard_calls(lab.engine, market, panel, interview, lab.ensemble, frozenset(names) - {ENSEMBLE})
    votes = calls.heard
    assert votes is not None  # noqa: S101 - what models said is always among what they called
    members = tuple(name for name in panel if name not in votes.left_out)
    behind = stand_ins(lab.engine, market, panel, votes)
    silent = [place for place, row in enumerate(votes.rows) if not any(said.is_vote for said in row)]
    backing = {place: behind(place) for place in silent}
    return Recorded(_voting(lab, members), market.time, calls, votes, market.asset, backing)
