"""Models in an experiment: each is asked once at every close, or its answers are remembered.

What is put before them is the briefing of a live decision as of that close, on a flat account. The account of the
simulation has no say in it: what a model answers is then the same whatever it is combined with and however it is
traded, and is asked for once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ffe_core import (
    AIProvider,
    Asset,
    NotConfigured,
    Opinion,
    ProviderFailed,
    UsageError,
    VectorProvider,
    from_ms,
)
from ffe_core.ai.cassette import Answer, Cassette, Question, Tape
from ffe_core.domain.codec import canonical_json, plain
from ffe_core.engine import Engine
from ffe_core.engine.decide import DecisionInputs
from ffe_lab.asof import AsOf, remember
from ffe_lab.lane import Lane, without_texts
from ffe_lab.market import Market
from ffe_lab.trades import Indices

#: what makes the words that reach a model: a change in one of these modules makes every lane another one
_WORDS = (
    "ffe_core.ai.briefing", "ffe_core.ai.prompt", "ffe_core.analysis.catalogue", "ffe_core.analysis.indicators",
    "ffe_core.analysis.kernels", "ffe_core.analysis.narrative", "ffe_core.analysis.pulse", "ffe_core.analysis.regime",
    "ffe_core.analysis.shape", "ffe_core.domain.numbers", "ffe_core.market.candles", "ffe_core.market.freshness",
    "ffe_core.market.hours", "ffe_core.market.snapshot",
)  # fmt: skip
#: seconds that a model is waited for because it may be asked only so often a minute
_LONGEST_WAIT = 90.0


def words() -> str:
    """A digest of the code that turns a market into a question."""
    running = hashlib.sha256()
    for name in _WORDS:
        spec = find_spec(name)
        assert spec is not None and spec.origin is not None  # noqa: S101 - modules of ffe's own
        running.update(Path(spec.origin).read_bytes())
    return running.hexdigest()[:16]


class PatientCassette(Cassette):
    """A cassette that keeps a failure only once its provider has answered again.

    A server that was never started has no answers; what it failed to say must not be replayed for ever.
    """

    def __init__(self, tape: Tape, folder: Path, clock: Any) -> None:
        super().__init__(tape, folder, clock)
        self._doubtful: dict[str, list[tuple[Question, Answer]]] = {}

    def keep(self, question: Question, answer: Answer) -> Answer:
        opinion = answer.get("opinion")
        if opinion is None:
            return super().keep(question, answer)
        name = str(question.request["provider"])
        if opinion["error"] is not None:
            if opinion["asked"]:
                self._doubtful.setdefault(name, []).append((question, answer))
            told: Answer = json.loads(canonical_json(answer))
            return told
        self.settle(name)
        return super().keep(question, answer)

    def settle(self, provider: str) -> None:
        """Keeps the failures of ``provider`` after all."""
        for question, answer in self._doubtful.pop(provider, ()):
            super().keep(question, answer)


@dataclass(eq=False)
class Heard:
    """What every model said at each bar that was asked about, by provider; ``left_out`` were never set up."""

    opinions: dict[str, list[Opinion]]
    left_out: dict[str, str] = field(default_factory=dict)
    #: bars at which somebody was asked, or a recorded answer had to be looked up in the cassette itself
    looked_up: int = 0


@dataclass
class Interview:
    """How an experiment asks models.

    ``tape`` is ``None`` where they are asked and nothing is kept. ``source`` is the one that bars are taken from, as in
    ``--source``. ``told`` is called with how many closes of how many are behind. The engine's own cassette is put in
    place once the bars are read: those are no part of it, their digest is part of every question.
    """

    tape: Tape | None
    folder: Path
    source: str | None = None
    told: Callable[[int, int], object] = lambda _done, _all: None
    _cassette: PatientCassette | None = field(default=None, init=False, repr=False)
    _markets: dict[tuple[str, str], AsOf] = field(default_factory=dict, init=False, repr=False)

    def known(self, engine: Engine, market: Market) -> AsOf:
        """The asset in all timeframes, as far as ``market`` goes."""
        key = (market.candles.fingerprint, str(market.first))
        if key not in self._markets:
            taped, engine.answers.cassette = engine.answers.cassette, None
            try:
                first, end = from_ms(int(market.closes[market.first])), from_ms(int(market.closes[-1]))
                found = remember(engine, market.asset, first, end, self.source)
            finally:
                engine.answers.cassette = taped
            _require_same(market, found)
            self._markets[key] = found
        return self._markets[key]

    def wait_for(self, engine: Engine, models: Mapping[str, AIProvider]) -> None:
        """Until they may be asked.

        Raises ``ProviderFailed`` for one that failed too often in a row, ``RateLimited`` where it takes long.
        """
        if self.tape is Tape.REPLAY:
            return
        for name, provider in models.items():
            gates = engine.answers.turnstile.gates(name, provider)
            if gates.breaker is not None and gates.breaker.is_open:
                state = gates.breaker.state
                raise ProviderFailed(
                    f"{name} failed {state.failures} times in a row: {state.last_error}",
                    hint="mend it and run this again with --cassette auto: what was answered is kept",
                )
            if gates.limiter is not None:
                gates.limiter.acquire(_LONGEST_WAIT)
                gates.limiter.give_back()

    def cassette(self, engine: Engine) -> PatientCassette | None:
        """The tape, put before the engine's models; ``None`` where nothing is kept."""
        if self.tape is not None and self._cassette is None:
            self._cassette = PatientCassette(self.tape, self.folder, engine.clock)
        engine.answers.cassette = self._cassette
        return self._cassette

    @contextmanager
    def counting(self, closes: int) -> Iterator[None]:
        """Inside, ``told`` adds up over the markets that are heard, at so many ``closes`` of all of them."""
        told, behind = self.told, 0

        def added(done: int, of: int) -> None:
            nonlocal behind
            told(behind + done, closes)
            behind += of if done == of else 0

        self.told = added
        try:
            yield
        finally:
            self.told = told

    def hear(
        self,
        engine: Engine,
        market: Market,
        panel: Mapping[str, AIProvider],
        named: frozenset[str] = frozenset(),
        at: Indices | None = None,
    ) -> Heard:
        """Asks for what no lane knows, at the closes of the bars ``at``, in order; else of every traded one.

        Raises ``CassetteMiss`` for a replay without an answer, ``BudgetSpent``, ``RateLimited`` where a day's questions
        are used up, ``ProviderFailed`` for a model that failed too often in a row, ``NotConfigured`` for one that the
        user ``named`` and never set up.
        """
        known = self.known(engine, market)
        closes = market.closes[market.first :] if at is None else market.closes[at]
        hearing = _Hearing(
            self, engine, market.asset, known, dict(panel), named, closes.tolist(), known.digests(closes)
        )
        return hearing.through()

    def lane(self, engine: Engine, asset: Asset, name: str, provider: AIProvider) -> Lane:
        return Lane(self.folder, about(engine, asset, name, provider))


