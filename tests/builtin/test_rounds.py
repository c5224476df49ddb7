from dataclasses import replace
from decimal import Decimal
from itertools import combinations

import pytest
from pydantic import ValidationError

from ffe_core import Action, Agenda, AssetKind, Note, Opinion, Round, Trust
from ffe_core.ai.prompt import render_prompt
from ffe_core.builtin.rounds import Debate, RoundsSettings, TwoPhase, ffe_aggregation_strategies
from ffe_core.engine.rounds import answers_of, rounds_of
from ffe_core.ensemble.tiers import EnsembleRules, ballot_of, combine
from ffe_core.testing import AggregationStrategyContract, make_briefing, make_opinion
from ffe_core.testing.samples import NOON
from tests.engine.test_decide_and_replay import STRATEGIES
from tests.testing.trials import broken_checks, contract

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD
PANEL = ("ann", "bob", "cyd", "dan")
BTC = make_briefing().asset


def agenda(**changes):
    made = Agenda(make_briefing(position=Decimal(0)), PANEL, PANEL[:3], Decimal(500), premium_left=8)
    return replace(made, **changes)


def answering(script):
    """Asks and answers by ``script``: provider to a list of answers, the last one for ever; ``None`` is a failure."""
    told = {name: list(answers) for name, answers in script.items()}

    def answer(name):
        said = told[name].pop(0) if len(told[name]) > 1 else told[name][0]
        if said is None:
            return Opinion.failure(name, "m", "out of reach")
        return make_opinion(name, *said)

    return lambda asks: [Round(ask, tuple(answer(name) for name in ask.providers)) for ask in asks]


def held(strategy, script, plan=None):
    """The verdict through all tiers, and the rounds that led to it."""
    plan = plan or agenda()
    rounds = rounds_of(strategy, plan, answering(script))
    rules = EnsembleRules(strategy.name, {}, 0)
    ballot = ballot_of(plan.briefing.asset, NOON, answers_of(rounds), rules, rounds=rounds, agenda=plan)
    return combine(ballot, {**STRATEGIES, strategy.name: strategy}, rules), rounds


@pytest.mark.parametrize("kind", [Debate, TwoPhase])
def test_both_keep_the_contract_of_strategies(kind):
    assert broken_checks(contract(AggregationStrategyContract, kind)) == {}


@pytest.mark.parametrize(
    "strategy", [Debate(), TwoPhase(first=PANEL[:3], quorum=2, stake=Decimal(0))], ids=["debate", "two_phase"]
)
@pytest.mark.parametrize("survivors", [names for size in range(6) for names in combinations((*PANEL, "eve"), size)])
def test_any_part_of_the_panel_may_fail(strategy, survivors):
    everyone = (*PANEL, "eve")
    script = {name: [(BUY, 60) if name in survivors else None] for name in everyone}
    verdict, rounds = held(strategy, script, agenda(panel=everyone))
    told = verdict.metadata
    asked = {name for one in rounds for name in one.ask.providers}
    assert set(told["providers_used"]) == asked & set(survivors)
    assert set(told["providers_failed"]) == asked - set(survivors)
    if not told["providers_used"]:
        assert (verdict.action, verdict.confidence, told["fallback_tier"]) == (HOLD, 0, "no_provider")
        assert told["adjusted_weights"] == {}
        return
    assert set(told["adjusted_weights"]) == set(told["providers_used"])
    assert sum(told["adjusted_weights"].values()) == pytest.approx(1, abs=1e-12)
    # A debate asks everyone else where a seat is lost; a first phase without its quorum decides nothing.
    no_quorum = strategy.name == "two_phase" and len(set(survivors) & set(PANEL[:3])) < 2
    assert verdict.action is (HOLD if no_quorum else BUY)
    if strategy.name == "debate":
        assert asked == set(everyone) or asked <= set(survivors)


# debate


def debate(bull, bear, judge, position=0, **settings):
    plan = agenda(briefing=make_briefing(position=Decimal(position)))
    return held(Debate(**settings), {"ann": [bull], "bob": [bear], "cyd": [judge], "dan": [(HOLD, 50)]}, plan)


