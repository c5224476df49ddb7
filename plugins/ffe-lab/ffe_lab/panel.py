"""What a panel of rules calls at each bar, combined as a live decision combines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ffe_core import Action, AggregationStrategy, Asset, Opinion, VectorProvider, from_ms
from ffe_core.ensemble.tiers import FALLBACK_STRATEGIES, EnsembleRules, ballot_of, combine
from ffe_lab.gate import Calls
from ffe_lab.market import Market
from ffe_lab.trades import Floats

type Rows = NDArray[np.int8]

_ACTIONS = {1: Action.BUY, -1: Action.SELL, 0: Action.HOLD}
CODES = {action: code for code, action in _ACTIONS.items()}
#: strategies whose verdict depends on nothing but the opinions: the same opinions are combined once
PURE = frozenset(("weighted", *FALLBACK_STRATEGIES))


def panel_calls(
    panel: Mapping[str, VectorProvider],
    market: Market,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
) -> Calls:
    """What a panel of rules says at every bar: renormalised weights, tiers, quorum and all.

    A bar on which none of them has anything to say is HOLD with confidence 0.
    """
    answers = {name: provider.ask_all(market.series) for name, provider in panel.items()}
    if len(panel) == 1:
        (signals,) = answers.values()
        return Calls(signals.action, signals.confidence, votes=answers)
    rows = np.stack([column for each in answers.values() for column in (each.action, each.confidence)], axis=1)
    if rules.strategy in PURE:
        return replace(_combined_once(panel, rows, market, strategies, rules), votes=answers)
    from ffe_core.engine import seed_of

    verdicts = [
        _verdict(panel, row, market.asset, at, strategies, rules, seed_of(market.asset, from_ms(at)))
        for row, at in zip(rows.tolist(), market.closes.tolist(), strict=True)
    ]
    return replace(_columns(verdicts), votes=answers)


def _combined_once(
    panel: Mapping[str, VectorProvider],
    rows: Rows,
    market: Market,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
) -> Calls:
    """Each set of opinions that occurs is combined once; where nobody wants to act, nothing has to be."""
    calls = Calls(np.zeros(len(rows), np.int8), np.zeros(len(rows), np.int8), np.zeros(len(rows)))
    acting = np.flatnonzero((rows[:, ::2] != 0).any(axis=1))
    if len(acting):
        distinct, place = np.unique(rows[acting], axis=0, return_inverse=True)
        at = int(market.closes[0])
        made = [_verdict(panel, row, market.asset, at, strategies, rules, 0) for row in distinct.tolist()]
        found = _columns([made[index] for index in place.reshape(-1).tolist()])
        calls.action[acting], calls.confidence[acting] = found.action, found.confidence
        assert calls.agreement is not None  # noqa: S101 - made above
        calls.agreement[acting] = found.agreement
    return calls


def _verdict(
    panel: Mapping[str, VectorProvider],
    row: Sequence[int],
    asset: Asset,
    at: int,
    strategies: Mapping[str, AggregationStrategy],
    rules: EnsembleRules,
    seed: int,
) -> tuple[int, int, float]:
    opinions = [
        rule_opinion(provider, row[2 * place], row[2 * place + 1]) for place, provider in enumerate(panel.values())
    ]
    verdict = combine(ballot_of(asset, from_ms(int(at)), opinions, rules, seed=seed), strategies, rules)
    return CODES[verdict.action], verdict.confidence, verdict.agreement


def rule_opinion(provider: VectorProvider, action: int, confidence: int) -> Opinion:
    """A rule's answer at one bar; nothing at no confidence is a failure: it has too few bars to say more."""
    if not action and not confidence:
        return Opinion.failure(provider.name, provider.model, "too few bars", local=provider.local)
    return Opinion(
        provider.name, provider.model, _ACTIONS[action], confidence, "over the series", calibratable=False,
        local=provider.local,
    )  # fmt: skip


def _columns(verdicts: Sequence[tuple[int, int, float]]) -> Calls:
    action, confidence, agreement = zip(*verdicts, strict=True) if verdicts else ((), (), ())
    behind: Floats = np.array(agreement, np.float64)
    return Calls(np.array(action, np.int8), np.array(confidence, np.int8), behind)
