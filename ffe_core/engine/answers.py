"""Where the engine's answers come from: sources, plugins and models themselves, or a cassette of what they said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from ffe_core.domain.clock import Clock
from ffe_core.domain.decisions import Briefing, BriefRequest, Note, Opinion
from ffe_core.ports import AIProvider

if TYPE_CHECKING:
    from ffe_core.ai.anonymise import Mask
    from ffe_core.ai.cassette import Cassette, Origin
    from ffe_core.ai.panel import Asking
    from ffe_core.ai.turnstile import Turnstile
    from ffe_core.market.feed import Feed
    from ffe_core.net.limiter import RateLimiter
    from ffe_core.net.state import StateStore
    from ffe_core.plugins import Registry
    from ffe_core.settings import Settings


@dataclass(slots=True)
class Answers:
    """The only way in which the engine asks anybody outside.

    ``cassette``: what answers instead, where there is one. ``budget_usd``: dollars that asking may cost on one day
    (UTC), ``None`` for no limit.
    """

    settings: Settings
    registry: Registry
    clock: Clock
    cassette: Cassette | None = None
    budget_usd: Decimal | None = None
    #: what the panel sees every briefing under, where there is one
    mask: Mask | None = None
    _kept: StateStore | None = field(default=None, init=False, repr=False)

    @property
    def state(self) -> StateStore:
        """What is remembered of services between commands."""
        from ffe_core.net.state import FileState

        self._kept = self._kept or FileState(self.settings.paths.state)
        return self._kept

    def feed(self, sources: Sequence[str]) -> Feed:
        """The market by ``sources``, in their order. Raises ``UnknownName``, ``RequiredPluginFailed``."""
        from ffe_core.market.cache import HistoryCache
        from ffe_core.market.feed import Feed

        if self.cassette is not None:
            return self._taped_feed(sources, self.cassette)
        data = self.settings.data
        return Feed(
            [(name, self.registry.require("source", name)) for name in sources],
            clock=self.clock,
            ttl=data.cache_ttl,
            max_entries=data.memory_cache_entries,
            history=HistoryCache(self.settings.paths.cache / "candles", self.clock),
            state=self.state,
        )

    def _taped_feed(self, sources: Sequence[str], cassette: Cassette) -> Feed:
        from ffe_core.ai.cassette import TapedSource
        from ffe_core.market.feed import Feed, source_breaker
        from ffe_core.net.breaker import CircuitBreaker

        taped = {
            name: TapedSource(
                self.registry.require("source", name),
                self.registry.sources[name].plugin,
                cassette,
                source_breaker(name, self.clock),
            )
            for name in sources
        }
        # No memory beside the cassette and no breaker before it: what is asked for depends on the call alone.
        unbroken = {name: CircuitBreaker(name, self.clock, counts=()) for name in sources}
        return Feed(list(taped.items()), clock=self.clock, ttl=0, breakers=unbroken)

    def notes(self, request: BriefRequest) -> tuple[Note, ...]:
        """What plugins have to say."""
        if self.cassette is None:
            return self.registry.notes(request)
        from ffe_core.ai.cassette import taped_notes

        return taped_notes(self.cassette, request, self.registry.noting, lambda: self.registry.notes(request))

    def premium_left(self, briefing: Briefing) -> int:
        """Premium questions that may still be asked today (UTC); a replay is told what its recording was."""
        left = self.settings.ensemble.premium_calls_per_day - self._premium().usage().day
        if self.cassette is None:
            return left
        from ffe_core.ai.cassette import taped_number

        return taped_number(self.cassette, "premium_left", briefing, lambda: left)

    def _premium(self) -> RateLimiter:
        """Counts premium questions, over all processes; whether one may be asked is the strategy's to decide."""
        from ffe_core.net.limiter import Allowance, RateLimiter

        return RateLimiter("premium questions", Allowance(), self.clock, store=self.state)

    def opinions(
        self, panel: Mapping[str, AIProvider], briefing: Briefing, *, premium: bool = False
    ) -> tuple[Opinion, ...]:
        """One answer per provider, in the order of the panel; ``premium`` questions are counted for the day.

        May be called by several threads at once. From the outside in: what a cassette knows is not asked; who may not
        be asked now abstains; what is left has to be paid for; all that is paid for is asked at once.
        Raises ``BudgetSpent``, ``CassetteMiss``.
        """
        from ffe_core.ai.cost import Meter, Spending
        from ffe_core.ai.panel import ask_panel

        spending = Spending(self.settings.paths.spending)
        meter = Meter(self.settings.ai.prices, spending, self.clock, self.budget_usd)
        if self.mask is not None:
            from ffe_core.ai.anonymise import anonymise

            briefing = anonymise(briefing, self.mask)
        asking: Asking = partial(ask_panel, timeout=self.settings.ai.timeout)
        asking = self.turnstile.before(meter.over(_counted(asking, self._premium()) if premium else asking))
        if self.cassette is not None:
            from ffe_core.ai.cassette import taped

            asking = taped(asking, self.cassette, {name: self.origin(name) for name in panel})
        return asking(panel, briefing)

    @contextmanager
    def behind(self, mask: Mask | None) -> Iterator[None]:
        """Inside, every question is asked under ``mask``."""
        before, self.mask = self.mask, mask
        try:
            yield
        finally:
            self.mask = before

    @property
    def turnstile(self) -> Turnstile:
        """What every provider has to pass before it is asked."""
        from ffe_core.ai.turnstile import Turnstile

        return Turnstile(self.clock, self.state, self.settings.ai.limits)

    def origin(self, provider: str) -> Origin:
        """Its plugin, and what of the plugin's settings may reach the model."""
        from ffe_core.ai.cassette import Origin

        plugin = self.registry.providers[provider].plugin
        model = self.settings.plugin_models.get(plugin)
        section = {} if model is None else self.settings.plugin_section(plugin, model).model_dump(mode="json")
        return Origin.of(plugin, section)

    def uncounted(self, opinions: Sequence[Opinion]) -> tuple[str, ...]:
        """Whose cost is not known although there is a budget, a line each."""
        if self.budget_usd is None:
            return ()
        return tuple(
            f"what {opinion.provider} costs is not known and not counted: ai.prices has no row for {opinion.model}"
            for opinion in opinions
            if opinion.is_vote and opinion.cost_usd is None
        )


def _counted(ask: Asking, limiter: RateLimiter) -> Asking:
    """``ask``, with every provider that is really asked counted."""

    def answers(panel: Mapping[str, AIProvider], briefing: Briefing) -> tuple[Opinion, ...]:
        for _ in panel:
            limiter.acquire()
        return ask(panel, briefing)

    return answers