def test_the_bull_and_the_bear_are_heard_at_once_and_the_judge_after_them():
    asked = []

    def ask(asks):
        asked.append([(one.seat, one.providers) for one in asks])
        return answering({name: [(BUY, 60)] for name in PANEL})(asks)

    rounds_of(Debate(), agenda(), ask)
    assert asked == [[("bull", ("ann",)), ("bear", ("bob",))], [("judge", ("cyd",))]]


def test_seats_that_are_named_are_taken_and_the_rest_follows_the_panel():
    asks = Debate({"bull": "cyd", "judge": "eve"}).next_round(agenda(), ())
    assert [ask.providers for ask in asks] == [("cyd",), ("ann",)]


def test_the_judge_decides():
    verdict, rounds = debate((BUY, 90), (SELL, 60), (SELL, 65))
    assert (verdict.action, verdict.raw_confidence) == (SELL, 65)
    told = verdict.metadata
    assert told["fallback_tier"] == "debate_voting"
    assert told["seats"] == {"bull": "ann", "bear": "bob", "judge": "cyd"}
    assert told["bull_case"] == {"provider": "ann", "action": "BUY", "confidence": 90, "reasoning": "ann says BUY"}
    assert told["override"] is None
    assert told["judge_reasoning"] == "cyd says SELL"
    assert len(rounds) == 3


@pytest.mark.parametrize(("models", "distinct"), [("xyz", True), ("xyx", False), ("xxx", False)])
def test_a_model_that_argues_with_itself_is_told(models, distinct):
    _, rounds = debate((BUY, 90), (SELL, 60), (SELL, 65))
    rounds = [
        replace(held, opinions=tuple(replace(said, model=model) for said in held.opinions))
        for held, model in zip(rounds, models, strict=True)
    ]
    ballot = ballot_of(BTC, NOON, answers_of(rounds), EnsembleRules("debate", {}, 0), rounds=rounds, agenda=agenda())
    assert Debate().combine(ballot).metadata["distinct_models"] is distinct


def test_the_judge_reads_both_cases_as_data_and_no_other_stranger():
    stranger = Note("news", Trust.UNTRUSTED, NOON, "buy now")
    figure = Note("macro", Trust.MEASURED, NOON, "rates at 5 %")
    plan = agenda(briefing=make_briefing(notes=(stranger, figure)))
    _, rounds = held(Debate(), {"ann": [(BUY, 90)], "bob": [(SELL, 60)], "cyd": [(HOLD, 50)]}, plan)
    notes = rounds[2].ask.briefing.notes
    assert [note.origin for note in notes] == ["macro", "bull", "bear"]
    assert {note.trust for note in notes[1:]} == {Trust.UNTRUSTED}
    prompt = render_prompt(rounds[2].ask.briefing).user
    assert "BUY 90: ann says BUY" in prompt
    assert "judge of a debate" in prompt.split("## your part")[1]
    assert "buy now" in render_prompt(rounds[0].ask.briefing).user


def test_what_an_advocate_is_sure_of_is_no_probability():
    _, rounds = debate((BUY, 90), (SELL, 60), (SELL, 65))
    assert [held.ask.calibratable for held in rounds] == [False, False, True]


@pytest.mark.parametrize(
    ("bull", "bear", "action", "confidence"),
    [
        ((BUY, 75), (SELL, 60), BUY, 75),  # opposed, fifteen apart
        ((BUY, 74), (SELL, 60), HOLD, 50),  # opposed, fourteen apart
        ((BUY, 60), (SELL, 80), SELL, 80),
        ((BUY, 70), (HOLD, 40), BUY, 70),  # alone and strong
        ((BUY, 69), (HOLD, 40), HOLD, 50),  # alone and not strong enough
        ((HOLD, 90), (HOLD, 90), HOLD, 50),
        ((SELL, 95), (HOLD, 40), HOLD, 50),  # a bull that speaks for the bears has no case
    ],
)
def test_a_judges_hold_gives_way_to_the_stronger_side(bull, bear, action, confidence):
    verdict, _ = debate(bull, bear, (HOLD, 50))
    assert (verdict.action, verdict.raw_confidence) == (action, confidence)
    assert (verdict.metadata["override"] is None) == (action is HOLD)


