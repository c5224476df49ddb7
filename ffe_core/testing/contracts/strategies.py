"""What an aggregation strategy must do."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar

from ffe_core.domain.decisions import Ask, Ballot, Opinion, Outcome, Round, Verdict
from ffe_core.domain.trading import Action
from ffe_core.ports import AggregationStrategy, Learner, RoundStrategy
from ffe_core.testing.contracts.base import Contract, ContractBroken, broken, not_applicable, require, spelled
from ffe_core.testing.samples import make_agenda, make_ballot, make_opinion

BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD
MOST_ROUNDS = 20


class AggregationStrategyContract(Contract):
    """The verdict is legal and a function of the ballot alone; what cannot be combined is a ``ValueError``."""

    port = AggregationStrategy
    factory: ClassVar[Callable[[], AggregationStrategy]]

    def combine(self, ballot: Ballot, strategy: AggregationStrategy | None = None) -> Verdict:
        """The verdict, checked for being legal."""
        strategy = strategy or self.make()
        made: Any = strategy.combine(_after_rounds(strategy, ballot))
        if not isinstance(made, Verdict):
            broken(f"combine() returned {type(made).__name__}, not a Verdict")
        require(isinstance(made.action, Action), f"action {made.action!r} is none of BUY, SELL, HOLD")
        for name in ("confidence", "raw_confidence"):
            value = getattr(made, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            require(whole and 0 <= value <= 100, f"{name} {value!r} is no whole number from 0 to 100")
        require(isinstance(made.reasoning, str) and made.reasoning.strip(), "the reasoning is blank")
        require(made.amount is None or made.amount >= 0, f"amount {made.amount} is below zero")
        return made

    def combine_or_decline(self, ballot: Ballot) -> Verdict | None:
        """The verdict, or ``None`` where the strategy declined with ``ValueError``."""
        try:
            return self.combine(ballot)
        except (ContractBroken, ValueError) as error:
            if isinstance(error, ContractBroken):
                raise
            return None
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; ValueError is meant for it") from error

    def test_a_divided_panel_gets_a_legal_verdict(self) -> None:
        self.combine(make_ballot((BUY, 80), (SELL, 60), (BUY, 70), (HOLD, 50)))

    def test_the_same_ballot_gets_the_same_verdict(self) -> None:
        ballot = make_ballot((BUY, 80), (SELL, 60), (HOLD, 55), seed=3)
        made = self.make()
        first = self.combine(ballot, made)
        for again in (self.combine(ballot, made), self.combine(ballot)):
            require(
                spelled(first) == spelled(again),
                f"one ballot gave {first.action} {first.confidence} and then {again.action} {again.confidence}",
            )

    def test_the_ballot_stays_as_it_was(self) -> None:
        ballot = make_ballot((BUY, 80), (SELL, 60), (HOLD, 55))
        before = spelled(ballot)
        self.combine(ballot)
        require(spelled(ballot) == before, "the strategy changed the ballot that goes on record")

    def test_one_opinion_is_followed(self) -> None:
        for action in (BUY, SELL):
            verdict = self.combine_or_decline(make_ballot((action, 70)))
            if verdict is not None:
                require(verdict.action in (action, HOLD), f"the only vote was {action}, the verdict {verdict.action}")

    def test_a_unanimous_panel_is_not_contradicted(self) -> None:
        for action, opposite in ((BUY, SELL), (SELL, BUY)):
            verdict = self.combine(make_ballot((action, 80), (action, 75), (action, 70)))
            require(verdict.action is not opposite, f"all said {action}, the verdict is {opposite}")

    def test_nobody_voting_is_declined(self) -> None:
        verdict = self.combine_or_decline(make_ballot(failed=[Opinion.failure("p0", "scripted", "out of reach")]))
        require(verdict is None, "nobody voted and a verdict came nevertheless")

    def test_all_confidences_zero_is_no_crash(self) -> None:
        self.combine_or_decline(make_ballot((BUY, 0), (SELL, 0), (HOLD, 0)))

    def test_all_weights_zero_is_no_crash(self) -> None:
        self.combine_or_decline(make_ballot((BUY, 80), (SELL, 70), weights={"p0": 0.0, "p1": 0.0}))

    def test_the_order_of_the_weights_does_not_matter(self) -> None:
        votes = ((BUY, 80), (SELL, 78), (HOLD, 60))
        shares = {"p0": 0.2, "p1": 0.5, "p2": 0.3}
        turned = dict(reversed(shares.items()))
        one, other = (self.combine(make_ballot(*votes, weights=weights)) for weights in (shares, turned))
        require(
            (one.action, one.confidence) == (other.action, other.confidence),
            "the verdict depends on the order in which the weights were written",
        )

    def test_without_a_tie_the_order_of_the_panel_does_not_matter(self) -> None:
        if isinstance(self.make(), RoundStrategy):
            not_applicable("who is asked what may depend on the order")
        ballot = make_ballot((BUY, 80), (BUY, 75), (SELL, 60))
        turned = replace(ballot, opinions=tuple(reversed(ballot.opinions)))
        one, other = self.combine(ballot), self.combine(turned)
        require(
            one.action is other.action,
            f"turning the panel round turned the verdict from {one.action} to {other.action}",
        )

    def test_any_panel_gets_a_legal_verdict_or_is_declined(self) -> None:
        rng = random.Random(0)
        for _ in range(150):
            votes = [(rng.choice((BUY, SELL, HOLD)), rng.randint(0, 100)) for _ in range(rng.randint(1, 7))]
            self.combine_or_decline(make_ballot(*votes))

    def test_what_came_of_earlier_decisions_is_no_crash(self) -> None:
        made = self.make()
        wanted = made.history if isinstance(made, Learner) else 0
        if isinstance(made, Learner):
            whole = isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0
            require(whole, f"history {wanted!r} is no number of outcomes")
        rng = random.Random(0)
        ballot = make_ballot((BUY, 80), (SELL, 60), (HOLD, 55))
        for count in (1, 60, min(wanted, 500)):
            self.combine_or_decline(replace(ballot, history=_outcomes(ballot, count, rng)))

    def test_rounds_come_to_an_end(self) -> None:
        made = self.make()
        if not isinstance(made, RoundStrategy):
            not_applicable("this strategy asks once")
        agenda = make_agenda()
        done: list[Round] = []
        for _ in range(MOST_ROUNDS):
            try:
                asked = made.next_round(agenda, tuple(done))
            except ValueError:
                return
            again = made.next_round(agenda, tuple(done))
            require(spelled(asked) == spelled(again), "the same rounds gave different questions")
            if not asked:
                return
            for ask in asked:
                require(isinstance(ask, Ask) and ask.providers, f"{ask!r:.60} asks nobody")
                done.append(Round(ask, tuple(make_opinion(name) for name in ask.providers)))
        broken(f"after {MOST_ROUNDS} rounds it still asks")


def _outcomes(ballot: Ballot, count: int, rng: random.Random) -> tuple[Outcome, ...]:
    """What came of ``count`` decisions before the ballot, among them HOLDs, strangers and calls nobody can score."""
    made = []
    for number in range(count):
        names = rng.sample([*ballot.weights, "stranger"], rng.randint(0, 3))
        move = rng.choice((None, rng.uniform(-0.05, 0.05)))
        made.append(
            Outcome(
                f"earlier-{number}",
                ballot.asset,
                ballot.as_of - timedelta(hours=count - number),
                rng.choice((BUY, SELL, HOLD)),
                None,
                None,
                provider_actions={name: rng.choice((BUY, SELL, HOLD)) for name in names},
                provider_confidences={name: rng.randint(0, 100) for name in names},
                price_return=move,
                cost=None if move is None else 0.002,
                as_of=ballot.as_of - timedelta(hours=count - number + 24),
            )
        )
    return tuple(made)


def _after_rounds(strategy: AggregationStrategy, ballot: Ballot) -> Ballot:
    """``ballot``, whose opinions answered what a strategy that asks in rounds wanted to know."""
    if not isinstance(strategy, RoundStrategy):
        return ballot
    answers = {opinion.provider: opinion for opinion in (*ballot.opinions, *ballot.failed)}
    agenda = make_agenda(panel=tuple(answers), local=tuple(answers))
    done: list[Round] = []
    try:
        while len(done) < MOST_ROUNDS and (asks := strategy.next_round(agenda, tuple(done))):
            done += [
                Round(ask, tuple(answers.get(name) or Opinion.failure(name, "", "unknown") for name in ask.providers))
                for ask in asks
            ]
    except ValueError:
        pass
    return replace(ballot, rounds=tuple(done), agenda=agenda)
