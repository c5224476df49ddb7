"""What an AI provider must do, and what a rule that answers per bar must do besides."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ffe_core.analysis.series import CandleSeries
from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.domain.market import Candles
from ffe_core.errors import ProviderFailed, UsageError
from ffe_core.ports import AIProvider, CheckedProvider, Rationed, Readiness, Signals, VectorProvider
from ffe_core.testing.contracts.base import Contract, ContractBroken, broken, not_applicable, require, spelled
from ffe_core.testing.samples import make_briefing, make_candles, make_market, make_pulse

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRACE = 1.0
UNTIMED: dict[str, Any] = dict.fromkeys(("latency_ms", "tokens_in", "tokens_out", "tokens_cached", "cost_usd"))


class AIProviderContract(Contract):
    """An opinion is whole and within its deadline; a failure is raised, never dressed up as HOLD.

    ``failing``, where given, makes a provider whose backend fails; ``slow`` one whose backend takes far longer than
    ``short_timeout`` seconds. ``deterministic`` says whether the same briefing must give the same opinion; unset, it
    must where the provider is local and kept no raw reply (a rule).
    """

    port = AIProvider
    factory: ClassVar[Callable[[], AIProvider]]
    failing: ClassVar[Callable[[], AIProvider] | None] = None
    slow: ClassVar[Callable[[], AIProvider] | None] = None
    deterministic: ClassVar[bool | None] = None
    timeout: ClassVar[float] = 5.0
    short_timeout: ClassVar[float] = 0.3

    def briefing(self) -> Briefing:
        """What is asked; an author may return another."""
        return make_briefing()

    def ask(self, provider: AIProvider | None = None) -> Opinion:
        answered: Any = (provider or self.make()).ask(self.briefing(), timeout=self.timeout)
        if not isinstance(answered, Opinion):
            broken(f"ask() returned {type(answered).__name__}, not an Opinion")
        return answered

    def test_model_and_local_say_who_answers(self) -> None:
        made = self.make()
        require(isinstance(made.model, str) and made.model.strip(), f"model {made.model!r} names no model")
        require(isinstance(made.local, bool), f"local {made.local!r} is neither True nor False")

    def test_the_opinion_is_valid_and_signed(self) -> None:
        made = self.make()
        opinion = self.ask(made)
        require(opinion.is_vote, f"an opinion with error {opinion.error!r} came back; raise ProviderFailed instead")
        try:
            replace(opinion)
        except ValueError as error:
            raise ContractBroken(f"the opinion breaks its own rules: {error}") from error
        require(opinion.provider == made.name, f"signed {opinion.provider!r}, the provider is {made.name!r}")
        require(opinion.local == made.local, f"the opinion says local={opinion.local}, the provider {made.local}")

    def test_the_briefing_stays_as_it_was(self) -> None:
        briefing = self.briefing()
        before = spelled(briefing)
        self.make().ask(briefing, timeout=self.timeout)
        require(spelled(briefing) == before, "the provider changed the briefing that others read too")

    def test_missing_readings_are_no_crash(self) -> None:
        bare = replace(
            self.briefing(),
            pulse=make_pulse(missing=PULSE_TIMEFRAMES),
            market=make_market(change=None, volatility=None),
            position=None,
        )
        try:
            opinion = self.make().ask(bare, timeout=self.timeout)
        except ProviderFailed:
            return
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; ProviderFailed is meant for it") from error
        require(isinstance(opinion, Opinion), f"ask() returned {type(opinion).__name__}, not an Opinion")

    def test_it_answers_or_fails_within_the_timeout(self) -> None:
        made: AIProvider = self.make() if type(self).slow is None else self.make_by("slow")
        started = time.monotonic()
        try:
            made.ask(self.briefing(), timeout=self.short_timeout)
        except ProviderFailed:
            pass
        else:
            require(type(self).slow is None, "a backend slower than the timeout gave an opinion all the same")
        took = time.monotonic() - started
        require(took <= self.short_timeout + GRACE, f"told to answer within {self.short_timeout} s, took {took:.1f} s")

    def test_a_failure_is_raised_and_never_a_vote(self) -> None:
        made: AIProvider = self.make_by("failing")
        try:
            opinion = made.ask(self.briefing(), timeout=self.timeout)
        except ProviderFailed as error:
            for secret in self.secrets:
                require(secret not in str(error), "the failure's message shows a secret")
            return
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; ProviderFailed is meant for it") from error
        broken(f"the backend failed and the provider said {opinion.action}")

    def test_no_secret_is_put_on_record(self) -> None:
        recorded = spelled(self.ask()).decode()
        for secret in self.secrets:
            require(secret not in recorded, "the opinion that goes on record contains a secret")

    def test_it_says_whether_it_is_ready_in_time_and_never_raises(self) -> None:
        made = self.make()
        if not isinstance(made, CheckedProvider):
            not_applicable("it cannot say whether it is ready")
        found = self._look(made, self.timeout)
        require(found.ready, f"it answers, and yet says that it is not ready: {found}")
        for name in ("failing", "slow"):
            factory = getattr(type(self), name)
            if factory is not None:
                self._look(factory(), self.short_timeout)

    def _look(self, made: Any, timeout: float) -> Readiness:
        started = time.monotonic()
        try:
            found: Any = made.check(timeout=timeout)
        except Exception as error:
            raise ContractBroken(f"check() raised {type(error).__name__}: {error}; it says no instead") from error
        took = time.monotonic() - started
        require(took <= timeout + GRACE, f"told to look within {timeout} s, took {took:.1f} s")
        if not isinstance(found, Readiness):
            broken(f"check() returned {type(found).__name__}, not a Readiness")
        for told in (found.detail, found.hint or ""):
            require(len(told.splitlines()) <= 1, f"more than a line was found: {told!r}")
            for secret in self.secrets:
                require(secret not in told, "what was found shows a secret")
        return found

    def test_its_ration_is_a_number_of_questions_or_none(self) -> None:
        made = self.make()
        if not isinstance(made, Rationed):
            not_applicable("it may be asked as often as one likes")
        for name in ("per_minute", "per_day"):
            limit, again = getattr(made, name), getattr(made, name)
            require(limit is None or (type(limit) is int and limit >= 1), f"{name} {limit!r} is no number of questions")
            require(limit == again, f"{name} changes from {limit!r} to {again!r}")

    def test_the_same_briefing_gets_the_same_answer(self) -> None:
        made = self.make()
        first = self.ask(made)
        certain = self.deterministic
        if certain is None:
            certain = made.local and first.raw_reply is None
        if not certain:
            not_applicable("the answers of a model may differ")
        for again in (self.ask(made), self.ask()):
            require(
                spelled(replace(first, **UNTIMED)) == spelled(replace(again, **UNTIMED)),
                f"one briefing gave {first.action} {first.confidence} and then {again.action} {again.confidence}",
            )


class VectorProviderContract(AIProviderContract):
    """One legal answer per bar, and none that knows a later bar.

    ``candles`` is what it is tried on; ``params`` are parameters that ``with_params`` takes.
    """

    port = VectorProvider
    factory: ClassVar[Callable[[], VectorProvider]]
    params: ClassVar[Mapping[str, float | int | str]] = {}

    def candles(self) -> Candles:
        return make_candles(bars=300, volatility=0.01, seed=7)

    def signals(self, candles: Candles, provider: VectorProvider | None = None) -> Signals:
        """The rule's answer for ``candles``, checked for shape and range."""
        answered: Any = (provider or self.make()).ask_all(CandleSeries(candles))
        if not isinstance(answered, Signals):
            broken(f"ask_all() returned {type(answered).__name__}, not Signals")
        for name, low, high in (("action", -1, 1), ("confidence", 0, 100)):
            values: NDArray[Any] = getattr(answered, name)
            require(str(getattr(values, "dtype", None)) == "int8", f"{name} is not an int8 array")
            require(len(values) == len(candles), f"{name} has {len(values)} elements for {len(candles)} bars")
            legal = bool(((values >= low) & (values <= high)).all())
            require(legal, f"{name} leaves the range from {low} to {high}")
        return answered

    def test_there_is_one_legal_answer_per_bar(self) -> None:
        self.signals(self.candles())

    def test_no_answer_knows_a_later_bar(self) -> None:
        candles = self.candles()
        whole = self.signals(candles)
        for bars in sorted({len(candles) * part // 10 for part in range(1, 10)} | {len(candles) - 1}):
            cut = self.signals(candles.slice(0, bars))
            for name in ("action", "confidence"):
                same = getattr(whole, name)[:bars] == getattr(cut, name)
                if not same.all():
                    broken(f"{name} of bar {int(same.argmin())} changes when bars after {bars} are taken away")

    def test_the_same_series_gets_the_same_answers(self) -> None:
        candles, made = self.candles(), self.make()
        first, again = self.signals(candles, made), self.signals(candles, made)
        same = (first.action == again.action).all() and (first.confidence == again.confidence).all()
        require(same, "one series gave two different answers")

    def test_a_short_or_flat_series_is_answered_too(self) -> None:
        for candles in (self.candles().tail(1), self.candles().tail(3), make_candles(bars=80, volatility=0.0)):
            try:
                self.signals(candles)
            except ContractBroken:
                raise
            except Exception as error:
                raise ContractBroken(f"{len(candles)} bars raised {type(error).__name__}: {error}") from error

    def test_with_params_gives_another_rule_and_leaves_this_one(self) -> None:
        made = self.make()
        before = self.signals(self.candles(), made)
        other = made.with_params(**self.params)
        require(other.name == made.name, f"with_params changed the name from {made.name!r} to {other.name!r}")
        self.signals(self.candles(), other)
        after = self.signals(self.candles(), made)
        require((before.action == after.action).all(), "with_params changed the rule that it was called on")

    def test_an_unknown_parameter_is_a_usage_error(self) -> None:
        try:
            self.make().with_params(no_such_parameter=1)
        except UsageError:
            return
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; UsageError is meant for it") from error
        broken("a parameter that does not exist was swallowed")
