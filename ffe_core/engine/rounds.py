"""Strategies that ask in rounds: the engine asks what they want to know, and a replay checks that they would again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from ffe_core.domain.decisions import Agenda, Ask, Opinion, Round, Verdict
from ffe_core.domain.trading import Action
from ffe_core.engine.decide import DecisionInputs
from ffe_core.errors import FfeError
from ffe_core.ports import RoundStrategy
from ffe_core.risk.sizing import propose

#: questions that one decision may ask: a strategy that never has enough is stopped there
MOST_QUESTIONS = 8


def agenda_of(inputs: DecisionInputs, panel: Sequence[str], local: Sequence[str], premium_left: int) -> Agenda:
    """What is known before anybody is asked; of ``premium_left`` counts what one decision can use."""
    return Agenda(
        inputs.briefing, tuple(panel), tuple(local), stake_of(inputs), max(0, min(premium_left, MOST_QUESTIONS))
    )


def stake_of(inputs: DecisionInputs) -> Decimal | None:
    """Quote currency: what is held now or what a BUY would be worth, whichever is more; ``None`` without a size."""
    wanted = propose(
        inputs.briefing.asset,
        Verdict(Action.BUY, 100, 100, "what would an entry be worth", None),
        entry=inputs.entry_price,
        pulse=inputs.briefing.pulse,
        portfolio=inputs.portfolio,
        instrument=inputs.instrument,
        rules=inputs.sizing,
        reservations=inputs.reservations,
    )
    sizes = [abs(size) for size in (wanted.quantity, inputs.briefing.position) if size]
    return max(sizes) * inputs.entry_price if sizes else None


def rounds_of(
    strategy: RoundStrategy, agenda: Agenda, ask: Callable[[Sequence[Ask]], Sequence[Round]]
) -> tuple[Round, ...]:
    """What ``strategy`` wanted to know and heard. Where it raises, it is not asked further; ``combine`` says why."""
    done: list[Round] = []
    while asks := _next(strategy, agenda, done):
        done += ask(asks)
    return tuple(done)


def _next(strategy: RoundStrategy, agenda: Agenda, done: Sequence[Round]) -> Sequence[Ask]:
    try:
        asks = strategy.next_round(agenda, tuple(done))
    except (FfeError, ValueError):
        return ()
    return asks[: MOST_QUESTIONS - len(done)]


def answers_of(rounds: Sequence[Round]) -> tuple[Opinion, ...]:
    """One answer per provider, in the order in which they were first asked.

    Who was asked again is taken at the last word; a failure does not take back a vote.
    """
    latest: dict[str, Opinion] = {}
    for opinion in (opinion for held in rounds for opinion in held.opinions):
        before = latest.get(opinion.provider)
        if before is None or opinion.is_vote or not before.is_vote:
            latest[opinion.provider] = opinion
    return tuple(latest.values())


def asked_again(strategy: RoundStrategy, agenda: Agenda, recorded: Sequence[Round]) -> Iterator[tuple[int, Ask | None]]:
    """The questions that ``strategy`` asks now, where they are not those of ``recorded``: position and question."""
    done: list[Round] = []
    while asks := _next(strategy, agenda, done):
        for ask in asks:
            place = len(done)
            if place == len(recorded) or recorded[place].ask != ask:
                yield place, ask
                return
            done.append(recorded[place])
    if len(done) < len(recorded):
        yield len(done), None