def _require_same(market: Market, known: AsOf) -> None:
    """Raises ``UsageError`` where a market was made of other bars than the sources have: models see those."""
    opened = from_ms(int(market.time[market.first]))
    frames = [one.frames[market.timeframe] for one in known.held if market.timeframe in one.frames]
    ours = market.candles.between(opened, None)
    if frames and all(ours.close != series.between(opened, None).tail(len(ours)).close for series in frames):
        raise UsageError(f"models can only be asked about {market.asset} as its source has it")


def about(engine: Engine, asset: Asset, name: str, provider: AIProvider) -> dict[str, Any]:
    """Everything but the bars that reaches the model behind ``provider``."""
    from ffe_core.ai.briefing import account_view, held_quantity
    from ffe_core.engine.sizes import round_trip_cost
    from ffe_core.engine.venues import PAPER

    settings, registry = engine.settings, engine.registry
    origin = engine.answers.origin(name)
    hooks = {plugin.name for plugin in registry.loaded if {"ffe_brief", "ffe_indicators"} & set(plugin.hooks)}
    flat = registry.require("platform", PAPER).flat()
    made: dict[str, Any] = plain(
        {
            "provider": name,
            "model": provider.model,
            "plugin": origin.plugin,
            "options": origin.options,
            "versions": {plugin: version for plugin, version in registry.versions().items() if plugin in
                         {*hooks, origin.plugin}},
            "noting": registry.noting,
            "words": words(),
            "asset": asset,
            "mode": settings.mode,
            "timeframe": settings.decision.timeframe,
            "horizon": settings.decision.horizon,
            "bars": settings.data.bars,
            "freshness": settings.data.freshness.model_dump(mode="json"),
            "indicators": settings.pulse.indicators,
            "shorts": settings.execution.allow_short,
            "round_trip_cost": round_trip_cost(settings),
            "account": account_view(flat, asset),
            "position": held_quantity(flat, asset),
        }
    )  # fmt: skip
    return made