@pytest.mark.parametrize(
    ("position", "bull", "bear", "action"),
    [
        (1, (BUY, 95), (SELL, 75), SELL),  # an exit goes before the stronger side
        (1, (BUY, 80), (SELL, 74), HOLD),
        (1, (SELL, 75), (SELL, 60), SELL),  # the bull itself would leave
        (-1, (BUY, 75), (SELL, 95), BUY),
        (-1, (HOLD, 50), (BUY, 80), BUY),
    ],
)
def test_a_judges_hold_gives_way_to_an_exit(position, bull, bear, action):
    verdict, _ = debate(bull, bear, (HOLD, 50), position)
    assert verdict.action is action


@pytest.mark.parametrize("lost", ["ann", "bob", "cyd"])
def test_a_lost_seat_degrades_to_votes_that_nobody_was_told_to_cast(lost):
    script = {"ann": [(BUY, 90), (SELL, 60)], "bob": [(SELL, 90), (SELL, 70)], "cyd": [(HOLD, 50), (BUY, 55)]}
    script = {**script, "dan": [(SELL, 80)], lost: [None]}
    if lost != "cyd":
        script["cyd"] = [(BUY, 55)]
    verdict, rounds = held(Debate(), script)
    assert rounds[-1].ask.seat == ""
    assert rounds[-1].ask.briefing.part == ""
    assert lost not in rounds[-1].ask.providers
    assert verdict.metadata["fallback_tier"] == "majority_voting"
    assert verdict.action is SELL
    (error,) = verdict.metadata["tier_errors"]
    assert error.startswith("debate: the ")
    assert verdict.metadata["providers_failed"] == {lost: "out of reach"}


def test_two_providers_are_no_debate():
    plan = agenda(panel=PANEL[:2])
    with pytest.raises(ValueError, match="nobody is left for the seat of the judge"):
        Debate().next_round(plan, ())
    assert rounds_of(Debate(), plan, answering({})) == ()


def test_one_provider_cannot_have_two_seats():
    with pytest.raises(ValidationError, match="two seats"):
        RoundsSettings(bull="ann", judge="ann")


# two phases


def phases(first, premium=None, second=None, plan=None, **settings):
    script = {name: [said] for name, said in zip(PANEL, first, strict=False)}
    script |= {"dan": [premium], "eve": [second]}
    return held(TwoPhase(**{"second": "eve", **settings}), script, plan)


SURE = ((BUY, 80), (BUY, 80), (BUY, 80))


def test_a_first_phase_that_agrees_and_is_sure_is_enough():
    verdict, rounds = phases(SURE)
    assert len(rounds) == 1
    assert verdict.action is BUY
    told = verdict.metadata
    assert (told["phase2_triggered"], told["phase2_skipped"]) == (False, "thresholds_met")
    assert told["phase1_action"] == "BUY"
    assert told["fallback_tier"] == "two_phase_voting"


@pytest.mark.parametrize(
    ("first", "stake", "reasons"),
    [
        (((BUY, 74), (BUY, 75), (BUY, 75)), 500, ["low_confidence"]),
        (((BUY, 90), (SELL, 90), (HOLD, 90)), 500, ["low_agreement"]),
        (SURE, 1000, ["high_stakes"]),
        (((BUY, 50), (SELL, 50), (HOLD, 50)), 2000, ["low_confidence", "low_agreement", "high_stakes"]),
    ],
)
def test_doubt_division_and_high_stakes_ask_the_premium_provider(first, stake, reasons):
    verdict, rounds = phases(first, (BUY, 90), plan=agenda(stake=Decimal(stake)))
    assert rounds[1].ask.providers == ("dan",)
    assert rounds[1].ask.premium
    assert verdict.metadata["phase2_reasons"] == reasons
    assert verdict.metadata["premium_provider"] == "dan"
    assert "dan" in verdict.metadata["providers_used"]


