"""Built-in strategies that ask in rounds: debate and two_phase."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ffe_core import (
    Action,
    Agenda,
    AggregationStrategy,
    Ask,
    AssetKind,
    Ballot,
    Briefing,
    Note,
    Opinion,
    Round,
    Trust,
    Verdict,
    hookimpl,
)
from ffe_core.builtin.voting import Weighted

BULL, BEAR, JUDGE = "bull", "bear", "judge"
SEATS = (BULL, BEAR, JUDGE)
PREMIUM, SECOND = "premium", "second opinion"
#: an advocate's case, as the judge is told it
_CASE_LENGTH = 480


class RoundsSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    bull: str | None = Field(default=None, description="debate: who argues for buying; unset: the panel's first")
    bear: str | None = Field(default=None, description="debate: who argues for selling; unset: the panel's second")
    judge: str | None = Field(default=None, description="debate: who hears both and decides; unset: the panel's third")
    first: list[str] = Field(
        default_factory=list, description="two_phase: who is asked at first; empty: those of the panel on this machine"
    )
    first_quorum: int = Field(
        default=3, ge=1, le=100, description="two_phase: answers that the first phase needs; with fewer nothing is done"
    )
    premium: dict[AssetKind, str] = Field(
        default_factory=dict,
        description="two_phase: whom to ask when in doubt, per kind of asset; else the first of the panel who was not "
        "asked at first",
    )
    second: str | None = Field(
        default=None,
        description="two_phase: who is asked when the premium provider fails or disagrees; unset: the next one",
    )
    confidence: float = Field(
        default=0.75, ge=0, le=1, description="two_phase: mean confidence, as a fraction, below which more is asked"
    )
    agreement: float = Field(
        default=0.6, ge=0, le=1, description="two_phase: share of equal votes below which more is asked"
    )
    stake: Decimal | None = Field(
        default=Decimal(1000), ge=0, description="two_phase: worth at stake from which more is asked; null for never"
    )
    tiebreak: bool = Field(
        default=True, description="two_phase: a premium answer that differs from the first phase is checked by `second`"
    )

    @model_validator(mode="after")
    def _three_people(self) -> Self:
        named = [name for name in (self.bull, self.bear, self.judge) if name]
        if len(set(named)) < len(named):
            raise ValueError("a provider has two seats in the debate; bull, bear and judge are three")
        return self


# A debate


@dataclass(frozen=True, slots=True)
class Case:
    """What an advocate proposed, as far as its seat may: a proposal for the other side counts as none."""

    opinion: Opinion
    action: Action
    confidence: int

    @classmethod
    def of(cls, opinion: Opinion, allowed: Iterable[Action]) -> Self:
        if opinion.action is not None and opinion.action in allowed:
            return cls(opinion, opinion.action, opinion.confidence)
        return cls(opinion, Action.HOLD, 0)

    @property
    def line(self) -> str:
        none = self.action is Action.HOLD
        return f"{self.opinion.provider} {'has no case' if none else f'{self.action} {self.confidence}'}"

    @property
    def told(self) -> dict[str, Any]:
        return {
            "provider": self.opinion.provider,
            "action": self.action.value,
            "confidence": self.confidence,
            "reasoning": self.opinion.reasoning,
        }


@dataclass(frozen=True, slots=True)
class Debate:
    """Two advocates argue, a judge who hears both decides.

    The bull may propose to buy or to leave a long position, the bear to sell or to leave a short one. A judge's HOLD
    gives way to an exit proposed with at least ``exit`` confidence, to the stronger of two opposed sides where
    ``gap`` lies between them, and to a lone side of at least ``strong`` that leads by the same. Where a seat cannot be
    filled or does not answer, everyone left is asked again without a part to argue, and the next tier counts votes.
    """

    seats: Mapping[str, str] = field(default_factory=dict)
    gap: int = 15
    strong: int = 70
    exit: int = 75
    name: str = "debate"

    def next_round(self, agenda: Agenda, done: Sequence[Round]) -> Sequence[Ask]:
        if not done:
            held = self._seated(agenda.panel)
            return [
                Ask(
                    (held[seat],), replace(agenda.briefing, part=_part(seat, agenda.briefing)), seat, calibratable=False
                )
                for seat in (BULL, BEAR)
            ]
        heard = _by_seat(done)
        if any(held.ask.seat not in SEATS for held in done):
            return ()
        lost = [opinion.provider for opinion in heard.values() if not opinion.is_vote]
        held = self._seated(agenda.panel)
        if lost:
            left = [name for name in dict.fromkeys((*agenda.panel, *held.values())) if name not in lost]
            return [Ask(tuple(left), agenda.briefing)] if left else ()
        if JUDGE in heard:
            return ()
        return [Ask((held[JUDGE],), _for_the_judge(agenda.briefing, heard[BULL], heard[BEAR]), JUDGE)]

    def combine(self, ballot: Ballot) -> Verdict:
        heard = _by_seat(ballot.rounds)
        for seat in SEATS:
            if seat not in heard:
                raise ValueError(f"the seat of the {seat} is empty")
            if not heard[seat].is_vote:
                raise ValueError(f"the {seat} did not answer: {heard[seat].error}")
        held = ballot.agenda.briefing.position if ballot.agenda else None
        leave = Action.SELL if held and held > 0 else Action.BUY if held and held < 0 else None
        bull = Case.of(heard[BULL], {Action.BUY} | ({leave} if leave is Action.SELL else set()))
        bear = Case.of(heard[BEAR], {Action.SELL} | ({leave} if leave is Action.BUY else set()))
        judge = heard[JUDGE]
        winner, why = self._overriding(judge, bull, bear, leave)
        action = judge.action if winner is None else winner.action
        confidence = judge.confidence if winner is None else winner.confidence
        assert action is not None  # noqa: S101 - every seat's opinion is a vote
        said = f"{judge.provider}, having heard both: {judge.reasoning}"
        sides = " | ".join(case.line for case in (bull, bear))
        return Verdict(
            action,
            confidence,
            confidence,
            f"{said} | {sides}" if winner is None else f"[{why}] {winner.opinion.reasoning} | {said} | {sides}",
            judge.amount if winner is None else winner.opinion.amount,
            {
                "seats": {seat: heard[seat].provider for seat in SEATS},
                # A model that hears itself twice is no debate, whatever the providers are called.
                "distinct_models": len({heard[seat].model for seat in SEATS}) == len(SEATS),
                "bull_case": bull.told,
                "bear_case": bear.told,
                "judge_reasoning": judge.reasoning,
                "override": why,
            },
        )

    def _seated(self, panel: Sequence[str]) -> dict[str, str]:
        """Provider by seat. Raises ``ValueError`` where there are fewer than three of them."""
        spare = [name for name in panel if name not in self.seats.values()]
        held: dict[str, str] = {}
        for seat in SEATS:
            name = self.seats.get(seat) or (spare.pop(0) if spare else None)
            if name is None:
                raise ValueError(f"nobody is left for the seat of the {seat}")
            held[seat] = name
        return held

    def _overriding(
        self, judge: Opinion, bull: Case, bear: Case, leave: Action | None
    ) -> tuple[Case, str] | tuple[None, None]:
        """The case that a judge's HOLD gives way to, and why."""
        if judge.action is not Action.HOLD:
            return None, None
        exits = [case for case in (bull, bear) if case.action is leave and case.confidence >= self.exit]
        if exits:
            return max(exits, key=lambda case: case.confidence), "the judge's HOLD gives way to an exit"
        stronger, weaker = (bull, bear) if bull.confidence >= bear.confidence else (bear, bull)
        leads = stronger.confidence - weaker.confidence >= self.gap and stronger.action is not weaker.action
        if leads and stronger.action is not Action.HOLD:
            if weaker.action is not Action.HOLD:
                return stronger, "the judge's HOLD gives way to the stronger side"
            if stronger.confidence >= self.strong:
                return stronger, "the judge's HOLD gives way to the only side"
        return None, None