@dataclass
class _Hearing:
    interview: Interview
    engine: Engine
    asset: Asset
    known: AsOf
    panel: dict[str, AIProvider]
    named: frozenset[str]
    closes: Sequence[int]
    bars: Sequence[str]

    def __post_init__(self) -> None:
        self.cassette = self.interview.cassette(self.engine)
        kept = self.interview.tape is not None
        self.lanes = {
            name: self.interview.lane(self.engine, self.asset, name, provider)
            for name, provider in self.panel.items()
            if kept
        }
        self.feed = self.known.feed()
        self.heard = Heard({name: [] for name in self.panel})

    def through(self) -> Heard:
        for place in range(len(self.closes)):
            self._at(place)
            self.interview.told(place + 1, len(self.closes))
        for name in self.panel:
            if self.cassette is not None:
                self.cassette.settle(name)
        self._keep_the_rest()
        return self.heard

    def _at(self, place: int) -> None:
        close, bars = self.closes[place], self.bars[place]
        asks_anew = self.interview.tape is Tape.RECORD
        known = {
            name: None if asks_anew or not self.lanes else self.lanes[name].get(close, bars) for name in self.panel
        }
        missing = {name: self.panel[name] for name, opinion in known.items() if opinion is None}
        for opinion in self._ask(missing, close) if missing else ():
            known[opinion.provider] = without_texts(opinion)
            if self.lanes and opinion.is_vote and self.interview.tape is not Tape.REPLAY:
                self._keep_up_to(opinion.provider, place)
                self.lanes[opinion.provider].keep(close, bars, opinion)
        for name in list(self.panel):
            said = known[name]
            assert said is not None  # noqa: S101 - asked for above
            if said.asked:
                self.heard.opinions[name].append(said)
            else:
                self._leave_out(name, said)

    def _ask(self, missing: Mapping[str, AIProvider], close: int) -> tuple[Opinion, ...]:
        self.heard.looked_up += 1
        self.interview.wait_for(self.engine, missing)
        inputs = self._inputs(close)
        return self.engine.answers.opinions(missing, inputs.briefing)

    def _inputs(self, close: int) -> DecisionInputs:
        return self.engine.inputs_at(self.asset, from_ms(close), self.feed)

    def _keep_up_to(self, name: str, place: int) -> None:
        """The failures since the last vote, which this vote makes an answer like the others."""
        lane, said = self.lanes[name], self.heard.opinions[name]
        for earlier in range(place - 1, -1, -1):
            if said[earlier].is_vote:
                break
            lane.keep(self.closes[earlier], self.bars[earlier], said[earlier])

    def _keep_the_rest(self) -> None:
        if self.interview.tape is not Tape.REPLAY:
            for name in self.lanes:
                if name in self.panel:
                    self._keep_up_to(name, len(self.closes))

    def _leave_out(self, name: str, said: Opinion) -> None:
        if name in self.named:
            raise NotConfigured(said.error or f"{name} is not set up", hint=said.hint)
        self.heard.left_out[name] = said.error or ""
        del self.panel[name], self.heard.opinions[name]


def models_of(panel: Mapping[str, AIProvider]) -> dict[str, AIProvider]:
    """Those of ``panel`` that have to be asked close by close."""
    return {name: provider for name, provider in panel.items() if not isinstance(provider, VectorProvider)}


def no_tape(name: str) -> UsageError:
    return UsageError(
        f"{name} is asked at every close, and its answers are to be kept",
        hint="--cassette auto keeps them and goes on where it stopped; --live-ai asks without keeping anything",
    )