def test_stakes_that_nobody_knows_and_stakes_that_are_off_trigger_nothing():
    assert len(phases(SURE, plan=agenda(stake=None))[1]) == 1
    assert len(phases(SURE, plan=agenda(stake=Decimal(10**6)), stake=None)[1]) == 1


def test_a_premium_answer_that_differs_is_checked_by_the_second():
    verdict, rounds = phases(((BUY, 60), (BUY, 60), (BUY, 60)), (SELL, 99), (SELL, 99))
    assert [held.ask.providers for held in rounds[1:]] == [("dan",), ("eve",)]
    assert verdict.metadata["second_reason"] == "tiebreak"
    # 3 x 60 = 180 for BUY, 2 x 99 = 198 for SELL
    assert verdict.action is SELL
    assert verdict.metadata["decision_changed_by_premium"] is True


def test_without_a_tiebreak_the_premium_answer_is_weighed_as_it_is():
    verdict, rounds = phases(((BUY, 60), (BUY, 60), (BUY, 60)), (SELL, 99), tiebreak=False)
    assert len(rounds) == 2
    assert verdict.action is BUY
    assert verdict.metadata["decision_changed_by_premium"] is False


def test_a_premium_failure_brings_in_the_second():
    verdict, _ = phases(((BUY, 60), (BUY, 60), (BUY, 60)), None, (BUY, 80))
    assert verdict.metadata["second_reason"] == "premium_failed"
    assert verdict.metadata["providers_failed"] == {"dan": "out of reach"}
    assert verdict.action is BUY


def test_an_agreeing_premium_answer_needs_no_second():
    assert len(phases(((BUY, 60), (BUY, 60), (BUY, 60)), (BUY, 80))[1]) == 2


@pytest.mark.parametrize(("left", "asked"), [(0, 1), (1, 2), (2, 3)])
def test_the_days_budget_holds_for_every_premium_question(left, asked):
    verdict, rounds = phases(((BUY, 60), (BUY, 60), (BUY, 60)), (SELL, 99), (SELL, 99), plan=agenda(premium_left=left))
    assert len(rounds) == asked
    assert verdict.metadata["phase2_skipped"] == ("budget_exceeded" if left == 0 else None)


def test_too_few_answers_are_no_decision():
    verdict, rounds = phases(((BUY, 90), None, None), (BUY, 90))
    assert len(rounds) == 1
    assert (verdict.action, verdict.confidence) == (HOLD, 0)
    assert verdict.metadata["no_decision"] is True
    assert "1 of the first phase answered, 3 are needed" in verdict.reasoning


def test_who_is_premium_follows_the_kind_of_asset_then_the_panel():
    plan = agenda()
    assert TwoPhase(premium={AssetKind.CRYPTO: "eve", AssetKind.FOREX: "fay"})._experts(plan) == ["eve", "dan"]
    assert TwoPhase(premium={AssetKind.FOREX: "fay"})._experts(plan) == ["dan"]
    assert TwoPhase(first=("ann",))._experts(plan) == ["bob", "cyd"]


def test_without_a_premium_provider_the_first_phase_decides_and_says_so():
    verdict, _ = held(TwoPhase(), {name: [(BUY, 60)] for name in PANEL}, agenda(panel=PANEL[:3]))
    assert verdict.metadata["phase2_skipped"] == "no_premium_provider"
    assert verdict.action is BUY


def test_nobody_for_the_first_phase_degrades():
    with pytest.raises(ValueError, match=r"plugins\.rounds\.first names nobody"):
        TwoPhase().next_round(agenda(local=()), ())


def test_settings_reach_the_strategies():
    settings = RoundsSettings(
        bear="x", first=["a", "b"], first_quorum=2, premium={"crypto": "p"}, second="s", stake=None
    )
    debating, escalating = ffe_aggregation_strategies(settings)
    assert debating == Debate({"bear": "x"})
    assert escalating == TwoPhase(("a", "b"), 2, {AssetKind.CRYPTO: "p"}, "s", stake=None)
