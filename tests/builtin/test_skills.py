import math
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffe_core import Action, Opinion, Outcome
from ffe_core.builtin import skills
from ffe_core.builtin.skills import Hedge, SkillsSettings, Stacking, Thompson, beta_belief, brier, fit, hedge_weights
from ffe_core.builtin.voting import Majority
from ffe_core.domain.codec import plain, restore
from ffe_core.ensemble.tiers import EnsembleRules, ballot_of, combine
from ffe_core.testing import AggregationStrategyContract, make_ballot, make_opinion
from ffe_core.testing.samples import NOON
from tests.testing.trials import broken_checks, contract

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD
BTC = make_ballot((BUY, 50)).asset


def outcome(number, move, calls, *, cost=0.001, resolved_at=None):
    """What became of decision ``number``; ``calls`` maps a provider to its action and confidence."""
    return Outcome(
        f"d{number:05}",
        BTC,
        resolved_at or NOON - timedelta(hours=20_000 - number),
        HOLD,
        None,
        None,
        provider_actions={name: action for name, (action, _) in calls.items()},
        provider_confidences={name: confidence for name, (_, confidence) in calls.items()},
        price_return=move,
        cost=cost,
    )


def with_history(ballot, history, **changes):
    return replace(ballot, history=tuple(history), **changes)


