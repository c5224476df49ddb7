"""Good strategies and risk rules keep their contracts; each kind of bad one breaks the check meant for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from ffe_core import Action, Ask, Ballot, Proposal, RiskContext, Ruling, RulingOutcome, Verdict
from ffe_core.builtin.voting import ffe_aggregation_strategies
from ffe_core.testing import (
    AggregationStrategyContract,
    FakeRule,
    FakeStrategy,
    RiskRuleContract,
    make_briefing,
    make_proposal,
    make_risk_context,
)
from tests.testing.trials import broken_checks, contract, outcome, said_by

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD


def test_a_good_strategy_breaks_nothing() -> None:
    assert broken_checks(contract(AggregationStrategyContract, FakeStrategy)) == {}


@pytest.mark.parametrize("strategy", ffe_aggregation_strategies(), ids=lambda strategy: strategy.name)
def test_every_built_in_strategy_keeps_the_contract(strategy: Any) -> None:
    assert broken_checks(contract(AggregationStrategyContract, lambda: strategy)) == {}


@dataclass(frozen=True)
class Bent(FakeStrategy):
    """A strategy whose verdicts are bent on the way out."""

    bend: Any = None

    def combine(self, ballot: Ballot) -> Verdict:
        return self.bend(FakeStrategy.combine(self, ballot), ballot)


counter = count(1)


def first_weight_wins(verdict: Verdict, ballot: Ballot) -> Verdict:
    first = next(iter(ballot.weights))
    return replace(verdict, action=next(vote.action for vote in ballot.opinions if vote.provider == first))


def crash_on(condition: Any) -> Any:
    def bend(verdict: Verdict, ballot: Ballot) -> Verdict:
        if condition(ballot):
            raise ZeroDivisionError("division by zero")
        return verdict

    return bend


def overrule(verdict: Verdict, ballot: Ballot) -> Verdict:
    return replace(verdict, action=SELL if verdict.action is BUY else BUY)


def scribble(verdict: Verdict, ballot: Ballot) -> Verdict:
    ballot.weights["p0"] = 0.0  # type: ignore[index]
    return verdict


VERDICTS = [
    (lambda *_: (BUY, 70), "test_a_divided_panel_gets_a_legal_verdict", "tuple, not a Verdict"),
    (lambda verdict, _: replace(verdict, action="BUY"), "test_a_divided_panel_gets_a_legal_verdict", "none of BUY"),
    (lambda verdict, _: replace(verdict, confidence=101), "test_a_divided_panel_gets_a_legal_verdict", "101"),
    (lambda verdict, _: replace(verdict, raw_confidence=0.7), "test_a_divided_panel_gets_a_legal_verdict", "0.7"),
    (lambda verdict, _: replace(verdict, reasoning=" "), "test_a_divided_panel_gets_a_legal_verdict", "blank"),
    (
        lambda verdict, _: replace(verdict, amount=Decimal(-1)),
        "test_a_divided_panel_gets_a_legal_verdict",
        "below zero",
    ),
    (
        lambda verdict, _: replace(verdict, confidence=next(counter) % 100),
        "test_the_same_ballot_gets_the_same_verdict",
        "and then",
    ),
    (scribble, "test_the_ballot_stays_as_it_was", "changed the ballot"),
    (overrule, "test_one_opinion_is_followed", "the only vote was BUY, the verdict SELL"),
    (overrule, "test_a_unanimous_panel_is_not_contradicted", "all said BUY"),
    (first_weight_wins, "test_the_order_of_the_weights_does_not_matter", "the order in which the weights"),
    (
        lambda verdict, ballot: replace(verdict, action=ballot.opinions[0].action),
        "test_without_a_tie_the_order_of_the_panel_does_not_matter",
        "from BUY to SELL",
    ),
    (
        crash_on(lambda ballot: not sum(vote.confidence for vote in ballot.opinions)),
        "test_all_confidences_zero_is_no_crash",
        "ZeroDivisionError",
    ),
    (
        crash_on(lambda ballot: any(one.price_return is None for one in ballot.history)),
        "test_what_came_of_earlier_decisions_is_no_crash",
        "ZeroDivisionError",
    ),
    (crash_on(lambda ballot: not sum(ballot.weights.values())), "test_all_weights_zero_is_no_crash", "ZeroDivision"),
    (
        crash_on(lambda ballot: len(ballot.opinions) == 6),
        "test_any_panel_gets_a_legal_verdict_or_is_declined",
        "ZeroDivisionError",
    ),
]


@pytest.mark.parametrize(("bend", "check", "said"), VERDICTS)
def test_a_bent_verdict_breaks_the_check_that_is_meant_for_it(bend: Any, check: str, said: str) -> None:
    assert said in said_by(contract(AggregationStrategyContract, lambda: Bent(bend=bend)), check)


def test_a_verdict_of_nobody_is_told() -> None:
    class Inventive(FakeStrategy):
        def combine(self, ballot: Ballot) -> Verdict:
            return super().combine(ballot) if ballot.opinions else Verdict(HOLD, 50, 50, "nobody knows", None)

    assert "nobody voted" in said_by(contract(AggregationStrategyContract, Inventive), "test_nobody_voting_is_declined")


class Asking(FakeStrategy):
    """Asks ``rounds`` times."""

    rounds = 2

    def next_round(self, agenda: Any, done: Any) -> tuple[Ask, ...]:
        return (Ask(("p0",), make_briefing()),) if len(done) < self.rounds else ()


def test_rounds_that_end_pass_and_rounds_without_end_are_told() -> None:
    class Endless(Asking):
        rounds = 10**9

    class Asks(Asking):
        def next_round(self, agenda: Any, done: Any) -> tuple[Ask, ...]:
            return (Ask((), make_briefing()),)

    class Moody(Asking):
        def next_round(self, agenda: Any, done: Any) -> tuple[Ask, ...]:
            return (Ask((f"p{next(counter)}",), make_briefing()),)

    check = "test_rounds_come_to_an_end"
    assert outcome(contract(AggregationStrategyContract, Asking), check) is None
    assert "still asks" in said_by(contract(AggregationStrategyContract, Endless), check)
    assert "asks nobody" in said_by(contract(AggregationStrategyContract, Asks), check)
    assert "different questions" in said_by(contract(AggregationStrategyContract, Moody), check)


def breach() -> tuple[Proposal, RiskContext]:
    proposal = make_proposal()
    return proposal, make_risk_context(proposal)


def test_good_rules_break_nothing() -> None:
    clamping = contract(RiskRuleContract, lambda: FakeRule(most=Decimal("0.05")), breach=breach)
    vetoing = contract(RiskRuleContract, lambda: FakeRule(veto="not today"), breach=breach)
    assert broken_checks(clamping) == {}
    assert broken_checks(vetoing) == {}


@dataclass
class Ruled:
    """A rule that rules as a test says."""

    answer: Any
    name: str = "ruled"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        return self.answer(proposal, context)


def passing(*_: Any) -> Ruling:
    return Ruling("ruled", RulingOutcome.PASSED)


def veto_everything(*_: Any) -> Ruling:
    return Ruling("ruled", RulingOutcome.VETOED, "no")


def stumble(proposal: Proposal, context: RiskContext) -> Ruling:
    assert context.peak_equity is not None
    return passing() if context.peak_equity > 0 else veto_everything()


def enlarge(proposal: Proposal, _: RiskContext) -> Ruling:
    made = Ruling("ruled", RulingOutcome.CLAMPED, "more!", before=Decimal(1), after=Decimal(1))
    object.__setattr__(made, "after", (proposal.quantity or Decimal(0)) * 2)
    return made


def cut_from_elsewhere(*_: Any) -> Ruling:
    return Ruling("ruled", RulingOutcome.CLAMPED, "less", before=Decimal(7), after=Decimal("0.00001"))


def scribble_on_context(_: Proposal, context: RiskContext) -> Ruling:
    context.settings["seen"] = True  # type: ignore[index]
    return passing()


RULINGS = [
    (lambda *_: True, "test_a_calm_entry_gets_a_legal_ruling", "bool, not a Ruling"),
    (lambda *_: Ruling("other", RulingOutcome.PASSED), "test_a_calm_entry_gets_a_legal_ruling", "signed 'other'"),
    (lambda *_: Ruling("ruled", "fine"), "test_a_calm_entry_gets_a_legal_ruling", "'fine'"),
    (lambda *_: Ruling("ruled", RulingOutcome.VETOED), "test_a_calm_entry_gets_a_legal_ruling", "without a reason"),
    (
        lambda *_: passing() if next(counter) % 2 else veto_everything(),
        "test_the_same_question_gets_the_same_ruling",
        "and then",
    ),
    (scribble_on_context, "test_proposal_and_context_stay_as_they_were", "the next rule will read"),
    (enlarge, "test_no_size_is_ever_made_larger", "came out"),
    (cut_from_elsewhere, "test_no_size_is_ever_made_larger", "it cut from 7"),
    (veto_everything, "test_an_exit_passes_while_every_limit_is_breached", "close was vetoed"),
    (stumble, "test_absent_inputs_are_no_crash", "AssertionError"),
]


@pytest.mark.parametrize(("answer", "check", "said"), RULINGS)
def test_a_bad_ruling_breaks_the_check_that_is_meant_for_it(answer: Any, check: str, said: str) -> None:
    assert said in said_by(contract(RiskRuleContract, lambda: Ruled(answer)), check)


def test_a_rule_that_passes_what_it_could_not_see_is_told() -> None:
    tried = contract(RiskRuleContract, lambda: Ruled(passing), needs=("peak_equity",))
    assert "without peak_equity it said passed" in said_by(tried, "test_what_it_needs_and_lacks_is_unavailable")


def test_a_rule_that_objects_to_nothing_is_told() -> None:
    tried = contract(RiskRuleContract, lambda: Ruled(passing), breach=breach)
    assert "the breach was passed" in said_by(tried, "test_it_objects_to_a_breach")


def test_a_rule_on_the_sanity_of_data_may_stop_an_exit() -> None:
    tried = contract(RiskRuleContract, lambda: Ruled(veto_everything), guards_data=True)
    assert outcome(tried, "test_an_exit_passes_while_every_limit_is_breached") is None
