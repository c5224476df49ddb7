"""The engine: the only place that knows the whole flow from a market to a stored, explained decision."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from ffe_core.domain.assets import Asset
from ffe_core.domain.clock import Clock, SystemClock, iso, require_utc
from ffe_core.domain.decisions import Ask, BriefRequest, Decision, Opinion, Round
from ffe_core.domain.market import Quote
from ffe_core.domain.threads import start
from ffe_core.domain.trading import Instrument, Mode
from ffe_core.engine.answers import Answers
from ffe_core.engine.sizes import risk_settings, round_trip_cost, sizing_rules
from ffe_core.engine.venues import PAPER, PAPER_SYNTHETIC, Venues
from ffe_core.errors import SafetyRefusal, UsageError
from ffe_core.ports import AIProvider, Learner, Platform, RoundStrategy

if TYPE_CHECKING:
    from pathlib import Path

    from ffe_core.ai.anonymise import Mask
    from ffe_core.ai.cassette import Cassette, Tape
    from ffe_core.ai.hindsight import Training
    from ffe_core.domain.decisions import Outcome
    from ffe_core.engine.decide import DecisionInputs
    from ffe_core.engine.notebook import History
    from ffe_core.engine.probe import Probe
    from ffe_core.engine.record import Parts
    from ffe_core.engine.replay import Replayed
    from ffe_core.engine.trading import Trading
    from ffe_core.market.feed import Feed, FeedResult
    from ffe_core.plugins import Registry
    from ffe_core.settings import Settings
    from ffe_core.store import Store

__all__ = ["Analysis", "Engine", "risk_settings", "seed_of", "sizing_rules"]

#: ``--provider ensemble`` means the panel that settings name
ENSEMBLE = "ensemble"
#: the rules that stand in for a panel that failed as a whole, where settings ask for it
STAND_INS = ("local", "trend_adx", "rsi_reversion")


@dataclass(frozen=True, slots=True)
class Analysis:
    """A stored decision with what went less than well on the way, one line each."""

    decision: Decision
    warnings: tuple[str, ...]


class Engine:
    """Composes settings, plugins, market, panel, risk and store. Use ``Engine.from_settings()``.

    ``clock`` is the only source of time and ``new_id`` of decision ids; both are injected.
    """

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        *,
        clock: Clock | None = None,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
        store: Store | None = None,
        cassette: Cassette | None = None,
        budget_usd: Decimal | None = None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.clock = clock or SystemClock()
        budget = settings.ai.budget_usd if budget_usd is None else budget_usd
        self.answers = Answers(settings, registry, self.clock, cassette, budget)
        self.venues = Venues(self.answers)
        self._new_id = new_id
        if store is not None:
            registry.store.use(store)

    @classmethod
    def from_settings(
        cls, settings: Settings | None = None, *, config: Path | None = None, clock: Clock | None = None
    ) -> Self:
        """An engine of the user's settings and plugins. Raises ``SettingsError``."""
        from ffe_core.plugins import load_plugins
        from ffe_core.settings import load_settings

        held = settings or load_settings(config=config)
        clock = clock or SystemClock()
        return cls(held, load_plugins(held, clock=clock, at_once=False), clock=clock)

    @property
    def store(self) -> Store:
        """Opened on first use, so that an analysis that fails leaves no file behind; the plugins' ledgers share it."""
        return self.registry.store.open()

    @cached_property
    def feed(self) -> Feed:
        return self.answers.feed(self.settings.data.sources)

    def feed_of(self, source: str) -> Feed:
        """The market as one source has it, whether or not the settings list it. Raises ``UsageError``."""
        return self.answers.feed((source,))

    def tape(self, tape: Tape, folder: Path | None = None) -> None:
        """From here on questions to sources, plugins and models go to a cassette.

        ``folder`` defaults to ``cassette.dir``, else ``cassettes`` in the cache folder.
        """
        from ffe_core.ai.cassette import Cassette

        place = folder or self.settings.cassette.dir or self.settings.paths.cassettes
        self.answers.cassette = Cassette(tape, place, self.clock)
        self.__dict__.pop("feed", None)

    def close(self) -> None:
        self.registry.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # analyse

    def asset(self, text: str) -> Asset:
        """The asset that ``text`` names, with the kind that settings give it. Raises ``UsageError``."""
        try:
            asset = Asset.parse(text)
            kind = self.settings.data.kinds.get(asset.symbol)
            return Asset.parse(text, kind=kind) if kind else asset
        except ValueError as error:
            raise UsageError(str(error)) from error

    def analyze(
        self,
        asset: str | Asset,
        *,
        at: datetime | None = None,
        source: str | None = None,
        providers: Sequence[str] = (),
        indicators: Sequence[str] = (),
        anonymise: int | None = None,
    ) -> Decision:
        """One decision on ``asset``, stored. See ``analysis`` for the warnings that go with it."""
        return self.analysis(
            asset, at=at, source=source, providers=providers, indicators=indicators, anonymise=anonymise
        ).decision

    def analysis(
        self,
        asset: str | Asset,
        *,
        at: datetime | None = None,
        source: str | None = None,
        providers: Sequence[str] = (),
        indicators: Sequence[str] = (),
        anonymise: int | None = None,
    ) -> Analysis:
        """Market, panel, verdict, size, rulings, record.

        ``anonymise``: the number N under which the panel is asked about ASSET_N instead, at another time and price.
        ``at`` (aware) analyses as of that instant: nothing later is read, no venue is called and the account is a
        flat paper one. Raises ``NoData``, ``UsageError``, ``SettingsError``, ``SafetyRefusal``, ``StoreError``.
        """
        from ffe_core.engine.decide import decide, decision_of
        from ffe_core.engine.record import describe_candles, record_of

        wanted = self.asset(asset) if isinstance(asset, str) else asset
        panel = self.panel(providers)
        if len(panel) > 1:
            # A name that nobody has would let the votes be counted in another way than the user chose.
            self.registry.require("strategy", self.settings.ensemble.strategy)
        gathered = self._gather(wanted, None if at is None else require_utc(at), self._market(source), indicators)
        mask = None if anonymise is None else self._mask(gathered, indicators, anonymise, (gathered.found.as_of,))
        with self.answers.behind(mask):
            inputs, left_out = self.asked(gathered.inputs, panel, named=frozenset(providers))
        inputs = replace(
            inputs, training=self._training(inputs, present=at is None), mask=mask, history=self._learnt(inputs)
        )
        decided = decide(inputs, self.registry.strategies_by_name(), list(self.registry.rules_by_name().values()))
        decision = decision_of(self._new_id(), self.clock.now(), inputs, decided)
        record = record_of(
            decision,
            inputs,
            settings=self.settings.recorded(),
            plugins=self.registry.versions(),
            parts=self._parts(),
            candles={name.value: describe_candles(gathered.found.series.get(name)) for name in gathered.found.series},
        )
        stored = self.store.append(record)
        decision = replace(decision, hash=stored.hash, previous_hash=stored.previous_hash)
        self.registry.emit("ffe_decision_made", decision=decision)
        uncounted = self.answers.uncounted(inputs.opinions)
        return Analysis(decision, (*gathered.warnings, *left_out, *uncounted, *self.registry.problem_lines()))

    def _parts(self) -> Parts:
        """The strategies and rules that take part, in their order: what a replay needs."""
        from ffe_core.engine.record import Part
        from ffe_core.ensemble.tiers import FALLBACK_STRATEGIES

        asked = (self.settings.ensemble.strategy, *FALLBACK_STRATEGIES)
        return {
            "strategies": [
                Part(name, offer.plugin) for name, offer in self.registry.strategies.items() if name in asked
            ],
            "rules": [Part(name, offer.plugin) for name, offer in self.registry.rules.items()],
        }

    def panel(self, names: Sequence[str]) -> dict[str, AIProvider]:
        """Providers by name in the order asked for; what the user names must be there."""
        wanted: list[str] = []
        for name in names or (ENSEMBLE,):
            wanted += self.settings.ai.providers if name == ENSEMBLE else [name]
        return {name: self.registry.require("provider", name) for name in dict.fromkeys(wanted)}

    def _market(self, source: str | None) -> Feed:
        return self.feed if source is None else self.feed_of(source)

    def _gather(self, asset: Asset, at: datetime | None, feed: Feed, indicators: Sequence[str]) -> _Gathered:
        """Everything that is looked up, before anybody is asked. With ``at`` the account is a supposed one."""
        from ffe_core.ai.briefing import build_briefing, known_by
        from ffe_core.analysis.pulse import build_pulse
        from ffe_core.analysis.regime import regime_of
        from ffe_core.engine.accounts import account_of
        from ffe_core.engine.decide import DecisionInputs
        from ffe_core.ensemble.tiers import EnsembleRules
        from ffe_core.market.snapshot import snapshot, with_divergence

        settings = self.settings
        found = feed.series(asset, at, bars=settings.data.bars)
        as_of = found.as_of
        freshness, status = self._timing(asset, found, as_of)
        market = snapshot(found, settings.decision.timeframe, freshness, status)
        if market.synthetic and settings.mode is Mode.LIVE:
            raise SafetyRefusal("synthetic prices in live mode", hint="set data.sources to a source of real prices")
        price = Decimal(repr(market.price))
        account = account_of(self, asset, price, synthetic=market.synthetic, hypothetical=at is not None, feed=feed)
        market = with_divergence(market, account.quote, settings.data.price_divergence)
        candles = found.series[settings.decision.timeframe]
        assert candles is not None  # noqa: S101 - snapshot raised otherwise
        pulse = build_pulse(asset, as_of, found.series, indicators=(*settings.pulse.indicators, *indicators))
        request = BriefRequest(asset, as_of, settings.decision.timeframe, settings.decision.horizon)
        notes, withheld = known_by(as_of, self.answers.notes(request))
        briefing = build_briefing(
            asset,
            as_of,
            mode=settings.mode,
            timeframe=settings.decision.timeframe,
            horizon=settings.decision.horizon,
            market=market,
            pulse=pulse,
            regime=regime_of(found.series, settings.decision.timeframe),
            portfolio=account.portfolio,
            notes=notes,
            indicators=self.registry.indicators(candles),
            candles=candles,
            shorts=settings.execution.allow_short and account.instrument.can_short,
            round_trip_cost=round_trip_cost(settings),
        )
        inputs = DecisionInputs(
            briefing=briefing,
            opinions=(),
            fallback_opinions=(),
            ensemble=EnsembleRules(
                settings.ensemble.strategy, settings.ensemble.weights, settings.ensemble.min_local_providers
            ),
            sizing=sizing_rules(settings),
            entry_price=price,
            instrument=account.instrument,
            portfolio=account.portfolio,
            risk_settings=risk_settings(settings),
            seed=seed_of(asset, as_of),
            supposed=at is not None,
        )
        inputs = self._with_standing(inputs, found, feed, account.paid_in)
        warnings = [*account.warnings, *market.remarks]
        if withheld:
            warnings.append(f"{withheld} notes became known after {iso(as_of)} and were withheld")
        return _Gathered(inputs, found, tuple(dict.fromkeys(warnings)), account.quote)

    def _with_standing(
        self, inputs: DecisionInputs, found: FeedResult, feed: Feed, paid_in: Decimal | None
    ) -> DecisionInputs:
        """What the rules want to know besides: returns of what is held, the trading state, the account's past."""
        from ffe_core.engine.standing import Recollection, returns_of

        held = inputs.portfolio.positions if inputs.portfolio is not None else ()
        inputs = replace(inputs, daily_returns=returns_of(found, feed, [one.asset for one in held if one.quantity]))
        if inputs.supposed:
            return inputs
        return Recollection(self.registry.store.if_there(), self.settings, self.clock).of(inputs, paid_in)

    def _timing(self, asset: Asset, found: FeedResult, as_of: datetime) -> tuple[Any, Any]:
        from ffe_core.market.freshness import freshness_of
        from ffe_core.market.hours import market_status

        freshness = freshness_of(found.series, as_of, asset.kind, self.settings.data.freshness)
        return freshness, market_status(asset, as_of)

    def asked(
        self, inputs: DecisionInputs, panel: Mapping[str, AIProvider], *, named: frozenset[str] = frozenset()
    ) -> tuple[DecisionInputs, list[str]]:
        """``inputs`` with the panel's answers; when all of it failed and settings say so, the rules' too.

        A member of the configured panel that lacks its key is left out with a line that says so; one that the user
        ``named`` and cannot have is a failure.
        """
        briefing = inputs.briefing
        inputs, answers = self._heard(inputs, panel)
        opinions = tuple(answer for answer in answers if answer.asked or answer.provider in named)
        left_out = [f"{answer.provider} is left out: {answer.error}" for answer in answers if answer not in opinions]
        stand_ins: tuple[Opinion, ...] = ()
        if self.settings.ai.fallback == "local" and not any(opinion.is_vote for opinion in opinions):
            left = {name: self.registry.require("provider", name) for name in STAND_INS if name not in panel}
            stand_ins = self.answers.opinions(left, briefing)
        return replace(inputs, opinions=opinions, fallback_opinions=stand_ins), left_out

    def _heard(
        self, inputs: DecisionInputs, panel: Mapping[str, AIProvider]
    ) -> tuple[DecisionInputs, tuple[Opinion, ...]]:
        """All of the panel at once, or in rounds where the strategy wants it so; a panel of one is simply asked."""
        from ffe_core.engine.rounds import agenda_of, answers_of, rounds_of

        offer = self.registry.strategies.get(self.settings.ensemble.strategy)
        if offer is not None and isinstance(offer.object, RoundStrategy) and len(panel) > 1:
            local = [name for name, provider in panel.items() if provider.local]
            agenda = agenda_of(inputs, list(panel), local, self.answers.premium_left(inputs.briefing))
            rounds = rounds_of(offer.object, agenda, self._ask_all)
            if rounds:
                return replace(inputs, agenda=agenda, rounds=rounds), answers_of(rounds)
        return inputs, self.answers.opinions(panel, inputs.briefing)

    def _ask_all(self, asks: Sequence[Ask]) -> list[Round]:
        """Several questions at the same time. Raises what ``Answers.opinions`` does, and for unknown providers."""
        panels = [{name: self.registry.require("provider", name) for name in ask.providers} for ask in asks]
        heard = [
            start(partial(self.answers.opinions, panel, ask.briefing, premium=ask.premium), name="ffe ask")
            for ask, panel in zip(asks, panels, strict=True)
        ]
        return [
            Round(
                ask, tuple(replace(each, calibratable=each.calibratable and ask.calibratable) for each in one.result())
            )
            for ask, one in zip(asks, heard, strict=True)
        ]

    def _training(self, inputs: DecisionInputs, *, present: bool) -> Training:
        from ffe_core.ai.hindsight import training_of

        opinions = (*inputs.opinions, *inputs.fallback_opinions)
        providers = {said.provider: self.registry.require("provider", said.provider) for said in opinions}
        ai = self.settings.ai
        return training_of(opinions, providers, ai.cutoffs, embargo_days=ai.embargo_days, present=present)

    def _learnt(self, inputs: DecisionInputs) -> tuple[Outcome, ...]:
        """What had come of earlier decisions by now, oldest first, where the chosen strategy learns from it.

        What was resolved on invented prices teaches nothing about real ones, nor the other way round.
        """
        offer = self.registry.strategies.get(self.settings.ensemble.strategy)
        if offer is None or not isinstance(offer.object, Learner) or len(inputs.opinions) < 2:
            return ()
        known = self.store.outcomes(
            until=inputs.briefing.as_of, limit=offer.object.history, synthetic=inputs.briefing.market.synthetic
        )
        return tuple(reversed(known))

    def _mask(
        self, gathered: _Gathered, indicators: Sequence[str], number: int, instants: Sequence[datetime], seed: int = 0
    ) -> Mask:
        from ffe_core.ai.anonymise import mask_of, weeks_back

        return mask_of(
            gathered.inputs.briefing,
            gathered.found.series,
            number=number,
            weeks=weeks_back(seed, instants),
            extras=(*self.settings.pulse.indicators, *indicators),
            indicators=self.registry.indicators,
        )

    def probe(
        self,
        asset: str | Asset,
        *,
        at: Sequence[datetime] = (),
        source: str | None = None,
        providers: Sequence[str] = (),
        seed: int = 0,
    ) -> Probe:
        """Asks each provider about the market as it is and under a mask, at every instant; nothing is stored.

        ``seed`` draws how far the instants are moved. Raises what ``analysis`` does.
        """
        from ffe_core.engine.probe import Pair, probe_of

        wanted = self.asset(asset) if isinstance(asset, str) else asset
        panel, feed = self.panel(providers), self._market(source)
        gathered = [
            self._gather(wanted, None if one is None else require_utc(one), feed, ())
            for one in dict.fromkeys(at) or (None,)
        ]
        instants = [held.found.as_of for held in gathered]
        pairs: list[Pair] = []
        masks = [self._mask(held, (), 1, instants, seed) for held in gathered]
        for held, mask in zip(gathered, masks, strict=True):
            plain = self.answers.opinions(panel, held.inputs.briefing)
            with self.answers.behind(mask):
                pairs += zip(plain, self.answers.opinions(panel, held.inputs.briefing), strict=True)
        return probe_of(wanted, instants, masks, pairs, named=frozenset(providers))

    # act

    def trading(self, *, live: bool = False) -> Trading:
        """Orders of this engine; ``live``: whether this command may use real money."""
        from ffe_core.engine.trading import Trading

        return Trading(self, live)

    def inputs_now(self, asset: Asset, source: str | None = None) -> tuple[DecisionInputs, Quote | None]:
        """Market, account and limits as they are now, with nobody asked for an opinion; and the venue's own quote."""
        gathered = self._gather(asset, None, self._market(source), ())
        return gathered.inputs, gathered.quote

    def inputs_at(self, asset: Asset, at: datetime, feed: Feed) -> DecisionInputs:
        """What a decision as of ``at`` starts from, by what ``feed`` knew then, with nobody asked for an opinion."""
        return self._gather(asset, require_utc(at), feed, ()).inputs

    def new_id(self) -> str:
        return self._new_id()

    def paper_instrument(self, asset: Asset, price: Decimal) -> Instrument:
        """By which increments paper trades ``asset`` at about that price: what simulations round to."""
        paper = self.registry.require("platform", PAPER)
        paper.update_prices({asset.symbol: price})
        return cast("Instrument", paper.instrument(asset))

    def trading_platform(self, *, synthetic: bool, insists: bool = False) -> Platform:
        """Where orders go: in paper mode paper's own ledgers, whatever venue settings name.

        ``insists``: a venue that is left alone for a while is asked all the same, because an order hangs on it.
        """
        if self.settings.mode is Mode.PAPER:
            return self.venues.named(PAPER_SYNTHETIC if synthetic else PAPER)
        if self.settings.execution.platform.startswith(PAPER):
            raise SafetyRefusal("live mode with a paper platform", hint="set execution.platform to a venue")
        return self.venues.chosen(insists=insists)

    # look back

    def replay(self, decision_id: str) -> Replayed:
        """Recomputes a stored decision from its record. Raises ``PluginError``, ``VerificationFailed``."""
        from ffe_core.engine.replay import replay_record

        stored = self.store.get(decision_id)
        return replay_record(
            stored.record,
            strategies=self.registry.strategies_by_name(),
            rules=self.registry.rules_by_name(),
            plugins=self.registry.versions(),
        )

    def history(self, limit: int = 10, asset: str | None = None) -> History:
        """The newest stored decisions, newest first; ``.frame()`` makes a DataFrame of them."""
        from ffe_core.engine.notebook import History

        return History(self.store.latest(limit, None if asset is None else self.asset(asset).symbol))


class _Gathered(NamedTuple):
    inputs: DecisionInputs
    found: FeedResult
    warnings: tuple[str, ...]
    quote: Quote | None = None


def seed_of(asset: Asset, as_of: datetime) -> int:
    """What a strategy may draw from: the same for the same asset and instant."""
    return int.from_bytes(hashlib.sha256(f"{asset.symbol}|{iso(as_of)}".encode()).digest()[:4])


def rank(decisions: Iterable[Decision]) -> list[Decision]:
    """Decisions worth acting on first: entries and exits before holds, then by confidence, then by name."""
    return sorted(
        decisions,
        key=lambda decision: (decision.effect.value == "none", -decision.confidence, decision.asset_pair),
    )