def skilled(count, *, seed=0, skill=0.75):
    """``p0`` is right that often, ``p1`` as often wrong, ``p2`` tosses a coin."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        move = rng.choice((-0.02, 0.02))
        right, wrong = (BUY, SELL) if move > 0 else (SELL, BUY)
        good, bad = (right, wrong) if rng.random() < skill else (wrong, right)
        made.append(outcome(number, move, {"p0": (good, 75), "p1": (bad, 75), "p2": (rng.choice((BUY, SELL)), 60)}))
    return made


DIVIDED = make_ballot((BUY, 70), (SELL, 70), (SELL, 60), seed=1)


# What an outcome says of a provider's own call


def test_an_outcome_rewards_the_direction_that_paid_its_costs():
    assert outcome(0, 0.02, {}).rewarded is BUY
    assert outcome(0, -0.02, {}).rewarded is SELL
    assert outcome(0, 0.0005, {}).rewarded is HOLD
    assert outcome(0, 0.001, {}).rewarded is HOLD


@pytest.mark.parametrize(("action", "gross"), [(BUY, 0.02), (SELL, -0.02)])
def test_an_older_outcome_tells_the_same_from_what_the_decision_made(action, gross):
    old = Outcome("d", BTC, NOON, action, gross, gross - 0.001)
    assert old.rewarded is BUY
    assert math.isclose(old.net_of(BUY), 0.019)
    assert math.isclose(old.net_of(SELL), -0.021)
    assert old.net_of(HOLD) == 0


def test_an_older_hold_says_nothing_of_the_price():
    old = Outcome("d", BTC, NOON, HOLD, None, None)
    assert old.rewarded is None
    assert old.net_of(BUY) is None


def test_brier_scores_directional_calls_alone():
    told = outcome(0, 0.02, {"a": (BUY, 80), "b": (SELL, 80), "c": (HOLD, 80)})
    assert math.isclose(brier(told, "a"), 0.04)
    assert math.isclose(brier(told, "b"), 0.64)
    assert brier(told, "c") is None
    assert brier(told, "absent") is None


def test_an_outcome_is_restored_with_and_without_what_was_added_later():
    made = outcome(0, 0.02, {"a": (BUY, 80)})
    told = plain(made)
    assert restore(Outcome, told) == made
    del told["price_return"], told["cost"]
    assert restore(Outcome, told) == replace(made, price_return=None, cost=None)


def test_a_ballot_holds_what_was_resolved_by_its_instant():
    early, late = outcome(0, 0.02, {}, resolved_at=NOON), outcome(1, 0.02, {}, resolved_at=NOON + timedelta(seconds=1))
    ballot = ballot_of(BTC, NOON, [make_opinion("a")], EnsembleRules("hedge", {}, 0), history=[late, early])
    assert ballot.history == (early,)


# Hedge


def test_hedge_weights_by_the_exponential_of_the_cumulative_brier():
    history = [
        outcome(0, 0.02, {"a": (BUY, 80), "b": (SELL, 80)}),
        outcome(1, -0.02, {"a": (BUY, 60), "b": (SELL, 90)}),
    ]
    made = hedge_weights({"a": 0.25, "b": 0.75}, history)
    raw = {"a": 0.25 * math.exp(-0.5 * (0.04 + 0.36)), "b": 0.75 * math.exp(-0.5 * (0.64 + 0.01))}
    assert made == pytest.approx({name: one / sum(raw.values()) for name, one in raw.items()}, abs=1e-15)


CALLS = st.tuples(st.sampled_from([BUY, SELL]), st.integers(0, 100))
ROUNDS = st.integers(1, 5).flatmap(
    lambda count: st.lists(st.tuples(st.booleans(), st.lists(CALLS, min_size=count, max_size=count)), max_size=80)
)


@settings(max_examples=60)
@given(ROUNDS)
def test_the_weighted_mean_is_never_much_worse_than_the_best_provider(rounds):
    names = [f"p{index}" for index in range(len(rounds[0][1]) if rounds else 1)]
    first = dict.fromkeys(names, 1 / len(names))
    history, mixed, own = [], 0.0, dict.fromkeys(names, 0.0)
    for number, (up, calls) in enumerate(rounds):
        weights = hedge_weights(first, history)
        assert math.isclose(math.fsum(weights.values()), 1)
        rises = [confidence / 100 if action is BUY else 1 - confidence / 100 for action, confidence in calls]
        mixed += (math.fsum(weights[name] * rise for name, rise in zip(names, rises, strict=True)) - up) ** 2
        for name, rise in zip(names, rises, strict=True):
            own[name] += (rise - up) ** 2
        history.append(outcome(number, 0.02 if up else -0.02, dict(zip(names, calls, strict=True))))
    assert mixed <= min(own.values()) + 2 * math.log(len(names)) + 1e-9


@settings(max_examples=60)
@given(ROUNDS, st.randoms(use_true_random=False))
def test_nobody_gains_on_the_mixture_by_staying_silent(rounds, rng):
    names = [f"p{index}" for index in range(len(rounds[0][1]) if rounds else 1)]
    first = dict.fromkeys(names, 1 / len(names))
    history, ahead = [], dict.fromkeys(names, 0.0)
    for number, (up, calls) in enumerate(rounds):
        weights = hedge_weights(first, history)
        awake = {name: call for name, call in zip(names, calls, strict=True) if rng.random() < 0.6}
        told = outcome(number, 0.02 if up else -0.02, {**dict.fromkeys(names, (HOLD, 99)), **awake})
        history.append(told)
        if awake:
            total = math.fsum(weights[name] for name in awake)
            errors = {name: math.sqrt(brier(told, name)) for name in awake}
            mixed = (math.fsum(weights[name] * errors[name] for name in awake) / total) ** 2
            for name in awake:
                ahead[name] += mixed - errors[name] ** 2
    assert max(ahead.values()) <= 2 * math.log(len(names)) + 1e-9


def test_saying_hold_moves_no_weight():
    history = [outcome(number, 0.02, {"a": (BUY, 90), "b": (SELL, 90), "c": (HOLD, 90)}) for number in range(20)]
    made = hedge_weights(dict.fromkeys("abc", 1 / 3), history)
    assert math.isclose(made["c"], 1 / 3)
    assert made["a"] > 0.66
    assert math.isclose(math.fsum(made.values()), 1)


def test_hedge_follows_who_was_right():
    verdict = Hedge().combine(with_history(DIVIDED, skilled(200)))
    assert verdict.action is BUY
    assert verdict.metadata["skill_weights"]["p0"] > 0.99
    assert verdict.agreement > 0.99
    assert Hedge().combine(DIVIDED).action is SELL


def test_a_floor_keeps_everyone_in_and_the_sum_at_one():
    made = Hedge(floor=0.02).combine(with_history(DIVIDED, skilled(2000))).metadata["skill_weights"]
    assert min(made.values()) == pytest.approx(0.02, abs=1e-9)
    assert math.isclose(math.fsum(made.values()), 1)
    assert hedge_weights({"a": 0.9, "b": 0.1}, [], floor=0.6) == {"a": 0.5, "b": 0.5}


def test_a_provider_with_no_first_weight_earns_none():
    history = [outcome(number, 0.02, {"p0": (BUY, 90), "p1": (SELL, 90)}) for number in range(5)]
    made = hedge_weights({"p0": 0.0, "p1": 1.0}, history)
    assert made == {"p0": 0.0, "p1": 1.0}


# Thompson


def test_beliefs_count_hits_and_misses():
    history = [
        outcome(0, 0.02, {"a": (BUY, 1)}),
        outcome(1, 0.02, {"a": (SELL, 1)}),
        outcome(2, 0.0, {"a": (HOLD, 1)}),
        outcome(3, 0.02, {"b": (BUY, 1)}),
    ]
    assert beta_belief(history, "a") == (3, 2)
    assert beta_belief(history, "absent") == (1, 1)


def test_thompson_draws_from_the_seed_and_the_provider_alone():
    history = skilled(50)
    one, again = (Thompson().combine(with_history(DIVIDED, history)) for _ in range(2))
    assert one == again
    other = Thompson().combine(with_history(DIVIDED, history, seed=2))
    assert one.metadata["skill_weights"] != other.metadata["skill_weights"]
    pair = make_ballot((BUY, 70), (SELL, 70), seed=1)
    left = Thompson().combine(with_history(pair, history)).metadata["skill_weights"]
    full = one.metadata["skill_weights"]
    assert math.isclose(left["p0"] / left["p1"], full["p0"] / full["p1"])


@pytest.mark.slow
def test_thompson_converges_on_the_better_provider():
    shares = []
    for count in (0, 30, 300, 3000):
        history = skilled(count, skill=0.9)
        drawn = [
            Thompson().combine(with_history(DIVIDED, history, seed=seed)).metadata["skill_weights"]["p0"]
            for seed in range(20)
        ]
        shares.append(sum(drawn) / len(drawn))
    assert shares[0] < 0.5
    assert shares[3] == pytest.approx(0.9 / (0.9 + 0.1 + 0.5), abs=0.02)
    assert Thompson().combine(with_history(DIVIDED, history)).action is BUY


# Stacking


def test_stacking_declines_until_enough_has_come_of_decisions():
    with pytest.raises(ValueError, match="99 recorded outcomes, 100 are needed"):
        Stacking().combine(with_history(DIVIDED, skilled(99)))
    assert Stacking().combine(with_history(DIVIDED, skilled(100))).reasoning.startswith("trained on 100 outcomes")


def test_stacking_declines_where_one_action_was_always_rewarded():
    history = [outcome(number, 0.02, {"p0": (BUY, 70)}) for number in range(200)]
    with pytest.raises(ValueError, match="all 200 recorded outcomes rewarded BUY"):
        Stacking().combine(with_history(DIVIDED, history))


def test_an_untrained_stacking_gives_way_to_the_majority():
    rules = EnsembleRules("stacking", {}, 0)
    votes = (make_opinion("a", SELL, 60), make_opinion("b", SELL, 70), make_opinion("c", BUY, 90))
    verdict = combine(
        ballot_of(BTC, NOON, votes, rules, history=skilled(3)),
        {"stacking": Stacking(), "majority": Majority()},
        rules,
    )
    assert (verdict.action, verdict.metadata["fallback_tier"]) == (SELL, "majority_voting")
    assert verdict.metadata["tier_errors"] == ["stacking: 3 recorded outcomes, 100 are needed before it answers"]


def consensus(count, *, seed=0):
    """A market that follows a sure majority and does nothing after a divided vote."""
    rng = random.Random(seed)
    made = []
    for number in range(count):
        side = rng.choice((BUY, SELL, HOLD))
        sure = rng.randint(70, 95)
        calls = {"p0": (side, sure), "p1": (side, sure), "p2": (rng.choice((BUY, SELL, HOLD)), 60)}
        follows = rng.random() < 0.9
        move = {BUY: 0.02, SELL: -0.02, HOLD: 0.0}[side if follows else rng.choice((BUY, SELL, HOLD))]
        made.append(outcome(number, move, calls))
    return made


@pytest.mark.parametrize("side", [BUY, SELL, HOLD])
def test_stacking_learns_what_the_market_rewarded(side):
    ballot = make_ballot((side, 80), (side, 85), (side, 60))
    verdict = Stacking().combine(with_history(ballot, consensus(300)))
    assert verdict.action is side
    assert verdict.confidence > 80
    assert math.isclose(sum(verdict.metadata["chances"].values()), 1, abs_tol=1e-8)


def test_stacking_takes_no_action_that_nobody_proposed():
    contrary = [replace(one, price_return=-one.price_return) for one in consensus(300)]
    verdict = Stacking().combine(with_history(make_ballot((BUY, 80), (BUY, 85), (BUY, 60)), contrary))
    assert verdict.metadata["chances"]["SELL"] > 0.5
    assert verdict.action is HOLD
    assert verdict.confidence < 50


def test_amounts_do_not_move_a_stacked_verdict():
    history = consensus(200)
    small, large = (
        make_ballot(*(make_opinion(f"p{index}", BUY, 80, amount=Decimal(amount)) for index in range(3)))
        for amount in ("0.0001", "90000")
    )
    one, other = (Stacking().combine(with_history(ballot, history)) for ballot in (small, large))
    assert (one.action, one.confidence) == (other.action, other.confidence)


def test_the_window_takes_the_newest_outcomes():
    old = [replace(one, price_return=-one.price_return) for one in consensus(300)]
    new = [replace(one, decision_id=f"e{one.decision_id}", resolved_at=NOON) for one in consensus(300)]
    ballot = make_ballot((BUY, 80), (BUY, 85), (BUY, 60))
    assert Stacking(window=300).combine(with_history(ballot, [*new, *old])).action is BUY


def test_a_fitted_model_gives_each_class_its_share_and_has_no_slope_left():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(120, 4))
    chosen = rng.integers(0, 3, size=120)
    held = fit(features, chosen, classes=3, penalty=1.0)
    known = np.column_stack([features, np.ones(120)])
    raised = np.exp(known @ held.T)
    chances = raised / raised.sum(axis=1, keepdims=True)
    assert chances.mean(axis=0) == pytest.approx(np.bincount(chosen) / 120, abs=1e-6)
    slope = (chances - np.eye(3)[chosen]).T @ features + held[:, :-1]
    assert np.abs(slope).max() < 1e-9


def test_a_fitted_model_equals_that_of_scikit_learn():
    # LogisticRegression(C=1.0, solver="newton-cg", tol=1e-12) of scikit-learn 1.9.1 on the same numbers.
    features = np.array([[((7 * i) % 11) / 10, ((5 * i) % 13) / 12, ((3 * i) % 7) / 6] for i in range(40)])
    chosen = np.array([(i * i + i // 3) % 3 for i in range(40)])
    known = [
        [0.1318142, -0.3153654, -0.0261170, 0.0810372],
        [0.0276860, -0.1727939, 0.0378186, 0.1783250],
        [-0.1595002, 0.4881594, -0.0117017, -0.2593622],
    ]
    assert fit(features, chosen, classes=3, penalty=1.0) == pytest.approx(np.array(known), abs=5e-7)


# All of them


@pytest.mark.parametrize("strategy", [Hedge(), Thompson(), Stacking()], ids=lambda strategy: strategy.name)
class TestEvery:
    def test_nothing_resolved_later_is_known(self, strategy):
        past = consensus(150)
        later = [
            replace(one, decision_id=f"x{one.decision_id}", resolved_at=NOON + timedelta(seconds=1), price_return=-0.5)
            for one in past
        ]
        assert strategy.combine(with_history(DIVIDED, past)) == strategy.combine(with_history(DIVIDED, [*later, *past]))

    def test_the_order_of_the_history_does_not_matter(self, strategy):
        history = consensus(150)
        turned = random.Random(0).sample(history, len(history))
        assert strategy.combine(with_history(DIVIDED, history)) == strategy.combine(with_history(DIVIDED, turned))

    def test_outcomes_that_say_nothing_change_nothing(self, strategy):
        history = consensus(150)
        empty = [
            Outcome("u1", BTC, NOON, HOLD, None, None, provider_actions={"p0": BUY}, provider_confidences={"p0": 90}),
            outcome(9, math.nan, {"p0": (BUY, 90)}),
            outcome(10, 0.02, {"p0": (BUY, 90)}, cost=math.inf),
        ]
        empty = [replace(one, decision_id=f"u{number}") for number, one in enumerate(empty)]
        assert strategy.combine(with_history(DIVIDED, history)) == strategy.combine(
            with_history(DIVIDED, [*history, *empty])
        )

    @pytest.mark.parametrize("survivors", [names for size in range(6) for names in combinations("abcde", size)])
    def test_any_part_of_the_panel_may_fail(self, strategy, survivors):
        answers = [
            make_opinion(name, BUY, 60) if name in survivors else Opinion.failure(name, "m", "gone", local=True)
            for name in "abcde"
        ]
        rules = EnsembleRules(strategy.name, {"a": 0.6}, 0)
        history = [
            outcome(number, 0.02 if number % 3 else -0.02, dict.fromkeys("abcde", (BUY, 55))) for number in range(120)
        ]
        verdict = combine(ballot_of(BTC, NOON, answers, rules, history=history), {strategy.name: strategy}, rules)
        if not survivors:
            assert (verdict.action, verdict.metadata["fallback_tier"]) == (HOLD, "no_provider")
            return
        assert verdict.action is BUY
        weights = verdict.metadata.get("skill_weights", verdict.metadata["adjusted_weights"])
        if len(survivors) > 1:
            assert verdict.metadata["fallback_tier"] == f"{strategy.name}_voting"
            assert set(weights) == set(survivors)
        assert abs(math.fsum(weights.values()) - 1) < 1e-9

    def test_the_contract_of_strategies_is_kept(self, strategy):
        class Taught:
            """The same strategy after a past that it can learn from."""

            name = strategy.name
            past = tuple(consensus(150))

            def combine(self, ballot):
                return strategy.combine(with_history(ballot, self.past))

        assert broken_checks(contract(AggregationStrategyContract, Taught)) == {}


def test_an_exact_tie_of_skill_is_a_hold():
    history = [outcome(number, 0.02, {"p0": (BUY, 70), "p1": (BUY, 70)}) for number in range(10)]
    verdict = Hedge().combine(with_history(make_ballot((BUY, 70), (SELL, 70)), history))
    assert verdict.action is HOLD
    assert "tie" in verdict.reasoning


def test_settings_reach_the_strategies_and_are_checked():
    made = {one.name: one for one in skills.ffe_aggregation_strategies(SkillsSettings(hedge_floor=0.02))}
    assert list(made) == ["hedge", "thompson", "stacking"]
    assert made["hedge"].floor == 0.02
    for wrong in (
        {"hedge_rate": 0.6},
        {"hedge_floor": -1},
        {"stacking_outcomes": 3},
        {"stacking_window": 50},
        {"hedge_flor": 0.1},
    ):
        with pytest.raises(ValidationError):
            SkillsSettings(**wrong)