def _by_seat(rounds: Sequence[Round]) -> dict[str, Opinion]:
    return {held.ask.seat: held.opinions[0] for held in rounds if held.ask.seat in SEATS and held.opinions}


def _part(seat: str, briefing: Briefing) -> str:
    held = briefing.position
    if seat == BULL:
        leave = " You may also argue for SELL, to close the long position." if held and held > 0 else ""
        return (
            "You speak for the buyers in a debate. Make the strongest case for BUY that the facts carry, and say HOLD "
            f"where they carry none.{leave} Another provider speaks for the sellers, and a judge decides."
        )
    leave = " You may also argue for BUY, to close the short position." if held and held < 0 else ""
    return (
        "You speak for the sellers in a debate. Make the strongest case for SELL that the facts carry, and say HOLD "
        f"where they carry none.{leave} Another provider speaks for the buyers, and a judge decides."
    )


def _for_the_judge(briefing: Briefing, bull: Opinion, bear: Opinion) -> Briefing:
    """What other models wrote is data like any stranger's words; strangers' own are left to the advocates to cite."""
    cases = [
        Note(seat, Trust.UNTRUSTED, briefing.as_of, f"{case.action} {case.confidence}: {case.reasoning[:_CASE_LENGTH]}")
        for seat, case in ((BULL, bull), (BEAR, bear))
    ]
    known = [note for note in briefing.notes if note.trust is not Trust.UNTRUSTED]
    part = (
        "You are the judge of a debate. The block named data holds the cases of two advocates, who were told which "
        "side to argue. Weigh them against the facts, and decide as if nobody had argued."
    )
    return replace(briefing, notes=(*known, *cases), part=part)


