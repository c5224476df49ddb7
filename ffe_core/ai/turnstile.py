"""What stands before the panel: who was asked too often, or failed too often in a row, is not asked now.

Both are remembered from one command to the next and shared by all processes. Whoever is not asked abstains with the
reason, at no cost: a service that is down does not take the deadline of every decision, and a free key's questions of
a day last until that day is over or are known to be spent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ffe_core.ai.panel import Asking
from ffe_core.domain.clock import Clock
from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.errors import FfeError, RateLimited, SettingsError
from ffe_core.net.breaker import BreakerState, CircuitBreaker, Phase
from ffe_core.net.limiter import Allowance, RateLimiter
from ffe_core.net.state import StateStore
from ffe_core.ports import AIProvider, Rationed, VectorProvider

if TYPE_CHECKING:
    from ffe_core.settings.sections import ProviderLimits

#: failures in a row before a provider is left alone
THRESHOLD = 3
#: seconds that it is left alone at first, and at most: every probe that fails doubles them
PAUSE, LONGEST_PAUSE = 60.0, 900.0
#: how the model of a provider is called that computes its answer here
RULE = "rule:"
#: before the name, in what is kept
PREFIX = "provider "


def makes_calls(provider: AIProvider) -> bool:
    """Whether there is somebody to be left alone: a service, a server on this machine, a program.

    A rule is computed here. It fails for want of bars, of this asset and not of the next, and costs no time to ask
    again; to leave it alone would make a decision hang on those before it. Rules are known by answering for every bar
    of a series, which nothing does that has to be called, or by the name that rules give their model.
    """
    return not (isinstance(provider, VectorProvider) or provider.model.startswith(RULE))


def allowance_of(provider: AIProvider, told: ProviderLimits | None) -> Allowance:
    """How often ``provider`` may be asked: as it says, but for what settings ``told``."""
    own = Allowance()
    if isinstance(provider, Rationed):
        own = Allowance(provider.per_minute, provider.per_day)
    return own if told is None else replace(own, **told.model_dump(exclude_unset=True))


class Refusal(NamedTuple):
    """Why a provider is not asked, and what to do about it."""

    why: str
    hint: str


@dataclass(frozen=True, slots=True)
class Gates:
    """What is remembered of one provider; ``None`` where it makes no calls, or may be asked as often as one likes."""

    clock: Clock
    breaker: CircuitBreaker | None
    limiter: RateLimiter | None

    def enter(self) -> Refusal | None:
        """Counts one question; ``None`` where it may be asked."""
        if self.breaker is not None:
            refused = self.breaker.knock()
            if refused is not None:
                return _left_alone(self.breaker, refused, self.clock)
        if self.limiter is not None:
            try:
                self.limiter.acquire()
            except RateLimited as error:
                if self.breaker is not None:
                    self.breaker.let_go()
                return _used_up(self.limiter, error.wait, self.clock)
        return None

    def leave(self, opinion: Opinion, *, blameless: bool) -> None:
        """How the question ended; ``blameless``: without a word on whoever was to answer."""
        if not opinion.asked:
            self.turn_back()
        elif self.breaker is not None:
            if opinion.error is None:
                self.breaker.praise()
            elif blameless:
                self.breaker.let_go()
            else:
                self.breaker.blame(opinion.error)

    def turn_back(self, *, asked: bool = False) -> None:
        """The question was not asked after all, or nobody knows how it ended."""
        if self.breaker is not None:
            self.breaker.let_go()
        if self.limiter is not None and not asked:
            self.limiter.give_back()


@dataclass(frozen=True, slots=True)
class Turnstile:
    """``limits``: what settings say of how often providers may be asked, by name."""

    clock: Clock
    store: StateStore
    limits: Mapping[str, ProviderLimits]

    def before(self, ask: Asking) -> Asking:
        """``ask``, for those of the panel who may be asked now; the others abstain with the reason."""

        def answers(panel: Mapping[str, AIProvider], briefing: Briefing) -> tuple[Opinion, ...]:
            gates = {name: self.gates(name, provider) for name, provider in panel.items()}
            refused = {name: refusal for name, gate in gates.items() if (refusal := gate.enter()) is not None}
            inside = {name: _Watched(provider) for name, provider in panel.items() if name not in refused}
            told = {name: _abstention(name, panel[name], refusal) for name, refusal in refused.items()}
            for opinion in _asked(ask, inside, briefing, gates):
                name = opinion.provider
                gates[name].leave(opinion, blameless=inside[name].blameless)
                told[name] = opinion
            return tuple(told[name] for name in panel)

        return answers

    def gates(self, name: str, provider: AIProvider) -> Gates:
        """What ``provider`` has to pass, and what is known of it already."""
        shared, allowance = f"{PREFIX}{name}", allowance_of(provider, self.limits.get(name))
        breaker = CircuitBreaker(
            shared, self.clock, threshold=THRESHOLD, recovery=PAUSE, longest=LONGEST_PAUSE, store=self.store
        )
        limiter = RateLimiter(shared, allowance, self.clock, store=self.store)
        return Gates(
            self.clock, breaker if makes_calls(provider) else None, limiter if allowance != Allowance() else None
        )


class _Watched:
    """A provider, and whether settings kept it from answering: its own mistake is no failure of its service."""

    def __init__(self, provider: AIProvider) -> None:
        self._provider = provider
        self.blameless = False

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def model(self) -> str:
        return self._provider.model

    @property
    def local(self) -> bool:
        return self._provider.local

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        try:
            return self._provider.ask(briefing, timeout=timeout)
        except SettingsError:
            self.blameless = True
            raise


def _asked(
    ask: Asking, inside: Mapping[str, _Watched], briefing: Briefing, gates: Mapping[str, Gates]
) -> tuple[Opinion, ...]:
    try:
        return ask(inside, briefing) if inside else ()
    except BaseException as error:
        # The budget did not reach, so that nobody was asked; or the user has had enough, and the questions are out.
        for name in inside:
            gates[name].turn_back(asked=not isinstance(error, FfeError))
        raise


def _abstention(name: str, provider: AIProvider, refusal: Refusal) -> Opinion:
    return Opinion.failure(name, provider.model, refusal.why, local=provider.local, hint=refusal.hint)


def _left_alone(breaker: CircuitBreaker, state: BreakerState, clock: Clock) -> Refusal:
    name = breaker.name.removeprefix(PREFIX)
    after = f"after {state.failures} failures in a row: {state.last_error}"
    hint = f"ffe providers check {name}"
    if state.phase is Phase.HALF_OPEN:
        return Refusal(f"skipped while another question tries it, {after}", hint)
    return Refusal(f"skipped until {_in(state.wait(clock.now(), breaker.pause(state)), clock)} {after}", hint)


def _used_up(limiter: RateLimiter, wait: float, clock: Clock) -> Refusal:
    name = limiter.name.removeprefix(PREFIX)
    allowance = limiter.allowance
    daily = allowance.per_day is not None and limiter.usage().day >= allowance.per_day
    limit, span = (allowance.per_day, "day") if daily else (allowance.per_minute, "minute")
    used = f"{limit} question a {span} is" if limit == 1 else f"{limit} questions a {span} are"
    return Refusal(
        f"not asked: its {used} used up until {_in(wait, clock)}",
        f"ai.limits.{name}.per_{span} is how often you may ask it",
    )


def _in(seconds: float, clock: Clock) -> str:
    return f"{clock.now() + timedelta(seconds=seconds):%H:%M:%S} UTC"
