from datetime import UTC, datetime
from decimal import Decimal
from itertools import combinations

import pytest

from ffe_core import Action, Asset, Opinion, Verdict
from ffe_core.builtin.voting import Average, Best, Majority, Weighted
from ffe_core.ensemble.tiers import EnsembleRules, ballot_of, combine

ASSET = Asset.parse("BTCUSD")
AS_OF = datetime(2023, 6, 1, tzinfo=UTC)
STRATEGIES = {strategy.name: strategy for strategy in (Weighted(), Majority(), Average(), Best())}


class Broken:
    def __init__(self, name):
        self.name = name

    def combine(self, ballot):
        raise ValueError("broken on purpose")


def said(provider, action, confidence, amount="0", *, local=True):
    return Opinion(provider, "m", Action(action), confidence, f"{provider} says so", Decimal(amount), local=local)


def lost(provider):
    return Opinion.failure(provider, "m", "connection refused", local=True)


def verdict_of(*answers, weights=None, strategy="weighted", strategies=STRATEGIES, min_local=3):
    rules = EnsembleRules(strategy, weights or {}, min_local)
    return combine(ballot_of(ASSET, AS_OF, answers, rules), strategies, rules)


def test_weighted_vote_of_equal_weights():
    verdict = verdict_of(said("a", "BUY", 80, "0.1"), said("b", "BUY", 70, "0.2"), said("c", "HOLD", 60, "0"))
    powers = verdict.metadata["voting_power"]
    assert (verdict.action, verdict.confidence) == (Action.BUY, 81)
    assert [round(powers[name], 5) for name in "abc"] == [0.38095, 0.33333, 0.28571]
    assert round(verdict.metadata["action_votes"]["BUY"], 6) == 0.714286
    assert round(verdict.amount, 6) == Decimal("0.104762")
    assert verdict.metadata["fallback_tier"] == "weighted_voting"


def test_weighted_vote_of_unequal_weights():
    verdict = verdict_of(
        said("a", "BUY", 60), said("b", "SELL", 90), said("c", "SELL", 90), weights={"a": 0.5, "b": 0.3, "c": 0.2}
    )
    powers = verdict.metadata["voting_power"]
    assert [round(powers[name], 12) for name in "abc"] == [0.4, 0.36, 0.24]
    assert (verdict.action, verdict.confidence) == (Action.SELL, 93)


def test_all_confidences_zero_means_equal_powers():
    verdict = verdict_of(said("a", "BUY", 0), said("b", "BUY", 0), said("c", "SELL", 0))
    assert set(verdict.metadata["voting_power"].values()) == {1 / 3}
    assert verdict.action is Action.BUY


def test_an_exact_tie_of_power_is_a_hold():
    verdict = verdict_of(said("a", "BUY", 70), said("b", "SELL", 70), min_local=2)
    assert verdict.action is Action.HOLD
    assert "tie" in verdict.reasoning


def test_a_failed_provider_is_never_a_vote():
    verdict = verdict_of(said("a", "BUY", 80), lost("b"), said("c", "BUY", 70), said("d", "HOLD", 60))
    assert verdict.metadata["adjusted_weights"] == dict.fromkeys("acd", 1 / 3)
    assert verdict.metadata["providers_failed"] == {"b": "connection refused"}
    assert (verdict.raw_confidence, verdict.confidence) == (81, 74)


def test_missed_quorum_is_marked_and_costs_confidence():
    verdict = verdict_of(said("a", "BUY", 80), said("b", "BUY", 70), said("c", "HOLD", 60), lost("d"), min_local=4)
    assert verdict.confidence == 51
    assert verdict.metadata["quorum_penalty_applied"]
    assert verdict.reasoning.startswith("[only 3 of 4 local providers answered]")


def test_a_broken_strategy_gives_way_to_the_majority():
    verdict = verdict_of(
        said("a", "BUY", 80),
        said("b", "BUY", 70),
        said("c", "SELL", 90),
        strategies={**STRATEGIES, "weighted": Broken("weighted")},
    )
    assert (verdict.action, verdict.confidence) == (Action.BUY, 75)
    assert verdict.metadata["fallback_tier"] == "majority_voting"
    assert verdict.metadata["tier_errors"] == ["weighted: broken on purpose"]


def test_a_strategy_that_is_not_there_gives_way_and_is_told():
    verdict = verdict_of(said("a", "BUY", 80), said("b", "BUY", 70), strategy="wieghted")
    assert verdict.metadata["fallback_tier"] == "majority_voting"
    assert verdict.metadata["tier_errors"] == ["wieghted: there is no such strategy"]


def test_a_broken_majority_gives_way_to_the_average_of_everyone():
    broken = {name: Broken(name) for name in ("weighted", "majority")}
    verdict = verdict_of(
        said("a", "BUY", 80), said("b", "BUY", 70), said("c", "SELL", 90), strategies={**STRATEGIES, **broken}
    )
    assert (verdict.action, verdict.confidence) == (Action.BUY, 80)
    assert verdict.metadata["fallback_tier"] == "simple_average"


