"""The bench on which experiments run: the user's settings and plugins, and the markets and accounts they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

from ffe_core import (
    AIProvider,
    Asset,
    Candles,
    Instrument,
    NoData,
    Timeframe,
    UsageError,
    VectorProvider,
    from_ms,
    to_ms,
)
from ffe_core.engine import Engine, risk_settings, sizing_rules
from ffe_lab.costs import Costs
from ffe_lab.gate import Calls
from ffe_lab.market import Market, Unread
from ffe_lab.settings import LabSettings
from ffe_lab.simulate import UNGATED, Rulebook, Setup, without_exits
from ffe_lab.trades import Indices
from ffe_lab.trials import TrialLedger

if TYPE_CHECKING:
    from ffe_core.ensemble.tiers import EnsembleRules
    from ffe_core.settings import Settings
    from ffe_lab.interview import Interview

ENSEMBLE = "ensemble"
#: bars before the first traded one: the memory of the slowest usual indicator
_WARM_UP_BARS = 500
#: days before it, for the daily range
_WARM_UP_DAYS = 520


@dataclass
class Lab:
    """Settings and plugins of a run. ``Lab.from_settings()`` takes the user's own."""

    engine: Engine
    #: how models are asked; ``None`` where they are not
    interview: Interview | None = None
    _instruments: dict[tuple[Asset, float], Instrument] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Self:
        """Raises ``SettingsError``."""
        return cls(Engine.from_settings(settings))

    @property
    def settings(self) -> Settings:
        return self.engine.settings

    @cached_property
    def own(self) -> LabSettings:
        """The section ``plugins.lab``. Raises ``SettingsError``."""
        return self.settings.plugin_section("lab", LabSettings)

    @cached_property
    def ledger(self) -> TrialLedger:
        return TrialLedger(self.settings.paths.state / "lab" / "trials")

    # who is asked

    def provider(self, name: str, params: Mapping[str, Any] | None = None) -> VectorProvider:
        """A rule by its name, with the parameters of ``plugins.lab.params`` and over them these.

        Raises ``UnknownName``, ``UsageError``.
        """
        found = self.engine.registry.close_at_hand("provider", name)
        if not isinstance(found, VectorProvider):
            raise UsageError(
                f"{name} is asked at every close and has no answer for a whole series",
                hint="a backtest of it runs over a cassette: --cassette auto",
            )
        given = {**self.params_of(found.name), **(params or {})}
        return found.with_params(**given) if given else found

    def params_of(self, name: str) -> dict[str, float | int | str]:
        """What settings give a provider in experiments. Raises ``SettingsError``."""
        return self.own.params.get(name, {})

    def panel(self, names: Sequence[str]) -> dict[str, AIProvider]:
        """Providers by name in order; ``ensemble`` is the configured panel. Raises ``UnknownName``."""
        wanted: list[str] = []
        for name in names or (ENSEMBLE,):
            wanted += self.settings.ai.providers if name == ENSEMBLE else [name]
        return {name: self.engine.registry.close_at_hand("provider", name) for name in dict.fromkeys(wanted)}

    def calls(
        self,
        market: Market,
        provider: str | VectorProvider | Sequence[str],
        params: Mapping[str, Any] | None = None,
        at: Indices | None = None,
    ) -> Calls:
        """What is called at every bar by a rule, by a panel, or by models, which ``interview`` asks.

        A panel with models in it is asked at the closes of the bars ``at``, or of every traded one. Raises
        ``UsageError`` for who cannot answer, and what ``Interview.hear`` does.
        """
        if not isinstance(provider, str) and isinstance(provider, VectorProvider):
            return Calls.of(provider.with_params(**params) if params else provider, market.series)
        names = [provider] if isinstance(provider, str) else list(provider)
        asked = self.panel(names)
        if self.interview is not None and not all(isinstance(one, VectorProvider) for one in asked.values()):
            return self._heard(market, asked, frozenset(names) - {ENSEMBLE}, self.interview, params, at)
        if len(names) == 1 and names[0] != ENSEMBLE:
            return Calls.of(self.provider(names[0], params), market.series)
        if params:
            raise UsageError("parameters are those of one provider", hint="--provider NAME, once")
        panel = {name: self.provider(name) for name in asked}
        from ffe_lab.panel import panel_calls

        registry = self.engine.registry
        strategies = {name: registry.close_at_hand("strategy", name) for name in registry.strategies}
        return panel_calls(panel, market, strategies, self.ensemble)

    def _heard(
        self,
        market: Market,
        panel: Mapping[str, AIProvider],
        named: frozenset[str],
        interview: Interview,
        params: Mapping[str, Any] | None,
        at: Indices | None,
    ) -> Calls:
        from ffe_lab.heard import heard_calls

        if params:
            raise UsageError("parameters are those of rules; a model has its own settings")
        return heard_calls(self.engine, market, panel, interview, self.ensemble, named, at)

    def calls_together(
        self,
        markets: Sequence[Market],
        provider: str | VectorProvider | Sequence[str],
        params: Mapping[str, Any] | None,
        at: Sequence[Indices],
    ) -> tuple[Calls, ...]:
        """``calls`` of several markets, one after the other; the interview counts the closes of all. Raises like it."""
        counting = nullcontext() if self.interview is None else self.interview.counting(sum(map(len, at)))
        with counting:
            return tuple(self.calls(market, provider, params, bars) for market, bars in zip(markets, at, strict=True))

    @cached_property
    def ensemble(self) -> EnsembleRules:
        from ffe_core.ensemble.tiers import EnsembleRules

        held = self.settings.ensemble
        return EnsembleRules(held.strategy, held.weights, held.min_local_providers)

    # by which rules

    @cached_property
    def rulebook(self) -> Rulebook:
        registry = self.engine.registry
        rules = [registry.close_at_hand("rule", name) for name in registry.rules]
        return Rulebook(rules, risk_settings(self.settings))

    def setup(
        self,
        *,
        costs: Costs | None = None,
        sizing: str | None = None,
        gate: bool | None = None,
        stop: float | str | None = None,
        target: float | None = None,
        initial_balance: float | None = None,
        allow_short: bool | None = None,
        leverage: float = 1.0,
        seed: int = 0,
    ) -> Setup:
        """The account that settings describe, with what is given in their place.

        ``stop`` is a fraction, 0 for none, or ``"atr"``; ``target`` a fraction, 0 for none. ``gate`` is on unless the
        sizing means to use the account whole. Raises ``UsageError``.
        """
        rules = sizing_rules(self.settings)
        costs = costs or replace(Costs.of(self.settings), model=self.own.execution)
        method = sizing or rules.method
        exits = without_exits(rules.exits, _fraction("stop", stop), _target(target))
        rules = replace(
            rules,
            method=method,
            exits=exits,
            fee=Decimal(repr(costs.fee)),
            amount=Decimal(repr(self.own.amount)),
            allow_short=rules.allow_short if allow_short is None else allow_short,
        )
        return Setup(
            sizing=rules,
            costs=costs,
            initial_balance=self.own.initial_balance if initial_balance is None else initial_balance,
            gate=method not in UNGATED if gate is None else gate,
            threshold=Decimal(repr(self.settings.decision.threshold)),
            leverage=leverage,
            seed=seed,
        )

    def instrument(self, asset: Asset, price: float, setup: Setup) -> Instrument:
        """Increments and minimum of the paper account, at the fees of ``setup``."""
        if (asset, price) not in self._instruments:
            self._instruments[asset, price] = self.engine.paper_instrument(asset, Decimal(repr(price)))
        made = self._instruments[asset, price]
        short = made.can_short or setup.sizing.allow_short
        return replace(made, can_short=short, margin_rate=1 / Decimal(repr(setup.leverage)))

    # on which market

    def market(
        self,
        asset: Asset,
        timeframe: Timeframe | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        source: str | None = None,
        compiled: bool = False,
    ) -> Market:
        """Bars that open in ``[start, end)``, and before them what indicators and daily ranges remember.

        Raises ``NoData`` where no source has a bar of the span.
        """
        frame = timeframe or self.settings.decision.timeframe
        feed = self.engine.feed if source is None else self.engine.feed_of(source)
        warm = None if start is None else min(start - _WARM_UP_BARS * frame.timedelta, start - _LONG_MEMORY)
        held = self._span(feed, asset, frame, warm, end)
        first = 0 if start is None else _first_from(held, to_ms(start))
        if first >= len(held):
            last = held.last_close_at
            raise NoData(f"no {frame} bar of {asset} from {start} on; the last one closes at {last}")
        days, hours = (
            None if longer.milliseconds <= frame.milliseconds else Unread(partial(_own, feed, asset, longer, warm, end))
            for longer in (Timeframe.D1, Timeframe.H4)
        )
        return Market(held, first, days, hours, compiled, held.synthetic)

    def _span(self, feed: Any, asset: Asset, frame: Timeframe, start: datetime | None, end: datetime | None) -> Candles:
        """The source's own bars, else made of the longest finer ones that it has."""
        try:
            found: Candles = feed.span(asset, frame, start=start, end=end)
        except NoData as error:
            for finer in sorted(Timeframe, key=lambda each: -each.milliseconds):
                if finer.milliseconds < frame.milliseconds:
                    try:
                        made = feed.span(asset, finer, start=start, end=end).resample(frame)
                    except NoData:
                        continue
                    last = from_ms(made.close_time(-1)) if len(made) else None
                    whole: Candles = made if last is None or end is None else made.as_of(end)
                    if len(whole):
                        return whole
            raise error from None
        return found


_LONG_MEMORY = timedelta(days=_WARM_UP_DAYS)


def _own(feed: Any, asset: Asset, frame: Timeframe, start: datetime | None, end: datetime | None) -> Candles | None:
    """A longer frame as the source has it; ``None`` where it has none."""
    try:
        found: Candles = feed.span(asset, frame, start=start, end=end)
    except NoData:
        return None
    return found


def _first_from(candles: Candles, start_ms: int) -> int:
    from bisect import bisect_left

    return bisect_left(candles.time, start_ms)


def _fraction(name: str, value: float | str | None) -> Decimal | str | None:
    if value is None or isinstance(value, str):
        if value not in (None, "atr", "fixed"):
            raise UsageError(f"{name} {value!r} is neither a fraction nor atr")
        return value
    if not 0 <= value < 1:
        raise UsageError(f"{name} {value:g} is no fraction from 0 up to 1")
    return Decimal(repr(float(value)))


def _target(value: float | None) -> Decimal | None:
    if value is None:
        return None
    if not 0 <= value < float("inf"):
        raise UsageError(f"target {value:g} is no fraction of at least 0")
    return Decimal(repr(float(value)))