# Two phases


@dataclass(frozen=True, slots=True)
class TwoPhase:
    """Asks those who cost nothing first, and a premium provider only where it matters.

    More is asked where the first phase is unsure (mean confidence below ``confidence``), divided (share of equal votes
    below ``agreement``), or where at least ``stake`` is at stake. The premium provider's failure, or its disagreement,
    brings in a second. All answers are weighed together. With fewer than ``quorum`` answers in the first phase there
    is no decision.
    """

    first: tuple[str, ...] = ()
    quorum: int = 3
    premium: Mapping[AssetKind, str] = field(default_factory=dict)
    second: str | None = None
    confidence: float = 0.75
    agreement: float = 0.6
    stake: Decimal | None = Decimal(1000)
    tiebreak: bool = True
    name: str = "two_phase"

    def next_round(self, agenda: Agenda, done: Sequence[Round]) -> Sequence[Ask]:
        if not done:
            return [Ask(self._first(agenda), agenda.briefing)]
        whom, _ = self._further(agenda, done)
        seat = PREMIUM if len(done) == 1 else SECOND
        return [Ask((whom,), agenda.briefing, seat, premium=True)] if whom else ()

    def combine(self, ballot: Ballot) -> Verdict:
        agenda, done = ballot.agenda, ballot.rounds
        if agenda is None or not done:
            raise ValueError("nobody of the first phase is on the panel")
        if not ballot.opinions:
            raise ValueError("nobody voted")
        votes = _votes(done[0])
        facts = self._facts(agenda, done)
        if len(votes) < self.quorum:
            told = f"no decision: {len(votes)} of the first phase answered, {self.quorum} are needed"
            return Verdict(Action.HOLD, 0, 0, told, None, {**facts, "no_decision": True, "agreement_score": 0.0})
        verdict = Weighted().combine(ballot)
        changed = len(done) > 1 and verdict.action is not _majority(votes)
        return replace(verdict, metadata={**verdict.metadata, **facts, "decision_changed_by_premium": changed})

    def _first(self, agenda: Agenda) -> tuple[str, ...]:
        first = self.first or tuple(name for name in agenda.panel if name in agenda.local)
        if not first:
            raise ValueError("nobody of the panel runs on this machine, and plugins.rounds.first names nobody")
        return first

    def _experts(self, agenda: Agenda) -> list[str]:
        """Whom to ask when in doubt, in order: none of them was in the first phase."""
        first = self._first(agenda)
        named = (self.premium.get(agenda.briefing.asset.kind), self.second)
        others = [name for name in agenda.panel if name not in first and name not in named]
        chosen = [name or (others.pop(0) if others else None) for name in named]
        return [name for name in dict.fromkeys(chosen) if name and name not in first]

    def _further(self, agenda: Agenda, done: Sequence[Round]) -> tuple[str | None, str]:
        """Whom to ask now, and why, or why nobody."""
        votes, experts = _votes(done[0]), self._experts(agenda)
        if len(votes) < self.quorum:
            return None, "no_quorum"
        reasons = self._doubts(agenda, votes)
        if not reasons:
            return None, "thresholds_met"
        if len(done) > len(experts):
            return None, "no_premium_provider" if not experts else "all_asked"
        if len(done) > agenda.premium_left:
            return None, "budget_exceeded"
        if len(done) == 1:
            return experts[0], reasons[0]
        if not _votes(done[1]):
            return experts[1], "premium_failed"
        if self.tiebreak and _votes(done[1])[0].action is not _majority(votes):
            return experts[1], "tiebreak"
        return None, "agreed"

    def _doubts(self, agenda: Agenda, votes: Sequence[Opinion]) -> list[str]:
        doubts = []
        if _mean_confidence(votes) < self.confidence * 100:
            doubts.append("low_confidence")
        if _agreement(votes) < self.agreement:
            doubts.append("low_agreement")
        if self.stake is not None and agenda.stake is not None and agenda.stake >= self.stake:
            doubts.append("high_stakes")
        return doubts

    def _facts(self, agenda: Agenda, done: Sequence[Round]) -> dict[str, Any]:
        votes = _votes(done[0])
        further = {held.ask.seat: held.opinions[0] for held in done[1:]}
        enough = len(votes) >= self.quorum
        return {
            "phase1_providers": [vote.provider for vote in votes],
            "phase1_action": _majority(votes).value if enough else None,
            "phase1_confidence": _mean_confidence(votes) if votes else None,
            "phase1_agreement": _agreement(votes) if votes else None,
            "phase2_triggered": bool(further),
            "phase2_reasons": self._doubts(agenda, votes) if enough else [],
            "phase2_skipped": None if further else self._further(agenda, done[:1])[1],
            "premium_provider": further[PREMIUM].provider if PREMIUM in further else None,
            "second_provider": further[SECOND].provider if SECOND in further else None,
            "second_reason": self._further(agenda, done[:2])[1] if SECOND in further else None,
            "stake": None if agenda.stake is None else str(agenda.stake),
        }


def _votes(held: Round) -> list[Opinion]:
    return [opinion for opinion in held.opinions if opinion.is_vote]


def _mean_confidence(votes: Sequence[Opinion]) -> float:
    return sum(vote.confidence for vote in votes) / len(votes)


def _agreement(votes: Sequence[Opinion]) -> float:
    return max(Counter(vote.action for vote in votes).values()) / len(votes)


def _majority(votes: Sequence[Opinion]) -> Action:
    # Counter keeps first-seen order: a tie goes to the action that stands first in the panel.
    actions = [vote.action for vote in votes if vote.action is not None]
    return Counter(actions).most_common(1)[0][0]


@hookimpl
def ffe_settings() -> type[BaseModel]:
    return RoundsSettings


@hookimpl
def ffe_aggregation_strategies(settings: RoundsSettings) -> Iterable[AggregationStrategy]:
    named = {BULL: settings.bull, BEAR: settings.bear, JUDGE: settings.judge}
    return (
        Debate({seat: name for seat, name in named.items() if name}),
        TwoPhase(
            tuple(settings.first),
            settings.first_quorum,
            dict(settings.premium),
            settings.second,
            settings.confidence,
            settings.agreement,
            settings.stake,
            settings.tiebreak,
        ),
    )