def test_one_answer_left_and_a_broken_strategy_is_the_single_best():
    verdict = verdict_of(
        said("a", "BUY", 80), lost("b"), strategies={**STRATEGIES, "weighted": Broken("weighted")}, min_local=1
    )
    assert verdict.metadata["fallback_tier"] == "single_provider"
    assert verdict.metadata["fallback_provider"] == "a"
    assert verdict.confidence == int(80 * 0.85)


def test_a_majority_tie_goes_to_the_first_of_the_panel():
    verdict = verdict_of(said("a", "SELL", 50), said("b", "BUY", 99), strategy="majority", min_local=0)
    assert verdict.action is Action.SELL


def test_the_best_tie_goes_to_the_first_of_the_panel():
    verdict = verdict_of(said("a", "SELL", 70), said("b", "BUY", 70), strategy="best", min_local=0)
    assert verdict.action is Action.SELL


def test_nobody_answering_is_a_hold_without_confidence_that_lists_everyone():
    verdict = verdict_of(lost("a"), lost("b"))
    assert (verdict.action, verdict.confidence) == (Action.HOLD, 0)
    assert verdict.metadata["fallback_tier"] == "no_provider"
    assert set(verdict.metadata["providers_failed"]) == {"a", "b"}


def test_a_panel_of_one_is_not_adjusted():
    verdict = verdict_of(said("a", "BUY", 64, local=False))
    assert (verdict.confidence, verdict.metadata["fallback_tier"]) == (64, "single_provider")


@pytest.mark.parametrize(
    "nonsense",
    [
        None,
        Verdict("BUY", 70, 70, "text for an action", None),
        Verdict(Action.BUY, 101, 101, "too sure", None),
        Verdict(Action.BUY, 70.5, 70, "half a percent", None),
        Verdict(Action.BUY, True, 1, "a truth value", None),
        Verdict(Action.BUY, 70, 70, "  ", None),
        Verdict(Action.BUY, 70, 70, "less than nothing", Decimal(-1)),
        Verdict(Action.BUY, 70, 70, "not a number", Decimal("NaN")),
    ],
)
def test_a_nonsense_verdict_gives_way_to_the_next_tier(nonsense):
    class Liar:
        name = "weighted"

        def combine(self, ballot):
            return nonsense

    verdict = verdict_of(said("a", "BUY", 80), said("b", "BUY", 70), strategies={**STRATEGIES, "weighted": Liar()})
    assert verdict.metadata["fallback_tier"] == "majority_voting"


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("survivors", [names for size in range(6) for names in combinations("abcde", size)])
def test_any_part_of_the_panel_may_fail(survivors, strategy):
    answers = [said(name, "BUY", 60) if name in survivors else lost(name) for name in "abcde"]
    verdict = verdict_of(*answers, strategy=strategy)
    weights = verdict.metadata["adjusted_weights"]
    assert set(weights) == set(survivors)
    if survivors:
        assert abs(sum(weights.values()) - 1) < 1e-12
        assert verdict.action is Action.BUY
        assert verdict.metadata["fallback_tier"] == f"{strategy}_voting"
    else:
        assert (verdict.action, verdict.confidence) == (Action.HOLD, 0)


def test_metadata_tells_everything_about_the_vote():
    told = verdict_of(said("a", "BUY", 80), said("b", "SELL", 60), lost("c")).metadata
    assert told["num_active"] == 2
    assert told["num_total"] == 3
    assert told["failure_rate"] == 1 / 3
    assert told["confidence_variance"] == 100.0
    assert told["agreement_score"] == 0.5
    assert told["vote_summary"]["counts"] == {"BUY": 1, "SELL": 1, "HOLD": 0}
    assert told["provider_decisions"]["a"]["action"] == "BUY"
    assert told["original_weights"] == dict.fromkeys("abc", 1 / 3)
    assert told["timestamp"] == "2023-06-01T00:00:00Z"


def test_the_summary_gives_mean_and_spread_of_what_was_said():
    # Mean 5 and population deviation 2: the example by which the deviation is taught.
    amounts = ("2", "4", "4", "4", "5", "5", "7", "9")
    votes = [said(f"p{number}", "BUY", int(amount), amount) for number, amount in enumerate(amounts)]
    summary = verdict_of(*votes).metadata["vote_summary"]
    assert (summary["mean_confidence"], summary["std_confidence"]) == (5.0, 2.0)
    assert (Decimal(summary["mean_amount"]), Decimal(summary["std_amount"])) == (5, 2)


def test_the_summary_of_nothing_invents_no_figures():
    summary = verdict_of(lost("a"), lost("b")).metadata["vote_summary"]
    assert {summary[name] for name in ("mean_confidence", "std_confidence", "mean_amount", "std_amount")} == {None}
